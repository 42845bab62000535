/* plan/cut_aggregate.c: group by, distinct, and selects of aggregates. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Aggregates that can be halved run on each part first, and only their partial values move.
 * Otherwise the rows move, and whole groups meet. */
#include "plan/cut.h"

#include <string.h>

/* ---- aggregates in halves ---- */

/* The dtypes that the halves depend on: of columns from the input's schema, of the rest as asked.
 */
static aggregate_typed *typed_of(cut *c, const described_node *dn, const plan_bytes *exprs,
                                 size_t n_exprs, size_t *n) {
  aggregate_typed *typed = NULL;
  *n = 0;
  for (size_t i = 0; i < n_exprs; i++) aggregate_needs(c->a, exprs[i], &typed, n);
  const described_node *input = describe_find(c->d, dsl_input(dn->node, 0));
  for (size_t i = 0; i < *n; i++) {
    expr_name column;
    const Planning__Answer *answer =
        describe_answer(dn, PLANNING__QUESTION__KIND__DTYPE, 0, typed[i].expr);
    if (expr_is_column(typed[i].expr, &column))
      typed[i].dtype = describe_dtype(input, column);
    else if (answer && answer->n_names)
      typed[i].dtype = answer->names[0];
  }
  return typed;
}

typedef struct exprs {
  const plan_bytes *items;
  size_t n;
} exprs;

static const dsl_node *wrap_select(cut *c, const void *arg, const dsl_node *tree) {
  const exprs *list = arg;
  return dsl_select(c->a, list->items, list->n, tree);
}

static bool all_aggregates(const plan_bytes *items, size_t n) {
  bool any = false;
  for (size_t i = 0; i < n; i++) {
    expr_facts f = expr_read(items[i]);
    if (f.impure || (f.class != EXPR_AGGREGATE && f.class != EXPR_SCALAR)) return false;
    any |= f.class == EXPR_AGGREGATE;
  }
  return any;
}

rc cut_aggregates(cut *c, const dsl_node *n, fragment *out, bool *done) {
  const described_node *dn = describe_find(c->d, n);
  plan_bytes *items;
  size_t n_items, n_typed;
  aggregate_split split;
  *done = false;
  if (!c->limits->pre_aggregation || !c->limits->lower_expressions) return RC_OK;
  if (!cut_expand(c, dn, dsl_field(n, "expr"), NULL, &items, &n_items)) return RC_OK;
  if (!all_aggregates(items, n_items)) return RC_OK;
  const aggregate_typed *typed = typed_of(c, dn, items, n_items, &n_typed);
  if (!aggregate_split_all(c->a, items, n_items, NULL, 0, typed, n_typed, true, &split))
    return RC_OK;
  *done = true;
  fragment f;
  TRY(cut_node(c, dsl_input(n, 0), split.order ? ORDER_TOTAL : ORDER_LOST, &f));
  if (f.spread != SPREAD_PARTS) {
    cut_inputs_on_one(c, n, &f, out);
  } else {
    f = fragment_by_parts(c, f, wrap_select, &(exprs){split.partial, split.n_partial});
    f = exchange_gather(c, f, "select: partial aggregates of each part");
    cut_decided(c, RULE_SELECT_HALVES);
    c->g->halved |= split.rules;
    *out = fragment_wrapped(c, f, wrap_select, &(exprs){split.final, split.n_final});
  }
  out->rows = 1;
  out->order = ORDER_TOTAL;
  fragment_forget_keys(out);
  return RC_OK;
}

/* ---- group by ---- */

typedef struct grouping {
  const dsl_node *node;
  const described_node *dn;
  plan_bytes *keys, *aggs, *having;
  size_t n_keys, n_aggs, n_having;
  key_set names; /* of the keys in the output */
  bool plain;    /* neither over time, nor sliced, nor in the order of the rows */
  bool function; /* map_groups: a user's function sees each group */
  bool order;    /* the order of rows within a group shows */
} grouping;

static bool read_keys(cut *c, grouping *g) {
  if (!cut_expand(c, g->dn, dsl_field(g->node, "keys"), NULL, &g->keys, &g->n_keys) || !g->n_keys)
    return false;
  g->names = (key_set){ARENA_NEW(c->a, expr_name, g->n_keys), g->n_keys};
  for (size_t i = 0; i < g->n_keys; i++) {
    expr_facts f = expr_read(g->keys[i]);
    g->names.names[i] = expr_output_name(c->a, g->keys[i]);
    if (f.class != EXPR_ROWWISE || f.impure || !g->names.names[i].s) return false;
  }
  return cut_hashable(c, g->dn, dsl_field(g->node, "keys"));
}

/* One value of each group, the same in every order of its rows. A row-wise one makes a list. */
static bool in_any_order(const plan_bytes *items, size_t n) {
  for (size_t i = 0; i < n; i++) {
    expr_facts f = expr_read(items[i]);
    if (f.order || (f.class != EXPR_AGGREGATE && f.class != EXPR_SCALAR)) return false;
  }
  return true;
}

static bool has_selectors(cut *c, plan_bytes list) {
  plan_bytes *items;
  size_t n;
  bool any = !plan_value_items(list, c->a, &items, &n);
  for (size_t i = 0; !any && i < n; i++) any = expr_read(items[i]).selector;
  return any;
}

/* False: only one task can do this. A selector does not stand for the keys: which columns those
 * are is sure only of plain ones. */
static bool read_grouping(cut *c, const dsl_node *n, grouping *g) {
  *g = (grouping){.node = n, .dn = describe_find(c->d, n)};
  g->plain = plan_value_nil(dsl_at(n, "options", "dynamic", NULL)) &&
             plan_value_nil(dsl_at(n, "options", "rolling", NULL)) &&
             plan_value_nil(dsl_at(n, "options", "slice", NULL)) &&
             !plan_value_true(dsl_field(n, "maintain_order"));
  g->function = !plan_value_nil(dsl_field(n, "apply"));
  if (!g->plain || !read_keys(c, g)) return false;
  bool expanded = cut_expand(c, g->dn, dsl_field(n, "aggs"), &g->names, &g->aggs, &g->n_aggs) &&
                  (cut_plain_keys(c, g->keys, g->n_keys, &(key_set){0}) ||
                   !has_selectors(c, dsl_field(n, "aggs"))) &&
                  plan_value_items(dsl_field(n, "predicates"), c->a, &g->having, &g->n_having);
  if (!expanded) g->n_aggs = 0;
  g->order = g->function || !expanded || !in_any_order(g->aggs, g->n_aggs) ||
             !in_any_order(g->having, g->n_having);
  return true;
}

static bool halve(cut *c, const grouping *g, aggregate_split *split) {
  if (!c->limits->pre_aggregation || g->function || !g->n_aggs) return false;
  for (size_t i = 0; i < g->n_aggs; i++)
    if (expr_read(g->aggs[i]).impure) return false;
  size_t n_typed;
  plan_bytes *all = ARENA_NEW(c->a, plan_bytes, g->n_aggs + g->n_having + 1);
  if (g->n_aggs) memcpy(all, g->aggs, g->n_aggs * sizeof *all);
  if (g->n_having) memcpy(all + g->n_aggs, g->having, g->n_having * sizeof *all);
  const aggregate_typed *typed = typed_of(c, g->dn, all, g->n_aggs + g->n_having, &n_typed);
  return aggregate_split_all(c->a, g->aggs, g->n_aggs, g->having, g->n_having, typed, n_typed,
                             false, split);
}

static plan_bytes *columns_of(cut *c, const key_set *names) {
  plan_bytes *columns = ARENA_NEW(c->a, plan_bytes, names->n + 1);
  for (size_t i = 0; i < names->n; i++) columns[i] = expr_column(c->a, names->names[i]);
  return columns;
}

static plan_bytes packed_list(cut *c, const plan_bytes *items, size_t n) {
  buf b = {0};
  pack_array(&b, n);
  for (size_t i = 0; i < n; i++) pack_raw(&b, items[i]);
  return pack_done(&b, c->a);
}

typedef struct half {
  const plan_bytes *keys, *aggs, *having;
  size_t n_keys, n_aggs, n_having;
} half;

static const dsl_node *wrap_group_by(cut *c, const void *arg, const dsl_node *tree) {
  const half *h = arg;
  const dsl_node *n = dsl_group_by(c->a, h->keys, h->n_keys, h->aggs, h->n_aggs, tree);
  return h->n_having ? dsl_with_field(c->a, n, "predicates", packed_list(c, h->having, h->n_having))
                     : n;
}

enum { ROWS_OF_A_GROUP = 10 }; /* a guess */

static fragment grouped(fragment f) {
  f.order = ORDER_FREE;
  f.rows = f.rows > ROWS_OF_A_GROUP ? f.rows / ROWS_OF_A_GROUP : 1;
  return f;
}

static void group_in_halves(cut *c, const grouping *g, const aggregate_split *split, fragment f,
                            fragment *out) {
  half partial = {g->keys, split->partial, NULL, g->n_keys, split->n_partial, 0};
  plan_bytes *columns = columns_of(c, &g->names);
  half final = {columns, split->final, split->having, g->n_keys, split->n_final, split->n_having};
  f = fragment_by_parts(c, f, wrap_group_by, &partial);
  fragment_forget_keys(&f);
  f = exchange_hash(c, f, columns, g->n_keys, split->order,
                    "group by: partial aggregates by hash of the keys");
  *out = grouped(fragment_wrapped(c, f, wrap_group_by, &final));
}

static void group_whole(cut *c, const grouping *g, fragment f, fragment *out) {
  f = exchange_hash(c, f, g->keys, g->n_keys, g->order, "group by: rows by hash of the keys");
  *out = grouped(fragment_on_top(c, f, g->node));
  bool plain_columns = f.n_hashed > 0;
  if (!plain_columns) fragment_forget_keys(out);
}

rc cut_group_by(cut *c, const dsl_node *n, order need, fragment *out) {
  (void)need; /* its groups come in any order */
  grouping g;
  if (!read_grouping(c, n, &g)) return cut_on_one(c, n, out);
  aggregate_split split = {0};
  bool halves = halve(c, &g, &split);
  bool ordered = halves ? split.order : g.order;
  fragment f;
  estimate_group_by(c, &g.names, true);
  TRY(cut_node(c, dsl_input(n, 0), ordered ? ORDER_TOTAL : ORDER_LOST, &f));
  estimate_group_by(c, &g.names, false);
  key_set keys;
  if (f.spread != SPREAD_PARTS) {
    cut_inputs_on_one(c, n, &f, out);
    *out = grouped(*out);
  } else if (!ordered && cut_plain_keys(c, g.keys, g.n_keys, &keys) &&
             fragment_is_hashed_by(&f, &keys)) {
    *out = grouped(fragment_on_top(c, f, n));
    cut_decided(c, RULE_GROUP_THERE);
  } else if (halves) {
    group_in_halves(c, &g, &split, f, out);
    cut_decided(c, RULE_GROUP_HALVES);
    c->g->halved |= split.rules;
  } else {
    group_whole(c, &g, f, out);
    cut_decided(c, RULE_GROUP_ROWS);
  }
  if (g.function) out->determinate = false;
  return RC_OK;
}

/* ---- distinct ---- */

static bool distinct_keys(cut *c, const dsl_node *n, plan_bytes **keys, size_t *n_keys) {
  const described_node *dn = describe_find(c->d, n);
  plan_bytes subset = dsl_at(n, "options", "subset", NULL);
  if (plan_value_nil(subset)) {
    const Planning__DescribedNode *all = dn->answer;
    *n_keys = all->n_names;
    *keys = ARENA_NEW(c->a, plan_bytes, all->n_names + 1);
    for (size_t i = 0; i < all->n_names; i++)
      (*keys)[i] = expr_column(c->a, (expr_name){all->names[i], strlen(all->names[i])});
  } else if (!cut_expand(c, dn, subset, NULL, keys, n_keys)) {
    return false;
  }
  for (size_t i = 0; i < *n_keys; i++) {
    expr_facts f = expr_read((*keys)[i]);
    if (f.class != EXPR_ROWWISE || f.impure) return false;
  }
  return *n_keys && cut_hashable(c, dn, subset);
}

/* The same, with its rows in the order of its input. */
static const dsl_node *in_order_of_rows(cut *c, const dsl_node *distinct) {
  static const uint8_t yes = 0xC3;
  plan_bytes maintain_order = dsl_at(distinct, "options", "maintain_order", NULL);
  return dsl_with_value(c->a, distinct, maintain_order, (plan_bytes){&yes, 1});
}

rc cut_distinct(cut *c, const dsl_node *n, order need, fragment *out) {
  (void)need; /* without maintain_order its rows come in any order */
  plan_bytes keep = dsl_at(n, "options", "keep_strategy", NULL);
  bool first_or_last = plan_value_is(keep, "First") || plan_value_is(keep, "Last");
  bool reducible = first_or_last || plan_value_is(keep, "Any");
  plan_bytes *keys;
  size_t n_keys;
  if (plan_value_true(dsl_at(n, "options", "maintain_order", NULL)) ||
      !distinct_keys(c, n, &keys, &n_keys))
    return cut_on_one(c, n, out);
  fragment f;
  TRY(cut_node(c, dsl_input(n, 0), first_or_last ? ORDER_TOTAL : ORDER_LOST, &f));
  if (f.spread == SPREAD_PARTS) {
    if (reducible) f = fragment_on_top(c, f, in_order_of_rows(c, n));
    f = exchange_hash(c, f, keys, n_keys, first_or_last, "distinct: rows by hash of the keys");
    cut_decided(c, reducible ? RULE_DISTINCT_REDUCED : RULE_DISTINCT_ROWS);
  } else {
    f.spread = SPREAD_ONE; /* which of equal rows it keeps must be the same everywhere */
  }
  *out = fragment_on_top(c, f, n);
  out->order = ORDER_FREE;
  out->determinate &= !plan_value_is(keep, "Any");
  return RC_OK;
}
