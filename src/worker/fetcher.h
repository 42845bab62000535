/* worker/fetcher.h: files of other workers, brought here before a task reads them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A few threads fetch for all tasks, one file of each task in turn, so that a task with many files
 * does not hold up the others; nothing of it runs in libuv's pool. One file that cannot be had ends
 * the fetch: the task will not run. All on the loop's thread but the fetching. */
#ifndef FLOE_WORKER_FETCHER_H
#define FLOE_WORKER_FETCHER_H

#include "base/list.h"
#include "net/peer_access.h"
#include "worker/inputs.h"

#include <stdatomic.h>
#include <uv.h>

typedef struct fetcher fetcher;

typedef struct fetch { /* the caller's memory, until on_end */
  const inputs *inputs;
  const char *query;
  void (*on_end)(struct fetch *f); /* once, from the loop, never from inside */
  /* RC_NOT_FOUND: a file is gone or out of reach (error says whose, and why); RC_CANCELLED; else it
   * was this worker's own fault. */
  rc code;
  err error;
  /* private */
  list link;
  size_t next;       /* the first file that nobody has taken */
  unsigned n_taken;  /* that are being fetched */
  atomic_bool ended; /* it has failed or is cancelled: what is being fetched ends soon */
} fetch;

/* `access` to the workers that are asked is borrowed. */
MUST_CHECK rc fetcher_new(uv_loop_t *loop, const peer_access *access, const executor_user *user,
                          fetcher **out, err *e);
void fetcher_start(fetcher *f, fetch *job);
void fetcher_cancel(fetcher *f, fetch *job); /* on_end follows within about a second */
/* When no fetch is left. `done` comes from the loop; then the fetcher is gone. */
void fetcher_close(fetcher *f, void (*done)(void *), void *arg);

#endif
