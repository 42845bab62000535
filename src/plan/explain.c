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
