/* worker/worker.h: the worker as a part of a `floe service` process. SPDX-License-Identifier:
 * Apache-2.0
 *
 * It runs tasks that the scheduler brings to 5052, each in an executor (a child process with
 * Python and Polars). The loop's thread touches no bulk bytes: committing and uploading results
 * happens on libuv's pool. */
#ifndef FLOE_WORKER_WORKER_H
#define FLOE_WORKER_WORKER_H

#include "base/err.h"
#include "conf/conf.h"
#include "net/peer_access.h"

#include <uv.h>

typedef struct worker worker;

/* Makes the process undumpable, listens, starts an executor of each runtime and, when they have
 * said what they are, joins the scheduler. `c` is borrowed and outlives the worker. An error here
 * is for the administrator: no runtime, an executor_user that may not run it, a port in use. */
MUST_CHECK rc worker_new(uv_loop_t *loop, const conf *c, const peer_access *access, worker **out,
                         err *e);
/* Leaves the scheduler, ends tasks and executors; `done` when nothing is left on the loop. */
void worker_shutdown(worker *w, void (*done)(void *), void *arg);
void worker_print_metrics(const worker *w, buf *out); /* for Prometheus */
void worker_free(worker *w);                          /* after done; NULL is fine */

#endif
