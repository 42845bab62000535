/* plan/stages.c: the plan that the tasks of a stage share, and what differs between them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "plan/stages.h"

#include <string.h>

/* ---- writing ---- */

static bool is_scan(const stage *st) {
  return st->source_node->kind == DSL_SCAN;
}

static plan_bytes paths_of(const stage *st) {
  return dsl_at(st->source_node, "sources", "Paths", NULL);
}

/* What a task's part may change: the files and the range of rows. */
static void mark_source(const stage *st, stage_marks *marks) {
  if (st->tasks != STAGE_SOURCE) return;
  bool scan = is_scan(st);
  marks->marks[0].piece = scan ? paths_of(st) : dsl_field(st->source_node, "offset");
  marks->marks[1].piece = scan ? dsl_at(st->source_node, "unified_scan_args", "pre_slice", NULL)
                               : dsl_field(st->source_node, "len");
  marks->n = 2;
}

rc stages_write(const stage *st, const uint8_t header[79], arena *a, spool *out, stage_marks *marks,
                err *e) {
  plan_bytes placeholder = marks->placeholder.piece;
  *marks = (stage_marks){.placeholder = {placeholder, UINT64_MAX}};
  mark_source(st, marks);
  dsl_mark all[3] = {marks->marks[0], marks->marks[1], marks->placeholder};
  const dsl_node *root = st->tree;
  if (st->final && st->sink) root = dsl_with_inputs(a, st->sink, &root);
  TRY(dsl_write(root, header, all, placeholder.data ? 3 : 2, out, e));
  marks->marks[0] = all[0];
  marks->marks[1] = all[1];
  marks->placeholder = all[2];
  for (size_t i = 0; i < marks->n; i++)
    if (marks->marks[i].offset == UINT64_MAX)
      return ERR(e, RC_INTERNAL, "stage %u: its source does not stand in its plan", st->number);
  return RC_OK;
}

/* ---- parts of a source ---- */

static const Planning__Source *files_of(const stage *st) {
  return st->source->answer->source;
}

static bool has_all_rows(const Planning__Source *s) {
  for (size_t i = 0; i < s->n_files; i++)
    if (!s->files[i]->has_rows) return false;
  return true;
}

static uint64_t rows_of(const stage *st) {
  const Planning__Source *s = files_of(st);
  uint64_t rows = 0;
  if (!s->n_files) return s->rows;
  for (size_t i = 0; i < s->n_files; i++) rows += s->files[i]->rows;
  return rows;
}

/* Ranges of rows skip what stands before them only in these formats. */
static bool splits_by_rows(const stage *st) {
  if (!is_scan(st)) return true;
  plan_bytes type = dsl_field(st->source_node, "scan_type");
  return (plan_value_is(type, "Parquet") || plan_value_is(type, "Ipc")) &&
         has_all_rows(files_of(st));
}

/* Whole files suffice when there are enough of them to be balanced. */
static bool by_files(const stage *st, uint32_t tasks) {
  if (!is_scan(st)) return false;
  size_t files = files_of(st)->n_files;
  return !splits_by_rows(st) || files == tasks || files >= 2 * (size_t)tasks;
}

uint32_t stages_source_tasks(const stage *st, uint32_t wanted) {
  uint64_t most = splits_by_rows(st) ? rows_of(st) : files_of(st)->n_files;
  if (most < 1) most = 1;
  return wanted > most ? (uint32_t)most : wanted;
}

/* Where the files of task i begin: cut by bytes, and each task gets at least one. */
static size_t first_file(const Planning__Source *s, uint32_t i, uint32_t n) {
  uint64_t total = 0, before = 0;
  for (size_t k = 0; k < s->n_files; k++) total += s->files[k]->bytes;
  size_t at = 0;
  for (uint32_t task = 1; task <= i; task++) {
    size_t earliest = at + 1, latest = s->n_files - (n - task);
    while (at < earliest || (at < latest && before * n < total * task))
      before += s->files[at++]->bytes;
  }
  return at;
}

static plan_bytes paths_from(const Planning__Source *s, size_t from, size_t to, arena *a) {
  buf b = {0};
  pack_array(&b, to - from);
  for (size_t i = from; i < to; i++) {
    pack_map(&b, 1);
    pack_text(&b, "inner");
    pack_text(&b, s->files[i]->path);
  }
  return pack_done(&b, a);
}

static plan_bytes packed_uint(uint64_t value, arena *a) {
  buf b = {0};
  pack_uint(&b, value);
  return pack_done(&b, a);
}

static plan_bytes slice_of(uint64_t offset, uint64_t len, arena *a) {
  buf b = {0};
  pack_map(&b, 1);
  pack_text(&b, "Positive");
  pack_map(&b, 2);
  pack_text(&b, "offset");
  pack_uint(&b, offset);
  pack_text(&b, "len");
  pack_uint(&b, len);
  return pack_done(&b, a);
}

static stage_splice splice_at(const dsl_mark *mark, plan_bytes with) {
  return (stage_splice){mark->offset, (uint32_t)mark->piece.len, with};
}

/* Slices of the marks come in the order of their offsets. */
static size_t in_place_order(stage_splice out[2]) {
  if (out[0].offset < out[1].offset) return 2;
  stage_splice first = out[1];
  out[1] = out[0];
  out[0] = first;
  return 2;
}

size_t stages_bind(const stage *st, const stage_marks *marks, uint32_t i, uint32_t n, arena *a,
                   stage_splice out[2]) {
  if (st->tasks != STAGE_SOURCE) return 0;
  const Planning__Source *s = files_of(st);
  const dsl_mark *m = marks->marks;
  if (by_files(st, n)) {
    size_t from = first_file(s, i, n), to = i + 1 == n ? s->n_files : first_file(s, i + 1, n);
    out[0] = splice_at(&m[0], paths_from(s, from, to, a));
    return 1;
  }
  uint64_t rows = rows_of(st), from = rows / n * i + (i < rows % n ? i : rows % n);
  uint64_t len = rows / n + (i < rows % n);
  if (!is_scan(st)) {
    out[0] = splice_at(&m[0], packed_uint(from, a));
    out[1] = splice_at(&m[1], packed_uint(len, a));
    return in_place_order(out);
  }
  /* The paths as Polars expanded them when their rows were counted. */
  out[0] = splice_at(&m[0], paths_from(s, 0, s->n_files, a));
  out[1] = splice_at(&m[1], n == 1 ? m[1].piece : slice_of(from, len, a));
  return in_place_order(out);
}
