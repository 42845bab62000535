/* plan/cut_source.c: which part of a source each task reads. SPDX-License-Identifier: Apache-2.0
 *
 * Files are split by whole files, or one or few of them by rows; a frame inside the plan by rows.
 * The parts, one after the other, are the source in its order. A source that could come out
 * otherwise when a part of it is read alone (inferred schema, hive folders, patterns) is made to
 * agree; row numbers and a limit need to know how many rows each file has. What remains is not
 * split. */
#include "plan/cut.h"
#include "plan/parts.h"

#include <string.h>

typedef struct format {
  const char *name;
  bool by_rows; /* a range of rows can be read without the rows before it */
  bool pinned;  /* its options hold a schema, inferred from the first file when nil */
} format;

static const format FORMATS[] = {
    {"Parquet", true, true}, {"Ipc", true, false}, {"Csv", false, true}, {"NDJson", false, true}};

static const format *format_of(const dsl_node *scan) {
  plan_bytes type = dsl_field(scan, "scan_type");
  for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++)
    if (plan_value_is(type, FORMATS[i].name)) return &FORMATS[i];
  return NULL;
}

static bool has(const dsl_node *scan, const char *field) {
  return !plan_value_nil(dsl_at(scan, "unified_scan_args", field, NULL));
}

/* Some field of the scan says something of the whole of it. */
static bool has_whole(const dsl_node *scan) {
  return has(scan, "deletion_files") || has(scan, "table_statistics") || has(scan, "row_count") ||
         has(scan, "source_sizes") ||
         !plan_value_nil(dsl_at(scan, "scan_type", "Csv", "options", "n_rows", NULL)) ||
         !plan_value_nil(dsl_at(scan, "scan_type", "Csv", "options", "row_index", NULL));
}

/* What a task reads depends on how many rows stand before its part. */
static bool counts_rows(const dsl_node *scan) {
  return has(scan, "row_index") || has(scan, "pre_slice");
}

/* A csv file without some of the columns does not give its last rows when its schema is given:
 * Polars 2.0.0 refuses. */
static bool may_lack_columns(const dsl_node *scan) {
  plan_bytes policy = dsl_at(scan, "unified_scan_args", "missing_columns_policy", NULL);
  return plan_value_is(dsl_field(scan, "scan_type"), "Csv") && !plan_value_is(policy, "Raise");
}

static bool can_split(const dsl_node *scan, const Planning__Source *s) {
  const format *f = format_of(scan);
  part_rows limit;
  if (!f || !s || !s->n_files || !dsl_at(scan, "sources", "Paths", NULL).data) return false;
  if (has_whole(scan) || may_lack_columns(scan) || !parts_limit(scan, &limit)) return false;
  if (f->by_rows && parts_rows_known(s)) return true;
  return s->n_files > 1 && !counts_rows(scan);
}

/* ---- what is known of all files, for each part of them ---- */

static bool schema_of(cut *c, const Planning__Source *s, plan_bytes *schema) {
  const dsl_node *frame;
  if (!s->frame.len || dsl_parse(s->frame.data, s->frame.len, c->a, &frame, NULL) != RC_OK)
    return false;
  *schema = dsl_field(frame, "schema");
  return schema->data != NULL;
}

/* False: there is no such value. */
static bool pin(cut *c, const dsl_node **scan, plan_bytes old, plan_bytes value) {
  const dsl_node *pinned = old.data ? dsl_with_value(c->a, *scan, old, value) : NULL;
  if (pinned) *scan = pinned;
  return pinned;
}

static plan_bytes truth(cut *c, bool value) {
  buf b = {0};
  pack_bool(&b, value);
  return pack_done(&b, c->a);
}

static plan_bytes number(cut *c, uint64_t value) {
  buf b = {0};
  pack_uint(&b, value);
  return pack_done(&b, c->a);
}

static plan_bytes hive_option(const dsl_node *scan, const char *name) {
  return dsl_at(scan, "unified_scan_args", "hive_options", name, NULL);
}

/* The files are as Polars found them, and so are the columns that their folders stand for: which
 * folders these are depends on the path that was given. False: it cannot be pinned. */
static bool pin_files(cut *c, const dsl_node **scan, const Planning__Source *s) {
  plan_bytes schema;
  if (!pin(c, scan, dsl_at(*scan, "unified_scan_args", "expand_paths", NULL), truth(c, false)) ||
      !pin(c, scan, hive_option(*scan, "enabled"), truth(c, s->has_hive)) ||
      !pin(c, scan, hive_option(*scan, "hive_start_idx"), number(c, s->hive_start)))
    return false;
  return !s->has_hive ||
         (schema_of(c, s, &schema) && pin(c, scan, hive_option(*scan, "schema"), schema));
}

/* False: it cannot be pinned. */
static bool pin_schema(cut *c, const dsl_node **scan, const Planning__Source *s) {
  const format *f = format_of(*scan);
  plan_bytes there = dsl_at(*scan, "scan_type", f->name, "options", "schema", NULL), schema;
  if (!f->pinned || !plan_value_nil(there)) return true;
  return schema_of(c, s, &schema) && pin(c, scan, there, schema);
}

/* Files may hold the columns in another order than the first one does. */
static const dsl_node *in_order(cut *c, const described_node *dn, const dsl_node *scan) {
  size_t n = dn->answer->n_names;
  plan_bytes *columns = ARENA_NEW(c->a, plan_bytes, n + 1);
  for (size_t i = 0; i < n; i++)
    columns[i] = expr_column(c->a, (expr_name){dn->answer->names[i], strlen(dn->answer->names[i])});
  return n ? dsl_select(c->a, columns, n, scan) : scan;
}

/* ---- the rule ---- */

static bool split_scan(cut *c, const described_node *dn, branch *b) {
  const Planning__Source *s = dn->answer->source;
  if (!can_split(dn->node, s)) return false;
  const dsl_node *scan = dn->node;
  if (!pin_files(c, &scan, s) || (s->n_files > 1 && !pin_schema(c, &scan, s))) return false;
  b->source_node = scan;
  b->tree = s->n_files > 1 && !format_of(scan)->pinned ? in_order(c, dn, scan) : scan;
  return true;
}

static bool split_frame(cut *c, const described_node *dn, branch *b) {
  if (!dn->answer->source || !dn->answer->source->has_rows || dn->rows < 1) return false;
  b->tree = b->source_node = dsl_slice(c->a, 0, (uint64_t)dn->rows, dn->node);
  return true;
}

void cut_source(cut *c, const dsl_node *n, fragment *out) {
  const described_node *dn = describe_find(c->d, n);
  branch *b = ARENA_NEW(c->a, branch, 1);
  *b = (branch){.tree = n, .tasks = STAGE_SOURCE, .source = dn};
  bool files = n->kind == DSL_SCAN, frame = n->kind == DSL_FRAME_SCAN;
  bool counted = frame || (files && dn->answer->source && dn->answer->source->n_files);
  *out = (fragment){.branches = b,
                    .n_branches = 1,
                    .spread = SPREAD_ONE,
                    .order = ORDER_TOTAL,
                    .rows = dn->rows,
                    .selectivity = 1,
                    .determinate = files || frame};
  if (counted && dn->rows <= c->limits->replicate_rows)
    out->spread = SPREAD_REPLICATED;
  else if ((files && split_scan(c, dn, b)) || (frame && split_frame(c, dn, b)))
    out->spread = SPREAD_PARTS;
  cut_decided(c, out->spread == SPREAD_ONE          ? RULE_SOURCE_ONE
                 : out->spread == SPREAD_REPLICATED ? RULE_SOURCE_EVERYWHERE
                 : files                            ? RULE_SOURCE_FILES
                                                    : RULE_SOURCE_FRAME);
  estimate_source(c, dn, out);
}
