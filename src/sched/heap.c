/* sched/heap.c: see heap.h. SPDX-License-Identifier: Apache-2.0 */
#include "sched/heap.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void set(heap *h, size_t at, heap_node *node) {
  h->nodes[at] = node;
  node->place = at + 1;
}

static void sift_up(heap *h, size_t at, heap_node *node) {
  while (at > 0) {
    size_t parent = (at - 1) / 2;
    if (!h->before(node, h->nodes[parent])) break;
    set(h, at, h->nodes[parent]);
    at = parent;
  }
  set(h, at, node);
}

static void sift_down(heap *h, size_t at, heap_node *node) {
  for (size_t child; (child = 2 * at + 1) < h->len; at = child) {
    if (child + 1 < h->len && h->before(h->nodes[child + 1], h->nodes[child])) child++;
    if (!h->before(h->nodes[child], node)) break;
    set(h, at, h->nodes[child]);
  }
  set(h, at, node);
}

/* Puts `node` where its key belongs, given that `at` is free and all others are in order. */
static void settle(heap *h, size_t at, heap_node *node) {
  if (at > 0 && h->before(node, h->nodes[(at - 1) / 2]))
    sift_up(h, at, node);
  else
    sift_down(h, at, node);
}

static void grow(heap *h) {
  size_t cap = h->cap ? h->cap * 2 : 8;
  heap_node **nodes = mem_new(cap * sizeof *nodes);
  if (h->len) memcpy(nodes, h->nodes, h->len * sizeof *nodes);
  free(h->nodes);
  h->nodes = nodes;
  h->cap = cap;
}

void heap_put(heap *h, heap_node *node) {
  if (node->place) {
    settle(h, node->place - 1, node);
    return;
  }
  if (h->len == h->cap) grow(h);
  sift_up(h, h->len++, node);
}

void heap_remove(heap *h, heap_node *node) {
  if (!node->place) return;
  size_t at = node->place - 1;
  node->place = 0;
  heap_node *last = h->nodes[--h->len];
  if (last != node) settle(h, at, last);
}

heap_node *heap_first(const heap *h) {
  return h->len ? h->nodes[0] : NULL;
}

heap_node *heap_second(const heap *h) {
  if (h->len < 2) return NULL;
  bool right = h->len > 2 && h->before(h->nodes[2], h->nodes[1]);
  return h->nodes[right ? 2 : 1];
}

bool heap_valid(const heap *h) {
  for (size_t i = 0; i < h->len; i++) {
    if (h->nodes[i]->place != i + 1) return false;
    if (i > 0 && h->before(h->nodes[i], h->nodes[(i - 1) / 2])) return false;
  }
  return true;
}

void heap_deinit(heap *h) {
  free(h->nodes);
  h->nodes = NULL;
  h->len = h->cap = 0;
}
