/* plan/fuse.c: a stage taken into the one that reads it. SPDX-License-Identifier: Apache-2.0
 *
 * When so few rows are left that one task does for both, the second need not wait for the files of
 * the first: they become one plan, run by one task, which reads everything. */
#include "plan/stages.h"

bool stages_leaf_reads(const stage_leaf *l, const stage *producer) {
  for (size_t i = 0; i < l->n_producers; i++)
    if (l->producers[i] == producer) return true;
  return false;
}

bool stages_reads(const stage *st, const stage *producer) {
  for (size_t i = 0; i < st->n_leaves; i++)
    if (stages_leaf_reads(st->leaves[i], producer)) return true;
  return false;
}

stage *stages_only_reader(const stage_graph *g, const stage *producer) {
  stage *reader = NULL;
  for (size_t i = 0; i < g->n; i++)
    for (size_t k = 0; k < g->stages[i]->n_leaves; k++) {
      const stage_leaf *l = g->stages[i]->leaves[k];
      if (!stages_leaf_reads(l, producer)) continue;
      if (reader || l->n_producers > 1) return NULL;
      reader = g->stages[i];
    }
  return reader && reader->tasks != STAGE_SOURCE && producer->tasks != STAGE_SOURCE ? reader : NULL;
}

typedef struct fused {
  uint32_t leaf;
  const dsl_node *tree;
} fused;

static const dsl_node *with_tree(void *arg, const dsl_node *n) {
  const fused *f = arg;
  uint32_t number;
  return dsl_is_leaf(n, &number) && number == f->leaf ? f->tree : NULL;
}

void stages_fuse(stage *reader, stage *producer, arena *a) {
  stage_leaf **leaves = ARENA_NEW(a, stage_leaf *, reader->n_leaves + producer->n_leaves + 1);
  size_t n = 0;
  for (size_t i = 0; i < reader->n_leaves; i++) {
    stage_leaf *l = reader->leaves[i];
    if (stages_leaf_reads(l, producer))
      reader->tree = dsl_replace(a, reader->tree, with_tree, &(fused){l->number, producer->tree});
    else
      leaves[n++] = l;
  }
  for (size_t i = 0; i < producer->n_leaves; i++) leaves[n++] = producer->leaves[i];
  for (size_t i = 0; i < n; i++) leaves[i]->read = LEAF_ALL;
  reader->leaves = leaves;
  reader->n_leaves = n;
  reader->tasks = STAGE_ONE;
  reader->determinate &= producer->determinate;
  producer->n_leaves = 0;
  producer->within = reader;
}
