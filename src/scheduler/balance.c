/* scheduler/balance.c: which partitions each task of a stage reads, by what they weigh.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Small partitions share a task, one that is skewed has several. */
#include "scheduler/internal.h"

typedef struct weights { /* of each partition */
  uint64_t *bytes, total, *divisible_bytes;
  uint32_t *divisible_files;
  bool divisible; /* the leaf that is weighed */
} weights;

static void weigh(void *arg, const step_task *writer, const step_file *file, uint32_t partition) {
  (void)writer;
  weights *w = arg;
  w->bytes[partition] += file->bytes;
  w->total += file->bytes;
  if (!w->divisible) return;
  w->divisible_bytes[partition] += file->bytes;
  w->divisible_files[partition]++;
}

/* Contiguous ranges of about the same weight, none of them empty: tasks ≤ partitions. */
static void divide(const weights *w, uint32_t partitions, step_task *tasks, uint32_t n_tasks) {
  uint32_t at = 0;
  uint64_t sum = 0;
  for (uint32_t i = 0; i < n_tasks; i++) {
    uint32_t last = partitions - (n_tasks - i - 1); /* the others have at least one each */
    uint64_t goal = w->total / n_tasks * (i + 1);
    tasks[i].first_partition = at;
    do sum += w->bytes[at++];
    while (at < last && (i + 1 == n_tasks || sum + w->bytes[at] / 2 <= goal));
    tasks[i].n_partitions = at - tasks[i].first_partition;
  }
}

/* A partition where one side has more than twice a task's share of the bytes, because one key has
 * so many rows, goes to several tasks, as many as it has files at most. */
static uint32_t shares_of(const weights *w, const step_task *t, uint32_t n_tasks) {
  uint64_t bytes = w->divisible_bytes[t->first_partition], goal = w->total / n_tasks;
  uint32_t files = w->divisible_files[t->first_partition];
  if (t->n_partitions != 1 || n_tasks < 2 || files < 2 || bytes <= 2 * goal) return 1;
  uint64_t wanted = (bytes + goal) / (goal + 1);
  return wanted < files ? (uint32_t)wanted : files;
}

static step *add_shares(execution *x, spool *plan, const weights *w, const step_task *tasks,
                        uint32_t n_tasks) {
  uint32_t n = 0, at = 0;
  for (uint32_t i = 0; i < n_tasks; i++) n += shares_of(w, &tasks[i], n_tasks);
  step *added = steps_add(x, STEP_STAGE, plan, n);
  for (uint32_t i = 0; i < n_tasks; i++) {
    uint32_t shares = shares_of(w, &tasks[i], n_tasks);
    added->n_skewed += shares > 1;
    for (uint32_t k = 0; k < shares; k++, at++) {
      added->tasks[at] = tasks[i];
      if (shares > 1) added->tasks[at].share = k, added->tasks[at].n_shares = shares;
    }
  }
  return added;
}

/* Leaves that are read by partition have the same partitions: the stage relies on it. */
step *balance_partitions(execution *x, const stage *st, spool *plan) {
  step probe = {.execution = x, .stage = st};
  uint32_t partitions = 1;
  for (size_t i = 0; i < st->n_leaves; i++) {
    uint32_t n =
        st->leaves[i]->read == LEAF_PARTITION ? steps_count_partitions(&probe, st->leaves[i]) : 0;
    if (n > partitions) partitions = n;
  }
  weights w = {.bytes = ARENA_NEW(&x->arena, uint64_t, partitions),
               .divisible_bytes = ARENA_NEW(&x->arena, uint64_t, partitions),
               .divisible_files = ARENA_NEW(&x->arena, uint32_t, partitions)};
  for (size_t i = 0; i < st->n_leaves; i++) {
    w.divisible = st->leaves[i]->divisible;
    if (st->leaves[i]->read == LEAF_PARTITION) steps_each_file(&probe, st->leaves[i], weigh, &w);
  }
  uint32_t n_tasks = steps_worth(x, w.total, partitions);
  step_task *tasks = ARENA_NEW(&x->arena, step_task, n_tasks);
  divide(&w, partitions, tasks, n_tasks);
  return add_shares(x, plan, &w, tasks, n_tasks);
}
