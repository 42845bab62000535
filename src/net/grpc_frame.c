/* net/grpc_frame.c: see grpc_frame.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/grpc_frame.h"

static grpc_frame_event read_head(grpc_frame *f, const uint8_t **data, size_t *len) {
  while (*len && f->head_len < GRPC_FRAME_HEAD) {
    f->head[f->head_len++] = *(*data)++;
    --*len;
  }
  if (f->head_len < GRPC_FRAME_HEAD) return GRPC_FRAME_NONE;
  f->compressed = f->head[0] != 0;
  f->size = (uint32_t)f->head[1] << 24 | (uint32_t)f->head[2] << 16 | (uint32_t)f->head[3] << 8 |
            f->head[4];
  f->left = f->size;
  f->piece = f->head; /* an empty message is an empty piece */
  f->piece_len = 0;
  return GRPC_FRAME_OPEN;
}

grpc_frame_event grpc_frame_next(grpc_frame *f, const uint8_t **data, size_t *len) {
  if (f->head_len < GRPC_FRAME_HEAD) return read_head(f, data, len);
  if (!f->left) {
    f->head_len = 0;
    return GRPC_FRAME_CLOSE;
  }
  if (!*len) return GRPC_FRAME_NONE;
  f->piece = *data;
  f->piece_len = *len < f->left ? *len : f->left;
  f->left -= (uint32_t)f->piece_len;
  *data += f->piece_len;
  *len -= f->piece_len;
  return GRPC_FRAME_BYTES;
}

bool grpc_frame_between(const grpc_frame *f) {
  return f->head_len == 0;
}

void grpc_frame_head(uint8_t out[GRPC_FRAME_HEAD], size_t message_len) {
  out[0] = 0;
  out[1] = (uint8_t)(message_len >> 24);
  out[2] = (uint8_t)(message_len >> 16);
  out[3] = (uint8_t)(message_len >> 8);
  out[4] = (uint8_t)message_len;
}
