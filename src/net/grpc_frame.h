/* net/grpc_frame.h: gRPC's message framing (1 byte compressed?, 4 bytes length, message) as the
 * bytes come. SPDX-License-Identifier: Apache-2.0
 *
 * Private to net/. Copies nothing and bounds nothing: who reads the events does. A zeroed
 * grpc_frame is the start of a stream. */
#ifndef FLOE_NET_GRPC_FRAME_H
#define FLOE_NET_GRPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_FRAME_HEAD 5
#define GRPC_FRAME_MOST UINT32_MAX /* bytes of one message */

typedef enum grpc_frame_event {
  GRPC_FRAME_NONE,  /* the input is used up */
  GRPC_FRAME_OPEN,  /* a message begins: size and compressed are set */
  GRPC_FRAME_BYTES, /* piece[0..piece_len) belongs to the message; never empty */
  GRPC_FRAME_CLOSE, /* the message is complete */
} grpc_frame_event;

typedef struct grpc_frame {
  uint32_t size; /* of the message that is open */
  bool compressed;
  const uint8_t *piece; /* a view into the input; still there at CLOSE */
  size_t piece_len;
  /* private */
  uint8_t head[GRPC_FRAME_HEAD];
  uint8_t head_len;
  uint32_t left;
} grpc_frame;

/* Takes the next event from the front of the input. */
grpc_frame_event grpc_frame_next(grpc_frame *f, const uint8_t **data, size_t *len);
bool grpc_frame_between(const grpc_frame *f); /* no message is half read */
void grpc_frame_head(uint8_t out[GRPC_FRAME_HEAD], size_t message_len);

#endif
