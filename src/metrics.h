/* metrics.h: `GET /metrics` of one `floe service`, for Prometheus. SPDX-License-Identifier:
 * Apache-2.0
 */
#ifndef FLOE_METRICS_H
#define FLOE_METRICS_H

#include "observatory/observatory.h"
#include "scheduler/scheduler.h"
#include "worker/worker.h"

typedef struct metrics metrics;

typedef struct metrics_parts { /* NULL: does not run here */
  scheduler *scheduler;
  worker *worker;
  observatory *observatory;
} metrics_parts;

/* On `monitoring.metrics.bind_addr`. *out NULL and RC_OK: it is not set. */
MUST_CHECK rc metrics_new(uv_loop_t *loop, const conf *c, metrics_parts parts, metrics **out,
                          err *e);
void metrics_close(metrics *m, void (*done)(void *), void *arg); /* the memory goes, too */

#endif
