/* scheduler/stream.c: see stream.h. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/stream.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "scheduler/internal.h"

#include <stdlib.h>
#include <string.h>

/* An ordered result of fewer bytes is told when the query has ended: until then it may fail with
 * an exception of its own. */
enum { WORTH_STREAMING = 64 << 20 };

typedef struct stream_host {
  list link;
  char *instance_id, *incarnation;
} stream_host;

typedef struct stream_part { /* one that the client may know */
  const stream_host *host;
  attempt_id attempt;
  uint64_t bytes;
} stream_part;

typedef struct status_waiter { /* owned by its call */
  list link;
  grpc_call *call;
  stream *stream; /* NULL: it has its answer */
} status_waiter;

struct stream {
  list link; /* in scheduler.streams */
  scheduler *s;
  query *q; /* a reference */
  flight_result *rows;
  uuid_text folder;
  list hosts;  /* of stream_host: who may have files */
  list asking; /* of status_waiter */
  stream_part *parts;
  uint32_t n_parts, n_read;
  uint64_t taken_bytes, unread_bytes; /* of finished tasks */
  bool held;
};

/* ---- life ---- */

static void on_part_read(void *arg, uint32_t part);
static void on_gone(void *arg, bool complete);

stream *stream_new(scheduler *s, query *q) {
  stream *sm = NEW(stream);
  sm->s = s;
  sm->q = query_ref(q);
  sm->folder = uuid_print(uuid_random());
  list_init(&sm->hosts);
  list_init(&sm->asking);
  list_push_back(&s->streams, &sm->link);
  int64_t ttl = q->settings.ttl_ms ? q->settings.ttl_ms : s->conf->scheduler.streaming.ttl_ms;
  flight_owner owner = {.arg = sm, .on_part_read = on_part_read, .on_gone = on_gone};
  sm->rows = flight_open(s->flight, q->id, ttl, &owner);
  q->stream = sm;
  return sm;
}

static void forget_hosts(stream *sm) {
  LIST_EACH (&sm->hosts, it, next) {
    stream_host *h = LIST_ENTRY(it, stream_host, link);
    list_remove(&h->link);
    free(h->instance_id);
    free(h->incarnation);
    free(h);
  }
}

static void stream_free(stream *sm) {
  forget_hosts(sm);
  list_remove(&sm->link);
  sm->q->stream = NULL;
  query_unref(sm->q);
  free(sm->parts);
  free(sm);
}

void stream_free_all(scheduler *s) {
  LIST_EACH (&s->streams, it, next) stream_free(LIST_ENTRY(it, stream, link));
}

const char *stream_folder(const stream *sm) {
  return sm->folder.s;
}

bool stream_is_folder(const scheduler *s, uuid id) {
  uuid_text folder = uuid_print(id);
  LIST_EACH (&s->streams, it, next)
    if (!strcmp(LIST_ENTRY(it, stream, link)->folder.s, folder.s)) return true;
  return false;
}

/* ---- files ---- */

static const stream_host *find_host(const stream *sm, const step_host *host) {
  LIST_EACH (&sm->hosts, it, next) {
    const stream_host *h = LIST_ENTRY(it, stream_host, link);
    if (!strcmp(h->instance_id, host->instance_id) && !strcmp(h->incarnation, host->incarnation))
      return h;
  }
  return NULL;
}

void stream_begin(stream *sm, const step_host *host) {
  if (find_host(sm, host)) return;
  stream_host *h = NEW(stream_host);
  h->instance_id = mem_strdup(host->instance_id);
  h->incarnation = mem_strdup(host->incarnation);
  list_push_back(&sm->hosts, &h->link);
}

static void drop_files(stream *sm) {
  LIST_EACH (&sm->hosts, it, next) {
    const stream_host *h = LIST_ENTRY(it, stream_host, link);
    shuffle_drop_folder(sm->s, h->instance_id, h->incarnation, sm->folder.s);
  }
  forget_hosts(sm);
}

static void drop_part(const stream *sm, const stream_part *p) {
  shuffle_drop_attempt(sm->s, p->host->instance_id, p->host->incarnation, sm->folder.s, p->attempt);
}

/* ---- the quota ---- */

/* There is something to read, or somebody writes the part that comes next: what holds the query
 * will end. */
static bool is_moving(const stream *sm) {
  if (sm->n_read < sm->n_parts) return true;
  const step_task *next = sm->q->execution ? result_part(sm->q->execution, sm->n_parts) : NULL;
  return next && next->host;
}

static void check_quota(stream *sm) {
  bool full = sm->unread_bytes >= (uint64_t)sm->s->conf->scheduler.streaming.quota_bytes;
  bool hold = full && is_moving(sm);
  if (hold == sm->held) return;
  sm->held = hold;
  LOG_INFO(hold ? "query waits for its reader" : "query goes on", "query",
           uuid_print(sm->q->id.u).s);
  if (sched_hold_query(sm->s->sched, sm->q->id, hold, clock_mono_ms(), NULL) != RC_OK)
    sm->held = false; /* it has ended */
}

/* ---- GetQueryStatus ---- */

bool stream_holds_status(const stream *sm) {
  if (sm->q->times.ended_us) return false;
  if (!sm->n_parts) return true;
  return sm->q->settings.maintain_order && sm->taken_bytes < WORTH_STREAMING && !sm->held;
}

static void on_waiter_gone(grpc_call *call, void *data) {
  (void)call;
  status_waiter *w = data;
  if (w->stream) {
    list_remove(&w->link);
    flight_wait_ended(w->stream->rows, true);
  }
  free(w);
}

void stream_wait_for_status(stream *sm, grpc_call *call) {
  status_waiter *w = NEW(status_waiter);
  w->call = call;
  w->stream = sm;
  list_push_back(&sm->asking, &w->link);
  flight_wait_began(sm->rows);
  grpc_call_set_data(call, w, on_waiter_gone);
}

static void answer_asking(stream *sm) {
  LIST_EACH (&sm->asking, it, next) {
    status_waiter *w = LIST_ENTRY(it, status_waiter, link);
    list_remove(&w->link);
    w->stream = NULL;
    flight_wait_ended(sm->rows, false);
    answer_status(w->call, sm->s, sm->q);
  }
}

/* ---- parts ---- */

static void publish(stream *sm, step_task *t) {
  stream_part *more = realloc(sm->parts, (sm->n_parts + 1) * sizeof *more);
  if (!more) abort();
  more[sm->n_parts++] = (stream_part){find_host(sm, t->host), t->attempt, t->bytes};
  sm->parts = more;
  char *url = mem_printf("http://%s/shuffle/%s/%s", t->host->shuffle_address, sm->folder.s,
                         t->files[0].name);
  flight_add(sm->rows, url, t->bytes);
  free(url);
}

static void publish_in_order(stream *sm) {
  for (step_task *t; (t = result_part(sm->q->execution, sm->n_parts)) && t->done;) publish(sm, t);
}

rc stream_take(stream *sm, step_task *t, const Cluster__TaskOutput *o, err *e) {
  if (t->n_files != 1)
    return ERR(e, RC_DATA_LOSS, "worker %s wrote %zu files of the result, expected one",
               t->host->instance_id, t->n_files);
  TRY(flight_take_schema(sm->rows, o->schema.data, o->schema.len, e));
  t->done = true;
  sm->taken_bytes += t->bytes;
  sm->unread_bytes += t->bytes;
  if (sm->q->settings.maintain_order)
    publish_in_order(sm);
  else
    publish(sm, t);
  check_quota(sm);
  if (!stream_holds_status(sm)) answer_asking(sm);
  return RC_OK;
}

static void on_part_read(void *arg, uint32_t part) {
  stream *sm = arg;
  sm->n_read++;
  sm->unread_bytes -= sm->parts[part].bytes;
  drop_part(sm, &sm->parts[part]);
  check_quota(sm);
  scheduler_run_actions(sm->s);
}

/* ---- it runs again ---- */

rc stream_restart(stream *sm, err *e) {
  if (sm->n_parts)
    return ERR(e, RC_PRECONDITION,
               "rows between stages were lost when the client had begun to read the result; run "
               "the query again");
  drop_files(sm);
  sm->folder = uuid_print(uuid_random()); /* the old one's deletion may come late */
  sm->taken_bytes = sm->unread_bytes = 0;
  check_quota(sm);
  return RC_OK;
}

/* ---- the end ---- */

static const char *failure_of(const query *q) {
  const char *newest = failures_newest(&q->failures);
  return newest ? newest : "the query failed without a reason";
}

void stream_end(stream *sm) {
  const query *q = sm->q;
  answer_asking(sm);
  switch (q->end.state) {
  case SCHED_QUERY_SUCCEEDED:
    flight_end(sm->rows, RC_OK, NULL);
    return;
  case SCHED_QUERY_CANCELED:
    drop_files(sm);
    flight_end(sm->rows, RC_CANCELLED, "the query was cancelled");
    return;
  default:
    drop_files(sm);
    flight_end(sm->rows, RC_INVALID, failure_of(q));
  }
}

void stream_delete(stream *sm) {
  drop_files(sm);
  flight_close(sm->rows);
  stream_free(sm);
}

/* Nobody wants it: what still runs of it is cancelled. */
static void on_gone(void *arg, bool complete) {
  stream *sm = arg;
  scheduler *s = sm->s;
  query_id id = sm->q->id;
  bool runs = !sm->q->times.ended_us;
  drop_files(sm);
  stream_free(sm);
  if (complete || !runs) return;
  err e = {0};
  if (sched_cancel(s->sched, id, clock_mono_ms(), &e) != RC_OK)
    LOG_WARN("a query that nobody reads could not be cancelled", "error", e.text);
  scheduler_run_actions(s);
}
