/* scheduler/deletion.c: results that nobody wants: the client said so, or their query came to
 * nothing. SPDX-License-Identifier: Apache-2.0
 *
 * A query that failed or was cancelled may have parts that were finished before. What its tasks
 * still write goes by itself: a local part is renamed within the folder that is deleted here, and
 * that fails. A store may be about to take the last bytes of an upload, so it is asked later. Of a
 * folder on each machine's own disk only the scheduler's is deleted here: workers are told to. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "scheduler/internal.h"

#include <stdlib.h>

enum {
  /* A store that does not answer holds a thread of libuv's pool for minutes, and there are four:
   * plans are read there too. */
  MOST_DELETING = 2,
  UPLOADS_END_MS = 1000,
  MOST_WAITING = 1000, /* that nobody asked for */
};

typedef struct deletion {
  list link; /* in scheduler.deletions, while it waits for the pool */
  uv_timer_t pause;
  uv_work_t work;
  scheduler *s;
  query_id id;
  uint32_t n_parts;
  grpc_call *call; /* a reference; NULL: nobody asked */
  int64_t wall_us;
  rc result;
  err error;
} deletion;

static void start_next(scheduler *s);

static void delete_on_pool(uv_work_t *w) {
  deletion *d = w->data;
  d->result = location_result_delete(d->s->results, d->id, d->n_parts, d->wall_us,
                                     &d->s->give_up_deleting, &d->error);
}

static void answer(const deletion *d) {
  if (!d->call) return;
  if (d->result == RC_OK) grpc_call_send(d->call, NULL, 0);
  grpc_call_finish(d->call, d->result, d->error.text);
  grpc_call_unref(d->call);
}

static void on_pause_closed(uv_handle_t *pause) {
  deletion *d = pause->data;
  scheduler *s = d->s;
  free(d);
  s->n_deletions--;
  scheduler_check_done(s);
}

static void after_delete(uv_work_t *w, int status) {
  (void)status;
  deletion *d = w->data;
  if (d->result != RC_OK)
    LOG_WARN("deleting a result failed", "query", uuid_print(d->id.u).s, "error", d->error.text);
  answer(d);
  d->s->n_deleting--;
  start_next(d->s);
  uv_close((uv_handle_t *)&d->pause, on_pause_closed);
}

static void start_next(scheduler *s) {
  while (s->n_deleting < MOST_DELETING && !list_empty(&s->deletions)) {
    deletion *d = LIST_ENTRY(s->deletions.next, deletion, link);
    list_remove(&d->link);
    s->n_deleting++;
    uv_queue_work(s->loop, &d->work, delete_on_pool, after_delete);
  }
}

static void on_pause(uv_timer_t *pause) {
  deletion *d = pause->data;
  if (serving_workers_folder(d->s)) shuffle_drop_result(d->s, d->id);
  list_push_back(&d->s->deletions, &d->link);
  start_next(d->s);
}

bool deletion_may(const scheduler *s, const query *q) {
  return s->results && query_is_anonymous(q) && s->conf->scheduler.anonymous_results.allow_deletes;
}

static void begin(scheduler *s, const query *q, grpc_call *call, uint64_t pause_ms) {
  deletion *d = NEW(deletion);
  d->s = s;
  d->id = q->id;
  d->n_parts = q->n_parts;
  d->call = call ? grpc_call_ref(call) : NULL;
  d->wall_us = clock_wall_us();
  d->pause.data = d->work.data = d;
  s->n_deletions++;
  uv_timer_init(s->loop, &d->pause);
  uv_timer_start(&d->pause, on_pause, pause_ms, 0);
}

void deletion_ask(scheduler *s, const query *q, grpc_call *call) {
  begin(s, q, call, 0);
}

void deletion_after_failure(scheduler *s, const query *q) {
  bool began = q->times.started_us && q->n_parts;
  if (!began || s->stopping || !deletion_may(s, q)) return;
  if (s->n_deletions >= MOST_WAITING) {
    LOG_WARN("what a query wrote is not deleted: too much waits for the store", "query",
             uuid_print(q->id.u).s);
    return;
  }
  begin(s, q, NULL, location_is_local(s->results) ? 0 : UPLOADS_END_MS);
}
