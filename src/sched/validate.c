/* sched/validate.c: every invariant of the scheduler, checked. SPDX-License-Identifier: Apache-2.0
 *
 * Reads everything, changes nothing, costs O(all). For tests, fuzzing and debug builds. */
#include "sched/sched_internal.h"

#define HOLDS(condition, text)                                                                     \
  do {                                                                                             \
    if (!(condition)) return text;                                                                 \
  } while (0)
#define TRY_CHECK(expr)                                                                            \
  do {                                                                                             \
    const char *wrong_ = (expr);                                                                   \
    if (wrong_) return wrong_;                                                                     \
  } while (0)

static size_t list_len(const list *l) {
  size_t n = 0;
  LIST_EACH (l, it, tmp) n++;
  return n;
}

static bool is_linked(const list *node) {
  return node->next && !list_empty(node);
}

/* ---- queries ------------------------------------------------------------------------------ */

static const char *check_attempt_of(const sched_task *t) {
  const sched_attempt *a = t->current;
  bool has = t->state == TASK_RUNNING || t->state == TASK_FENCED;
  HOLDS(has == (a != NULL), "a task has an attempt exactly while it is RUNNING or FENCED");
  if (!a) return NULL;
  HOLDS(a->task == t, "a task's attempt points to another task");
  HOLDS(a->state == (t->state == TASK_FENCED ? ATTEMPT_SILENT : ATTEMPT_RUNNING),
        "a RUNNING task's attempt is RUNNING, a FENCED one's is SILENT");
  return NULL;
}

static const char *check_task(const sched *s, const sched_task *t) {
  const sched_query *q = t->stage->query;
  bool queued = t->in_queue.place, parked = is_linked(&t->on_parked);
  HOLDS((t->state == TASK_QUEUED) == (queued || parked),
        "a task is in the queue exactly while it is QUEUED");
  HOLDS(!(queued && parked), "a task is in the queue twice");
  HOLDS(!parked || t->avoid || (t->stage->pinned && t->prefer),
        "a task is parked though it may go anywhere");
  HOLDS(!parked || q->need->n_offers > 1, "a task is parked though there is no elsewhere");
  HOLDS(is_linked(&t->on_prefer) == (t->prefer != NULL), "a preferred worker does not know it");
  HOLDS(!states_task.ends[t->state] || !t->prefer, "a task has ended and prefers a worker");
  HOLDS(is_linked(&t->on_avoiding) == (t->avoid != 0), "a task avoids a worker without a timer");
  HOLDS(t->state != TASK_FENCED || t->stage->writes_destination, "a task is FENCED without need");
  HOLDS(t->losses < s->config.max_losses || states_task.ends[t->state] || !t->losses,
        "a task was lost too often and goes on");
  HOLDS(t->errors <= q->n_retries || t->state == TASK_FAILED, "a task failed and goes on");
  return check_attempt_of(t);
}

static const char *check_stage(const sched *s, const sched_stage *st) {
  uint32_t n_done = 0;
  bool given_up = st->state == STAGE_CANCELED,
       blocked = st->writes_destination && !list_empty(&st->query->blocking);
  HOLDS((st->state == STAGE_WAITING) <= blocked, "a stage waits for nothing");
  for (uint32_t k = 0; k < st->n_tasks; k++) {
    TRY_CHECK(check_task(s, &st->tasks[k]));
    task_state state = st->tasks[k].state;
    HOLDS(!blocked || states_task.ends[state] || state == TASK_WAITING,
          "two may write the same destination");
    HOLDS(!states_task.ends[state] || state == TASK_DONE || (given_up && state == TASK_CANCELED),
          "a query goes on with a failed or canceled task");
    n_done += st->tasks[k].state == TASK_DONE;
  }
  HOLDS(n_done == st->n_done, "a stage miscounts its done tasks");
  HOLDS((st->state == STAGE_FINISHED) == (n_done == st->n_tasks),
        "a stage is FINISHED exactly when its tasks are");
  return NULL;
}

static const char *check_blocking(const sched_query *q) {
  LIST_EACH (&q->blocking, it, tmp) {
    const sched_attempt *a = LIST_ENTRY(it, sched_attempt, on_blocking);
    HOLDS(a->blocks == q && !a->task &&
              (a->state == ATTEMPT_STOPPING || a->state == ATTEMPT_SILENT),
          "what blocks a destination may still write, and for nobody");
  }
  return NULL;
}

static const char *check_place_in_queue(const sched_query *q) {
  size_t n_waiting = 0, n_running = 0;
  for (uint32_t i = 0; i < q->n_stages; i++)
    for (uint32_t k = 0; k < q->stages[i]->n_tasks; k++) {
      n_waiting += q->stages[i]->tasks[k].in_queue.place != 0;
      n_running += q->stages[i]->tasks[k].current != NULL;
    }
  HOLDS(n_waiting == q->waiting.len, "a query miscounts its waiting tasks");
  HOLDS(n_running == q->n_running, "a query miscounts its running tasks");
  HOLDS(heap_valid(&q->waiting) && heap_valid(&q->free), "a heap of a query is out of order");
  HOLDS(!q->on_gathering.place || !q->attempts, "a query has begun before enough workers came");
  HOLDS(!q->on_gathering.place || q->min_workers > q->need->n_offers,
        "a query waits for workers that are there");
  HOLDS(!q->max_workers || q->n_members <= q->max_workers, "a query is on too many workers");
  HOLDS(q->free.len <= q->n_members, "a query has more free members than members");
  HOLDS((q->in_queue.place != 0) == placement_query_waits(q),
        "a query is in the queue exactly when it may start a task");
  return NULL;
}

static const char *check_alive(const sched *s, const sched_query *q) {
  uint32_t n_finished = 0, n_given_up = 0;
  HOLDS(q->stages && q->need && !q->ended_ms, "a query that goes on has lost its stages");
  for (uint32_t i = 0; i < q->n_stages; i++) {
    const sched_stage *st = q->stages[i];
    TRY_CHECK(check_stage(s, st));
    n_finished += st->state == STAGE_FINISHED;
    n_given_up += st->state == STAGE_CANCELED;
  }
  HOLDS(n_finished == q->n_finished, "a query miscounts its finished stages");
  HOLDS(n_given_up == q->n_given_up, "a query miscounts the stages that were given up");
  HOLDS(q->losses < s->config.max_losses || !q->losses, "a query was given up too often");
  TRY_CHECK(check_blocking(q));
  TRY_CHECK(check_place_in_queue(q));
  HOLDS((q->state == SCHED_QUERY_QUEUED) == (q->attempts == 0),
        "a query is QUEUED exactly until its first attempt");
  return NULL;
}

static const char *check_queries(const sched *s) {
  size_t counted[QUERY_N_STATES] = {0}, n_ended = 0, at = 0;
  for (void *value; map_each(&s->queries, &at, &value);) {
    const sched_query *q = value;
    counted[q->state]++;
    n_ended += states_query.ends[q->state];
    if (states_query.ends[q->state])
      HOLDS(!q->stages && !q->need && !q->n_running && !q->n_members && is_linked(&q->on_ended),
            "an ended query holds on to work");
    else
      TRY_CHECK(check_alive(s, q));
  }
  for (size_t i = 0; i < QUERY_N_STATES; i++)
    HOLDS(counted[i] == s->n_queries[i], "queries are miscounted");
  HOLDS(n_ended == list_len(&s->ended), "an ended query is not in the list");
  HOLDS(n_ended <= s->config.max_finished, "too many ended queries are remembered");
  HOLDS(s->queries.len - n_ended <= s->config.max_queued, "too many queries were taken");
  return NULL;
}

/* ---- workers ------------------------------------------------------------------------------ */

static uint32_t count_tasks_on(const sched_worker *w, const sched_query *q) {
  uint32_t n = 0;
  LIST_EACH (&w->attempts, it, tmp) {
    const sched_task *t = LIST_ENTRY(it, sched_attempt, on_worker)->task;
    n += t && t->stage->query == q;
  }
  return n;
}

static const char *check_offers(const sched_worker *w) {
  bool is_free = sched_worker_is_free(w);
  LIST_EACH (&w->offers, it, tmp) {
    const sched_offer *o = LIST_ENTRY(it, sched_offer, on_worker);
    HOLDS(o->place.worker == w, "an offer is in the list of another worker");
    HOLDS((o->place.free.place != 0) == is_free,
          "an offer is free exactly when its worker has a free slot");
  }
  LIST_EACH (&w->members, it, tmp) {
    const sched_member *m = LIST_ENTRY(it, sched_member, on_worker);
    HOLDS(m->place.worker == w && m->query->max_workers, "a worker is a member for no reason");
    HOLDS(m->n_tasks == count_tasks_on(w, m->query) && m->n_tasks, "a member miscounts its tasks");
    HOLDS((m->place.free.place != 0) == is_free,
          "a member is free exactly when its worker has a free slot");
  }
  LIST_EACH (&w->preferred_by, it, tmp)
    HOLDS(LIST_ENTRY(it, sched_task, on_prefer)->prefer == w, "a task prefers two workers");
  return NULL;
}

static const char *check_worker(const sched *s, const sched_worker *w) {
  HOLDS(w->busy <= w->slots, "a worker runs more than it has slots");
  HOLDS(list_len(&w->attempts) == w->busy, "a worker miscounts its attempts");
  LIST_EACH (&w->attempts, it, tmp) {
    const sched_attempt *a = LIST_ENTRY(it, sched_attempt, on_worker);
    HOLDS(a->worker == w && a->state != ATTEMPT_OVER, "an attempt holds a slot that it may not");
    HOLDS(map_get(&s->attempts, &a->id, sizeof a->id) == a, "an attempt is not known by its id");
    HOLDS((a->state == ATTEMPT_SILENT) == is_linked(&a->on_silent), "a SILENT attempt has a timer");
    HOLDS(!a->task || a->task->current == a, "an attempt's task has another attempt");
    HOLDS(is_linked(&a->on_blocking) == (a->blocks != NULL), "an attempt blocks nobody");
    HOLDS(!a->task || !a->task->stage->query->max_workers ||
              sched_member_of(a->task->stage->query, w),
          "a worker runs a task and is no member");
    HOLDS(a->state != ATTEMPT_RUNNING || a->task, "an attempt runs for nobody and is not stopped");
  }
  return check_offers(w);
}

static const char *check_workers(const sched *s) {
  size_t n_attempts = 0, at = 0;
  for (void *w; map_each(&s->workers, &at, &w);) {
    TRY_CHECK(check_worker(s, w));
    n_attempts += ((sched_worker *)w)->busy;
  }
  HOLDS(n_attempts == s->attempts.len, "an attempt is known but on no worker");
  HOLDS(list_len(&s->seen) == s->workers.len, "a worker is not watched");
  return NULL;
}

/* ---- queue and timers --------------------------------------------------------------------- */

static const char *check_need(const sched_need *n) {
  HOLDS(heap_valid(&n->waiting) && heap_valid(&n->gathering) && heap_valid(&n->free),
        "a heap of a need is out of order");
  HOLDS(list_len(&n->offers) == n->n_offers, "a need miscounts its offers");
  HOLDS(n->n_queries || n->n_offers, "a need is kept for nobody");
  HOLDS((n->runnable.place != 0) == (n->waiting.len && n->free.len),
        "a need is runnable exactly when a query waits and a slot is free");
  return NULL;
}

static const char *check_order_of_time(const sched *s) {
  int64_t seen = INT64_MIN, silent = INT64_MIN, avoiding = INT64_MIN;
  LIST_EACH (&s->seen, it, tmp) {
    HOLDS(LIST_ENTRY(it, sched_worker, on_seen)->last_seen_ms >= seen, "workers are out of order");
    seen = LIST_ENTRY(it, sched_worker, on_seen)->last_seen_ms;
  }
  LIST_EACH (&s->silent, it, tmp) {
    HOLDS(LIST_ENTRY(it, sched_attempt, on_silent)->silent_since_ms >= silent,
          "silent attempts are out of order");
    silent = LIST_ENTRY(it, sched_attempt, on_silent)->silent_since_ms;
  }
  LIST_EACH (&s->avoiding, it, tmp) {
    HOLDS(LIST_ENTRY(it, sched_task, on_avoiding)->avoid_since_ms >= avoiding,
          "avoiding tasks are out of order");
    avoiding = LIST_ENTRY(it, sched_task, on_avoiding)->avoid_since_ms;
  }
  return NULL;
}

const char *sched_validate(const sched *s) {
  TRY_CHECK(check_queries(s));
  TRY_CHECK(check_workers(s));
  size_t at = 0;
  for (void *n; map_each(&s->needs, &at, &n);) TRY_CHECK(check_need(n));
  HOLDS(heap_valid(&s->runnable), "the heap of needs is out of order");
  HOLDS(!s->enough_joined || !s->runnable.len, "a slot is free and a task that fits it waits");
  return check_order_of_time(s);
}
