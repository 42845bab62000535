/* flight/framing.h: an Arrow IPC stream as messages of Arrow Flight. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A stream is a sequence of messages: 0xffffffff, the length of the metadata, the metadata (a
 * flatbuffer), the body; then 0xffffffff and 0. Of a flatbuffer only the kind of the message and
 * the length of the body are read, bounds checked. The first message must be the schema that the
 * client was told: another one crashes it. Bodies pass through piece by piece and are not held. */
#ifndef FLOE_FLIGHT_FRAMING_H
#define FLOE_FLIGHT_FRAMING_H

#include "base/buf.h"

#include <stdint.h>

enum { FRAMING_MOST = 4194304 /* bytes of a message that the client takes */ };

typedef struct framing_out { /* where a FlightData goes: its size, then exactly so many bytes */
  void *arg;
  void (*on_head)(void *arg, size_t len);
  void (*on_piece)(void *arg, const uint8_t *data, size_t len);
} framing_out;

typedef enum framing_state {
  FRAMING_PREFIX,
  FRAMING_METADATA,
  FRAMING_BODY,
  FRAMING_END
} framing_state;

typedef struct framing {
  const uint8_t *schema; /* borrowed: the whole first message, prefix and all */
  size_t schema_len;
  framing_out out;
  /* private; zeroed */
  framing_state state;
  bool seen_schema;
  buf held;      /* prefix and metadata of the message that comes */
  size_t wanted; /* of them, or of the body */
} framing;

/* The next bytes, however they are cut. RC_DATA_LOSS: it is no such stream. */
MUST_CHECK rc framing_feed(framing *f, const uint8_t *data, size_t len, err *e);
MUST_CHECK rc framing_end(const framing *f, err *e); /* RC_DATA_LOSS: it is cut off */
void framing_deinit(framing *f);

/* RC_DATA_LOSS: these bytes are not one schema message that may be streamed. */
MUST_CHECK rc framing_check_schema(const uint8_t *message, size_t len, err *e);

#endif
