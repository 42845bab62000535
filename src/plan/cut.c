/* plan/cut.c: what becomes of each node of a plan. SPDX-License-Identifier: Apache-2.0
 *
 * One rule for each kind of node, bottom-up. A rule is told which order its consumer relies on and
 * must give at least that. Whatever no rule knows runs on one task, over inputs that are gathered
 * there: always right, and what stands below is distributed all the same. */
#include "plan/cut.h"

#include <string.h>

static bool satisfies(order have, order need) {
  return have == ORDER_FREE || have >= need;
}

void cut_decided(cut *c, plan_rule rule) {
  c->g->fired[rule]++;
}

/* ---- fragments ---- */

static const dsl_node *wrap_node(cut *c, const void *arg, const dsl_node *tree) {
  return dsl_with_inputs(c->a, arg, &tree);
}

fragment fragment_wrapped(cut *c, fragment f, fragment_wrap *wrap, const void *arg) {
  branch *branches = ARENA_NEW(c->a, branch, f.n_branches);
  for (size_t i = 0; i < f.n_branches; i++) {
    branches[i] = f.branches[i];
    branches[i].tree = wrap(c, arg, f.branches[i].tree);
  }
  f.branches = branches;
  f.node = NULL;
  f.divisible = 0;
  return f;
}

fragment fragment_by_parts(cut *c, fragment f, fragment_wrap *wrap, const void *arg) {
  fragment out = fragment_wrapped(c, f, wrap, arg);
  out.divisible = f.divisible;
  return out;
}

fragment fragment_on_top(cut *c, fragment f, const dsl_node *n) {
  return fragment_wrapped(c, f, wrap_node, n);
}

void fragment_forget_keys(fragment *f) {
  f->hashed = NULL;
  f->n_hashed = 0;
}

/* What every task could make itself is made by one, too: the node need not give the same
 * everywhere. */
fragment fragment_on_one(cut *c, fragment f, const dsl_node *n) {
  f = exchange_gather(c, f, arena_printf(c->a, "%s: all rows on one task", dsl_kind_name(n->kind)));
  f.spread = SPREAD_ONE;
  fragment_forget_keys(&f);
  return f;
}

bool cut_has_name(const key_set *set, expr_name name) {
  for (size_t i = 0; i < set->n; i++)
    if (expr_name_equal(set->names[i], name)) return true;
  return false;
}

bool cut_plain_keys(cut *c, const plan_bytes *keys, size_t n, key_set *names) {
  *names = (key_set){ARENA_NEW(c->a, expr_name, n), n};
  for (size_t i = 0; i < n; i++)
    if (!expr_is_column(keys[i], &names->names[i])) return false;
  return true;
}

bool fragment_is_hashed_by(const fragment *f, const key_set *keys) {
  for (size_t i = 0; i < f->n_hashed; i++) {
    bool within = true;
    for (size_t k = 0; k < f->hashed[i].n; k++) within &= cut_has_name(keys, f->hashed[i].names[k]);
    if (within) return true;
  }
  return false;
}

/* ---- any node: on one task ---- */

void cut_inputs_on_one(cut *c, const dsl_node *n, const fragment *inputs, fragment *out) {
  size_t n_inputs = dsl_n_inputs(n);
  const dsl_node **trees = ARENA_NEW(c->a, const dsl_node *, n_inputs + 1);
  fragment f = {.spread = SPREAD_ONE, .order = ORDER_FREE, .determinate = true, .selectivity = 1};
  for (size_t i = 0; i < n_inputs; i++) {
    fragment input = fragment_on_one(c, inputs[i], n);
    trees[i] = input.branches->tree;
    f.rows = input.rows > f.rows ? input.rows : f.rows;
    f.determinate &= input.determinate;
    f.order = input.order < f.order ? input.order : f.order;
  }
  cut_decided(c, RULE_ONE_TASK);
  f.n_branches = 1;
  f.branches = ARENA_NEW(c->a, branch, 1);
  f.branches->tree = n_inputs ? dsl_with_inputs(c->a, n, trees) : n;
  *out = f;
}

rc cut_on_one(cut *c, const dsl_node *n, fragment *out) {
  size_t n_inputs = dsl_n_inputs(n);
  fragment *inputs = ARENA_NEW(c->a, fragment, n_inputs + 1);
  for (size_t i = 0; i < n_inputs; i++) TRY(cut_node(c, dsl_input(n, i), ORDER_TOTAL, &inputs[i]));
  cut_inputs_on_one(c, n, inputs, out);
  if (out->order != ORDER_FREE) out->order = ORDER_TOTAL;
  return RC_OK;
}

static rc transparent(cut *c, const dsl_node *n, order need, fragment *out) {
  return cut_node(c, dsl_input(n, 0), need, out);
}

/* ---- row by row: filter, select, with_columns ---- */

bool cut_expand(cut *c, const described_node *dn, plan_bytes list, const key_set *excluded,
                plan_bytes **out, size_t *n) {
  plan_bytes *items;
  size_t n_items, most = 0;
  *n = 0;
  if (!plan_value_items(list, c->a, &items, &n_items)) return false;
  const Planning__Answer **answers = ARENA_NEW(c->a, const Planning__Answer *, n_items + 1);
  for (size_t i = 0; i < n_items; i++) {
    expr_facts facts = expr_read(items[i]);
    most++;
    if (!facts.selector) continue;
    if (!facts.selector_value.data || !expr_selector_expands(items[i])) return false;
    answers[i] = describe_answer(dn, PLANNING__QUESTION__KIND__EXPAND, 0, facts.selector_value);
    if (!answers[i] || !answers[i]->ok) return false;
    most += answers[i]->n_names;
  }
  *out = ARENA_NEW(c->a, plan_bytes, most + 1);
  for (size_t i = 0; i < n_items; i++) {
    if (!answers[i]) (*out)[(*n)++] = items[i];
    for (size_t k = 0; answers[i] && k < answers[i]->n_names; k++) {
      expr_name name = {answers[i]->names[k], strlen(answers[i]->names[k])};
      if (excluded && cut_has_name(excluded, name)) continue;
      (*out)[(*n)++] = expr_with_column(c->a, items[i], name);
    }
  }
  return true;
}

bool cut_hashable(cut *c, const described_node *dn, plan_bytes list) {
  plan_bytes *items, first = describe_all_columns();
  size_t n = 1;
  if (!plan_value_nil(list)) {
    if (!plan_value_items(list, c->a, &items, &n) || !n) return false;
    first = items[0];
  }
  const Planning__Answer *answer =
      describe_answer(dn, PLANNING__QUESTION__KIND__HASHABLE, 0, first);
  return answer && answer->ok;
}

typedef struct rows_facts {
  bool rowwise, windows, all_scalar; /* windows: row-wise but for `over`, all over the same keys */
  bool selector, pure;
  bool order; /* an `over` sees the order of rows */
  plan_bytes window_keys;
} rows_facts;

static rows_facts read_rows(const plan_bytes *exprs, size_t n) {
  rows_facts all = {.rowwise = true, .windows = true, .all_scalar = n > 0, .pure = true};
  for (size_t i = 0; i < n; i++) {
    expr_facts f = expr_read(exprs[i]);
    all.selector |= f.selector;
    all.pure &= !f.impure;
    all.all_scalar &= f.class == EXPR_SCALAR && !f.selector;
    if (f.class <= EXPR_ROWWISE) continue;
    all.rowwise = false;
    all.order |= f.order;
    if (f.class != EXPR_WINDOW || f.selector) all.windows = false;
    if (all.window_keys.data && !plan_bytes_equal(all.window_keys, f.window_keys))
      all.windows = false;
    all.window_keys = f.window_keys;
  }
  all.windows &= !all.rowwise && all.window_keys.data;
  return all;
}

/* `over` needs whole groups: rows move by its keys, and their order is lost. */
static rc cut_windows(cut *c, const dsl_node *n, const rows_facts *facts, order need,
                      fragment *out) {
  plan_bytes *keys;
  size_t n_keys;
  if (!plan_value_items(facts->window_keys, c->a, &keys, &n_keys) ||
      !cut_hashable(c, describe_find(c->d, n), facts->window_keys))
    return cut_on_one(c, n, out);
  fragment f;
  TRY(cut_node(c, dsl_input(n, 0), facts->order || need ? ORDER_TOTAL : ORDER_LOST, &f));
  bool keeps_order = f.order == ORDER_FREE || need != ORDER_TOTAL;
  if (f.spread != SPREAD_PARTS || !keeps_order) {
    cut_inputs_on_one(c, n, &f, out);
    return RC_OK;
  }
  cut_decided(c, RULE_WINDOW);
  f = exchange_hash(c, f, keys, n_keys, true,
                    arena_printf(c->a, "over: whole groups by hash of %zu keys", n_keys));
  *out = fragment_on_top(c, f, n);
  fragment_forget_keys(out);
  return RC_OK;
}

/* A key set under the names that a select gives its columns; false: one of them is gone. */
static bool renamed_keys(cut *c, const plan_bytes *exprs, size_t n, const key_set *from,
                         key_set *to) {
  *to = (key_set){ARENA_NEW(c->a, expr_name, from->n), from->n};
  for (size_t k = 0; k < from->n; k++) {
    bool found = false;
    for (size_t i = 0; i < n && !found; i++) {
      expr_name column;
      found = expr_is_column(exprs[i], &column) && expr_name_equal(column, from->names[k]);
      to->names[k] = found ? column : to->names[k];
    }
    if (!found) return false;
  }
  return true;
}

static bool overwrites(cut *c, const plan_bytes *exprs, size_t n, const key_set *keys) {
  for (size_t i = 0; i < n; i++) {
    expr_name name = expr_output_name(c->a, exprs[i]);
    if (!name.s || cut_has_name(keys, name)) return true;
  }
  return false;
}

static void keep_keys(cut *c, const dsl_node *n, const plan_bytes *exprs, size_t n_exprs,
                      bool selector, fragment *f) {
  key_set *kept = ARENA_NEW(c->a, key_set, f->n_hashed + 1);
  size_t n_kept = 0;
  for (size_t i = 0; i < f->n_hashed && !selector; i++) {
    if (n->kind == DSL_SELECT)
      n_kept += renamed_keys(c, exprs, n_exprs, &f->hashed[i], &kept[n_kept]);
    else if (!overwrites(c, exprs, n_exprs, &f->hashed[i]))
      kept[n_kept++] = f->hashed[i];
  }
  f->hashed = kept;
  f->n_hashed = n_kept;
}

static rc cut_rows(cut *c, const dsl_node *n, order need, fragment *out) {
  plan_bytes one, *exprs = &one;
  size_t n_exprs = 1;
  one = dsl_field(n, "predicate");
  if (n->kind != DSL_FILTER &&
      !plan_value_items(dsl_field(n, n->kind == DSL_SELECT ? "expr" : "exprs"), c->a, &exprs,
                        &n_exprs))
    return cut_on_one(c, n, out);
  rows_facts facts = read_rows(exprs, n_exprs);
  if (n->kind == DSL_SELECT) {
    bool done;
    TRY(cut_aggregates(c, n, out, &done));
    if (done) return RC_OK;
    if (facts.all_scalar ||
        plan_value_true(dsl_at(n, "options", "maintain_dataframe_height", NULL)))
      return cut_on_one(c, n, out);
  }
  if (n->kind == DSL_FILTER && facts.selector) return cut_on_one(c, n, out);
  if (!facts.rowwise && !c->limits->lower_expressions) return cut_on_one(c, n, out);
  if (facts.windows) return cut_windows(c, n, &facts, need, out);
  if (!facts.rowwise) return cut_on_one(c, n, out);
  fragment f;
  size_t n_above = c->n_above;
  if (n->kind == DSL_FILTER) estimate_push_filter(c, one);
  TRY(cut_node(c, dsl_input(n, 0), need, &f));
  if (n->kind == DSL_FILTER) {
    estimate_pop_filter(c, n_above, &f);
  } else {
    keep_keys(c, n, exprs, n_exprs, facts.selector, &f);
  }
  if (!facts.pure && f.spread == SPREAD_REPLICATED) f.spread = SPREAD_ONE;
  f.determinate &= facts.pure;
  cut_decided(c, RULE_ROWS);
  *out = fragment_by_parts(c, f, wrap_node, n);
  return RC_OK;
}

/* ---- order: sort, slice ---- */

static bool sorts_by_rows(cut *c, const dsl_node *sort) {
  plan_bytes *by;
  size_t n;
  if (!plan_value_items(dsl_field(sort, "by_column"), c->a, &by, &n)) return false;
  rows_facts facts = read_rows(by, n);
  return facts.rowwise && facts.pure && plan_value_nil(dsl_field(sort, "slice"));
}

static order order_below_sort(const dsl_node *sort) {
  return plan_value_true(dsl_at(sort, "sort_options", "maintain_order", NULL)) ? ORDER_TOTAL
                                                                               : ORDER_LOST;
}

/* Do encoded rows compare everywhere as they do here? Categories do not: their order is that of
 * their numbers in each process. */
static bool encodes_alike(cut *c, const dsl_node *sort, const plan_bytes *by, size_t n) {
  const described_node *dn = describe_find(c->d, sort);
  for (size_t i = 0; i < n; i++) {
    const Planning__Answer *answer = describe_answer(dn, PLANNING__QUESTION__KIND__DTYPE, 0, by[i]);
    if (!answer || answer->n_names != 1 || strstr(answer->names[0], "Categorical")) return false;
  }
  return n > 0;
}

static bool range_key(cut *c, const dsl_node *sort, plan_bytes *key) {
  plan_bytes *by;
  size_t n;
  if (!plan_value_items(dsl_field(sort, "by_column"), c->a, &by, &n)) return false;
  for (size_t i = 0; i < n; i++)
    if (expr_read(by[i]).selector) return false;
  if (!encodes_alike(c, sort, by, n)) return false;
  *key = expr_sort_key(c->a, by, n, dsl_field(sort, "sort_options"));
  return true;
}

static rc cut_sort(cut *c, const dsl_node *n, order need, fragment *out) {
  (void)need;
  if (!sorts_by_rows(c, n)) return cut_on_one(c, n, out);
  fragment f;
  plan_bytes key;
  TRY(cut_node(c, dsl_input(n, 0), order_below_sort(n), &f));
  /* Rows that compare equal come in any order, in each task in another one. */
  bool replicated = f.spread == SPREAD_REPLICATED && order_below_sort(n) == ORDER_TOTAL;
  bool ranges = f.spread == SPREAD_PARTS && f.n_branches == 1 && c->limits->partitioned_sort &&
                range_key(c, n, &key);
  if (ranges)
    f = exchange_range(c, f, key, order_below_sort(n) == ORDER_TOTAL, "sort: rows by ranges");
  else
    f = exchange_gather(c, f, "sort: all rows on one task");
  cut_decided(c, ranges ? RULE_SORT_RANGES : replicated ? RULE_SORT_EVERYWHERE : RULE_SORT_ONE);
  *out = fragment_on_top(c, f, n);
  out->order = ORDER_TOTAL;
  fragment_forget_keys(out);
  if (!ranges && !replicated) out->spread = SPREAD_ONE;
  return RC_OK;
}

typedef struct row_range {
  int64_t offset;
  uint64_t len;
} row_range;

/* What each part must keep at least so that the whole still has the range. */
static row_range range_of_part(row_range whole) {
  if (whole.offset < 0) return (row_range){whole.offset, (uint64_t)0 - (uint64_t)whole.offset};
  uint64_t last = (uint64_t)whole.offset + whole.len;
  return (row_range){0, last < whole.len ? UINT64_MAX : last};
}

static const dsl_node *wrap_slice(cut *c, const void *arg, const dsl_node *tree) {
  const row_range *range = arg;
  return dsl_slice(c->a, range->offset, range->len, tree);
}

static const dsl_node *wrap_top(cut *c, const void *arg, const dsl_node *tree) {
  const dsl_node *slice = arg, *sort = dsl_input(slice, 0);
  sort = dsl_with_inputs(c->a, sort, &tree);
  return dsl_with_inputs(c->a, slice, &sort);
}

/* Top k: the k first of each part, sorted again where they meet. */
static rc cut_top(cut *c, const dsl_node *n, row_range range, fragment *out) {
  const dsl_node *sort = dsl_input(n, 0);
  order below = order_below_sort(sort);
  fragment f;
  TRY(cut_node(c, dsl_input(sort, 0), below, &f));
  if (f.spread == SPREAD_PARTS) {
    row_range part = range_of_part(range);
    f = fragment_on_top(c, f, sort);
    f = fragment_wrapped(c, f, wrap_slice, &part);
    f.rows = (double)part.len < f.rows ? (double)part.len : f.rows;
    f = exchange_gather(c, f, "sort: the first rows of each part");
    cut_decided(c, RULE_TOP);
  }
  f.spread = SPREAD_ONE;
  *out = fragment_wrapped(c, f, wrap_top, n);
  out->order = ORDER_TOTAL;
  fragment_forget_keys(out);
  return RC_OK;
}

static bool is_top(cut *c, const dsl_node *n, row_range range) {
  const dsl_node *input = dsl_input(n, 0);
  return input->kind == DSL_SORT && range.offset >= 0 && sorts_by_rows(c, input);
}

static rc cut_slice(cut *c, const dsl_node *n, order need, fragment *out) {
  (void)need;
  int64_t len;
  row_range range;
  if (!plan_value_int(dsl_field(n, "offset"), &range.offset) ||
      !plan_value_int(dsl_field(n, "len"), &len))
    return cut_on_one(c, n, out);
  range.len = (uint64_t)len;
  if (is_top(c, n, range)) return cut_top(c, n, range, out);
  fragment f;
  TRY(cut_node(c, dsl_input(n, 0), ORDER_TOTAL, &f));
  if (f.spread == SPREAD_PARTS) {
    row_range part = range_of_part(range);
    f = fragment_wrapped(c, f, wrap_slice, &part);
    f = exchange_gather(c, f, "slice: the rows of each part that can be in it");
    cut_decided(c, RULE_SLICE);
  }
  if (f.order == ORDER_FREE) { /* which rows is nobody's promise, but all must see the same */
    f.spread = SPREAD_ONE;
    f.determinate = false;
  }
  *out = fragment_on_top(c, f, n);
  out->rows = (double)range.len < out->rows ? (double)range.len : out->rows;
  fragment_forget_keys(out);
  return RC_OK;
}

/* ---- functions of a frame ---- */

static plan_rule map_rule_of(const dsl_node *n) {
  static const struct {
    const char *name;
    plan_rule rule;
  } RULES[] = {{"Explode", RULE_EXPLODE}, {"Rename", RULE_EXPLODE},  {"Unnest", RULE_EXPLODE},
               {"FillNan", RULE_EXPLODE}, {"Unpivot", RULE_UNPIVOT}, {"Hint", RULE_HINT}};
  plan_bytes function = dsl_field(n, "function");
  for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++)
    if (plan_value_is(function, RULES[i].name)) return RULES[i].rule;
  return RULE_ONE_TASK;
}

static rc cut_map(cut *c, const dsl_node *n, order need, fragment *out) {
  plan_rule rule = map_rule_of(n);
  if (rule == RULE_ONE_TASK) return cut_on_one(c, n, out);
  /* "is sorted" is said of rows in their order, and is false in any other. */
  fragment f;
  TRY(cut_node(c, dsl_input(n, 0), rule == RULE_HINT ? ORDER_TOTAL : need, &f));
  cut_decided(c, rule);
  /* Unpivot puts all rows of one variable before those of the next. */
  if (rule == RULE_UNPIVOT && f.order != ORDER_FREE) {
    if (need != ORDER_LOST) f = fragment_on_one(c, f, n);
    if (f.spread == SPREAD_PARTS) f.order = ORDER_LOST;
  }
  *out = fragment_on_top(c, f, n);
  if (rule != RULE_HINT) fragment_forget_keys(out);
  return RC_OK;
}

/* Row by row with a schema of its own. */
static rc cut_match(cut *c, const dsl_node *n, order need, fragment *out) {
  fragment f;
  TRY(cut_node(c, dsl_input(n, 0), need, &f));
  cut_decided(c, RULE_MATCH);
  *out = fragment_on_top(c, f, n);
  fragment_forget_keys(out);
  return RC_OK;
}

/* ---- union ---- */

typedef struct conform {
  plan_bytes *exprs;
  size_t n;
} conform;

static const dsl_node *wrap_conform(cut *c, const void *arg, const dsl_node *tree) {
  const conform *to = arg;
  return to->n ? dsl_select(c->a, to->exprs, to->n, tree) : tree;
}

/* The branch of an input in the union's columns and dtypes. False: Polars did not say how. */
static bool conform_input(cut *c, const described_node *dn, uint32_t i, fragment *f) {
  const Planning__Answer *answer =
      describe_answer(dn, PLANNING__QUESTION__KIND__CONFORM, i, (plan_bytes){NULL, 0});
  if (!answer || !answer->ok) return false;
  conform to = {ARENA_NEW(c->a, plan_bytes, answer->n_exprs + 1), answer->n_exprs};
  for (size_t k = 0; k < to.n; k++)
    to.exprs[k] = (plan_bytes){answer->exprs[k].data, answer->exprs[k].len};
  *f = fragment_wrapped(c, *f, wrap_conform, &to);
  return true;
}

/* All tasks of the first input come before those of the second: so the order holds. */
static void append(fragment *all, const fragment *f) {
  for (size_t i = 0; i < f->n_branches; i++) {
    branch b = f->branches[i];
    if (f->spread != SPREAD_PARTS) b.tasks = STAGE_ONE;
    all->branches[all->n_branches++] = b;
  }
  all->rows += f->rows;
  all->determinate &= f->determinate;
  if (f->order != ORDER_FREE && f->order < all->order) all->order = f->order;
}

static rc cut_union(cut *c, const dsl_node *n, order need, fragment *out) {
  size_t n_inputs = dsl_n_inputs(n), n_branches = 0;
  const described_node *dn = describe_find(c->d, n);
  fragment *inputs = ARENA_NEW(c->a, fragment, n_inputs + 1);
  bool parts = false, conforms = true;
  for (size_t i = 0; i < n_inputs; i++) {
    TRY(cut_node(c, dsl_input(n, i), need, &inputs[i]));
    parts |= inputs[i].spread == SPREAD_PARTS;
    n_branches += inputs[i].n_branches;
    conforms = conforms && conform_input(c, dn, (uint32_t)i, &inputs[i]);
  }
  if (!parts || !conforms || n_branches > CUT_MAX_BRANCHES) {
    cut_inputs_on_one(c, n, inputs, out);
    return RC_OK;
  }
  *out = (fragment){.spread = SPREAD_PARTS,
                    .order = ORDER_TOTAL,
                    .determinate = true,
                    .selectivity = 1,
                    .branches = ARENA_NEW(c->a, branch, n_branches)};
  for (size_t i = 0; i < n_inputs; i++) append(out, &inputs[i]);
  cut_decided(c, RULE_UNION);
  return RC_OK;
}

/* ---- sub-plans that stand more than once in the plan ---- */

struct shared {
  const dsl_node *node;
  size_t times;
  bool planned;
  fragment result;
};

/* Worth keeping, or not the same when it is computed again: a float sum in another order. */
static bool is_heavy(const dsl_node *n) {
  switch (n->kind) {
  case DSL_GROUP_BY:
  case DSL_JOIN:
  case DSL_DISTINCT:
  case DSL_SORT:
  case DSL_PIVOT:
  case DSL_SQL:
  case DSL_PYTHON_SCAN:
    return true;
  default:
    for (size_t i = 0; i < dsl_n_inputs(n); i++)
      if (is_heavy(dsl_input(n, i))) return true;
    return false;
  }
}

static struct shared *find_shared(const cut *c, const dsl_node *n) {
  for (size_t i = 0; i < c->n_shared; i++)
    if (cut_same_tree(c->shared[i].node, n)) return &c->shared[i];
  return NULL;
}

/* Every heavy node is noted once; what stands below one that was seen before is not looked at
 * again, so that only the topmost of equal sub-plans count. */
static void count_shared(cut *c, const dsl_node *n) {
  if (!is_heavy(n)) return;
  struct shared *s = find_shared(c, n);
  if (s) {
    s->times++;
    return;
  }
  c->shared[c->n_shared++] = (struct shared){.node = n, .times = 1};
  for (size_t i = 0; i < dsl_n_inputs(n); i++) count_shared(c, dsl_input(n, i));
}

/* ---- all together ---- */

static rc on_one_task(cut *c, const dsl_node *n, order need, fragment *out) {
  (void)need;
  return cut_on_one(c, n, out);
}

static rc source(cut *c, const dsl_node *n, order need, fragment *out) {
  (void)need;
  cut_source(c, n, out);
  return RC_OK;
}

#define ONE_TASK "on one task, over what its inputs bring there"

static const struct {
  rc (*rule)(cut *, const dsl_node *, order need, fragment *);
  const char *text; /* for docs/reference/distribution.md */
} RULES[] = {
    [DSL_SCAN] = {source, "parquet, ipc, csv, ndjson: by files; one or few parquet or ipc files by "
                          "rows, with row numbers or a limit, too; other formats: on one task; few "
                          "rows: in every task"},
    [DSL_FRAME_SCAN] = {source, "by rows; few rows: in every task"},
    [DSL_PYTHON_SCAN] = {source, ONE_TASK},
    [DSL_RESOLVER] = {source, ONE_TASK},
    [DSL_FILTER] = {cut_rows, "where the rows are, if row-wise; else as with_columns"},
    [DSL_SELECT] = {cut_rows, "where the rows are, if row-wise; aggregates in halves; windows by "
                              "hash of their keys, if nobody sees the order; else on one task"},
    [DSL_HSTACK] = {cut_rows, "where the rows are, if row-wise; windows by hash of their keys, if "
                              "nobody sees the order; else on one task"},
    [DSL_GROUP_BY] = {cut_group_by,
                      "aggregates in halves, or rows by hash of the keys; nothing moves when they "
                      "are there already; with maintain_order, dynamic, rolling: on one task"},
    [DSL_DISTINCT] = {cut_distinct, "reduced where the rows are, then by hash of the columns; with "
                                    "maintain_order: on one task"},
    [DSL_JOIN] = {cut_join, "inner, left, right, full, semi, anti, cross, where: one side to every "
                            "task, or both by hash of the keys, or where they are already; as-of, "
                            "validated, or in the order of the right side: on one task"},
    [DSL_SORT] = {cut_sort, "by ranges of the keys; few rows, or categories: on one task"},
    [DSL_SLICE] = {cut_slice, "what each part can contribute, then on one task; after a sort the "
                              "first rows of each part"},
    [DSL_MAP_FUNCTION] = {cut_map, "explode, rename, unnest, fill_nan, hints: where the rows are; "
                                   "unpivot, too, if nobody sees the order; row_index, functions "
                                   "of whole frames: on one task"},
    [DSL_MATCH_TO_SCHEMA] = {cut_match, "where the rows are"},
    [DSL_UNION] = {cut_union, "the tasks of the first input, then those of the second, …"},
    [DSL_CACHE] = {transparent, "as its input"},
    [DSL_IR] = {transparent, "as its input"},
    [DSL_SINK] = {on_one_task, "an anonymous result has a part for each task; a destination of the "
                               "user's one writer, or one for each folder named by columns"},
    [DSL_SINK_MULTIPLE] = {on_one_task, "the query runs whole, on one worker"},
    [DSL_HCONCAT] = {on_one_task, ONE_TASK},
    [DSL_MERGE_SORTED] = {on_one_task, ONE_TASK},
    [DSL_GATHER] = {on_one_task, ONE_TASK},
    [DSL_PIPE_WITH_SCHEMA] = {on_one_task, ONE_TASK},
    [DSL_PIVOT] = {on_one_task, ONE_TASK},
    [DSL_SQL] = {on_one_task, ONE_TASK},
};

void stages_print_reference(buf *out) {
  buf_puts(out, "| node | how it runs |\n|---|---|\n");
  for (size_t kind = 0; kind < sizeof RULES / sizeof *RULES; kind++)
    buf_printf(out, "| %s | %s |\n", dsl_kind_name((dsl_kind)kind), RULES[kind].text);
}

/* Rows without columns cannot be written to a file, and so not move. */
static bool has_columns(const cut *c, const dsl_node *n) {
  const described_node *dn = describe_find(c->d, n);
  return dn && dn->answer->n_names;
}

/* What was seen counts more than what was guessed. */
static void know_node(const cut *c, const dsl_node *n, fragment *f) {
  f->node = n;
  double counted = describe_find(c->d, n)->counted;
  if (counted < 0) return;
  f->selectivity *= f->rows > 0 ? counted / f->rows : 1;
  f->rows = counted;
}

static rc cut_and_check(cut *c, const dsl_node *n, order need, fragment *out) {
  if (!has_columns(c, n) && dsl_n_inputs(n)) return cut_on_one(c, n, out);
  TRY(RULES[n->kind].rule(c, n, need, out));
  /* Each task would make its own choice of order, and its consumer relies on one. */
  if (out->spread == SPREAD_REPLICATED && out->order == ORDER_FREE && need != ORDER_LOST)
    out->spread = SPREAD_ONE;
  know_node(c, n, out);
  if (satisfies(out->order, need)) return RC_OK;
  return ERR(c->e, RC_INTERNAL, "the rule for %s lost the order of rows", dsl_kind_name(n->kind));
}

rc cut_node(cut *c, const dsl_node *n, order need, fragment *out) {
  struct shared *s = find_shared(c, n);
  if (!s || s->times < 2) return cut_and_check(c, n, need, out);
  if (!s->planned) {
    TRY(cut_and_check(c, n, ORDER_TOTAL, &s->result));
    s->result = exchange_materialise(c, s->result, "read more than once");
    s->planned = true;
    cut_decided(c, RULE_SHARED);
  }
  *out = s->result;
  return RC_OK;
}

const dsl_node *stages_below_sink(const dsl_node *root) {
  return root->kind == DSL_SINK ? dsl_input(root, 0) : root;
}

static double source_rows(const described *d) {
  double rows = 0;
  for (size_t i = 0; i < d->n; i++) rows += d->nodes[i].rows;
  return rows;
}

static bool holds_objects(const described *d) {
  for (size_t i = 0; i < d->n; i++)
    for (size_t k = 0; k < d->nodes[i].answer->n_dtypes; k++)
      if (strstr(d->nodes[i].answer->dtypes[k], "Object")) return true;
  return false;
}

static fragment whole(cut *c, const dsl_node *n) {
  branch *b = ARENA_NEW(c->a, branch, 1);
  *b = (branch){.tree = n};
  return (fragment){.branches = b,
                    .n_branches = 1,
                    .spread = SPREAD_ONE,
                    .order = ORDER_TOTAL,
                    .rows = source_rows(c->d)};
}

rc stages_cut(const dsl_node *root, const described *d, const stage_limits *limits, arena *a,
              stage_graph *graph, err *e) {
  *graph = (stage_graph){0};
  cut c = {.a = a, .d = d, .limits = limits, .g = graph, .e = e};
  const dsl_node *n = stages_below_sink(root);
  const dsl_node *sink = n == root ? NULL : root;
  fragment f;
  if (source_rows(d) < limits->small_rows || holds_objects(d)) {
    f = whole(&c, n);
  } else {
    c.shared = ARENA_NEW(a, struct shared, d->n + 1);
    count_shared(&c, n);
    TRY(cut_node(&c, n, ORDER_TOTAL, &f));
    if (limits->user_sink) f = cut_sink(&c, sink, f);
  }
  exchange_finish(&c, f, sink);
  return RC_OK;
}
