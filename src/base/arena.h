/* base/arena.h: memory that lives as long as one request. SPDX-License-Identifier: Apache-2.0
 *
 * Pieces are taken from blocks and never given back one by one; arena_deinit releases all. For
 * what we size ourselves: aborts when memory is out. A zeroed arena is valid. */
#ifndef FLOE_BASE_ARENA_H
#define FLOE_BASE_ARENA_H

#include <stddef.h>

typedef struct arena {
  struct arena_block *blocks; /* owned; newest first */
} arena;

void *arena_take(arena *a, size_t bytes); /* zeroed, aligned for any type */
char *arena_printf(arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_deinit(arena *a);

#define ARENA_NEW(a, type, n) ((type *)arena_take((a), sizeof(type) * (n)))

#endif
