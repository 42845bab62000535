/* Unit tests of plan/dsl.c, dsl_parse.c and dsl_write.c, on real plans and on small ones made here.
 * SPDX-License-Identifier: Apache-2.0
 *
 * PLANS is the folder that tests/fuzz/make_dsl_plans.py fills. */
#include "plan/dsl.h"
#include "plan/envelope.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- one plan under test ---- */

typedef struct plan {
  buf bytes;
  arena arena;
  const dsl_node *root;
} plan;

static buf read_file(const char *name) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", PLANS, name);
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  buf bytes = {0};
  uint8_t piece[4096];
  for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
    assert_int_equal(buf_append(&bytes, piece, n, NULL), RC_OK);
  fclose(f);
  return bytes;
}

static plan parsed(buf bytes) {
  plan p = {.bytes = bytes};
  err e = {0};
  if (dsl_parse(bytes.data, bytes.len, &p.arena, &p.root, &e) != RC_OK) fail_msg("%s", e.text);
  return p;
}

static plan real_plan(const char *name) {
  return parsed(read_file(name));
}

static void plan_deinit(plan *p) {
  buf_deinit(&p->bytes);
  arena_deinit(&p->arena);
}

/* The plan of a tree; a spool of the smallest size, so that it is in a file. */
static buf written(const dsl_node *root, const uint8_t *header, dsl_mark *marks, size_t n_marks) {
  spool *s = spool_new("/tmp", 100);
  err e = {0};
  const uint8_t *view;
  buf out = {0};
  assert_int_equal(spool_append(s, "before", 6, NULL), RC_OK);
  if (dsl_write(root, header, marks, n_marks, s, &e) != RC_OK) fail_msg("%s", e.text);
  assert_int_equal(spool_view(s, &view, NULL), RC_OK);
  assert_int_equal(buf_append(&out, view + 6, spool_len(s) - 6, NULL), RC_OK);
  spool_free(s);
  return out;
}

static void assert_writes(const dsl_node *root, const buf *expected) {
  buf out = written(root, expected->data, NULL, 0);
  assert_int_equal(out.len, expected->len);
  assert_memory_equal(out.data, expected->data, out.len);
  buf_deinit(&out);
}

static void assert_value(plan_bytes value, const char *packed, size_t len) {
  assert_int_equal(value.len, len);
  assert_memory_equal(value.data, packed, len);
}
#define assert_packed(value, packed) assert_value(value, packed, sizeof packed - 1)

/* ---- real plans ---- */

static void see_kinds(const dsl_node *n, bool *seen) {
  seen[n->kind] = true;
  for (size_t i = 0; i < dsl_n_inputs(n); i++) see_kinds(dsl_input(n, i), seen);
}

static void real_plans_are_written_as_polars_wrote_them(void **state) {
  (void)state;
  bool seen[DSL_SQL + 1] = {false};
  DIR *folder = opendir(PLANS);
  assert_non_null(folder);
  for (const struct dirent *file; (file = readdir(folder));) {
    if (file->d_name[0] == '.') continue;
    plan p = real_plan(file->d_name);
    assert_true(dsl_is_known(p.bytes.data));
    assert_writes(p.root, &p.bytes);
    see_kinds(p.root, seen);
    plan_deinit(&p);
  }
  closedir(folder);
  for (unsigned kind = 0; kind <= DSL_SQL; kind++) /* these two, Polars writes for itself only */
    if (!seen[kind] && kind != DSL_IR && kind != DSL_RESOLVER)
      fail_msg("no plan with %s", dsl_kind_name(kind));
}

static void one_dialect_is_known(void **state) {
  (void)state;
  buf bytes = read_file("scan");
  assert_true(dsl_is_known(bytes.data));
  for (size_t i = 0; i < PLAN_HEADER_BYTES; i++) {
    bytes.data[i] ^= 1;
    assert_false(dsl_is_known(bytes.data));
    bytes.data[i] ^= 1;
  }
  buf_deinit(&bytes);
}

static void fields_are_found_by_name(void **state) {
  (void)state;
  plan p = real_plan("join");
  const dsl_node *outer = p.root, *inner = dsl_input(outer, 0);
  assert_int_equal(outer->kind, DSL_JOIN);
  assert_true(plan_value_is(dsl_at(outer, "options", "args", "how", NULL), "Left"));
  assert_int_equal(inner->kind, DSL_JOIN);
  assert_true(plan_value_is(dsl_at(inner, "options", "args", "how", NULL), "Inner"));
  assert_int_equal(dsl_n_inputs(inner), 2);
  assert_int_equal(dsl_input(inner, 0)->kind, DSL_SCAN);
  assert_int_equal(dsl_input(inner, 1)->kind, DSL_FILTER);
  assert_int_equal(dsl_n_inputs(dsl_input(outer, 1)), 0);
  assert_null(dsl_input(inner, 2));
  plan_bytes *left_on;
  size_t n;
  assert_true(plan_value_items(dsl_at(outer, "condition", "Equi", "left_on", NULL), &p.arena,
                               &left_on, &n));
  assert_int_equal(n, 1);
  assert_packed(left_on[0], "\x81\xa6"
                            "Column\xa1"
                            "a");
  assert_null(dsl_field(outer, "how").data);
  assert_null(dsl_at(outer, "options", "how", "args", NULL).data);
  plan_deinit(&p);
}

static plan_bytes bytes_of(const char *packed, size_t len) {
  return (plan_bytes){(const uint8_t *)packed, len};
}
#define PACKED(text) bytes_of(text, sizeof text - 1)

static void values_are_read(void **state) {
  (void)state;
  int64_t n;
  assert_packed(plan_value_name(PACKED("\xa1x")), "x");
  assert_packed(plan_value_name(PACKED("\x81\xa1x\x05")), "x");
  assert_null(plan_value_name(PACKED("\x82\xa1x\x05\xa1y\x05")).data);
  assert_null(plan_value_name(PACKED("\x05")).data);
  assert_null(plan_value_name((plan_bytes){0}).data);
  assert_false(plan_value_is((plan_bytes){0}, ""));
  assert_false(plan_value_is(PACKED("\xa1x"), "xy"));
  assert_true(plan_value_true(PACKED("\xc3")));
  assert_false(plan_value_true(PACKED("\xc2")) || plan_value_true(PACKED("\x01")));
  assert_true(plan_value_nil(PACKED("\xc0")) && plan_value_nil((plan_bytes){0}));
  assert_false(plan_value_nil(PACKED("\xc2")));
  assert_true(plan_value_int(PACKED("\xe0"), &n) && n == -32);
  assert_true(plan_value_int(PACKED("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), &n) && n == INT64_MAX);
  assert_false(plan_value_int(PACKED("\xcf\x80\0\0\0\0\0\0\0"), &n));
  assert_false(plan_value_int(PACKED("\xa1x"), &n) || plan_value_int((plan_bytes){0}, &n));
  arena a = {0};
  plan_bytes *items;
  size_t n_items;
  assert_true(plan_value_items(PACKED("\x90"), &a, &items, &n_items) && n_items == 0);
  assert_false(plan_value_items(PACKED("\x80"), &a, &items, &n_items));
  arena_deinit(&a);
}

/* ---- sharing ---- */

static void what_is_shared_in_the_plan_is_shared_in_the_tree(void **state) {
  (void)state;
  plan p = real_plan("shared");
  const dsl_node *left = dsl_input(dsl_input(p.root, 0), 0), *right = dsl_input(p.root, 1);
  assert_int_equal(left->kind, DSL_HSTACK);
  assert_true(left != right && dsl_input(left, 0) == dsl_input(right, 0));
  plan_deinit(&p);

  p = real_plan("hconcat");
  assert_int_equal(p.root->refs[0].kind, DSL_REF_INLINE);
  const dsl_node *frame = dsl_input(p.root, 0);
  assert_int_equal(frame->refs[0].kind, DSL_REF_FRAME);
  assert_true(frame->refs[0].frame.len > 500);
  plan_deinit(&p);
}

/* Polars gives each of two equal inputs its own slot; a tree that uses one node twice has one. */
static void what_is_shared_in_the_tree_is_written_once(void **state) {
  (void)state;
  plan p = real_plan("merge_sorted"); /* of a frame, and of that frame filtered */
  const dsl_node *filter = dsl_input(p.root, 1), *twice[] = {filter, filter};
  buf out = written(dsl_with_inputs(&p.arena, p.root, twice), p.bytes.data, NULL, 0);
  plan again = parsed(out);
  assert_true(dsl_input(again.root, 0) == dsl_input(again.root, 1));
  assert_int_equal(dsl_input(again.root, 0)->kind, DSL_FILTER);
  assert_true(again.bytes.len < p.bytes.len);
  assert_writes(again.root, &again.bytes);
  plan_deinit(&again);
  plan_deinit(&p);
}

/* ---- making ---- */

static void made_nodes_are_those_of_polars(void **state) {
  (void)state;
  plan p = real_plan("filter");
  plan_bytes predicate = dsl_field(p.root, "predicate");
  assert_writes(dsl_filter(&p.arena, predicate, dsl_input(p.root, 0)), &p.bytes);
  plan_deinit(&p);

  plan_bytes *x, *y;
  size_t n_x, n_y;
  p = real_plan("select");
  assert_true(plan_value_items(dsl_field(p.root, "expr"), &p.arena, &x, &n_x) && n_x == 2);
  assert_writes(dsl_select(&p.arena, x, n_x, dsl_input(p.root, 0)), &p.bytes);
  plan_deinit(&p);

  p = real_plan("group_by");
  assert_true(plan_value_items(dsl_field(p.root, "keys"), &p.arena, &x, &n_x) && n_x == 1);
  assert_true(plan_value_items(dsl_field(p.root, "aggs"), &p.arena, &y, &n_y) && n_y == 2);
  assert_writes(dsl_group_by(&p.arena, x, n_x, y, n_y, dsl_input(p.root, 0)), &p.bytes);
  plan_deinit(&p);

  p = real_plan("slice");
  assert_writes(dsl_slice(&p.arena, 1, 300, dsl_input(p.root, 0)), &p.bytes);
  plan_deinit(&p);
  p = real_plan("tail");
  assert_writes(dsl_slice(&p.arena, -5, 5, dsl_input(p.root, 0)), &p.bytes);
  plan_deinit(&p);
}

static void a_field_is_replaced_and_refs_behind_it_move(void **state) {
  (void)state;
  plan p = real_plan("select"); /* expr, input, options */
  plan_bytes expr = PACKED("\x91\xa3Len");
  const dsl_node *one = dsl_with_field(&p.arena, p.root, "expr", expr);
  const dsl_node *two =
      dsl_with_value(&p.arena, one, dsl_at(one, "options", "maintain_dataframe_height", NULL),
                     PACKED("\xc3"));
  plan again = parsed(written(two, p.bytes.data, NULL, 0));
  assert_packed(dsl_field(again.root, "expr"), "\x91\xa3Len");
  assert_true(plan_value_true(dsl_at(again.root, "options", "maintain_dataframe_height", NULL)));
  assert_true(plan_value_true(dsl_at(again.root, "options", "run_parallel", NULL)));
  assert_int_equal(dsl_input(again.root, 0)->kind, DSL_SCAN);
  assert_true(plan_bytes_equal(dsl_input(again.root, 0)->fields, dsl_input(p.root, 0)->fields));
  assert_int_equal(one->n_refs, 1);
  assert_null(dsl_with_field(&p.arena, p.root, "input", expr));
  assert_null(dsl_with_field(&p.arena, p.root, "exprs", expr));
  assert_null(dsl_with_value(&p.arena, p.root, dsl_at(p.root, "input", "idx", NULL), expr));
  assert_writes(p.root, &p.bytes); /* nodes are never changed */
  plan_deinit(&again);
  plan_deinit(&p);
}

static void other_inputs_leave_frames_alone(void **state) {
  (void)state;
  plan p = real_plan("pivot"); /* input, on, on_columns: a frame … */
  const dsl_node *leaf = dsl_leaf(&p.arena, 3);
  const dsl_node *pivot = dsl_with_inputs(&p.arena, p.root, &leaf);
  plan again = parsed(written(pivot, p.bytes.data, NULL, 0));
  uint32_t number;
  assert_true(dsl_is_leaf(dsl_input(again.root, 0), &number) && number == 3);
  assert_int_equal(again.root->refs[1].kind, DSL_REF_FRAME);
  assert_true(plan_bytes_equal(again.root->refs[1].frame, p.root->refs[1].frame));
  plan_deinit(&again);
  plan_deinit(&p);
}

static void a_leaf_is_a_pickle_that_is_recognised(void **state) {
  (void)state;
  arena a = {0};
  uint32_t number = 0;
  const dsl_node *leaf = dsl_leaf(&a, 0x01020304);
  assert_packed(dsl_at(leaf, "resolver", "variant", "Python", "resolver", NULL),
                "\xc4\x34\x00\x0b\x07\x80\x02"
                "cfloe_executor.leaf\nLeaf\n)\x81}X\x06\0\0\0numberJ\x04\x03\x02\x01sb.");
  assert_true(plan_value_nil(dsl_field(leaf, "resolver_schema")));
  assert_true(dsl_field(leaf, "resolver_schema").data != NULL);
  assert_true(dsl_is_leaf(leaf, &number) && number == 0x01020304);
  for (size_t i = 0, holes = 0; i < leaf->fields.len; i++) {
    dsl_node other = *leaf;
    uint8_t *fields = arena_take(&a, leaf->fields.len);
    memcpy(fields, leaf->fields.data, leaf->fields.len);
    fields[i] ^= 0x80;
    other.fields.data = fields;
    if (dsl_is_leaf(&other, &number)) assert_true(++holes <= 4 && number != 0x01020304);
  }
  dsl_node filter = {.kind = DSL_FILTER, .fields = leaf->fields};
  assert_false(dsl_is_leaf(&filter, &number));
  arena_deinit(&a);
}

/* ---- marks ---- */

static void marks_say_where_a_piece_stands(void **state) {
  (void)state;
  plan p = real_plan("scans"); /* three, inside a union */
  const dsl_node *second = dsl_input(p.root, 1);
  dsl_mark marks[] = {
      {.piece = dsl_field(second, "sources")},
      {.piece = dsl_at(dsl_input(p.root, 2), "unified_scan_args", "pre_slice", NULL)},
      {.piece = dsl_field(dsl_input(p.root, 0), "sources")},
  };
  buf whole = written(p.root, p.bytes.data, marks, 3);
  for (size_t i = 0; i < 3; i++)
    assert_memory_equal(whole.data + marks[i].offset, marks[i].piece.data, marks[i].piece.len);
  buf_deinit(&whole);
  buf part = written(dsl_filter(&p.arena, PACKED("\xc3"), second), p.bytes.data, marks, 3);
  assert_memory_equal(part.data + marks[0].offset, marks[0].piece.data, marks[0].piece.len);
  assert_true(marks[1].offset == UINT64_MAX && marks[2].offset == UINT64_MAX);
  buf_deinit(&part);

  const dsl_node *twice[] = {second, second, second};
  const dsl_node *root = dsl_with_inputs(&p.arena, p.root, twice); /* inline: three times written */
  spool *out = spool_new("/tmp", 1 << 20);
  err e = {0};
  assert_int_equal(dsl_write(root, p.bytes.data, marks, 1, out, &e), RC_INTERNAL);
  spool_free(out);
  plan_deinit(&p);
}

/* ---- small plans ---- */

typedef struct sketch {
  buf slots;
  size_t n;
} sketch;

static void add_key(buf *b, uint64_t idx) {
  pack_map(b, 2);
  pack_text(b, "idx");
  pack_uint(b, idx);
  pack_text(b, "version");
  pack_uint(b, 1);
}

static void begin_slot(buf *b) {
  pack_map(b, 2);
  pack_text(b, "value");
}

static void end_slot(buf *b, unsigned version) {
  pack_text(b, "version");
  pack_uint(b, version);
}

static void begin_node(sketch *s, const char *kind, size_t n_fields) {
  begin_slot(&s->slots);
  pack_map(&s->slots, 1);
  pack_text(&s->slots, kind);
  pack_map(&s->slots, n_fields);
}

static void end_node(sketch *s) {
  end_slot(&s->slots, 1);
  s->n++;
}

/* {kind: {field: key, …}}; at most two fields, each as name and slot, then NULL. */
static void add_node(sketch *s, const char *kind, ...) {
  const char *names[3] = {0};
  int slots[2];
  size_t n = 0;
  va_list fields;
  va_start(fields, kind);
  for (; (names[n] = va_arg(fields, const char *)); n++) slots[n] = va_arg(fields, int);
  va_end(fields);
  begin_node(s, kind, n);
  for (size_t i = 0; i < n; i++) {
    pack_text(&s->slots, names[i]);
    add_key(&s->slots, (uint64_t)slots[i]);
  }
  end_node(s);
}

static void begin_slots(buf *b, const char *name, size_t used) {
  pack_text(b, name);
  pack_array(b, used + 1);
  begin_slot(b);
  pack_nil(b);
  end_slot(b, 0);
}

/* A plan of the sketch's nodes; a frame of `frame_bytes` in slot 1, or none. Empties the sketch. */
static buf plan_of(sketch *s, uint64_t root, size_t frame_bytes) {
  buf b = {0}, header = read_file("scan");
  pack_raw(&b, (plan_bytes){header.data, PLAN_HEADER_BYTES});
  pack_map(&b, 3);
  pack_text(&b, "root");
  add_key(&b, root);
  begin_slots(&b, "dataframes", frame_bytes > 0);
  if (frame_bytes) {
    uint8_t *frame = calloc(1, frame_bytes);
    assert_non_null(frame);
    begin_slot(&b);
    pack_bin(&b, frame, frame_bytes);
    end_slot(&b, 1);
    free(frame);
  }
  begin_slots(&b, "dsl_plans", s->n);
  pack_raw(&b, (plan_bytes){s->slots.data, s->slots.len});
  buf_deinit(&s->slots);
  s->n = 0;
  buf_deinit(&header);
  return b;
}

static void assert_refused(buf bytes, rc expected_rc, const char *expected) {
  arena a = {0};
  const dsl_node *root;
  err e = {0};
  assert_int_equal(dsl_parse(bytes.data, bytes.len, &a, &root, &e), expected_rc);
  if (!strstr(e.text, expected)) fail_msg("expected \"%s\" in \"%s\"", expected, e.text);
  arena_deinit(&a);
  buf_deinit(&bytes);
}

static void keys_name_earlier_slots(void **state) {
  (void)state;
  static const char text[] = "expected the key of an earlier, used slot";
  static const int wrong[] = {0, 2, 3, 4, 1000000}; /* empty, itself, later, beyond */
  sketch s = {0};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    add_node(&s, "Scan", NULL);
    add_node(&s, "Filter", "input", wrong[i], NULL);
    add_node(&s, "Filter", "input", 2, NULL);
    assert_refused(plan_of(&s, 3, 0), RC_INVALID, text);
  }
  add_node(&s, "Scan", NULL);
  assert_refused(plan_of(&s, 2, 0), RC_INVALID, text);
  add_node(&s, "DataFrameScan", "df", 2, NULL);
  assert_refused(plan_of(&s, 1, 5), RC_INVALID, text);
  add_node(&s, "DataFrameScan", "df", 0, NULL);
  assert_refused(plan_of(&s, 1, 5), RC_INVALID, text);
  add_node(&s, "Scan", NULL);
  s.slots.data[s.slots.len - 1] = 3; /* the slot's version */
  assert_refused(plan_of(&s, 1, 0), RC_INVALID, text);
}

static void nodes_that_polars_does_not_write_are_refused(void **state) {
  (void)state;
  sketch s = {0};
  add_node(&s, "Scam", NULL);
  assert_refused(plan_of(&s, 1, 0), RC_INVALID, "expected a kind of node");
  add_node(&s, "Scan", NULL);
  add_node(&s, "Join", "input_left", 1, NULL);
  assert_refused(plan_of(&s, 2, 0), RC_INVALID, "Join without input_right");
  add_node(&s, "Scan", NULL);
  add_node(&s, "Union", "inputs", 1, NULL);
  assert_refused(plan_of(&s, 2, 0), RC_INVALID, "a list of inputs");
}

/* In an unknown place a key would name another node once the plan is written again. */
static void keys_in_unknown_places_keep_a_plan_whole(void **state) {
  (void)state;
  sketch s = {0};
  add_node(&s, "Scan", NULL);
  add_node(&s, "Sort", "input", 1, "by_column", 1, NULL);
  assert_refused(plan_of(&s, 2, 0), RC_EXHAUSTED, "names another node");
  add_node(&s, "Scan", NULL);
  add_node(&s, "Filter", "input", 1, "input", 1, NULL);
  assert_refused(plan_of(&s, 2, 0), RC_EXHAUSTED, "names another node");
  add_node(&s, "Scan", NULL);
  add_node(&s, "Join", "input_right", 1, "input_left", 1, NULL);
  assert_refused(plan_of(&s, 2, 0), RC_EXHAUSTED, "names another node");
}

static void depth_is_bounded(void **state) {
  (void)state;
  sketch s = {0};
  for (int last = DSL_MAX_DEPTH; last <= DSL_MAX_DEPTH + 1; last++) {
    add_node(&s, "Scan", NULL);
    for (int i = 2; i <= last; i++) add_node(&s, "Filter", "input", i - 1, NULL);
    buf bytes = plan_of(&s, (uint64_t)last, 0);
    if (last > DSL_MAX_DEPTH) {
      assert_refused(bytes, RC_EXHAUSTED, "too deep");
    } else {
      plan p = parsed(bytes);
      assert_writes(p.root, &p.bytes);
      plan_deinit(&p);
    }
  }
}

/* The right side is the left one, and a node: its depth counts where it is used. */
static void depth_of_shared_nodes_counts(void **state) {
  (void)state;
  sketch s = {0};
  add_node(&s, "Scan", NULL);
  for (int i = 2; i <= 300; i++) add_node(&s, "Filter", "input", i - 1, NULL);
  add_node(&s, "Filter", "input", 1, NULL);
  for (int i = 302; i <= 401; i++) add_node(&s, "Filter", "input", i - 1, NULL);
  add_node(&s, "Join", "input_left", 401, "input_right", 300, NULL);
  plan p = parsed(plan_of(&s, 402, 0));
  plan_deinit(&p);

  add_node(&s, "Scan", NULL);
  for (int i = 2; i <= 300; i++) add_node(&s, "Filter", "input", i - 1, NULL);
  add_node(&s, "Join", "input_left", 300, "input_right", 300, NULL);
  for (int i = 302; i <= 400; i++) add_node(&s, "Filter", "input", i - 1, NULL);
  add_node(&s, "Join", "input_left", 300, "input_right", 400, NULL);
  assert_refused(plan_of(&s, 401, 0), RC_EXHAUSTED, "too deep");
}

static void a_plan_that_doubles_with_each_node_is_refused(void **state) {
  (void)state;
  sketch s = {0};
  for (int last = 11; last <= 12; last++) { /* 2^11 - 1 nodes, 2^12 - 1 */
    add_node(&s, "Scan", NULL);
    for (int i = 2; i <= last; i++)
      add_node(&s, "Join", "input_left", i - 1, "input_right", i - 1, NULL);
    buf bytes = plan_of(&s, (uint64_t)last, 0);
    if (last == 12) {
      assert_refused(bytes, RC_EXHAUSTED, "more than 4000 nodes");
    } else {
      plan p = parsed(bytes);
      assert_writes(p.root, &p.bytes);
      plan_deinit(&p);
    }
  }
}

static void slots_are_bounded(void **state) {
  (void)state;
  sketch s = {0};
  for (int i = 0; i < DSL_MAX_NODES + 1; i++) add_node(&s, "Scan", NULL);
  assert_refused(plan_of(&s, 1, 0), RC_EXHAUSTED, "at most 4000 slots, found 4001");
}

static void a_field_may_stand_anywhere(void **state) {
  (void)state;
  sketch s = {0};
  add_node(&s, "Scan", NULL);
  begin_node(&s, "Filter", 2);
  pack_text(&s.slots, "predicate");
  pack_text(&s.slots, "Len");
  pack_text(&s.slots, "input");
  add_key(&s.slots, 1);
  end_node(&s);
  plan p = parsed(plan_of(&s, 2, 0));
  assert_int_equal(dsl_input(p.root, 0)->kind, DSL_SCAN);
  assert_true(plan_value_is(dsl_field(p.root, "predicate"), "Len"));
  assert_writes(p.root, &p.bytes);
  plan_deinit(&p);
}

/* Larger than what is gathered before it goes to the spool. */
static void a_large_frame_is_written_as_it_was(void **state) {
  (void)state;
  sketch s = {0};
  add_node(&s, "DataFrameScan", "df", 1, NULL);
  add_node(&s, "Filter", "input", 1, NULL);
  add_node(&s, "DataFrameScan", "df", 1, NULL);
  add_node(&s, "Join", "input_left", 2, "input_right", 3, NULL);
  plan p = parsed(plan_of(&s, 4, 200000));
  assert_true(dsl_input(p.root, 1)->refs[0].frame.len == 200000 + 5);
  assert_writes(p.root, &p.bytes);
  dsl_mark mark = {.piece = {p.root->fields.data, 12}}; /* the map's head and "input_left" */
  buf out = written(p.root, p.bytes.data, &mark, 1);
  assert_true(mark.offset > 200000);
  assert_memory_equal(out.data + mark.offset, mark.piece.data, mark.piece.len);
  buf_deinit(&out);
  plan_deinit(&p);
}

static void a_plan_cut_anywhere_is_refused(void **state) {
  (void)state;
  plan p = real_plan("union");
  for (size_t len = 0; len < p.bytes.len; len++) {
    const dsl_node *root;
    err e = {0};
    assert_int_equal(dsl_parse(p.bytes.data, len, &p.arena, &root, &e), RC_INVALID);
    assert_true(e.text[0] != '\0');
  }
  assert_int_equal(buf_append(&p.bytes, "\xc0", 1, NULL), RC_OK);
  arena_deinit(&p.arena);
  assert_refused(p.bytes, RC_INVALID, "expected the end");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(real_plans_are_written_as_polars_wrote_them),
      cmocka_unit_test(one_dialect_is_known),
      cmocka_unit_test(fields_are_found_by_name),
      cmocka_unit_test(values_are_read),
      cmocka_unit_test(what_is_shared_in_the_plan_is_shared_in_the_tree),
      cmocka_unit_test(what_is_shared_in_the_tree_is_written_once),
      cmocka_unit_test(made_nodes_are_those_of_polars),
      cmocka_unit_test(a_field_is_replaced_and_refs_behind_it_move),
      cmocka_unit_test(other_inputs_leave_frames_alone),
      cmocka_unit_test(a_leaf_is_a_pickle_that_is_recognised),
      cmocka_unit_test(marks_say_where_a_piece_stands),
      cmocka_unit_test(keys_name_earlier_slots),
      cmocka_unit_test(nodes_that_polars_does_not_write_are_refused),
      cmocka_unit_test(keys_in_unknown_places_keep_a_plan_whole),
      cmocka_unit_test(depth_is_bounded),
      cmocka_unit_test(depth_of_shared_nodes_counts),
      cmocka_unit_test(a_plan_that_doubles_with_each_node_is_refused),
      cmocka_unit_test(slots_are_bounded),
      cmocka_unit_test(a_field_may_stand_anywhere),
      cmocka_unit_test(a_large_frame_is_written_as_it_was),
      cmocka_unit_test(a_plan_cut_anywhere_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
