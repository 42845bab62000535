/* plan/estimate.c: how many rows a filter keeps, by the looks of it. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Textbook guesses. A wrong one costs time and never rows: joins are decided again when real sizes
 * are known. */
#include "plan/cut.h"

enum { MAX_DEPTH = 64 };

typedef struct guess {
  const char *name;
  double keeps;
} guess;

static const guess COMPARED_WITH_VALUE[] = {{"Eq", .1}, {"NotEq", .9}};
static const guess COMPARED_WITH_COLUMN[] = {{"Eq", .2}, {"NotEq", .9}};
static const guess BOOLEANS[] = {
    {"IsIn", .15}, {"IsBetween", .25}, {"IsNull", .1}, {"IsNotNull", .9}};
enum { VALUE_GUESS_PERCENT = 40, COLUMN_GUESS_PERCENT = 50, STRING_GUESS_PERCENT = 10 };

static double look_up(const guess *table, size_t n, plan_bytes name, int otherwise_percent) {
  for (size_t i = 0; i < n; i++)
    if (plan_value_is(name, table[i].name)) return table[i].keeps;
  return otherwise_percent / 100.0;
}

static plan_bytes inside(plan_bytes value, const char *key) {
  msgpack m = {value.data, value.data, value.data + value.len};
  if (!value.data || !msgpack_enter(&m, key)) return (plan_bytes){NULL, 0};
  const uint8_t *start = m.at;
  return msgpack_walk(&m, NULL, NULL, NULL) == RC_OK ? (plan_bytes){start, (size_t)(m.at - start)}
                                                     : (plan_bytes){NULL, 0};
}

static bool is_value(plan_bytes expr) {
  return plan_value_is(expr, "Literal");
}

static double selectivity(plan_bytes expr, int depth);

static double of_binary(plan_bytes binary, int depth) {
  plan_bytes left = inside(binary, "left"), right = inside(binary, "right");
  plan_bytes op = inside(binary, "op");
  if (plan_value_is(op, "And") || plan_value_is(op, "LogicalAnd"))
    return selectivity(left, depth + 1) * selectivity(right, depth + 1);
  if (plan_value_is(op, "Or") || plan_value_is(op, "LogicalOr")) {
    double either = selectivity(left, depth + 1) + selectivity(right, depth + 1);
    return either < 1 ? either : 1;
  }
  if (is_value(left) || is_value(right))
    return look_up(COMPARED_WITH_VALUE, 2, op, VALUE_GUESS_PERCENT);
  return look_up(COMPARED_WITH_COLUMN, 2, op, COLUMN_GUESS_PERCENT);
}

static double of_function(plan_bytes function) {
  plan_bytes name = inside(function, "function");
  if (plan_value_is(name, "StringExpr")) return STRING_GUESS_PERCENT / 100.0;
  plan_bytes boolean = inside(name, "Boolean");
  return look_up(BOOLEANS, sizeof BOOLEANS / sizeof *BOOLEANS, boolean, VALUE_GUESS_PERCENT);
}

static double selectivity(plan_bytes expr, int depth) {
  if (depth < MAX_DEPTH && plan_value_is(expr, "BinaryExpr"))
    return of_binary(inside(expr, "BinaryExpr"), depth);
  if (plan_value_is(expr, "Function")) return of_function(inside(expr, "Function"));
  return VALUE_GUESS_PERCENT / 100.0;
}

double estimate_selectivity(plan_bytes predicate) {
  double keeps = selectivity(predicate, 0);
  return keeps > .002 ? keeps : .002;
}
