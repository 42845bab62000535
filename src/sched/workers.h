/* sched/workers.h: the workers that have joined. SPDX-License-Identifier: Apache-2.0
 *
 * A worker is its instance_id; an incarnation is one life of its process. It is `suspect` from the
 * moment it did not answer until its next heartbeat: nothing is placed on it meanwhile, or one
 * dead worker, always the least busy, would swallow the queue. For the same reason a worker that
 * fails what it is given is `blamed`, and comes after all others, until it has done something. */
#ifndef FLOE_SCHED_WORKERS_H
#define FLOE_SCHED_WORKERS_H

#include "base/list.h"
#include "sched/sched.h"

#define WORKER_NAME_MAX 127 /* of instance_id; what is longer is cut, everywhere alike */

typedef struct sched_worker {
  char instance_id[WORKER_NAME_MAX + 1];
  char *incarnation;
  uint64_t number; /* of joining, from 1; never used again */
  uint32_t slots, busy;
  bool suspect;
  bool blamed; /* the last that it ran came to nothing, and not by the query's fault */
  int64_t last_seen_ms;
  uint64_t last_start;     /* number of the latest attempt that it was given */
  sched_runtime *runtimes; /* owned */
  size_t n_runtimes;
  list attempts;        /* that hold a slot */
  list offers, members; /* sched/placement.h */
  list preferred_by;    /* tasks; no more once this life of it is over */
  list on_seen;         /* in sched.seen: the one silent for longest first */
} sched_worker;

sched_worker *sched_workers_find(const sched *s, const char *instance_id);
sched_worker *sched_workers_add(sched *s, const char *instance_id);
/* A new life under the old name. It must have no attempts and no offers. */
void sched_workers_set_spec(sched_worker *w, const sched_worker_spec *spec);
void sched_workers_seen(sched *s, sched_worker *w);        /* it has just said something */
void sched_workers_set_suspect(sched *s, sched_worker *w); /* until it is seen again */
void sched_workers_set_blamed(sched *s, sched_worker *w, bool blamed);
void sched_workers_count_busy(sched *s, sched_worker *w, int); /* +1, -1 */
void sched_workers_remove(sched *s, sched_worker *w); /* it must have no attempts and no offers */
void sched_workers_free_all(sched *s);

#endif
