/* sched/query.h: a query, its stages, their tasks and attempts. SPDX-License-Identifier: Apache-2.0
 *
 * Here live the objects and the four functions that change a state. Each looks its move up, then
 * changes the state and all that follows from it alone: counters, times, the queue (a task is in
 * it exactly while QUEUED) and the slot (an attempt holds one exactly until it is OVER). They do
 * not decide what happens next: sched.c does. A refused event changes nothing.
 *
 * task.current and attempt.task point at each other, or neither is set: an attempt without a task
 * is stale, and nothing that it still says reaches a query. */
#ifndef FLOE_SCHED_QUERY_H
#define FLOE_SCHED_QUERY_H

#include "base/list.h"
#include "sched/heap.h"
#include "sched/states.h"

typedef struct sched_attempt sched_attempt;
typedef struct sched_task sched_task;
typedef struct sched_stage sched_stage;
typedef struct sched_query sched_query;
typedef struct sched_need sched_need;     /* sched/placement.h */
typedef struct sched_worker sched_worker; /* sched/workers.h */

struct sched_attempt {
  attempt_id id;
  attempt_state state;
  sched_task *task;        /* NULL: stale */
  sched_worker *worker;    /* whose slot it holds */
  int64_t silent_since_ms; /* while SILENT */
  sched_query *blocks;     /* given up, and may still write the destination of this query */
  list on_worker;          /* in worker.attempts */
  list on_silent;          /* in sched.silent, while SILENT */
  list on_blocking;        /* in blocks.blocking */
};

struct sched_task {
  sched_stage *stage;
  uint32_t index;
  task_state state;
  sched_attempt *current; /* while RUNNING or FENCED */
  uint32_t attempts, losses, errors;
  uint64_t avoid;         /* number of the worker that lost it last; 0: it may go anywhere */
  int64_t avoid_since_ms; /* while `avoid` */
  sched_worker *prefer;   /* NULL: none */
  heap_node in_queue;     /* in query.waiting … */
  list on_parked;         /* … or in need.parked */
  list on_avoiding;       /* in sched.avoiding, while `avoid` */
  list on_prefer;         /* in prefer.preferred_by */
};

struct sched_stage {
  sched_query *query;
  uint32_t index;
  bool final, writes_destination, pinned;
  stage_state state;
  sched_task *tasks; /* owned */
  uint32_t n_tasks, n_done;
};

struct sched_query {
  query_id id;
  int32_t priority;
  uint64_t order; /* of submission */
  uint32_t n_retries, max_workers, min_workers;
  sched_query_state state;
  sched_need *need;              /* NULL once ended */
  sched_stage **stages;          /* owned, in the order of opening; NULL once ended */
  uint32_t n_stages, cap_stages; /* n_stages: also of those that were given up */
  uint32_t n_finished, n_failed, n_given_up;
  uint32_t losses; /* how often its stages were given up */
  list blocking;   /* attempts: while there are any, a stage that writes the destination WAITS */
  uint32_t attempts;
  int64_t submitted_ms, started_ms, ended_ms;
  list on_ended; /* in sched.ended, once ended */

  /* sched/placement.h */
  bool held;          /* none of its tasks may start for the first time */
  uint32_t n_running; /* tasks with an attempt */
  uint64_t turn;      /* number of the latest attempt of all when it came, or got its own latest */
  heap waiting;       /* tasks, by sched_task_before */
  heap_node in_queue, on_gathering; /* in need.waiting, need.gathering */
  uint32_t n_members;               /* only counted with max_workers */
  heap free;                        /* places of members: those with a free slot, the best first */
};

sched_query *sched_query_new(const sched_query_spec *spec); /* without a stage */
sched_stage *sched_stage_new(sched_query *q, const sched_stage_spec *spec);
void sched_query_drop_stages(sched_query *q); /* no task may have a current attempt */
void sched_query_free(sched_query *q);

bool sched_query_apply(sched *s, sched_query *q, query_event event);
bool sched_stage_apply(sched_stage *st, stage_event event);
/* `a`: START: the new attempt; FINISH, RETRY, FENCE, FAIL: who says so, refused when it is not the
 * current one; else NULL. */
bool sched_task_apply(sched *s, sched_task *t, task_event event, sched_attempt *a);
bool sched_attempt_apply(sched *s, sched_attempt *a, attempt_event event);

sched_attempt *sched_attempt_new(sched *s, sched_worker *w); /* RUNNING, on a slot of w */
void sched_attempt_free(sched *s, sched_attempt *a);         /* OVER and stale */

/* The order of the queue: priority; then who runs less; then whose turn is longest ago; then first
 * come. To come counts as a turn, so neither a large query nor a stream of new ones starves any. */
bool sched_query_before(const sched_query *a, const sched_query *b);
/* The order within a query: stage, task. */
bool sched_task_before(const sched_task *a, const sched_task *b);
/* From now on, and for a lease, the task prefers any other worker. 0: no more. */
void sched_task_avoid(sched *s, sched_task *t, uint64_t worker_number);

#endif
