/* Unit tests of worker/splice. SPDX-License-Identifier: Apache-2.0 */
#include "worker/splice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char PLAN[] = "0123456789";

static splice_range range(uint64_t offset, uint32_t len, const char *with) {
  return (splice_range){offset, len, (const uint8_t *)with, strlen(with)};
}

static rc feed_all(plan_splice *s, size_t piece, spool *out, err *e) {
  size_t total = strlen(PLAN);
  for (size_t at = 0; at < total; at += piece)
    TRY(splice_feed(s, (const uint8_t *)PLAN + at, total - at < piece ? total - at : piece, out,
                    e));
  return splice_end(s, e);
}

static void expect_text(spool *out, const char *expected) {
  const uint8_t *data;
  assert_int_equal(spool_view(out, &data, NULL), RC_OK);
  assert_int_equal(spool_len(out), strlen(expected));
  assert_memory_equal(data, expected, strlen(expected));
  spool_free(out);
}

static void expect(uint64_t offset, uint32_t len, const char *text, const char *expected) {
  for (size_t piece = 1; piece <= sizeof PLAN; piece++) {
    spool *out = spool_new("/tmp", 4096);
    plan_splice s = {0};
    if (len) assert_int_equal(splice_add_text(&s, offset, len, text, NULL), RC_OK);
    assert_int_equal(feed_all(&s, piece, out, NULL), RC_OK);
    splice_deinit(&s);
    expect_text(out, expected);
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

static void several_ranges_in_any_order(void **state) {
  (void)state;
  const splice_range ranges[] = {range(0, 1, "a"), range(1, 2, ""), range(5, 1, "cccc"),
                                 range(8, 2, "d")};
  const unsigned char orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}};
  for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
    for (size_t piece = 1; piece <= sizeof PLAN; piece++) {
      spool *out = spool_new("/tmp", 4096);
      plan_splice s = {0};
      for (size_t k = 0; k < 4; k++)
        assert_int_equal(splice_add(&s, &ranges[orders[i][k]], NULL), RC_OK);
      assert_int_equal(splice_add_text(&s, 6, 1, "/x", NULL), RC_OK);
      assert_int_equal(feed_all(&s, piece, out, NULL), RC_OK);
      splice_deinit(&s);
      expect_text(out, "a34cccc\xa2/x7d");
    }
}

static void ranges_that_overlap_are_refused(void **state) {
  (void)state;
  plan_splice s = {0};
  const splice_range first = range(4, 3, "x");
  assert_int_equal(splice_add(&s, &first, NULL), RC_OK);
  const splice_range bad[] = {
      range(4, 3, ""), range(6, 1, ""),          range(3, 2, ""),
      range(0, 9, ""), range(5, 1, ""),          range(4, 0, ""),
      range(7, 0, ""), range(UINT64_MAX, 1, ""), range(UINT64_MAX - 3, 12, "")};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    err e = {0};
    assert_int_equal(splice_add(&s, &bad[i], &e), RC_INVALID);
    assert_non_null(strstr(e.text, "splice"));
  }
  const splice_range good[] = {range(7, 1, ""), range(3, 1, "")};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    assert_int_equal(splice_add(&s, &good[i], NULL), RC_OK);
  assert_int_equal(splice_add_text(&s, 4, 1, "/x", NULL), RC_INVALID);
  splice_deinit(&s);
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
    plan_splice s = {0};
    assert_int_equal(splice_add_text(&s, 0, 1, text, NULL), RC_OK);
    assert_int_equal(s.text.len, cases[i].head_len + cases[i].len);
    assert_memory_equal(s.text.data, cases[i].head, cases[i].head_len);
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
    plan_splice s = {0};
    rc r = splice_add_text(&s, cases[i].offset, cases[i].len, "/x", &e);
    if (r == RC_OK) r = feed_all(&s, 3, out, &e);
    assert_int_equal(r, RC_INVALID);
    assert_non_null(strstr(e.text, "plan"));
    splice_deinit(&s);
    spool_free(out);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_range_is_replaced_wherever_it_is),
      cmocka_unit_test(several_ranges_in_any_order),
      cmocka_unit_test(ranges_that_overlap_are_refused),
      cmocka_unit_test(lengths_have_three_forms),
      cmocka_unit_test(a_range_that_is_not_in_the_plan),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
