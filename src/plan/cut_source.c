/* plan/cut_source.c: which part of a source each task reads. SPDX-License-Identifier: Apache-2.0
 *
 * Files are split by whole files, or one or few of them by rows; a frame inside the plan by rows.
 * The parts, one after the other, are the source in its order. A source that could come out
 * otherwise when a part of it is read alone (inferred schema, hive folders, row numbers) is made to
 * agree, or not split. */
#include "plan/cut.h"

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

/* Fields of a scan that say something of the whole of it. */
static bool has_no_whole(const dsl_node *scan) {
  static const char *const NIL[] = {"row_index",        "pre_slice", "deletion_files",
                                    "table_statistics", "row_count", "include_file_paths",
                                    "source_sizes"};
  for (size_t i = 0; i < sizeof NIL / sizeof *NIL; i++)
    if (!plan_value_nil(dsl_at(scan, "unified_scan_args", NIL[i], NULL))) return false;
  static const char *const CSV[] = {"n_rows", "row_index"};
  for (size_t i = 0; i < sizeof CSV / sizeof *CSV; i++)
    if (!plan_value_nil(dsl_at(scan, "scan_type", "Csv", "options", CSV[i], NULL))) return false;
  return true;
}

/* Folders named key=value may give columns; a part of them could give others. */
static bool has_hive_folders(const Planning__Source *s) {
  for (size_t i = 0; i < s->n_files; i++)
    if (strchr(s->files[i]->path, '=')) return true;
  return false;
}

static bool rows_are_known(const Planning__Source *s) {
  for (size_t i = 0; i < s->n_files; i++)
    if (!s->files[i]->has_rows) return false;
  return s->n_files > 0;
}

static bool can_split(const dsl_node *scan, const Planning__Source *s) {
  const format *f = format_of(scan);
  if (!f || !s || !s->n_files || !dsl_at(scan, "sources", "Paths", NULL).data) return false;
  if (!has_no_whole(scan) || has_hive_folders(s)) return false;
  return s->n_files > 1 || (f->by_rows && rows_are_known(s));
}

/* ---- the schema of all files, for each part of them ---- */

static plan_bytes replaced(arena *a, plan_bytes whole, plan_bytes piece, plan_bytes with) {
  buf b = {0};
  pack_raw(&b, (plan_bytes){whole.data, (size_t)(piece.data - whole.data)});
  pack_raw(&b, with);
  const uint8_t *after = piece.data + piece.len;
  pack_raw(&b, (plan_bytes){after, (size_t)(whole.data + whole.len - after)});
  return pack_done(&b, a);
}

static bool schema_of(cut *c, const Planning__Source *s, plan_bytes *schema) {
  const dsl_node *frame;
  if (!s->frame.len || dsl_parse(s->frame.data, s->frame.len, c->a, &frame, NULL) != RC_OK)
    return false;
  *schema = dsl_field(frame, "schema");
  return schema->data != NULL;
}

/* NULL: it cannot be pinned. */
static const dsl_node *pinned(cut *c, const dsl_node *scan, const Planning__Source *s) {
  const format *f = format_of(scan);
  plan_bytes type = dsl_field(scan, "scan_type"), schema;
  plan_bytes there = dsl_at(scan, "scan_type", f->name, "options", "schema", NULL);
  if (!f->pinned || !plan_value_nil(there)) return scan;
  if (!there.data || !schema_of(c, s, &schema)) return NULL;
  return dsl_with_field(c->a, scan, "scan_type", replaced(c->a, type, there, schema));
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
  const dsl_node *scan = s->n_files > 1 ? pinned(c, dn->node, s) : dn->node;
  if (!scan) return false;
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
