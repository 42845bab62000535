/* plan/expr_parts.h: pieces of expressions, taken apart and made. SPDX-License-Identifier:
 * Apache-2.0
 *
 * For the files of src/plan that look into expressions. The bytes are whole values (proven before);
 * what has another form than Polars writes gives {NULL, 0}, never an error. Nothing is copied. */
#ifndef FLOE_PLAN_EXPR_PARTS_H
#define FLOE_PLAN_EXPR_PARTS_H

#include "plan/dsl.h"

enum { EXPR_MAX_DEPTH = 200 };

msgpack plan_cursor(plan_bytes value);
/* The value at the cursor, which goes behind it; {NULL, 0}: there is none. */
plan_bytes plan_take(msgpack *m);

/* Of an enum's value: what the variant holds: x of {"Name": x}; {NULL, 0} for "Name" alone. */
plan_bytes plan_payload(plan_bytes value);
plan_bytes plan_part(plan_bytes map, const char *key);
plan_bytes plan_item(plan_bytes array, uint64_t i);
bool plan_text_is(plan_bytes text, const char *expected);
/* What {"Sum": x}, {"Min": {"input": x, …}} or {"Std": [x, ddof]} aggregates; {NULL, 0}: the
 * aggregate is not known. */
plan_bytes expr_agg_input(plan_bytes agg);

/* for (plan_items it = plan_items_of(array); plan_items_next(&it, &item);) */
typedef struct plan_items {
  msgpack at;
  uint64_t left; /* items after this one */
} plan_items;
plan_items plan_items_of(plan_bytes array); /* without items when it is none */
bool plan_items_next(plan_items *it, plan_bytes *item);

/* Goes through an expression token by token, and stops at each {"Name": …}: at columns, selectors
 * and whatever else is a variant with a payload. Literals are passed over. */
typedef struct expr_scan {
  msgpack at;
  plan_bytes name;
  const uint8_t *start; /* of the map */
} expr_scan;
expr_scan expr_scan_of(plan_bytes expr);
bool expr_scan_next(expr_scan *s); /* false: the end */
plan_bytes expr_scan_payload(const expr_scan *s);
void expr_scan_skip(expr_scan *s); /* go on behind the payload, not in it */
bool expr_mentions(plan_bytes expr, const char *variant);

/* ---- making, besides expr.h ---- */
plan_bytes expr_null(arena *a);
plan_bytes expr_cast(arena *a, plan_bytes expr, const char *dtype); /* NonStrict */
plan_bytes expr_filter(arena *a, plan_bytes input, plan_bytes by);
plan_bytes expr_ternary(arena *a, plan_bytes predicate, plan_bytes truthy, plan_bytes falsy);
plan_bytes expr_agg(arena *a, const char *name, plan_bytes input); /* {"Agg": {name: input}} */
plan_bytes expr_count(arena *a, plan_bytes input, bool include_nulls);
plan_bytes expr_variance(arena *a, plan_bytes input, unsigned ddof);
/* `function`: the field of Expr.Function, made by the others. */
plan_bytes expr_function(arena *a, const plan_bytes *inputs, size_t n, plan_bytes function);
plan_bytes expr_nested(arena *a, const char *family, const char *function);
plan_bytes expr_any(arena *a);

#endif
