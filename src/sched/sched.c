/* sched/sched.c: events in, decisions, actions out. SPDX-License-Identifier: Apache-2.0
 *
 * Each public event sets the time, changes states through the *_apply functions (sched/query.h),
 * and ends with placement_run, which starts all that can start now. What becomes of a task whose
 * attempt came to nothing is decided here and nowhere else. */
#include "sched/sched.h"

#include "base/mem.h"
#include "sched/sched_internal.h"

#include <stdlib.h>
#include <string.h>

sched *sched_new(const sched_config *config) {
  sched *s = NEW(sched);
  s->config = *config;
  s->enough_joined = config->min_workers == 0;
  list_init(&s->ended);
  list_init(&s->silent);
  list_init(&s->avoiding);
  list_init(&s->seen);
  placement_init(s);
  return s;
}

void sched_free(sched *s) {
  if (!s) return;
  size_t at = 0;
  for (void *a; map_each(&s->attempts, &at, &a);) free(a);
  at = 0;
  for (void *q; map_each(&s->queries, &at, &q);) sched_query_free(q);
  map_deinit(&s->attempts);
  map_deinit(&s->queries);
  placement_free_all(s);
  sched_workers_free_all(s);
  free(s->actions.ring);
  free(s);
}

/* A clock that went backwards would spoil the order of the lists: time stands still then. */
static void set_time(sched *s, int64_t now) {
  if (now > s->now_ms) s->now_ms = now;
}

/* ---- actions ------------------------------------------------------------------------------ */

static void grow_ring(sched *s) {
  size_t cap = s->actions.cap ? s->actions.cap * 2 : 16;
  sched_action *ring = mem_new(cap * sizeof *ring);
  for (size_t i = 0; i < s->actions.len; i++)
    ring[i] = s->actions.ring[(s->actions.first + i) % s->actions.cap];
  free(s->actions.ring);
  s->actions.ring = ring;
  s->actions.first = 0;
  s->actions.cap = cap;
}

void sched_emit(sched *s, const sched_action *action) {
  if (s->actions.len == s->actions.cap) grow_ring(s);
  s->actions.ring[(s->actions.first + s->actions.len++) % s->actions.cap] = *action;
}

void sched_emit_attempt(sched *s, sched_action_kind kind, const sched_task *t) {
  sched_action action = {.kind = kind,
                         .query = t->stage->query->id,
                         .attempt = t->current->id,
                         .stage = t->stage->index,
                         .task = t->index,
                         .number = t->attempts};
  memcpy(action.worker, t->current->worker->instance_id, sizeof action.worker);
  sched_emit(s, &action);
}

bool sched_next_action(sched *s, sched_action *out) {
  if (!s->actions.len) return false;
  *out = s->actions.ring[s->actions.first];
  s->actions.first = (s->actions.first + 1) % s->actions.cap;
  s->actions.len--;
  return true;
}

/* ---- the end of a query ------------------------------------------------------------------- */

static void forget_oldest(sched *s) {
  sched_query *q = LIST_ENTRY(s->ended.next, sched_query, on_ended);
  sched_emit(s, &(sched_action){.kind = SCHED_QUERY_FORGOTTEN, .query = q->id});
  list_remove(&q->on_ended);
  s->n_queries[q->state]--;
  map_remove(&s->queries, &q->id, sizeof q->id);
  sched_query_free(q);
}

static size_t n_alive(const sched *s) {
  return s->n_queries[SCHED_QUERY_QUEUED] + s->n_queries[SCHED_QUERY_RUNNING];
}

/* It is nobody's now, but no other writer may start before it is over. */
static void block(sched_query *q, sched_attempt *a) {
  a->blocks = q;
  list_push_back(&q->blocking, &a->on_blocking);
}

/* What has ended by itself refuses CANCEL. */
static void cancel_stage(sched *s, sched_stage *st) {
  for (uint32_t k = 0; k < st->n_tasks; k++) {
    sched_task *t = &st->tasks[k];
    sched_attempt *a = t->current;
    if (a && sched_attempt_apply(s, a, ATTEMPT_ON_STOP)) sched_emit_attempt(s, SCHED_STOP, t);
    sched_task_apply(s, t, TASK_ON_CANCEL, NULL);
    if (a && a->state != ATTEMPT_OVER && st->writes_destination) block(st->query, a);
  }
  sched_stage_apply(st, STAGE_ON_CANCEL);
}

/* A FAILED stage has tasks left, those of others that have ended are done or canceled. */
static void cancel_rest(sched *s, sched_query *q) {
  for (uint32_t i = 0; i < q->n_stages; i++) {
    sched_stage *st = q->stages[i];
    if (!states_stage.ends[st->state] || st->state == STAGE_FAILED) cancel_stage(s, st);
  }
}

static void unblock(sched_attempt *a) {
  a->blocks = NULL;
  list_remove(&a->on_blocking);
}

static void end_query(sched *s, sched_query *q, query_event event, bool lost_too_often) {
  cancel_rest(s, q);
  LIST_EACH (&q->blocking, it, tmp) unblock(LIST_ENTRY(it, sched_attempt, on_blocking));
  sched_must(sched_query_apply(s, q, event));
  sched_emit(s, &(sched_action){.kind = SCHED_QUERY_ENDED,
                                .query = q->id,
                                .state = q->state,
                                .lost_too_often = lost_too_often});
  sched_query_drop_stages(q);
  placement_query_ended(s, q);
  list_push_back(&s->ended, &q->on_ended);
  while (s->queries.len - n_alive(s) > s->config.max_finished) forget_oldest(s);
}

/* ---- stages ------------------------------------------------------------------------------- */

/* Its tasks may start. */
static void open_stage(sched *s, sched_stage *st) {
  sched_must(sched_stage_apply(st, STAGE_ON_OPEN));
  for (uint32_t k = 0; k < st->n_tasks; k++)
    sched_must(sched_task_apply(s, &st->tasks[k], TASK_ON_OPEN, NULL));
}

static sched_stage *add_stage(sched *s, sched_query *q, const sched_stage_spec *spec) {
  sched_stage *st = sched_stage_new(q, spec);
  for (uint32_t k = 0; spec->prefer && k < spec->n_tasks; k++)
    if (spec->prefer[k]) placement_prefer(&st->tasks[k], sched_workers_find(s, spec->prefer[k]));
  if (!spec->writes_destination || list_empty(&q->blocking)) open_stage(s, st);
  return st;
}

/* One that was given up is over: the last one lets the next writer start. */
static void stop_blocking(sched *s, sched_attempt *a) {
  sched_query *q = a->blocks;
  if (!q) return;
  unblock(a);
  if (!list_empty(&q->blocking)) return;
  for (uint32_t i = 0; i < q->n_stages; i++)
    if (q->stages[i]->state == STAGE_WAITING) open_stage(s, q->stages[i]);
}

static bool has_open_stage(const sched_query *q) {
  return q->n_finished + q->n_given_up < q->n_stages;
}

static void finish_stage(sched *s, sched_stage *st) {
  sched_query *q = st->query;
  sched_must(sched_stage_apply(st, STAGE_ON_FINISH));
  if (!st->final)
    sched_emit(s,
               &(sched_action){.kind = SCHED_STAGE_FINISHED, .query = q->id, .stage = st->index});
  else if (!has_open_stage(q))
    end_query(s, q, QUERY_ON_FINISH, false);
}

static void give_up(sched *s, sched_query *q) {
  cancel_rest(s, q);
  q->n_given_up = q->n_stages - q->n_finished;
  sched_emit(s, &(sched_action){.kind = SCHED_STAGES_GIVEN_UP, .query = q->id});
}

/* False: once too often. */
static bool lose_rows(sched *s, sched_query *q) {
  if (++q->losses >= s->config.max_losses) {
    end_query(s, q, QUERY_ON_FAIL, true);
    return false;
  }
  give_up(s, q);
  return true;
}

/* ---- what becomes of a task --------------------------------------------------------------- */

static void finish(sched *s, sched_task *t, sched_attempt *a) {
  sched_must(sched_task_apply(s, t, TASK_ON_FINISH, a));
  if (t->stage->n_done == t->stage->n_tasks) finish_stage(s, t->stage);
}

static void fail(sched *s, sched_task *t, sched_attempt *a, bool lost_too_often) {
  sched_must(sched_task_apply(s, t, TASK_ON_FAIL, a));
  sched_must(sched_stage_apply(t->stage, STAGE_ON_FAIL));
  end_query(s, t->stage->query, QUERY_ON_FAIL, lost_too_often);
}

static void retry_elsewhere(sched *s, sched_task *t, sched_attempt *a) {
  if (!t->stage->pinned) sched_task_avoid(s, t, a->worker->number);
  sched_must(sched_task_apply(s, t, TASK_ON_RETRY, a));
}

/* Infrastructure, not the query, is to blame: the worker, or the way to it. */
static void lose(sched *s, sched_task *t, sched_attempt *a) {
  bool may_still_run = a->state == ATTEMPT_SILENT;
  sched_workers_set_blamed(s, a->worker, true);
  if (++t->losses >= s->config.max_losses)
    fail(s, t, a, true);
  else if (may_still_run && t->stage->writes_destination)
    sched_must(sched_task_apply(s, t, TASK_ON_FENCE, a));
  else
    retry_elsewhere(s, t, a);
}

static void err_in_query(sched *s, sched_task *t, sched_attempt *a) {
  if (++t->errors > t->stage->query->n_retries)
    fail(s, t, a, false);
  else
    sched_must(sched_task_apply(s, t, TASK_ON_RETRY, a));
}

/* What an attempt that is over means for its task. `no_loss`: none, or it is counted already. */
static void decide(sched *s, sched_task *t, sched_attempt *a, sched_outcome outcome, bool no_loss) {
  if (outcome == SCHED_DONE)
    finish(s, t, a);
  else if (outcome == SCHED_QUERY_ERROR)
    err_in_query(s, t, a);
  else if (outcome == SCHED_INPUT_LOST)
    lose_rows(s, t->stage->query);
  else if (no_loss)
    retry_elsewhere(s, t, a);
  else
    lose(s, t, a);
}

/* The attempt surely runs no more. */
static void settle(sched *s, sched_attempt *a, sched_outcome outcome) {
  bool no_loss = a->state == ATTEMPT_SILENT || outcome == SCHED_NOT_BEGUN;
  if (outcome == SCHED_DONE || outcome == SCHED_QUERY_ERROR)
    sched_workers_set_blamed(s, a->worker, false);
  sched_must(sched_attempt_apply(s, a, ATTEMPT_ON_END));
  stop_blocking(s, a);
  if (a->task) decide(s, a->task, a, outcome, no_loss);
  sched_attempt_free(s, a);
}

static void silence(sched *s, sched_attempt *a) {
  sched_task *t = a->task;
  if (!sched_attempt_apply(s, a, ATTEMPT_ON_SILENCE)) return; /* known already */
  sched_workers_set_suspect(s, a->worker);
  if (t) lose(s, t, a);
}

/* ---- events: queries ---------------------------------------------------------------------- */

static sched_query *find_query(const sched *s, query_id id) {
  return map_get(&s->queries, &id, sizeof id);
}

/* What can be refused without making the query. */
static rc admit(const sched *s, const sched_query_spec *spec, err *e) {
  if (find_query(s, spec->id))
    return ERR(e, RC_EXISTS, "query %s was submitted before", uuid_print(spec->id.u).s);
  if (n_alive(s) >= s->config.max_queued)
    return ERR(e, RC_EXHAUSTED,
               "%zu queries wait or run, and no more than %zu may; submit it again when some of "
               "them have ended",
               n_alive(s), s->config.max_queued);
  return RC_OK;
}

static rc check_stage_spec(const sched_stage_spec *spec, err *e) {
  if (spec->n_tasks) return RC_OK;
  return ERR(e, RC_INVALID, "expected a stage of at least one task, found none");
}

static void add_query(sched *s, sched_query *q, sched_need *n) {
  q->order = ++s->n_submitted;
  q->submitted_ms = s->now_ms;
  s->n_queries[q->state]++;
  map_put(&s->queries, &q->id, sizeof q->id, q);
  placement_query_came(s, q, n);
}

rc sched_submit(sched *s, const sched_query_spec *spec, const sched_stage_spec *first, int64_t now,
                err *e) {
  set_time(s, now);
  TRY(check_stage_spec(first, e));
  TRY(admit(s, spec, e));
  sched_need_key key = sched_need_key_of(spec);
  sched_need *n = sched_need_get(s, &key);
  if (s->workers.len && !n->n_offers) {
    sched_need_drop_if_idle(s, n);
    return placement_refuse(s, spec, e);
  }
  sched_query *q = sched_query_new(spec);
  add_query(s, q, n);
  add_stage(s, q, first);
  placement_run(s);
  return RC_OK;
}

static rc find_alive_query(const sched *s, query_id id, sched_query **out, err *e) {
  *out = find_query(s, id);
  if (*out && !states_query.ends[(*out)->state]) return RC_OK;
  return ERR(e, RC_NOT_FOUND, "query %s has ended, or is not known here", uuid_print(id.u).s);
}

rc sched_open_stage(sched *s, query_id id, const sched_stage_spec *spec, int64_t now,
                    uint32_t *stage, err *e) {
  set_time(s, now);
  sched_query *q;
  TRY(check_stage_spec(spec, e));
  TRY(find_alive_query(s, id, &q, e));
  *stage = add_stage(s, q, spec)->index;
  placement_run(s);
  return RC_OK;
}

rc sched_give_up_stages(sched *s, query_id id, bool lost, int64_t now, err *e) {
  set_time(s, now);
  sched_query *q;
  TRY(find_alive_query(s, id, &q, e));
  bool goes_on = !lost || lose_rows(s, q);
  if (!lost) give_up(s, q);
  placement_run(s);
  if (goes_on) return RC_OK;
  return ERR(e, RC_EXHAUSTED, "query %s lost the rows between its stages too often",
             uuid_print(id.u).s);
}

rc sched_end_query(sched *s, query_id id, sched_query_state end, int64_t now, err *e) {
  set_time(s, now);
  sched_query *q;
  TRY(find_alive_query(s, id, &q, e));
  bool good = end == SCHED_QUERY_SUCCEEDED;
  if (good && (has_open_stage(q) || q->state == SCHED_QUERY_QUEUED))
    return ERR(e, RC_PRECONDITION, "query %s cannot succeed yet: %s", uuid_print(id.u).s,
               has_open_stage(q) ? "a stage is open" : "nothing of it has run");
  end_query(s, q, good ? QUERY_ON_FINISH : QUERY_ON_FAIL, false);
  placement_run(s);
  return RC_OK;
}

rc sched_hold_query(sched *s, query_id id, bool held, int64_t now, err *e) {
  set_time(s, now);
  sched_query *q;
  TRY(find_alive_query(s, id, &q, e));
  placement_hold(s, q, held);
  placement_run(s);
  return RC_OK;
}

rc sched_cancel(sched *s, query_id id, int64_t now, err *e) {
  set_time(s, now);
  sched_query *q = find_query(s, id);
  if (!q)
    return ERR(e, RC_NOT_FOUND, "query %s is not known here: it never was, or it is forgotten",
               uuid_print(id.u).s);
  if (!states_query.ends[q->state]) end_query(s, q, QUERY_ON_CANCEL, false);
  placement_run(s);
  return RC_OK;
}

/* ---- events: workers ---------------------------------------------------------------------- */

/* Each turn takes an attempt off the worker, so it ends. */
static void lose_all(sched *s, sched_worker *w) {
  placement_worker_gone(s, w);
  while (!list_empty(&w->attempts))
    settle(s, LIST_ENTRY(w->attempts.next, sched_attempt, on_worker), SCHED_LOST);
}

static void drop_worker(sched *s, sched_worker *w) {
  lose_all(s, w);
  sched_workers_remove(s, w);
}

void sched_worker_join(sched *s, const sched_worker_spec *spec, int64_t now) {
  set_time(s, now);
  sched_worker *w = sched_workers_find(s, spec->instance_id);
  bool same_life = w && !strcmp(w->incarnation, spec->incarnation);
  if (w && !same_life) lose_all(s, w);
  if (!w) w = sched_workers_add(s, spec->instance_id);
  if (!same_life) {
    sched_workers_set_spec(w, spec);
    placement_worker_joined(s, w);
  }
  sched_workers_seen(s, w);
  placement_run(s);
}

/* NULL: not known, or of another life. */
static sched_worker *find_alive(const sched *s, const char *instance_id, const char *incarnation) {
  sched_worker *w = sched_workers_find(s, instance_id);
  return w && !strcmp(w->incarnation, incarnation) ? w : NULL;
}

bool sched_worker_heartbeat(sched *s, const char *instance_id, const char *incarnation,
                            int64_t now) {
  set_time(s, now);
  sched_worker *w = find_alive(s, instance_id, incarnation);
  if (!w) return false;
  sched_workers_seen(s, w);
  placement_run(s);
  return true;
}

void sched_worker_leave(sched *s, const char *instance_id, const char *incarnation, int64_t now) {
  set_time(s, now);
  sched_worker *w = find_alive(s, instance_id, incarnation);
  if (w) drop_worker(s, w);
  placement_run(s);
}

/* ---- events: attempts and time ------------------------------------------------------------ */

void sched_attempt_ended(sched *s, attempt_id id, sched_outcome outcome, int64_t now) {
  set_time(s, now);
  sched_attempt *a = map_get(&s->attempts, &id, sizeof id);
  if (a && outcome == SCHED_NOT_BEGUN) sched_workers_set_suspect(s, a->worker);
  if (a && outcome == SCHED_UNREACHABLE)
    silence(s, a);
  else if (a)
    settle(s, a, outcome);
  placement_run(s);
}

/* The first of each list in the order of time; NULL: it is empty. */
static sched_worker *longest_unseen(const sched *s) {
  return list_empty(&s->seen) ? NULL : LIST_ENTRY(s->seen.next, sched_worker, on_seen);
}
static sched_attempt *longest_silent(const sched *s) {
  return list_empty(&s->silent) ? NULL : LIST_ENTRY(s->silent.next, sched_attempt, on_silent);
}
static sched_task *longest_avoiding(const sched *s) {
  return list_empty(&s->avoiding) ? NULL : LIST_ENTRY(s->avoiding.next, sched_task, on_avoiding);
}

static bool lease_over(const sched *s, int64_t since_ms) {
  return s->now_ms - since_ms >= s->config.lease_ms;
}

/* Each turn takes one off its list. */
void sched_tick(sched *s, int64_t now) {
  set_time(s, now);
  for (sched_worker *w; (w = longest_unseen(s)) && lease_over(s, w->last_seen_ms);)
    drop_worker(s, w);
  for (sched_attempt *a; (a = longest_silent(s)) && lease_over(s, a->silent_since_ms);)
    settle(s, a, SCHED_LOST);
  for (sched_task *t; (t = longest_avoiding(s)) && lease_over(s, t->avoid_since_ms);) {
    sched_task_avoid(s, t, 0);
    placement_unpark(s, t);
  }
  placement_run(s);
}

int64_t sched_next_tick(const sched *s) {
  int64_t since = INT64_MAX;
  const sched_worker *w = longest_unseen(s);
  const sched_attempt *a = longest_silent(s);
  const sched_task *t = longest_avoiding(s);
  if (w && w->last_seen_ms < since) since = w->last_seen_ms;
  if (a && a->silent_since_ms < since) since = a->silent_since_ms;
  if (t && t->avoid_since_ms < since) since = t->avoid_since_ms;
  return since == INT64_MAX ? since : since + s->config.lease_ms;
}

/* ---- questions ---------------------------------------------------------------------------- */

bool sched_query_info_get(const sched *s, query_id id, sched_query_info *out) {
  const sched_query *q = find_query(s, id);
  if (!q) return false;
  *out = (sched_query_info){.state = q->state,
                            .total_stages = q->n_stages - q->n_given_up,
                            .finished_stages = q->n_finished,
                            .failed_stages = q->n_failed,
                            .submitted_ms = q->submitted_ms,
                            .started_ms = q->started_ms,
                            .ended_ms = q->ended_ms,
                            .attempts = q->attempts};
  return true;
}

void sched_capacity(const sched *s, query_id id, uint32_t *workers, uint32_t *slots) {
  *workers = *slots = 0;
  const sched_query *q = find_query(s, id);
  if (q && q->need) placement_capacity(q, workers, slots);
}

bool sched_workers_each(const sched *s, size_t *at, sched_worker_info *out) {
  void *value;
  if (!map_each(&s->workers, at, &value)) return false;
  const sched_worker *w = value;
  *out = (sched_worker_info){.slots = w->slots,
                             .busy = w->busy,
                             .last_seen_ms = w->last_seen_ms,
                             .runtimes = w->runtimes,
                             .n_runtimes = w->n_runtimes};
  memcpy(out->instance_id, w->instance_id, sizeof out->instance_id);
  return true;
}

size_t sched_worker_count(const sched *s) {
  return s->workers.len;
}
