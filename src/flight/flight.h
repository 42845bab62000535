/* flight/flight.h: results that their client streams (collect, collect_batches).
 * SPDX-License-Identifier: Apache-2.0
 *
 * A result is a growing list of parts: files that lie at workers and are read over their 5053. The
 * client polls for the list (PollFlightInfo) and fetches the parts one by one, in its order
 * (DoGet). A part is read once. A result of which nothing is asked for its time to live is given
 * up; one whose reader has gone, which shows in a call that it ended itself, sooner.
 *
 * All on the loop's thread, but for reading files: that is done on libuv's pool. */
#ifndef FLOE_FLIGHT_FLIGHT_H
#define FLOE_FLIGHT_FLIGHT_H

#include "base/id.h"
#include "net/peer_access.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

typedef struct flight flight;
typedef struct flight_result flight_result;

typedef struct flight_config {
  uv_loop_t *loop;
  const peer_access *access; /* to the workers' 5053; borrowed */
  void *arg;
  /* May the caller have the rows of this query? False: the call has its answer. */
  bool (*may_read)(void *arg, grpc_call *call, query_id id);
  void (*on_read_ended)(void *arg); /* whenever flight_is_busy may have become false */
} flight_config;

flight *flight_new(const flight_config *config);
bool flight_is_busy(const flight *f); /* the pool works for it: it cannot be freed yet */
void flight_free(flight *f);          /* with all results; their owners hear nothing */

/* The two methods. */
void flight_poll(flight *f, grpc_call *call, const uint8_t *message, size_t len);
void flight_get(flight *f, grpc_call *call, const uint8_t *message, size_t len);

/* Gives up what nobody asks for. To be called about every second while it is needed. */
void flight_tick(flight *f);
bool flight_needs_tick(const flight *f);

/* ---- one result ---- */

typedef struct flight_owner {
  void *arg;
  /* This part has been read to its end. */
  void (*on_part_read)(void *arg, uint32_t part);
  /* The last one, then the result is gone. `complete`: all of it was read; else it was given up. */
  void (*on_gone)(void *arg, bool complete);
} flight_owner;

flight_result *flight_open(flight *f, query_id id, int64_t ttl_ms, const flight_owner *owner);
/* The first message of a part. RC_DATA_LOSS: it is no schema, or not that of the other parts. */
MUST_CHECK rc flight_take_schema(flight_result *r, const uint8_t *message, size_t len, err *e);
/* The next part in the client's order: an Arrow IPC stream whose schema was taken. */
void flight_add(flight_result *r, const char *url, uint64_t bytes);
uint32_t flight_parts(const flight_result *r);
/* No more parts come. `code` other than RC_OK: nor can those be read that there are; `text` says
 * why. */
void flight_end(flight_result *r, rc code, const char *text);
/* Somebody waits for it by other means than flight_poll; then: no more, or has left. */
void flight_wait_began(flight_result *r);
void flight_wait_ended(flight_result *r, bool left);
void flight_close(flight_result *r); /* without on_gone */

#endif
