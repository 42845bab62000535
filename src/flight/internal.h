/* flight/internal.h: what the files of this module share. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_FLIGHT_INTERNAL_H
#define FLOE_FLIGHT_INTERNAL_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "flight/flight.h"

struct flight {
  flight_config config;
  map results;        /* query_id → flight_result */
  list reads;         /* of sending: they wait for a thread */
  unsigned n_reading; /* on the pool */
  unsigned n_sending;
};

typedef struct result_part {
  char *url;
  uint64_t bytes;
  bool read;
} result_part;

struct flight_result {
  flight *flight;
  query_id id;
  flight_owner owner;
  int64_t ttl_ms;
  buf schema; /* the first message of each part; empty: not known yet */
  result_part *parts;
  uint32_t n_parts, n_read;
  bool ended, told; /* no more parts come; and the client knows */
  rc code;          /* why nothing can be read; RC_OK: it can */
  char *text;
  list polls;         /* of poll (flight.c): they wait for more */
  list sendings;      /* of sending */
  unsigned n_waiting; /* polls and others */
  bool left;          /* the last call was ended by the client, before its time */
  int64_t used_ms;    /* when something was last asked or read */
};

/* flight.c: NULL: there is none, and the call has its answer. */
flight_result *flight_find(flight *f, grpc_call *call, const char *id);
void flight_note_use(flight_result *r);
void flight_note_left(flight_result *r);
void flight_note_read(flight_result *r, uint32_t part); /* may end the result */

/* sending.c: no more of it is read. */
void sending_stop_all(flight_result *r, rc code, const char *text);

#endif
