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

/* The four requests that name a query have the same form. */
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
  return q;
}

/* ---- GetQueryResult: a long poll ---- */

static void on_waiter_gone(grpc_call *call, void *data) {
  (void)call;
  query_waiter *w = data;
  list_remove(&w->link);
  free(w);
}

static void on_get_query_result(grpc_call *call, const uint8_t *message, size_t len) {
  scheduler *s = grpc_call_user(call);
  query *q = find_query(call, message, len);
  if (!q) return;
  if (q->times.ended_us) {
    answer_result(call, s, q);
    return;
  }
  query_waiter *w = NEW(query_waiter);
  w->call = call;
  list_push_back(&q->waiters, &w->link);
  grpc_call_set_data(call, w, on_waiter_gone);
}

/* ---- the short ones ---- */

static void on_get_query_status(grpc_call *call, const uint8_t *message, size_t len) {
  query *q = find_query(call, message, len);
  if (!q) return;
  Client__GetQueryStatusResponse response;
  client__get_query_status_response__init(&response);
  response.status = (Client__QueryStatus)(scheduler_info(grpc_call_user(call), q).state + 1);
  answer_message(call, &response.base);
}

static void on_cancel_query(grpc_call *call, const uint8_t *message, size_t len) {
  scheduler *s = grpc_call_user(call);
  query *q = find_query(call, message, len);
  if (!q) return;
  err e = {0};
  rc r = sched_cancel(s->sched, q->id, clock_mono_ms(), &e);
  if (r == RC_OK) grpc_call_send(call, NULL, 0);
  grpc_call_finish(call, r, e.text);
  scheduler_run_actions(s);
}

/* ---- DeleteQueryResult ---- */

/* A store that does not answer holds a thread of libuv's pool for minutes, and there are four:
 * plans are read there too. */
enum { MOST_DELETING = 2 };

typedef struct deletion {
  list link; /* in scheduler.deletions, while it waits */
  uv_work_t work;
  scheduler *s;
  query_id id;
  uint32_t n_parts;
  grpc_call *call; /* a reference */
  int64_t wall_us;
  rc result;
  err error;
} deletion;

static void delete_on_pool(uv_work_t *w) {
  deletion *d = w->data;
  d->result = location_result_delete(d->s->results, d->id, d->n_parts, d->wall_us,
                                     &d->s->give_up_deleting, &d->error);
}

static void start_deletions(scheduler *s);

static void after_delete(uv_work_t *w, int status) {
  (void)status;
  deletion *d = w->data;
  if (d->result != RC_OK)
    LOG_WARN("deleting a result failed", "query", uuid_print(d->id.u).s, "error", d->error.text);
  if (d->result == RC_OK) grpc_call_send(d->call, NULL, 0);
  grpc_call_finish(d->call, d->result, d->error.text);
  grpc_call_unref(d->call);
  scheduler *s = d->s;
  free(d);
  s->n_deletions--;
  s->n_deleting--;
  start_deletions(s);
  scheduler_check_done(s);
}

static void start_deletions(scheduler *s) {
  while (s->n_deleting < MOST_DELETING && !list_empty(&s->deletions)) {
    deletion *d = LIST_ENTRY(s->deletions.next, deletion, link);
    list_remove(&d->link);
    s->n_deleting++;
    uv_queue_work(s->loop, &d->work, delete_on_pool, after_delete);
  }
}

static bool may_delete(const scheduler *s, const query *q) {
  return s->results && query_is_anonymous(q) && s->conf->scheduler.anonymous_results.allow_deletes;
}

static void on_delete_query_result(grpc_call *call, const uint8_t *message, size_t len) {
  scheduler *s = grpc_call_user(call);
  query *q = find_query(call, message, len);
  if (!q) return;
  if (!q->times.ended_us) {
    grpc_call_finish(call, RC_PRECONDITION, "the query still runs; cancel it first");
    return;
  }
  if (!may_delete(s, q)) {
    grpc_call_finish(call, RC_DENIED,
                     "only anonymous results can be deleted, and only where allow_deletes is on");
    return;
  }
  q->deleted = true;
  retention_remove(s, q);
  query_clear_result(q);
  retention_add(s, q); /* its errors are kept */
  deletion *d = NEW(deletion);
  d->work.data = d;
  d->s = s;
  d->id = q->id;
  d->n_parts = q->n_parts;
  d->call = grpc_call_ref(call);
  d->wall_us = clock_wall_us();
  s->n_deletions++;
  list_push_back(&s->deletions, &d->link);
  start_deletions(s);
}

/* ---- GetComputeVersions ---- */

/* The client's own version when some worker has it, else any that is there. */
static void polars_version_for(const scheduler *s, const char *wanted, char out[24]) {
  out[0] = '\0';
  size_t at = 0;
  for (sched_worker_info w; sched_workers_each(s->sched, &at, &w);)
    for (size_t i = 0; i < w.n_runtimes; i++) {
      const char *has = w.runtimes[i].polars_version;
      if (!*out || (wanted && !strcmp(has, wanted))) snprintf(out, 24, "%s", has);
    }
}

static void on_get_compute_versions(grpc_call *call, const uint8_t *message, size_t len) {
  (void)message, (void)len;
  char polars[24], floe[] = FLOE_VERSION, revision[] = "";
  polars_version_for(grpc_call_user(call), grpc_call_header(call, "x-polars-version"), polars);
  Client__ComputeVersions versions;
  client__compute_versions__init(&versions);
  versions.compute_plane_version = floe;
  versions.polars_python_version = polars;
  versions.polars_rust_revision = revision;
  Client__GetComputeVersionsResponse response;
  client__get_compute_versions_response__init(&response);
  response.versions = &versions;
  answer_message(call, &response.base);
}

#define CLIENT_SERVICE "/polars_cloud.compute_plane.client.v1.ClientService/"

const grpc_method CLIENT_METHODS[] = {
    {.path = CLIENT_SERVICE "SubmitQuery",
     .on_open = submission_open,
     .on_bytes = submission_bytes,
     .on_end = submission_end,
     .max_message = UINT32_MAX},
    {.path = CLIENT_SERVICE "GetQueryResult", .on_request = on_get_query_result},
    {.path = CLIENT_SERVICE "GetQueryStatus", .on_request = on_get_query_status},
    {.path = CLIENT_SERVICE "CancelQuery", .on_request = on_cancel_query},
    {.path = CLIENT_SERVICE "DeleteQueryResult", .on_request = on_delete_query_result},
    {.path = CLIENT_SERVICE "GetComputeVersions", .on_request = on_get_compute_versions},
    {.path = HEALTH_CHECK_PATH, .on_request = health_always, .no_token = true},
};
const size_t N_CLIENT_METHODS = sizeof CLIENT_METHODS / sizeof *CLIENT_METHODS;
