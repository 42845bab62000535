/* sched/query.c: see query.h. SPDX-License-Identifier: Apache-2.0 */
#include "sched/query.h"

#include "base/mem.h"
#include "sched/sched_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

sched_query *sched_query_new(const sched_query_spec *spec) {
  sched_query *q = NEW(sched_query);
  *q = (sched_query){.id = spec->id,
                     .priority = spec->priority,
                     .n_retries = spec->n_retries,
                     .max_workers = spec->max_workers,
                     .min_workers = spec->min_workers};
  list_init(&q->blocking);
  return q;
}

static void grow(sched_query *q) {
  uint32_t cap = q->cap_stages ? q->cap_stages * 2 : 4;
  sched_stage **stages = mem_new(cap * sizeof *stages);
  if (q->n_stages) memcpy(stages, q->stages, q->n_stages * sizeof *stages);
  free(q->stages);
  q->stages = stages;
  q->cap_stages = cap;
}

sched_stage *sched_stage_new(sched_query *q, const sched_stage_spec *spec) {
  if (q->n_stages == q->cap_stages) grow(q);
  sched_stage *st = NEW(sched_stage);
  *st = (sched_stage){.query = q,
                      .index = q->n_stages,
                      .final = spec->final,
                      .writes_destination = spec->writes_destination,
                      .pinned = spec->pinned,
                      .n_tasks = spec->n_tasks,
                      .tasks = mem_new(spec->n_tasks * sizeof *st->tasks)};
  for (uint32_t k = 0; k < st->n_tasks; k++) st->tasks[k] = (sched_task){.stage = st, .index = k};
  q->stages[q->n_stages++] = st;
  return st;
}

void sched_query_drop_stages(sched_query *q) {
  for (uint32_t i = 0; q->stages && i < q->n_stages; i++) {
    free(q->stages[i]->tasks);
    free(q->stages[i]);
  }
  free(q->stages);
  q->stages = NULL;
}

void sched_query_free(sched_query *q) {
  sched_query_drop_stages(q);
  heap_deinit(&q->waiting);
  heap_deinit(&q->free);
  free(q);
}

bool sched_query_apply(sched *s, sched_query *q, query_event event) {
  unsigned to;
  if (!states_next(&states_query, q->state, event, &to)) return false;
  s->n_queries[q->state]--;
  s->n_queries[to]++;
  q->state = to;
  if (event == QUERY_ON_START && !q->started_ms) q->started_ms = s->now_ms;
  if (states_query.ends[to]) q->ended_ms = s->now_ms;
  return true;
}

bool sched_stage_apply(sched_stage *st, stage_event event) {
  unsigned to;
  if (!states_next(&states_stage, st->state, event, &to)) return false;
  st->state = to;
  if (to == STAGE_FINISHED) st->query->n_finished++;
  if (to == STAGE_FAILED) st->query->n_failed++;
  return true;
}

static void link_attempt(sched *s, sched_task *t, sched_attempt *a) {
  t->current = a;
  a->task = t;
  t->attempts++;
  t->stage->query->attempts++;
  placement_task_began(s, t);
}

static void unlink_attempt(sched *s, sched_task *t) {
  if (!t->current) return;
  placement_task_over(s, t);
  t->current->task = NULL;
  t->current = NULL;
}

bool sched_task_apply(sched *s, sched_task *t, task_event event, sched_attempt *a) {
  unsigned to;
  if (a && event != TASK_ON_START && a != t->current) return false;
  if (!states_next(&states_task, t->state, event, &to)) return false;
  if (t->state == TASK_QUEUED) placement_dequeue(s, t);
  t->state = to;
  if (event == TASK_ON_START) {
    sched_task_avoid(s, t, 0);
    link_attempt(s, t, a);
  }
  if (to != TASK_RUNNING && to != TASK_FENCED) unlink_attempt(s, t);
  if (to == TASK_QUEUED) placement_enqueue(s, t);
  if (to == TASK_DONE) t->stage->n_done++;
  if (states_task.ends[to]) {
    sched_task_avoid(s, t, 0);
    placement_prefer(t, NULL);
  }
  return true;
}

bool sched_attempt_apply(sched *s, sched_attempt *a, attempt_event event) {
  unsigned to;
  if (!states_next(&states_attempt, a->state, event, &to)) return false;
  a->state = to;
  if (to == ATTEMPT_SILENT) {
    a->silent_since_ms = s->now_ms;
    list_push_back(&s->silent, &a->on_silent);
  }
  if (to == ATTEMPT_OVER) {
    list_remove(&a->on_silent);
    list_remove(&a->on_worker);
    sched_workers_count_busy(s, a->worker, -1);
  }
  return true;
}

sched_attempt *sched_attempt_new(sched *s, sched_worker *w) {
  sched_attempt *a = NEW(sched_attempt);
  *a = (sched_attempt){.id = s->config.new_attempt(s->config.arg), .worker = w};
  void *former = map_put(&s->attempts, &a->id, sizeof a->id, a);
  assert(!former && "new_attempt must never give the same id twice");
  (void)former;
  list_push_back(&w->attempts, &a->on_worker);
  w->last_start = ++s->n_started;
  sched_workers_count_busy(s, w, +1);
  return a;
}

void sched_attempt_free(sched *s, sched_attempt *a) {
  assert(a->state == ATTEMPT_OVER && !a->task);
  map_remove(&s->attempts, &a->id, sizeof a->id);
  free(a);
}

bool sched_query_before(const sched_query *a, const sched_query *b) {
  if (a->priority != b->priority) return a->priority > b->priority;
  if (a->n_running != b->n_running) return a->n_running < b->n_running;
  if (a->turn != b->turn) return a->turn < b->turn;
  return a->order < b->order;
}

bool sched_task_before(const sched_task *a, const sched_task *b) {
  if (a->stage->index != b->stage->index) return a->stage->index < b->stage->index;
  return a->index < b->index;
}

void sched_task_avoid(sched *s, sched_task *t, uint64_t worker_number) {
  list_remove(&t->on_avoiding);
  t->avoid = worker_number;
  if (!worker_number) return;
  t->avoid_since_ms = s->now_ms;
  list_push_back(&s->avoiding, &t->on_avoiding);
}
