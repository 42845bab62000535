/* plan/capture.c: what Polars would push through the exchanges. SPDX-License-Identifier: Apache-2.0
 *
 * Every stage goes to Polars with leaves in place of its inputs and of its sources, so that nothing
 * is opened; Polars says which columns, filters and limits it wants of each leaf, and they are put
 * on top of the stage that makes its rows (proto/planning.proto). The filters stay in the
 * consumer's plan as well, and are applied again. */
#include "plan/stages.h"

#include <string.h>

typedef struct request {
  const stage_graph *g;
  const described *d;
  const uint8_t *header;
  arena *a;
  Planning__CaptureRequest *out;
  uint32_t n_leaves; /* numbers from here on stand for sources */
  const stage *st;   /* whose plan is written */
  rc outcome;
  err *e;
} request;

/* ---- the request ---- */

static bool is_source(const dsl_node *n) {
  uint32_t number;
  return n->kind == DSL_SCAN || n->kind == DSL_FRAME_SCAN || n->kind == DSL_PYTHON_SCAN ||
         (n->kind == DSL_RESOLVER && !dsl_is_leaf(n, &number));
}

/* A source may have been copied when its schema was pinned; its first field tells whose it is. */
static const described_node *description_of(const request *q, const stage *st, const dsl_node *n) {
  if (st->source && n == st->source_node) return st->source;
  return describe_find(q->d, n);
}

static void add_source(request *q, uint32_t number, const Planning__Source *from) {
  Planning__CaptureRequest *out = q->out;
  for (size_t i = 0; i < out->n_sources; i++)
    if (out->sources[i]->leaf == number) return;
  Planning__CapturedLeaf *source = ARENA_NEW(q->a, Planning__CapturedLeaf, 1);
  planning__captured_leaf__init(source);
  source->leaf = number;
  source->schema = from->schema;
  out->sources[out->n_sources++] = source;
}

static const dsl_node *source_leaf(void *arg, const dsl_node *n) {
  request *q = arg;
  if (!is_source(n)) return NULL;
  const described_node *dn = description_of(q, q->st, n);
  if (!dn || !dn->answer->source) {
    q->outcome = ERR(q->e, RC_INTERNAL, "a %s was not described", dsl_kind_name(n->kind));
    return n;
  }
  uint32_t number = q->n_leaves + (uint32_t)(dn - q->d->nodes);
  add_source(q, number, dn->answer->source);
  return dsl_leaf(q->a, number);
}

static Planning__LeafUse *use_of(arena *a, const stage_leaf *l) {
  Planning__LeafUse *use = ARENA_NEW(a, Planning__LeafUse, 1);
  planning__leaf_use__init(use);
  use->leaf = l->number;
  use->n_producers = l->n_producers;
  use->producers = ARENA_NEW(a, uint32_t, l->n_producers);
  for (size_t i = 0; i < l->n_producers; i++) use->producers[i] = l->producers[i]->number;
  return use;
}

static rc stage_plan(request *q, const stage *st, Planning__StagePlan **out) {
  Planning__StagePlan *p = *out = ARENA_NEW(q->a, Planning__StagePlan, 1);
  planning__stage_plan__init(p);
  q->st = st;
  const dsl_node *tree = dsl_replace(q->a, st->tree, source_leaf, q);
  TRY(q->outcome);
  TRY(describe_write(tree, q->header, q->a, &p->plan, q->e));
  p->n_leaves = st->n_leaves;
  p->leaves = ARENA_NEW(q->a, Planning__LeafUse *, st->n_leaves + 1);
  for (size_t i = 0; i < st->n_leaves; i++) p->leaves[i] = use_of(q->a, st->leaves[i]);
  const stage_output *o = &st->output;
  p->n_keys = o->range.data ? 1 : o->n_keys;
  p->keys = describe_binaries(q->a, o->range.data ? &o->range : o->keys, p->n_keys);
  return RC_OK;
}

static uint32_t leaves_in(const stage_graph *g) {
  uint32_t most = 0;
  for (size_t i = 0; i < g->n; i++)
    for (size_t k = 0; k < g->stages[i]->n_leaves; k++)
      if (g->stages[i]->leaves[k]->number >= most) most = g->stages[i]->leaves[k]->number + 1;
  return most;
}

rc stages_capture_request(const stage_graph *g, const described *d, const uint8_t header[79],
                          arena *a, Planning__CaptureRequest *out, err *e) {
  planning__capture_request__init(out);
  out->sources = ARENA_NEW(a, Planning__CapturedLeaf *, d->n + 1);
  out->stages = ARENA_NEW(a, Planning__StagePlan *, g->n + 1);
  request q = {
      .g = g, .d = d, .header = header, .a = a, .out = out, .n_leaves = leaves_in(g), .e = e};
  for (; out->n_stages < g->n; out->n_stages++)
    TRY(stage_plan(&q, g->stages[out->n_stages], &out->stages[out->n_stages]));
  return RC_OK;
}

/* ---- the answer ---- */

static plan_bytes copied(arena *a, ProtobufCBinaryData from) {
  uint8_t *to = ARENA_NEW(a, uint8_t, from.len + 1);
  if (from.len) memcpy(to, from.data, from.len);
  return (plan_bytes){to, from.len};
}

/* A limit counts the rows of a consumer's task, not those of one that feeds several. */
static const dsl_node *with_request(stage_graph *g, const Planning__CapturedStage *s,
                                    const stage *st, arena *a) {
  const dsl_node *tree = st->tree;
  bool divided = st->output.n_keys || st->output.range.data;
  g->fired[RULE_PUSHED_COLUMNS] += s->has_columns;
  g->fired[RULE_PUSHED_FILTER] += s->n_filters > 0;
  g->fired[RULE_PUSHED_LIMIT] += s->has_limit && !divided;
  for (size_t i = 0; i < s->n_filters; i++) tree = dsl_filter(a, copied(a, s->filters[i]), tree);
  if (s->has_limit && !divided) tree = dsl_slice(a, 0, s->limit, tree);
  if (!s->has_columns) return tree;
  plan_bytes *columns = ARENA_NEW(a, plan_bytes, s->n_columns + 1);
  for (size_t i = 0; i < s->n_columns; i++)
    columns[i] = expr_column(a, (expr_name){s->columns[i], strlen(s->columns[i])});
  return dsl_select(a, columns, s->n_columns, tree);
}

/* ---- leaves ---- */

static stage_leaf *leaf_of(const stage *st, uint32_t number) {
  for (size_t i = 0; i < st->n_leaves; i++)
    if (st->leaves[i]->number == number) return st->leaves[i];
  return NULL;
}

static const Planning__CapturedUse *use_in(const Planning__CapturedStage *s, uint32_t number) {
  for (size_t i = 0; i < s->n_leaves; i++)
    if (s->leaves[i]->leaf == number) return s->leaves[i];
  return NULL;
}

typedef struct wanted {
  const Planning__CapturedStage *stage;
  arena *a;
} wanted;

/* Above each leaf the select that gives it the columns which the plan names. */
static const dsl_node *with_columns(void *arg, const dsl_node *n) {
  const wanted *w = arg;
  uint32_t number;
  if (!dsl_is_leaf(n, &number)) return NULL;
  const Planning__CapturedUse *use = use_in(w->stage, number);
  if (!use->n_exprs) return n;
  plan_bytes *exprs = ARENA_NEW(w->a, plan_bytes, use->n_exprs);
  for (size_t i = 0; i < use->n_exprs; i++) exprs[i] = copied(w->a, use->exprs[i]);
  return dsl_select(w->a, exprs, use->n_exprs, n);
}

static rc take_leaves(stage *st, const Planning__CapturedStage *s, arena *a, err *e) {
  if (s->n_leaves != st->n_leaves)
    return ERR(e, RC_INVALID, "stage %u: expected what is wanted of %zu leaves, found %zu",
               st->number, st->n_leaves, s->n_leaves);
  for (size_t i = 0; i < s->n_leaves; i++) {
    stage_leaf *l = leaf_of(st, s->leaves[i]->leaf);
    if (!l || l->schema.data)
      return ERR(e, RC_INVALID, "stage %u has no leaf %u, or was told twice of it", st->number,
                 s->leaves[i]->leaf);
    l->schema = copied(a, s->leaves[i]->schema);
  }
  st->tree = dsl_replace(a, st->tree, with_columns, &(wanted){s, a});
  return RC_OK;
}

rc stages_take_capture(stage_graph *g, const Planning__CaptureResponse *response, arena *a,
                       err *e) {
  if (response->n_stages != g->n)
    return ERR(e, RC_INVALID, "expected what is pushed into %zu stages, found %zu", g->n,
               response->n_stages);
  for (size_t i = 0; i < g->n; i++) {
    const Planning__CapturedStage *s = response->stages[i];
    stage *st = g->stages[i];
    if (s->has_columns && !s->n_columns)
      return ERR(e, RC_INVALID, "stage %zu: nobody asks for any of its columns", i);
    TRY(take_leaves(st, s, a, e));
    if (st->final) continue;
    st->tree = with_request(g, s, st, a);
  }
  return RC_OK;
}
