/* Unit tests of plan/aggregate.c. SPDX-License-Identifier: Apache-2.0
 *
 * That the halves give the value of the whole is tried by tests/cluster/test_expressions.py. */
#include "plan/aggregate.h"

#include "expressions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* As if x, whatever it is computed from, were of `dtype`. */
static bool split_as(arena *a, const char *dtype, bool global, const char *const *names,
                     aggregate_split *out) {
  plan_bytes exprs[8];
  size_t n = 0, n_typed = 0;
  aggregate_typed *typed = NULL;
  for (; names[n]; n++) {
    exprs[n] = expression(a, names[n]);
    aggregate_needs(a, exprs[n], &typed, &n_typed);
  }
  for (size_t i = 0; i < n_typed; i++) typed[i].dtype = dtype;
  return aggregate_split_all(a, exprs, n, NULL, 0, typed, n_typed, global, out);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_partials(const char *const *names, size_t expected, bool order) {
  arena a = {0};
  aggregate_split s;
  assert_true(split_as(&a, "Int64", false, names, &s));
  assert_int_equal(s.n_partial, expected);
  assert_int_equal(s.order, order);
  for (size_t i = 0; names[i]; i++) {
    expr_name want = expr_output_name(&a, expression(&a, names[i]));
    assert_true(expr_name_equal(expr_output_name(&a, s.final[i]), want));
  }
  arena_deinit(&a);
}

static void equal_partial_values_are_computed_once(void **state) {
  (void)state;
  assert_partials(NAMES("sum"), 1, false);
  assert_partials(NAMES("sum", "sum_alias", "ratio", "having"), 2, false);
  assert_partials(NAMES("mean"), 2, false);
  assert_partials(NAMES("std"), 3, false);
  assert_partials(NAMES("mean", "std", "count"), 4, false);
  assert_partials(NAMES("sums"), 2, false);
  assert_partials(NAMES("any", "null_count", "has_nulls", "min", "filter_sum"), 5, false);
  assert_partials(NAMES("first"), 1, true);
  assert_partials(NAMES("filter_first"), 2, true); /* how many rows a part has */
}

static void partial_columns_are_numbered(void **state) {
  (void)state;
  arena a = {0};
  aggregate_split s;
  assert_true(split_as(&a, "Int64", false, NAMES("sum", "len"), &s));
  expr_name first = {"__agg0", 6}, second = {"__agg1", 6}, *names;
  size_t n;
  assert_true(expr_name_equal(expr_output_name(&a, s.partial[0]), first));
  assert_true(expr_name_equal(expr_output_name(&a, s.partial[1]), second));
  assert_true(expr_columns(&a, s.final[1], &names, &n));
  assert_true(n == 1 && expr_name_equal(names[0], second));
  arena_deinit(&a);
}

static void means_are_halved_of_numbers_only(void **state) {
  (void)state;
  static const struct {
    const char *dtype;
    bool halves;
  } CASES[] = {{"Int64", true},       {"UInt8", true}, {"Float32", true}, {"Boolean", true},
               {NULL, false},         {"Date", false}, {"String", false}, {"Duration('us')", false},
               {"Decimal", false},    {"Null", false}, {"", false},       {"Datetime('us')", false},
               {"List(Int64)", false}};
  arena a = {0};
  aggregate_split s;
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    assert_int_equal(split_as(&a, CASES[i].dtype, false, NAMES("mean"), &s), CASES[i].halves);
    assert_int_equal(split_as(&a, CASES[i].dtype, false, NAMES("std"), &s), CASES[i].halves);
    assert_true(split_as(&a, CASES[i].dtype, false, NAMES("sum"), &s));
  }
  arena_deinit(&a);
}

static void one_that_cannot_be_halved_is_enough(void **state) {
  (void)state;
  static const char *const NEVER[] = {"median",      "column",   "cum_sum",      "centred",
                                      "literal_sum", "over_sum", "selector_sum", "python_whole"};
  arena a = {0};
  aggregate_split s;
  for (size_t i = 0; i < sizeof NEVER / sizeof *NEVER; i++) {
    assert_false(split_as(&a, "Int64", false, NAMES(NEVER[i]), &s));
    assert_false(split_as(&a, "Int64", true, NAMES("sum", NEVER[i]), &s));
  }
  arena_deinit(&a);
}

static void literals_stay_in_a_select_only(void **state) {
  (void)state;
  arena a = {0};
  aggregate_split s;
  assert_true(split_as(&a, "Int64", true, NAMES("literal", "sum"), &s));
  assert_true(s.n_partial == 1 && s.n_final == 2);
  assert_false(split_as(&a, "Int64", true, NAMES("literal"), &s));
  assert_false(split_as(&a, "Int64", false, NAMES("literal", "sum"), &s));
  arena_deinit(&a);
}

static void a_part_without_rows_has_no_first(void **state) {
  (void)state;
  arena a = {0};
  aggregate_split s;
  assert_true(split_as(&a, "Int64", true, NAMES("first"), &s));
  assert_true(s.n_partial == 2 && s.order);
  arena_deinit(&a);
}

static void having_shares_the_partial_values(void **state) {
  (void)state;
  arena a = {0};
  aggregate_split s;
  plan_bytes sum = expression(&a, "sum"),
             having[] = {expression(&a, "having"), expression(&a, "len")};
  assert_true(aggregate_split_all(&a, &sum, 1, having, 2, NULL, 0, false, &s));
  assert_true(s.n_partial == 2 && s.n_final == 1 && s.n_having == 2);
  having[1] = expression(&a, "column");
  assert_false(aggregate_split_all(&a, &sum, 1, having, 2, NULL, 0, false, &s));
  arena_deinit(&a);
}

static void needs_are_asked_once(void **state) {
  (void)state;
  arena a = {0};
  aggregate_typed *typed = NULL;
  size_t n = 0;
  aggregate_needs(&a, expression(&a, "mean"), &typed, &n);
  aggregate_needs(&a, expression(&a, "std"), &typed, &n);
  assert_int_equal(n, 1);
  assert_true(plan_bytes_equal(typed[0].expr, expression(&a, "column")));
  aggregate_needs(&a, expression(&a, "centred"), &typed, &n); /* no aggregate */
  aggregate_needs(&a, expression(&a, "sum"), &typed, &n);
  assert_int_equal(n, 1);
  arena_deinit(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equal_partial_values_are_computed_once),
      cmocka_unit_test(partial_columns_are_numbered),
      cmocka_unit_test(means_are_halved_of_numbers_only),
      cmocka_unit_test(one_that_cannot_be_halved_is_enough),
      cmocka_unit_test(literals_stay_in_a_select_only),
      cmocka_unit_test(a_part_without_rows_has_no_first),
      cmocka_unit_test(having_shares_the_partial_values),
      cmocka_unit_test(needs_are_asked_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
