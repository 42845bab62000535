/* plan/expr_names.c: the columns that an expression names, and the one that it makes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "plan/expr.h"
#include "plan/expr_parts.h"

#include <ctype.h>
#include <string.h>

static expr_name text_of(plan_bytes value) {
  msgpack m = plan_cursor(value);
  msgpack_token t;
  if (!value.data || msgpack_next(&m, &t, NULL) != RC_OK || t.kind != MSGPACK_STR)
    return (expr_name){0};
  return (expr_name){(const char *)t.data, t.n};
}

bool expr_name_equal(expr_name a, expr_name b) {
  return a.s && b.s && a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

bool expr_is_column(plan_bytes expr, expr_name *name) {
  if (!plan_value_is(expr, "Column")) return false;
  expr_name found = text_of(plan_payload(expr));
  if (found.s && name) *name = found;
  return found.s != NULL;
}

/* ---- the columns in it ---- */

bool expr_columns(arena *a, plan_bytes expr, expr_name **names, size_t *n) {
  size_t most = 0, found = 0;
  for (expr_scan s = expr_scan_of(expr); expr_scan_next(&s);) {
    if (plan_text_is(s.name, "Selector") || plan_text_is(s.name, "SubPlan") ||
        plan_text_is(s.name, "PipeWithDtype"))
      return false;
    most += plan_text_is(s.name, "Column");
  }
  expr_name *out = ARENA_NEW(a, expr_name, most + 1);
  for (expr_scan s = expr_scan_of(expr); expr_scan_next(&s);) {
    if (!plan_text_is(s.name, "Column")) continue;
    expr_name name = text_of(expr_scan_payload(&s));
    if (!name.s || name.len == 0) return false; /* "": an element, or a column of that name */
    size_t i = 0;
    while (i < found && !expr_name_equal(out[i], name)) i++;
    if (i == found) out[found++] = name;
  }
  *names = out;
  *n = found;
  return true;
}

plan_bytes expr_with_column(arena *a, plan_bytes expr, expr_name name) {
  buf b = {0};
  plan_bytes column = expr_column(a, name);
  const uint8_t *copied = expr.data;
  for (expr_scan s = expr_scan_of(expr); expr_scan_next(&s);) {
    if (!plan_text_is(s.name, "Selector")) continue;
    pack_raw(&b, (plan_bytes){copied, (size_t)(s.start - copied)});
    pack_raw(&b, column);
    expr_scan_skip(&s);
    copied = s.at.at;
  }
  pack_raw(&b, (plan_bytes){copied, (size_t)(expr.data + expr.len - copied)});
  return pack_done(&b, a);
}

/* ---- its output ---- */

/* The part whose name an expression takes over: the left-most input. {NULL, 0}: it has none. */
static plan_bytes leader(plan_bytes expr) {
  static const struct {
    const char *variant, *part;
  } LEADERS[] = {{"BinaryExpr", "left"}, {"Cast", "expr"},        {"Eval", "expr"},
                 {"Explode", "input"},   {"Filter", "input"},     {"Gather", "expr"},
                 {"Over", "function"},   {"Rolling", "function"}, {"Slice", "input"},
                 {"Sort", "expr"},       {"SortBy", "expr"},      {"StructEval", "expr"},
                 {"Ternary", "truthy"}};
  plan_bytes name = plan_value_name(expr), payload = plan_payload(expr);
  if (plan_text_is(name, "Agg")) return expr_agg_input(payload);
  if (plan_text_is(name, "Function") || plan_text_is(name, "AnonymousFunction"))
    return plan_item(plan_part(payload, "input"), 0);
  for (size_t i = 0; i < sizeof LEADERS / sizeof *LEADERS; i++)
    if (plan_text_is(name, LEADERS[i].variant)) return plan_part(payload, LEADERS[i].part);
  return (plan_bytes){0};
}

static expr_name field_name(plan_bytes expr) {
  plan_bytes function = plan_part(plan_payload(expr), "function");
  plan_bytes nested = plan_payload(function);
  if (!plan_value_is(function, "StructExpr")) return (expr_name){0};
  return text_of(plan_value_is(nested, "FieldByName") ? plan_payload(nested) : (plan_bytes){0});
}

static bool selects_fields(plan_bytes expr) {
  return plan_value_is(expr, "Function") &&
         plan_value_is(plan_payload(plan_part(plan_payload(expr), "function")), "SelectFields");
}

/* The column that `name.keep` goes back to. */
static expr_name kept_name(plan_bytes expr) {
  for (unsigned depth = 0; expr.data && depth < EXPR_MAX_DEPTH; depth++) {
    expr_name name;
    if (expr_is_column(expr, &name)) return name;
    if (plan_value_is(expr, "Alias"))
      expr = plan_item(plan_payload(expr), 0);
    else if (plan_value_is(expr, "KeepName"))
      expr = plan_payload(expr);
    else if (plan_value_is(expr, "RenameAlias"))
      expr = plan_part(plan_payload(expr), "expr");
    else
      expr = leader(expr);
  }
  return (expr_name){0};
}

static bool is_ascii(expr_name name) {
  for (size_t i = 0; i < name.len; i++)
    if ((unsigned char)name.s[i] >= 0x80) return false;
  return true;
}

static expr_name in_case(arena *a, expr_name name, int (*change)(int)) {
  char *out = arena_take(a, name.len + 1);
  for (size_t i = 0; i < name.len; i++) out[i] = (char)change((unsigned char)name.s[i]);
  return (expr_name){out, name.len};
}

static expr_name joined(arena *a, expr_name x, expr_name y) {
  char *out = arena_take(a, x.len + y.len + 1);
  memcpy(out, x.s, x.len);
  memcpy(out + x.len, y.s, y.len);
  return (expr_name){out, x.len + y.len};
}

static expr_name renamed(arena *a, plan_bytes how, expr_name name) {
  expr_name text = text_of(plan_payload(how));
  if (!name.s) return name;
  if (text.s && plan_value_is(how, "Prefix")) return joined(a, text, name);
  if (text.s && plan_value_is(how, "Suffix")) return joined(a, name, text);
  if (plan_value_is(how, "ToLowercase") && is_ascii(name)) return in_case(a, name, tolower);
  if (plan_value_is(how, "ToUppercase") && is_ascii(name)) return in_case(a, name, toupper);
  return (expr_name){0};
}

static expr_name output_name(arena *a, plan_bytes expr, unsigned depth) {
  expr_name name;
  plan_bytes payload = plan_payload(expr);
  if (depth == 0 || selects_fields(expr)) return (expr_name){0};
  if (expr_is_column(expr, &name)) return name;
  if (plan_value_is(expr, "Len")) return (expr_name){"len", 3};
  if (plan_value_is(expr, "Alias")) return text_of(plan_item(payload, 1));
  if (plan_value_is(expr, "KeepName")) return kept_name(payload);
  if (plan_value_is(expr, "RenameAlias"))
    return renamed(a, plan_part(payload, "function"),
                   output_name(a, plan_part(payload, "expr"), depth - 1));
  if (plan_value_is(expr, "Literal"))
    return plan_value_is(payload, "Dyn") || plan_value_is(payload, "Scalar")
               ? (expr_name){"literal", 7}
               : (expr_name){0};
  if ((name = field_name(expr)).s) return name;
  plan_bytes next = leader(expr);
  return next.data ? output_name(a, next, depth - 1) : (expr_name){0};
}

expr_name expr_output_name(arena *a, plan_bytes expr) {
  return output_name(a, expr, EXPR_MAX_DEPTH);
}
