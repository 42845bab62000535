/* sched/sched_internal.h: what a scheduler holds. SPDX-License-Identifier: Apache-2.0
 *
 * Lists are in the order of time, so what is due next stands first. Private to src/sched and to
 * its tests. */
#ifndef FLOE_SCHED_SCHED_INTERNAL_H
#define FLOE_SCHED_SCHED_INTERNAL_H

#include "base/map.h"
#include "sched/placement.h"

#include <stdlib.h>

struct sched {
  sched_config config;
  int64_t now_ms;     /* of the latest event */
  bool enough_joined; /* min_workers have been here together, once */
  uint64_t n_submitted, n_joined, n_started;

  map queries;                      /* query_id → sched_query */
  size_t n_queries[QUERY_N_STATES]; /* in each state */
  list ended;                       /* queries, the oldest end first */

  map attempts;  /* attempt_id → attempt, until it is OVER */
  list silent;   /* attempts that are SILENT */
  list avoiding; /* tasks with `avoid` */

  map workers; /* instance_id → sched_worker */
  list seen;   /* workers */

  map needs;     /* sched_need_key → sched_need */
  heap runnable; /* needs */

  struct { /* actions not yet fetched: a ring */
    sched_action *ring;
    size_t first, len, cap;
  } actions;
};

/* For a move that what came before has made possible. Should the table refuse it all the same, the
 * scheduler's own books are wrong, and going on would give wrong answers. */
static inline void sched_must(bool moved) {
  if (!moved) abort();
}

void sched_emit(sched *s, const sched_action *action);
/* START or STOP of the current attempt of `t`. */
void sched_emit_attempt(sched *s, sched_action_kind kind, const sched_task *t);

#endif
