/* plan/aggregate.h: aggregates in two halves. SPDX-License-Identifier: Apache-2.0
 *
 * sum(x) of all rows is the sum of the sums of their parts. The partial half runs on each part and
 * gives columns __agg0, __agg1, …; the final half runs on those and gives what the whole would have
 * given: same names, same dtypes. What cannot be halved is said so, and nothing is guessed. */
#ifndef FLOE_PLAN_AGGREGATE_H
#define FLOE_PLAN_AGGREGATE_H

#include "plan/expr.h"

/* Expressions whose dtype must be known before: the inputs of mean, std and var. */
typedef struct aggregate_typed {
  plan_bytes expr;
  const char *dtype; /* as Polars prints it; NULL: not known */
} aggregate_typed;
/* Collects them from one aggregate expression, each once; `typed` grows in the arena. */
void aggregate_needs(arena *a, plan_bytes expr, aggregate_typed **typed, size_t *n);

typedef struct aggregate_split {
  plan_bytes *partial, *final, *having; /* final: one for each of `exprs`, in their order */
  size_t n_partial, n_final, n_having;
  bool order;     /* parts must come in the order of rows: first, last */
  uint32_t rules; /* which aggregates are in it: bit i is that of aggregate_rule_name(i) */
} aggregate_split;

/* False: at least one cannot be halved. No selectors may be left in `exprs` and `having`. `global`:
 * of a select, where a part may be empty; in a group_by each part of a group has a row. */
bool aggregate_split_all(arena *a, const plan_bytes *exprs, size_t n, const plan_bytes *having,
                         size_t n_having, const aggregate_typed *typed, size_t n_typed, bool global,
                         aggregate_split *out);

const char *aggregate_rule_name(unsigned i); /* NULL: there are no more */
void aggregate_print_reference(buf *page);   /* the table, as Markdown */

#endif
