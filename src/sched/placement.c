/* sched/placement.c: see placement.h. SPDX-License-Identifier: Apache-2.0 */
#include "sched/placement.h"

#include "base/mem.h"
#include "sched/sched_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sched_task *task_of(const heap_node *node) {
  return HEAP_ENTRY(node, sched_task, in_queue);
}
static sched_offer *offer_of(const heap_node *node) {
  return HEAP_ENTRY(node, sched_offer, free);
}

static bool task_node_before(const heap_node *a, const heap_node *b) {
  return sched_task_before(task_of(a), task_of(b));
}

/* Blameless first; then spread: the smaller part of its slots busy, then idle for longest. */
static bool offer_before(const heap_node *a, const heap_node *b) {
  const sched_worker *x = offer_of(a)->worker, *y = offer_of(b)->worker;
  if (x->blamed != y->blamed) return y->blamed;
  uint64_t busy_x = (uint64_t)x->busy * y->slots, busy_y = (uint64_t)y->busy * x->slots;
  if (busy_x != busy_y) return busy_x < busy_y;
  if (x->last_start != y->last_start) return x->last_start < y->last_start;
  return x->number < y->number;
}

static bool need_before(const heap_node *a, const heap_node *b) {
  return task_node_before(heap_first(&HEAP_ENTRY(a, sched_need, runnable)->waiting),
                          heap_first(&HEAP_ENTRY(b, sched_need, runnable)->waiting));
}

void placement_init(sched *s) {
  s->runnable.before = need_before;
}

/* ---- needs and offers --------------------------------------------------------------------- */

bool sched_need_fits(const sched_need_key *key, const sched_runtime *r) {
  if (memcmp(key->plan_header, r->plan_header, sizeof key->plan_header) != 0) return false;
  if (key->python_minor < 0) return true;
  int minor = -1, micro = -1;
  sscanf(r->python_version, "%*d.%d.%d", &minor, &micro);
  return minor == key->python_minor && (key->python_micro < 0 || micro == key->python_micro);
}

sched_need_key sched_need_key_of(const sched_query_spec *spec) {
  sched_need_key key = {.python_minor = -1, .python_micro = -1};
  memcpy(key.plan_header, spec->plan_header, sizeof key.plan_header);
  if (spec->python_minor >= 0) key.python_minor = spec->python_minor;
  if (spec->python_minor >= 0 && spec->python_micro >= 0) key.python_micro = spec->python_micro;
  return key;
}

/* After a change of n->waiting or n->free. */
static void need_changed(sched *s, sched_need *n) {
  if (n->waiting.len && n->free.len)
    heap_put(&s->runnable, &n->runnable);
  else
    heap_remove(&s->runnable, &n->runnable);
}

static void offer_changed(sched *s, sched_offer *o) {
  sched_need *n = o->need;
  const sched_worker *w = o->worker;
  bool was_free = o->free.place, is_free = !w->suspect && w->busy < w->slots;
  if (is_free)
    heap_put(&n->free, &o->free);
  else
    heap_remove(&n->free, &o->free);
  if (is_free && !was_free)
    LIST_EACH (&n->parked, it, tmp) {
      sched_task *t = LIST_ENTRY(it, sched_task, on_parked);
      if (t->avoid != w->number) placement_unpark(s, t);
    }
  need_changed(s, n);
}

static void offer_add(sched *s, sched_need *n, sched_worker *w) {
  bool fits = false;
  for (size_t i = 0; i < w->n_runtimes && !fits; i++)
    fits = sched_need_fits(&n->key, &w->runtimes[i]);
  if (!fits) return;
  sched_offer *o = NEW(sched_offer);
  o->need = n;
  o->worker = w;
  list_push_back(&n->offers, &o->on_need);
  list_push_back(&w->offers, &o->on_worker);
  n->n_offers++;
  offer_changed(s, o);
}

/* What is parked may have lost its elsewhere. */
static void offer_drop(sched *s, sched_offer *o) {
  sched_need *n = o->need;
  heap_remove(&n->free, &o->free);
  list_remove(&o->on_need);
  list_remove(&o->on_worker);
  n->n_offers--;
  LIST_EACH (&n->parked, it, tmp) placement_unpark(s, LIST_ENTRY(it, sched_task, on_parked));
  need_changed(s, n);
  free(o);
}

sched_need *sched_need_get(sched *s, const sched_need_key *key) {
  sched_need *n = map_get(&s->needs, key, sizeof *key);
  if (n) return n;
  n = NEW(sched_need);
  n->key = *key;
  n->waiting.before = task_node_before;
  n->free.before = offer_before;
  list_init(&n->offers);
  list_init(&n->parked);
  map_put(&s->needs, key, sizeof *key, n);
  LIST_EACH (&s->seen, it, tmp) offer_add(s, n, LIST_ENTRY(it, sched_worker, on_seen));
  return n;
}

static void need_free(sched_need *n) {
  heap_deinit(&n->waiting);
  heap_deinit(&n->free);
  free(n);
}

void sched_need_drop_if_idle(sched *s, sched_need *n) {
  if (n->n_queries || n->n_offers) return;
  map_remove(&s->needs, &n->key, sizeof n->key);
  need_free(n);
}

void placement_free_all(sched *s) {
  size_t at = 0;
  for (void *value; map_each(&s->needs, &at, &value);) {
    sched_need *n = value;
    LIST_EACH (&n->offers, it, tmp) free(LIST_ENTRY(it, sched_offer, on_need));
    need_free(n);
  }
  map_deinit(&s->needs);
  heap_deinit(&s->runnable);
}

void placement_capacity(const sched_query *q, uint32_t *workers, uint32_t *slots) {
  LIST_EACH (&q->need->offers, it, tmp) {
    const sched_worker *w = LIST_ENTRY(it, sched_offer, on_need)->worker;
    if (w->suspect) continue;
    ++*workers;
    *slots += w->slots;
  }
}

/* ---- workers come, change and go ---------------------------------------------------------- */

void placement_worker_joined(sched *s, sched_worker *w) {
  size_t at = 0;
  for (void *n; map_each(&s->needs, &at, &n);) offer_add(s, n, w);
}

void placement_worker_changed(sched *s, sched_worker *w) {
  LIST_EACH (&w->offers, it, tmp) offer_changed(s, LIST_ENTRY(it, sched_offer, on_worker));
}

void placement_worker_gone(sched *s, sched_worker *w) {
  LIST_EACH (&w->offers, it, tmp) {
    sched_offer *o = LIST_ENTRY(it, sched_offer, on_worker);
    sched_need *n = o->need;
    offer_drop(s, o);
    sched_need_drop_if_idle(s, n);
  }
}

/* ---- the queue ---------------------------------------------------------------------------- */

void placement_enqueue(sched *s, sched_task *t) {
  sched_need *n = t->stage->query->need;
  heap_put(&n->waiting, &t->in_queue);
  need_changed(s, n);
}

void placement_dequeue(sched *s, sched_task *t) {
  sched_need *n = t->stage->query->need;
  heap_remove(&n->waiting, &t->in_queue);
  list_remove(&t->on_parked);
  need_changed(s, n);
}

static void park(sched *s, sched_task *t) {
  placement_dequeue(s, t);
  list_push_back(&t->stage->query->need->parked, &t->on_parked);
}

void placement_unpark(sched *s, sched_task *t) {
  if (t->state != TASK_QUEUED || t->in_queue.place) return;
  list_remove(&t->on_parked);
  placement_enqueue(s, t);
}

/* NULL: only the worker that lost it is free, and there is an elsewhere to wait for. */
static sched_worker *best_worker(const sched_need *n, const sched_task *t) {
  const sched_offer *first = offer_of(heap_first(&n->free));
  if (first->worker->number != t->avoid) return first->worker;
  const heap_node *second = heap_second(&n->free);
  if (second) return offer_of(second)->worker;
  return n->n_offers > 1 ? NULL : first->worker;
}

static void start(sched *s, sched_task *t, sched_worker *w) {
  sched_attempt *a = sched_attempt_new(s, w);
  sched_must(sched_task_apply(s, t, TASK_ON_START, a));
  sched_must(sched_stage_apply(t->stage, STAGE_ON_START));
  sched_must(sched_query_apply(s, t->stage->query, QUERY_ON_START));
  sched_emit_attempt(s, SCHED_START, t);
}

/* Each turn takes a task out of a queue, so it ends. */
void placement_run(sched *s) {
  if (!s->enough_joined) return;
  for (heap_node *next; (next = heap_first(&s->runnable));) {
    sched_need *n = HEAP_ENTRY(next, sched_need, runnable);
    sched_task *t = task_of(heap_first(&n->waiting));
    sched_worker *w = best_worker(n, t);
    if (w)
      start(s, t, w);
    else
      park(s, t);
  }
}
