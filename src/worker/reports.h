/* worker/reports.h: what this worker tells the observatory: of its tasks, of itself and its
 * machine. SPDX-License-Identifier: Apache-2.0
 *
 * Nobody waits for it; see net/outbox.h for what happens when it is slow or away. NULL stands for
 * no observatory: then nothing is told. */
#ifndef FLOE_WORKER_REPORTS_H
#define FLOE_WORKER_REPORTS_H

#include "net/peer_access.h"
#include "worker/pool.h"

#include <cluster.pb-c.h>
#include <profile.pb-c.h>

typedef struct reports reports;

typedef struct reports_config { /* borrowed */
  uv_loop_t *loop;
  const conf *conf;
  const peer_access *access;
  const pool *pool;
  slot_share share;
  const char *incarnation;
  const char *shuffle_folder;
} reports_config;

/* NULL: the configuration names no observatory, or wants nothing observed. */
reports *reports_new(const reports_config *config);
/* An attempt runs (`end` NULL) or has ended; `profile` NULL: nothing new of its plan. */
void reports_task(reports *r, const Cluster__RunTaskRequest *task, const Executor__Profile *profile,
                  const Profile__TaskEnd *end);
uint64_t reports_dropped(const reports *r);
void reports_close(reports *r, void (*done)(void *), void *arg); /* the memory goes, too */

#endif
