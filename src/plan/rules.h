/* plan/rules.h: what the planner can decide, by name. SPDX-License-Identifier: Apache-2.0
 *
 * Each decision is counted where it is made (stage_graph.fired), so that one can see which of them
 * a query, or a run of tests, has come to. */
#ifndef FLOE_PLAN_RULES_H
#define FLOE_PLAN_RULES_H

/* enumerator, text */
#define PLAN_RULES(X)                                                                              \
  X(SOURCE_EVERYWHERE, "source: few rows, in every task")                                          \
  X(SOURCE_FILES, "source: files divided between tasks")                                           \
  X(SOURCE_FRAME, "source: rows of a frame divided between tasks")                                 \
  X(SOURCE_ONE, "source: on one task")                                                             \
  X(ROWS, "row-wise: where the rows are")                                                          \
  X(WINDOW, "over: rows by hash of its keys")                                                      \
  X(SELECT_HALVES, "select: aggregates in halves")                                                 \
  X(GROUP_THERE, "group by: groups are together already")                                          \
  X(GROUP_HALVES, "group by: aggregates in halves")                                                \
  X(GROUP_ROWS, "group by: rows by hash of the keys")                                              \
  X(DISTINCT_REDUCED, "distinct: reduced, then by hash")                                           \
  X(DISTINCT_ROWS, "distinct: rows by hash")                                                       \
  X(JOIN_SMALL_SIDE, "join: one side is in every task already")                                    \
  X(JOIN_THERE, "join: both sides are together already")                                           \
  X(JOIN_RIGHT, "join: the right side to every task")                                              \
  X(JOIN_LEFT, "join: the left side to every task")                                                \
  X(JOIN_LIKE_LEFT, "join: right rows go where the left ones are")                                 \
  X(JOIN_LIKE_RIGHT, "join: left rows go where the right ones are")                                \
  X(JOIN_BOTH, "join: both sides by hash of the keys")                                             \
  X(JOIN_REDUCED, "join: only rows that have a partner move")                                      \
  X(SORT_RANGES, "sort: by ranges of the keys")                                                    \
  X(SORT_EVERYWHERE, "sort: of few rows, in every task")                                           \
  X(SORT_ONE, "sort: on one task")                                                                 \
  X(TOP, "sort: the first rows of each part")                                                      \
  X(SLICE, "slice: what each part can contribute")                                                 \
  X(EXPLODE, "explode, rename, unnest, fill_nan: where the rows are")                              \
  X(UNPIVOT, "unpivot: where the rows are")                                                        \
  X(HINT, "hint: where the rows are")                                                              \
  X(MATCH, "match to schema: where the rows are")                                                  \
  X(UNION, "union: the tasks of one input after those of the other")                               \
  X(SHARED, "sub-plan: computed once for several readers")                                         \
  X(ONE_TASK, "any node: on one task")                                                             \
  X(GATHER, "exchange: to one task")                                                               \
  X(BROADCAST, "exchange: to every task")                                                          \
  X(HASH, "exchange: by hash")                                                                     \
  X(HASH_ORDERED, "exchange: by hash, in order")                                                   \
  X(RANGE, "exchange: by ranges")                                                                  \
  X(REUSED, "exchange: rows that another reader has as well")                                      \
  X(PUSHED_COLUMNS, "pushdown: columns")                                                           \
  X(PUSHED_FILTER, "pushdown: filters")                                                            \
  X(PUSHED_LIMIT, "pushdown: a limit")

typedef enum plan_rule {
#define X(rule, text) RULE_##rule,
  PLAN_RULES(X)
#undef X
      N_PLAN_RULES
} plan_rule;

const char *plan_rule_text(plan_rule rule);

#endif
