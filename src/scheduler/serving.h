/* scheduler/serving.h: results in a folder, for clients that do not see it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * They are given URLs on 3001 (store/result_url.h). The scheduler sends what lies in its own
 * folder, and relays what lies in the same folder of another machine, from the worker that wrote
 * it. A URL says all that is needed: it holds as long as the file is there, whatever is remembered
 * of the query. */
#ifndef FLOE_SCHEDULER_SERVING_H
#define FLOE_SCHEDULER_SERVING_H

#include "base/err.h"
#include "net/grpc_server.h"

struct scheduler;
struct query;

MUST_CHECK rc serving_start(struct scheduler *s, err *e); /* makes the key */
/* Where each machine keeps results on a disk of its own; NULL: they do not. */
const char *serving_workers_folder(const struct scheduler *s);
/* What this caller opens to read a part of the result; NULL: the file's path. The caller's to free.
 */
char *serving_url(const struct scheduler *s, const struct query *q, uint32_t part,
                  const grpc_call *call);

#endif
