/* worker/task_service.h: what a worker answers on 5052: RunTask, DropShuffle, and health.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_WORKER_TASK_SERVICE_H
#define FLOE_WORKER_TASK_SERVICE_H

#include "worker/fetcher.h"
#include "worker/pool.h"
#include "worker/reports.h"
#include "worker/scratch.h"
#include "worker/shuffle.h"

typedef struct task_service task_service;

typedef struct task_service_config { /* borrowed for the service's life */
  uv_loop_t *loop;
  const conf *conf;
  const peer_access *access;
  pool *pool;
  const scratch *scratch;
  const shuffle *shuffle;
  fetcher *fetcher;
  reports *reports;
  unsigned slots;
} task_service_config;

/* Listens at worker.task_bind. */
MUST_CHECK rc task_service_new(const task_service_config *config, task_service **out, err *e);
int task_service_port(const task_service *s);
/* Before, RunTask answers UNAVAILABLE and health says NOT_SERVING. */
void task_service_set_ready(task_service *s);
/* Where clients' results lie that are kept on this disk: DropShuffle removes them, too. */
void task_service_set_result_folder(task_service *s, const char *folder);
/* No contact with the scheduler for the lease: whatever runs is killed and commits nothing. */
void task_service_kill_all(task_service *s, const char *why);
/* Every call ends UNAVAILABLE, every task is cancelled; `done` when none is left. */
void task_service_shutdown(task_service *s, void (*done)(void *), void *arg);
void task_service_free(task_service *s); /* after done */

#endif
