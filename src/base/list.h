/* base/list.h: a doubly linked list whose links live in the objects. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A list head is a node that points to itself; list_remove on a node that is in no list is safe,
 * so cleaning up needs no question "was it queued?". Owns nothing. */
#ifndef FLOE_BASE_LIST_H
#define FLOE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct list {
  struct list *prev, *next;
} list;

static inline void list_init(list *l) {
  l->prev = l->next = l;
}
static inline bool list_empty(const list *l) {
  return l->next == l;
}

static inline void list_push_back(list *head, list *node) {
  node->prev = head->prev;
  node->next = head;
  head->prev->next = node;
  head->prev = node;
}

static inline void list_remove(list *node) {
  if (!node->next) return; /* zeroed: never was in a list */
  node->prev->next = node->next;
  node->next->prev = node->prev;
  list_init(node);
}

#define LIST_ENTRY(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

/* `tmp` keeps the next node, so the body may remove `it`. */
#define LIST_EACH(head, it, tmp)                                                                   \
  for (list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)

#endif
