/* scheduler/scheduler.c: the outer shell: ports, timer, and the loop from decision to deed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/afterwards.h"
#include "net/outbox.h"
#include "net/tls.h"
#include "sched/states.h"
#include "scheduler/internal.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

enum {
  MAX_LOSSES = 2,     /* one retry after infrastructure was lost */
  MAX_QUEUED = 10000, /* small plans stay on the heap: at most 640 MB of them */
  SHUTDOWN_GRACE_MS = 2000,
  FLIGHT_TICK_MS = 1000,
};

static attempt_id random_attempt(void *arg) {
  (void)arg;
  return (attempt_id){uuid_random()};
}

/* ---- actions ---- */

sched_query_info scheduler_info(const scheduler *s, const query *q) {
  if (q->times.ended_us) return q->end;
  sched_query_info info = {0};
  sched_query_info_get(s->sched, q->id, &info);
  if (q->execution) execution_count(q->execution, &info);
  return info;
}

rc scheduler_cancel(scheduler *s, const query *q, err *e) {
  if (q->execution && q->execution->commits) return RC_OK;
  return sched_cancel(s->sched, q->id, clock_mono_ms(), e);
}

/* What is kept of how it ran, then the execution goes. */
static void end_execution(query *q) {
  execution *x = q->execution;
  err e = {0};
  if (q->end.state == SCHED_QUERY_SUCCEEDED && result_complete(x, &e) != RC_OK) {
    q->end.state = SCHED_QUERY_FAILED;
    query_clear_result(q);
    failures_add(&q->failures, NULL, "RuntimeError", e.text);
  }
  q->n_parts = x->n_parts;
  q->totals = execution_add_up(x);
  execution_count_workers(x, &q->workers_used, &q->n_workers_used);
  q->stages = explain_stages(x);
  plans_keep(x->s, q);
  q->execution = NULL;
  execution_close(x);
}

static void on_query_ended(scheduler *s, const sched_action *a) {
  query *q = map_get(&s->queries, &a->query, sizeof a->query);
  if (!q) return;
  q->end = scheduler_info(s, q);
  q->end.state = a->state;
  q->times.ended_us = clock_wall_us();
  telling_note(s, q);
  dispatch_stop_all(q);
  end_execution(q);
  if (q->plans.subject) {
    plans_inquiry_ended(s, q);
    return;
  }
  if (q->end.state != SCHED_QUERY_SUCCEEDED) deletion_after_failure(s, q);
  if (q->end.state == SCHED_QUERY_FAILED) query_add_error(q, &q->failures);
  if (q->stream) stream_end(q->stream);
  retention_add(s, q);
  LOG_INFO("query ended", "query", uuid_print(a->query.u).s, "state",
           states_query.states[q->end.state]);
  LIST_EACH (&q->waiters, it, next) {
    query_waiter *w = LIST_ENTRY(it, query_waiter, link);
    list_remove(&w->link);
    answer_result(w->call, s, q); /* frees w through the end of the call */
  }
}

static void on_stages(scheduler *s, const sched_action *a) {
  query *q = map_get(&s->queries, &a->query, sizeof a->query);
  if (!q || !q->execution) return; /* it has ended meanwhile */
  if (a->kind == SCHED_STAGE_FINISHED)
    execution_stage_finished(q->execution, a->stage);
  else
    execution_stages_given_up(q->execution);
}

static void on_query_forgotten(scheduler *s, const sched_action *a) {
  query *q = map_remove(&s->queries, &a->query, sizeof a->query);
  if (q) {
    retention_remove(s, q);
    list_remove(&q->changed_link);
    if (!q->plans.subject) plans_forget(s, q);
    list_remove(&q->all_link);
  }
  query_unref(q);
}

static void arm_tick(scheduler *s);

static void on_tick(uv_timer_t *t) {
  scheduler *s = t->data;
  sched_tick(s->sched, clock_mono_ms());
  flight_tick(s->flight);
  abandoned_tick(s, clock_mono_ms());
  scheduler_run_actions(s);
}

static void arm_tick(scheduler *s) {
  int64_t due = sched_next_tick(s->sched), now = clock_mono_ms();
  int64_t look = abandoned_next_tick(s, now);
  if (due > look) due = look;
  if (flight_needs_tick(s->flight) && due > now + FLIGHT_TICK_MS) due = now + FLIGHT_TICK_MS;
  if (due == INT64_MAX || s->stopping) {
    uv_timer_stop(&s->tick);
    return;
  }
  uv_timer_start(&s->tick, on_tick, due > now ? (uint64_t)(due - now) : 0, 0);
}

void scheduler_run_actions(scheduler *s) {
  for (sched_action a; sched_next_action(s->sched, &a);) {
    switch (a.kind) {
    case SCHED_START:
      dispatch_start(s, &a);
      break;
    case SCHED_STOP:
      dispatch_stop(s, a.attempt);
      break;
    case SCHED_STAGE_FINISHED:
    case SCHED_STAGES_GIVEN_UP:
      on_stages(s, &a);
      break;
    case SCHED_QUERY_ENDED:
      on_query_ended(s, &a);
      break;
    case SCHED_QUERY_FORGOTTEN:
      on_query_forgotten(s, &a);
      break;
    }
  }
  arm_tick(s);
}

/* ---- plans ---- */

static void free_spool(void *plan) {
  spool_free(plan);
}

void scheduler_free_plan(scheduler *s, spool *plan_take) {
  if (!plan_take || spool_fd(plan_take) < 0 || s->stopping) /* small, or the loop may have ended */
    spool_free(plan_take);
  else
    afterwards(s->loop, free_spool, plan_take);
}

/* ---- start and stop ---- */

static rc open_results(scheduler *s, err *e) {
  const conf_location *c = &s->conf->scheduler.anonymous_results;
  if (c->kind == CONF_LOCATION_NONE) {
    LOG_WARN(
        "no scheduler.anonymous_result_location: queries without a sink of their own are refused");
    return RC_OK;
  }
  return location_new(c, &s->results, e);
}

static rc listen_on(scheduler *s, const conf_address *at, grpc_server_config config,
                    grpc_server **out, err *e) {
  config.limits.max_connections = 4096;
  config.user = s;
  *out = grpc_server_new(s->loop, &config);
  TRY(grpc_server_listen(*out, at->host, at->port, e));
  char port[8];
  snprintf(port, sizeof port, "%d", grpc_server_port(*out));
  LOG_INFO("listening", "address", at->host, "port", port);
  return RC_OK;
}

static rc start(scheduler *s, err *e) {
  TRY(open_results(s, e));
  TRY(serving_start(s, e));
  const conf *c = s->conf;
  const conf_tls *tls = &c->scheduler.client_tls;
  if (tls->certificate_key_file)
    TRY(tls_server_context(tls->certificate_key_file, tls->private_key_file, NULL, &s->client_tls,
                           e));
  grpc_server_config workers = {.methods = WORKER_METHODS, .n_methods = N_WORKER_METHODS};
  peer_access_serve(s->peer_access, &workers);
  grpc_server_config clients = {.methods = CLIENT_METHODS,
                                .n_methods = N_CLIENT_METHODS,
                                .authorize = access_authorize,
                                .tls = s->client_tls};
  TRY(listen_on(s, &c->scheduler.worker_service, workers, &s->worker_server, e));
  return listen_on(s, &c->scheduler.client_service, clients, &s->client_server, e);
}

static bool may_read(void *arg, grpc_call *call, query_id id) {
  const scheduler *s = arg;
  const query *q = map_get(&s->queries, &id, sizeof id);
  return !q || access_may_touch(call, q);
}

static void on_read_ended(void *arg) {
  scheduler_check_done(arg);
}

rc scheduler_new(uv_loop_t *loop, const conf *c, const peer_access *access, auth *a,
                 scheduler **out, err *e) {
  scheduler *s = NEW(scheduler);
  s->loop = loop;
  s->conf = c;
  s->peer_access = access;
  s->auth = a;
  uv_timer_init(loop, &s->tick);
  s->tick.data = s;
  list_init(&s->ended);
  list_init(&s->plans);
  list_init(&s->newest);
  list_init(&s->changed);
  list_init(&s->deletions);
  list_init(&s->streams);
  flight_config streams = {.loop = loop,
                           .access = access,
                           .arg = s,
                           .may_read = may_read,
                           .on_read_ended = on_read_ended};
  s->flight = flight_new(&streams);
  sched_config config = {
      .min_workers = (uint32_t)c->scheduler.n_workers,
      .max_losses = MAX_LOSSES,
      .lease_ms = SCHEDULER_LEASE_MS + SCHEDULER_LEASE_GRACE_MS,
      .max_queued = MAX_QUEUED,
      .max_finished = (size_t)c->scheduler.max_finished_queries,
      .new_attempt = random_attempt,
  };
  s->sched = sched_new(&config);
  *out = s; /* also on failure: what was opened is closed by scheduler_shutdown */
  telling_start(s);
  return start(s, e);
}

void scheduler_check_done(scheduler *s) {
  if (!s->stopping || s->servers_open || s->attempts.len || s->n_deletions || s->n_planning ||
      flight_is_busy(s->flight))
    return;
  if (uv_is_active((uv_handle_t *)&s->tick) || !uv_is_closing((uv_handle_t *)&s->tick)) return;
  void (*done)(void *) = s->done;
  s->done = NULL;
  if (done) done(s->done_arg);
}

static void on_server_closed(void *arg) {
  scheduler *s = arg;
  s->servers_open--;
  scheduler_check_done(s);
}

static void on_tick_closed(uv_handle_t *h) {
  scheduler_check_done(h->data);
}

static void shut(scheduler *s, grpc_server *server) {
  if (!server) return;
  s->servers_open++;
  grpc_server_shutdown(server, SHUTDOWN_GRACE_MS, on_server_closed, s);
}

void scheduler_shutdown(scheduler *s, void (*done)(void *), void *arg) {
  if (s->stopping) return;
  s->stopping = true;
  s->done = done;
  s->done_arg = arg;
  shut(s, s->client_server);
  shut(s, s->worker_server);
  if (s->observatory) {
    s->servers_open++;
    outbox_close(s->observatory, on_server_closed, s);
  }
  atomic_store(&s->give_up_deleting, true);
  size_t at = 0;
  for (void *p; map_each(&s->peers, &at, &p);) { /* ends the attempts on it */
    grpc_channel_free(((peer *)p)->channel);
    ((peer *)p)->channel = NULL;
  }
  uv_close((uv_handle_t *)&s->tick, on_tick_closed);
}

static void free_queries(scheduler *s) {
  size_t at = 0;
  for (void *it; map_each(&s->queries, &at, &it);) {
    query *q = it;
    execution_close(q->execution);
    query_unref(q);
  }
  map_deinit(&s->queries);
}

void scheduler_free(scheduler *s) {
  if (!s) return;
  if (s->client_server) grpc_server_free(s->client_server);
  if (s->worker_server) grpc_server_free(s->worker_server);
  stream_free_all(s);
  flight_free(s->flight);
  free_queries(s);
  size_t at = 0;
  for (void *p; map_each(&s->peers, &at, &p);) peer_free(p);
  map_deinit(&s->peers);
  map_deinit(&s->attempts);
  sched_free(s->sched);
  location_free(s->results);
  SSL_CTX_free(s->client_tls);
  free(s);
}
