/* plan/estimate.c: how many rows a filter keeps, by the looks of it. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Textbook guesses. A wrong one costs time and never rows. */
#include "plan/cut.h"
#include "plan/expr_parts.h"

#include <string.h>

enum { MAX_DEPTH = 64, MAX_CONDITIONS = 256, COMPUTED_KEEPS_LESS = 4 };

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

static bool is_value(plan_bytes expr) {
  return plan_value_is(expr, "Literal");
}

static double selectivity(plan_bytes expr, int depth);

static bool is_and(plan_bytes binary) {
  plan_bytes op = plan_part(binary, "op");
  return plan_value_is(op, "And") || plan_value_is(op, "LogicalAnd");
}

static double either(double x, double y) {
  return x + y < 1 ? x + y : 1;
}

static double of_binary(plan_bytes binary, int depth) {
  plan_bytes left = plan_part(binary, "left"), right = plan_part(binary, "right");
  plan_bytes op = plan_part(binary, "op");
  if (is_and(binary)) return selectivity(left, depth + 1) * selectivity(right, depth + 1);
  if (plan_value_is(op, "Or") || plan_value_is(op, "LogicalOr"))
    return either(selectivity(left, depth + 1), selectivity(right, depth + 1));
  if (is_value(left) || is_value(right))
    return look_up(COMPARED_WITH_VALUE, 2, op, VALUE_GUESS_PERCENT);
  return look_up(COMPARED_WITH_COLUMN, 2, op, COLUMN_GUESS_PERCENT);
}

static double of_several(plan_bytes inputs, bool all, int depth) {
  double keeps = all ? 1 : 0;
  plan_bytes input;
  for (plan_items it = plan_items_of(inputs); plan_items_next(&it, &input);) {
    double one = selectivity(input, depth + 1);
    keeps = all ? keeps * one : either(keeps, one);
  }
  return keeps;
}

static double of_function(plan_bytes function, int depth) {
  plan_bytes name = plan_part(function, "function");
  if (plan_value_is(name, "StringExpr")) return STRING_GUESS_PERCENT / 100.0;
  plan_bytes boolean = plan_part(name, "Boolean");
  bool all = plan_value_is(boolean, "AllHorizontal");
  if (all || plan_value_is(boolean, "AnyHorizontal"))
    return of_several(plan_part(function, "input"), all, depth);
  return look_up(BOOLEANS, sizeof BOOLEANS / sizeof *BOOLEANS, boolean, VALUE_GUESS_PERCENT);
}

static double selectivity(plan_bytes expr, int depth) {
  if (depth < MAX_DEPTH && plan_value_is(expr, "BinaryExpr"))
    return of_binary(plan_part(expr, "BinaryExpr"), depth);
  if (depth < MAX_DEPTH && plan_value_is(expr, "Function"))
    return of_function(plan_part(expr, "Function"), depth);
  return VALUE_GUESS_PERCENT / 100.0;
}

/* ---- conditions ---- */

static void push_one(cut *c, plan_bytes predicate) {
  if (!c->above) c->above = ARENA_NEW(c->a, condition, MAX_CONDITIONS);
  if (c->n_above == MAX_CONDITIONS) return;
  condition *one = &c->above[c->n_above++];
  double keeps = selectivity(predicate, 0);
  *one = (condition){.keeps = keeps > .002 ? keeps : .002};
  if (!expr_columns(c->a, predicate, &one->columns, &one->n)) one->n = 0;
}

static void push(cut *c, plan_bytes predicate, int depth) {
  plan_bytes binary = plan_part(predicate, "BinaryExpr"), one;
  plan_bytes function = plan_part(predicate, "Function");
  bool all = plan_value_is(plan_part(plan_part(function, "function"), "Boolean"), "AllHorizontal");
  if (depth < MAX_DEPTH && binary.data && is_and(binary)) {
    push(c, plan_part(binary, "left"), depth + 1);
    push(c, plan_part(binary, "right"), depth + 1);
  } else if (depth < MAX_DEPTH && all) {
    for (plan_items it = plan_items_of(plan_part(function, "input")); plan_items_next(&it, &one);)
      push(c, one, depth + 1);
  } else {
    push_one(c, predicate);
  }
}

void estimate_push_filter(cut *c, plan_bytes predicate) {
  push(c, predicate, 0);
}

static bool has_all(const described_node *dn, const condition *one) {
  for (size_t i = 0; i < one->n; i++)
    if (!describe_dtype(dn, one->columns[i])) return false;
  return one->n > 0;
}

static void count(condition *one, double keeps, fragment *f) {
  one->counted = true;
  f->rows *= keeps;
  f->selectivity *= keeps;
}

void estimate_source(cut *c, const described_node *dn, fragment *f) {
  for (size_t i = 0; i < c->n_above; i++)
    if (!c->above[i].counted && !c->above[i].hidden && has_all(dn, &c->above[i]))
      count(&c->above[i], c->above[i].keeps, f);
}

void estimate_group_by(cut *c, const key_set *keys, bool below) {
  for (size_t i = 0; i < c->n_above; i++) {
    condition *one = &c->above[i];
    bool of_keys = one->n > 0;
    for (size_t k = 0; k < one->n; k++) of_keys &= cut_has_name(keys, one->columns[k]);
    if (!of_keys) one->hidden += below ? 1U : -1U;
  }
}

/* What is asked of computed columns, of sums and the like, is there to keep few. */
void estimate_pop_filter(cut *c, size_t n, fragment *f) {
  for (size_t i = n; i < c->n_above; i++)
    if (!c->above[i].counted) count(&c->above[i], c->above[i].keeps / COMPUTED_KEEPS_LESS, f);
  c->n_above = n;
}
