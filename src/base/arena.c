/* base/arena.c: see arena.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/mem.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 4096 };

typedef struct arena_block {
  struct arena_block *next;
  size_t used, cap;
  alignas(max_align_t) uint8_t data[];
} arena_block;

void *arena_take(arena *a, size_t bytes) {
  size_t need = (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
  if (!a->blocks || a->blocks->cap - a->blocks->used < need) {
    size_t cap = need > BLOCK_BYTES ? need : BLOCK_BYTES;
    arena_block *block = mem_new(sizeof *block + cap);
    block->cap = cap;
    block->next = a->blocks;
    a->blocks = block;
  }
  void *p = a->blocks->data + a->blocks->used;
  a->blocks->used += need;
  return p;
}

char *arena_printf(arena *a, const char *fmt, ...) {
  char *text = NULL;
  va_list ap;
  va_start(ap, fmt);
  int n = vasprintf(&text, fmt, ap);
  va_end(ap);
  if (n < 0) abort();
  char *out = arena_take(a, (size_t)n + 1);
  memcpy(out, text, (size_t)n + 1);
  free(text);
  return out;
}

void arena_deinit(arena *a) {
  for (arena_block *b = a->blocks, *next; b; b = next) {
    next = b->next;
    free(b);
  }
  a->blocks = NULL;
}
