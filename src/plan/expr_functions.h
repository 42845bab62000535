/* plan/expr_functions.h: what is known of Polars' functions. SPDX-License-Identifier: Apache-2.0
 *
 * One table, decided by hand for each function of Polars 2.0.0; docs/reference/distribution.md is
 * printed from it, and a test holds it against Polars' own list and its own answers. Only for
 * expr*.c. */
#ifndef FLOE_PLAN_EXPR_FUNCTIONS_H
#define FLOE_PLAN_EXPR_FUNCTIONS_H

#include "base/buf.h"
#include "plan/pack.h"

typedef enum function_kind {
  FUNCTION_ROWWISE,   /* row i of its value needs row i of its inputs */
  FUNCTION_SELECTION, /* each part of the rows gives its part of the value: drop_nulls */
  FUNCTION_AGGREGATE, /* one value from all rows */
  FUNCTION_OTHER,
  FUNCTION_UNKNOWN /* not in the table */
} function_kind;

enum {                          /* flags of a function */
       FUNCTION_ORDER = 1,      /* the order of rows shows in its value */
       FUNCTION_IMPURE = 2,     /* random, or calls the user's Python */
       FUNCTION_IN_PLACE = 4,   /* a selector among its inputs stands for that many inputs */
       FUNCTION_BROADCASTS = 8, /* as long as its longest input, also when the first is a literal */
       FUNCTION_TAKES_SERIES = 16, /* a literal series among its inputs is one value: a list */
       FUNCTION_WHOLE_ARGS = 32 /* it looks at all values of its second and third input for each row
                                   of the first one: they must be literals, or series as above */
};

typedef struct function_facts {
  function_kind kind;
  unsigned flags;
} function_facts;

/* `function`: the field of Expr.Function. */
function_facts expr_function_facts(plan_bytes function);
void expr_functions_print(buf *page);

#endif
