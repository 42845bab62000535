/* plan/describe.h: what Polars says of each node of a plan. SPDX-License-Identifier: Apache-2.0
 *
 * Names, dtypes, what selectors stand for, which files a scan reads: questions go out in one
 * message, and the answers are kept by node (proto/planning.proto). */
#ifndef FLOE_PLAN_DESCRIBE_H
#define FLOE_PLAN_DESCRIBE_H

#include "plan/aggregate.h"
#include "plan/dsl.h"

#include <planning.pb-c.h>

enum { DESCRIBE_MAX_BYTES = 64 << 20 }; /* of a request */

typedef struct described_node {
  const dsl_node *node;
  Planning__Node *request;               /* its questions */
  const Planning__DescribedNode *answer; /* NULL before describe_take */
  double rows;                           /* of a source: counted, or estimated from its bytes */
  uint64_t bytes;                        /* of a source's files */
  double counted;                        /* its rows, when they were seen; negative: never */
} described_node;

typedef struct described {
  described_node *nodes; /* inputs before their consumers, the root last */
  size_t n;
} described;

/* Questions about `root` and all below it. Everything in the arena. RC_EXHAUSTED: more than
 * DESCRIBE_MAX_BYTES, because of frames inside the plan. */
MUST_CHECK rc describe_request(const dsl_node *root, const uint8_t header[79], arena *a,
                               described *d, Planning__DescribeRequest *out, err *e);
/* `response` must live as long as `d`. RC_INVALID: it does not fit the request. */
MUST_CHECK rc describe_take(described *d, const Planning__DescribeResponse *response, err *e);

/* A tree as a plan of its own, in the arena. */
MUST_CHECK rc describe_write(const dsl_node *tree, const uint8_t header[79], arena *a,
                             ProtobufCBinaryData *out, err *e);
void describe_count(described *d, const dsl_node *n, double rows);
const described_node *describe_find(const described *d, const dsl_node *n);
/* The answer to the question of this kind about input `input` whose first expression is `expr`;
 * NULL: it was not asked. */
const Planning__Answer *describe_answer(const described_node *n, Planning__Question__Kind kind,
                                        uint32_t input, plan_bytes expr);
/* Views, for a message; binaries in the arena. */
ProtobufCBinaryData describe_binary(plan_bytes b);
ProtobufCBinaryData *describe_binaries(arena *a, const plan_bytes *items, size_t n);
plan_bytes describe_all_columns(void); /* the expression pl.all() */
/* The dtype of a column of the node's output; NULL: there is none of that name. */
const char *describe_dtype(const described_node *n, expr_name column);

#endif
