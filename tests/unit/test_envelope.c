/* Unit tests of plan/envelope.c, on real plans and on small ones made here.
 * SPDX-License-Identifier: Apache-2.0
 *
 * PLANS is the folder that tests/fuzz/make_plans.py fills. */
#include "base/buf.h"
#include "plan/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const VERSIONS[] = {"1.41.2", "2.0.0"};
enum { N_VERSIONS = sizeof VERSIONS / sizeof *VERSIONS };

static buf real_plan(const char *version, const char *name) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s-%s", PLANS, version, name);
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  buf plan = {0};
  uint8_t piece[4096];
  for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
    assert_int_equal(buf_append(&plan, piece, n, NULL), RC_OK);
  fclose(f);
  return plan;
}

static plan_envelope read_whole(const buf *plan) {
  plan_envelope p;
  err e = {0};
  if (plan_envelope_read(plan->data, plan->len, &p, &e) != RC_OK) fail_msg("%s", e.text);
  return p;
}

static void assert_text(plan_text text, const char *expected) {
  assert_int_equal(text.len, strlen(expected));
  if (text.len) assert_memory_equal(text.s, expected, text.len);
}

static plan_text target_of(const plan_envelope *p) {
  return p->n_sinks ? p->sinks[0].path : (plan_text){0};
}

static void real_plans_are_understood(void **state) {
  (void)state;
  static const struct {
    const char *name;
    plan_sink_kind sink;
    const char *target, *format, *placeholder;
    bool functions;
  } cases[] = {
      {"anonymous", PLAN_SINK_ANONYMOUS, "", "Parquet", "\xab<in-memory>", false},
      {"flight", PLAN_SINK_FLIGHT, "", "Parquet", "\xa8<flight>", false},
      {"csv", PLAN_SINK_FILE, "/out/x.csv", "Csv", "", false},
      {"ipc", PLAN_SINK_FILE, "/out/x.arrow", "Ipc", "", false},
      {"ndjson", PLAN_SINK_FILE, "/out/x.ndjson", "NDJson", "", false},
      {"parquet", PLAN_SINK_FILE, "/out/\xc3\xbc.parquet", "Parquet", "", false},
      {"partitioned", PLAN_SINK_PARTITIONED, "/out/p/", "Parquet", "", false},
      {"callback", PLAN_SINK_CALLBACK, "", "", "", true},
      {"multiple", PLAN_SINK_MULTIPLE, "/out/1.csv", "", "", false},
      {"map_elements", PLAN_SINK_ANONYMOUS, "", "Parquet", "\xab<in-memory>", true},
      {"map_batches", PLAN_SINK_ANONYMOUS, "", "Parquet", "\xab<in-memory>", true},
      {"frame_map_batches", PLAN_SINK_ANONYMOUS, "", "Parquet", "\xab<in-memory>", true},
      {"map_groups", PLAN_SINK_ANONYMOUS, "", "Parquet", "\xab<in-memory>", true},
      {"fold", PLAN_SINK_ANONYMOUS, "", "Parquet", "\xab<in-memory>", true},
      {"name_map", PLAN_SINK_ANONYMOUS, "", "Parquet", "\xab<in-memory>", true},
      {"imported", PLAN_SINK_ANONYMOUS, "", "Parquet", "\xab<in-memory>", false},
      {"binary", PLAN_SINK_ANONYMOUS, "", "Parquet", "\xab<in-memory>", false},
      {"decoy", PLAN_SINK_ANONYMOUS, "", "Parquet", "\xab<in-memory>", false},
  };
  for (size_t i = 0; i < N_VERSIONS * sizeof cases / sizeof *cases; i++) {
    size_t c = i / N_VERSIONS;
    buf plan = real_plan(VERSIONS[i % N_VERSIONS], cases[c].name);
    plan_envelope p = read_whole(&plan);
    assert_ptr_equal(p.header, plan.data);
    assert_int_equal(p.sink, cases[c].sink);
    assert_text(target_of(&p), cases[c].target);
    assert_int_equal(p.n_sinks && p.sinks[0].folder, cases[c].sink == PLAN_SINK_PARTITIONED);
    assert_text(p.format, cases[c].format);
    assert_int_equal(p.placeholder_len, strlen(cases[c].placeholder));
    assert_memory_equal(plan.data + p.placeholder_offset, cases[c].placeholder, p.placeholder_len);
    assert_int_equal(p.python_minor >= 8, cases[c].functions);
    assert_int_equal(p.python_micro >= 0, cases[c].functions);
    buf_deinit(&plan);
  }
}

/* In "decoy" the user's own rows hold the placeholder's text, before the sink. */
static void the_placeholder_is_the_sinks_not_the_users(void **state) {
  (void)state;
  for (size_t v = 0; v < N_VERSIONS; v++) {
    buf plan = real_plan(VERSIONS[v], "decoy");
    plan_envelope p = read_whole(&plan);
    const uint8_t *first = memmem(plan.data, plan.len, "<in-memory>", 11);
    assert_true(first < plan.data + p.placeholder_offset);
    assert_memory_equal(plan.data + p.placeholder_offset - 14, "\xa6target\x81\xa5inner", 14);
    buf_deinit(&plan);
  }
}

/* What the worker does: another string in place of the placeholder, all else untouched. */
static void a_replaced_placeholder_gives_a_plan_that_writes_there(void **state) {
  (void)state;
  static const char *const names[] = {"anonymous", "flight", "map_elements", "decoy"};
  for (size_t i = 0; i < N_VERSIONS * sizeof names / sizeof *names; i++) {
    buf plan = real_plan(VERSIONS[i % N_VERSIONS], names[i / N_VERSIONS]), changed = {0};
    plan_envelope before = read_whole(&plan);
    size_t end = before.placeholder_offset + before.placeholder_len;
    static const char path[] = "\xd9\x28/a/path/with/forty/bytes/part-00.parquet";
    assert_int_equal(buf_append(&changed, plan.data, before.placeholder_offset, NULL), RC_OK);
    assert_int_equal(buf_append(&changed, path, sizeof path - 1, NULL), RC_OK);
    assert_int_equal(buf_append(&changed, plan.data + end, plan.len - end, NULL), RC_OK);
    plan_envelope after = read_whole(&changed);
    assert_int_equal(after.sink, PLAN_SINK_FILE);
    assert_text(target_of(&after), path + 2);
    assert_text(after.format, "Parquet");
    assert_int_equal(after.placeholder_len, 0);
    assert_int_equal(after.python_minor, before.python_minor);
    buf_deinit(&plan);
    buf_deinit(&changed);
  }
}

static void assert_refused(const void *plan, size_t len, const char *expected) {
  plan_envelope p;
  err e = {0};
  assert_int_equal(plan_envelope_read(plan, len, &p, &e), RC_INVALID);
  if (!strstr(e.text, expected)) fail_msg("expected \"%s\" in \"%s\"", expected, e.text);
}

static void a_plan_cut_anywhere_is_refused(void **state) {
  (void)state;
  for (size_t v = 0; v < N_VERSIONS; v++) {
    buf plan = real_plan(VERSIONS[v], "map_elements");
    assert_refused(plan.data, 0, "expected a plan");
    for (size_t len = 1; len < plan.len; len++) assert_refused(plan.data, len, "plan is cut off: ");
    assert_int_equal(buf_append(&plan, "\xc0", 1, NULL), RC_OK);
    assert_refused(plan.data, plan.len, "and 1 bytes follow");
    buf_deinit(&plan);
  }
}

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void other_bytes_are_refused(void **state) {
  (void)state;
  assert_refused("PAR1", 4, "expected a plan that starts with \"DSL_VERSION\"");
  static const char not_hex[] = "DSL_VERSION\x18\0\0\0"
                                "X" HASH;
  assert_refused(not_hex, sizeof not_hex - 1, "64 hex digits, byte 15 is 0x58");
  static const char number[] = "DSL_VERSION\x18\0\0\0" HASH "\x05";
  assert_refused(number, sizeof number - 1, "damaged: expected a MessagePack map at byte 79");
  static const char never[] = "DSL_VERSION\x18\0\0\0" HASH "\x81\xa1x\xc1";
  assert_refused(never, sizeof never - 1, "damaged: byte 82 is 0xc1");
}

/* ---- small plans ---- */

static buf small_plan(const char *body, size_t len) {
  static const char header[] = "DSL_VERSION\x18\0\0\0" HASH;
  buf plan = {0};
  assert_int_equal(buf_append(&plan, header, sizeof header - 1, NULL), RC_OK);
  assert_int_equal(buf_append(&plan, body, len, NULL), RC_OK);
  return plan;
}

#define ROOT(idx) "\xa4root\x81\xa3idx" idx
#define PLANS_OF(node)                                                                             \
  "\xa9"                                                                                           \
  "dsl_plans\x91\x81\xa5value" node
#define SINK(payload) "\x81\xa4Sink\x81\xa7payload" payload
#define FILE_SINK(path)                                                                            \
  SINK("\x81\xa4"                                                                                  \
       "File\x81\xa6target\x81\xa5inner" path)

static void the_order_of_keys_does_not_matter(void **state) {
  (void)state;
  static const char body[] = "\x82" PLANS_OF(FILE_SINK("\xab<in-memory>")) ROOT("\x00");
  buf plan = small_plan(body, sizeof body - 1);
  plan_envelope p = read_whole(&plan);
  assert_int_equal(p.sink, PLAN_SINK_ANONYMOUS);
  assert_int_equal(p.format.len, 0);
  buf_deinit(&plan);
}

static void names_of_polars_1_35_are_understood(void **state) {
  (void)state;
  static const char file[] =
      "\x82" ROOT("\x00") PLANS_OF(SINK("\x81\xa4"
                                        "File\x82\xa6target\x81\xa5Local\xab<in-memory>\xa9"
                                        "file_type\x81\xa3"
                                        "Csv\x80"));
  static const char partition[] =
      "\x82" ROOT("\x00") PLANS_OF(SINK("\x81\xa9Partition\x82\xa9"
                                        "base_path\x81\xa5Local\xa2/p\xa9"
                                        "file_type\x81\xa3Ipc\x80"));
  buf plan = small_plan(file, sizeof file - 1);
  plan_envelope p = read_whole(&plan);
  assert_int_equal(p.sink, PLAN_SINK_ANONYMOUS);
  assert_text(p.format, "Csv");
  assert_int_equal(p.placeholder_len, 12);
  buf_deinit(&plan);
  plan = small_plan(partition, sizeof partition - 1);
  p = read_whole(&plan);
  assert_int_equal(p.sink, PLAN_SINK_PARTITIONED);
  assert_text(p.sinks[0].path, "/p");
  assert_text(p.format, "Ipc");
  buf_deinit(&plan);
}

static void unknown_forms_are_unknown_not_errors(void **state) {
  (void)state;
  static const struct {
    const char *body;
    size_t len;
  } cases[] = {
#define CASE(text) {text, sizeof(text) - 1}
      CASE("\x80"),
      CASE("\x81" ROOT("\x00")),
      CASE("\x82" ROOT("\x01") PLANS_OF(FILE_SINK("\xa1x"))), /* no such node */
      CASE("\x82" ROOT("\xff") PLANS_OF(FILE_SINK("\xa1x"))),
      CASE("\x82" ROOT("\x00") PLANS_OF("\xc0")),
      CASE("\x82" ROOT("\x00") PLANS_OF("\x81\xa6"
                                        "Filter\xc0")),
      CASE("\x82" ROOT("\x00") PLANS_OF(SINK("\xa6Memory"))),
      CASE("\x82" ROOT("\x00") PLANS_OF(SINK("\x81\xa7Iceberg\xc0"))),
      CASE("\x82" ROOT("\x00") PLANS_OF(FILE_SINK("\x2a"))), /* a path that is no text */
#undef CASE
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    buf plan = small_plan(cases[i].body, cases[i].len);
    assert_int_equal(read_whole(&plan).sink, PLAN_SINK_UNKNOWN);
    buf_deinit(&plan);
  }
}

static void a_path_is_text(void **state) {
  (void)state;
  static const struct {
    char path[8];
    bool good;
  } cases[] = {{"\xa4/a/b", true},
               {"\xa4/\xe2\x82\xac", true},
               {"\xa4\xf0\x9f\x98\x80", true},
               {"\xa4/a\0b", false},
               {"\xa4/\xe2\x82x", false},
               {"\xa4/a/\xe2", false},
               {"\xa4/a\xc0\x80", false},
               {"\xa4/\xed\xa0\x80", false},
               {"\xa4/\xe0\x80\x80", false},
               {"\xa4\xf4\x90\x80\x80", false},
               {"\xa4\xf8\x90\x80\x80", false},
               {"\xa4/a/\x80", false}};
  static const char before[] = "\x82" ROOT("\x00") PLANS_OF(FILE_SINK(""));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    buf plan = small_plan(before, sizeof before - 1);
    assert_int_equal(buf_append(&plan, cases[i].path, 5, NULL), RC_OK);
    if (cases[i].good)
      assert_int_equal(read_whole(&plan).sinks[0].path.len, 4);
    else
      assert_refused(plan.data, plan.len, "path is not UTF-8");
    buf_deinit(&plan);
  }
}

/* What the worker does when the client streams the rows. */
static void a_plan_can_do_without_its_sink(void **state) {
  (void)state;
  for (size_t v = 0; v < N_VERSIONS; v++) {
    buf plan = real_plan(VERSIONS[v], "flight"), changed = {0},
        other = real_plan(VERSIONS[v], "csv");
    plan_sinkless how = read_whole(&plan).sinkless;
    assert_true(how.len && how.with_len);
    assert_int_equal(read_whole(&other).sinkless.len, 0);
    size_t end = how.offset + how.len;
    assert_int_equal(buf_append(&changed, plan.data, how.offset, NULL), RC_OK);
    assert_int_equal(buf_append(&changed, how.with, how.with_len, NULL), RC_OK);
    assert_int_equal(buf_append(&changed, plan.data + end, plan.len - end, NULL), RC_OK);
    assert_int_equal(read_whole(&changed).sink, PLAN_SINK_UNKNOWN);
    buf_deinit(&plan);
    buf_deinit(&changed);
    buf_deinit(&other);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(real_plans_are_understood),
      cmocka_unit_test(the_placeholder_is_the_sinks_not_the_users),
      cmocka_unit_test(a_replaced_placeholder_gives_a_plan_that_writes_there),
      cmocka_unit_test(a_plan_can_do_without_its_sink),
      cmocka_unit_test(a_plan_cut_anywhere_is_refused),
      cmocka_unit_test(other_bytes_are_refused),
      cmocka_unit_test(the_order_of_keys_does_not_matter),
      cmocka_unit_test(names_of_polars_1_35_are_understood),
      cmocka_unit_test(unknown_forms_are_unknown_not_errors),
      cmocka_unit_test(a_path_is_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
