/* net/frame.h: frames of u32 big-endian length and that many bytes, as they come.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A zeroed reader with `max` set is the start of a stream. Memory grows with what has arrived, not
 * with what a length announces. */
#ifndef FLOE_NET_FRAME_H
#define FLOE_NET_FRAME_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define FRAME_HEAD 4

typedef struct frame_reader {
  uint32_t max; /* bytes of one frame */
  buf body;     /* of the frame that is being read; owned */
  uint32_t size;
  uint8_t head[FRAME_HEAD];
  uint8_t head_len;
} frame_reader;

/* Takes bytes from the front of the input until a frame is whole (*complete; `body` holds it until
 * the next call) or the input is used up. RC_INVALID: a frame beyond `max`; the stream is lost. */
MUST_CHECK rc frame_next(frame_reader *r, const uint8_t **data, size_t *len, bool *complete,
                         err *e);
void frame_reader_deinit(frame_reader *r);
void frame_head(uint8_t out[FRAME_HEAD], uint32_t len);

#endif
