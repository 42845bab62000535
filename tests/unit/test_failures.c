/* Unit tests of scheduler/failures. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/failures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(failures *f, const char *json) {
  char *text = failures_json(f);
  assert_string_equal(text, json);
  free(text);
  failures_deinit(f);
  assert_null(failures_newest(f));
}

static void none(void **state) {
  (void)state;
  failures f = {0};
  expect(&f, "{\"scheduler\":\"RuntimeError: the query failed without a reason\"}");
}

static void of_one_worker(void **state) {
  (void)state;
  failures f = {0};
  failures_add(&f, "w0", "RuntimeError", "first");
  failures_add(&f, "w0", "SchemaError", "é \"second\"");
  assert_string_equal(failures_newest(&f), "SchemaError: é \"second\"");
  expect(&f, "{\"scheduler\":\"SchemaError: é \\\"second\\\"\"}");
}

static void of_several_workers_the_newest_first(void **state) {
  (void)state;
  failures f = {0};
  failures_add(&f, "w0", "RuntimeError", "a");
  failures_add(&f, NULL, "RuntimeError", "ours");
  failures_add(&f, "w1", "RuntimeError", "b");
  failures_add(&f, "w0", "ComputeError", "c");
  expect(&f, "{\"w0\":\"ComputeError: c\",\"w1\":\"RuntimeError: b\","
             "\"scheduler\":\"ComputeError: c\"}");
}

static void of_many_workers_the_newest(void **state) {
  (void)state;
  failures f = {0};
  char name[8];
  for (int i = 0; i < 3 * FAILURES_MOST; i++) {
    snprintf(name, sizeof name, "w%d", i);
    failures_add(&f, name, "RuntimeError", name);
  }
  assert_int_equal(f.n, FAILURES_MOST);
  assert_string_equal(f.items[0].worker, "w23");
  assert_string_equal(f.items[FAILURES_MOST - 1].worker, "w16");
  failures_deinit(&f);
}

static void types_that_a_client_must_not_raise(void **state) {
  (void)state;
  static const char *const TYPES[] = {"SystemExit", "KeyboardInterrupt", "exit",    "eval", "",
                                      "Error",      "a.b.Error",         "x()Error"};
  for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
    failures f = {0};
    failures_add(&f, "w0", TYPES[i], "3");
    assert_memory_equal(failures_newest(&f), "RuntimeError: ", 14);
    assert_non_null(strstr(failures_newest(&f), TYPES[i]));
    failures_deinit(&f);
  }
}

static void texts_that_are_not_utf8(void **state) {
  (void)state;
  failures f = {0};
  failures_add(&f, "w0", "ValueError", "\xff");
  expect(&f, "{\"scheduler\":\"RuntimeError: the error's text is not UTF-8\"}");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(none),
      cmocka_unit_test(of_one_worker),
      cmocka_unit_test(of_several_workers_the_newest_first),
      cmocka_unit_test(of_many_workers_the_newest),
      cmocka_unit_test(types_that_a_client_must_not_raise),
      cmocka_unit_test(texts_that_are_not_utf8),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
