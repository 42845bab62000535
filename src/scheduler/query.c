/* scheduler/query.c: see query.h. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/query.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/grpc_server.h"

#include <stdlib.h>
#include <string.h>

query *query_new(query_id id) {
  query *q = NEW(query);
  q->refs = 1;
  q->asked_ms = clock_mono_ms();
  q->id = id;
  q->python_minor = q->python_micro = -1;
  list_init(&q->waiters);
  list_init(&q->attempts);
  list_init(&q->changed_link);
  q->failed_stage = -1;
  return q;
}

query *query_ref(query *q) {
  q->refs++;
  return q;
}

void query_free_sinks(query_sink *sinks, size_t n) {
  for (size_t i = 0; i < n; i++) {
    free(sinks[i].path);
    free(sinks[i].format);
  }
  free(sinks);
}

static void free_texts(char **texts, size_t n) {
  for (size_t i = 0; i < n; i++) free(texts[i]);
  free(texts);
}

void query_unref(query *q) {
  if (!q || --q->refs) return;
  list_remove(&q->changed_link);
  free(q->user);
  client__query_info__free_unpacked(q->info, NULL);
  free(q->polars_version);
  free(q->format);
  query_free_sinks(q->sinks, q->n_sinks);
  query_clear_errors(q);
  failures_deinit(&q->failures);
  free(q->stages);
  free(q->workers_used);
  query_clear_result(q);
  plans_deinit(&q->plans);
  free(q);
}

static void on_waiter_gone(struct grpc_call *call, void *data) {
  (void)call;
  query_waiter *w = data;
  bool waits = !list_empty(&w->link);
  list_remove(&w->link);
  if (waits) w->query->asked_ms = clock_mono_ms();
  free(w);
}

void query_waiter_add(query *q, struct grpc_call *call) {
  query_waiter *w = NEW(query_waiter);
  w->call = call;
  w->query = q;
  list_push_back(&q->waiters, &w->link);
  grpc_call_set_data(call, w, on_waiter_gone);
}

void query_clear_result(query *q) {
  for (size_t i = 0; i < q->n_files; i++) {
    free(q->files[i].location);
    free(q->files[i].worker);
  }
  free(q->files);
  q->files = NULL;
  q->n_files = 0;
  q->bytes = q->rows = 0;
  q->has_rows = false;
  buf_deinit(&q->head);
  free(q->head_error);
  q->head_error = NULL;
}

void query_clear_errors(query *q) {
  free_texts(q->errors, q->n_errors);
  q->errors = NULL;
  q->n_errors = 0;
}

bool query_is_anonymous(const query *q) {
  return q->sink == PLAN_SINK_ANONYMOUS;
}

bool query_writes_destination(const query *q) {
  return q->sink != PLAN_SINK_ANONYMOUS && q->sink != PLAN_SINK_FLIGHT;
}

static bool is_object(const char *path) {
  return strstr(path, "://") && strncmp(path, "file://", strlen("file://")) != 0;
}

bool query_is_fenced(const query *q) {
  if (!query_writes_destination(q)) return false;
  for (size_t i = 0; i < q->n_sinks; i++)
    if (is_object(q->sinks[i].path)) return true;
  return !q->n_sinks;
}

static void push_text(char ***texts, size_t *n, char *text) {
  char **more = realloc(*texts, (*n + 1) * sizeof *more);
  if (!more) abort();
  more[(*n)++] = text;
  *texts = more;
}

void query_add_error(query *q, const failures *f) {
  push_text(&q->errors, &q->n_errors, failures_json(f));
}

void query_add_file(query *q, const char *location, const char *worker, uint64_t bytes) {
  query_file *more = realloc(q->files, (q->n_files + 1) * sizeof *more);
  if (!more) abort();
  more[q->n_files++] = (query_file){mem_strdup(location), mem_strdup(worker), bytes};
  q->files = more;
}
