/* Unit tests of plan/expr*.c. SPDX-License-Identifier: Apache-2.0
 *
 * Whether the tables are right is asked by tests/cluster/test_expressions.py, of Polars itself. */
#include "plan/expr.h"

#include "expressions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static expr_name name_of(const char *text) {
  return (expr_name){text, strlen(text)};
}

static void assert_name(expr_name found, const char *expected) {
  assert_int_equal(found.s != NULL, expected != NULL);
  if (expected) assert_true(expr_name_equal(found, name_of(expected)));
}

enum { ORDER = 1, IMPURE = 2 };

static void classes_flags_and_names(void **state) {
  (void)state;
  static const struct {
    const char *expression;
    expr_class class;
    unsigned flags;
    const char *name; /* NULL: not known */
  } CASES[] = {
      {"column", EXPR_ROWWISE, 0, "x"},
      {"literal", EXPR_SCALAR, 0, "literal"},
      {"scalar", EXPR_SCALAR, 0, "literal"},
      {"series", EXPR_OTHER, ORDER, NULL},
      {"len", EXPR_AGGREGATE, 0, "len"},
      {"alias", EXPR_ROWWISE, 0, "z"},
      {"suffix", EXPR_ROWWISE, 0, "x_s"},
      {"upper", EXPR_ROWWISE, 0, "X"},
      {"keep", EXPR_ROWWISE, 0, "x"},
      {"renamed", EXPR_ROWWISE, 0, NULL},
      {"binary", EXPR_ROWWISE, 0, "x"},
      {"cast", EXPR_ROWWISE, 0, "x"},
      {"cast_as", EXPR_OTHER, ORDER | IMPURE, "x"},
      {"ternary", EXPR_ROWWISE, 0, "y"},
      {"is_in", EXPR_ROWWISE, 0, "x"},
      {"is_in_series", EXPR_ROWWISE, 0, "x"},
      {"is_in_column", EXPR_OTHER, ORDER, "x"},
      {"strptime", EXPR_ROWWISE, 0, "s"},
      {"strptime_guessed", EXPR_OTHER, ORDER, "s"},
      {"field", EXPR_ROWWISE, 0, "f"},
      {"with_fields", EXPR_ROWWISE, 0, "st"},
      {"list_eval", EXPR_ROWWISE, 0, "l"},
      {"list_shuffle", EXPR_OTHER, ORDER | IMPURE, "l"},
      {"cumulative_eval", EXPR_OTHER, ORDER, "x"},
      {"struct", EXPR_ROWWISE, 0, "x"},
      {"python", EXPR_ROWWISE, IMPURE, "x"},
      {"python_whole", EXPR_OTHER, ORDER | IMPURE, "x"},
      {"fold", EXPR_OTHER, ORDER | IMPURE, "literal"},
      {"shuffle", EXPR_OTHER, ORDER | IMPURE, "x"},
      {"cum_sum", EXPR_OTHER, ORDER, "x"},
      {"sort_by", EXPR_OTHER, ORDER, "x"},
      {"slice", EXPR_OTHER, ORDER, "x"},
      {"filter", EXPR_OTHER, 0, "x"},
      {"centred", EXPR_OTHER, 0, "x"},
      {"over", EXPR_WINDOW, 0, "x"},
      {"over_order", EXPR_WINDOW, ORDER, "x"},
      {"over_rank", EXPR_WINDOW, 0, "x"},
      {"over_mixed", EXPR_WINDOW, 0, "x"},
      {"over_twice", EXPR_OTHER, 0, "x"},
      {"over_computed", EXPR_OTHER, ORDER, "x"},
      {"over_joined", EXPR_OTHER, ORDER, "x"},
      {"over_sum", EXPR_OTHER, 0, "x"},
      {"sum", EXPR_AGGREGATE, 0, "x"},
      {"first", EXPR_AGGREGATE, ORDER, "x"},
      {"filter_sum", EXPR_AGGREGATE, 0, "x"},
      {"literal_sum", EXPR_OTHER, 0, "literal"},
      {"ratio", EXPR_AGGREGATE, 0, "x"},
      {"sums", EXPR_AGGREGATE, 0, "x"},
  };
  arena a = {0};
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    plan_bytes expr = expression(&a, CASES[i].expression);
    expr_facts f = expr_read(expr);
    unsigned flags = (f.order ? ORDER : 0) | (f.impure ? IMPURE : 0);
    if (f.class != CASES[i].class || flags != CASES[i].flags || f.selector)
      fail_msg("%s: class %d, flags %u", CASES[i].expression, f.class, flags);
    assert_name(expr_output_name(&a, expr), CASES[i].name);
  }
  arena_deinit(&a);
}

static void assert_columns(const char *expression_name, size_t expected, const char *const *names) {
  arena a = {0};
  expr_name *found;
  size_t n;
  assert_true(expr_columns(&a, expression(&a, expression_name), &found, &n));
  assert_int_equal(n, expected);
  for (size_t i = 0; i < n; i++) assert_name(found[i], names[i]);
  arena_deinit(&a);
}

static void columns_are_found_once(void **state) {
  (void)state;
  assert_columns("binary", 2, (const char *const[]){"x", "y"});
  assert_columns("centred", 1, (const char *const[]){"x"});
  assert_columns("over_order", 3, (const char *const[]){"x", "g", "h"});
  assert_columns("with_fields", 2, (const char *const[]){"st", "x"});
  assert_columns("cast_as", 2, (const char *const[]){"x", "y"});
  assert_columns("literal", 0, NULL);
  arena a = {0};
  expr_name *names, name;
  size_t n;
  assert_false(expr_columns(&a, expression(&a, "selector_sum"), &names, &n));
  assert_true(expr_is_column(expression(&a, "column"), &name));
  assert_name(name, "x");
  assert_false(expr_is_column(expression(&a, "alias"), &name));
  arena_deinit(&a);
}

static void selectors_are_replaced(void **state) {
  (void)state;
  arena a = {0};
  plan_bytes selector = expression(&a, "selector"), sum = expression(&a, "selector_sum");
  expr_facts f = expr_read(sum);
  assert_true(f.class == EXPR_AGGREGATE && f.selector);
  assert_true(plan_bytes_equal(f.selector_value, selector));
  assert_true(expr_selector_expands(sum));
  assert_true(plan_bytes_equal(expr_with_column(&a, sum, name_of("x")), expression(&a, "sum")));
  assert_false(expr_selector_expands(expression(&a, "selector_in_place")));
  f = expr_read(expression(&a, "selectors"));
  assert_true(f.selector && !f.selector_value.data);
  f = expr_read(expression(&a, "fields")); /* as many outputs as the struct has */
  assert_true(f.selector && !f.selector_value.data);
  assert_false(expr_selector_expands(expression(&a, "fields")));
  arena_deinit(&a);
}

static void windows_name_their_keys(void **state) {
  (void)state;
  arena a = {0};
  static const char KEYS[] = "\x92\x81\xa6"
                             "Column\xa1g\x81\xa6"
                             "Column\xa1h";
  plan_bytes keys = {(const uint8_t *)KEYS, sizeof KEYS - 1};
  assert_true(plan_bytes_equal(expr_read(expression(&a, "over_order")).window_keys, keys));
  assert_null(expr_read(expression(&a, "over_twice")).window_keys.data);
  arena_deinit(&a);
}

/* x + (x + (x + …)): deeper than anyone writes. */
static plan_bytes deep(arena *a, unsigned depth) {
  plan_bytes x = expr_column(a, name_of("x")), sum = x;
  for (unsigned i = 0; i < depth; i++) sum = expr_binary(a, x, "Plus", sum);
  return sum;
}

static void what_is_too_deep_is_other(void **state) {
  (void)state;
  arena a = {0};
  assert_int_equal(expr_read(deep(&a, 150)).class, EXPR_ROWWISE);
  assert_int_equal(expr_read(deep(&a, 250)).class, EXPR_OTHER);
  expr_name *names;
  size_t n;
  assert_true(expr_columns(&a, deep(&a, 2000), &names, &n));
  assert_int_equal(n, 1);
  arena_deinit(&a);
}

static void what_is_new_is_other(void **state) {
  (void)state;
  static const char *const VALUES[] = {"\x81\xa6"
                                       "Future\x81\xa6"
                                       "Column\xa1x", /* {"Future": {"Column": "x"}} */
                                       "\xa6"
                                       "Future",
                                       "\x81\xa3"
                                       "Agg\x81\xa6"
                                       "Future\x81\xa6"
                                       "Column\xa1x",
                                       "\x81\xa8"
                                       "Function\x82\xa5input\x91\x81\xa6"
                                       "Column\xa1x\xa8"
                                       "function\xa6"
                                       "Future",
                                       "\xc0",
                                       "\x90",
                                       "\x80",
                                       "\x07"};
  for (size_t i = 0; i < sizeof VALUES / sizeof *VALUES; i++) {
    plan_bytes value = {(const uint8_t *)VALUES[i], strlen(VALUES[i])};
    expr_facts f = expr_read(value);
    assert_true(f.class == EXPR_OTHER && f.order && f.impure);
  }
}

static void made_expressions_read_as_they_are_meant(void **state) {
  (void)state;
  arena a = {0};
  plan_bytes keys[] = {expression(&a, "column"), expression(&a, "column")};
  plan_bytes hash = expr_hash_partition(&a, keys, 2, 300);
  assert_int_equal(expr_read(hash).class, EXPR_ROWWISE);
  plan_bytes boundary = {(const uint8_t *)"\x01\x00\xff", 3};
  plan_bytes range = expr_range_partition(&a, keys[0], &boundary, 1);
  assert_int_equal(expr_read(range).class, EXPR_ROWWISE);
  assert_int_equal(expr_read(expr_range_partition(&a, keys[0], NULL, 0)).class, EXPR_SCALAR);
  assert_int_equal(expr_read(expr_uint(&a, UINT64_MAX)).class, EXPR_SCALAR);
  for (int i = 0; i < 40; i++)
    keys[0] = expr_hash_partition(&a, keys, 1, 7); /* each is read once */
  assert_int_equal(expr_read(keys[0]).class, EXPR_ROWWISE);
  assert_name(expr_output_name(&a, expr_alias(&a, hash, "p", 1)), "p");
  arena_deinit(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(classes_flags_and_names),
      cmocka_unit_test(columns_are_found_once),
      cmocka_unit_test(selectors_are_replaced),
      cmocka_unit_test(windows_name_their_keys),
      cmocka_unit_test(what_is_too_deep_is_other),
      cmocka_unit_test(what_is_new_is_other),
      cmocka_unit_test(made_expressions_read_as_they_are_meant),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
