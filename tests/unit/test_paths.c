/* Unit tests of scheduler/paths.c and plan/paths.c: which paths are below which prefixes, and where
 * the plans of fuzz_paths say what they read and write. SPDX-License-Identifier: Apache-2.0
 *
 * How it is refused: tests/cluster/test_paths.py. */
#include "scheduler/paths.h"

#include "base/buf.h"
#include "plan/paths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static plan_text text(const char *s) {
  return (plan_text){s, strlen(s)};
}

static void below_a_prefix(void **state) {
  (void)state;
  static const char PREFIXES[] = "/data/lake, s3://bucket/sales/,https://host/pub";
  static const struct {
    const char *path;
    bool allowed;
  } cases[] = {
      {"/data/lake", true},
      {"/data/lake/", true},
      {"/data/lake/x.parquet", true},
      {"/data//lake/./x.parquet", true},
      {"//data/lake/x", true},
      {"/data/lake/**/*.parquet", true},
      {"/data/lake/year=2026/x", true},
      {"file:///data/lake/x", true},
      {"FILE:///data/lake/x", true},
      {"s3://bucket/sales/x", true},
      {"s3://bucket//sales/x", true},
      {"https://host/pub/x?y", true},
      {"/data/lakes/x", false},
      {"/data/lak", false},
      {"/data", false},
      {"/", false},
      {"", false},
      {"data/lake/x", false},
      {"./data/lake/x", false},
      {"~/data/lake/x", false},
      {"/data/lake/../secret", false},
      {"/data/lake/..", false},
      {"/data/lake/a/../b", false},
      {"file:///data/lake/%2e%2E/secret", false},
      {"s3://bucket/sales%2F..%2Fother", false},
      {"/data/*/x", false},
      {"/data/l?ke/x", false},
      {"/data/[l]ake/x", false},
      {"/*", false},
      {"file://host/data/lake/x", false},
      {"file:/data/lake/x", false},
      {"x://data/lake/x", false},
      {"://data/lake/x", false},
      {"s3a://bucket/sales/x", false},
      {"S3://bucket/sales/x", false},
      {"s3://bucket/sale/x", false},
      {"s3://bucket", false},
      {"s3://bucket2/sales/x", false},
      {"https://host@evil/pub/x", false},
      {"https://evil/host/pub/x", false},
      {"/bucket/sales/x", false},
      {"/x://data/lake", false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (paths_allowed(text(cases[i].path), PREFIXES) != cases[i].allowed)
      fail_msg("%s", cases[i].path);
}

static void wide_and_empty_prefixes(void **state) {
  (void)state;
  assert_true(paths_allowed(text("/any/thing"), "/"));
  assert_false(paths_allowed(text("s3://b/x"), "/"));
  assert_true(paths_allowed(text("s3://b/x"), "s3://"));
  assert_false(paths_allowed(text("/any/thing"), " , ,"));
  assert_false(paths_allowed(text("x"), "x"));
  assert_false(paths_allowed(text("/da[t]a/x"), "/da[t]a"));
}

static void what_is_local(void **state) {
  (void)state;
  static const char *const local[] = {"/x",        "x",       "",       "file:///x",
                                      "File:///x", "a/b://c", "file:/x"};
  static const char *const remote[] = {"s3://x", "hf://x", "https://x/y"};
  for (size_t i = 0; i < sizeof local / sizeof *local; i++)
    assert_true(paths_is_local(text(local[i])));
  for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
    assert_false(paths_is_local(text(remote[i])));
}

static rc note(void *arg, plan_path_use use, plan_text path, err *e) {
  (void)e;
  buf_printf(arg, "%s%.*s ", use == PLAN_PATH_READ ? "<" : ">", path.s ? (int)path.len : 1,
             path.s ? path.s : "?");
  return RC_OK;
}

static void plans(void **state) {
  (void)state;
  static const struct {
    const char *file, *paths;
  } cases[] = {
      {"scan", "</x/a.parquet <s3://b/c.parquet ><in-memory> "},
      {"1.35.2-scan", "</x/a.parquet <s3://b/c.parquet >s3://b/out.csv "},
      {"1.44.2-scan", "</x/a.parquet <s3://b/c.parquet >s3://b/out.csv "},
      {"join", "</x.parquet >/out.csv "},
      {"partitioned", ">/out "},
      {"multiple", ">/1.csv >s3://2 "},
      {"buffers", ""},
      {"columns", ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint8_t plan[8192];
    char name[512];
    buf found = {0};
    snprintf(name, sizeof name, "%s/%s", PLANS, cases[i].file);
    FILE *f = fopen(name, "rbe");
    assert_non_null(f);
    size_t len = fread(plan, 1, sizeof plan, f);
    fclose(f);
    assert_int_equal(plan_each_path(plan, len, note, &found, NULL), RC_OK);
    assert_string_equal(buf_text(&found), cases[i].paths);
    buf_deinit(&found);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(below_a_prefix),
      cmocka_unit_test(wide_and_empty_prefixes),
      cmocka_unit_test(what_is_local),
      cmocka_unit_test(plans),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
