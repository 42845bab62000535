/* plan/expr.h: what an expression is, as far as moving rows is concerned. SPDX-License-Identifier:
 * Apache-2.0
 *
 * An expression is MessagePack of Polars' Expr. What it is was decided for each variant and each
 * function by hand (the tables in expr.c and expr_functions.c, shown in
 * docs/reference/distribution.md); whatever is not in the tables is EXPR_OTHER, which runs on all
 * rows at once and is always right. Expressions are whole values (dsl_parse has proven them). Pure.
 */
#ifndef FLOE_PLAN_EXPR_H
#define FLOE_PLAN_EXPR_H

#include "plan/msgpack.h"
#include "plan/pack.h"

/* In this order each class may do less. */
typedef enum expr_class {
  EXPR_SCALAR,    /* one value that no row changes: a literal, or made of literals */
  EXPR_ROWWISE,   /* row i of the output needs row i of the input only; as long as the input */
  EXPR_AGGREGATE, /* one value from all rows; of scalars and aggregates over row-wise inputs */
  EXPR_WINDOW,    /* row-wise, but with `over` in it, all over `window_keys` */
  EXPR_OTHER      /* needs all rows, or nobody knows */
} expr_class;

typedef struct expr_facts {
  expr_class class;
  bool selector; /* holds a Selector: stands for other columns than it names */
  bool order;    /* the order of rows shows in its value: first, implode, cum_sum over … */
  bool impure;   /* twice the same rows may give different values: random, a user's function */
  plan_bytes
      selector_value; /* with `selector`: {"Selector": …}, when all in it are equal; else NULL */
  plan_bytes window_keys; /* EXPR_WINDOW: the array partition_by, each a plain Column */
} expr_facts;

expr_facts expr_read(plan_bytes expr);

/* A root column, or the output name. UTF-8, not NUL-terminated. */
typedef struct expr_name {
  const char *s; /* NULL: not known without a schema */
  size_t len;
} expr_name;
bool expr_name_equal(expr_name a, expr_name b);

/* What Polars will call its output; only for expressions without selector. */
expr_name expr_output_name(arena *a, plan_bytes expr);
/* The columns that it names, each once; false: a selector or sub-plan may need others. */
bool expr_columns(arena *a, plan_bytes expr, expr_name **names, size_t *n);
bool expr_is_column(plan_bytes expr, expr_name *name); /* a plain Column? */

/* May a selector in it be replaced by one expression for each column? False where it expands in
 * place: inside sum_horizontal, struct, coalesce … */
bool expr_selector_expands(plan_bytes expr);
/* A copy in which {"Selector": …} is Column `name`. */
plan_bytes expr_with_column(arena *a, plan_bytes expr, expr_name name);

/* ---- making ---- */
plan_bytes expr_column(arena *a, expr_name name);
plan_bytes expr_alias(arena *a, plan_bytes expr, const char *name, size_t len);
plan_bytes expr_binary(arena *a, plan_bytes left, const char *op, plan_bytes right);
plan_bytes expr_uint(arena *a, uint64_t value); /* a literal */
/* Its value is the partition's number: hash of all of `keys` together, modulo `partitions`. */
plan_bytes expr_hash_partition(arena *a, const plan_bytes *keys, size_t n, uint32_t partitions);
/* keys of a sort as one binary that compares like them. `options`: Sort.sort_options. */
plan_bytes expr_sort_key(arena *a, const plan_bytes *by, size_t n, plan_bytes options);
/* The partition's number: how many of the ascending `boundaries`, which are plain bytes, are not
 * above `key`. */
plan_bytes expr_range_partition(arena *a, plan_bytes key, const plan_bytes *boundaries, size_t n);

void expr_print_reference(buf *page); /* the tables, as Markdown */

#endif
