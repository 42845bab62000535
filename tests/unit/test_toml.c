/* Unit tests of conf/toml.cpp; conformance is tests/conformance/toml_test.sh. SPDX-License-Identifier:
 * Apache-2.0 */
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
  static const struct {
    toml_type type;
    unsigned depth;
    int line;
    const char *key, *text;
  } expected[] = {
      {TOML_TABLE, 0, 1, NULL, NULL},
      {TOML_INTEGER, 1, 1, "a", "104857600"},
      {TOML_TABLE, 1, 2, "b", NULL},
      {TOML_ARRAY, 2, 3, "list", NULL},
      {TOML_FLOAT, 3, 3, NULL, "1.5"},
      {TOML_TABLE, 3, 3, NULL, NULL},
      {TOML_BOOLEAN, 4, 3, "x", "true"},
      {TOML_STRING, 2, 4, "text", "q\"\n"},
      {TOML_DATE_TIME, 1, 6, "when", "1979-05-27T07:32:00.5-07:00"},
  };
  toml_document doc;
  assert_int_equal(parse("a = 104_857_600\n[b]\nlist = [1.5, {x = true}]\ntext = \"\"\"q\\\"\n\"\"\"\n",
                         &doc, NULL),
                   RC_OK);
  toml_deinit(&doc);
  assert_int_equal(parse("a = 104_857_600\n[b]\nlist = [1.5, {x = true}]\ntext = \"\"\"q\\\"\n\"\"\"\n"
                         "[when]\n",
                         &doc, NULL),
                   RC_OK);
  toml_deinit(&doc);
  assert_int_equal(parse("a = 104_857_600\nb.list = 1\n", &doc, NULL), RC_OK);
  toml_deinit(&doc);
  err e = {0};
  assert_int_equal(parse("a = 104_857_600\n"
                         "[b]\n"
                         "list = [1.5, {x = true}]\n"
                         "text = \"\"\"q\\\"\n\"\"\"\n"
                         "[b.c]\n",
                         &doc, &e),
                   RC_OK);
  for (size_t i = 0; i < 8; i++) {
    size_t at = i < 3 ? i : i + 1; /* b.c stands before b.list */
    assert_int_equal(doc.nodes[at].type, expected[i].type);
    assert_int_equal(doc.nodes[at].depth, expected[i].depth);
    assert_int_equal(doc.nodes[at].line, expected[i].line);
  }
  toml_deinit(&doc);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(nodes_stand_in_pre_order_with_lines)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
