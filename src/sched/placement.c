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
static sched_query *query_of(const heap_node *node) {
  return HEAP_ENTRY(node, sched_query, in_queue);
}
static sched_worker *worker_of(const heap_node *node) {
  return HEAP_ENTRY(node, sched_place, free)->worker;
}

static bool query_before(const heap_node *a, const heap_node *b) {
  return sched_query_before(query_of(a), query_of(b));
}

static bool task_before(const heap_node *a, const heap_node *b) {
  return sched_task_before(task_of(a), task_of(b));
}

static bool gathers_before(const heap_node *a, const heap_node *b) {
  const sched_query *x = HEAP_ENTRY(a, sched_query, on_gathering),
                    *y = HEAP_ENTRY(b, sched_query, on_gathering);
  return x->min_workers != y->min_workers ? x->min_workers < y->min_workers : x->order < y->order;
}

/* Blameless first; then spread: the smaller part of its slots busy, then idle for longest. */
static bool place_before(const heap_node *a, const heap_node *b) {
  const sched_worker *x = worker_of(a), *y = worker_of(b);
  if (x->blamed != y->blamed) return y->blamed;
  uint64_t busy_x = (uint64_t)x->busy * y->slots, busy_y = (uint64_t)y->busy * x->slots;
  if (busy_x != busy_y) return busy_x < busy_y;
  if (x->last_start != y->last_start) return x->last_start < y->last_start;
  return x->number < y->number;
}

static bool need_before(const heap_node *a, const heap_node *b) {
  return query_before(heap_first(&HEAP_ENTRY(a, sched_need, runnable)->waiting),
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

bool sched_query_is_full(const sched_query *q) {
  return q->max_workers && q->n_members >= q->max_workers;
}

/* Held, it may still begin a task again: others may wait for that one. */
bool placement_query_waits(const sched_query *q) {
  return q->waiting.len && (!q->held || task_of(heap_first(&q->waiting))->attempts) &&
         !q->on_gathering.place && (!sched_query_is_full(q) || q->free.len);
}

/* After a change of its place in the order, its waiting tasks or its members. */
static void query_changed(sched *s, sched_query *q) {
  if (placement_query_waits(q))
    heap_put(&q->need->waiting, &q->in_queue);
  else
    heap_remove(&q->need->waiting, &q->in_queue);
  need_changed(s, q->need);
}

bool sched_worker_is_free(const sched_worker *w) {
  return !w->suspect && w->busy < w->slots;
}

static void place_changed(heap *of_free, sched_place *p) {
  if (sched_worker_is_free(p->worker))
    heap_put(of_free, &p->free);
  else
    heap_remove(of_free, &p->free);
}

static void offer_changed(sched *s, sched_offer *o) {
  sched_need *n = o->need;
  bool was_free = o->place.free.place;
  place_changed(&n->free, &o->place);
  if (o->place.free.place && !was_free)
    LIST_EACH (&n->parked, it, tmp) {
      sched_task *t = LIST_ENTRY(it, sched_task, on_parked);
      if (t->avoid != o->place.worker->number) placement_unpark(s, t);
    }
  need_changed(s, n);
}

/* Each turn takes a query out, so it ends. */
static void gathered(sched *s, sched_need *n) {
  for (heap_node *first; (first = heap_first(&n->gathering));) {
    sched_query *q = HEAP_ENTRY(first, sched_query, on_gathering);
    if (q->min_workers > n->n_offers) return;
    heap_remove(&n->gathering, first);
    query_changed(s, q);
  }
}

static void offer_add(sched *s, sched_need *n, sched_worker *w) {
  bool fits = false;
  for (size_t i = 0; i < w->n_runtimes && !fits; i++)
    fits = sched_need_fits(&n->key, &w->runtimes[i]);
  if (!fits) return;
  sched_offer *o = NEW(sched_offer);
  o->need = n;
  o->place.worker = w;
  list_push_back(&n->offers, &o->on_need);
  list_push_back(&w->offers, &o->on_worker);
  n->n_offers++;
  offer_changed(s, o);
  gathered(s, n);
}

/* What is parked may have lost its elsewhere. */
static void offer_drop(sched *s, sched_offer *o) {
  sched_need *n = o->need;
  heap_remove(&n->free, &o->place.free);
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
  n->waiting.before = query_before;
  n->gathering.before = gathers_before;
  n->free.before = place_before;
  list_init(&n->offers);
  list_init(&n->parked);
  map_put(&s->needs, key, sizeof *key, n);
  LIST_EACH (&s->seen, it, tmp) offer_add(s, n, LIST_ENTRY(it, sched_worker, on_seen));
  return n;
}

static void need_free(sched_need *n) {
  heap_deinit(&n->waiting);
  heap_deinit(&n->gathering);
  heap_deinit(&n->free);
  free(n);
}

void sched_need_drop_if_idle(sched *s, sched_need *n) {
  if (n->n_queries || n->n_offers) return;
  map_remove(&s->needs, &n->key, sizeof n->key);
  need_free(n);
}

static void free_members(sched_worker *w) {
  LIST_EACH (&w->members, it, tmp) free(LIST_ENTRY(it, sched_member, on_worker));
}

void placement_free_all(sched *s) {
  size_t at = 0;
  for (void *value; map_each(&s->needs, &at, &value);) {
    sched_need *n = value;
    LIST_EACH (&n->offers, it, tmp) free(LIST_ENTRY(it, sched_offer, on_need));
    need_free(n);
  }
  at = 0;
  for (void *w; map_each(&s->workers, &at, &w);) free_members(w);
  map_deinit(&s->needs);
  heap_deinit(&s->runnable);
}

void placement_hold(sched *s, sched_query *q, bool held) {
  q->held = held;
  query_changed(s, q);
}

/* ---- queries and their workers ------------------------------------------------------------ */

void placement_query_came(sched *s, sched_query *q, sched_need *n) {
  q->need = n;
  n->n_queries++;
  q->turn = s->n_started;
  q->waiting.before = task_before;
  q->free.before = place_before;
  if (q->min_workers > n->n_offers) heap_put(&n->gathering, &q->on_gathering);
}

void placement_query_ended(sched *s, sched_query *q) {
  sched_need *n = q->need;
  heap_remove(&n->gathering, &q->on_gathering);
  q->need = NULL;
  n->n_queries--;
  sched_need_drop_if_idle(s, n);
}

sched_member *sched_member_of(const sched_query *q, const sched_worker *w) {
  LIST_EACH (&w->members, it, tmp) {
    sched_member *m = LIST_ENTRY(it, sched_member, on_worker);
    if (m->query == q) return m;
  }
  return NULL;
}

static sched_member *add_member(sched_query *q, sched_worker *w) {
  sched_member *m = NEW(sched_member);
  m->query = q;
  m->place.worker = w;
  list_push_back(&w->members, &m->on_worker);
  q->n_members++;
  place_changed(&q->free, &m->place);
  return m;
}

static void drop_member(sched_member *m) {
  heap_remove(&m->query->free, &m->place.free);
  list_remove(&m->on_worker);
  m->query->n_members--;
  free(m);
}

void placement_task_began(sched *s, sched_task *t) {
  sched_query *q = t->stage->query;
  q->n_running++;
  q->turn = s->n_started;
  if (q->max_workers) {
    sched_member *m = sched_member_of(q, t->current->worker);
    if (!m) m = add_member(q, t->current->worker);
    m->n_tasks++;
  }
  query_changed(s, q);
}

void placement_task_over(sched *s, sched_task *t) {
  sched_query *q = t->stage->query;
  q->n_running--;
  if (q->max_workers) {
    sched_member *m = sched_member_of(q, t->current->worker);
    if (--m->n_tasks == 0) drop_member(m);
  }
  query_changed(s, q);
}

/* With max_workers the slots are those of the largest worker so often: exact when all are alike. */
void placement_capacity(const sched_query *q, uint32_t *workers, uint32_t *slots) {
  uint64_t all = 0, largest = 0;
  *workers = 0;
  LIST_EACH (&q->need->offers, it, tmp) {
    const sched_worker *w = LIST_ENTRY(it, sched_offer, on_need)->place.worker;
    if (w->suspect) continue;
    ++*workers;
    all += w->slots;
    if (w->slots > largest) largest = w->slots;
  }
  if (q->max_workers && q->max_workers < *workers) {
    *workers = q->max_workers;
    if (largest * *workers < all) all = largest * *workers;
  }
  *slots = all < UINT32_MAX ? (uint32_t)all : UINT32_MAX;
}

/* ---- workers come, change and go ---------------------------------------------------------- */

void placement_worker_joined(sched *s, sched_worker *w) {
  size_t at = 0;
  for (void *n; map_each(&s->needs, &at, &n);) offer_add(s, n, w);
}

void placement_worker_changed(sched *s, sched_worker *w) {
  LIST_EACH (&w->offers, it, tmp) offer_changed(s, LIST_ENTRY(it, sched_offer, on_worker));
  LIST_EACH (&w->members, it, tmp) {
    sched_member *m = LIST_ENTRY(it, sched_member, on_worker);
    place_changed(&m->query->free, &m->place);
    query_changed(s, m->query);
  }
}

void placement_worker_gone(sched *s, sched_worker *w) {
  LIST_EACH (&w->offers, it, tmp) {
    sched_offer *o = LIST_ENTRY(it, sched_offer, on_worker);
    sched_need *n = o->need;
    offer_drop(s, o);
    sched_need_drop_if_idle(s, n);
  }
  LIST_EACH (&w->preferred_by, it, tmp)
    placement_prefer(LIST_ENTRY(it, sched_task, on_prefer), NULL);
}

/* ---- the queue ---------------------------------------------------------------------------- */

void placement_enqueue(sched *s, sched_task *t) {
  sched_query *q = t->stage->query;
  heap_put(&q->waiting, &t->in_queue);
  query_changed(s, q);
}

void placement_dequeue(sched *s, sched_task *t) {
  sched_query *q = t->stage->query;
  heap_remove(&q->waiting, &t->in_queue);
  list_remove(&t->on_parked);
  query_changed(s, q);
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

void placement_prefer(sched_task *t, sched_worker *w) {
  list_remove(&t->on_prefer);
  t->prefer = w;
  if (w) list_push_back(&w->preferred_by, &t->on_prefer);
}

static bool fits(const sched_worker *w, const sched_need *n) {
  LIST_EACH (&w->offers, it, tmp)
    if (LIST_ENTRY(it, sched_offer, on_worker)->need == n) return true;
  return false;
}

/* A worker that fails everything is not preferred, nor one that has just lost the task. */
static bool can_go_where_it_prefers(const sched_query *q, const sched_task *t) {
  const sched_worker *w = t->prefer;
  return w && sched_worker_is_free(w) && !w->blamed && w->number != t->avoid && fits(w, q->need) &&
         (!sched_query_is_full(q) || sched_member_of(q, w));
}

static bool waits_for_its_own(const sched_query *q, const sched_task *t) {
  return t->stage->pinned && t->prefer && fits(t->prefer, q->need) &&
         (!sched_query_is_full(q) || sched_member_of(q, t->prefer));
}

/* NULL: only the worker that lost it is free, and there is an elsewhere to wait for (a query that
 * has max_workers has no elsewhere); or it waits for its own. */
static sched_worker *best_worker(const sched_query *q, const sched_task *t) {
  if (waits_for_its_own(q, t)) return sched_worker_is_free(t->prefer) ? t->prefer : NULL;
  if (can_go_where_it_prefers(q, t)) return t->prefer;
  bool full = sched_query_is_full(q);
  const heap *from = full ? &q->free : &q->need->free;
  sched_worker *first = worker_of(heap_first(from));
  if (first->number != t->avoid) return first;
  const heap_node *second = heap_second(from);
  if (second) return worker_of(second);
  return q->need->n_offers > 1 && !full ? NULL : first;
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
    sched_query *q = query_of(heap_first(&n->waiting));
    sched_task *t = task_of(heap_first(&q->waiting));
    sched_worker *w = best_worker(q, t);
    if (w)
      start(s, t, w);
    else
      park(s, t);
  }
}
