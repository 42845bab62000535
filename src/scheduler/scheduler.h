/* scheduler/scheduler.h: the scheduler as a part of a `floe service` process.
 * SPDX-License-Identifier: Apache-2.0
 *
 * It gives the pure scheduler (sched/) a body: clients on 5051, workers on 5050, a timer, calls to
 * the workers' 5052. It decides nothing about placement or retries. Everything runs on the loop's
 * thread; deleting results and reading very large plans happen on libuv's pool. */
#ifndef FLOE_SCHEDULER_SCHEDULER_H
#define FLOE_SCHEDULER_SCHEDULER_H

#include "auth/auth.h"
#include "base/err.h"
#include "conf/conf.h"
#include "net/http_server.h"
#include "net/peer_access.h"

#include <stdint.h>
#include <uv.h>

typedef struct scheduler scheduler;

/* Listens on both ports. `c` and `a` (NULL: everybody may ask) are borrowed and outlive the
 * scheduler. */
MUST_CHECK rc scheduler_new(uv_loop_t *loop, const conf *c, const peer_access *access, auth *a,
                            scheduler **out, err *e);
/* Long polls are answered UNAVAILABLE (the official client then asks again by itself), running
 * attempts are cancelled; `done` is called when nothing is left on the loop. */
void scheduler_shutdown(scheduler *s, void (*done)(void *), void *arg);
void scheduler_free(scheduler *s); /* after done */

/* For the observatory: the workers as JSON text, owned by the caller. */
char *scheduler_cluster_json(const scheduler *s);
void scheduler_print_metrics(const scheduler *s, buf *out); /* for Prometheus */
/* Queries that have changed since the last time: each as a packed profile.Report, valid during the
 * call. */
typedef void scheduler_on_report(void *arg, const char *id, const uint8_t *report, size_t len);
void scheduler_tell(scheduler *s, scheduler_on_report *take, void *arg);

/* A part of a result by its signed URL: that is the authorization, there is no other. */
void scheduler_serve_result(const scheduler *s, const http_request *request, http_reply *reply);

#endif
