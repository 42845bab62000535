/* Unit tests of conf/toml.cpp; conformance is tests/conformance/toml_test.sh.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "conf/toml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static rc parse(const char *text, toml_document *doc, err *e) {
  return toml_parse(text, strlen(text), doc, e);
}

static void nodes_stand_in_pre_order_with_lines(void **state) {
  (void)state;
  static const char text[] = "z = 104_857_600\n"
                             "[b]\n"
                             "text = \"\"\"q\"\n\"\"\"\n"
                             "list = [1.5, {x = true}, []]\n"
                             "[a.when]\n"
                             "odt = 1979-05-27T07:32:00.5-07:00\n"
                             "ldt = 1979-05-27 07:32:00\n"
                             "ld = 1979-05-27\n"
                             "lt = 07:32:00.000001\n";
  static const struct {
    toml_type type;
    unsigned depth;
    int line;
    const char *key, *text;
  } expected[] = {
      {TOML_TABLE, 0, 1, NULL, NULL},
      {TOML_TABLE, 1, 6, "a", NULL},
      {TOML_TABLE, 2, 6, "when", NULL},
      {TOML_LOCAL_DATE, 3, 9, "ld", "1979-05-27"},
      {TOML_LOCAL_DATE_TIME, 3, 8, "ldt", "1979-05-27T07:32:00"},
      {TOML_LOCAL_TIME, 3, 10, "lt", "07:32:00.000001"},
      {TOML_DATE_TIME, 3, 7, "odt", "1979-05-27T07:32:00.5-07:00"},
      {TOML_TABLE, 1, 2, "b", NULL},
      {TOML_ARRAY, 2, 5, "list", NULL},
      {TOML_FLOAT, 3, 5, NULL, "1.5"},
      {TOML_TABLE, 3, 5, NULL, NULL},
      {TOML_BOOLEAN, 4, 5, "x", "true"},
      {TOML_ARRAY, 3, 5, NULL, NULL},
      {TOML_STRING, 2, 3, "text", "q\"\n"},
      {TOML_INTEGER, 1, 1, "z", "104857600"},
  };
  toml_document doc;
  assert_int_equal(parse(text, &doc, NULL), RC_OK);
  assert_int_equal(doc.len, sizeof expected / sizeof *expected);
  for (size_t i = 0; i < doc.len; i++) {
    assert_int_equal(doc.nodes[i].type, expected[i].type);
    assert_int_equal(doc.nodes[i].depth, expected[i].depth);
    assert_int_equal(doc.nodes[i].line, expected[i].line);
    const char *key = doc.nodes[i].key.bytes, *value = doc.nodes[i].text.bytes;
    assert_string_equal(key ? key : "-", expected[i].key ? expected[i].key : "-");
    assert_string_equal(value ? value : "-", expected[i].text ? expected[i].text : "-");
  }
  toml_deinit(&doc);
  toml_deinit(&doc);
}

static void strings_may_hold_nul(void **state) {
  (void)state;
  toml_document doc;
  assert_int_equal(parse("a = \"x\\u0000y\"", &doc, NULL), RC_OK);
  assert_int_equal(doc.nodes[1].text.len, 3);
  assert_memory_equal(doc.nodes[1].text.bytes, "x\0y", 4);
  toml_deinit(&doc);
}

static void errors_name_the_line_and_quote_no_value(void **state) {
  (void)state;
  static const char *const bad[] = {
      "ok = 1\n\nsecret = hunter2secret\n",
      "ok = 1\n\nsecret = \"hunter2secret\n",
      "ok = 1\n\nsecret = 99999999999999999999hunter2secret\n",
      "ok = 1\n\nsecret = 99999999999999999999\n",
      "ok = 1\n\nsecret = 1e99999\n",
      "ok = 1\n\nok = 2\n",
      "ok = 1\n\n[!]\n",
      "ok = 1\n\n[.]\n",
      "ok = \"\"\"\n\"\"\"\n = 1\n",
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    toml_document doc;
    err e = {0};
    assert_int_equal(parse(bad[i], &doc, &e), RC_INVALID);
    if (strncmp(e.text, "3: ", 3)) fail_msg("%s: %s", bad[i], e.text);
    assert_null(strstr(e.text, "hunter2"));
    assert_null(strstr(e.text, "9999"));
    assert_int_equal(doc.len, 0);
  }
}

static rc parse_repeated(const char *before, const char *piece, int times, const char *after,
                         err *e) {
  buf text = {0};
  buf_puts(&text, before);
  for (int i = 0; i < times; i++) buf_puts(&text, piece);
  buf_puts(&text, after);
  toml_document doc;
  rc r = toml_parse((const char *)text.data, text.len, &doc, e);
  toml_deinit(&doc);
  buf_deinit(&text);
  return r;
}

static void depth_and_size_are_bounded(void **state) {
  (void)state;
  assert_int_equal(parse_repeated("", "a.", TOML_MAX_DOTS, "a = 1", NULL), RC_OK);
  assert_int_equal(parse_repeated("", "a.", TOML_MAX_DOTS + 1, "a = 1", NULL), RC_INVALID);
  err e = {0};
  assert_int_equal(parse_repeated("x = 1\n", "a . ", 200000, "a = 1 = 2", &e), RC_INVALID);
  assert_ptr_equal(strstr(e.text, "2: "), e.text);
  assert_int_equal(parse_repeated("[", "\"a\".", 200000, "a]", NULL), RC_INVALID);
  assert_int_equal(parse_repeated("x = [\"\"\"\nit's\"\"\"\"\", {", "a.", 300000, "a = 1}]", NULL),
                   RC_INVALID);
  assert_int_equal(parse_repeated("a = '", "1.2.3.", 1000, "'", NULL), RC_OK);
  assert_int_equal(parse_repeated("a = \"\"\"", "1.2.\n\\\"", 1000, "\"\"\"", NULL), RC_OK);
  assert_int_equal(parse_repeated("# ", "1.2.", 1000, "", NULL), RC_OK);
  assert_int_equal(parse_repeated("a = ", "[", 100000, "", NULL), RC_INVALID);
  assert_int_equal(parse_repeated("a = ", "{a.a=", 100000, "", NULL), RC_INVALID);
  assert_int_equal(parse_repeated("# ", "0123456789", TOML_MAX_BYTES / 10 + 1, "", NULL),
                   RC_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_stand_in_pre_order_with_lines),
      cmocka_unit_test(strings_may_hold_nul),
      cmocka_unit_test(errors_name_the_line_and_quote_no_value),
      cmocka_unit_test(depth_and_size_are_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
