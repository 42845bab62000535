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

typedef struct attempt {
  scheduler *s;
  attempt_id id;
  query *query; /* a reference */
  step *step;   /* lives until the query ends */
  uint32_t task;
  list link; /* in query.attempts */
  char worker[128];
  grpc_request *request;
  sched_outcome outcome;  /* as the worker told it; */
  bool answered, stopped; /* … when it did; by our own STOP */
} attempt;

/* ---- the answer ---- */

static bool over(const attempt *a) {
  return a->query->times.ended_us != 0; /* nothing can change any more, and its steps are gone */
}

/* A failure of infrastructure: said now, and again if it was once too often. */
static void note_lost(attempt *a, const char *type, const char *text) {
  failures_add(&a->query->failures, a->worker, type, text);
  LOG_WARN("attempt lost", "query", uuid_print(a->query->id.u).s, "worker", a->worker, "error",
           text);
}

static sched_outcome take_output(attempt *a, const Cluster__RunTaskResponse *r) {
  err e = {0};
  if (steps_end(a->step, a->task, r, &e) == RC_OK) return SCHED_DONE;
  note_lost(a, "RuntimeError", e.text);
  return SCHED_LOST;
}

static sched_outcome take_query_failure(attempt *a, const char *type, const char *text) {
  step_kind kind = a->step->kind;
  bool plans = kind == STEP_DESCRIBE || kind == STEP_CAPTURE || kind == STEP_HEADS;
  if (!plans) {
    failures_add(&a->query->failures, a->worker, type, text);
    a->query->failed_stage = a->step->stage ? (int)a->step->stage->number : 0;
    return SCHED_QUERY_ERROR;
  }
  char *why = mem_printf("%s: %s", type, text);
  steps_fail(a->step, a->task, why);
  free(why);
  return SCHED_DONE;
}

static sched_outcome take_failure(attempt *a, const Cluster__TaskFailure *f) {
  const char *type = *f->error_type ? f->error_type : "RuntimeError";
  if (f->kind == CLUSTER__FAILURE_KIND__FAILURE_QUERY)
    return take_query_failure(a, type, f->message);
  if (f->kind == CLUSTER__FAILURE_KIND__FAILURE_CANCELED && a->stopped) return SCHED_STOPPED;
  char *text = mem_printf("worker %s: %s", a->worker, f->message);
  note_lost(a, type, text);
  free(text);
  return f->kind == CLUSTER__FAILURE_KIND__FAILURE_INPUT_LOST ? SCHED_INPUT_LOST : SCHED_LOST;
}

static sched_outcome take(attempt *a, const Cluster__RunTaskResponse *r) {
  if (a->stopped) return SCHED_STOPPED;
  if (!steps_is_current(a->step, a->task, a->id)) return SCHED_LOST; /* too late */
  if (r && r->outcome_case == CLUSTER__RUN_TASK_RESPONSE__OUTCOME_OUTPUT) return take_output(a, r);
  if (r && r->outcome_case == CLUSTER__RUN_TASK_RESPONSE__OUTCOME_FAILURE)
    return take_failure(a, r->failure);
  note_lost(a, "RuntimeError", "a worker answered with bytes that do not decode");
  return SCHED_LOST;
}

static void on_message(void *arg, const uint8_t *message, size_t len) {
  attempt *a = arg;
  Cluster__RunTaskResponse *r = cluster__run_task_response__unpack(NULL, len, message);
  a->answered = r != NULL;
  a->outcome = over(a) ? SCHED_LOST : take(a, r);
  if (!over(a)) telling_note(a->s, a->query);
  cluster__run_task_response__free_unpacked(r, NULL);
}

static void attempt_free(attempt *a) {
  map_remove(&a->s->attempts, &a->id, sizeof a->id);
  list_remove(&a->link);
  query_unref(a->query);
  free(a);
}

static void note_unreachable(attempt *a, const char *text) {
  char *message = mem_printf("worker %s was lost while it ran the query: %s", a->worker, text);
  note_lost(a, "RuntimeError", message);
  free(message);
}

/* A call of ours that was broken off: does it matter whether the worker still runs it? */
static sched_outcome outcome_of_stopped(const attempt *a) {
  bool writes = !over(a) && a->step->result && query_is_fenced(a->query);
  return writes ? SCHED_UNREACHABLE : SCHED_STOPPED;
}

static void on_done(void *arg, rc code, const char *text) {
  attempt *a = arg;
  scheduler *s = a->s;
  sched_outcome outcome = a->outcome;
  if (!a->answered) outcome = a->stopped ? outcome_of_stopped(a) : SCHED_UNREACHABLE;
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

static rc start(attempt *a, const char *worker, err *e) {
  peer *p = map_get(&a->s->peers, worker, strlen(worker));
  if (!p || !p->channel) return ERR(e, RC_UNAVAILABLE, "worker %s has no address", worker);
  steps_begin(a->step, a->task, a->id, p);
  buf head = {0};
  rc r = request_build(a->step, a->task, &head, e);
  if (r == RC_OK) {
    grpc_request_spec spec = {
        .path = "/cluster.Tasks/RunTask",
        .head = head.data,
        .head_len = head.len,
        .tail = a->step->plan,
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
  a->step = q->execution->steps[action->stage];
  a->task = action->task;
  list_push_back(&q->attempts, &a->link);
  snprintf(a->worker, sizeof a->worker, "%s", action->worker);
  telling_note(s, q);
  if (!q->times.started_us) q->times.started_us = clock_wall_us();
  map_put(&s->attempts, &a->id, sizeof a->id, a);
  err e = {0};
  if (start(a, action->worker, &e) == RC_OK) return;
  failures_add(&q->failures, NULL, "RuntimeError", e.text);
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
