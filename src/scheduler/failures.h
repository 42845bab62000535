/* scheduler/failures.h: why a query failed, as its client will raise it. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Of each worker the newest failure is kept, of the scheduler too. The client raises the first
 * worker's and shows the others as its cause; when one worker alone has failed, that would say
 * the same twice, so it is told as the scheduler's. */
#ifndef FLOE_SCHEDULER_FAILURES_H
#define FLOE_SCHEDULER_FAILURES_H

#include <stddef.h>

enum { FAILURES_MOST = 8 }; /* of the newest */

typedef struct worker_failure {
  char worker[128]; /* ""; ours */
  char *text;       /* "Type: message" */
} worker_failure;

typedef struct failures { /* the newest first; zeroed: none */
  worker_failure items[FAILURES_MOST];
  size_t n;
} failures;

/* `worker` NULL: it is none's. A type that would end the client, or is no exception at all, becomes
 * a RuntimeError. */
void failures_add(failures *f, const char *worker, const char *type, const char *message);
const char *failures_newest(const failures *f); /* NULL: none */
char *failures_json(const failures *f);         /* the caller's */
void failures_deinit(failures *f);

#endif
