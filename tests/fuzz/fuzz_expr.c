/* Fuzz target of plan/expr*.c and plan/aggregate.c. SPDX-License-Identifier: Apache-2.0
 *
 * Whatever is whole MessagePack may be asked about. What is made of it is whole again, and says of
 * itself what it must. */
#include "plan/aggregate.h"
#include "plan/expr.h"
#include "plan/msgpack.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool true_for_every_value) {
  if (!true_for_every_value) abort();
}

static void must_be_whole(plan_bytes value) {
  msgpack m = {value.data, value.data, value.data + value.len};
  must(msgpack_walk(&m, NULL, NULL, NULL) == RC_OK && m.at == m.end);
}

static void check_names(arena *a, plan_bytes expr) {
  expr_name *names = NULL, name = expr_output_name(a, expr);
  size_t n = 0;
  bool known = expr_columns(a, expr, &names, &n);
  for (size_t i = 0; known && i < n; i++) must(names[i].s != NULL);
  must(name.s || name.len == 0);
  plan_bytes column = expr_with_column(a, expr, (expr_name){"x", 1});
  must_be_whole(column);
  must(known ? plan_bytes_equal(column, expr) : true);
}

static void check_facts(plan_bytes expr) {
  expr_facts f = expr_read(expr);
  must(f.class <= EXPR_OTHER);
  must((f.class == EXPR_WINDOW) == (f.window_keys.data != NULL));
  must(!f.selector_value.data || f.selector);
  must(f.class > EXPR_SCALAR || !f.selector);
  if (!f.selector) must(expr_selector_expands(expr));
}

static void check_halves(arena *a, plan_bytes expr, bool global) {
  aggregate_typed *typed = NULL;
  size_t n = 0;
  aggregate_needs(a, expr, &typed, &n);
  for (size_t i = 0; i < n; i++) typed[i].dtype = "Float32";
  aggregate_split s;
  if (!aggregate_split_all(a, &expr, 1, &expr, 1, typed, n, global, &s)) return;
  must(s.n_partial > 0 && s.n_final == 1 && s.n_having == 1);
  for (size_t i = 0; i < s.n_partial; i++) {
    must_be_whole(s.partial[i]);
    must(expr_read(s.partial[i]).class == EXPR_AGGREGATE);
  }
  must_be_whole(s.final[0]);
  must_be_whole(s.having[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  msgpack m = {data, data, data + len};
  if (msgpack_walk(&m, NULL, NULL, NULL) != RC_OK) return 0;
  plan_bytes expr = {data, (size_t)(m.at - data)};
  arena a = {0};
  check_names(&a, expr);
  check_facts(expr);
  check_halves(&a, expr, false);
  check_halves(&a, expr, true);
  arena_deinit(&a);
  return 0;
}
