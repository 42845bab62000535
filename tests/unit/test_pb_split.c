/* Unit tests of net/pb_split. SPDX-License-Identifier: Apache-2.0 */
#include "net/pb_split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { LONG = 17, MOST = 64 };

static rc take(void *arg, const uint8_t *data, size_t len, err *e) {
  assert_true(len > 0);
  return buf_append(arg, data, len, e);
}

static rc refuse(void *arg, const uint8_t *data, size_t len, err *e) {
  (void)arg, (void)data, (void)len;
  return ERR(e, RC_EXHAUSTED, "no room");
}

/* Splits `in`, fed in pieces of `piece` bytes. */
static rc split(const void *in, size_t len, size_t piece, pb_split *s, buf *plan, err *e) {
  pb_split_init(s, LONG, MOST, take, plan);
  for (size_t i = 0; i < len; i += piece)
    TRY(pb_split_feed(s, (const uint8_t *)in + i, len - i < piece ? len - i : piece, e));
  return pb_split_end(s, e);
}

/* field 1 varint 300, 2 string "ab", 3 fixed32, 4 fixed64, 17 = "plan", 5 varint, 6 = "" */
static const char MESSAGE[] = "\x08\xAC\x02"
                              "\x12\x02"
                              "ab"
                              "\x1D\1\2\3\4"
                              "\x21\1\2\3\4\5\6\7\x08"
                              "\x8A\x01\x04"
                              "plan"
                              "\x28\x01"
                              "\x32\x00";
static const char REST[] = "\x08\xAC\x02"
                           "\x12\x02"
                           "ab"
                           "\x1D\1\2\3\4"
                           "\x21\1\2\3\4\5\6\7\x08"
                           "\x28\x01"
                           "\x32\x00";

static void every_cut_gives_the_same(void **state) {
  (void)state;
  for (size_t piece = 1; piece < sizeof MESSAGE; piece++) {
    pb_split s;
    buf plan = {0};
    assert_int_equal(split(MESSAGE, sizeof MESSAGE - 1, piece, &s, &plan, NULL), RC_OK);
    assert_true(s.has_long);
    assert_string_equal(buf_text(&plan), "plan");
    assert_int_equal(s.rest.len, sizeof REST - 1);
    assert_memory_equal(s.rest.data, REST, sizeof REST - 1);
    pb_split_deinit(&s);
    pb_split_deinit(&s);
    buf_deinit(&plan);
  }
}

static void an_absent_or_empty_long_field_is_told_apart(void **state) {
  (void)state;
  pb_split s;
  buf plan = {0};
  assert_int_equal(split("", 0, 1, &s, &plan, NULL), RC_OK);
  assert_false(s.has_long);
  assert_int_equal(split("\x8A\x01\x00", 3, 1, &s, &plan, NULL), RC_OK);
  assert_true(s.has_long);
  assert_int_equal(plan.len + s.rest.len, 0);
  pb_split_deinit(&s);
}

static void what_is_not_our_protobuf_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t len;
    rc code;
    const char *why;
  } cases[] = {
      {"\x02\x00", 2, RC_INVALID, "field number"},                 /* field 0 */
      {"\x80\x80\x80\x80\x10\x00", 6, RC_INVALID, "field number"}, /* 2^29 */
      {"\x0B\x0C", 2, RC_INVALID, "group"},                        /* group */
      {"\x0E", 1, RC_INVALID, "wire type 6"},                      /* unknown */
      {"\x88\x01\x05", 3, RC_INVALID, "expected bytes"},           /* 17 as varint */
      {"\x8A\x01\x01x\x8A\x01\x01y", 8, RC_INVALID, "twice"},      /* twice */
      {"\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 11, RC_INVALID, "64 bits"}, /* 65 bits */
      {"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12, RC_INVALID,
       "64 bits"},                                    /* 11 bytes */
      {"\x08", 1, RC_INVALID, "cut off"},             /* no value */
      {"\x88", 1, RC_INVALID, "cut off"},             /* half a key */
      {"\x8A\x01\x05plan", 7, RC_INVALID, "cut off"}, /* half a plan */
      {"\x12\x41", 2, RC_EXHAUSTED, "at most 64"},    /* 65 announced */
      {"\x12\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11, RC_EXHAUSTED, "at most 64"}, /* 2^64-1 */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (size_t piece = 1; piece < 20; piece += 6) {
      pb_split s;
      buf plan = {0};
      err e = {0};
      assert_int_equal(split(cases[i].bytes, cases[i].len, piece, &s, &plan, &e), cases[i].code);
      if (!strstr(e.text, cases[i].why)) fail_msg("expected %s in %s", cases[i].why, e.text);
      pb_split_deinit(&s);
      buf_deinit(&plan);
    }
  }
}

static void the_rest_is_bounded(void **state) {
  (void)state;
  uint8_t fields[2 * MOST + 2];
  for (size_t i = 0; i < sizeof fields; i += 2) memcpy(fields + i, "\x08\x01", 2);
  pb_split s;
  buf plan = {0};
  assert_int_equal(split(fields, MOST, 7, &s, &plan, NULL), RC_OK);
  pb_split_deinit(&s);
  assert_int_equal(split(fields, MOST + 2, 7, &s, &plan, NULL), RC_EXHAUSTED);
  assert_int_equal(s.rest.len, MOST);
  pb_split_deinit(&s);
}

static void the_largest_varint_is_fine(void **state) {
  (void)state;
  pb_split s;
  buf plan = {0};
  assert_int_equal(split("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11, 3, &s, &plan, NULL),
                   RC_OK);
  assert_int_equal(s.rest.len, 11);
  pb_split_deinit(&s);
}

static void an_error_of_the_receiver_comes_through(void **state) {
  (void)state;
  pb_split s;
  err e = {0};
  pb_split_init(&s, LONG, MOST, refuse, NULL);
  assert_int_equal(pb_split_feed(&s, (const uint8_t *)MESSAGE, sizeof MESSAGE - 1, &e),
                   RC_EXHAUSTED);
  assert_string_equal(e.text, "no room");
  pb_split_deinit(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_cut_gives_the_same),
      cmocka_unit_test(an_absent_or_empty_long_field_is_told_apart),
      cmocka_unit_test(what_is_not_our_protobuf_is_refused),
      cmocka_unit_test(the_rest_is_bounded),
      cmocka_unit_test(the_largest_varint_is_fine),
      cmocka_unit_test(an_error_of_the_receiver_comes_through),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
