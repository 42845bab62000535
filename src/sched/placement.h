/* sched/placement.h: which task goes to which worker. SPDX-License-Identifier: Apache-2.0
 *
 * A `need` is what a query asks of a worker: a plan header and perhaps a Python. Queries with the
 * same need share one queue, so a need without a free slot holds up nobody else; an `offer` says
 * that a worker fits a need. Among the needs that have both a waiting query and a free offer, the
 * one whose first query is first of all goes next: a slot never passes over a query that has more
 * right to it and could have used it. The order of queries is sched_query_before; of one query the
 * oldest stage goes first.
 *
 * A task goes to the worker that it prefers, if that has a free slot now; it does not wait for it
 * unless it is pinned there.
 * A task that was lost goes elsewhere: while another worker fits, it leaves a slot of the worker
 * that lost it to others (it is `parked`), but for one lease at most.
 *
 * A query waits in the queue while it has tasks that wait there and it may start one: once its
 * min_workers have been there, and while it has fewer than max_workers or one of these, its
 * `members`, has a free slot. All this costs O(log n) for a task. */
#ifndef FLOE_SCHED_PLACEMENT_H
#define FLOE_SCHED_PLACEMENT_H

#include "plan/envelope.h"
#include "sched/query.h"
#include "sched/workers.h"

typedef struct sched_need_key { /* no padding: its bytes are the key of sched.needs */
  uint8_t plan_header[PLAN_HEADER_BYTES];
  uint8_t zero;
  int32_t python_minor, python_micro; /* -1: any */
} sched_need_key;

struct sched_need {
  sched_need_key key;
  size_t n_queries; /* not yet ended */
  list offers;
  size_t n_offers;
  heap waiting;       /* queries, by sched_query_before */
  heap gathering;     /* queries whose min_workers have not been here yet */
  heap free;          /* places of offers: workers with a free slot, the best first */
  list parked;        /* tasks that wait for another worker than the one that is free */
  heap_node runnable; /* in sched.runnable, while there are waiting queries and free offers */
};

typedef struct sched_place {
  sched_worker *worker;
  heap_node free; /* in need.free or query.free, while the worker has a free slot */
} sched_place;

typedef struct sched_offer {
  sched_need *need;
  sched_place place;
  list on_need, on_worker; /* in need.offers, worker.offers */
} sched_offer;

/* A worker that runs tasks of a query which has max_workers. */
typedef struct sched_member {
  sched_query *query;
  sched_place place;
  uint32_t n_tasks;
  list on_worker; /* in worker.members: no more than it has slots */
} sched_member;

/* The need of a query, made on first use. It lives while a query uses it or a worker fits it. */
sched_need *sched_need_get(sched *s, const sched_need_key *key);
sched_need_key sched_need_key_of(const sched_query_spec *spec);
void sched_need_drop_if_idle(sched *s, sched_need *n); /* no query, no offer: it goes */
bool sched_need_fits(const sched_need_key *key, const sched_runtime *r);

void placement_init(sched *s);
void placement_query_came(sched *s, sched_query *q, sched_need *n);
void placement_query_ended(sched *s, sched_query *q); /* none of its tasks waits or runs */
void placement_hold(sched *s, sched_query *q, bool held);
bool placement_query_waits(const sched_query *q); /* whether it should be in the queue */
void placement_enqueue(sched *s, sched_task *t);
void placement_dequeue(sched *s, sched_task *t);
void placement_unpark(sched *s, sched_task *t);        /* not parked: nothing happens */
void placement_prefer(sched_task *t, sched_worker *w); /* NULL: nowhere */
void placement_task_began(sched *s, sched_task *t);    /* its current attempt */
void placement_task_over(sched *s, sched_task *t);     /* it is about to lose its current attempt */
void placement_worker_joined(sched *s, sched_worker *w);
void placement_worker_changed(sched *s, sched_worker *w); /* busy, suspect, blamed */
void placement_worker_gone(sched *s, sched_worker *w);
void placement_run(sched *s); /* start all that can start */
void placement_capacity(const sched_query *q, uint32_t *workers, uint32_t *slots);
bool sched_query_is_full(const sched_query *q);                             /* it has max_workers */
sched_member *sched_member_of(const sched_query *q, const sched_worker *w); /* NULL: none */
bool sched_worker_is_free(const sched_worker *w);
void placement_free_all(sched *s);

/* Why no worker can run it, and what to do. Returns RC_INVALID. */
rc placement_refuse(const sched *s, const sched_query_spec *spec, err *e);

#endif
