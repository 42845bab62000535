/* plan/explain.c: a stage graph for people. SPDX-License-Identifier: Apache-2.0 */
#include "plan/stages.h"

#include <string.h>

static const char *const TASKS[] = {[STAGE_ONE] = "one task",
                                    [STAGE_SOURCE] = "a task for each part of its source",
                                    [STAGE_PARTITIONS] = "a task for each partition"};
static const char *const READS[] = {
    [LEAF_ALL] = "all of", [LEAF_BROADCAST] = "everywhere", [LEAF_PARTITION] = "its part of"};

/* Scan, or the stage that a leaf reads; then what stands above, innermost first. */
static void print_tree(const stage *st, const dsl_node *n, int depth, buf *out) {
  uint32_t number;
  buf_printf(out, "    %*s", depth * 2, "");
  if (dsl_is_leaf(n, &number)) {
    for (size_t i = 0; i < st->n_leaves; i++) {
      const stage_leaf *l = st->leaves[i];
      if (l->number != number) continue;
      buf_printf(out, "read %s stage", READS[l->read]);
      for (size_t p = 0; p < l->n_producers; p++)
        buf_printf(out, "%s%u", p ? ", " : " ", l->producers[p]->number);
    }
    buf_puts(out, "\n");
    return;
  }
  buf_printf(out, "%s%s\n", dsl_kind_name(n->kind), n == st->source_node ? " (split)" : "");
  for (size_t i = 0; i < dsl_n_inputs(n); i++) print_tree(st, dsl_input(n, i), depth + 1, out);
}

static void print_output(const stage *st, buf *out) {
  if (st->final)
    buf_puts(out, "the result");
  else if (st->output.n_keys)
    buf_printf(out, "partitions by hash of %zu %s%s", st->output.n_keys,
               st->output.n_keys == 1 ? "key" : "keys", st->output.ordered ? ", in order" : "");
  else if (st->output.range.data)
    buf_printf(out, "partitions by ranges%s", st->output.ordered ? ", in order" : "");
  else
    buf_printf(out, "one file%s", st->output.ordered ? ", in order" : "");
}

const char *plan_rule_text(plan_rule rule) {
  static const char *const TEXTS[] = {
#define X(rule, text) [RULE_##rule] = text,
      PLAN_RULES(X)
#undef X
  };
  return TEXTS[rule];
}

void stages_print_text(const stage_graph *g, buf *out) {
  for (size_t i = 0; i < g->n; i++) {
    const stage *st = g->stages[i];
    if (st->within) {
      buf_printf(out, "stage %u: few rows were left, it runs within stage %u\n", st->number,
                 st->within->number);
      continue;
    }
    buf_printf(out, "stage %u: %s\n  %s, writes ", st->number, st->why, TASKS[st->tasks]);
    print_output(st, out);
    buf_printf(out, "%s\n", st->determinate ? "" : "; not determinate");
    print_tree(st, st->tree, 0, out);
  }
}

void stages_print_dot(const stage_graph *g, buf *out) {
  buf_puts(out, "digraph stages {\n  rankdir=BT\n  node [shape=box]\n");
  for (size_t i = 0; i < g->n; i++) {
    const stage *st = g->stages[i];
    buf_printf(out, "  s%u [label=\"stage %u\\n%s\\n%s\"]\n", st->number, st->number, st->why,
               TASKS[st->tasks]);
    for (size_t k = 0; k < st->n_leaves; k++)
      for (size_t p = 0; p < st->leaves[k]->n_producers; p++)
        buf_printf(out, "  s%u -> s%u [label=\"%s\"]\n", st->leaves[k]->producers[p]->number,
                   st->number, READS[st->leaves[k]->read]);
  }
  buf_puts(out, "}\n");
}

/* ---- for Polars, which knows what the plans of the stages are ---- */

static Planning__Exchange written(const stage *st) {
  if (st->final) return PLANNING__EXCHANGE__EXCHANGE_NONE;
  if (st->output.n_keys) return PLANNING__EXCHANGE__EXCHANGE_HASH;
  return st->output.range.data ? PLANNING__EXCHANGE__EXCHANGE_RANGE
                               : PLANNING__EXCHANGE__EXCHANGE_LOCAL;
}

static Planning__Exchange read_by(const stage_leaf *l) {
  switch (l->read) {
  case LEAF_ALL:
    return PLANNING__EXCHANGE__EXCHANGE_SINGLE;
  case LEAF_BROADCAST:
    return PLANNING__EXCHANGE__EXCHANGE_BROADCAST;
  case LEAF_PARTITION:
    break;
  }
  return written(l->producers[0]);
}

static Planning__ExplainedLeaf *explained_leaf(arena *a, const stage_leaf *l) {
  Planning__ExplainedLeaf *out = ARENA_NEW(a, Planning__ExplainedLeaf, 1);
  planning__explained_leaf__init(out);
  out->leaf = l->number;
  out->schema = describe_binary(l->schema);
  out->read = read_by(l);
  out->n_producers = l->n_producers;
  out->producers = ARENA_NEW(a, uint32_t, l->n_producers);
  for (size_t i = 0; i < l->n_producers; i++) out->producers[i] = l->producers[i]->number;
  return out;
}

static Planning__ExplainedStage *explained_stage(arena *a, const stage *st) {
  Planning__ExplainedStage *out = ARENA_NEW(a, Planning__ExplainedStage, 1);
  planning__explained_stage__init(out);
  out->number = st->number;
  if (st->why) out->why = arena_printf(a, "%s", st->why);
  out->leaves = ARENA_NEW(a, Planning__ExplainedLeaf *, st->n_leaves + 1);
  for (; out->n_leaves < st->n_leaves; out->n_leaves++)
    out->leaves[out->n_leaves] = explained_leaf(a, st->leaves[out->n_leaves]);
  out->output = written(st);
  out->n_keys = st->output.n_keys;
  out->keys = describe_binaries(a, st->output.keys, st->output.n_keys);
  return out;
}

void stages_explain_request(const stage_graph *g, arena *a, Planning__ExplainRequest *out) {
  out->stages = ARENA_NEW(a, Planning__ExplainedStage *, g->n + 1);
  for (size_t i = 0; i < g->n; i++)
    if (!g->stages[i]->within) out->stages[out->n_stages++] = explained_stage(a, g->stages[i]);
}
