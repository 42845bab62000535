/* tests/cluster/expr_tool.c: src/plan's expressions from a pipe. SPDX-License-Identifier:
 * Apache-2.0
 *
 *   expr_tool read            [expression, name] → [facts as JSON, the same with that column as
 * selector] expr_tool needs           [expressions] → [those whose dtypes the halves depend on]
 *   expr_tool group_by        [expressions] [HAVING] [typed expressions] [their dtypes]
 *   expr_tool select              → [order as 0 or 1] [partial] [final] [HAVING]; all empty: it
 * cannot expr_tool hash PARTITIONS [keys] → [expression] expr_tool sort            [keys] [sort
 * options] → [expression] expr_tool range           [key] [boundaries] → [expression]
 *
 * Answers each request on stdin until it ends. A list is its length and its pieces, a piece is its
 * length and its bytes; lengths are u32, the lowest byte first. */
#include "plan/aggregate.h"
#include "plan/expr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct list {
  plan_bytes *pieces;
  size_t n;
} list;

/* ---- stdin ---- */

static void must_read(void *out, size_t len) {
  if (fread(out, 1, len, stdin) == len) return;
  fprintf(stderr, "expr_tool: a request is cut off\n");
  exit(2);
}

static uint32_t read_number(void) {
  uint8_t b[4];
  must_read(b, sizeof b);
  return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static list read_list(arena *a) {
  size_t n = read_number();
  list l = {ARENA_NEW(a, plan_bytes, n + 1), n};
  for (size_t i = 0; i < n; i++) {
    size_t len = read_number();
    uint8_t *data = arena_take(a, len + 1); /* a NUL, for texts */
    must_read(data, len);
    l.pieces[i] = (plan_bytes){data, len};
  }
  return l;
}

static bool at_end(void) {
  int c = getc(stdin);
  return c == EOF || ungetc(c, stdin) == EOF;
}

/* ---- stdout ---- */

static void write_number(size_t n) {
  uint8_t b[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
  fwrite(b, 1, sizeof b, stdout);
}

static void write_list(const plan_bytes *pieces, size_t n) {
  write_number(n);
  for (size_t i = 0; i < n; i++) {
    write_number(pieces[i].len);
    fwrite(pieces[i].data, 1, pieces[i].len, stdout);
  }
}

/* ---- read ---- */

static void print_name(buf *b, expr_name name) {
  if (!name.s) return buf_puts(b, "null");
  buf_puts(b, "\"");
  for (size_t i = 0; i < name.len; i++) {
    unsigned char c = (unsigned char)name.s[i];
    buf_printf(b, c < 0x20 || c == '"' || c == '\\' ? "\\u%04x" : "%c", c);
  }
  buf_puts(b, "\"");
}

static void print_columns(buf *b, arena *a, plan_bytes expr) {
  expr_name *names;
  size_t n;
  if (!expr_columns(a, expr, &names, &n)) return buf_puts(b, "null");
  for (size_t i = 0; i < n; i++) {
    buf_puts(b, i ? "," : "[");
    print_name(b, names[i]);
  }
  buf_puts(b, n ? "]" : "[]");
}

static void print_facts(buf *b, arena *a, plan_bytes expr) {
  static const char *const CLASSES[] = {"scalar", "rowwise", "aggregate", "window", "other"};
  static const char *const BOOL[] = {"false", "true"};
  expr_facts f = expr_read(expr);
  buf_printf(b, "{\"class\":\"%s\",\"selector\":%s,\"order\":%s,\"impure\":%s", CLASSES[f.class],
             BOOL[f.selector], BOOL[f.order], BOOL[f.impure]);
  buf_printf(b, ",\"expands\":%s,\"name\":",
             BOOL[f.selector_value.data != NULL && expr_selector_expands(expr)]);
  print_name(b, f.selector ? (expr_name){0} : expr_output_name(a, expr));
  buf_puts(b, ",\"columns\":");
  print_columns(b, a, expr);
  buf_puts(b, "}");
}

static void answer_read(arena *a) {
  list request = read_list(a);
  plan_bytes expr = request.pieces[0], name = request.pieces[1];
  buf facts = {0};
  print_facts(&facts, a, expr);
  plan_bytes out[] = {{facts.data, facts.len},
                      expr_with_column(a, expr, (expr_name){(const char *)name.data, name.len})};
  write_list(out, 2);
  buf_deinit(&facts);
}

/* ---- halves ---- */

static void answer_needs(arena *a) {
  list exprs = read_list(a);
  aggregate_typed *typed = NULL;
  size_t n = 0;
  for (size_t i = 0; i < exprs.n; i++) aggregate_needs(a, exprs.pieces[i], &typed, &n);
  plan_bytes *out = ARENA_NEW(a, plan_bytes, n + 1);
  for (size_t i = 0; i < n; i++) out[i] = typed[i].expr;
  write_list(out, n);
}

static void answer_halves(arena *a, bool global) {
  list exprs = read_list(a), having = read_list(a), inputs = read_list(a), dtypes = read_list(a);
  aggregate_typed *typed = ARENA_NEW(a, aggregate_typed, inputs.n + 1);
  for (size_t i = 0; i < inputs.n; i++)
    typed[i] = (aggregate_typed){inputs.pieces[i], (const char *)dtypes.pieces[i].data};
  aggregate_split s;
  if (!aggregate_split_all(a, exprs.pieces, exprs.n, having.pieces, having.n, typed, inputs.n,
                           global, &s))
    s = (aggregate_split){0};
  plan_bytes order = {(const uint8_t *)(s.order ? "1" : "0"), 1};
  write_list(&order, 1);
  write_list(s.partial, s.n_partial);
  write_list(s.final, s.n_final);
  write_list(s.having, s.n_having);
}

/* ---- makers ---- */

static void answer_made(arena *a, const char *verb, const char *argument) {
  list x = read_list(a);
  plan_bytes made;
  if (strcmp(verb, "hash") == 0) {
    made = expr_hash_partition(a, x.pieces, x.n, (uint32_t)atoi(argument));
  } else if (strcmp(verb, "sort") == 0) {
    made = expr_sort_key(a, x.pieces, x.n, read_list(a).pieces[0]);
  } else {
    list boundaries = read_list(a);
    made = expr_range_partition(a, x.pieces[0], boundaries.pieces, boundaries.n);
  }
  write_list(&made, 1);
}

static void answer(arena *a, const char *verb, const char *argument) {
  if (strcmp(verb, "read") == 0) return answer_read(a);
  if (strcmp(verb, "needs") == 0) return answer_needs(a);
  if (strcmp(verb, "group_by") == 0) return answer_halves(a, false);
  if (strcmp(verb, "select") == 0) return answer_halves(a, true);
  answer_made(a, verb, argument);
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "see the top of expr_tool.c\n"), 2;
  while (!at_end()) {
    arena a = {0};
    answer(&a, argv[1], argc > 2 ? argv[2] : "1");
    fflush(stdout);
    arena_deinit(&a);
  }
  return 0;
}
