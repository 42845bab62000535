/* plan/cut_join.c: where the rows of the two sides of a join meet. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Nothing moves when one side can be made everywhere or both are partitioned by the keys already;
 * else the smaller side goes to every task (broadcast), or both go by hash of the keys. A side
 * whose rows without a partner come out may not be the one that every task has. */
#include "plan/cut.h"

#include <string.h>

typedef enum how { INNER, LEFT, RIGHT, FULL, SEMI, ANTI, CROSS, OTHER_JOIN } how;

static const struct {
  const char *name;
  bool right_everywhere, left_everywhere; /* may every task have all rows of that side? */
} HOWS[] = {
    [INNER] = {"Inner", true, true},  [LEFT] = {"Left", true, false},
    [RIGHT] = {"Right", false, true}, [FULL] = {"Full", false, false},
    [SEMI] = {"Semi", true, false},   [ANTI] = {"Anti", true, false},
    [CROSS] = {"Cross", true, true},
};

typedef struct join {
  const dsl_node *node;
  how how;
  bool equi;                              /* by equal keys, and Polars said how to hash them */
  plan_bytes *left, *right;               /* the keys … */
  plan_bytes *left_hashed, *right_hashed; /* … and how both sides hash alike */
  size_t n;
  bool plain;                      /* all keys are columns, hashed as they are */
  key_set left_names, right_names; /* with `plain` */
  bool left_order;                 /* the output keeps the order of the left side */
} join;

static how how_of(const dsl_node *n) {
  plan_bytes name = dsl_at(n, "options", "args", "how", NULL);
  for (how h = INNER; h < OTHER_JOIN; h++)
    if (plan_value_is(name, HOWS[h].name)) return h;
  return OTHER_JOIN;
}

static plan_bytes *copied(cut *c, const ProtobufCBinaryData *from, size_t n) {
  plan_bytes *to = ARENA_NEW(c->a, plan_bytes, n + 1);
  for (size_t i = 0; i < n; i++) to[i] = (plan_bytes){from[i].data, from[i].len};
  return to;
}

static bool are_same(const ProtobufCBinaryData *x, const plan_bytes *y, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!plan_bytes_equal((plan_bytes){x[i].data, x[i].len}, y[i])) return false;
  return true;
}

static void read_keys(cut *c, join *j) {
  size_t n_right = 0;
  const Planning__Answer *answer = NULL;
  if (plan_value_items(dsl_at(j->node, "condition", "Equi", "left_on", NULL), c->a, &j->left,
                       &j->n) &&
      plan_value_items(dsl_at(j->node, "condition", "Equi", "right_on", NULL), c->a, &j->right,
                       &n_right) &&
      j->n && j->n == n_right)
    answer = describe_answer(describe_find(c->d, j->node), PLANNING__QUESTION__KIND__JOIN_KEYS, 0,
                             j->left[0]);
  j->equi = answer && answer->ok && answer->n_exprs == j->n && answer->n_other == j->n;
  /* Keys of two dtypes come out of a full join in one or the other, as its rows have it. */
  if (j->equi && j->how == FULL)
    j->equi = are_same(answer->exprs, j->left, j->n) && are_same(answer->other, j->right, j->n);
  if (!j->equi) return;
  j->left_hashed = copied(c, answer->exprs, j->n);
  j->right_hashed = copied(c, answer->other, j->n);
  j->plain = cut_plain_keys(c, j->left_hashed, j->n, &j->left_names) &&
             cut_plain_keys(c, j->right_hashed, j->n, &j->right_names);
}

/* False: only one task can do this. */
static bool read_join(cut *c, const dsl_node *n, join *j) {
  *j = (join){.node = n, .how = how_of(n)};
  plan_bytes kept = dsl_at(n, "options", "args", "maintain_order", NULL);
  j->left_order = plan_value_is(kept, "Left") || plan_value_is(kept, "LeftRight");
  if (j->how == OTHER_JOIN || (!j->left_order && !plan_value_is(kept, "None"))) return false;
  if (!plan_value_nil(dsl_at(n, "options", "args", "slice", NULL)) ||
      !plan_value_is(dsl_at(n, "options", "args", "validation", NULL), "ManyToMany"))
    return false;
  read_keys(c, j);
  return true;
}

/* ---- estimates ---- */

static double larger(double x, double y) {
  return x > y ? x : y;
}

/* Keys are taken to be unique on the smaller side. */
static void estimate(const join *j, const fragment *l, const fragment *r, fragment *out) {
  double part = larger(.1, r->selectivity);
  bool left_is_base =
      l->rows / larger(l->selectivity, 1e-9) >= r->rows / larger(r->selectivity, 1e-9);
  double inner = left_is_base ? l->rows * r->selectivity : r->rows * l->selectivity;
  const double rows[] = {[INNER] = larger(1, inner), [LEFT] = l->rows,        [RIGHT] = r->rows,
                         [FULL] = l->rows + r->rows, [SEMI] = l->rows * part, [ANTI] = l->rows / 2,
                         [CROSS] = l->rows * r->rows};
  const double selectivity[] = {[INNER] = l->selectivity * r->selectivity,
                                [LEFT] = l->selectivity,
                                [RIGHT] = r->selectivity,
                                [FULL] = 1,
                                [SEMI] = l->selectivity * part,
                                [ANTI] = l->selectivity / 2,
                                [CROSS] = 1};
  out->rows = rows[j->how];
  out->selectivity = selectivity[j->how];
}

/* ---- putting the sides together ---- */

/* The join above both sides; the one that is not `parts` has a single tree. */
static fragment joined(cut *c, const join *j, const fragment *l, const fragment *r,
                       const fragment *parts) {
  fragment out = *parts;
  out.branches = ARENA_NEW(c->a, branch, parts->n_branches);
  for (size_t i = 0; i < parts->n_branches; i++) {
    const dsl_node *sides[] = {parts == l ? l->branches[i].tree : l->branches->tree,
                               parts == r ? r->branches[i].tree : r->branches->tree};
    out.branches[i] = parts->branches[i];
    out.branches[i].tree = dsl_with_inputs(c->a, j->node, sides);
  }
  out.determinate = l->determinate && r->determinate;
  out.node = NULL;
  out.divisible = 0;
  out.order = j->left_order ? l->order : ORDER_FREE;
  estimate(j, l, r, &out);
  return out;
}

/* Columns of the left side keep their names; those of the right may get a suffix, or go. */
static void keep_left_keys(const join *j, const fragment *l, fragment *out) {
  bool kept = j->how == INNER || j->how == LEFT || j->how == SEMI || j->how == ANTI;
  out->hashed = kept ? l->hashed : NULL;
  out->n_hashed = kept ? l->n_hashed : 0;
}

static fragment with_right_everywhere(cut *c, const join *j, fragment l, fragment r) {
  cut_decided(c, r.spread == SPREAD_REPLICATED ? RULE_JOIN_SMALL_SIDE : RULE_JOIN_RIGHT);
  r = exchange_broadcast(c, r, "join: the right side goes to every task");
  fragment out = joined(c, j, &l, &r, &l);
  out.divisible = l.divisible;
  keep_left_keys(j, &l, &out);
  return out;
}

static fragment with_left_everywhere(cut *c, const join *j, fragment l, fragment r) {
  cut_decided(c, l.spread == SPREAD_REPLICATED ? RULE_JOIN_SMALL_SIDE : RULE_JOIN_LEFT);
  l = exchange_broadcast(c, l, "join: the left side goes to every task");
  fragment out = joined(c, j, &l, &r, &r);
  out.divisible = r.divisible;
  fragment_forget_keys(&out);
  return out;
}

static bool same_names(const key_set *x, const key_set *y) {
  if (x->n != y->n) return false;
  for (size_t i = 0; i < x->n; i++)
    if (!expr_name_equal(x->names[i], y->names[i])) return false;
  return true;
}

static bool is_hashed_exactly(const fragment *f, const key_set *keys) {
  for (size_t i = 0; i < f->n_hashed; i++)
    if (same_names(&f->hashed[i], keys)) return true;
  return false;
}

/* Some of the join's keys by which one side is partitioned already: the other side can go there. */
static bool subset_for(cut *c, const join *j, const fragment *f, const key_set *names,
                       size_t **which, size_t *n) {
  for (size_t i = 0; j->plain && i < f->n_hashed; i++) {
    const key_set *have = &f->hashed[i];
    *which = ARENA_NEW(c->a, size_t, have->n + 1);
    *n = 0;
    for (size_t k = 0; k < have->n; k++)
      for (size_t m = 0; m < j->n; m++)
        if (expr_name_equal(have->names[k], names->names[m])) {
          (*which)[(*n)++] = m;
          break;
        }
    if (*n == have->n) return true;
  }
  return false;
}

static fragment hashed_like(cut *c, fragment f, const plan_bytes *keys, const size_t *which,
                            size_t n) {
  plan_bytes *some = ARENA_NEW(c->a, plan_bytes, n + 1);
  for (size_t i = 0; i < n; i++) some[i] = keys[which[i]];
  return exchange_hash(c, f, some, n, false, "join: rows by hash of the keys");
}

/* ---- semi-join reduction ---- */

/* The join as a semi join of the side `of`, which keeps its rows that have a partner. */
static const dsl_node *semi_join(cut *c, const join *j, bool of_right) {
  static const uint8_t semi[] = "\xa4Semi", specific[] = "\xacJoinSpecific";
  const dsl_node *n = j->node;
  n = dsl_with_value(c->a, n, dsl_at(n, "options", "args", "how", NULL),
                     (plan_bytes){semi, sizeof semi - 1});
  n = dsl_with_value(c->a, n, dsl_at(n, "options", "args", "coalesce", NULL),
                     (plan_bytes){specific, sizeof specific - 1});
  if (!of_right) return n;
  plan_bytes left = dsl_at(j->node, "condition", "Equi", "left_on", NULL);
  plan_bytes right = dsl_at(j->node, "condition", "Equi", "right_on", NULL);
  n = dsl_with_value(c->a, n, dsl_at(n, "condition", "Equi", "left_on", NULL), right);
  return dsl_with_value(c->a, n, dsl_at(n, "condition", "Equi", "right_on", NULL), left);
}

typedef struct reduction {
  const dsl_node *semi_join, *partners;
} reduction;

static const dsl_node *wrap_semi_join(cut *c, const void *arg, const dsl_node *tree) {
  const reduction *r = arg;
  const dsl_node *sides[] = {tree, r->partners};
  return dsl_with_inputs(c->a, r->semi_join, sides);
}

/* `side` without the rows that have no partner in `other`, which is closed already: its rows are
 * read a second time, by every task. */
static fragment reduced(cut *c, const join *j, fragment side, bool is_right, fragment other) {
  other.order = ORDER_LOST;
  other = exchange_broadcast(c, other, "join: its keys go to every task");
  reduction r = {semi_join(c, j, is_right), other.branches->tree};
  cut_decided(c, RULE_JOIN_REDUCED);
  side = fragment_wrapped(c, side, wrap_semi_join, &r);
  side.order = ORDER_LOST;
  side.determinate &= other.determinate;
  return side;
}

static bool reduction_pays(const cut *c, const fragment *side, const fragment *other) {
  return side->spread == SPREAD_PARTS && other->spread == SPREAD_PARTS &&
         cut_pays_everywhere(c->limits, other->rows, side->rows);
}

static void exchange_both(cut *c, const join *j, fragment *l, fragment *r) {
  static const char LEFT_MOVES[] = "join: left rows by hash of the keys",
                    RIGHT_MOVES[] = "join: right rows by hash of the keys";
  bool right_may_go = HOWS[j->how].right_everywhere;
  bool left_may_go = HOWS[j->how].left_everywhere || j->how == SEMI;
  fragment left = *l, right = *r;
  if (left_may_go && reduction_pays(c, l, r)) {
    *r = exchange_hash(c, right, j->right_hashed, j->n, false, RIGHT_MOVES);
    left = reduced(c, j, left, false, right);
    *l = exchange_hash(c, left, j->left_hashed, j->n, false, LEFT_MOVES);
    return;
  }
  *l = exchange_hash(c, left, j->left_hashed, j->n, false, LEFT_MOVES);
  if (right_may_go && reduction_pays(c, &right, &left)) right = reduced(c, j, right, true, left);
  *r = exchange_hash(c, right, j->right_hashed, j->n, false, RIGHT_MOVES);
}

/* Where one key has most rows, they are divided: those of the larger side, if each of them may see
 * all of the other. */
static uint32_t divisible_side(const join *j, const fragment *l, const fragment *r) {
  uint32_t left, right;
  bool may_left = dsl_is_leaf(l->branches->tree, &left) && HOWS[j->how].right_everywhere;
  bool may_right = dsl_is_leaf(r->branches->tree, &right) && HOWS[j->how].left_everywhere;
  if (may_left && (!may_right || l->rows >= r->rows)) return left + 1;
  return may_right ? right + 1 : 0;
}

static fragment with_both_hashed(cut *c, const join *j, fragment l, fragment r) {
  size_t *which, n;
  bool single = l.n_branches == 1 && r.n_branches == 1;
  if (single && l.spread == SPREAD_PARTS && subset_for(c, j, &l, &j->left_names, &which, &n)) {
    cut_decided(c, RULE_JOIN_LIKE_LEFT);
    r = hashed_like(c, r, j->right_hashed, which, n);
  } else if (single && r.spread == SPREAD_PARTS &&
             subset_for(c, j, &r, &j->right_names, &which, &n)) {
    cut_decided(c, RULE_JOIN_LIKE_RIGHT);
    l = hashed_like(c, l, j->left_hashed, which, n);
  } else {
    cut_decided(c, RULE_JOIN_BOTH);
    exchange_both(c, j, &l, &r);
  }
  fragment out = joined(c, j, &l, &r, &l);
  out.spread = SPREAD_PARTS;
  out.divisible = divisible_side(j, &l, &r);
  if (j->plain)
    keep_left_keys(j, &l, &out);
  else
    fragment_forget_keys(&out);
  return out;
}

static bool are_together(const join *j, const fragment *l, const fragment *r) {
  return j->plain && l->n_branches == 1 && r->n_branches == 1 && l->spread == SPREAD_PARTS &&
         r->spread == SPREAD_PARTS && l->branches->tasks == STAGE_PARTITIONS &&
         r->branches->tasks == STAGE_PARTITIONS && is_hashed_exactly(l, &j->left_names) &&
         is_hashed_exactly(r, &j->right_names);
}

/* ---- which way? ---- */

typedef struct ways {
  bool right, left; /* that side to every task */
  bool by_hash;
} ways;

static ways ways_of(const join *j, const fragment *l, const fragment *r) {
  bool parts = l->spread == SPREAD_PARTS || r->spread == SPREAD_PARTS;
  return (ways){
      .right = HOWS[j->how].right_everywhere && l->spread == SPREAD_PARTS,
      .left = HOWS[j->how].left_everywhere && r->spread == SPREAD_PARTS && !j->left_order,
      .by_hash = parts && j->equi && j->how != CROSS && !j->left_order,
  };
}

static fragment choose(cut *c, const join *j, ways may, fragment l, fragment r) {
  if (may.right && r.spread == SPREAD_REPLICATED) return with_right_everywhere(c, j, l, r);
  if (may.left && l.spread == SPREAD_REPLICATED) return with_left_everywhere(c, j, l, r);
  if (may.by_hash && are_together(j, &l, &r)) {
    cut_decided(c, RULE_JOIN_THERE);
    fragment out = joined(c, j, &l, &r, &l);
    keep_left_keys(j, &l, &out);
    return out;
  }
  double right_cost = cut_cost_everywhere(c->limits, r.rows);
  double left_cost = cut_cost_everywhere(c->limits, l.rows);
  double hash_cost = l.rows + r.rows;
  bool right_pays =
      !may.by_hash || (cut_fits_everywhere(c->limits, r.rows) && right_cost <= hash_cost);
  bool left_pays =
      !may.by_hash || (cut_fits_everywhere(c->limits, l.rows) && left_cost <= hash_cost);
  if (may.right && right_pays && (!may.left || right_cost <= left_cost || !left_pays))
    return with_right_everywhere(c, j, l, r);
  if (may.left && left_pays) return with_left_everywhere(c, j, l, r);
  return with_both_hashed(c, j, l, r);
}

rc cut_join(cut *c, const dsl_node *n, order need, fragment *out) {
  (void)need;
  join j;
  if (!read_join(c, n, &j)) return cut_on_one(c, n, out);
  fragment sides[2];
  TRY(cut_node(c, dsl_input(n, 0), j.left_order ? ORDER_TOTAL : ORDER_LOST, &sides[0]));
  TRY(cut_node(c, dsl_input(n, 1), j.left_order ? ORDER_TOTAL : ORDER_LOST, &sides[1]));
  ways may = ways_of(&j, &sides[0], &sides[1]);
  if (may.right || may.left || may.by_hash) {
    *out = choose(c, &j, may, sides[0], sides[1]);
    return RC_OK;
  }
  bool replicated = sides[0].spread == SPREAD_REPLICATED && sides[1].spread == SPREAD_REPLICATED;
  cut_inputs_on_one(c, n, sides, out);
  if (replicated && !j.left_order) out->spread = SPREAD_REPLICATED;
  out->order = j.left_order ? sides[0].order : ORDER_FREE;
  estimate(&j, &sides[0], &sides[1], out);
  return RC_OK;
}
