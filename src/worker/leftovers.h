/* worker/leftovers.h: files for later stages whose query ended while nobody told this worker.
 * SPDX-License-Identifier: Apache-2.0
 *
 * DropShuffle is sent once, and may not arrive. So each heartbeat names the queries that have files
 * here, and its answer those of them that have ended. Folders are read and removed on libuv's pool;
 * a heartbeat does not wait for that. */
#ifndef FLOE_WORKER_LEFTOVERS_H
#define FLOE_WORKER_LEFTOVERS_H

#include "worker/shuffle.h"

#include <uv.h>

typedef struct leftovers {
  uv_loop_t *loop;
  const shuffle *shuffle;
  uv_work_t work;
  bool busy; /* then `ended` and `found` are the pool's */
  query_list ended, found;
  query_list kept; /* what lay there when it was last looked at: for the next heartbeat */
} leftovers;

/* Removes what is left of these queries and looks what there is. Does nothing while the last one is
 * under way: then the next heartbeat names them again. */
void leftovers_sweep(leftovers *l, char *const *ended, size_t n);

#endif
