/* Unit tests of worker/runtime: which runtime a task needs. SPDX-License-Identifier: Apache-2.0 */
#include "worker/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 5 };
static Executor__Hello hellos[N];
static runtime runtimes[N];

static void set(int i, const char *polars, const char *python, const char *header) {
  executor__hello__init(&hellos[i]);
  hellos[i].polars_version = (char *)(uintptr_t)polars;
  hellos[i].python_version = (char *)(uintptr_t)python;
  hellos[i].plan_header = (ProtobufCBinaryData){strlen(header), (uint8_t *)(uintptr_t)header};
  runtimes[i] = (runtime){.hello = &hellos[i]};
}

static int choose(const char *header, const char *python, const char *polars) {
  ProtobufCBinaryData bytes = {strlen(header), (uint8_t *)(uintptr_t)header};
  return runtime_choose(runtimes, N, &bytes, python, polars);
}

static int fill(void **state) {
  (void)state;
  set(0, "2.0.9", "3.11.7", "new");
  set(1, "2.0.10", "3.11.7", "new");
  set(2, "2.0.10", "3.12.1", "new");
  set(3, "1.41.2", "3.11.7", "old");
  set(4, "9.9.9", "3.11.7", "new");
  runtimes[4].hello = NULL; /* left out */
  return 0;
}

static void the_plan_header_decides(void **state) {
  (void)state;
  assert_int_equal(choose("old", "", ""), 3);
  assert_int_equal(choose("older", "", ""), -1);
  assert_int_equal(choose("", "", ""), -1);
}

static void python_minor_or_micro(void **state) {
  (void)state;
  assert_int_equal(choose("new", "3.11", ""), 1);
  assert_int_equal(choose("new", "3.11.7", ""), 1);
  assert_int_equal(choose("new", "3.12", ""), 2);
  assert_int_equal(choose("new", "3.1", ""), -1);
  assert_int_equal(choose("new", "3.11.70", ""), -1);
  assert_int_equal(choose("old", "3.12", ""), -1);
}

static void the_same_polars_or_the_newest(void **state) {
  (void)state;
  assert_int_equal(choose("new", "", "2.0.9"), 0);
  assert_int_equal(choose("new", "", "2.0.1"), 2);
  assert_int_equal(choose("new", "3.11", "2.0.9"), 0);
}

static void a_runtime_may_not_change(void **state) {
  (void)state;
  assert_int_equal(runtime_check_same(&runtimes[1], &hellos[1], NULL), RC_OK);
  err e = {0};
  assert_int_equal(runtime_check_same(&runtimes[1], &hellos[2], &e), RC_PRECONDITION);
  assert_non_null(strstr(e.text, "3.12.1"));
}

static void printing(void **state) {
  (void)state;
  buf out = {0};
  runtime_print(runtimes + 3, 2, &out);
  assert_string_equal(buf_text(&out), "polars 1.41.2 (Python 3.11.7)");
  buf_clear(&out);
  runtime_print(runtimes + 4, 1, &out);
  assert_string_equal(buf_text(&out), "none");
  buf_deinit(&out);
}

static void folders_without_python(void **state) {
  (void)state;
  runtime *found;
  size_t n;
  err e = {0};
  assert_int_equal(runtime_find("/proc/self/task", &found, &n, &e), RC_NOT_FOUND);
  assert_non_null(strstr(e.text, "worker.runtimes_dir"));
  assert_int_equal(runtime_find("/nonexistent", &found, &n, &e), RC_NOT_FOUND);
  assert_int_equal(runtime_find(NULL, &found, &n, &e), RC_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_plan_header_decides),
      cmocka_unit_test(python_minor_or_micro),
      cmocka_unit_test(the_same_polars_or_the_newest),
      cmocka_unit_test(a_runtime_may_not_change),
      cmocka_unit_test(printing),
      cmocka_unit_test(folders_without_python),
  };
  return cmocka_run_group_tests(tests, fill, NULL);
}
