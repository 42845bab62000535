/* net/frame.c: see frame.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/frame.h"

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

static rc read_head(frame_reader *r, const uint8_t **data, size_t *len, err *e) {
  while (r->head_len < FRAME_HEAD && *len) {
    r->head[r->head_len++] = *(*data)++;
    --*len;
  }
  if (r->head_len < FRAME_HEAD) return RC_OK;
  r->size = (uint32_t)r->head[0] << 24 | (uint32_t)r->head[1] << 16 | (uint32_t)r->head[2] << 8 |
            r->head[3];
  if (r->size > r->max)
    return ERR(e, RC_INVALID, "expected a frame of at most %u bytes, found one of %u", r->max,
               r->size);
  return RC_OK;
}

rc frame_next(frame_reader *r, const uint8_t **data, size_t *len, bool *complete, err *e) {
  *complete = false;
  if (r->head_len < FRAME_HEAD) {
    buf_clear(&r->body); /* the frame of the call before */
    TRY(read_head(r, data, len, e));
    if (r->head_len < FRAME_HEAD) return RC_OK;
  }
  size_t n = least(*len, r->size - r->body.len);
  TRY(buf_append(&r->body, *data, n, e));
  *data += n;
  *len -= n;
  if (r->body.len == r->size) {
    *complete = true;
    r->head_len = 0;
  }
  return RC_OK;
}

void frame_reader_deinit(frame_reader *r) {
  buf_deinit(&r->body);
}

void frame_head(uint8_t out[FRAME_HEAD], uint32_t len) {
  for (int i = 0; i < FRAME_HEAD; i++) out[i] = (uint8_t)(len >> (24 - 8 * i));
}
