/* story/flow.h: a query of several stages, as its driver sees it. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A shape is a graph of stages as planners make them: scans, joins, aggregates, one or several
 * final stages. A flow is one query's way through its shape: which stages are open, under which
 * number, and which attempt has made the rows of which task. It opens nothing itself. */
#ifndef FLOE_TESTS_FLOW_H
#define FLOE_TESTS_FLOW_H

#include <stdbool.h>
#include <stdint.h>

enum { FLOW_STAGES = 6, FLOW_TASKS = 6, FLOW_N_SHAPES = 5, FLOW_N_WRITERS = 3 };

typedef struct flow_stage {
  uint32_t n_tasks, reads; /* bit i: the rows of stage i */
  bool final;
} flow_stage;

typedef struct flow_shape {
  uint32_t n_stages;
  flow_stage stages[FLOW_STAGES];
} flow_shape;

typedef struct flow {
  const flow_shape *shape;
  uint32_t open, finished; /* bits */
  uint32_t numbers[FLOW_STAGES];
  uint32_t made[FLOW_STAGES][FLOW_TASKS]; /* 0: by nobody yet */
} flow;

/* The first is one task; the first FLOW_N_WRITERS end in one task, which may write a destination.
 */
extern const flow_shape flow_shapes[FLOW_N_SHAPES];

/* A stage that is not open and whose input is complete; FLOW_STAGES: none. */
uint32_t flow_next(const flow *f);
void flow_opened(flow *f, uint32_t stage, uint32_t number);
/* Which of the open stages has that number; FLOW_STAGES: it was given up. */
uint32_t flow_find(const flow *f, uint32_t number);
void flow_restart(flow *f); /* what was open or finished counts no more */

#endif
