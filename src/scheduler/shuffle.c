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
  query_id query;
  char worker[128];
} drop;

static void on_done(void *arg, rc code, const char *text) {
  drop *d = arg;
  if (code != RC_OK && code != RC_CANCELLED)
    LOG_WARN("files of a query were not deleted", "query", uuid_print(d->query.u).s, "worker",
             d->worker, "error", text);
  free(d);
}

/* The channel to this life of the worker; NULL: it has another one, or we are stopping. */
static grpc_channel *channel_to(const scheduler *s, const step_host *h) {
  const peer *p = map_get(&s->peers, h->instance_id, strlen(h->instance_id));
  return p && !strcmp(p->incarnation, h->incarnation) ? p->channel : NULL;
}

static void send_drop(const execution *x, const step_host *h, char **attempts, size_t n) {
  grpc_channel *channel = channel_to(x->s, h);
  if (!channel) return;
  uuid_text id = uuid_print(x->q->id.u);
  Cluster__DropShuffleRequest m;
  cluster__drop_shuffle_request__init(&m);
  m.query_id = id.s;
  m.attempt_ids = attempts;
  m.n_attempt_ids = n;
  drop *d = NEW(drop);
  d->query = x->q->id;
  snprintf(d->worker, sizeof d->worker, "%s", h->instance_id);
  size_t len = cluster__drop_shuffle_request__get_packed_size(&m);
  uint8_t *packed = mem_new(len);
  grpc_request_spec spec = {
      .path = "/cluster.Tasks/DropShuffle",
      .deadline_ms = DEADLINE_MS,
      .head = packed,
      .head_len = cluster__drop_shuffle_request__pack(&m, packed),
      .arg = d,
      .on_done = on_done,
  };
  grpc_channel_call(channel, &spec);
  free(packed);
}

/* Those of a step's attempts that this worker has done. */
static void drop_on(const step *st, const step_host *h) {
  arena a = {0};
  char **attempts = ARENA_NEW(&a, char *, st->n_tasks);
  size_t n = 0;
  for (uint32_t i = 0; i < st->n_tasks; i++)
    if (st->tasks[i].done && st->tasks[i].n_files && st->tasks[i].host == h)
      attempts[n++] = arena_printf(&a, "%s", uuid_print(st->tasks[i].attempt.u).s);
  if (n) send_drop(st->execution, h, attempts, n);
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
    if (h->wrote) send_drop(x, h, NULL, 0);
  }
}
