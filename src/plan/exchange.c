/* plan/exchange.c: where a fragment ends and rows move. SPDX-License-Identifier: Apache-2.0
 *
 * Closing a fragment makes a stage of each of its branches; what goes on above starts at a leaf
 * that reads them. A stage that is there already is used again: the same rows must not be computed
 * twice with two outcomes. */
#include "plan/cut.h"

#include <string.h>

/* ---- the same again? ---- */

bool cut_same_tree(const dsl_node *x, const dsl_node *y) {
  if (x == y) return true;
  if (x->kind != y->kind || x->n_refs != y->n_refs || x->fields.len != y->fields.len) return false;
  size_t at = 0;
  for (size_t i = 0; i < x->n_refs; i++) {
    const dsl_ref *r = &x->refs[i], *s = &y->refs[i];
    if (r->kind != s->kind || r->offset != s->offset || r->len != s->len) return false;
    if (memcmp(x->fields.data + at, y->fields.data + at, r->offset - at) != 0) return false;
    if (r->kind == DSL_REF_FRAME ? !plan_bytes_equal(r->frame, s->frame)
                                 : !cut_same_tree(r->node, s->node))
      return false;
    at = r->offset + r->len;
  }
  return !memcmp(x->fields.data + at, y->fields.data + at, x->fields.len - at);
}

static bool same_keys(const stage_output *x, const plan_bytes *keys, size_t n) {
  if (x->n_keys != n) return false;
  for (size_t i = 0; i < n; i++)
    if (!plan_bytes_equal(x->keys[i], keys[i])) return false;
  return true;
}

/* ---- stages ---- */

static const char *first_of(const char *why, const fragment *f) {
  return f->n_branches > 1 ? "a part of a union" : why;
}

static stage *stage_add(cut *c, const fragment *f, const branch *b) {
  stage **more = ARENA_NEW(c->a, stage *, c->g->n + 1);
  if (c->g->n) memcpy(more, c->g->stages, c->g->n * sizeof *more);
  stage *st = ARENA_NEW(c->a, stage, 1);
  stage_tasks tasks = f->spread == SPREAD_PARTS ? b->tasks : STAGE_ONE;
  *st = (stage){.number = (uint32_t)c->g->n,
                .tree = b->tree,
                .tasks = tasks,
                .source = tasks == STAGE_SOURCE ? b->source : NULL,
                .source_node = tasks == STAGE_SOURCE ? b->source_node : NULL,
                .determinate = f->determinate,
                .node = f->n_branches == 1 ? f->node : NULL,
                .divisible = f->n_branches == 1 ? f->divisible : 0,
                .rows = f->rows / (double)f->n_branches};
  more[c->g->n++] = st;
  c->g->stages = more;
  return st;
}

/* A stage of the same tree can serve if its rows are laid out as wanted; who reads everything, in
 * any order, is served by any layout. */
static stage *find_stage(const cut *c, const branch *b, const stage_output *want) {
  for (size_t i = 0; i < c->g->n; i++) {
    stage *st = c->g->stages[i];
    if (st->final || want->range.data || st->output.range.data || !cut_same_tree(st->tree, b->tree))
      continue;
    bool any_layout = !want->n_keys && !want->ordered;
    bool same_layout =
        same_keys(&st->output, want->keys, want->n_keys) && (!want->ordered || st->output.ordered);
    if (any_layout || same_layout) return st;
  }
  return NULL;
}

static stage **close(cut *c, const fragment *f, const stage_output *output, const char *why) {
  stage **producers = ARENA_NEW(c->a, stage *, f->n_branches);
  for (size_t i = 0; i < f->n_branches; i++) {
    producers[i] = find_stage(c, &f->branches[i], output);
    if (producers[i]) {
      cut_decided(c, RULE_REUSED);
      continue;
    }
    producers[i] = stage_add(c, f, &f->branches[i]);
    producers[i]->output = *output;
    producers[i]->why = first_of(why, f);
  }
  return producers;
}

/* ---- leaves ---- */

static bool same_producers(const stage_leaf *l, stage *const *producers, size_t n) {
  return l->n_producers == n && !memcmp(l->producers, producers, n * sizeof *producers);
}

static stage_leaf *leaf_of(cut *c, leaf_read read, stage *const *producers, size_t n) {
  for (size_t i = 0; i < c->n_leaves; i++)
    if (c->leaves[i]->read == read && same_producers(c->leaves[i], producers, n))
      return c->leaves[i];
  stage_leaf **more = ARENA_NEW(c->a, stage_leaf *, c->n_leaves + 1);
  if (c->n_leaves) memcpy(more, c->leaves, c->n_leaves * sizeof *more);
  stage_leaf *l = ARENA_NEW(c->a, stage_leaf, 1);
  *l = (stage_leaf){
      .number = (uint32_t)c->n_leaves, .read = read, .producers = producers, .n_producers = n};
  more[c->n_leaves++] = l;
  c->leaves = more;
  return l;
}

static fragment above(cut *c, const fragment *f, leaf_read read, stage *const *producers) {
  branch *b = ARENA_NEW(c->a, branch, 1);
  const stage_leaf *l = leaf_of(c, read, producers, f->n_branches);
  *b = (branch){.tree = dsl_leaf(c->a, l->number), .tasks = STAGE_PARTITIONS};
  return (fragment){.branches = b,
                    .n_branches = 1,
                    .order = f->order,
                    .rows = f->rows,
                    .selectivity = f->selectivity,
                    .determinate = f->determinate};
}

/* ---- exchanges ---- */

static bool has_order(const fragment *f) {
  return f->order == ORDER_TOTAL;
}

fragment exchange_gather(cut *c, fragment f, const char *why) {
  if (f.spread != SPREAD_PARTS) return f;
  cut_decided(c, RULE_GATHER);
  stage_output output = {.ordered = has_order(&f)};
  fragment out = above(c, &f, LEAF_ALL, close(c, &f, &output, why));
  out.spread = SPREAD_ONE;
  if (f.order == ORDER_RELATIVE) out.order = ORDER_LOST;
  return out;
}

fragment exchange_hash(cut *c, fragment f, const plan_bytes *keys, size_t n, bool ordered,
                       const char *why) {
  stage_output output = {.keys = ARENA_NEW(c->a, plan_bytes, n),
                         .n_keys = n,
                         .ordered = ordered && f.order == ORDER_TOTAL};
  memcpy(output.keys, keys, n * sizeof *keys);
  cut_decided(c, output.ordered ? RULE_HASH_ORDERED : RULE_HASH);
  fragment out = above(c, &f, LEAF_PARTITION, close(c, &f, &output, why));
  out.spread = SPREAD_PARTS;
  if (f.order == ORDER_TOTAL) out.order = output.ordered ? ORDER_RELATIVE : ORDER_LOST;
  if (f.order == ORDER_RELATIVE) out.order = ORDER_LOST;
  out.hashed = ARENA_NEW(c->a, key_set, 1);
  out.n_hashed = cut_plain_keys(c, keys, n, out.hashed);
  return out;
}

fragment exchange_range(cut *c, fragment f, plan_bytes key, bool ordered, const char *why) {
  stage_output output = {.range = key, .ordered = ordered && f.order == ORDER_TOTAL};
  cut_decided(c, RULE_RANGE);
  fragment out = above(c, &f, LEAF_PARTITION, close(c, &f, &output, why));
  out.spread = SPREAD_PARTS;
  if (f.order != ORDER_FREE) out.order = output.ordered ? ORDER_RELATIVE : ORDER_LOST;
  return out;
}

fragment exchange_broadcast(cut *c, fragment f, const char *why) {
  if (f.spread == SPREAD_REPLICATED) return f;
  cut_decided(c, RULE_BROADCAST);
  stage_output output = {.ordered = has_order(&f)};
  fragment out = above(c, &f, LEAF_BROADCAST, close(c, &f, &output, why));
  out.spread = SPREAD_REPLICATED;
  if (f.order == ORDER_RELATIVE) out.order = ORDER_LOST;
  if (f.order == ORDER_FREE) out.order = ORDER_TOTAL; /* that of the files, for every reader */
  return out;
}

fragment exchange_materialise(cut *c, fragment f, const char *why) {
  bool replicated = f.spread != SPREAD_PARTS;
  stage_output output = {.ordered = has_order(&f)};
  leaf_read read = replicated ? LEAF_BROADCAST : LEAF_PARTITION;
  fragment out = above(c, &f, read, close(c, &f, &output, why));
  out.spread = replicated ? SPREAD_REPLICATED : SPREAD_PARTS;
  if (f.order == ORDER_FREE) out.order = ORDER_TOTAL;
  return out;
}

/* ---- the end ---- */

typedef struct owner {
  cut *c;
  stage *st;
} owner;

/* Each time that a tree reads other stages is a leaf of its own: it may want other columns than the
 * next time. */
static const dsl_node *own_leaf(void *arg, const dsl_node *n) {
  cut *c = ((owner *)arg)->c;
  stage *st = ((owner *)arg)->st;
  uint32_t number;
  if (!dsl_is_leaf(n, &number)) return NULL;
  stage_leaf *l = ARENA_NEW(c->a, stage_leaf, 1);
  *l = *c->leaves[number];
  l->divisible = number + 1 == st->divisible;
  l->number = c->n_uses++;
  stage_leaf **more = ARENA_NEW(c->a, stage_leaf *, st->n_leaves + 1);
  if (st->n_leaves) memcpy(more, st->leaves, st->n_leaves * sizeof *more);
  more[st->n_leaves++] = l;
  st->leaves = more;
  return dsl_leaf(c->a, l->number);
}

/* A leaf that stands twice in a stage cannot be divided in one place and be whole in the other. */
static void check_divisible(stage *st) {
  size_t n = 0;
  for (size_t i = 0; i < st->n_leaves; i++) n += st->leaves[i]->divisible;
  for (size_t i = 0; i < st->n_leaves; i++) st->leaves[i]->divisible &= n == 1;
}

/* Producers before consumers, without those that a rule has made in vain. */
static void keep_reachable(cut *c) {
  bool *reached = ARENA_NEW(c->a, bool, c->g->n);
  for (size_t i = c->g->n; i-- > 0;) {
    const stage *st = c->g->stages[i];
    reached[i] |= st->final;
    for (size_t k = 0; reached[i] && k < st->n_leaves; k++)
      for (size_t p = 0; p < st->leaves[k]->n_producers; p++)
        reached[st->leaves[k]->producers[p]->number] = true;
  }
  size_t n = 0;
  for (size_t i = 0; i < c->g->n; i++)
    if (reached[i]) c->g->stages[n++] = c->g->stages[i];
  for (c->g->n = n; n-- > 0;) c->g->stages[n]->number = (uint32_t)n;
}

void exchange_finish(cut *c, fragment f, const dsl_node *sink) {
  for (size_t i = 0; i < f.n_branches; i++) {
    stage *st = stage_add(c, &f, &f.branches[i]);
    st->final = true;
    st->sink = sink;
    st->why = "the result";
  }
  for (size_t i = 0; i < c->g->n; i++) {
    stage *st = c->g->stages[i];
    st->tree = dsl_replace(c->a, st->tree, own_leaf, &(owner){c, st});
    check_divisible(st);
  }
  keep_reachable(c);
}
