/* worker/task_service.c: see task_service.h. SPDX-License-Identifier: Apache-2.0
 *
 * The call is the attempt: a call that ends early cancels its task, and a task ends its call. Each
 * may be over first, so a `running` lives until both are. */
#include "worker/task_service.h"

#include "base/mem.h"
#include "base/tree.h"
#include "net/grpc_server.h"
#include "net/health.h"
#include "worker/task.h"

#include <stdlib.h>

enum {
  WAITING_MOST = 64,      /* tasks beyond the slots, from their first byte on */
  SHUTDOWN_MS = 1000,     /* for the answers to reach the scheduler */
  MAX_REQUEST_MIB = 4095, /* what one gRPC message can hold */
  /* A scheduler that is gone without a word must be noticed, and its tasks stopped, well within
   * its lease: there the scheduler starts them elsewhere. */
  KEEPALIVE_MS = 4000,
};

struct task_service {
  task_service_config config;
  grpc_server *server;
  list running; /* of running */
  size_t n_running, n_drops;
  char *result_folder; /* NULL: none */
  bool ready, server_done, stopping;
  void (*done)(void *);
  void *done_arg;
};

typedef struct running {
  list link;
  task_service *service;
  grpc_call *call; /* a reference */
  task *task;      /* NULL: it is over */
  bool call_ended;
} running;

/* ---- one attempt ---- */

static void check_stopped(task_service *s) {
  if (s->stopping && s->server_done && !s->n_running && !s->n_drops) s->done(s->done_arg);
}

static void release(running *r) {
  if (r->task || !r->call_ended) return;
  grpc_call_unref(r->call);
  free(r);
}

static void send_response(grpc_call *call, const Cluster__RunTaskResponse *response) {
  buf packed = {0};
  err e = {0};
  rc r = buf_reserve(&packed, cluster__run_task_response__get_packed_size(response), &e);
  if (r == RC_OK) {
    size_t n = cluster__run_task_response__pack(response, packed.data);
    grpc_call_send(call, packed.data, n);
  }
  grpc_call_finish(call, r, e.text);
  buf_deinit(&packed);
}

static void on_answer(void *owner, const Cluster__RunTaskResponse *response, rc code,
                      const char *text) {
  running *r = owner;
  task_service *s = r->service;
  if (response)
    send_response(r->call, response);
  else
    grpc_call_finish(r->call, code, text);
  r->task = NULL;
  list_remove(&r->link);
  s->n_running--;
  release(r);
  check_stopped(s);
}

static void on_end_of_call(grpc_call *call, void *data) {
  (void)call;
  running *r = data;
  r->call_ended = true;
  if (r->task) task_cancel(r->task, false, "the call ended");
  release(r);
}

/* ---- methods ---- */

static void on_open(grpc_call *call, uint64_t message_len) {
  (void)message_len;
  task_service *s = grpc_call_user(call);
  if (!s->ready || s->stopping) {
    grpc_call_finish(call, RC_UNAVAILABLE, "the worker is starting or stopping");
    return;
  }
  if (s->n_running >= s->config.slots + WAITING_MOST) {
    grpc_call_finish(call, RC_EXHAUSTED, "too many tasks wait on this worker already");
    return;
  }
  running *r = NEW(running);
  r->service = s;
  r->call = grpc_call_ref(call);
  task_config config = {.loop = s->config.loop,
                        .pool = s->config.pool,
                        .scratch = s->config.scratch,
                        .shuffle = s->config.shuffle,
                        .fetcher = s->config.fetcher,
                        .reports = s->config.reports,
                        .owner = r,
                        .on_answer = on_answer};
  r->task = task_new(&config);
  list_push_back(&s->running, &r->link);
  s->n_running++;
  grpc_call_set_data(call, r, on_end_of_call);
}

static void on_bytes(grpc_call *call, const uint8_t *data, size_t len) {
  running *r = grpc_call_data(call);
  if (r && r->task) task_receive(r->task, data, len);
}

static void on_end(grpc_call *call) {
  running *r = grpc_call_data(call);
  if (r && r->task) task_received(r->task);
}

/* ---- files that nobody will read any more ---- */

typedef struct drop {
  uv_work_t work;
  task_service *service;
  grpc_call *call; /* a reference */
  Cluster__DropShuffleRequest *request;
  char *result_dir; /* a query's part of its result, instead; NULL: not */
} drop;

static rc check_drop(const task_service *s, const Cluster__DropShuffleRequest *r, err *e) {
  uuid id;
  if (!r) return ERR(e, RC_INVALID, "DropShuffleRequest does not decode");
  if (!uuid_parse(r->query_id, &id))
    return ERR(e, RC_INVALID, "query_id: expected a UUID, found \"%s\"", r->query_id);
  for (size_t i = 0; i < r->n_attempt_ids; i++)
    if (!uuid_parse(r->attempt_ids[i], &id))
      return ERR(e, RC_INVALID, "attempt_ids: expected UUIDs, found \"%s\"", r->attempt_ids[i]);
  if (r->result && !s->result_folder)
    return ERR(e, RC_PRECONDITION, "this worker was told of no folder for results");
  return RC_OK;
}

static void drop_work(uv_work_t *work) {
  const drop *d = work->data;
  const Cluster__DropShuffleRequest *r = d->request;
  if (d->result_dir) {
    tree_remove(d->result_dir);
    return;
  }
  if (!r->n_attempt_ids) shuffle_drop(d->service->config.shuffle, r->query_id, NULL);
  for (size_t i = 0; i < r->n_attempt_ids; i++)
    shuffle_drop(d->service->config.shuffle, r->query_id, r->attempt_ids[i]);
}

static void dropped(uv_work_t *work, int status) {
  (void)status;
  drop *d = work->data;
  task_service *s = d->service;
  grpc_call_send(d->call, NULL, 0); /* DropShuffleResponse has no fields */
  grpc_call_finish(d->call, RC_OK, "");
  grpc_call_unref(d->call);
  cluster__drop_shuffle_request__free_unpacked(d->request, NULL);
  free(d->result_dir);
  free(d);
  s->n_drops--;
  check_stopped(s);
}

static void on_drop(grpc_call *call, const uint8_t *message, size_t len) {
  task_service *s = grpc_call_user(call);
  Cluster__DropShuffleRequest *request = cluster__drop_shuffle_request__unpack(NULL, len, message);
  err e = {0};
  rc r = check_drop(s, request, &e);
  if (r != RC_OK) {
    grpc_call_finish(call, r, e.text);
    cluster__drop_shuffle_request__free_unpacked(request, NULL);
    return;
  }
  drop *d = NEW(drop);
  *d = (drop){.service = s, .call = grpc_call_ref(call), .request = request};
  if (request->result) d->result_dir = mem_printf("%s/%s", s->result_folder, request->query_id);
  d->work.data = d;
  s->n_drops++;
  uv_queue_work(s->config.loop, &d->work, drop_work, dropped);
}

static void on_health(grpc_call *call, const uint8_t *message, size_t len) {
  (void)message, (void)len;
  const task_service *s = grpc_call_user(call);
  health_answer(call, s->ready && !s->stopping);
}

static const grpc_method METHODS[] = {
    {.path = "/cluster.Tasks/RunTask",
     .on_open = on_open,
     .on_bytes = on_bytes,
     .on_end = on_end,
     .max_message = (uint64_t)MAX_REQUEST_MIB << 20},
    {.path = "/cluster.Tasks/DropShuffle", .on_request = on_drop},
    {.path = HEALTH_CHECK_PATH, .on_request = on_health, .no_token = true},
};

/* ---- life ---- */

rc task_service_new(const task_service_config *config, task_service **out, err *e) {
  task_service *s = NEW(task_service);
  s->config = *config;
  list_init(&s->running);
  grpc_server_config server = {
      .methods = METHODS,
      .n_methods = sizeof METHODS / sizeof *METHODS,
      .limits = {.keepalive_ms = KEEPALIVE_MS, .keepalive_timeout_ms = KEEPALIVE_MS},
      .user = s,
  };
  peer_access_serve(config->access, &server);
  s->server = grpc_server_new(config->loop, &server);
  *out = s;
  const conf_address *bind = &config->conf->worker.task_bind;
  rc r = grpc_server_listen(s->server, bind->host, bind->port, e);
  return r == RC_OK ? r : err_prefix(e, r, "worker.task_service.bind_addr: ");
}

int task_service_port(const task_service *s) {
  return grpc_server_port(s->server);
}

void task_service_set_ready(task_service *s) {
  s->ready = true;
}

void task_service_set_result_folder(task_service *s, const char *folder) {
  free(s->result_folder);
  s->result_folder = mem_strdup(folder);
}

void task_service_kill_all(task_service *s, const char *why) {
  LIST_EACH (&s->running, it, tmp) {
    running *r = LIST_ENTRY(it, running, link);
    if (r->task) task_cancel(r->task, true, why);
  }
}

static void on_server_done(void *arg) {
  task_service *s = arg;
  s->server_done = true;
  check_stopped(s);
}

void task_service_shutdown(task_service *s, void (*done)(void *), void *arg) {
  s->stopping = true;
  s->done = done;
  s->done_arg = arg;
  grpc_server_shutdown(s->server, SHUTDOWN_MS, on_server_done, s);
}

void task_service_free(task_service *s) {
  if (!s) return;
  grpc_server_free(s->server);
  free(s->result_folder);
  free(s);
}
