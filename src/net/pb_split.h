/* net/pb_split.h: take one long field out of a protobuf message as it streams in.
 * SPDX-License-Identifier: Apache-2.0
 *
 * SubmitQueryRequest and RunTaskRequest carry a plan of up to hundreds of MB among a few small
 * fields. A pb_split reads the message's top level byte by byte, hands the payload of field
 * `long_field` (length-delimited) to `on_long` in pieces, and keeps the rest, verbatim, for the
 * protobuf decoder. The long field may occur once. What was kept is bounded by max_rest. */
#ifndef FLOE_NET_PB_SPLIT_H
#define FLOE_NET_PB_SPLIT_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct pb_split {
  uint32_t long_field;
  size_t max_rest;
  rc (*on_long)(void *arg, const uint8_t *data, size_t len, err *e);
  void *arg;
  buf rest;      /* the other fields; owned */
  bool has_long; /* the long field was there (perhaps empty) */
  /* private */
  uint64_t left;   /* bytes of the current payload still to come */
  uint64_t varint; /* being read */
  unsigned shift;
  uint8_t state;
  bool in_long;
} pb_split;

void pb_split_init(pb_split *s, uint32_t long_field, size_t max_rest,
                   rc (*on_long)(void *, const uint8_t *, size_t, err *), void *arg);
MUST_CHECK rc pb_split_feed(pb_split *s, const uint8_t *data, size_t len, err *e);
MUST_CHECK rc pb_split_end(const pb_split *s, err *e); /* RC_INVALID: the message is cut off */
void pb_split_deinit(pb_split *s);

#endif
