/* sched/heap.h: a binary heap whose nodes live in the objects. SPDX-License-Identifier: Apache-2.0
 *
 * A node knows its place, so an object whose key changed is moved, and one that goes away is
 * removed, in O(log n) and without a search. A zeroed node is in no heap. Owns only its array. */
#ifndef FLOE_SCHED_HEAP_H
#define FLOE_SCHED_HEAP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct heap_node {
  size_t place; /* from 1; 0: in no heap */
} heap_node;

typedef struct heap {
  heap_node **nodes; /* owned; nodes[i]->place == i + 1 */
  size_t len, cap;
  bool (*before)(const heap_node *a, const heap_node *b); /* a strict total order */
} heap;

#define HEAP_ENTRY(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

void heap_put(heap *h, heap_node *node);    /* adds it, or moves it after its key changed */
void heap_remove(heap *h, heap_node *node); /* in no heap: nothing happens */
heap_node *heap_first(const heap *h);       /* NULL: empty */
heap_node *heap_second(const heap *h);      /* the one that would be first without the first */
bool heap_valid(const heap *h);
void heap_deinit(heap *h);

#endif
