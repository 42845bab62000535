/* worker/splice.h: replace byte ranges of a plan while it streams by. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The plan's sink holds a placeholder, a MessagePack string; the worker puts the path of its
 * scratch file there. Other ranges come with the task: its part of a source. Only those bytes
 * change, so the plan stays valid. */
#ifndef FLOE_WORKER_SPLICE_H
#define FLOE_WORKER_SPLICE_H

#include "base/buf.h"
#include "base/spool.h"

#include <stdint.h>

typedef struct splice_range {
  uint64_t offset; /* in the original */
  uint32_t len;    /* at least 1 */
  const uint8_t *with;
  size_t with_len;
} splice_range;

typedef struct plan_splice { /* zeroed: nothing is replaced */
  splice_range *ranges;      /* owned; ascending, without overlap */
  size_t n, cap;
  buf text; /* what splice_add_text puts in; owned */
  /* while streaming */
  size_t next; /* the range that has not ended yet */
  uint64_t at; /* bytes of the original seen so far */
} plan_splice;

/* `with` is borrowed. In any order; fastest when ascending. */
MUST_CHECK rc splice_add(plan_splice *s, const splice_range *range, err *e);
/* Once; `text` becomes a MessagePack string. */
MUST_CHECK rc splice_add_text(plan_splice *s, uint64_t offset, uint32_t len, const char *text,
                              err *e);
MUST_CHECK rc splice_feed(plan_splice *s, const uint8_t *data, size_t len, spool *out, err *e);
MUST_CHECK rc splice_end(const plan_splice *s, err *e); /* RC_INVALID: the plan ended before */
void splice_deinit(plan_splice *s);

#endif
