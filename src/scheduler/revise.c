/* scheduler/revise.c: is what a stage has written so far from what was guessed that the query
 * should be planned again? SPDX-License-Identifier: Apache-2.0
 *
 * A new plan starts from the sources, so it must spare more than is thrown away. At most
 * PLANNING_MAX_REVISIONS times for a query, and never when a part of its result was begun. */
#include "scheduler/internal.h"

static double rows_of(const step *st) {
  double rows = 0;
  for (uint32_t i = 0; i < st->n_tasks; i++) rows += (double)st->tasks[i].rows;
  return rows;
}

static bool is_counted(const step *run) {
  return run && run->finished && run->kind == STEP_STAGE && run->stage->node;
}

static double rows_written(const execution *x) {
  double rows = 0;
  for (size_t i = 0; i < x->planning->graph.n; i++)
    if (x->stages[i] && x->stages[i]->finished) rows += rows_of(x->stages[i]);
  return rows;
}

static bool has_ended_tasks(const step *run) {
  for (uint32_t i = 0; run && i < run->n_tasks; i++)
    if (run->tasks[i].done) return true;
  return false;
}

/* What moves with the rows of `st` can still be spared, and is more than there is. */
static bool pays(const execution *x, const stage *reader, const stage *st) {
  for (size_t i = 0; i < reader->n_leaves; i++)
    for (size_t k = 0; k < reader->leaves[i]->n_producers; k++) {
      const stage *other = reader->leaves[i]->producers[k];
      if (other != st && has_ended_tasks(x->stages[other->number])) return false;
    }
  return rows_written(x) < stages_partner_rows(reader, st);
}

bool revise_is_due(execution *x, const step *finished) {
  planning *p = x->planning;
  if (!is_counted(finished) || x->n_parts || x->working) return false;
  if (p->n_revisions == PLANNING_MAX_REVISIONS) return false;
  const stage *st = finished->stage, *reader;
  double rows = rows_of(finished);
  stage_surprise surprise = stages_surprise(&p->graph, st, rows, &p->limits, &reader);
  if (!surprise || (surprise == SURPRISE_FEW && !pays(x, reader, st))) return false;
  for (size_t i = 0; i < p->graph.n; i++)
    if (is_counted(x->stages[i]))
      describe_count(&p->described, x->stages[i]->stage->node, rows_of(x->stages[i]));
  const char *why = arena_printf(&x->arena, "stage %u was thought to have %.0f rows and has %.0f",
                                 st->number, st->rows, rows);
  x->revisions[x->n_revised] = why;
  return true;
}
