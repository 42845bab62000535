/* Unit tests of worker/splice. SPDX-License-Identifier: Apache-2.0 */
#include "worker/splice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static rc splice_all(const char *plan, uint64_t offset, uint32_t len, const char *text,
                     size_t piece, spool *out, err *e) {
  plan_splice s;
  rc r = splice_init(&s, offset, len, text, e);
  size_t total = strlen(plan);
  for (size_t at = 0; at < total && r == RC_OK; at += piece)
    r = splice_feed(&s, (const uint8_t *)plan + at, total - at < piece ? total - at : piece, out,
                    e);
  if (r == RC_OK) r = splice_end(&s, e);
  splice_deinit(&s);
  return r;
}

static void expect(uint64_t offset, uint32_t len, const char *text, const char *expected) {
  const char plan[] = "0123456789";
  for (size_t piece = 1; piece <= sizeof plan; piece++) {
    spool *out = spool_new("/tmp", 4096);
    const uint8_t *data;
    assert_int_equal(splice_all(plan, offset, len, text, piece, out, NULL), RC_OK);
    assert_int_equal(spool_view(out, &data, NULL), RC_OK);
    assert_int_equal(spool_len(out), strlen(expected));
    assert_memory_equal(data, expected, strlen(expected));
    spool_free(out);
  }
}

static void the_range_is_replaced_wherever_it_is(void **state) {
  (void)state;
  expect(3, 4, "/x", "012\xa2/x789");
  expect(0, 4, "/x", "\xa2/x456789");
  expect(6, 4, "/x", "012345\xa2/x");
  expect(0, 10, "", "\xa0");
  expect(4, 0, NULL, "0123456789");
}

static void lengths_have_three_forms(void **state) {
  (void)state;
  const struct {
    size_t len;
    const char *head;
    size_t head_len;
  } cases[] = {
      {31, "\xbf", 1}, {32, "\xd9\x20", 2}, {255, "\xd9\xff", 2}, {256, "\xda\x01\x00", 3}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[300] = {0};
    memset(text, 'p', cases[i].len);
    plan_splice s;
    assert_int_equal(splice_init(&s, 0, 1, text, NULL), RC_OK);
    assert_int_equal(s.with.len, cases[i].head_len + cases[i].len);
    assert_memory_equal(s.with.data, cases[i].head, cases[i].head_len);
    splice_deinit(&s);
  }
}

static void a_range_that_is_not_in_the_plan(void **state) {
  (void)state;
  const struct {
    uint64_t offset;
    uint32_t len;
  } cases[] = {{7, 4}, {10, 1}, {1000, 12}, {UINT64_MAX, 1}, {UINT64_MAX - 3, 12}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    spool *out = spool_new("/tmp", 4096);
    err e = {0};
    rc r = splice_all("0123456789", cases[i].offset, cases[i].len, "/x", 3, out, &e);
    assert_int_equal(r, RC_INVALID);
    assert_non_null(strstr(e.text, "plan"));
    spool_free(out);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_range_is_replaced_wherever_it_is),
      cmocka_unit_test(lengths_have_three_forms),
      cmocka_unit_test(a_range_that_is_not_in_the_plan),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
