/* Unit tests of conf/values.c. SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "conf/values.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof *(array))
#define REFUSED INT64_MIN

typedef rc (*parse_number)(const char *text, int64_t *out, err *e);
typedef struct number_case {
  const char *text;
  int64_t value;
} number_case;

static void check_numbers(parse_number parse, const number_case *cases, size_t n) {
  for (size_t i = 0; i < n; i++) {
    err e = {0};
    int64_t value = REFUSED;
    rc r = parse(cases[i].text, &value, &e);
    if (value != cases[i].value) fail_msg("\"%s\" gives %lld", cases[i].text, (long long)value);
    assert_int_equal(r, cases[i].value == REFUSED ? RC_INVALID : RC_OK);
    if (r != RC_OK) assert_non_null(strstr(e.text, "expected"));
  }
}

static void durations(void **state) {
  (void)state;
  enum { S = 1000, M = 60 * S, H = 60 * M, D = 24 * H };
  static const number_case cases[] = {
      {"5s", 5 * S},
      {"5 secs", 5 * S},
      {"5secs", 5 * S},
      {" 5 seconds\n", 5 * S},
      {"8h", 8 * H},
      {"8h0m0s", 8 * H},
      {"8h 0m 0s", 8 * H},
      {"20m", 20 * M},
      {"1 hour 30 minutes", 90 * M},
      {"1 hour, 30 minutes", 90 * M},
      {"1h30m", 90 * M},
      {"1.5h", 90 * M},
      {"0.25s", 250},
      {"100ms", 100},
      {"2 days", 2 * D},
      {"1w 1d", 8LL * D},
      {"1500 µs", 1},
      {"1500us", 1},
      {"3000000ns", 3},
      {"0s", 0},
      {"PT5S", 5 * S},
      {"pt5s", 5 * S},
      {"PT1.5S", 1500},
      {"PT1,5S", 1500},
      {"P1DT2H", D + 2 * H},
      {"P1W", 7LL * D},
      {"PT20M", 20 * M},
      {"PT8H0M0S", 8 * H},
      {"", REFUSED},
      {"  ", REFUSED},
      {"5", REFUSED},
      {"s", REFUSED},
      {"-5s", REFUSED},
      {"5x", REFUSED},
      {"5.s", REFUSED},
      {".5s", REFUSED},
      {"5s3h", REFUSED},
      {"5s 5s", REFUSED},
      {"1.5h 3m", REFUSED},
      {"1.5d", REFUSED},
      {"1h,", REFUSED},
      {"1h,,2m", REFUSED},
      {"3 months", REFUSED},
      {"1y", REFUSED},
      {"P", REFUSED},
      {"PT", REFUSED},
      {"P1M", REFUSED},
      {"P1H", REFUSED},
      {"P1Y", REFUSED},
      {"P1DT", REFUSED},
      {"PT5", REFUSED},
      {"PT5S1H", REFUSED},
      {"PT5STT", REFUSED},
      {"P5", REFUSED},
      {"999999999999999999w", REFUSED},
      {"99999999999999999999s", REFUSED},
      {"1.0123456789s", REFUSED},
  };
  check_numbers(value_duration_ms, cases, LEN(cases));
}

static void sizes(void **state) {
  (void)state;
  static const number_case cases[] = {
      {"0", 0},
      {"104857600", 104857600},
      {"1.048576e+08", 104857600},
      {"4GiB", 4LL << 30},
      {"4Gi", 4LL << 30},
      {"4 GiB\n", 4LL << 30},
      {"1.5GiB", 3LL << 29},
      {"512 MB", 512000000},
      {"512M", 512000000},
      {"3kB", 3000},
      {"3KB", 3000},
      {"3k", 3000},
      {"3KiB", 3072},
      {"2TiB", 2LL << 40},
      {"1PiB", 1LL << 50},
      {"7B", 7},
      {"7 b", 7},
      {"", REFUSED},
      {"GiB", REFUSED},
      {"4G iB", REFUSED},
      {"4GiBB", REFUSED},
      {"4 potatoes", REFUSED},
      {"4m", REFUSED},
      {"4iB", REFUSED},
      {"-4GiB", REFUSED},
      {"99999999999999PB", REFUSED},
      {"1e", REFUSED},
  };
  check_numbers(value_bytes, cases, LEN(cases));
}

static void integers(void **state) {
  (void)state;
  static const number_case cases[] = {
      {"0", 0},
      {"-7", -7},
      {"+7", 7},
      {" 12\n", 12},
      {"007", 7},
      {"1.048576e+08", 104857600},
      {"1e3", 1000},
      {"2.0", 2},
      {"9223372036854775807", INT64_MAX},
      {"", REFUSED},
      {"1.5", REFUSED},
      {"1e300", REFUSED},
      {"1e17", REFUSED},
      {"inf", REFUSED},
      {"nan", REFUSED},
      {"0x10", REFUSED},
      {"1 2", REFUSED},
      {"12abc", REFUSED},
      {"e", REFUSED},
      {"9223372036854775808", REFUSED},
      {"99999999999999999999999999999999999999", REFUSED},
  };
  check_numbers(value_integer, cases, LEN(cases));
}

static rc milli_cores(const char *text, int64_t *out, err *e) {
  double cores;
  TRY(value_cores(text, &cores, e));
  *out = (int64_t)(cores * 1000 + 0.5);
  return RC_OK;
}

static rc bool_number(const char *text, int64_t *out, err *e) {
  bool b;
  TRY(value_bool(text, &b, e));
  *out = b;
  return RC_OK;
}

static rc port_number(const char *text, int64_t *out, err *e) {
  int port;
  TRY(value_port(text, &port, e));
  *out = port;
  return RC_OK;
}

static void cores_bools_ports(void **state) {
  (void)state;
  static const number_case cores[] = {{"2", 2000},     {"1.5", 1500},   {"500m", 500},
                                      {" 2.0 ", 2000}, {"", REFUSED},   {"m", REFUSED},
                                      {"-1", REFUSED}, {"2x", REFUSED}, {"1e3", REFUSED}};
  check_numbers(milli_cores, cores, LEN(cores));
  static const number_case bools[] = {
      {"true", 1}, {"True", 1},   {"1", 1},       {"yes\n", 1},    {"false", 0},      {"0", 0},
      {"NO", 0},   {"", REFUSED}, {"2", REFUSED}, {"on", REFUSED}, {"truee", REFUSED}};
  check_numbers(bool_number, bools, LEN(bools));
  static const number_case ports[] = {{"1", 1},           {"65535", 65535},   {" 5051 ", 5051},
                                      {"0", REFUSED},     {"65536", REFUSED}, {"", REFUSED},
                                      {"5051x", REFUSED}, {"-1", REFUSED},    {"100000", REFUSED}};
  check_numbers(port_number, ports, LEN(ports));
}

static void addresses(void **state) {
  (void)state;
  static const struct {
    const char *text, *host;
    int port; /* -1: refused */
  } cases[] = {
      {"10.0.0.1", "10.0.0.1", 0},
      {"10.0.0.1:5051", "10.0.0.1", 5051},
      {" 10.0.0.1:5051\n", "10.0.0.1", 5051},
      {":5051", NULL, 5051},
      {"[::1]:5051", "::1", 5051},
      {"[::1]", "::1", 0},
      {"::1", "::1", 0},
      {"fe80::1", "fe80::1", 0},
      {"localhost", "localhost", 0},
      {"polars-scheduler.ns.svc.cluster.local:5050", "polars-scheduler.ns.svc.cluster.local", 5050},
      {"my_host-1:80", "my_host-1", 80},
      {"", NULL, -1},
      {":", NULL, -1},
      {"a:", NULL, -1},
      {"a:b", NULL, -1},
      {"a:0", NULL, -1},
      {"a:65536", NULL, -1},
      {"a:-1", NULL, -1},
      {"300.1.1.1", NULL, -1},
      {"1.2.3", NULL, -1},
      {"[::1", NULL, -1},
      {"[::1]5051", NULL, -1},
      {"[::1]:", NULL, -1},
      {"[]:1", NULL, -1},
      {"[localhost]:1", NULL, -1},
      {"::1::2", NULL, -1},
      {"a b:1", NULL, -1},
      {"http://a:1", NULL, -1},
      {".a:1", NULL, -1},
  };
  for (size_t i = 0; i < LEN(cases); i++) {
    conf_address a = {0};
    err e = {0};
    rc r = value_address(cases[i].text, &a, &e);
    if ((r == RC_OK) != (cases[i].port >= 0)) fail_msg("\"%s\": %s", cases[i].text, e.text);
    if (r == RC_OK) {
      assert_int_equal(a.port, cases[i].port);
      assert_string_equal(a.host ? a.host : "", cases[i].host ? cases[i].host : "");
    }
    free(a.host);
  }
}

static void address_keeps_the_parts_that_a_text_lacks(void **state) {
  (void)state;
  conf_address a = {mem_strdup("10.0.0.1"), 7};
  assert_int_equal(value_address(":8", &a, NULL), RC_OK);
  assert_string_equal(a.host, "10.0.0.1");
  assert_int_equal(value_address("b", &a, NULL), RC_OK);
  assert_string_equal(a.host, "b");
  assert_int_equal(a.port, 8);
  assert_int_equal(value_address("c:x", &a, NULL), RC_INVALID);
  assert_string_equal(a.host, "b");
  free(a.host);
}

static void tokens_are_bounded_and_never_quoted(void **state) {
  (void)state;
  char *token = NULL, long_token[VALUE_MAX_TOKEN_BYTES + 2];
  memset(long_token, 'x', sizeof long_token);
  err e = {0};
  assert_int_equal(value_token("s3cret\n", 7, &token, &e), RC_OK);
  assert_string_equal(token, "s3cret");
  free(token);
  token = NULL;
  assert_int_equal(value_token(" \n", 2, &token, &e), RC_INVALID);
  assert_int_equal(value_token("s3cret with blanks", 18, &token, &e), RC_INVALID);
  assert_null(strstr(e.text, "s3cret"));
  assert_int_equal(value_token("s3\0cret", 7, &token, &e), RC_INVALID);
  assert_int_equal(value_token(long_token, VALUE_MAX_TOKEN_BYTES + 1, &token, &e), RC_INVALID);
  assert_int_equal(value_token(long_token, VALUE_MAX_TOKEN_BYTES, &token, &e), RC_OK);
  free(token);
}

static void texts_levels_hosts(void **state) {
  (void)state;
  char *s = NULL;
  assert_int_equal(value_text(" a b \n", &s, NULL), RC_OK);
  assert_string_equal(s, "a b");
  free(s);
  assert_int_equal(value_text(" \n", &s, NULL), RC_OK);
  assert_null(s);
  assert_int_equal(value_log_level("OFF", &s, NULL), RC_OK);
  assert_string_equal(s, "error");
  free(s);
  assert_int_equal(value_log_level("Debug", &s, NULL), RC_OK);
  free(s);
  s = NULL;
  assert_int_equal(value_log_level("loud", &s, NULL), RC_INVALID);
  assert_int_equal(value_log_level("informational", &s, NULL), RC_INVALID);
  assert_int_equal(value_log_level("", &s, NULL), RC_INVALID);
  assert_int_equal(value_folder("tmp", &s, NULL), RC_INVALID);
  assert_int_equal(value_host("a:1", &s, NULL), RC_INVALID);
  assert_int_equal(value_host("::1", &s, NULL), RC_OK);
  free(s);
}

static void shown_values_are_short_and_plain(void **state) {
  (void)state;
  assert_string_equal(value_show("a\nb\x1b[1m").s, "a?b?[1m");
  char text[500];
  memset(text, 'y', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  value_shown shown = value_show(text);
  assert_int_equal(strlen(shown.s), sizeof shown.s - 1);
  assert_non_null(strstr(shown.s, "y..."));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(durations),
      cmocka_unit_test(sizes),
      cmocka_unit_test(integers),
      cmocka_unit_test(cores_bools_ports),
      cmocka_unit_test(addresses),
      cmocka_unit_test(address_keeps_the_parts_that_a_text_lacks),
      cmocka_unit_test(tokens_are_bounded_and_never_quoted),
      cmocka_unit_test(texts_levels_hosts),
      cmocka_unit_test(shown_values_are_short_and_plain),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
