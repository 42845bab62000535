/* plan/parts.c: see parts.h; stages_source_tasks and stages_bind of stages.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "plan/parts.h"

static bool is_scan(const stage *st) {
  return st->source_node->kind == DSL_SCAN;
}

static const Planning__Source *source_of(const stage *st) {
  return st->source->answer->source;
}

static plan_bytes limit_of(const dsl_node *scan) {
  return dsl_at(scan, "unified_scan_args", "pre_slice", NULL);
}

static plan_bytes numbers_of(const dsl_node *scan) {
  return dsl_at(scan, "unified_scan_args", "row_index", "offset", NULL);
}

/* ---- what a part may change ---- */

enum { FILES, ROWS, NUMBERS }; /* marks of a scan */
enum { OFFSET, LEN };          /* of a frame: of the slice above it */

void parts_mark(const stage *st, stage_marks *marks) {
  marks->n = 2;
  if (!is_scan(st)) {
    marks->marks[OFFSET].piece = dsl_field(st->source_node, "offset");
    marks->marks[LEN].piece = dsl_field(st->source_node, "len");
    return;
  }
  marks->marks[FILES].piece = dsl_at(st->source_node, "sources", "Paths", NULL);
  marks->marks[ROWS].piece = limit_of(st->source_node);
  marks->marks[NUMBERS].piece = numbers_of(st->source_node);
  if (marks->marks[NUMBERS].piece.data) marks->n = 3;
}

/* ---- by rows, or by files ---- */

bool parts_rows_known(const Planning__Source *s) {
  for (size_t i = 0; i < s->n_files; i++)
    if (!s->files[i]->has_rows) return false;
  return s->n_files > 0;
}

bool parts_limit(const dsl_node *scan, part_rows *limit) {
  int64_t first, from, len;
  *limit = (part_rows){0, UINT64_MAX};
  plan_bytes numbers = numbers_of(scan);
  if (numbers.data && !plan_value_int(numbers, &first)) return false;
  if (plan_value_nil(limit_of(scan))) return true;
  if (!plan_value_int(dsl_at(scan, "unified_scan_args", "pre_slice", "Positive", "offset", NULL),
                      &from) ||
      !plan_value_int(dsl_at(scan, "unified_scan_args", "pre_slice", "Positive", "len", NULL),
                      &len))
    return false;
  *limit = (part_rows){(uint64_t)from, (uint64_t)len};
  return from >= 0 && len >= 0;
}

/* Rows of the source that the query wants of it. */
static part_rows wanted_rows(const stage *st) {
  const Planning__Source *s = source_of(st);
  part_rows wanted = {0, UINT64_MAX};
  uint64_t rows = s->n_files ? 0 : s->rows;
  for (size_t i = 0; i < s->n_files; i++) rows += s->files[i]->rows;
  if (is_scan(st) && !parts_limit(st->source_node, &wanted)) return (part_rows){0, rows};
  if (wanted.from > rows) wanted.from = rows;
  if (wanted.len > rows - wanted.from) wanted.len = rows - wanted.from;
  return wanted;
}

/* Ranges of rows skip what stands before them only in these formats. */
static bool splits_by_rows(const stage *st) {
  if (!is_scan(st)) return true;
  plan_bytes type = dsl_field(st->source_node, "scan_type");
  return (plan_value_is(type, "Parquet") || plan_value_is(type, "Ipc")) &&
         parts_rows_known(source_of(st));
}

/* Whole files suffice when there are enough of them to be balanced; and only of whole files does
 * Polars leave out those whose folders a filter rules out. */
static bool by_files(const stage *st, uint32_t tasks) {
  const Planning__Source *s = source_of(st);
  if (!is_scan(st) || !plan_value_nil(limit_of(st->source_node))) return false;
  bool enough = s->n_files == tasks || s->n_files >= 2 * (size_t)tasks;
  return !splits_by_rows(st) || enough || (s->has_hive && s->n_files >= tasks);
}

uint32_t stages_source_tasks(const stage *st, uint32_t wanted) {
  uint64_t most = splits_by_rows(st) ? wanted_rows(st).len : source_of(st)->n_files;
  if (most < 1) most = 1;
  return wanted > most ? (uint32_t)most : wanted;
}

/* ---- one part ---- */

typedef struct part {
  size_t first, end; /* files */
  uint64_t before;   /* rows of the files before them, if they are known */
  bool sliced;
  part_rows rows; /* of these files, if sliced */
} part;

/* Where the files of task i begin: cut by bytes, and each task gets at least one. */
static size_t first_file(const Planning__Source *s, uint32_t i, uint32_t n) {
  if (i == n) return s->n_files;
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

static part_rows rows_of_task(part_rows all, uint32_t i, uint32_t n) {
  uint64_t more = all.len % n; /* tasks that have one row more */
  uint64_t from = all.from + all.len / n * i + (i < more ? i : more);
  return (part_rows){from, all.len / n + (i < more)};
}

static part part_by_files(const Planning__Source *s, uint32_t i, uint32_t n) {
  part p = {.first = first_file(s, i, n), .end = first_file(s, i + 1, n)};
  for (size_t k = 0; k < p.first; k++) p.before += s->files[k]->rows;
  return p;
}

/* Only the files that hold some of the rows, one at least. */
static part part_by_rows(const Planning__Source *s, part_rows rows) {
  part p = {.sliced = true, .rows = rows};
  while (p.first + 1 < s->n_files && p.before + s->files[p.first]->rows <= rows.from)
    p.before += s->files[p.first++]->rows;
  p.rows.from -= p.before;
  uint64_t held = 0;
  for (p.end = p.first; p.end == p.first || (p.end < s->n_files && held < p.rows.from + rows.len);)
    held += s->files[p.end++]->rows;
  return p;
}

static plan_bytes packed_files(const Planning__Source *s, const part *p, arena *a) {
  buf b = {0};
  pack_array(&b, p->end - p->first);
  for (size_t i = p->first; i < p->end; i++) {
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

static plan_bytes packed_rows(part_rows rows, arena *a) {
  buf b = {0};
  pack_map(&b, 1);
  pack_text(&b, "Positive");
  pack_map(&b, 2);
  pack_text(&b, "offset");
  pack_uint(&b, rows.from);
  pack_text(&b, "len");
  pack_uint(&b, rows.len);
  return pack_done(&b, a);
}

/* What stands at the marks in the plan of this task; data NULL: what stands there already. */
static void bind_scan(const stage *st, uint32_t i, uint32_t n, arena *a, plan_bytes *with) {
  const Planning__Source *s = source_of(st);
  part p = by_files(st, n) ? part_by_files(s, i, n)
                           : part_by_rows(s, rows_of_task(wanted_rows(st), i, n));
  with[FILES] = packed_files(s, &p, a);
  if (p.sliced) with[ROWS] = packed_rows(p.rows, a);
  int64_t first;
  if (plan_value_int(numbers_of(st->source_node), &first))
    with[NUMBERS] = packed_uint((uint64_t)first + p.before, a);
}

static void bind_frame(const stage *st, uint32_t i, uint32_t n, arena *a, plan_bytes *with) {
  part_rows rows = rows_of_task(wanted_rows(st), i, n);
  with[OFFSET] = packed_uint(rows.from, a);
  with[LEN] = packed_uint(rows.len, a);
}

static size_t add_in_order(stage_splice *out, size_t n, stage_splice one) {
  size_t at = n;
  for (; at && out[at - 1].offset > one.offset; at--) out[at] = out[at - 1];
  out[at] = one;
  return n + 1;
}

size_t stages_bind(const stage *st, const stage_marks *marks, uint32_t i, uint32_t n, arena *a,
                   stage_splice out[STAGE_MAX_SPLICES]) {
  if (st->tasks != STAGE_SOURCE) return 0;
  plan_bytes with[STAGE_MAX_SPLICES] = {{0}};
  (is_scan(st) ? bind_scan : bind_frame)(st, i, n, a, with);
  size_t n_splices = 0;
  for (size_t k = 0; k < marks->n; k++) {
    const dsl_mark *m = &marks->marks[k];
    stage_splice one = {m->offset, (uint32_t)m->piece.len, with[k]};
    if (with[k].data) n_splices = add_in_order(out, n_splices, one);
  }
  return n_splices;
}
