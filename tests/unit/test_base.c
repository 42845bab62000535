/* Unit tests of base/: err, buf, map, id, spool. SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/map.h"
#include "base/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void err_text_is_cut_between_characters(void **state) {
  (void)state;
  err e = {0};
  char long_text[2000];
  for (size_t i = 0; i + 2 < sizeof long_text; i += 2) memcpy(long_text + i, "é", 2);
  long_text[1998] = '\0';
  assert_int_equal(ERR(&e, RC_INVALID, "x%s", long_text), RC_INVALID);
  size_t n = strlen(e.text);
  assert_true(n >= sizeof e.text - 3);
  assert_int_equal((n - 1) % 2, 0); /* one ASCII character, then whole pairs */
}

static void err_prefix_keeps_the_cause(void **state) {
  (void)state;
  err e = {0};
  rc r = ERR_ERRNO(&e, 2, "open(%s)", "a.toml");
  r = err_prefix(&e, r, "reading the configuration: ");
  assert_int_equal(r, RC_NOT_FOUND);
  assert_string_equal(e.text, "reading the configuration: open(a.toml): No such file or directory");
  assert_int_equal(rc_grpc(r), 5);
}

static void rc_maps_from_grpc(void **state) {
  (void)state;
  assert_int_equal(rc_from_grpc(14), RC_UNAVAILABLE);
  assert_int_equal(rc_from_grpc(13), RC_INTERNAL);
  assert_int_equal(rc_from_grpc(99), RC_INTERNAL);
}

static void buf_grows_and_stays_text(void **state) {
  (void)state;
  buf b = {0};
  assert_string_equal(buf_text(&b), "");
  for (int i = 0; i < 1000; i++) buf_printf(&b, "%d,", i);
  assert_int_equal(strlen(buf_text(&b)), b.len);
  err e = {0};
  assert_int_equal(buf_reserve(&b, SIZE_MAX - 10, &e), RC_NO_MEMORY);
  assert_true(strlen(e.text) > 0);
  buf_deinit(&b);
  buf_deinit(&b);
}

static void map_behaves_like_a_table(void **state) {
  (void)state;
  enum { N = 500 };
  static int values[N];
  int *expected[N] = {0};
  map m = {0};
  unsigned seed = 7;
  for (int step = 0; step < 50000; step++) {
    seed = seed * 1103515245u + 12345u;
    uint32_t key = (seed >> 8) % N;
    if ((seed >> 4) % 3) {
      assert_ptr_equal(map_put(&m, &key, sizeof key, &values[key]), expected[key]);
      expected[key] = &values[key];
    } else {
      assert_ptr_equal(map_remove(&m, &key, sizeof key), expected[key]);
      expected[key] = NULL;
    }
  }
  size_t alive = 0, walked = 0;
  for (uint32_t key = 0; key < N; key++) {
    assert_ptr_equal(map_get(&m, &key, sizeof key), expected[key]);
    alive += expected[key] != NULL;
  }
  size_t at = 0;
  for (void *v; map_each(&m, &at, &v);) walked++;
  assert_int_equal(m.len, alive);
  assert_int_equal(walked, alive);
  map_deinit(&m);
}

static void uuid_round_trips_and_refuses(void **state) {
  (void)state;
  uuid a = uuid_random(), b;
  assert_true(uuid_parse(uuid_print(a).s, &b));
  assert_true(uuid_equal(a, b));
  const char *bad[] = {"",
                       "x",
                       "00000000-0000-0000-0000-00000000000",
                       "00000000-0000-0000-0000-0000000000000",
                       "0000000000000000-0000-0000-000000000000",
                       "g0000000-0000-0000-0000-000000000000"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(uuid_parse(bad[i], &b));
}

static void spool_is_the_same_on_heap_and_disk(void **state) {
  (void)state;
  for (size_t limit = 10; limit < 100000; limit *= 100) {
    spool *s = spool_new("/tmp", limit);
    buf all = {0};
    for (int i = 0; i < 500; i++) {
      char piece[32];
      int n = snprintf(piece, sizeof piece, "piece %d;", i);
      assert_int_equal(spool_append(s, piece, (size_t)n, NULL), RC_OK);
      buf_puts(&all, piece);
    }
    assert_int_equal(spool_len(s), all.len);
    assert_int_equal(spool_fd(s) >= 0, all.len > limit);
    const uint8_t *view;
    assert_int_equal(spool_view(s, &view, NULL), RC_OK);
    assert_memory_equal(view, all.data, all.len);
    char part[64];
    size_t got;
    assert_int_equal(spool_read(s, all.len - 10, part, sizeof part, &got, NULL), RC_OK);
    assert_int_equal(got, 10);
    assert_memory_equal(part, all.data + all.len - 10, 10);
    spool_free(s);
    buf_deinit(&all);
  }
}

static void spool_says_which_folder_failed(void **state) {
  (void)state;
  spool *s = spool_new("/nonexistent/folder", 4);
  err e = {0};
  assert_int_equal(spool_append(s, "12345", 5, &e), RC_NOT_FOUND);
  assert_non_null(strstr(e.text, "/nonexistent/folder"));
  spool_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(err_text_is_cut_between_characters),
      cmocka_unit_test(err_prefix_keeps_the_cause),
      cmocka_unit_test(rc_maps_from_grpc),
      cmocka_unit_test(buf_grows_and_stays_text),
      cmocka_unit_test(map_behaves_like_a_table),
      cmocka_unit_test(uuid_round_trips_and_refuses),
      cmocka_unit_test(spool_is_the_same_on_heap_and_disk),
      cmocka_unit_test(spool_says_which_folder_failed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
