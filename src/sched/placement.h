/* sched/placement.h: which task goes to which worker. SPDX-License-Identifier: Apache-2.0
 *
 * A `need` is what a query asks of a worker: a plan header and perhaps a Python. Queries with the
 * same need share one queue, so a need without a free slot holds up nobody else; an `offer` says
 * that a worker fits a need. Among the needs that have both a waiting task and a free offer, the
 * one whose first task is first of all goes next: a slot never passes over an older task that
 * could have used it.
 *
 * A task that was lost goes elsewhere: while another worker fits, it leaves a slot of the worker
 * that lost it to others (it is `parked`), but for one lease at most. */
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
  heap waiting;       /* tasks, by sched_task_before */
  heap free;          /* offers of workers with a free slot, the best first */
  list parked;        /* tasks that wait for another worker than the one that is free */
  heap_node runnable; /* in sched.runnable, while there are waiting tasks and free offers */
};

typedef struct sched_offer {
  sched_need *need;
  sched_worker *worker;
  heap_node free;          /* in need.free */
  list on_need, on_worker; /* in need.offers, worker.offers */
} sched_offer;

/* The need of a query, made on first use. It lives while a query uses it or a worker fits it. */
sched_need *sched_need_get(sched *s, const sched_need_key *key);
sched_need_key sched_need_key_of(const sched_query_spec *spec);
void sched_need_drop_if_idle(sched *s, sched_need *n);
bool sched_need_fits(const sched_need_key *key, const sched_runtime *r);

void placement_init(sched *s);
void placement_enqueue(sched *s, sched_task *t);
void placement_dequeue(sched *s, sched_task *t);
void placement_unpark(sched *s, sched_task *t); /* not parked: nothing happens */
void placement_worker_joined(sched *s, sched_worker *w);
void placement_worker_changed(sched *s, sched_worker *w); /* busy or suspect */
void placement_worker_gone(sched *s, sched_worker *w);
void placement_run(sched *s); /* start all that can start */
void placement_capacity(const sched_query *q, uint32_t *workers, uint32_t *slots);
void placement_free_all(sched *s);

/* Why no worker can run it, and what to do. Returns RC_INVALID. */
rc placement_refuse(const sched *s, const sched_query_spec *spec, err *e);

#endif
