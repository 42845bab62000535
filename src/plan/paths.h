/* plan/paths.h: what a plan reads and writes. SPDX-License-Identifier: Apache-2.0
 *
 * For plans of every Polars version: like plan/envelope.h it knows map keys and not the schema, and
 * looks at all of a plan: inputs of joins and unions, branches of SinkMultiple, what no node uses.
 * It cannot see what Python does: user functions, Python scans (IO plugins, PyArrow datasets), a
 * callback that names a sink's files.
 * Pure; a path is a view into the plan, of any bytes. */
#ifndef FLOE_PLAN_PATHS_H
#define FLOE_PLAN_PATHS_H

#include "plan/envelope.h"

typedef enum plan_path_use { PLAN_PATH_READ, PLAN_PATH_WRITTEN } plan_path_use;

/* path.s NULL: something is read or written there, but the plan says where in an unknown way. */
typedef rc plan_on_path(void *arg, plan_path_use use, plan_text path, err *e);

/* The first failure of on_path ends it. `plan` was read by plan_envelope_read before. */
MUST_CHECK rc plan_each_path(const uint8_t *plan, size_t len, plan_on_path *on_path, void *arg,
                             err *e);

#endif
