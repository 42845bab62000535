/* plan/expr.c: what an expression is (expr_read). SPDX-License-Identifier: Apache-2.0
 *
 * One walk from the outside in; each variant of Polars' Expr has a reader, and functions have
 * theirs in expr_functions.c. What has no reader, or is too deep, is EXPR_OTHER. */
#include "plan/expr.h"

#include "plan/expr_functions.h"
#include "plan/expr_parts.h"

#include <string.h>

/* What is known of a part of an expression. A zeroed one is that of no parts at all. */
typedef struct reading {
  expr_class class;
  bool selection; /* EXPR_OTHER, but each part of the rows gives its part of the value: a filter */
  bool order, impure;
  bool unknown;  /* in it is something that may do anything */
  bool windowed; /* in it is an `over` */
  bool selector, in_place, selectors_differ;
  plan_bytes selector_value, window_keys;
} reading;

static reading read_expr(plan_bytes expr, unsigned depth);

static reading read_unknown(plan_bytes expr) {
  bool selector = expr_mentions(expr, "Selector");
  return (reading){.class = EXPR_OTHER,
                   .order = true,
                   .impure = true,
                   .unknown = true,
                   .windowed = true,
                   .selector = selector,
                   .in_place = selector,
                   .selectors_differ = selector};
}

/* ---- several parts, row by row ---- */

static expr_class joint_class(const reading *x, const reading *y) {
  static const expr_class JOINT[EXPR_OTHER][EXPR_OTHER] = {
      [EXPR_SCALAR] = {EXPR_SCALAR, EXPR_ROWWISE, EXPR_AGGREGATE, EXPR_WINDOW},
      [EXPR_ROWWISE] = {EXPR_ROWWISE, EXPR_ROWWISE, EXPR_OTHER, EXPR_WINDOW},
      [EXPR_AGGREGATE] = {EXPR_AGGREGATE, EXPR_OTHER, EXPR_AGGREGATE, EXPR_OTHER},
      [EXPR_WINDOW] = {EXPR_WINDOW, EXPR_WINDOW, EXPR_OTHER, EXPR_WINDOW}};
  if (x->class == EXPR_OTHER || y->class == EXPR_OTHER) return EXPR_OTHER;
  if (x->class == EXPR_WINDOW && y->class == EXPR_WINDOW &&
      !plan_bytes_equal(x->window_keys, y->window_keys))
    return EXPR_OTHER;
  return JOINT[x->class][y->class];
}

static reading join(reading x, reading y) {
  plan_bytes selector = x.selector_value.data ? x.selector_value : y.selector_value;
  bool both = x.selector_value.data && y.selector_value.data;
  return (reading){.class = joint_class(&x, &y),
                   .selection = (x.selection && y.class == EXPR_SCALAR) ||
                                (y.selection && x.class == EXPR_SCALAR),
                   .order = x.order || y.order,
                   .impure = x.impure || y.impure,
                   .unknown = x.unknown || y.unknown,
                   .windowed = x.windowed || y.windowed,
                   .selector = x.selector || y.selector,
                   .in_place = x.in_place || y.in_place,
                   .selectors_differ =
                       x.selectors_differ || y.selectors_differ ||
                       (both && !plan_bytes_equal(x.selector_value, y.selector_value)),
                   .selector_value = selector,
                   .window_keys = x.window_keys.data ? x.window_keys : y.window_keys};
}

static reading read_part(plan_bytes parts, const char *name, unsigned depth) {
  return read_expr(plan_part(parts, name), depth);
}

static reading join_all(plan_bytes exprs, unsigned depth) {
  reading all = {0};
  plan_bytes expr;
  for (plan_items it = plan_items_of(exprs); plan_items_next(&it, &expr);)
    all = join(all, read_expr(expr, depth));
  return all;
}

static reading as_other(reading of_parts) {
  of_parts.class = EXPR_OTHER;
  of_parts.selection = false;
  of_parts.order = true;
  return of_parts;
}

/* Of a literal and columns some functions make one row, and others as many as the columns have. */
static reading as_long_as_first(expr_class first, reading all) {
  bool rows = all.class == EXPR_ROWWISE || all.class == EXPR_WINDOW;
  return first == EXPR_SCALAR && rows ? as_other(all) : all;
}

static reading as_selection(reading of_input) {
  of_input.selection = of_input.class == EXPR_ROWWISE || of_input.selection;
  of_input.class = EXPR_OTHER;
  return of_input;
}

static reading as_aggregate(reading of_inputs) {
  bool halves = of_inputs.class == EXPR_ROWWISE || of_inputs.selection;
  of_inputs.class = halves ? EXPR_AGGREGATE : EXPR_OTHER;
  of_inputs.selection = false;
  return of_inputs;
}

/* ---- leaves ---- */

static reading read_column(plan_bytes expr, plan_bytes name, unsigned depth) {
  (void)expr, (void)name, (void)depth;
  return (reading){.class = EXPR_ROWWISE};
}

static reading read_selector(plan_bytes expr, plan_bytes selector, unsigned depth) {
  (void)selector, (void)depth;
  return (reading){.class = EXPR_ROWWISE, .selector = true, .selector_value = expr};
}

static reading read_literal(plan_bytes expr, plan_bytes literal, unsigned depth) {
  (void)depth;
  if (plan_value_is(literal, "Dyn") || plan_value_is(literal, "Scalar"))
    return (reading){.class = EXPR_SCALAR};
  (void)expr; /* a series: as many rows as it likes */
  return (reading){.class = EXPR_OTHER, .order = true, .unknown = true};
}

static reading read_len(plan_bytes expr, plan_bytes none, unsigned depth) {
  (void)expr, (void)none, (void)depth;
  return (reading){.class = EXPR_AGGREGATE};
}

/* ---- row-wise ---- */

static reading read_first(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  return read_expr(plan_item(parts, 0), depth);
}

static reading read_itself(plan_bytes expr, plan_bytes inner, unsigned depth) {
  (void)expr;
  return read_expr(inner, depth);
}

static reading read_rename(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  return read_part(parts, "expr", depth);
}

static reading read_cast(plan_bytes expr, plan_bytes parts, unsigned depth) {
  if (!plan_value_is(plan_part(parts, "dtype"), "Literal")) return read_unknown(expr);
  return read_part(parts, "expr", depth);
}

static reading read_binary(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  return join(read_part(parts, "left", depth), read_part(parts, "right", depth));
}

static reading read_ternary(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  reading value = join(read_part(parts, "truthy", depth), read_part(parts, "falsy", depth));
  return join(value, read_part(parts, "predicate", depth));
}

/* Other columns than "", by which older code means the element. */
static bool names_columns(plan_bytes body) {
  for (expr_scan s = expr_scan_of(body); expr_scan_next(&s);)
    if (plan_text_is(s.name, "Column") && !plan_value_is(expr_scan_payload(&s), "")) return true;
  return false;
}

/* Its values are lists, and the body is about the elements of one. */
static reading read_eval(plan_bytes expr, plan_bytes parts, unsigned depth) {
  plan_bytes variant = plan_part(parts, "variant"), body = plan_part(parts, "evaluation");
  reading out = read_part(parts, "expr", depth), inner = read_expr(body, depth);
  bool of_each_list = plan_value_is(variant, "List") || plan_value_is(variant, "ListAgg") ||
                      plan_value_is(variant, "Array") || plan_value_is(variant, "ArrayAgg");
  bool may_look_around = inner.unknown || inner.windowed || inner.selector || names_columns(body) ||
                         (inner.impure && inner.class != EXPR_ROWWISE);
  if (inner.selector) return read_unknown(expr);
  out.impure |= inner.impure;
  out.unknown |= inner.unknown;
  return of_each_list && !may_look_around ? out : as_other(out);
}

static reading read_struct_eval(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  reading of = read_part(parts, "expr", depth);
  reading fields = join_all(plan_part(parts, "evaluation"), depth);
  fields.in_place |= fields.selector;
  return as_long_as_first(of.class, join(of, fields));
}

/* ---- functions ---- */

/* Polars' FunctionFlags. */
enum {
  FLAG_IN_PLACE = 1 << 2,
  FLAG_ROW_SEPARABLE = 1 << 6,
  FLAG_LENGTH_PRESERVING = 1 << 7,
  FLAGS_ROWWISE = FLAG_ROW_SEPARABLE | FLAG_LENGTH_PRESERVING
};

/* One input of a function with these flags. */
static reading read_input(plan_bytes input, uint64_t i, unsigned flags, unsigned depth) {
  bool series = plan_value_is(input, "Literal") && plan_value_is(plan_payload(input), "Series");
  if (i > 0 && series && flags & FUNCTION_TAKES_SERIES) return (reading){.class = EXPR_SCALAR};
  reading of_input = read_expr(input, depth);
  bool whole = flags & FUNCTION_WHOLE_ARGS && (i == 1 || i == 2);
  return whole && of_input.class != EXPR_SCALAR ? as_other(of_input) : of_input;
}

static reading join_inputs(plan_bytes inputs, unsigned flags, unsigned depth) {
  reading all = {0};
  expr_class first = EXPR_SCALAR;
  plan_bytes input;
  uint64_t i = 0;
  for (plan_items it = plan_items_of(inputs); plan_items_next(&it, &input); i++) {
    reading of_input = read_input(input, i, flags, depth);
    if (i == 0) first = of_input.class;
    all = join(all, of_input);
  }
  return flags & FUNCTION_BROADCASTS ? all : as_long_as_first(first, all);
}

/* The user's own function, which says by its flags what it is. */
static reading read_by_flags(plan_bytes inputs, plan_bytes options, unsigned depth) {
  int64_t flags;
  reading out = join_inputs(inputs, 0, depth);
  if (!plan_value_int(plan_part(options, "flags"), &flags)) flags = FLAG_IN_PLACE;
  if (plan_items_of(inputs).left == 0 || (flags & FLAGS_ROWWISE) != FLAGS_ROWWISE)
    out = as_other(out);
  out.impure = true;
  if (flags & FLAG_IN_PLACE) out.in_place |= out.selector;
  return out;
}

static reading read_function(plan_bytes expr, plan_bytes parts, unsigned depth) {
  plan_bytes function = plan_part(parts, "function"), inputs = plan_part(parts, "input");
  if (plan_value_is(function, "FfiPlugin"))
    return read_by_flags(inputs, plan_part(plan_payload(function), "flags"), depth);
  function_facts f = expr_function_facts(function);
  uint64_t n = plan_items_of(inputs).left;
  if (f.kind == FUNCTION_UNKNOWN || n == 0) return read_unknown(expr);
  reading out =
      f.kind == FUNCTION_ROWWISE ? join_inputs(inputs, f.flags, depth) : join_all(inputs, depth);
  out.order |= (f.flags & FUNCTION_ORDER) != 0;
  out.impure |= (f.flags & FUNCTION_IMPURE) != 0;
  if (f.flags & FUNCTION_IN_PLACE) out.in_place |= out.selector;
  if (plan_value_is(plan_payload(function), "SelectFields")) /* one output for each field */
    out.selector = out.in_place = out.selectors_differ = true;
  if (f.kind == FUNCTION_SELECTION && n == 1) return as_selection(out);
  if (f.kind == FUNCTION_AGGREGATE) return as_aggregate(out);
  if (f.kind != FUNCTION_ROWWISE) out.class = EXPR_OTHER, out.selection = false;
  return out;
}

static reading read_anonymous(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  return read_by_flags(plan_part(parts, "input"), plan_part(parts, "options"), depth);
}

/* ---- aggregates, windows, others ---- */

static reading read_agg(plan_bytes expr, plan_bytes agg, unsigned depth) {
  plan_bytes input = expr_agg_input(agg);
  if (!input.data) return read_unknown(expr);
  reading out = as_aggregate(read_expr(input, depth));
  out.order |= plan_value_is(agg, "First") || plan_value_is(agg, "FirstNonNull") ||
               plan_value_is(agg, "Last") || plan_value_is(agg, "LastNonNull") ||
               plan_value_is(agg, "Implode");
  return out;
}

static reading read_explode(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  return as_selection(read_part(parts, "input", depth));
}

static reading read_filter(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  reading input = read_part(parts, "input", depth);
  reading by = read_part(parts, "by", depth);
  reading out = join(input, by);
  out.class = EXPR_OTHER;
  out.selection = input.class == EXPR_ROWWISE && by.class == EXPR_ROWWISE;
  return out;
}

static bool all_columns(plan_bytes exprs) {
  plan_bytes expr;
  plan_items it = plan_items_of(exprs);
  if (it.left == 0) return false;
  while (plan_items_next(&it, &expr))
    if (!expr_is_column(expr, NULL)) return false;
  return true;
}

/* The function sees whole groups: it may be anything that is known. */
static reading read_over(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  plan_bytes keys = plan_part(parts, "partition_by"), order_by = plan_part(parts, "order_by");
  reading out = read_part(parts, "function", depth);
  if (!plan_value_nil(order_by)) out = join(out, read_expr(plan_item(order_by, 0), depth));
  bool of_groups = plan_value_is(plan_part(parts, "mapping"), "GroupsToRows") &&
                   all_columns(keys) && !out.unknown && !out.windowed;
  out.windowed = true;
  if (!of_groups) return as_other(join(out, join_all(keys, depth)));
  out.class = EXPR_WINDOW;
  out.selection = false;
  out.window_keys = keys;
  return out;
}

/* What needs all rows is still read for what it is made of. */

static reading read_sort(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  return as_other(read_part(parts, "expr", depth));
}

static reading read_sort_by(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  return as_other(join(read_part(parts, "expr", depth), join_all(plan_part(parts, "by"), depth)));
}

static reading read_gather(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  return as_other(join(read_part(parts, "expr", depth), read_part(parts, "idx", depth)));
}

static reading read_slice(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  reading bounds = join(read_part(parts, "offset", depth), read_part(parts, "length", depth));
  return as_other(join(read_part(parts, "input", depth), bounds));
}

static reading read_rolling(plan_bytes expr, plan_bytes parts, unsigned depth) {
  (void)expr;
  reading index = read_part(parts, "index_column", depth);
  return as_other(join(read_part(parts, "function", depth), index));
}

/* ---- all of them ---- */

static const struct variant {
  const char *name;
  reading (*read)(plan_bytes expr, plan_bytes payload, unsigned depth);
  const char *what; /* for the reference page */
} VARIANTS[] = {
    {"Agg", read_agg, "aggregate, of a row-wise expression or one filtered by another"},
    {"Alias", read_first, "as what it names"},
    {"AnonymousFunction", read_anonymous,
     "the user's Python: row-wise when it says so (`map_elements`, `is_elementwise=True`)"},
    {"BinaryExpr", read_binary, "row-wise"},
    {"Cast", read_cast, "row-wise; other when the dtype is computed"},
    {"Column", read_column, "row-wise"},
    {"Element", read_column, "row-wise (in `list.eval`)"},
    {"Eval", read_eval, "of lists and arrays: row-wise; `cumulative_eval`: other"},
    {"Explode", read_explode, "other; an aggregate of it is one of its parts"},
    {"Field", read_column, "row-wise (in `struct.with_fields`)"},
    {"Filter", read_filter, "other; an aggregate of it is one of its parts"},
    {"Function", read_function, "see below; row-wise functions of aggregates are aggregates"},
    {"Gather", read_gather, "other"},
    {"KeepName", read_itself, "as what it names"},
    {"Len", read_len, "aggregate"},
    {"Literal", read_literal, "scalar; a series: other"},
    {"Over", read_over,
     "window, when it partitions by plain columns and maps groups to rows; else other"},
    {"RenameAlias", read_rename, "as what it names"},
    {"Rolling", read_rolling, "other"},
    {"Selector", read_selector, "row-wise, as each column that it stands for"},
    {"Slice", read_slice, "other"},
    {"Sort", read_sort, "other"},
    {"SortBy", read_sort_by, "other"},
    {"StructEval", read_struct_eval, "row-wise"},
    {"Ternary", read_ternary, "row-wise"},
};

static reading read_expr(plan_bytes expr, unsigned depth) {
  plan_bytes name = plan_value_name(expr);
  if (depth == 0 || !name.data) return read_unknown(expr);
  for (size_t i = 0; i < sizeof VARIANTS / sizeof *VARIANTS; i++)
    if (plan_text_is(name, VARIANTS[i].name))
      return VARIANTS[i].read(expr, plan_payload(expr), depth - 1);
  return read_unknown(expr);
}

expr_facts expr_read(plan_bytes expr) {
  reading r = read_expr(expr, EXPR_MAX_DEPTH);
  expr_facts f = {.class = r.class, .selector = r.selector, .order = r.order, .impure = r.impure};
  if (!r.selectors_differ) f.selector_value = r.selector_value;
  if (r.class == EXPR_WINDOW) f.window_keys = r.window_keys;
  return f;
}

bool expr_selector_expands(plan_bytes expr) {
  return !read_expr(expr, EXPR_MAX_DEPTH).in_place;
}

void expr_print_reference(buf *page) {
  buf_puts(page, "| expression | what it is |\n|---|---|\n");
  for (size_t i = 0; i < sizeof VARIANTS / sizeof *VARIANTS; i++)
    buf_printf(page, "| %s | %s |\n", VARIANTS[i].name, VARIANTS[i].what);
  buf_puts(page, "\n## Functions\n\n");
  expr_functions_print(page);
}
