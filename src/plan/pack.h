/* plan/pack.h: writing MessagePack. SPDX-License-Identifier: Apache-2.0
 *
 * Small pieces of plans that the planner makes itself. Memory for them is the query's arena; like
 * the arena, a packer aborts when memory is out: what it writes is sized by the planner. */
#ifndef FLOE_PLAN_PACK_H
#define FLOE_PLAN_PACK_H

#include "base/arena.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of MessagePack, usually one whole value: an expression, the value of a field. A view:
 * into the client's plan, or into an arena. */
typedef struct plan_bytes {
  const uint8_t *data; /* NULL: none */
  size_t len;
} plan_bytes;

void pack_nil(buf *b);
void pack_bool(buf *b, bool value);
void pack_uint(buf *b, uint64_t value);
void pack_int(buf *b, int64_t value);
void pack_float(buf *b, double value);
void pack_str(buf *b, const char *text, size_t len);
void pack_text(buf *b, const char *text); /* the same, NUL-terminated */
void pack_bin(buf *b, const void *data, size_t len);
void pack_array(buf *b, size_t items); /* the head; the items follow */
void pack_map(buf *b, size_t pairs);
void pack_raw(buf *b, plan_bytes value); /* already MessagePack */

/* Moves what the packer wrote to the arena and frees the packer. */
plan_bytes pack_done(buf *b, arena *a);
bool plan_bytes_equal(plan_bytes x, plan_bytes y);

#endif
