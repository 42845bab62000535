/* Unit tests of plan/pack.c: the bytes, and that plan/msgpack.c reads the same out of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "plan/msgpack.h"
#include "plan/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The token that the packer holds in so many bytes; the packer is emptied. What the head announces
 * follows as room in the buffer. */
static msgpack_token read_back(buf *b, size_t expected_bytes) {
  enum { ROOM = 1 << 17 };
  assert_int_equal(b->len, expected_bytes);
  assert_int_equal(buf_reserve(b, ROOM, NULL), RC_OK);
  msgpack m = {b->data, b->data, b->data + b->len + ROOM};
  msgpack_token t = {0};
  err e = {0};
  if (msgpack_next(&m, &t, &e) != RC_OK) fail_msg("%s", e.text);
  buf_clear(b);
  return t;
}

static void integers_are_as_short_as_they_can_be(void **state) {
  (void)state;
  static const struct {
    int64_t value;
    size_t bytes;
    const char *packed;
  } cases[] = {
      {0, 1, "\x00"},
      {127, 1, "\x7f"},
      {128, 2, "\xcc\x80"},
      {255, 2, "\xcc\xff"},
      {256, 3, "\xcd\x01\x00"},
      {65535, 3, "\xcd\xff\xff"},
      {65536, 5, "\xce\x00\x01\x00\x00"},
      {4294967295, 5, "\xce\xff\xff\xff\xff"},
      {4294967296, 9, "\xcf\x00\x00\x00\x01\x00\x00\x00\x00"},
      {INT64_MAX, 9, "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"},
      {-1, 1, "\xff"},
      {-32, 1, "\xe0"},
      {-33, 2, "\xd0\xdf"},
      {-128, 2, "\xd0\x80"},
      {-129, 3, "\xd1\xff\x7f"},
      {-32768, 3, "\xd1\x80\x00"},
      {-32769, 5, "\xd2\xff\xff\x7f\xff"},
      {INT32_MIN, 5, "\xd2\x80\x00\x00\x00"},
      {(int64_t)INT32_MIN - 1, 9, "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff"},
      {INT64_MIN, 9, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00"},
  };
  buf b = {0};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pack_int(&b, cases[i].value);
    assert_int_equal(b.len, cases[i].bytes);
    assert_memory_equal(b.data, cases[i].packed, b.len);
    msgpack_token t = read_back(&b, cases[i].bytes);
    assert_int_equal(t.kind, cases[i].value < 0 ? MSGPACK_INT : MSGPACK_UINT);
    assert_true((int64_t)t.n == cases[i].value);
  }
  pack_uint(&b, UINT64_MAX);
  assert_true(read_back(&b, 9).n == UINT64_MAX);
  buf_deinit(&b);
}

static void lengths_are_as_short_as_they_can_be(void **state) {
  (void)state;
  static const struct {
    size_t n, str, bin, items; /* bytes of the head */
  } cases[] = {
      {0, 1, 2, 1},   {15, 1, 2, 1},  {16, 1, 2, 3},    {31, 1, 2, 3},    {32, 2, 2, 3},
      {255, 2, 2, 3}, {256, 3, 3, 3}, {65535, 3, 3, 3}, {65536, 5, 5, 5},
  };
  buf b = {0};
  char *data = calloc(1, 65536);
  assert_non_null(data);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t n = cases[i].n;
    pack_str(&b, data, n);
    msgpack_token str = read_back(&b, cases[i].str + n);
    assert_true(str.kind == MSGPACK_STR && str.n == n);
    pack_bin(&b, data, n);
    msgpack_token bin = read_back(&b, cases[i].bin + n);
    assert_true(bin.kind == MSGPACK_BIN && bin.n == n);
    pack_array(&b, n);
    msgpack_token array = read_back(&b, cases[i].items);
    assert_true(array.kind == MSGPACK_ARRAY && array.n == n);
    pack_map(&b, n);
    msgpack_token map = read_back(&b, cases[i].items);
    assert_true(map.kind == MSGPACK_MAP && map.n == n);
  }
  free(data);
  buf_deinit(&b);
}

static void the_rest(void **state) {
  (void)state;
  static const char expected[] = "\xc0\xc2\xc3\xcb\x3f\xf8\0\0\0\0\0\0\xa2hi\x93\x01\x02\x03";
  buf b = {0};
  arena a = {0};
  pack_nil(&b);
  pack_bool(&b, false);
  pack_bool(&b, true);
  pack_float(&b, 1.5);
  pack_text(&b, "hi");
  pack_raw(&b, (plan_bytes){(const uint8_t *)"\x93\x01\x02\x03", 4});
  plan_bytes done = pack_done(&b, &a);
  assert_null(b.data);
  assert_int_equal(done.len, sizeof expected - 1);
  assert_memory_equal(done.data, expected, done.len);
  arena_deinit(&a);
}

static void equal_is_by_content(void **state) {
  (void)state;
  plan_bytes x = {(const uint8_t *)"abc", 3}, y = {(const uint8_t *)"abcd", 3}, z = {x.data, 2};
  assert_true(plan_bytes_equal(x, y));
  assert_false(plan_bytes_equal(x, z));
  assert_false(plan_bytes_equal(x, (plan_bytes){(const uint8_t *)"abd", 3}));
  assert_true(plan_bytes_equal((plan_bytes){0}, (plan_bytes){0}));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(integers_are_as_short_as_they_can_be),
      cmocka_unit_test(lengths_are_as_short_as_they_can_be),
      cmocka_unit_test(the_rest),
      cmocka_unit_test(equal_is_by_content),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
