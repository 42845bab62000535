/* worker/splice.h: replace a byte range of a plan while it streams by. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The plan's sink holds a placeholder, a MessagePack string; the worker puts the path of its
 * scratch file there. Only those bytes change, so the plan stays valid. */
#ifndef FLOE_WORKER_SPLICE_H
#define FLOE_WORKER_SPLICE_H

#include "base/buf.h"
#include "base/spool.h"

#include <stdint.h>

typedef struct plan_splice {
  uint64_t offset; /* where the placeholder begins */
  uint32_t len;    /* its bytes; 0: nothing is replaced */
  buf with;        /* what stands there instead; owned */
  uint64_t at;     /* bytes of the original seen so far */
} plan_splice;

/* `text` becomes a MessagePack string. */
MUST_CHECK rc splice_init(plan_splice *s, uint64_t offset, uint32_t len, const char *text, err *e);
MUST_CHECK rc splice_feed(plan_splice *s, const uint8_t *data, size_t len, spool *out, err *e);
MUST_CHECK rc splice_end(const plan_splice *s, err *e); /* RC_INVALID: the plan ended before */
void splice_deinit(plan_splice *s);

#endif
