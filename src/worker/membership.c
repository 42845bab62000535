/* worker/membership.c: see membership.h. SPDX-License-Identifier: Apache-2.0
 *
 * One call is out at a time, or one timer waits for the next. The lease counts from when the last
 * answered call was sent, so that it ends here before it ends at the scheduler. */
#include "worker/membership.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/grpc_client.h"

#include <cluster.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  CALL_MS = 5000,
  LEAVE_MS = 1000,
  FIRST_PAUSE_MS = 100,
  LONGEST_PAUSE_MS = 5000,
};

typedef enum member_state { OUTSIDE, JOINING, JOINED, LEAVING } member_state;

struct membership {
  membership_config config;
  member_state state;
  grpc_channel *channel;
  grpc_request *call; /* NULL: none is out */
  uv_timer_t next, lease;
  char *task_address, *shuffle_address;
  int64_t sent_ms;
  unsigned pause_ms, heartbeat_ms, lease_ms;
  bool known; /* what the last heartbeat's answer said */
  int open_handles;
  void (*done)(void *);
  void *done_arg;
};

/* ---- calls ---- */

static void call(membership *m, const char *path, const ProtobufCMessage *message,
                 unsigned deadline_ms, void (*on_message)(void *, const uint8_t *, size_t),
                 void (*on_done)(void *, rc, const char *)) {
  size_t n = protobuf_c_message_get_packed_size(message);
  uint8_t *packed = mem_new(n + 1);
  protobuf_c_message_pack(message, packed);
  grpc_request_spec spec = {
      .path = path,
      .deadline_ms = deadline_ms,
      .head = packed,
      .head_len = n,
      .arg = m,
      .on_message = on_message,
      .on_done = on_done,
  };
  m->sent_ms = clock_mono_ms();
  m->call = grpc_channel_call(m->channel, &spec);
  free(packed);
}

static void contacted(membership *m);
static void wait(membership *m, unsigned ms);

static void retry(membership *m, const char *what, const char *text) {
  char pause[32];
  snprintf(pause, sizeof pause, "%u", m->pause_ms);
  LOG_WARN(what, "error", text, "again_in_ms", pause);
  wait(m, m->pause_ms);
  m->pause_ms = m->pause_ms * 2 < LONGEST_PAUSE_MS ? m->pause_ms * 2 : LONGEST_PAUSE_MS;
}

/* ---- Join ---- */

static void on_join_message(void *arg, const uint8_t *data, size_t len) {
  membership *m = arg;
  Cluster__JoinResponse *r = cluster__join_response__unpack(NULL, len, data);
  if (!r) return;
  m->heartbeat_ms = r->heartbeat_ms ? r->heartbeat_ms : m->heartbeat_ms;
  m->lease_ms = r->lease_ms;
  m->config.on_joined(m->config.owner, r->result_folder);
  cluster__join_response__free_unpacked(r, NULL);
}

static void on_join_done(void *arg, rc code, const char *text) {
  membership *m = arg;
  m->call = NULL;
  if (m->state != JOINING) return;
  if (code != RC_OK) {
    retry(m, "the scheduler did not take this worker", text);
    return;
  }
  m->state = JOINED;
  LOG_INFO("joined the scheduler", "address", m->task_address);
  contacted(m);
}

static size_t fill_runtimes(const membership *m, Cluster__Runtime *out, Cluster__Runtime **refs) {
  size_t n, known = 0;
  const runtime *runtimes = pool_runtimes(m->config.pool, &n);
  for (size_t i = 0; i < n; i++) {
    const Executor__Hello *hello = runtimes[i].hello;
    if (!hello) continue;
    Cluster__Runtime *r = &out[known];
    cluster__runtime__init(r);
    r->polars_version = hello->polars_version;
    r->index_bits = hello->index_bits;
    r->python_version = hello->python_version;
    r->plan_header = hello->plan_header;
    r->fingerprint = hello->fingerprint;
    r->commit = hello->commit;
    refs[known++] = r;
  }
  return known;
}

static void join(membership *m) {
  const conf *c = m->config.conf;
  m->state = JOINING;
  Cluster__JoinRequest r;
  cluster__join_request__init(&r);
  r.instance_id = c->instance_id;
  r.incarnation = (char *)(uintptr_t)m->config.incarnation;
  if (c->cluster_id) r.cluster_id = c->cluster_id;
  r.task_address = m->task_address;
  r.shuffle_address = m->shuffle_address;
  r.shuffle_folder = (char *)(uintptr_t)m->config.shuffle_folder;
  r.slots = m->config.share.slots;
  r.threads_per_slot = m->config.share.threads;
  r.memory_bytes = m->config.share.memory_bytes * m->config.share.slots;
  r.floe_version = (char *)(uintptr_t)FLOE_VERSION;
  size_t n;
  pool_runtimes(m->config.pool, &n);
  Cluster__Runtime *runtimes = mem_new((n + 1) * sizeof *runtimes);
  r.runtimes = mem_new((n + 1) * sizeof(Cluster__Runtime *));
  r.n_runtimes = fill_runtimes(m, runtimes, r.runtimes);
  call(m, "/cluster.Membership/Join", &r.base, CALL_MS, on_join_message, on_join_done);
  free(r.runtimes);
  free(runtimes);
}

/* ---- Heartbeat ---- */

static void on_heartbeat_message(void *arg, const uint8_t *data, size_t len) {
  membership *m = arg;
  Cluster__HeartbeatResponse *r = cluster__heartbeat_response__unpack(NULL, len, data);
  if (!r) return;
  m->known = r->known;
  if (m->state == JOINED && r->known) leftovers_sweep(m->config.leftovers, r->ended, r->n_ended);
  cluster__heartbeat_response__free_unpacked(r, NULL);
}

static void on_heartbeat_done(void *arg, rc code, const char *text) {
  membership *m = arg;
  m->call = NULL;
  if (m->state != JOINED) return;
  if (code != RC_OK) {
    retry(m, "a heartbeat did not reach the scheduler", text);
  } else if (!m->known) {
    LOG_WARN("the scheduler does not know this worker any more: joining again", "address",
             m->task_address);
    m->state = OUTSIDE;
    uv_timer_stop(&m->lease);
    m->config.on_forgotten(m->config.owner);
  } else {
    contacted(m);
  }
}

static size_t fill_queries(const query_list *kept, char *out[QUERY_LIST_MOST]) {
  for (size_t i = 0; i < kept->n; i++) out[i] = (char *)(uintptr_t)kept->ids[i].s;
  return kept->n;
}

static void beat(membership *m) {
  char *queries[QUERY_LIST_MOST];
  Cluster__HeartbeatRequest r;
  cluster__heartbeat_request__init(&r);
  r.instance_id = m->config.conf->instance_id;
  r.incarnation = (char *)(uintptr_t)m->config.incarnation;
  r.running_tasks = (uint32_t)pool_running(m->config.pool);
  r.resident_bytes = resources_resident_bytes(getpid()) + pool_resident_bytes(m->config.pool);
  r.queries = queries;
  r.n_queries = fill_queries(&m->config.leftovers->kept, queries);
  m->known = false;
  call(m, "/cluster.Membership/Heartbeat", &r.base, CALL_MS, on_heartbeat_message,
       on_heartbeat_done);
}

/* ---- time ---- */

static void on_next(uv_timer_t *timer) {
  membership *m = timer->data;
  if (m->state == JOINED)
    beat(m);
  else
    join(m);
}

static void wait(membership *m, unsigned ms) {
  uv_timer_start(&m->next, on_next, ms, 0);
}

static void on_lease(uv_timer_t *timer) {
  membership *m = timer->data;
  LOG_ERROR("the scheduler was out of reach for the lease: running tasks are stopped", "address",
            m->task_address);
  m->config.on_lease_lost(m->config.owner);
}

static void contacted(membership *m) {
  int64_t since_ms = clock_mono_ms() - m->sent_ms;
  m->pause_ms = FIRST_PAUSE_MS;
  if (m->lease_ms)
    uv_timer_start(&m->lease, on_lease,
                   since_ms < m->lease_ms ? (uint64_t)(m->lease_ms - since_ms) : 0, 0);
  wait(m, since_ms < m->heartbeat_ms ? (unsigned)(m->heartbeat_ms - since_ms) : 0);
}

/* ---- life ---- */

static char *print_address(const conf_address *public, int bound_port) {
  return mem_printf(strchr(public->host, ':') ? "[%s]:%d" : "%s:%d", public->host,
                    public->port ? public->port : bound_port);
}

membership *membership_new(const membership_config *config) {
  const conf *c = config->conf;
  membership *m = NEW(membership);
  m->config = *config;
  m->pause_ms = FIRST_PAUSE_MS;
  m->heartbeat_ms = (unsigned)c->worker.heartbeat_ms;
  m->task_address = print_address(&c->worker.task_public, config->task_port);
  m->shuffle_address = print_address(&c->worker.shuffle_public, config->shuffle_port);
  grpc_channel_config channel = {.host = c->static_leader.scheduler.host,
                                 .port = c->static_leader.scheduler.port};
  peer_access_call(config->access, &channel);
  m->channel = grpc_channel_new(config->loop, &channel);
  uv_timer_init(config->loop, &m->next);
  uv_timer_init(config->loop, &m->lease);
  m->next.data = m->lease.data = m;
  m->open_handles = 2;
  return m;
}

void membership_join(membership *m) {
  if (m->state == OUTSIDE) join(m);
}

static void on_closed(uv_handle_t *handle) {
  membership *m = handle->data;
  if (--m->open_handles == 0) m->done(m->done_arg);
}

static void left(membership *m) {
  grpc_channel_free(m->channel);
  uv_close((uv_handle_t *)&m->next, on_closed);
  uv_close((uv_handle_t *)&m->lease, on_closed);
}

static void on_leave_done(void *arg, rc code, const char *text) {
  membership *m = arg;
  m->call = NULL;
  if (code != RC_OK) LOG_WARN("the scheduler was not told that this worker leaves", "error", text);
  left(m);
}

void membership_leave(membership *m, void (*done)(void *), void *arg) {
  bool joined = m->state == JOINED;
  m->state = LEAVING;
  m->done = done;
  m->done_arg = arg;
  uv_timer_stop(&m->next);
  uv_timer_stop(&m->lease);
  if (!joined) {
    left(m);
    return;
  }
  Cluster__LeaveRequest r;
  cluster__leave_request__init(&r);
  r.instance_id = m->config.conf->instance_id;
  r.incarnation = (char *)(uintptr_t)m->config.incarnation;
  call(m, "/cluster.Membership/Leave", &r.base, LEAVE_MS, NULL, on_leave_done);
}

void membership_free(membership *m) {
  if (!m) return;
  free(m->task_address);
  free(m->shuffle_address);
  free(m);
}
