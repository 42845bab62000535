/* plan/revise.c: does what a stage has really written call for another plan?
 * SPDX-License-Identifier: Apache-2.0
 *
 * A side of a join that was thought small goes to every task, one that was thought large moves with
 * the other by hash. Here are the costs that decide, and when the real rows turn the decision. */
#include "plan/cut.h"

enum { MUCH = 2 }; /* a plan in use is only changed for this factor */

double cut_cost_everywhere(const stage_limits *limits, double rows) {
  return rows * (limits->partitions * 2.4 - 1.4);
}

bool cut_fits_everywhere(const stage_limits *limits, double rows) {
  return rows <= limits->broadcast_rows;
}

bool cut_pays_everywhere(const stage_limits *limits, double rows, double others) {
  return cut_fits_everywhere(limits, rows) && MUCH * cut_cost_everywhere(limits, rows) <= others;
}

double stages_partner_rows(const stage *reader, const stage *st) {
  double rows = 0;
  for (size_t i = 0; i < reader->n_leaves; i++)
    for (size_t k = 0; k < reader->leaves[i]->n_producers; k++) {
      const stage *other = reader->leaves[i]->producers[k];
      if (reader->leaves[i]->read == LEAF_PARTITION && other != st) rows += other->rows;
    }
  return rows;
}

static stage_surprise surprise_of(const stage *st, double rows, const stage_leaf *l, double others,
                                  const stage_limits *limits) {
  if (l->read == LEAF_BROADCAST && cut_fits_everywhere(limits, st->rows) &&
      !cut_fits_everywhere(limits, rows / MUCH))
    return SURPRISE_MANY;
  if (l->read == LEAF_PARTITION && st->output.n_keys &&
      !cut_pays_everywhere(limits, st->rows, others) && cut_pays_everywhere(limits, rows, others))
    return SURPRISE_FEW;
  return SURPRISE_NONE;
}

stage_surprise stages_surprise(const stage_graph *g, const stage *st, double rows,
                               const stage_limits *limits, const stage **reader) {
  stage_surprise found = SURPRISE_NONE;
  for (size_t i = 0; st->node && i < g->n && !found; i++) {
    *reader = g->stages[i];
    double others = stages_partner_rows(*reader, st);
    for (size_t k = 0; k < (*reader)->n_leaves && !found; k++)
      if (stages_leaf_reads((*reader)->leaves[k], st))
        found = surprise_of(st, rows, (*reader)->leaves[k], others, limits);
  }
  return found;
}
