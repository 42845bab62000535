/* scheduler/dispatch.c: attempts: one RunTask call to a worker for each. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The call is the attempt. Its answer says how it ended; a call that breaks says that the worker
 * may still run it, and sched/ decides what that means. The plan is streamed from its spool. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "scheduler/internal.h"

#include <cluster.pb-c.h>
#include <stdlib.h>
#include <string.h>

enum {
  PLAN_FIELD_KEY = 17 << 3 | 2, /* RunTaskRequest.plan, length-delimited */
  HEAD_ROWS = 10,
  MAX_HEAD_BYTES = 8 * 1024 * 1024,
};

typedef struct attempt {
  scheduler *s;
  attempt_id id;
  query *query; /* a reference */
  list link;    /* in query.attempts */
  char worker[128];
  grpc_request *request;
  sched_outcome outcome;  /* as the worker told it; */
  bool answered, stopped; /* … when it did; by our own STOP */
} attempt;

/* ---- the request ---- */

static void put_varint(buf *b, uint64_t v, rc *r) {
  uint8_t bytes[10];
  size_t n = 0;
  do {
    bytes[n++] = (uint8_t)((v & 0x7F) | (v > 0x7F ? 0x80 : 0));
    v >>= 7;
  } while (v);
  if (*r == RC_OK) *r = buf_append(b, bytes, n, NULL);
}

/* Everything but the plan, then the plan's key and length: its bytes follow from the spool. */
static rc pack_request(const Cluster__RunTaskRequest *m, const spool *plan, buf *out, err *e) {
  TRY(buf_reserve(out, cluster__run_task_request__get_packed_size(m), e));
  out->len = cluster__run_task_request__pack(m, out->data);
  rc r = RC_OK;
  put_varint(out, PLAN_FIELD_KEY, &r);
  put_varint(out, spool_len(plan), &r);
  return r;
}

static void python_text(const query *q, char out[16]) {
  out[0] = '\0';
  if (q->python_minor >= 0) snprintf(out, 16, "3.%d.%d", q->python_minor, q->python_micro);
}

static void lower_case(char *s) {
  for (; *s; s++)
    if (*s >= 'A' && *s <= 'Z') *s = (char)(*s - 'A' + 'a');
}

static rc build_request(const attempt *a, const sched_action *start, buf *out, err *e) {
  query *q = a->query;
  uuid_text attempt_text = uuid_print(a->id.u), id = uuid_print(q->id.u);
  char python[16], format[16];
  python_text(q, python);
  snprintf(format, sizeof format, "%s", q->format);
  lower_case(format);

  Cluster__RunTaskRequest m;
  cluster__run_task_request__init(&m);
  m.attempt_id = attempt_text.s;
  m.query_id = id.s;
  m.stage = start->stage;
  m.task = start->task;
  m.polars_version = q->polars_version;
  m.plan_header = (ProtobufCBinaryData){PLAN_HEADER_BYTES, q->plan_header};
  m.python_version = python;
  m.engine = (Cluster__Engine)q->settings.engine;
  m.has_optimization_flags = q->settings.has_optimization_flags;
  m.optimization_flags = q->settings.optimization_flags;
  m.head_rows = query_is_anonymous(q) ? HEAD_ROWS : 0;
  m.placeholder_offset = q->placeholder_offset;
  m.placeholder_len = q->placeholder_len;

  Cluster__UserSink sink;
  Cluster__LocalOutput local;
  Cluster__UploadOutput upload;
  location_target target = {0};
  if (!query_is_anonymous(q)) {
    cluster__user_sink__init(&sink);
    sink.path = q->target;
    sink.format = format;
    m.user_sink = &sink;
  } else {
    TRY(location_result_target(a->s->results, q->id, clock_wall_us(), &target, e));
    if (target.directory) {
      cluster__local_output__init(&local);
      local.directory = target.directory;
      m.output_case = CLUSTER__RUN_TASK_REQUEST__OUTPUT_LOCAL;
      m.local = &local;
    } else {
      cluster__upload_output__init(&upload);
      upload.url = target.put_url;
      upload.location = target.location;
      m.output_case = CLUSTER__RUN_TASK_REQUEST__OUTPUT_UPLOAD;
      m.upload = &upload;
    }
  }
  rc r = pack_request(&m, q->plan, out, e);
  location_target_deinit(&target);
  return r;
}

/* ---- the answer ---- */

static rc take_anonymous_file(attempt *a, err *e) {
  buf url = {0};
  rc r = location_result_url(a->s->results, a->query->id, LOCATION_FIRST_PART, clock_wall_us(),
                             &url, e);
  if (r == RC_OK) query_add_file(a->query, buf_text(&url));
  buf_deinit(&url);
  return r;
}

static void take_head(query *q, const Cluster__TaskOutput *o) {
  if (o->head.len > MAX_HEAD_BYTES) {
    q->head_error = mem_strdup(
        "the first rows of the result are larger than 8 MiB; read them with result.lazy().head()");
  } else if (o->head.len) {
    if (buf_append(&q->head, o->head.data, o->head.len, NULL) != RC_OK)
      q->head_error = mem_strdup(
          "the scheduler had no memory for the first rows; read them with result.lazy().head()");
  } else if (*o->head_error) {
    q->head_error = mem_strdup(o->head_error);
  }
}

static sched_outcome take_output(attempt *a, const Cluster__TaskOutput *o) {
  query *q = a->query;
  query_clear_result(q); /* of an attempt that was given up and answered all the same */
  q->has_rows = o->has_rows;
  q->rows = o->rows;
  for (size_t i = 0; i < o->n_files; i++) {
    q->bytes += o->files[i]->bytes;
    if (!query_is_anonymous(q)) query_add_file(q, o->files[i]->location);
  }
  err e = {0};
  if (query_is_anonymous(q) && take_anonymous_file(a, &e) != RC_OK) {
    query_set_failure(q, "RuntimeError", e.text);
    return SCHED_QUERY_ERROR;
  }
  take_head(q, o);
  return SCHED_DONE;
}

static sched_outcome take_failure(attempt *a, const Cluster__TaskFailure *f) {
  const char *type = *f->error_type ? f->error_type : "RuntimeError";
  switch (f->kind) {
  case CLUSTER__FAILURE_KIND__FAILURE_QUERY:
    query_set_failure(a->query, type, f->message);
    return SCHED_QUERY_ERROR;
  case CLUSTER__FAILURE_KIND__FAILURE_CANCELED:
    return a->stopped ? SCHED_STOPPED : SCHED_LOST;
  default: {
    char *text = mem_printf("worker %s: %s", a->worker, f->message);
    query_set_failure(a->query, type, text);
    LOG_WARN("attempt lost", "query", uuid_print(a->query->id.u).s, "worker", a->worker, "error",
             f->message);
    free(text);
    return SCHED_LOST;
  }
  }
}

static void on_message(void *arg, const uint8_t *message, size_t len) {
  attempt *a = arg;
  Cluster__RunTaskResponse *response = cluster__run_task_response__unpack(NULL, len, message);
  a->answered = response != NULL;
  if (a->query->times.ended_us) {
    a->outcome = SCHED_LOST; /* too late to change anything */
  } else if (response && response->outcome_case == CLUSTER__RUN_TASK_RESPONSE__OUTCOME_OUTPUT) {
    a->outcome = take_output(a, response->output);
  } else if (response && response->outcome_case == CLUSTER__RUN_TASK_RESPONSE__OUTCOME_FAILURE) {
    a->outcome = take_failure(a, response->failure);
  } else {
    query_set_failure(a->query, "RuntimeError", "a worker answered with bytes that do not decode");
    a->outcome = SCHED_LOST;
  }
  cluster__run_task_response__free_unpacked(response, NULL);
}

static void attempt_free(attempt *a) {
  map_remove(&a->s->attempts, &a->id, sizeof a->id);
  list_remove(&a->link);
  query_unref(a->query);
  free(a);
}

static void note_unreachable(attempt *a, const char *text) {
  char *message = mem_printf("worker %s was lost while it ran the query: %s", a->worker, text);
  query_set_failure(a->query, "RuntimeError", message);
  LOG_WARN("attempt lost", "query", uuid_print(a->query->id.u).s, "worker", a->worker, "error",
           text);
  free(message);
}

static void on_done(void *arg, rc code, const char *text) {
  attempt *a = arg;
  scheduler *s = a->s;
  sched_outcome outcome = a->outcome;
  if (!a->answered) outcome = a->stopped ? SCHED_STOPPED : SCHED_UNREACHABLE;
  if (!a->answered && !a->stopped && !grpc_request_begun(a->request)) outcome = SCHED_NOT_BEGUN;
  /* A worker that refuses a call has not begun it. */
  if (!a->answered && (code == RC_EXHAUSTED || code == RC_INVALID || code == RC_UNAUTHENTICATED))
    outcome = SCHED_LOST;
  if (!a->answered && !a->stopped) note_unreachable(a, text);
  attempt_id id = a->id;
  attempt_free(a);
  sched_attempt_ended(s->sched, id, outcome, clock_mono_ms());
  if (s->stopping)
    scheduler_check_done(s);
  else
    scheduler_run_actions(s);
}

/* ---- start, stop ---- */

static rc start(attempt *a, const sched_action *action, err *e) {
  peer *p = map_get(&a->s->peers, action->worker, strlen(action->worker));
  if (!p || !p->channel) return ERR(e, RC_UNAVAILABLE, "worker %s has no address", action->worker);
  buf head = {0};
  rc r = build_request(a, action, &head, e);
  if (r == RC_OK) {
    grpc_request_spec spec = {
        .path = "/cluster.Tasks/RunTask",
        .head = head.data,
        .head_len = head.len,
        .tail = a->query->plan,
        .arg = a,
        .on_message = on_message,
        .on_done = on_done,
    };
    a->request = grpc_channel_call(p->channel, &spec);
  }
  buf_deinit(&head);
  return r;
}

void dispatch_start(scheduler *s, const sched_action *action) {
  query *q = map_get(&s->queries, &action->query, sizeof action->query);
  attempt *a = NEW(attempt);
  a->s = s;
  a->id = action->attempt;
  a->query = query_ref(q);
  list_push_back(&q->attempts, &a->link);
  snprintf(a->worker, sizeof a->worker, "%s", action->worker);
  if (!q->times.started_us) q->times.started_us = clock_wall_us();
  map_put(&s->attempts, &a->id, sizeof a->id, a);
  err e = {0};
  if (start(a, action, &e) == RC_OK) return;
  query_set_failure(q, "RuntimeError", e.text);
  attempt_id id = a->id;
  attempt_free(a);
  sched_attempt_ended(s->sched, id, SCHED_LOST, clock_mono_ms());
}

static void stop(attempt *a) {
  if (a->stopped) return;
  a->stopped = true;
  grpc_request_cancel(a->request);
}

void dispatch_stop(scheduler *s, attempt_id id) {
  attempt *a = map_get(&s->attempts, &id, sizeof id);
  if (a) stop(a);
}

void dispatch_stop_all(const query *q) {
  LIST_EACH (&q->attempts, it, next) stop(LIST_ENTRY(it, attempt, link));
}
