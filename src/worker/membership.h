/* worker/membership.h: this worker as the scheduler knows it. SPDX-License-Identifier: Apache-2.0
 *
 * Joins, beats as often as the scheduler asks, joins again when the scheduler does not know it any
 * more, and leaves. Tries forever, with pauses of 0.1 to 5 s. */
#ifndef FLOE_WORKER_MEMBERSHIP_H
#define FLOE_WORKER_MEMBERSHIP_H

#include "net/peer_access.h"
#include "worker/leftovers.h"
#include "worker/pool.h"

typedef struct membership membership;

typedef struct membership_config { /* borrowed */
  uv_loop_t *loop;
  const conf *conf;
  const peer_access *access;
  const pool *pool;
  leftovers *leftovers;
  slot_share share;
  const char *incarnation;
  const char *shuffle_folder;
  int task_port, shuffle_port; /* that we listen on */
  void *owner;
  void (*on_joined)(void *owner, const char *result_folder); /* "": no results are kept on disks */
  /* Nothing heard for the lease: another worker may be doing our tasks by now. */
  void (*on_lease_lost)(void *owner);
  /* The scheduler does not know this worker, nor the files that it keeps for other stages. It joins
   * again when membership_join is called. */
  void (*on_forgotten)(void *owner);
} membership_config;

membership *membership_new(const membership_config *config);
void membership_join(membership *m); /* at first, and after on_forgotten */
/* Says goodbye if it can within a second; `done` follows from the loop. */
void membership_leave(membership *m, void (*done)(void *), void *arg);
void membership_free(membership *m); /* after done; NULL is fine */

#endif
