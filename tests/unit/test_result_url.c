/* Unit tests of store/result_url. SPDX-License-Identifier: Apache-2.0 */
#include "store/result_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ID "01234567-89ab-cdef-0123-456789abcdef"
#define PATH "/results/" ID "/part-00007.parquet"

static signing_digest key;
static buf url;

static int begin(void **state) {
  (void)state;
  result_part_id part = {.part = 7, .bytes = 1234, .worker = "w/ö 1", .expires_s = 1000};
  uuid_parse(ID, &part.query.u);
  return result_url_key("a-token", &key, NULL) == RC_OK &&
                 result_url_print(&key, "https://host:3001", &part, &url, NULL) == RC_OK
             ? 0
             : -1;
}

static int end(void **state) {
  (void)state;
  buf_deinit(&url);
  return 0;
}

static const char *signature(void) {
  return strstr(buf_text(&url), "signature=") + strlen("signature=");
}

static result_url_request request(void) {
  return (result_url_request){PATH, "1234", "w/ö 1", "1000", signature()};
}

static rc check(result_url_request r, int64_t now_s) {
  result_part_id out;
  return result_url_check(&key, &r, now_s, &out, NULL);
}

static void its_text(void **state) {
  (void)state;
  static const char BEGIN[] =
      "https://host:3001" PATH "?bytes=1234&worker=w%2F%C3%B6%201&expires=1000&signature=";
  assert_memory_equal(buf_text(&url), BEGIN, strlen(BEGIN));
  assert_int_equal(strlen(signature()), 64);
}

static void what_was_printed_is_right(void **state) {
  (void)state;
  result_part_id out;
  result_url_request r = request();
  assert_int_equal(result_url_check(&key, &r, 1000, &out, NULL), RC_OK);
  assert_string_equal(uuid_print(out.query.u).s, ID);
  assert_int_equal(out.part, 7);
  assert_int_equal(out.bytes, 1234);
  assert_string_equal(out.worker, "w/ö 1");
}

static void it_expires(void **state) {
  (void)state;
  result_part_id out;
  err e = {0};
  result_url_request r = request();
  assert_int_equal(result_url_check(&key, &r, 1001, &out, &e), RC_DENIED);
  assert_non_null(strstr(e.text, "expired"));
}

static void nothing_can_be_changed(void **state) {
  (void)state;
  result_url_request r = request();
  r.bytes = "1235";
  assert_int_equal(check(r, 0), RC_DENIED);
  r = request(), r.worker = "w";
  assert_int_equal(check(r, 0), RC_DENIED);
  r = request(), r.expires = "1001";
  assert_int_equal(check(r, 0), RC_DENIED);
  r = request(), r.path = "/results/" ID "/part-00008.parquet";
  assert_int_equal(check(r, 0), RC_DENIED);
  r = request(), r.signature = "0";
  assert_int_equal(check(r, 0), RC_DENIED);
  signing_digest other;
  result_part_id out;
  assert_int_equal(result_url_key("another token", &other, NULL), RC_OK);
  r = request();
  assert_int_equal(result_url_check(&other, &r, 0, &out, NULL), RC_DENIED);
  assert_int_equal(result_url_key(NULL, &other, NULL), RC_OK);
  assert_int_equal(result_url_check(&other, &r, 0, &out, NULL), RC_DENIED);
}

static void what_is_missing_or_written_otherwise(void **state) {
  (void)state;
  static const char *const NUMBERS[] = {NULL, "", "01234", "+1234", " 1234", "1234 ", "0x4d2"};
  for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
    result_url_request r = request();
    r.bytes = NUMBERS[i];
    assert_int_equal(check(r, 0), RC_DENIED);
    r = request(), r.expires = NUMBERS[i];
    assert_int_equal(check(r, 0), RC_DENIED);
  }
  result_url_request r = request();
  r.worker = NULL;
  assert_int_equal(check(r, 0), RC_DENIED);
  r = request(), r.signature = NULL;
  assert_int_equal(check(r, 0), RC_DENIED);
}

static void other_paths(void **state) {
  (void)state;
  static const char *const PATHS[] = {
      "",
      "/",
      "/results/",
      "/results/" ID,
      "/results/" ID "/",
      "/results/" ID "/part-00007",
      "/results/" ID "/part-7.parquet",
      "/results/" ID "/part-000007.parquet",
      "/results/" ID "/part--0007.parquet",
      "/results/" ID "/part-00007.parquet/x",
      "/results/" ID "/../part-00007.parquet",
      "/results/" ID "x/part-00007.parquet",
      "/results/01234567-89AB-cdef-0123-456789abcdef/part-00007.parquet",
      "/results/../" ID "/part-00007.parquet",
      "/results/" ID "/part-18446744073709551616.parquet",
      "/results/" ID "/part-4294967303.parquet",
  };
  for (size_t i = 0; i < sizeof PATHS / sizeof *PATHS; i++) {
    result_url_request r = request();
    r.path = PATHS[i];
    assert_int_equal(check(r, 0), RC_NOT_FOUND);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(its_text),
      cmocka_unit_test(what_was_printed_is_right),
      cmocka_unit_test(it_expires),
      cmocka_unit_test(nothing_can_be_changed),
      cmocka_unit_test(what_is_missing_or_written_otherwise),
      cmocka_unit_test(other_paths),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
