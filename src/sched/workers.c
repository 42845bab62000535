/* sched/workers.c: see workers.h. SPDX-License-Identifier: Apache-2.0 */
#include "sched/workers.h"

#include "base/mem.h"
#include "sched/sched_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t name_len(const char *instance_id) {
  return strnlen(instance_id, WORKER_NAME_MAX);
}

sched_worker *sched_workers_find(const sched *s, const char *instance_id) {
  return map_get(&s->workers, instance_id, name_len(instance_id));
}

sched_worker *sched_workers_add(sched *s, const char *instance_id) {
  sched_worker *w = NEW(sched_worker);
  memcpy(w->instance_id, instance_id, name_len(instance_id));
  w->number = ++s->n_joined;
  list_init(&w->attempts);
  list_init(&w->offers);
  list_init(&w->members);
  list_init(&w->preferred_by);
  map_put(&s->workers, w->instance_id, strlen(w->instance_id), w);
  if (s->workers.len >= s->config.min_workers) s->enough_joined = true;
  return w;
}

void sched_workers_set_spec(sched_worker *w, const sched_worker_spec *spec) {
  assert(list_empty(&w->attempts) && list_empty(&w->offers));
  free(w->incarnation);
  free(w->runtimes);
  w->incarnation = mem_strdup(spec->incarnation);
  w->slots = spec->slots;
  w->blamed = false;
  w->n_runtimes = spec->n_runtimes;
  w->runtimes = mem_new(spec->n_runtimes * sizeof *w->runtimes);
  if (spec->n_runtimes) memcpy(w->runtimes, spec->runtimes, spec->n_runtimes * sizeof *w->runtimes);
}

void sched_workers_seen(sched *s, sched_worker *w) {
  w->last_seen_ms = s->now_ms;
  list_remove(&w->on_seen);
  list_push_back(&s->seen, &w->on_seen);
  if (!w->suspect) return;
  w->suspect = false;
  placement_worker_changed(s, w);
}

void sched_workers_set_suspect(sched *s, sched_worker *w) {
  w->suspect = true;
  placement_worker_changed(s, w);
}

void sched_workers_set_blamed(sched *s, sched_worker *w, bool blamed) {
  if (w->blamed == blamed) return;
  w->blamed = blamed;
  placement_worker_changed(s, w);
}

void sched_workers_count_busy(sched *s, sched_worker *w, int change) {
  w->busy += (uint32_t)change;
  placement_worker_changed(s, w);
}

static void free_worker(sched_worker *w) {
  free(w->incarnation);
  free(w->runtimes);
  free(w);
}

void sched_workers_remove(sched *s, sched_worker *w) {
  assert(list_empty(&w->attempts) && list_empty(&w->offers));
  list_remove(&w->on_seen);
  map_remove(&s->workers, w->instance_id, strlen(w->instance_id));
  free_worker(w);
}

void sched_workers_free_all(sched *s) {
  size_t at = 0;
  for (void *w; map_each(&s->workers, &at, &w);) free_worker(w);
  map_deinit(&s->workers);
}
