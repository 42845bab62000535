/* plan/envelope.h: what must be known of a plan of any Polars version. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A client's plan is "DSL_VERSION", two u16, a schema hash and MessagePack. plan_envelope_read
 * walks the MessagePack token by token, without building anything: it proves that the bytes are
 * whole, and notes where the sink's placeholder stands, what the root sink writes and which Python
 * the pickled functions need. It knows map keys ("Sink", "target", "inner"), not the schema, so it
 * serves every version; what a version names differently is simply not found.
 * Views point into the plan. Pure: no clock, no socket, no recursion. */
#ifndef FLOE_PLAN_ENVELOPE_H
#define FLOE_PLAN_ENVELOPE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define PLAN_HEADER_BYTES 79 /* "DSL_VERSION" + major + minor + 64 hex digits */

typedef struct plan_text {
  const char *s; /* UTF-8 without NUL, not NUL-terminated */
  size_t len;
} plan_text;

typedef enum plan_sink_kind {
  PLAN_SINK_UNKNOWN,   /* no sink found, or one of a form we do not know */
  PLAN_SINK_ANONYMOUS, /* "<in-memory>": Floe chooses where the rows go */
  PLAN_SINK_FLIGHT,    /* "<flight>": streamed back by collect() */
  PLAN_SINK_FILE,      /* the user's own file */
  PLAN_SINK_PARTITIONED,
  PLAN_SINK_CALLBACK,
  PLAN_SINK_MULTIPLE
} plan_sink_kind;

/* With other bytes in these places the plan has no sink: the node below it is the root. */
typedef struct plan_sinkless {
  uint64_t offset;
  uint32_t len, with_len; /* len 0: it is not known how */
  uint8_t with[32];
} plan_sinkless;

/* A destination of the user's own. */
typedef struct plan_sink {
  plan_text path, format; /* "Parquet", "Csv", "Ipc", "NDJson"; empty: unknown */
  uint64_t offset;        /* of the path in the plan, a MessagePack string … */
  uint32_t len;           /* … with its head */
  bool folder;            /* many files below the path */
} plan_sink;
enum { PLAN_MAX_SINKS = 64 };

typedef struct plan_envelope {
  const uint8_t *header; /* PLAN_HEADER_BYTES, inside the plan */
  plan_sink_kind sink;
  plan_text format;                /* as in plan_sink; of MULTIPLE: empty */
  plan_sink sinks[PLAN_MAX_SINKS]; /* FILE, PARTITIONED, MULTIPLE */
  size_t n_sinks;                  /* 0: none that is known, or one of them is not */
  uint64_t placeholder_offset;     /* of the MessagePack string "<in-memory>" or "<flight>" … */
  uint32_t placeholder_len;        /* … with its head; 0: none. Replace it by any other string. */
  plan_sinkless sinkless;          /* FLIGHT */
  int python_minor, python_micro;  /* of the functions pickled by value; -1: there are none */
} plan_envelope;

/* RC_INVALID with a text for the user when the bytes are not a whole plan. */
MUST_CHECK rc plan_envelope_read(const uint8_t *plan, size_t len, plan_envelope *out, err *e);

#endif
