/* Unit tests of net/http_range. SPDX-License-Identifier: Apache-2.0 */
#include "net/http_range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(const char *text, uint64_t bytes, http_range_kind kind, uint64_t first,
                   uint64_t len) {
  http_range r = {9, 9};
  assert_int_equal(http_range_read(text, bytes, &r), kind);
  assert_int_equal(r.first, first);
  assert_int_equal(r.len, len);
}

static void parts(void **state) {
  (void)state;
  expect("bytes=0-0", 10, HTTP_RANGE_PART, 0, 1);
  expect("bytes=2-5", 10, HTTP_RANGE_PART, 2, 4);
  expect("Bytes=9-9", 10, HTTP_RANGE_PART, 9, 1);
  expect("bytes=3-", 10, HTTP_RANGE_PART, 3, 7);
  expect("bytes=-4", 10, HTTP_RANGE_PART, 6, 4);
}

static void what_is_larger_than_the_file(void **state) {
  (void)state;
  expect("bytes=2-10", 10, HTTP_RANGE_PART, 2, 8);
  expect("bytes=2-99999999999999999999999", 10, HTTP_RANGE_PART, 2, 8);
  expect("bytes=0-18446744073709551615", 10, HTTP_RANGE_PART, 0, 10);
  expect("bytes=-262144", 10, HTTP_RANGE_PART, 0, 10);
  expect("bytes=-18446744073709551616", 10, HTTP_RANGE_PART, 0, 10);
  expect("bytes=5-", UINT64_MAX, HTTP_RANGE_PART, 5, UINT64_MAX - 5);
}

static void what_is_outside(void **state) {
  (void)state;
  expect("bytes=10-", 10, HTTP_RANGE_OUTSIDE, 0, 0);
  expect("bytes=10-12", 10, HTTP_RANGE_OUTSIDE, 0, 0);
  expect("bytes=99999999999999999999-", 10, HTTP_RANGE_OUTSIDE, 0, 0);
  expect("bytes=-0", 10, HTTP_RANGE_OUTSIDE, 0, 0);
  expect("bytes=0-0", 0, HTTP_RANGE_OUTSIDE, 0, 0);
  expect("bytes=-1", 0, HTTP_RANGE_OUTSIDE, 0, 0);
}

static void what_is_passed_over(void **state) {
  (void)state;
  static const char *const TEXTS[] = {
      "",          "bytes",      "bytes=",     "bytes=-",     "bytes=a-b",  "bytes=1-2,4-5",
      "bytes=5-2", "rows=1-2",   "bytes=1",    "bytes= 1-2",  "bytes=1-2 ", "bytes=--1",
      "bytes=+1-", "bytes=1-+2", "bytes=0x1-", "bytes=1-2-3",
  };
  expect(NULL, 10, HTTP_RANGE_ALL, 0, 10);
  for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++)
    expect(TEXTS[i], 10, HTTP_RANGE_ALL, 0, 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parts),
      cmocka_unit_test(what_is_larger_than_the_file),
      cmocka_unit_test(what_is_outside),
      cmocka_unit_test(what_is_passed_over),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
