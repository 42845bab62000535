/* worker/pool.h: executors and slots. SPDX-License-Identifier: Apache-2.0
 *
 * A slot is the right to run one task in one executor. Jobs wait in order; a job starts when a slot
 * is free and an executor of its runtime is idle. Executors are started when jobs need them, one of
 * each runtime stays warm, others end after five idle minutes. A slot is free again when its
 * executor is. All on the loop's thread. */
#ifndef FLOE_WORKER_POOL_H
#define FLOE_WORKER_POOL_H

#include "base/list.h"
#include "worker/executor.h"
#include "worker/executor_env.h"
#include "worker/runtime.h"

typedef struct pool pool;

typedef struct pool_config {
  uv_loop_t *loop;
  const conf *conf;
  const executor_user *user; /* copied; its strings are borrowed */
  slot_share share;
  const char *temp_dir; /* of the executors; borrowed */
  void *owner;
  void (*on_probed)(void *owner); /* once: every runtime is known or left out */
} pool_config;

typedef struct pool_job {
  /* Filled in by the caller, whose memory it is, until on_end. */
  size_t runtime;
  Executor__Run run;
  int plan_fd; /* -1: the plan is in `run` */
  void (*on_end)(struct pool_job *job, executor_result *result);
  void (*on_profile)(struct pool_job *job, const Executor__Profile *profile);
  /* for the caller to read */
  uint64_t started_ns; /* uv_hrtime(); 0: it never ran */
  /* private */
  list link;
  struct pool_member *member;
} pool_job;

/* Looks for runtimes and starts an executor of each. An error here is one that an administrator
 * must see: no runtime, or a user that may not execute it. */
MUST_CHECK rc pool_new(const pool_config *config, pool **out, err *e);
const runtime *pool_runtimes(const pool *p, size_t *n);
void pool_submit(pool *p, pool_job *job); /* on_end follows exactly once, perhaps from inside */
/* Ends a job that has not ended. A waiting one ends at once, from inside; a running one within
 * half a second, or at once when `kill`. */
void pool_cancel(pool *p, pool_job *job, bool kill);
size_t pool_running(const pool *p);
/* Of the executors: the first `room` pids; returns how many there are. */
size_t pool_pids(const pool *p, int *out, size_t room);
uint64_t pool_resident_bytes(const pool *p); /* of all executors */
/* Kills every executor; running jobs end LOST. `done` comes when all are gone, never from inside.
 */
void pool_shutdown(pool *p, void (*done)(void *), void *arg);
void pool_free(pool *p); /* after done */

#endif
