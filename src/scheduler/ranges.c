/* scheduler/ranges.c: an exchange by ranges of a key, whose borders nobody knows beforehand.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The stage is run first and writes one file for each task. If these are few bytes, one task reads
 * them all. Else one task finds boundaries that cut the rows into parts of about the same size
 * (BOUNDARIES), and each file is written again, divided at them (DIVIDE); what is read in the end
 * are those files. Both read the files through leaf 0 of planning.leaf. */
#include "scheduler/internal.h"

static step *add(step_kind kind, step *written, uint32_t n_tasks) {
  execution *x = written->execution;
  step *st = steps_add(x, kind, x->planning->leaf, n_tasks);
  st->stage = written->stage;
  st->divided = written;
  return st;
}

static step *add_division(step *boundaries, step *written) {
  uint32_t n = 0; /* tasks that have written anything */
  for (uint32_t i = 0; i < written->n_tasks; i++) n += written->tasks[i].n_files > 0;
  step *st = add(STEP_DIVIDE, written, n);
  for (uint32_t i = 0, k = 0; i < written->n_tasks; i++)
    if (written->tasks[i].n_files) st->tasks[k++].divided = &written->tasks[i];
  const step_task *found = &boundaries->tasks[0];
  st->boundaries = found->boundaries;
  st->partitions = (uint32_t)found->n_boundaries + 1;
  return st;
}

step *ranges_next(step *finished) {
  execution *x = finished->execution;
  step *written = finished->divided ? finished->divided : finished;
  step **read = &x->stages[finished->stage->number];
  if (!finished->stage->output.range.data || finished->kind == STEP_DIVIDE) return NULL;
  uint32_t parts = steps_worth(x, steps_bytes(written), x->partitions);
  if (finished->kind == STEP_STAGE && parts > 1) {
    *read = add(STEP_BOUNDARIES, written, 1);
    (*read)->partitions = parts;
  } else if (finished->kind == STEP_BOUNDARIES && finished->tasks[0].n_boundaries) {
    *read = add_division(finished, written);
  } else {
    *read = written;
    return NULL;
  }
  return *read;
}
