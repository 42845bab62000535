/* scheduler/worker_service.c: the methods of 5050: workers join, beat and leave.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/health.h"
#include "scheduler/internal.h"

#include <cluster.pb-c.h>
#include <stdlib.h>
#include <string.h>

enum {
  MAX_RUNTIMES = 64,
  MAX_SLOTS = 1024,
  INDEX_BITS = 64, /* of every client; a plan does not say */
};

void peer_free(peer *p) {
  if (!p) return;
  if (p->channel) grpc_channel_free(p->channel);
  free(p->instance_id);
  free(p->incarnation);
  free(p->host);
  free(p->shuffle_address);
  free(p->shuffle_folder);
  free(p);
}

/* ---- Join ---- */

static rc check_join(const scheduler *s, const Cluster__JoinRequest *r, err *e) {
  if (!*r->instance_id || strlen(r->instance_id) > 127)
    return ERR(e, RC_INVALID, "instance_id: expected 1 to 127 bytes, found %zu",
               strlen(r->instance_id));
  if (r->slots < 1 || r->slots > MAX_SLOTS)
    return ERR(e, RC_INVALID, "worker %s: expected 1..%d slots, found %u", r->instance_id,
               MAX_SLOTS, r->slots);
  if (r->n_runtimes > MAX_RUNTIMES)
    return ERR(e, RC_INVALID, "worker %s: more than %d runtimes", r->instance_id, MAX_RUNTIMES);
  const char *ours = s->conf->cluster_id;
  if (ours && *ours && *r->cluster_id && strcmp(ours, r->cluster_id) != 0)
    return ERR(e, RC_INVALID,
               "worker %s belongs to cluster \"%s\", this is \"%s\"; check its cluster_id",
               r->instance_id, r->cluster_id, ours);
  return RC_OK;
}

/* "host:port", "[v6]:port"; host is the caller's to free. */
static rc split_address(const char *text, char **host, int *port, err *e) {
  const char *colon = strrchr(text, ':');
  char *end;
  long n = colon ? strtol(colon + 1, &end, 10) : 0;
  if (!colon || colon == text || *end || n < 1 || n > 65535)
    return ERR(e, RC_INVALID, "task address: expected host:port, found \"%s\"", text);
  size_t len = (size_t)(colon - text);
  bool bracketed = text[0] == '[' && text[len - 1] == ']';
  *host = mem_strndup(text + bracketed, len - 2 * bracketed);
  *port = (int)n;
  return RC_OK;
}

static rc copy_runtime(const Cluster__Runtime *from, sched_runtime *to, err *e) {
  if (from->plan_header.len != sizeof to->plan_header)
    return ERR(e, RC_INVALID, "runtime polars %s: expected a plan header of %zu bytes, found %zu",
               from->polars_version, sizeof to->plan_header, from->plan_header.len);
  if (from->index_bits != INDEX_BITS)
    return ERR(e, RC_INVALID,
               "polars %s of this worker counts rows in %u bits, all clients do in %d; install "
               "polars[rt64]==%s in that runtime, and set no POLARS_FORCE_PKG",
               from->polars_version, from->index_bits, INDEX_BITS, from->polars_version);
  memcpy(to->plan_header, from->plan_header.data, sizeof to->plan_header);
  snprintf(to->polars_version, sizeof to->polars_version, "%s", from->polars_version);
  snprintf(to->python_version, sizeof to->python_version, "%s", from->python_version);
  snprintf(to->fingerprint, sizeof to->fingerprint, "%s", from->fingerprint);
  snprintf(to->commit, sizeof to->commit, "%s", from->commit);
  to->index_bits = from->index_bits;
  return RC_OK;
}

/* The tasks of one query exchange rows by hash: the same Polars must hash alike everywhere. */
static rc check_alike(const scheduler *s, const char *instance_id, const sched_runtime *mine,
                      size_t n, err *e) {
  size_t at = 0;
  for (sched_worker_info w; sched_workers_each(s->sched, &at, &w);) {
    if (!strcmp(w.instance_id, instance_id)) continue;
    for (size_t i = 0; i < w.n_runtimes; i++)
      for (size_t k = 0; k < n; k++)
        if (!memcmp(w.runtimes[i].plan_header, mine[k].plan_header, sizeof mine[k].plan_header) &&
            strcmp(w.runtimes[i].fingerprint, mine[k].fingerprint) != 0)
          return ERR(e, RC_PRECONDITION,
                     "polars %s of worker %s hashes rows otherwise than that of worker %s; install "
                     "the same wheel on both",
                     mine[k].polars_version, instance_id, w.instance_id);
  }
  return RC_OK;
}

static grpc_channel *open_channel(const scheduler *s, const peer *p) {
  grpc_channel_config config = {.host = p->host, .port = p->port};
  peer_access_call(s->peer_access, &config);
  return grpc_channel_new(s->loop, &config);
}

/* A new incarnation, or another address: what ran over the old connection ends with it. */
static void put_peer(scheduler *s, const Cluster__JoinRequest *r, char *host_take, int port) {
  size_t len = strlen(r->instance_id);
  peer *p = map_get(&s->peers, r->instance_id, len);
  if (p && !strcmp(p->incarnation, r->incarnation) && !strcmp(p->host, host_take) &&
      p->port == port) {
    free(host_take);
    return;
  }
  p = NEW(peer);
  p->instance_id = mem_strdup(r->instance_id);
  p->incarnation = mem_strdup(r->incarnation);
  p->host = host_take;
  p->port = port;
  p->shuffle_address = mem_strdup(r->shuffle_address);
  p->shuffle_folder = mem_strdup(r->shuffle_folder);
  p->channel = open_channel(s, p);
  /* The new one stands before the old one goes: the calls that end with it may start others. */
  peer_free(map_put(&s->peers, r->instance_id, len, p));
}

static rc join(scheduler *s, const Cluster__JoinRequest *r, err *e) {
  TRY(check_join(s, r, e));
  sched_runtime runtimes[MAX_RUNTIMES] = {0};
  for (size_t i = 0; i < r->n_runtimes; i++) TRY(copy_runtime(r->runtimes[i], &runtimes[i], e));
  TRY(check_alike(s, r->instance_id, runtimes, r->n_runtimes, e));
  char *host = NULL;
  int port = 0;
  TRY(split_address(r->task_address, &host, &port, e));
  sched_worker_spec spec = {
      .instance_id = r->instance_id,
      .incarnation = r->incarnation,
      .slots = r->slots,
      .runtimes = runtimes,
      .n_runtimes = r->n_runtimes,
  };
  sched_worker_join(s->sched, &spec, clock_mono_ms());
  put_peer(s, r, host, port);
  LOG_INFO("worker joined", "worker", r->instance_id, "address", r->task_address);
  return RC_OK;
}

static void on_join(grpc_call *call, const uint8_t *message, size_t len) {
  scheduler *s = grpc_call_user(call);
  Cluster__JoinRequest *request = cluster__join_request__unpack(NULL, len, message);
  err e = {0};
  rc r = request ? join(s, request, &e) : ERR(&e, RC_INVALID, "JoinRequest does not decode");
  cluster__join_request__free_unpacked(request, NULL);
  if (r != RC_OK) {
    LOG_WARN("worker refused", "error", e.text, "peer", grpc_call_peer(call));
    grpc_call_finish(call, r, e.text);
    return;
  }
  Cluster__JoinResponse response;
  cluster__join_response__init(&response);
  response.lease_ms = SCHEDULER_LEASE_MS;
  response.heartbeat_ms = SCHEDULER_LEASE_MS / 3;
  const char *folder = serving_workers_folder(s);
  if (folder) response.result_folder = (char *)(uintptr_t)folder; /* packing reads only */
  answer_message(call, &response.base);
  scheduler_run_actions(s);
}

/* ---- Heartbeat, Leave ---- */

/* Those of the worker's queries, or streams, whose files nobody will read any more; points into the
 * request. */
static size_t fill_ended(const scheduler *s, const Cluster__HeartbeatRequest *r, char **out) {
  size_t n = 0;
  for (size_t i = 0; i < r->n_queries; i++) {
    query_id id;
    if (!uuid_parse(r->queries[i], &id.u)) continue;
    const query *q = map_get(&s->queries, &id, sizeof id);
    if ((!q || q->times.ended_us) && !stream_is_folder(s, id.u)) out[n++] = r->queries[i];
  }
  return n;
}

static void on_heartbeat(grpc_call *call, const uint8_t *message, size_t len) {
  scheduler *s = grpc_call_user(call);
  Cluster__HeartbeatRequest *request = cluster__heartbeat_request__unpack(NULL, len, message);
  if (!request) {
    grpc_call_finish(call, RC_INVALID, "HeartbeatRequest does not decode");
    return;
  }
  Cluster__HeartbeatResponse response;
  cluster__heartbeat_response__init(&response);
  response.known =
      sched_worker_heartbeat(s->sched, request->instance_id, request->incarnation, clock_mono_ms());
  response.ended = mem_new((request->n_queries + 1) * sizeof *response.ended);
  response.n_ended = fill_ended(s, request, response.ended);
  answer_message(call, &response.base);
  free(response.ended);
  cluster__heartbeat_request__free_unpacked(request, NULL);
  scheduler_run_actions(s);
}

static void on_leave(grpc_call *call, const uint8_t *message, size_t len) {
  scheduler *s = grpc_call_user(call);
  Cluster__LeaveRequest *request = cluster__leave_request__unpack(NULL, len, message);
  if (!request) {
    grpc_call_finish(call, RC_INVALID, "LeaveRequest does not decode");
    return;
  }
  LOG_INFO("worker leaves", "worker", request->instance_id);
  sched_worker_leave(s->sched, request->instance_id, request->incarnation, clock_mono_ms());
  cluster__leave_request__free_unpacked(request, NULL);
  grpc_call_send(call, NULL, 0);
  grpc_call_finish(call, RC_OK, NULL);
  scheduler_run_actions(s);
}

#define MEMBERSHIP "/cluster.Membership/"

const grpc_method WORKER_METHODS[] = {
    {.path = MEMBERSHIP "Join", .on_request = on_join},
    {.path = MEMBERSHIP "Heartbeat", .on_request = on_heartbeat},
    {.path = MEMBERSHIP "Leave", .on_request = on_leave},
    {.path = HEALTH_CHECK_PATH, .on_request = health_always, .no_token = true},
};
const size_t N_WORKER_METHODS = sizeof WORKER_METHODS / sizeof *WORKER_METHODS;
