/* scheduler/shuffle.c: tells workers which files nobody will read any more.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sent once and not repeated: a worker that does not hear it hears of the query's end by one of its
 * next heartbeats. */
#include "base/log.h"
#include "base/mem.h"
#include "scheduler/internal.h"

#include <stdlib.h>
#include <string.h>

enum { DEADLINE_MS = 10000 };

typedef struct drop {
  char folder[ID_TEXT_LEN + 1], worker[128];
} drop;

static void on_done(void *arg, rc code, const char *text) {
  drop *d = arg;
  if (code != RC_OK && code != RC_CANCELLED)
    LOG_WARN("files of a query were not deleted", "folder", d->folder, "worker", d->worker, "error",
             text);
  free(d);
}

/* What stands in one folder of one life of a worker. */
typedef struct place {
  const char *instance_id, *incarnation, *folder;
} place;

/* NULL: the worker has another life, or we are stopping. */
static const peer *find_peer(const scheduler *s, const place *at) {
  const peer *p = map_get(&s->peers, at->instance_id, strlen(at->instance_id));
  return p && p->channel && !strcmp(p->incarnation, at->incarnation) ? p : NULL;
}

static void send_request(const peer *to, const Cluster__DropShuffleRequest *m) {
  drop *d = NEW(drop);
  snprintf(d->folder, sizeof d->folder, "%s", m->query_id);
  snprintf(d->worker, sizeof d->worker, "%s", to->instance_id);
  size_t len = cluster__drop_shuffle_request__get_packed_size(m);
  uint8_t *packed = mem_new(len);
  grpc_request_spec spec = {
      .path = "/cluster.Tasks/DropShuffle",
      .deadline_ms = DEADLINE_MS,
      .head = packed,
      .head_len = cluster__drop_shuffle_request__pack(m, packed),
      .arg = d,
      .on_done = on_done,
  };
  grpc_channel_call(to->channel, &spec);
  free(packed);
}

static void send_drop(const scheduler *s, const place *at, char **attempts, size_t n) {
  const peer *p = find_peer(s, at);
  if (!p) return;
  Cluster__DropShuffleRequest m;
  cluster__drop_shuffle_request__init(&m);
  m.query_id = (char *)(uintptr_t)at->folder; /* packing reads only */
  m.attempt_ids = attempts;
  m.n_attempt_ids = n;
  send_request(p, &m);
}

/* ---- a query's rows between stages ---- */

static void send_drop_of_query(const execution *x, const step_host *h, char **attempts, size_t n) {
  uuid_text id = uuid_print(x->q->id.u);
  place at = {h->instance_id, h->incarnation, id.s};
  send_drop(x->s, &at, attempts, n);
}

/* Those of a step's attempts that this worker has done. */
static void drop_on(const step *st, const step_host *h) {
  arena a = {0};
  char **attempts = ARENA_NEW(&a, char *, st->n_tasks);
  size_t n = 0;
  for (uint32_t i = 0; i < st->n_tasks; i++)
    if (st->tasks[i].done && st->tasks[i].n_files && st->tasks[i].host == h)
      attempts[n++] = arena_printf(&a, "%s", uuid_print(st->tasks[i].attempt.u).s);
  if (n) send_drop_of_query(st->execution, h, attempts, n);
  arena_deinit(&a);
}

void shuffle_drop_step(step *st) {
  if (st->dropped || st->result || !st->stage) return;
  st->dropped = true;
  LIST_EACH (&st->execution->hosts, it, next) drop_on(st, LIST_ENTRY(it, step_host, link));
}

void shuffle_drop_query(execution *x) {
  LIST_EACH (&x->hosts, it, next) {
    const step_host *h = LIST_ENTRY(it, step_host, link);
    if (h->wrote) send_drop_of_query(x, h, NULL, 0);
  }
}

/* ---- streamed results ---- */

void shuffle_drop_folder(const scheduler *s, const char *instance_id, const char *incarnation,
                         const char *folder) {
  send_drop(s, &(place){instance_id, incarnation, folder}, NULL, 0);
}

void shuffle_drop_attempt(const scheduler *s, const char *instance_id, const char *incarnation,
                          const char *folder, attempt_id attempt) {
  uuid_text id = uuid_print(attempt.u);
  send_drop(s, &(place){instance_id, incarnation, folder}, (char *[]){id.s}, 1);
}

/* ---- results on the workers' disks ---- */

/* To all: an attempt that was given up may have left something, too. */
void shuffle_drop_result(const scheduler *s, query_id id) {
  uuid_text text = uuid_print(id.u);
  Cluster__DropShuffleRequest m;
  cluster__drop_shuffle_request__init(&m);
  m.query_id = text.s;
  m.result = true;
  size_t at = 0;
  for (void *it; map_each(&s->peers, &at, &it);)
    if (((peer *)it)->channel) send_request(it, &m);
}
