/* scheduler/client_service.c: the methods of 5051, as the official client calls them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/health.h"
#include "scheduler/internal.h"

#include <client.pb-c.h>
#include <stdlib.h>
#include <string.h>

/* The requests that name a query begin with the same field. */
static bool read_query_id(grpc_call *call, const uint8_t *message, size_t len, query_id *out) {
  Client__QueryRef *ref = client__query_ref__unpack(NULL, len, message);
  bool ok = ref && ref->query_id && uuid_parse(ref->query_id->query_id, &out->u);
  client__query_ref__free_unpacked(ref, NULL);
  if (!ok) grpc_call_finish(call, RC_INVALID, "the request names no query: expected a UUID");
  return ok;
}

static void finish_unknown(grpc_call *call, query_id id) {
  char text[160];
  snprintf(text, sizeof text,
           "query %s is not known here: it never was, or it ended long ago and was forgotten",
           uuid_print(id.u).s);
  grpc_call_finish(call, RC_NOT_FOUND, text);
}

static query *find_query(grpc_call *call, const uint8_t *message, size_t len) {
  scheduler *s = grpc_call_user(call);
  query_id id;
  if (!read_query_id(call, message, len, &id)) return NULL;
  query *q = map_get(&s->queries, &id, sizeof id);
  if (!q) finish_unknown(call, id);
  if (!q || !access_may_touch(call, q)) return NULL;
  q->asked_ms = clock_mono_ms();
  return q;
}

/* ---- GetQueryResult: a long poll ---- */

static void on_get_query_result(grpc_call *call, const uint8_t *message, size_t len) {
  scheduler *s = grpc_call_user(call);
  query *q = find_query(call, message, len);
  if (!q) return;
  if (q->times.ended_us)
    answer_result(call, s, q);
  else
    query_waiter_add(q, call);
}

/* ---- the short ones ---- */

static void on_get_query_status(grpc_call *call, const uint8_t *message, size_t len) {
  query *q = find_query(call, message, len);
  if (!q) return;
  if (q->stream && stream_holds_status(q->stream))
    stream_wait_for_status(q->stream, call);
  else
    answer_status(call, grpc_call_user(call), q);
}

static void on_cancel_query(grpc_call *call, const uint8_t *message, size_t len) {
  scheduler *s = grpc_call_user(call);
  query *q = find_query(call, message, len);
  if (!q) return;
  err e = {0};
  rc r = scheduler_cancel(s, q, &e);
  if (r == RC_OK) grpc_call_send(call, NULL, 0);
  grpc_call_finish(call, r, e.text);
  scheduler_run_actions(s);
}

static void on_get_query_plans(grpc_call *call, const uint8_t *message, size_t len) {
  query *q = find_query(call, message, len);
  if (q) plans_answer(call, grpc_call_user(call), q);
}

/* ---- DeleteQueryResult ---- */

static void on_delete_query_result(grpc_call *call, const uint8_t *message, size_t len) {
  scheduler *s = grpc_call_user(call);
  query *q = find_query(call, message, len);
  if (!q) return;
  if (!q->times.ended_us) {
    grpc_call_finish(call, RC_PRECONDITION, "the query still runs; cancel it first");
    return;
  }
  if (q->sink == PLAN_SINK_FLIGHT) {
    if (q->stream) stream_delete(q->stream);
    grpc_call_send(call, NULL, 0);
    grpc_call_finish(call, RC_OK, "");
    return;
  }
  if (!deletion_may(s, q)) {
    grpc_call_finish(call, RC_DENIED,
                     "only anonymous results can be deleted, and only where allow_deletes is on");
    return;
  }
  q->deleted = true;
  retention_remove(s, q);
  query_clear_result(q);
  retention_add(s, q); /* its errors are kept */
  deletion_ask(s, q, call);
}

/* ---- GetComputeVersions ---- */

/* Of the client's own version when some worker has it, else any that is there. */
static sched_runtime runtime_for(const scheduler *s, const char *wanted) {
  sched_runtime found = {0};
  size_t at = 0;
  for (sched_worker_info w; sched_workers_each(s->sched, &at, &w);)
    for (size_t i = 0; i < w.n_runtimes; i++) {
      const sched_runtime *r = &w.runtimes[i];
      if (!*found.polars_version || (wanted && !strcmp(r->polars_version, wanted))) found = *r;
    }
  return found;
}

static void on_get_compute_versions(grpc_call *call, const uint8_t *message, size_t len) {
  (void)message, (void)len;
  char floe[] = FLOE_VERSION;
  sched_runtime r = runtime_for(grpc_call_user(call), grpc_call_header(call, "x-polars-version"));
  Client__ComputeVersions versions;
  client__compute_versions__init(&versions);
  versions.compute_plane_version = floe;
  versions.polars_python_version = r.polars_version;
  versions.polars_rust_revision = r.commit;
  Client__GetComputeVersionsResponse response;
  client__get_compute_versions_response__init(&response);
  response.versions = &versions;
  answer_message(call, &response.base);
}

/* ---- streamed results ---- */

static void on_poll_flight_info(grpc_call *call, const uint8_t *message, size_t len) {
  scheduler *s = grpc_call_user(call);
  flight_poll(s->flight, call, message, len);
}

static void on_do_get(grpc_call *call, const uint8_t *message, size_t len) {
  scheduler *s = grpc_call_user(call);
  flight_get(s->flight, call, message, len);
}

#define FLIGHT_SERVICE "/arrow.flight.protocol.FlightService/"
#define CLIENT_SERVICE "/polars_cloud.compute_plane.client.v1.ClientService/"

const grpc_method CLIENT_METHODS[] = {
    {.path = CLIENT_SERVICE "SubmitQuery",
     .on_open = submission_open,
     .on_bytes = submission_bytes,
     .on_end = submission_end,
     .max_message = UINT32_MAX},
    {.path = CLIENT_SERVICE "GetQueryResult", .on_request = on_get_query_result},
    {.path = CLIENT_SERVICE "GetQueryStatus", .on_request = on_get_query_status},
    {.path = CLIENT_SERVICE "GetQueryPlans", .on_request = on_get_query_plans},
    {.path = CLIENT_SERVICE "CancelQuery", .on_request = on_cancel_query},
    {.path = CLIENT_SERVICE "DeleteQueryResult", .on_request = on_delete_query_result},
    {.path = CLIENT_SERVICE "GetComputeVersions", .on_request = on_get_compute_versions},
    {.path = FLIGHT_SERVICE "PollFlightInfo", .on_request = on_poll_flight_info},
    {.path = FLIGHT_SERVICE "DoGet", .on_request = on_do_get},
    {.path = HEALTH_CHECK_PATH, .on_request = health_always, .no_token = true},
};
const size_t N_CLIENT_METHODS = sizeof CLIENT_METHODS / sizeof *CLIENT_METHODS;
