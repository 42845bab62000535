/* flight/flight.c: see flight.h. Results, their parts, PollFlightInfo. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The client drops as many endpoints of an answer as it has seen, so a list only ever grows at its
 * end, and each answer has all of it. Without a schema in the first answer it fails, with another
 * one in a part it crashes. */
#include "flight/flight.h"

#include "base/log.h"
#include "base/mem.h"
#include "flight/framing.h"
#include "flight/internal.h"

#include <client.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  LEFT_MS = 10000, /* a client that ended its calls may have others under way */
  TICKET_LEN = ID_TEXT_LEN + 12,
  DESCRIPTOR_PATH = 1,
};

typedef struct poll { /* a call that waits for more parts; owned by the call */
  list link;          /* in result.polls; not in it: it was answered */
  flight_result *result;
  grpc_call *call;
  uint32_t seen;
} poll;

/* ---- life ---- */

flight *flight_new(const flight_config *config) {
  flight *f = NEW(flight);
  f->config = *config;
  list_init(&f->reads);
  return f;
}

bool flight_is_busy(const flight *f) {
  return f->n_reading != 0;
}

flight_result *flight_open(flight *f, query_id id, int64_t ttl_ms, const flight_owner *owner) {
  flight_result *r = NEW(flight_result);
  r->flight = f;
  r->id = id;
  r->owner = *owner;
  r->ttl_ms = ttl_ms;
  list_init(&r->polls);
  list_init(&r->sendings);
  flight_note_use(r);
  map_put(&f->results, &r->id, sizeof r->id, r);
  return r;
}

static void stop_calls(flight_result *r, rc code, const char *text) {
  sending_stop_all(r, code, text);
  LIST_EACH (&r->polls, it, next) {
    poll *p = LIST_ENTRY(it, poll, link);
    list_remove(&p->link);
    p->result = NULL;
    r->n_waiting--;
    grpc_call_finish(p->call, code, text);
  }
}

static void free_result(flight_result *r) {
  for (uint32_t i = 0; i < r->n_parts; i++) free(r->parts[i].url);
  free(r->parts);
  free(r->text);
  buf_deinit(&r->schema);
  free(r);
}

void flight_close(flight_result *r) {
  map_remove(&r->flight->results, &r->id, sizeof r->id);
  stop_calls(r, RC_NOT_FOUND, "the rows of this query are no longer kept; run it again");
  free_result(r);
}

static void say_gone(flight_result *r, bool complete) {
  flight_owner owner = r->owner;
  flight_close(r);
  owner.on_gone(owner.arg, complete);
}

void flight_free(flight *f) {
  if (!f) return;
  size_t at = 0;
  for (void *r; map_each(&f->results, &at, &r);) {
    stop_calls(r, RC_UNAVAILABLE, "the server is shutting down");
    free_result(r);
  }
  map_deinit(&f->results);
  free(f);
}

/* ---- for how long ---- */

void flight_note_use(flight_result *r) {
  r->used_ms = (int64_t)uv_now(r->flight->config.loop);
  r->left = false;
}

void flight_note_left(flight_result *r) {
  flight_note_use(r);
  r->left = true;
}

void flight_wait_began(flight_result *r) {
  flight_note_use(r);
  r->n_waiting++;
}

void flight_wait_ended(flight_result *r, bool left) {
  r->n_waiting--;
  if (left)
    flight_note_left(r);
  else
    flight_note_use(r);
}

static bool is_due(const flight_result *r, int64_t now) {
  if (r->n_waiting) return false;
  bool gone = r->left && list_empty(&r->sendings) && r->ttl_ms > LEFT_MS;
  return now - r->used_ms >= (gone ? LEFT_MS : r->ttl_ms);
}

bool flight_needs_tick(const flight *f) {
  return f->results.len != 0;
}

/* Owners may do anything: one at a time. */
static flight_result *find_due(const flight *f) {
  int64_t now = (int64_t)uv_now(f->config.loop);
  size_t at = 0;
  for (void *r; map_each(&f->results, &at, &r);)
    if (is_due(r, now)) return r;
  return NULL;
}

void flight_tick(flight *f) {
  for (flight_result *r; (r = find_due(f)) != NULL;) {
    LOG_INFO("streamed result given up", "query", uuid_print(r->id.u).s, "because",
             r->left ? "its reader has gone" : "nobody read it for its time to live");
    say_gone(r, false);
  }
}

/* ---- answers ---- */

flight_result *flight_find(flight *f, grpc_call *call, const char *id) {
  query_id q;
  flight_result *r = uuid_parse(id, &q.u) ? map_get(&f->results, &q, sizeof q) : NULL;
  if (r && !f->config.may_read(f->config.arg, call, q)) return NULL;
  if (!r) {
    char text[200];
    snprintf(text, sizeof text,
             "no rows are kept for query %.36s: they were read, or nobody came for them in time",
             id);
    grpc_call_finish(call, RC_NOT_FOUND, text);
  } else if (r->code != RC_OK) {
    grpc_call_finish(call, r->code, r->text);
    r->told = true;
    r = NULL;
  }
  return r;
}

static void send_packed(grpc_call *call, const ProtobufCMessage *m) {
  buf packed = {0};
  err e = {0};
  rc r = buf_reserve(&packed, protobuf_c_message_get_packed_size(m), &e);
  if (r == RC_OK) grpc_call_send(call, packed.data, protobuf_c_message_pack(m, packed.data));
  grpc_call_finish(call, r, e.text);
  buf_deinit(&packed);
}

typedef struct endpoint {
  char text[TICKET_LEN];
  Client__Ticket ticket;
  Client__FlightEndpoint message;
} endpoint;

static void fill_endpoint(endpoint *out, const flight_result *r, uint32_t part) {
  int n = snprintf(out->text, sizeof out->text, "%s/%u", uuid_print(r->id.u).s, part);
  client__ticket__init(&out->ticket);
  client__flight_endpoint__init(&out->message);
  out->ticket.ticket = (ProtobufCBinaryData){(size_t)n, (uint8_t *)out->text};
  out->message.ticket = &out->ticket;
}

static void answer_poll(grpc_call *call, flight_result *r) {
  Client__FlightEndpoint **endpoints = mem_new((r->n_parts + 1) * sizeof *endpoints);
  endpoint *all = mem_new((r->n_parts + 1) * sizeof *all);
  for (uint32_t i = 0; i < r->n_parts; i++) {
    fill_endpoint(&all[i], r, i);
    endpoints[i] = &all[i].message;
  }
  Client__FlightInfo info;
  client__flight_info__init(&info);
  info.schema = (ProtobufCBinaryData){r->schema.len, r->schema.data};
  info.endpoint = endpoints;
  info.n_endpoint = r->n_parts;

  char query[ID_TEXT_LEN + 1], seen[12], *path[] = {query, seen};
  snprintf(query, sizeof query, "%s", uuid_print(r->id.u).s);
  snprintf(seen, sizeof seen, "%u", r->n_parts);
  Client__FlightDescriptor next;
  client__flight_descriptor__init(&next);
  next.type = DESCRIPTOR_PATH;
  next.path = path;
  next.n_path = 2;

  Client__PollInfo answer;
  client__poll_info__init(&answer);
  answer.info = &info;
  answer.flight_descriptor = r->ended ? NULL : &next;
  send_packed(call, &answer.base);
  r->told = r->told || r->ended;
  free(all);
  free(endpoints);
}

static bool has_news(const flight_result *r, uint32_t seen) {
  return r->n_parts > seen || (r->ended && r->n_parts);
}

/* Nothing can be asked any more. */
static bool is_complete(const flight_result *r) {
  return r->told && r->code == RC_OK && r->n_read == r->n_parts && list_empty(&r->sendings);
}

static void answer_waiting(flight_result *r) {
  LIST_EACH (&r->polls, it, next) {
    poll *p = LIST_ENTRY(it, poll, link);
    if (!has_news(r, p->seen)) continue;
    list_remove(&p->link);
    p->result = NULL;
    answer_poll(p->call, r);
    flight_wait_ended(r, false);
  }
}

/* ---- PollFlightInfo ---- */

static void on_poll_over(grpc_call *call, void *data) {
  (void)call;
  poll *p = data;
  if (p->result) {
    list_remove(&p->link);
    flight_wait_ended(p->result, true);
  }
  free(p);
}

static void wait_for_news(flight_result *r, grpc_call *call, uint32_t seen) {
  poll *p = NEW(poll);
  p->result = r;
  p->call = call;
  p->seen = seen;
  list_push_back(&r->polls, &p->link);
  flight_wait_began(r);
  grpc_call_set_data(call, p, on_poll_over);
}

static void poll_result(flight *f, grpc_call *call, const Client__FlightDescriptor *d) {
  if (!d || d->type != DESCRIPTOR_PATH || !d->n_path) {
    grpc_call_finish(call, RC_INVALID, "expected a descriptor whose path is the id of a query");
    return;
  }
  flight_result *r = flight_find(f, call, d->path[0]);
  if (!r) return;
  uint32_t seen = d->n_path > 1 ? (uint32_t)strtoul(d->path[1], NULL, 10) : 0;
  flight_note_use(r);
  if (!has_news(r, seen)) {
    wait_for_news(r, call, seen);
    return;
  }
  answer_poll(call, r);
  if (is_complete(r)) say_gone(r, true);
}

void flight_poll(flight *f, grpc_call *call, const uint8_t *message, size_t len) {
  Client__FlightDescriptor *d = client__flight_descriptor__unpack(NULL, len, message);
  poll_result(f, call, d);
  client__flight_descriptor__free_unpacked(d, NULL);
}

/* ---- parts ---- */

uint32_t flight_parts(const flight_result *r) {
  return r->n_parts;
}

rc flight_take_schema(flight_result *r, const uint8_t *message, size_t len, err *e) {
  if (!r->schema.len) {
    TRY(framing_check_schema(message, len, e));
    return buf_append(&r->schema, message, len, e);
  }
  if (r->schema.len == len && !memcmp(r->schema.data, message, len)) return RC_OK;
  return ERR(e, RC_DATA_LOSS,
             "two parts of the result have other columns; use .execute() and "
             "result.lazy().collect()");
}

void flight_add(flight_result *r, const char *url, uint64_t bytes) {
  result_part *more = realloc(r->parts, (r->n_parts + 1) * sizeof *more);
  if (!more) abort();
  more[r->n_parts++] = (result_part){.url = mem_strdup(url), .bytes = bytes};
  r->parts = more;
  answer_waiting(r);
}

void flight_end(flight_result *r, rc code, const char *text) {
  if (r->ended) return;
  r->ended = true;
  r->code = code;
  if (code == RC_OK) {
    answer_waiting(r);
    if (is_complete(r)) say_gone(r, true);
    return;
  }
  r->text = mem_strdup(text);
  stop_calls(r, code, text);
}

void flight_note_read(flight_result *r, uint32_t part) {
  flight *f = r->flight;
  query_id id = r->id;
  flight_note_use(r);
  if (!r->parts[part].read) {
    r->parts[part].read = true;
    r->n_read++;
    r->owner.on_part_read(r->owner.arg, part); /* may end the result */
    r = map_get(&f->results, &id, sizeof id);
  }
  if (r && is_complete(r)) say_gone(r, true);
}
