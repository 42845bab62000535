/* plan/parts.h: a source in parts, one for each task of a stage. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The parts, one after the other, are the source in its order. What a part is, is said by splices
 * into the plan that all tasks share. Private to src/plan. */
#ifndef FLOE_PLAN_PARTS_H
#define FLOE_PLAN_PARTS_H

#include "plan/stages.h"

typedef struct part_rows {
  uint64_t from, len;
} part_rows;

/* The rows that a scan is limited to; all of them when it has no limit. False: its limit, or where
 * it begins to number the rows, is not understood. */
bool parts_limit(const dsl_node *scan, part_rows *limit);
/* Is it known how many rows each file has? */
bool parts_rows_known(const Planning__Source *s);
/* The pieces of the plan of a STAGE_SOURCE stage that a task's part may change. */
void parts_mark(const stage *st, stage_marks *marks);

#endif
