/* plan/describe.h: what Polars says of each node of a plan. SPDX-License-Identifier: Apache-2.0
 *
 * Names, dtypes, what selectors stand for, which files a scan reads: questions go out in one
 * message, and the answers are kept by node (proto/planning.proto). */
#ifndef FLOE_PLAN_DESCRIBE_H
#define FLOE_PLAN_DESCRIBE_H

#include "plan/aggregate.h"
#include "plan/dsl.h"

#include <planning.pb-c.h>

typedef struct described_source {
  const Planning__Source *source; /* files, rows, schema */
  double rows;                    /* counted or estimated */
  uint64_t bytes;                 /* of its files */
} described_source;

typedef struct described_node {
  const dsl_node *node;
  const Planning__DescribedNode *answer;
  described_source source; /* of scans and frames */
  uint32_t first_question; /* used by describe.c */
} described_node;

typedef struct described {
  described_node *nodes; /* inputs before their consumers, the root last */
  size_t n;
} described;

/* Everything in the arena; the plans in it are written to `out` with the client's header. */
MUST_CHECK rc describe_request(const dsl_node *root, const uint8_t header[79], arena *a,
                               described *d, Planning__DescribeRequest *out, err *e);
/* `response` must live as long as `d`. RC_INVALID: it does not fit the request. */
MUST_CHECK rc describe_take(described *d, const Planning__DescribeResponse *response, arena *a,
                            err *e);

const described_node *describe_find(const described *d, const dsl_node *n);

#endif
