/* plan/aggregate.c: see aggregate.h. SPDX-License-Identifier: Apache-2.0
 *
 * An expression of class EXPR_AGGREGATE is row-wise operations on scalars and aggregates. The
 * operations stay in the final half; each aggregate in them becomes another one, over columns that
 * the partial half gives. */
#include "plan/aggregate.h"

#include "plan/expr_functions.h"
#include "plan/expr_parts.h"

#include <string.h>

static const plan_bytes NOT_POSSIBLE = {0};

typedef struct halving {
  arena *a;
  const aggregate_typed *typed;
  size_t n_typed;
  bool global;
  plan_bytes *partial; /* without their names */
  size_t n_partial, room;
  bool order;
  uint32_t rules;
} halving;

/* ---- the partial half ---- */

static plan_bytes partial_column(halving *h, size_t i) {
  const char *name = arena_printf(h->a, "__agg%zu", i);
  return expr_column(h->a, (expr_name){name, strlen(name)});
}

/* The column in which the final half finds what `expr` gave for each part. */
static plan_bytes partial(halving *h, plan_bytes expr) {
  for (size_t i = 0; i < h->n_partial; i++)
    if (plan_bytes_equal(h->partial[i], expr)) return partial_column(h, i);
  if (h->n_partial == h->room) {
    h->room = 2 * h->room + 8;
    plan_bytes *larger = ARENA_NEW(h->a, plan_bytes, h->room);
    if (h->n_partial) memcpy(larger, h->partial, h->n_partial * sizeof *larger);
    h->partial = larger;
  }
  h->partial[h->n_partial++] = expr;
  return partial_column(h, h->n_partial - 1);
}

static plan_bytes partial_count(halving *h, plan_bytes input, bool include_nulls) {
  return partial(h, expr_count(h->a, input, include_nulls));
}

/* ---- the final half ---- */

static plan_bytes sum_of(halving *h, plan_bytes expr) {
  return expr_agg(h->a, "Sum", expr);
}

static plan_bytes binary(halving *h, plan_bytes left, const char *op, plan_bytes right) {
  return expr_binary(h->a, left, op, right);
}

/* A copy of `whole` in which other bytes stand for its parts, given in the order in it. */
static plan_bytes with_parts(arena *a, plan_bytes whole, const plan_bytes *parts,
                             const plan_bytes *others, size_t n) {
  buf b = {0};
  const uint8_t *at = whole.data;
  for (size_t i = 0; i < n; i++) {
    pack_raw(&b, (plan_bytes){at, (size_t)(parts[i].data - at)});
    pack_raw(&b, others[i]);
    at = parts[i].data + parts[i].len;
  }
  pack_raw(&b, (plan_bytes){at, (size_t)(whole.data + whole.len - at)});
  return pack_done(&b, a);
}

/* The same aggregate of its partial values: the maximum of maxima. */
static plan_bytes halve_same(halving *h, plan_bytes expr, plan_bytes input) {
  plan_bytes column = partial(h, expr);
  return with_parts(h->a, expr, &input, &column, 1);
}

static plan_bytes halve_count(halving *h, plan_bytes expr, plan_bytes input) {
  (void)input;
  return sum_of(h, partial(h, expr));
}

/* A part may have no row of it, and gives null then: such parts do not count. */
static plan_bytes halve_first(halving *h, plan_bytes expr, plan_bytes input) {
  h->order = true;
  if (!h->global && expr_read(input).class == EXPR_ROWWISE) return halve_same(h, expr, input);
  plan_bytes column = partial(h, expr), rows = partial_count(h, input, true);
  plan_bytes there = binary(h, rows, "Gt", expr_uint(h->a, 0));
  plan_bytes values = expr_filter(h->a, column, there);
  return with_parts(h->a, expr, &input, &values, 1);
}

static plan_bytes halve_first_non_null(halving *h, plan_bytes expr, plan_bytes input) {
  h->order = true;
  return halve_same(h, expr, input);
}

/* "Int8" … "UInt128", "Float64", "Boolean"; NULL: not known, or another one. */
static const char *number_type(const halving *h, plan_bytes input) {
  static const char *const NUMBERS[] = {"Int", "UInt", "Float", "Boolean"};
  for (size_t i = 0; i < h->n_typed; i++) {
    const char *dtype = h->typed[i].dtype;
    if (!dtype || !plan_bytes_equal(h->typed[i].expr, input)) continue;
    for (size_t k = 0; k < sizeof NUMBERS / sizeof *NUMBERS; k++)
      if (strncmp(dtype, NUMBERS[k], strlen(NUMBERS[k])) == 0) return dtype;
  }
  return NULL;
}

/* Polars computes in 64 bits, and gives a small float for small floats. */
static plan_bytes as_result(halving *h, plan_bytes expr, const char *dtype) {
  bool small = strcmp(dtype, "Float32") == 0 || strcmp(dtype, "Float16") == 0;
  return small ? expr_cast(h->a, expr, dtype) : expr;
}

/* The quotient; null when the divisor is not above 0. */
static plan_bytes quotient(halving *h, plan_bytes dividend, plan_bytes divisor) {
  plan_bytes above = binary(h, divisor, "Gt", expr_uint(h->a, 0));
  return expr_ternary(h->a, above, binary(h, dividend, "TrueDivide", divisor), expr_null(h->a));
}

static plan_bytes halve_mean(halving *h, plan_bytes expr, plan_bytes input) {
  (void)expr;
  const char *dtype = number_type(h, input);
  if (!dtype) return NOT_POSSIBLE;
  plan_bytes sum = partial(h, sum_of(h, expr_cast(h->a, input, "Float64")));
  plan_bytes count = partial_count(h, input, false);
  return as_result(h, quotient(h, sum_of(h, sum), sum_of(h, count)), dtype);
}

/* From count n, mean m and variance v of each part: N = Σn, M = Σnm / N, and the sum of squared
 * distances from M is Σ(nv + n(m−M)²), which loses no digits. */
static plan_bytes halve_variance(halving *h, plan_bytes expr, plan_bytes input) {
  int64_t ddof;
  const char *dtype = number_type(h, input);
  if (!dtype || !plan_value_int(plan_item(plan_payload(plan_payload(expr)), 1), &ddof) || ddof < 0)
    return NOT_POSSIBLE;
  plan_bytes x = expr_cast(h->a, input, "Float64");
  plan_bytes n = expr_cast(h->a, partial_count(h, input, false), "Float64");
  plan_bytes m = partial(h, expr_agg(h->a, "Mean", x));
  plan_bytes v = partial(h, expr_variance(h->a, x, 0));
  plan_bytes rows = sum_of(h, n);
  plan_bytes mean = binary(h, sum_of(h, binary(h, n, "Multiply", m)), "TrueDivide", rows);
  plan_bytes away = binary(h, m, "Minus", mean);
  plan_bytes squares = binary(h, v, "Plus", binary(h, away, "Multiply", away));
  plan_bytes degrees = binary(h, rows, "Minus", expr_uint(h->a, (uint64_t)ddof));
  return quotient(h, sum_of(h, binary(h, n, "Multiply", squares)), degrees);
}

static plan_bytes halve_var(halving *h, plan_bytes expr, plan_bytes input) {
  plan_bytes variance = halve_variance(h, expr, input);
  return variance.data ? as_result(h, variance, number_type(h, input)) : NOT_POSSIBLE;
}

static plan_bytes halve_std(halving *h, plan_bytes expr, plan_bytes input) {
  plan_bytes variance = halve_variance(h, expr, input);
  if (!variance.data) return NOT_POSSIBLE;
  plan_bytes root = expr_function(h->a, &variance, 1, expr_nested(h->a, "Pow", "Sqrt"));
  return as_result(h, root, number_type(h, input));
}

static plan_bytes halve_has_nulls(halving *h, plan_bytes expr, plan_bytes input) {
  (void)input;
  plan_bytes column = partial(h, expr);
  return expr_function(h->a, &column, 1, expr_any(h->a));
}

/* ---- which aggregates ---- */

static const struct rule {
  const char *family, *name; /* family: "Agg", or of a function */
  plan_bytes (*halve)(halving *h, plan_bytes expr, plan_bytes input);
  const char *partial, *final; /* for the reference page */
} RULES[] = {
    {"Agg", "Count", halve_count, "count", "sum"},
    {"Agg", "First", halve_first, "first", "first of the parts that have rows"},
    {"Agg", "FirstNonNull", halve_first_non_null, "first", "first"},
    {"Agg", "Last", halve_first, "last", "last of the parts that have rows"},
    {"Agg", "LastNonNull", halve_first_non_null, "last", "last"},
    {"Agg", "Max", halve_same, "max", "max"},
    {"Agg", "Mean", halve_mean, "sum and count, of numbers and booleans", "their quotient"},
    {"Agg", "Min", halve_same, "min", "min"},
    {"Agg", "Std", halve_std, "count, mean and variance, of numbers and booleans", "joined"},
    {"Agg", "Sum", halve_same, "sum", "sum"},
    {"Agg", "Var", halve_var, "count, mean and variance, of numbers and booleans", "joined"},
    {"Bitwise", "And", halve_same, "and", "and"},
    {"Bitwise", "Or", halve_same, "or", "or"},
    {"Bitwise", "Xor", halve_same, "xor", "xor"},
    {"Boolean", "All", halve_same, "all", "all"},
    {"Boolean", "Any", halve_same, "any", "any"},
    {"Boolean", "HasNulls", halve_has_nulls, "has nulls", "any"},
    {"", "NullCount", halve_count, "count", "sum"},
};

enum { N_RULES = sizeof RULES / sizeof *RULES };
_Static_assert(N_RULES <= 32, "aggregate_split.rules has a bit for each");

static plan_bytes halve_by_rule(halving *h, const char *family, plan_bytes name, plan_bytes expr,
                                plan_bytes input) {
  for (size_t i = 0; i < N_RULES && input.data; i++) {
    if (strcmp(RULES[i].family, family) != 0 || !plan_text_is(name, RULES[i].name)) continue;
    h->rules |= UINT32_C(1) << i;
    return RULES[i].halve(h, expr, input);
  }
  return NOT_POSSIBLE;
}

static plan_bytes halve_function(halving *h, plan_bytes expr) {
  plan_bytes parts = plan_payload(expr), function = plan_part(parts, "function");
  plan_bytes input = plan_item(plan_part(parts, "input"), 0);
  if (plan_value_is(function, "Boolean"))
    return halve_by_rule(h, "Boolean", plan_value_name(plan_payload(function)), expr, input);
  if (plan_value_is(function, "Bitwise"))
    return halve_by_rule(h, "Bitwise", plan_value_name(plan_payload(function)), expr, input);
  return halve_by_rule(h, "", plan_value_name(function), expr, input);
}

/* ---- what stands above aggregates ---- */

static plan_bytes halve(halving *h, plan_bytes expr, unsigned depth);

/* In the order of their bytes. */
static size_t parts_of(plan_bytes expr, plan_bytes parts[3]) {
  static const struct {
    const char *variant, *parts[3];
  } VARIANTS[] = {{"BinaryExpr", {"left", "right"}},
                  {"Cast", {"expr"}},
                  {"Ternary", {"predicate", "truthy", "falsy"}}};
  for (size_t i = 0; i < sizeof VARIANTS / sizeof *VARIANTS; i++) {
    if (!plan_value_is(expr, VARIANTS[i].variant)) continue;
    size_t n = 0;
    for (; n < 3 && VARIANTS[i].parts[n]; n++) {
      parts[n] = plan_part(plan_payload(expr), VARIANTS[i].parts[n]);
      bool in_order = n == 0 || parts[n].data > parts[n - 1].data;
      if (!parts[n].data || !in_order) return 0;
    }
    return n;
  }
  return 0;
}

/* Names are given anew at the end: what names only is left out. */
static plan_bytes unnamed(plan_bytes expr) {
  if (plan_value_is(expr, "Alias")) return plan_item(plan_payload(expr), 0);
  if (plan_value_is(expr, "KeepName")) return plan_payload(expr);
  if (plan_value_is(expr, "RenameAlias")) return plan_part(plan_payload(expr), "expr");
  return (plan_bytes){0};
}

/* A row-wise function of aggregates. Structs take the names of their inputs. */
static plan_bytes halve_inputs(halving *h, plan_bytes expr, unsigned depth) {
  plan_bytes inputs = plan_part(plan_payload(expr), "input"), input;
  size_t n = plan_items_of(inputs).left, i = 0;
  plan_bytes *parts = ARENA_NEW(h->a, plan_bytes, n + 1),
             *others = ARENA_NEW(h->a, plan_bytes, n + 1);
  for (plan_items it = plan_items_of(inputs); plan_items_next(&it, &input); i++) {
    expr_name name = expr_output_name(h->a, input);
    plan_bytes final = halve(h, input, depth);
    if (!final.data || !name.s) return NOT_POSSIBLE;
    parts[i] = input;
    others[i] = expr_alias(h->a, final, name.s, name.len);
  }
  return with_parts(h->a, expr, parts, others, i);
}

static plan_bytes halve_parts(halving *h, plan_bytes expr, unsigned depth) {
  plan_bytes parts[3], others[3];
  size_t n = parts_of(expr, parts);
  if (n == 0) return NOT_POSSIBLE;
  for (size_t i = 0; i < n; i++) {
    others[i] = halve(h, parts[i], depth);
    if (!others[i].data) return NOT_POSSIBLE;
  }
  return with_parts(h->a, expr, parts, others, n);
}

/* The final half of an expression of class EXPR_AGGREGATE or EXPR_SCALAR. */
static plan_bytes halve(halving *h, plan_bytes expr, unsigned depth) {
  plan_bytes inner = unnamed(expr), agg = plan_payload(expr);
  if (depth == 0) return NOT_POSSIBLE;
  if (inner.data) return halve(h, inner, depth - 1);
  if (plan_value_is(expr, "Literal")) return expr;
  if (plan_value_is(expr, "Len")) return sum_of(h, partial(h, expr));
  if (plan_value_is(expr, "Agg"))
    return halve_by_rule(h, "Agg", plan_value_name(agg), expr, expr_agg_input(agg));
  if (!plan_value_is(expr, "Function")) return halve_parts(h, expr, depth - 1);
  function_facts f = expr_function_facts(plan_part(agg, "function"));
  if (f.kind == FUNCTION_AGGREGATE) return halve_function(h, expr);
  return f.kind == FUNCTION_ROWWISE ? halve_inputs(h, expr, depth - 1) : NOT_POSSIBLE;
}

/* ---- all of them ---- */

static plan_bytes halve_whole(halving *h, plan_bytes expr, bool scalar_too) {
  expr_facts f = expr_read(expr);
  bool fits = f.class == EXPR_AGGREGATE || (scalar_too && f.class == EXPR_SCALAR);
  return fits && !f.selector ? halve(h, expr, EXPR_MAX_DEPTH) : NOT_POSSIBLE;
}

static bool halve_exprs(halving *h, const plan_bytes *exprs, size_t n, plan_bytes *out) {
  for (size_t i = 0; i < n; i++) {
    expr_name name = expr_output_name(h->a, exprs[i]);
    plan_bytes final = halve_whole(h, exprs[i], h->global);
    if (!final.data || !name.s) return false;
    out[i] = expr_alias(h->a, final, name.s, name.len);
  }
  return true;
}

static bool halve_having(halving *h, const plan_bytes *having, size_t n, plan_bytes *out) {
  for (size_t i = 0; i < n; i++) {
    out[i] = halve_whole(h, having[i], false);
    if (!out[i].data) return false;
  }
  return true;
}

bool aggregate_split_all(arena *a, const plan_bytes *exprs, size_t n, const plan_bytes *having,
                         size_t n_having, const aggregate_typed *typed, size_t n_typed, bool global,
                         aggregate_split *out) {
  halving h = {.a = a, .typed = typed, .n_typed = n_typed, .global = global};
  *out = (aggregate_split){.final = ARENA_NEW(a, plan_bytes, n + 1),
                           .having = ARENA_NEW(a, plan_bytes, n_having + 1),
                           .n_final = n,
                           .n_having = n_having};
  if (!halve_exprs(&h, exprs, n, out->final) || !halve_having(&h, having, n_having, out->having))
    return false;
  for (size_t i = 0; i < h.n_partial; i++) {
    const char *name = arena_printf(a, "__agg%zu", i);
    h.partial[i] = expr_alias(a, h.partial[i], name, strlen(name));
  }
  out->partial = h.partial;
  out->n_partial = h.n_partial;
  out->order = h.order;
  out->rules = h.rules;
  return h.n_partial > 0;
}

void aggregate_needs(arena *a, plan_bytes expr, aggregate_typed **typed, size_t *n) {
  if (expr_read(expr).class != EXPR_AGGREGATE) return;
  for (expr_scan s = expr_scan_of(expr); expr_scan_next(&s);) {
    plan_bytes agg = expr_scan_payload(&s);
    bool asks =
        plan_text_is(s.name, "Agg") &&
        (plan_value_is(agg, "Mean") || plan_value_is(agg, "Std") || plan_value_is(agg, "Var"));
    plan_bytes input = asks ? expr_agg_input(agg) : (plan_bytes){0};
    bool known = !input.data;
    for (size_t i = 0; i < *n && !known; i++) known = plan_bytes_equal((*typed)[i].expr, input);
    if (known) continue;
    aggregate_typed *larger = ARENA_NEW(a, aggregate_typed, *n + 1);
    if (*n) memcpy(larger, *typed, *n * sizeof *larger);
    larger[(*n)++] = (aggregate_typed){.expr = input};
    *typed = larger;
  }
}

void aggregate_print_reference(buf *page) {
  buf_puts(page, "| aggregate | of each part | of all parts |\n|---|---|---|\n");
  for (const struct rule *r = RULES; r < RULES + N_RULES; r++)
    buf_printf(page, "| %s | %s | %s |\n", r->name, r->partial, r->final);
}

const char *aggregate_rule_name(unsigned i) {
  return i < N_RULES ? RULES[i].name : NULL;
}
