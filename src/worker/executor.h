/* worker/executor.h: one executor: a child process with Python and one Polars, which runs one plan
 * at a time. SPDX-License-Identifier: Apache-2.0
 *
 * An executor may die of its task; that is a result, not an error. What it printed last goes into
 * the text. All on the loop's thread. */
#ifndef FLOE_WORKER_EXECUTOR_H
#define FLOE_WORKER_EXECUTOR_H

#include "base/err.h"
#include "worker/executor_state.h"

#include <executor.pb-c.h>
#include <uv.h>

typedef struct executor executor;

typedef struct executor_config { /* all borrowed until the executor is gone */
  uv_loop_t *loop;
  const char *name; /* of its runtime, for logs */
  char *const *argv, *const *env;
  bool as_user;
  uv_uid_t uid;
  uv_gid_t gid;
  uint64_t memory_bytes; /* of its slot; a task that takes more is stopped */
  void *owner;
  /* It became IDLE or is GONE. GONE is the last call; memory goes when the loop has closed the
   * handles. */
  void (*on_change)(void *owner, executor *x);
  /* How far its task is; before the task's end, which may bring another one. */
  void (*on_profile)(void *owner, const Executor__Profile *profile);
} executor_config;

typedef enum executor_end {
  EXECUTOR_END_DONE, /* `done` says how it went */
  EXECUTOR_END_CANCELED,
  EXECUTOR_END_LOST, /* the process died, `text` says of what … */
  EXECUTOR_END_OUT_OF_MEMORY,
} executor_end;

typedef struct executor_result { /* valid during the call */
  executor_end end;
  Executor__Done *done; /* NULL: it never came. To keep it, set this to NULL. */
  const char *text;
  uint64_t peak_rss_bytes;
} executor_result;

typedef void (*executor_on_end)(void *arg, executor_result *result);

MUST_CHECK rc executor_new(const executor_config *config, executor **out, err *e);
/* Only when IDLE. `run->task` is filled in; plan_fd -1: the plan is in `run`. On RC_OK on_end is
 * called exactly once, never from inside. */
MUST_CHECK rc executor_run(executor *x, Executor__Run *run, int plan_fd, executor_on_end on_end,
                           void *arg, err *e);
/* SIGINT, and SIGKILL when that did not help within half a second; on_end follows with CANCELED. */
void executor_cancel(executor *x);
void executor_kill(executor *x);

executor_state executor_state_of(const executor *x);
Executor__Hello *executor_take_hello(executor *x); /* once, when first IDLE; then NULL; caller's */
int executor_pid(const executor *x);
const char *executor_output(const executor *x); /* the last that it printed */
/* Once GONE: "exited with status 1", "was killed by signal 9 (SIGKILL)…". */
const char *executor_death(const executor *x);

#endif
