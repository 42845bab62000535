/* worker/task.h: one attempt at one task, from the first byte of its plan to its answer.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   receive (the plan goes into a spool, its splices put in)
 *   → prepare (folders, scratch file, where the inputs are; thread pool)
 *   → fetch (inputs that lie elsewhere; fetcher.h) → run (pool.h)
 *   → finish (commit or upload, or clean up; thread pool) → answer
 *
 * A cancel at any point leads to `finish`, which then only cleans up. */
#ifndef FLOE_WORKER_TASK_H
#define FLOE_WORKER_TASK_H

#include "worker/fetcher.h"
#include "worker/pool.h"
#include "worker/reports.h"
#include "worker/scratch.h"
#include "worker/shuffle.h"

#include <cluster.pb-c.h>

typedef struct task task;

typedef struct task_config { /* borrowed while the task lives */
  uv_loop_t *loop;
  pool *pool;
  const scratch *scratch;
  const shuffle *shuffle;
  fetcher *fetcher;
  reports *reports;
  void *owner;
  /* The answer, once; then the task is gone. `response` is NULL when the request was not a valid
   * one: then code and text say why. */
  void (*on_answer)(void *owner, const Cluster__RunTaskResponse *response, rc code,
                    const char *text);
} task_config;

task *task_new(const task_config *config);
/* The request as it comes. A failed receive ends the task: on_answer follows, from the loop. */
void task_receive(task *t, const uint8_t *data, size_t len);
void task_received(task *t);
/* kill: no half second of grace for the executor. */
void task_cancel(task *t, bool kill, const char *why);

#endif
