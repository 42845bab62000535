/* Unit tests of plan/msgpack.c. SPDX-License-Identifier: Apache-2.0 */
#include "plan/msgpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static msgpack cursor(const void *bytes, size_t len) {
  const uint8_t *start = bytes;
  return (msgpack){start, start, start + len};
}

#define BYTES(text) (text), sizeof(text) - 1

static void every_head_is_decoded(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t len;
    msgpack_kind kind;
    uint64_t n;
    size_t head; /* where the token's data begins */
  } cases[] = {
      {BYTES("\x00"), MSGPACK_UINT, 0, 0},
      {BYTES("\x7f"), MSGPACK_UINT, 127, 0},
      {BYTES("\xff"), MSGPACK_INT, (uint64_t)-1, 0},
      {BYTES("\xe0"), MSGPACK_INT, (uint64_t)-32, 0},
      {BYTES("\xc0"), MSGPACK_NIL, 0, 0},
      {BYTES("\xc2"), MSGPACK_BOOL, 0, 0},
      {BYTES("\xc3"), MSGPACK_BOOL, 1, 0},
      {BYTES("\xcc\xff"), MSGPACK_UINT, 255, 0},
      {BYTES("\xcd\x01\x02"), MSGPACK_UINT, 0x102, 0},
      {BYTES("\xce\x01\x02\x03\x04"), MSGPACK_UINT, 0x1020304, 0},
      {BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), MSGPACK_UINT, UINT64_MAX, 0},
      {BYTES("\xd0\x80"), MSGPACK_INT, (uint64_t)-128, 0},
      {BYTES("\xd1\xff\xfe"), MSGPACK_INT, (uint64_t)-2, 0},
      {BYTES("\xd2\x80\x00\x00\x00"), MSGPACK_INT, (uint64_t)INT32_MIN, 0},
      {BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), MSGPACK_INT, (uint64_t)INT64_MIN, 0},
      {BYTES("\xca\x3f\x80\x00\x00"), MSGPACK_FLOAT, 4, 1},
      {BYTES("\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"), MSGPACK_FLOAT, 8, 1},
      {BYTES("\xa2hi"), MSGPACK_STR, 2, 1},
      {BYTES("\xd9\x02hi"), MSGPACK_STR, 2, 2},
      {BYTES("\xda\x00\x02hi"), MSGPACK_STR, 2, 3},
      {BYTES("\xdb\x00\x00\x00\x02hi"), MSGPACK_STR, 2, 5},
      {BYTES("\xc4\x01x"), MSGPACK_BIN, 1, 2},
      {BYTES("\xc5\x00\x01x"), MSGPACK_BIN, 1, 3},
      {BYTES("\xc6\x00\x00\x00\x01x"), MSGPACK_BIN, 1, 5},
      {BYTES("\xc7\x01\x05x"), MSGPACK_EXT, 2, 2},
      {BYTES("\xc8\x00\x01\x05x"), MSGPACK_EXT, 2, 3},
      {BYTES("\xc9\x00\x00\x00\x01\x05x"), MSGPACK_EXT, 2, 5},
      {BYTES("\xd4\x05x"), MSGPACK_EXT, 2, 1},
      {BYTES("\xd5\x05xx"), MSGPACK_EXT, 3, 1},
      {BYTES("\xd6\x05xxxx"), MSGPACK_EXT, 5, 1},
      {BYTES("\xd7\x05xxxxxxxx"), MSGPACK_EXT, 9, 1},
      {BYTES("\xd8\x05xxxxxxxxxxxxxxxx"), MSGPACK_EXT, 17, 1},
      {BYTES("\x92\x00\x00"), MSGPACK_ARRAY, 2, 0},
      {BYTES("\xdc\x00\x02\x00\x00"), MSGPACK_ARRAY, 2, 0},
      {BYTES("\xdd\x00\x00\x00\x02\x00\x00"), MSGPACK_ARRAY, 2, 0},
      {BYTES("\x81\x00\x00"), MSGPACK_MAP, 1, 0},
      {BYTES("\xde\x00\x01\x00\x00"), MSGPACK_MAP, 1, 0},
      {BYTES("\xdf\x00\x00\x00\x01\x00\x00"), MSGPACK_MAP, 1, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    msgpack m = cursor(cases[i].bytes, cases[i].len), whole = m;
    msgpack_token t;
    assert_int_equal(msgpack_next(&m, &t, NULL), RC_OK);
    assert_int_equal(t.kind, cases[i].kind);
    assert_int_equal(t.n, cases[i].n);
    if (cases[i].head) assert_ptr_equal(t.data, cases[i].bytes + cases[i].head);
    assert_int_equal(msgpack_walk(&whole, NULL, NULL, NULL), RC_OK);
    assert_ptr_equal(whole.at, whole.end);
    for (size_t len = 0; len < cases[i].len; len++) {
      err e = {0};
      msgpack cut = cursor(cases[i].bytes, len);
      assert_int_equal(msgpack_walk(&cut, NULL, NULL, &e), RC_INVALID);
      assert_non_null(strstr(e.text, "cut off"));
    }
  }
}

static void what_announces_too_much_is_refused_at_once(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t len;
  } cases[] = {{BYTES("\xdd\xff\xff\xff\xff")},
               {BYTES("\xdf\xff\xff\xff\xff\x00")},
               {BYTES("\xdb\xff\xff\xff\xff\x00")},
               {BYTES("\xc9\xff\xff\xff\xff\x00")},
               {BYTES("\x93\x92\x00\x00\x00")}, /* each alone would fit */
               {BYTES("\xc1")}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    msgpack m = cursor(cases[i].bytes, cases[i].len);
    assert_int_equal(msgpack_walk(&m, NULL, NULL, NULL), RC_INVALID);
  }
}

static void depth_costs_nothing(void **state) {
  (void)state;
  enum { DEPTH = 1000000 };
  uint8_t *nested = malloc(DEPTH + 1);
  memset(nested, 0x91, DEPTH);
  nested[DEPTH] = 0xc0;
  msgpack m = cursor(nested, DEPTH + 1);
  assert_int_equal(msgpack_walk(&m, NULL, NULL, NULL), RC_OK);
  assert_ptr_equal(m.at, m.end);
  free(nested);
}

/* ---- long arrays of small integers: the quick way must equal the plain way ---- */

static size_t put_array(uint8_t *out, const uint8_t *values, uint16_t n) {
  size_t len = 0;
  out[len++] = 0xdc;
  out[len++] = (uint8_t)(n >> 8);
  out[len++] = (uint8_t)n;
  for (uint16_t i = 0; i < n; i++) {
    if (values[i] >= 0x80) out[len++] = 0xcc;
    out[len++] = values[i];
  }
  return len;
}

static void bytes_as_arrays_are_walked_exactly(void **state) {
  (void)state;
  enum { MOST = 700 };
  static uint8_t values[MOST], array[3 + 2 * MOST + 1];
  unsigned seed = 1;
  for (int round = 0; round < 3000; round++) {
    uint16_t n = (uint16_t)(round % MOST);
    for (uint16_t i = 0; i < n; i++) {
      seed = seed * 1103515245u + 12345u;
      uint8_t any = (uint8_t)(seed >> 16);
      values[i] = round % 3 == 0 ? any : any & 3 ? 0xcc : any; /* long runs of the head's byte */
    }
    size_t len = put_array(array, values, n);
    array[len] = 0xc0; /* the next value: must not be touched */
    msgpack m = cursor(array, len + 1), cut = cursor(array, len - 1);
    assert_int_equal(msgpack_walk(&m, NULL, NULL, NULL), RC_OK);
    assert_ptr_equal(m.at, array + len);
    assert_int_equal(msgpack_walk(&cut, NULL, NULL, NULL), RC_INVALID);
  }
}

static void one_odd_item_among_small_integers(void **state) {
  (void)state;
  enum { N = 300 };
  static uint8_t values[N], array[3 + 2 * N];
  static const uint8_t odd[] = {0xc0, 0xc1, 0xff, 0x90, 0xa0};
  for (size_t at = 0; at < N; at++) {
    size_t len = put_array(array, values, N);
    array[3 + at] = odd[at % sizeof odd];
    msgpack m = cursor(array, len);
    rc expected = array[3 + at] == 0xc1 ? RC_INVALID : RC_OK;
    assert_int_equal(msgpack_walk(&m, NULL, NULL, NULL), expected);
    if (expected == RC_OK) assert_ptr_equal(m.at, m.end);
  }
}

/* ---- going down ---- */

static void enter_and_index_find_or_stay(void **state) {
  (void)state;
  /* {1: [], "a": {"b": [10, [11], "x"]}} */
  msgpack m = cursor(BYTES("\x82\x01\x90\xa1\x61\x81\xa1\x62\x93\x0a\x91\x0b\xa1x")), at = m;
  msgpack_token t;
  assert_true(msgpack_enter(&at, "a") && msgpack_enter(&at, "b") && msgpack_index(&at, 2));
  assert_int_equal(msgpack_next(&at, &t, NULL), RC_OK);
  assert_true(msgpack_is(&t, "x"));
  assert_false(msgpack_is(&t, "xy"));
  at = m;
  assert_false(msgpack_enter(&at, "b"));
  assert_false(msgpack_index(&at, 0));
  assert_ptr_equal(at.at, m.at);
  assert_true(msgpack_enter(&at, "a") && msgpack_enter(&at, "b"));
  assert_false(msgpack_index(&at, 3));
  assert_false(msgpack_enter(&at, "a"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_head_is_decoded),
      cmocka_unit_test(what_announces_too_much_is_refused_at_once),
      cmocka_unit_test(depth_costs_nothing),
      cmocka_unit_test(bytes_as_arrays_are_walked_exactly),
      cmocka_unit_test(one_odd_item_among_small_integers),
      cmocka_unit_test(enter_and_index_find_or_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
