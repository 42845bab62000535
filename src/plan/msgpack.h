/* plan/msgpack.h: a cursor over MessagePack. SPDX-License-Identifier: Apache-2.0
 *
 * Two ways to use it. msgpack_walk proves that one whole value stands in the bytes and shows each
 * token on the way. On bytes that were proven, msgpack_enter and msgpack_index go down by name and
 * number; a cursor is two words to copy, so looking ahead is a copy. No allocation, no recursion:
 * nesting costs nothing, however deep. Views point into the bytes. */
#ifndef FLOE_PLAN_MSGPACK_H
#define FLOE_PLAN_MSGPACK_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct msgpack {
  const uint8_t *start, *at, *end; /* start: what error texts count from */
} msgpack;

typedef enum msgpack_kind {
  MSGPACK_NEVER, /* the head 0xc1, which MessagePack does not use */
  MSGPACK_NIL,
  MSGPACK_BOOL,
  MSGPACK_UINT,
  MSGPACK_INT,
  MSGPACK_FLOAT,
  MSGPACK_STR,
  MSGPACK_BIN,
  MSGPACK_EXT,
  MSGPACK_ARRAY,
  MSGPACK_MAP
} msgpack_kind;

typedef struct msgpack_token {
  msgpack_kind kind;
  uint64_t n;          /* BOOL, UINT: the value; INT: in two's complement; ARRAY: items;
                          MAP: pairs; others: bytes of data */
  const uint8_t *data; /* FLOAT, STR, BIN, EXT (its type byte first) */
} msgpack_token;

/* `after` stands behind the token: at the first item of an array. */
typedef void msgpack_on_token(void *arg, const msgpack_token *token, msgpack after);

/* One token: a scalar, or the head of an array or map. RC_INVALID: the bytes are cut off (or
 * announce more items than bytes follow), or the head is none. The cursor moves only on RC_OK. */
MUST_CHECK rc msgpack_next(msgpack *m, msgpack_token *out, err *e);
/* One whole value. Long arrays of small integers, which is how bytes are often written, pass at
 * memory speed and are not shown item by item. on_token may be NULL. */
MUST_CHECK rc msgpack_walk(msgpack *m, msgpack_on_token *on_token, void *arg, err *e);

bool msgpack_is(const msgpack_token *token, const char *text); /* a STR that equals text? */
/* False, and the cursor as it was: this is no map, or has no such key. */
bool msgpack_enter(msgpack *m, const char *key);
bool msgpack_index(msgpack *m, uint64_t i); /* the same for an array's item */

#endif
