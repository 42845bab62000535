/* plan/expr_make.c: expressions that the planner makes itself. SPDX-License-Identifier: Apache-2.0
 */
#include "plan/expr.h"
#include "plan/expr_parts.h"

#include <string.h>

/* {"name": … of which the value follows */
static void open_map(buf *b, const char *name) {
  pack_map(b, 1);
  pack_text(b, name);
}

plan_bytes expr_column(arena *a, expr_name name) {
  buf b = {0};
  open_map(&b, "Column");
  pack_str(&b, name.s, name.len);
  return pack_done(&b, a);
}

plan_bytes expr_alias(arena *a, plan_bytes expr, const char *name, size_t len) {
  buf b = {0};
  open_map(&b, "Alias");
  pack_array(&b, 2);
  pack_raw(&b, expr);
  pack_str(&b, name, len);
  return pack_done(&b, a);
}

plan_bytes expr_binary(arena *a, plan_bytes left, const char *op, plan_bytes right) {
  buf b = {0};
  open_map(&b, "BinaryExpr");
  pack_map(&b, 3);
  pack_text(&b, "left");
  pack_raw(&b, left);
  pack_text(&b, "op");
  pack_text(&b, op);
  pack_text(&b, "right");
  pack_raw(&b, right);
  return pack_done(&b, a);
}

/* A Dyn literal takes the dtype of what it meets. Polars writes 128 bits, the highest byte first.
 */
plan_bytes expr_uint(arena *a, uint64_t value) {
  buf b = {0};
  uint8_t bytes[16] = {0};
  for (unsigned i = 0; i < 8; i++) bytes[15 - i] = (uint8_t)(value >> 8 * i);
  open_map(&b, "Literal");
  open_map(&b, "Dyn");
  open_map(&b, "Int");
  pack_bin(&b, bytes, sizeof bytes);
  return pack_done(&b, a);
}

plan_bytes expr_null(arena *a) {
  buf b = {0};
  open_map(&b, "Literal");
  open_map(&b, "Scalar");
  open_map(&b, "Null");
  pack_text(&b, "Null");
  return pack_done(&b, a);
}

static plan_bytes binary_literal(arena *a, plan_bytes bytes) {
  buf b = {0};
  open_map(&b, "Literal");
  open_map(&b, "Scalar");
  open_map(&b, "Binary");
  pack_bin(&b, bytes.data, bytes.len);
  return pack_done(&b, a);
}

plan_bytes expr_cast(arena *a, plan_bytes expr, const char *dtype) {
  buf b = {0};
  open_map(&b, "Cast");
  pack_map(&b, 3);
  pack_text(&b, "expr");
  pack_raw(&b, expr);
  pack_text(&b, "dtype");
  open_map(&b, "Literal");
  pack_text(&b, dtype);
  pack_text(&b, "options");
  pack_text(&b, "NonStrict");
  return pack_done(&b, a);
}

plan_bytes expr_filter(arena *a, plan_bytes input, plan_bytes by) {
  buf b = {0};
  open_map(&b, "Filter");
  pack_map(&b, 2);
  pack_text(&b, "input");
  pack_raw(&b, input);
  pack_text(&b, "by");
  pack_raw(&b, by);
  return pack_done(&b, a);
}

plan_bytes expr_ternary(arena *a, plan_bytes predicate, plan_bytes truthy, plan_bytes falsy) {
  buf b = {0};
  open_map(&b, "Ternary");
  pack_map(&b, 3);
  pack_text(&b, "predicate");
  pack_raw(&b, predicate);
  pack_text(&b, "truthy");
  pack_raw(&b, truthy);
  pack_text(&b, "falsy");
  pack_raw(&b, falsy);
  return pack_done(&b, a);
}

plan_bytes expr_agg(arena *a, const char *name, plan_bytes input) {
  buf b = {0};
  open_map(&b, "Agg");
  open_map(&b, name);
  pack_raw(&b, input);
  return pack_done(&b, a);
}

plan_bytes expr_count(arena *a, plan_bytes input, bool include_nulls) {
  buf b = {0};
  pack_map(&b, 2);
  pack_text(&b, "input");
  pack_raw(&b, input);
  pack_text(&b, "include_nulls");
  pack_bool(&b, include_nulls);
  return expr_agg(a, "Count", pack_done(&b, a));
}

plan_bytes expr_variance(arena *a, plan_bytes input, unsigned ddof) {
  buf b = {0};
  pack_array(&b, 2);
  pack_raw(&b, input);
  pack_uint(&b, ddof);
  return expr_agg(a, "Var", pack_done(&b, a));
}

plan_bytes expr_function(arena *a, const plan_bytes *inputs, size_t n, plan_bytes function) {
  buf b = {0};
  open_map(&b, "Function");
  pack_map(&b, 2);
  pack_text(&b, "input");
  pack_array(&b, n);
  for (size_t i = 0; i < n; i++) pack_raw(&b, inputs[i]);
  pack_text(&b, "function");
  pack_raw(&b, function);
  return pack_done(&b, a);
}

plan_bytes expr_nested(arena *a, const char *family, const char *function) {
  buf b = {0};
  open_map(&b, family);
  pack_text(&b, function);
  return pack_done(&b, a);
}

plan_bytes expr_any(arena *a) {
  buf b = {0};
  open_map(&b, "Boolean");
  open_map(&b, "Any");
  pack_map(&b, 1);
  pack_text(&b, "ignore_nulls");
  pack_bool(&b, true);
  return pack_done(&b, a);
}

/* ---- exchanges ---- */

static plan_bytes as_struct(arena *a, const plan_bytes *keys, size_t n) {
  plan_bytes *fields = ARENA_NEW(a, plan_bytes, n);
  for (size_t i = 0; i < n; i++) { /* numbers: two keys may have one name */
    const char *name = arena_printf(a, "%zu", i);
    fields[i] = expr_alias(a, keys[i], name, strlen(name));
  }
  buf b = {0};
  pack_text(&b, "AsStruct");
  return expr_function(a, fields, n, pack_done(&b, a));
}

plan_bytes expr_hash_partition(arena *a, const plan_bytes *keys, size_t n, uint32_t partitions) {
  plan_bytes key = n == 1 ? keys[0] : as_struct(a, keys, n);
  buf b = {0};
  open_map(&b, "Hash");
  pack_uint(&b, 0); /* the seed: the same for all tables that meet */
  plan_bytes hash = expr_function(a, &key, 1, pack_done(&b, a));
  return expr_binary(a, hash, "Modulus", expr_uint(a, partitions));
}

/* One boolean for each key: Polars writes one for all of them when they are equal. */
static void pack_each(buf *b, plan_bytes flags, size_t n) {
  bool only = plan_items_of(flags).left == 1;
  pack_array(b, n);
  for (size_t i = 0; i < n; i++) pack_bool(b, plan_value_true(plan_item(flags, only ? 0 : i)));
}

plan_bytes expr_sort_key(arena *a, const plan_bytes *by, size_t n, plan_bytes options) {
  buf b = {0};
  open_map(&b, "RowEncode");
  open_map(&b, "Ordered");
  pack_map(&b, 3);
  pack_text(&b, "descending");
  pack_each(&b, plan_part(options, "descending"), n);
  pack_text(&b, "nulls_last");
  pack_each(&b, plan_part(options, "nulls_last"), n);
  pack_text(&b, "broadcast_nulls");
  pack_nil(&b);
  return expr_cast(a, expr_function(a, by, n, pack_done(&b, a)), "Binary");
}

plan_bytes expr_range_partition(arena *a, plan_bytes key, const plan_bytes *boundaries, size_t n) {
  if (n == 0) return expr_cast(a, expr_uint(a, 0), "UInt32");
  plan_bytes *above = ARENA_NEW(a, plan_bytes, n);
  for (size_t i = 0; i < n; i++) {
    plan_bytes boundary = binary_literal(a, boundaries[i]);
    above[i] = expr_cast(a, expr_binary(a, key, "GtEq", boundary), "UInt32");
  }
  buf b = {0};
  open_map(&b, "SumHorizontal");
  pack_map(&b, 1);
  pack_text(&b, "ignore_nulls");
  pack_bool(&b, true);
  return expr_function(a, above, n, pack_done(&b, a));
}
