/* cli/up_probe.c: is a part of the local cluster ready? SPDX-License-Identifier: Apache-2.0
 *
 * A service is ready when its health check says SERVING; the storage when it takes a file and
 * lets it go again. Each probe is bounded in time, and only one is under way for a part. */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/up.h"
#include "net/grpc_client.h"
#include "net/health.h"
#include "store/http.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { PROBE_MS = 2000 };

struct up_prober {
  const up_plan *plan;
  int part;
  bool stored; /* STORAGE: written on the pool, read when its work is done */
  uv_loop_t *loop;
  void (*ready)(void *, int);
  void *arg;
  grpc_channel *channel; /* HEALTH */
  uv_work_t work;        /* STORAGE */
  bool asking, serving, was_ready, freed;
};

up_prober *up_prober_new(uv_loop_t *loop, const up_plan *plan, int part, void (*ready)(void *, int),
                         void *arg) {
  up_prober *p = NEW(up_prober);
  *p = (up_prober){.plan = plan, .part = part, .loop = loop, .ready = ready, .arg = arg};
  if (plan->parts[part].probe == UP_PROBE_HEALTH) {
    grpc_channel_config config = {
        .host = "127.0.0.1", .port = plan->parts[part].probe_port, .connect_ms = PROBE_MS};
    p->channel = grpc_channel_new(loop, &config);
  }
  return p;
}

static void answered(up_prober *p) {
  p->asking = false;
  if (p->freed) {
    free(p);
    return;
  }
  if (!p->serving || p->was_ready) return;
  p->was_ready = true;
  p->ready(p->arg, p->part);
}

static void on_health(void *arg, const uint8_t *message, size_t len) {
  ((up_prober *)arg)->serving = health_is_serving(message, len);
}

static void on_health_done(void *arg, rc code, const char *text) {
  (void)code, (void)text;
  answered(arg);
}

/* On the pool. Which query the file belongs to does not matter: it is gone at once. */
static void try_storage(uv_work_t *w) {
  up_prober *p = w->data;
  query_id id = {uuid_random()};
  location_target target = {0};
  if (location_result_target(p->plan->results, id, 0, clock_wall_us(), &target, NULL) != RC_OK)
    return;
  p->stored =
      store_put_file(target.put_url, p->plan->parts[p->part].log_file, NULL, NULL) == RC_OK &&
      location_result_delete(p->plan->results, id, 1, clock_wall_us(), NULL, NULL) == RC_OK;
  location_target_deinit(&target);
}

static void after_storage(uv_work_t *w, int status) {
  (void)status;
  up_prober *p = w->data;
  p->serving = p->stored;
  answered(p);
}

bool up_port_listens(int port) {
  struct sockaddr_in at;
  uv_ip4_addr("127.0.0.1", port, &at);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool ok = fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof at);
  if (fd >= 0) close(fd);
  return ok;
}

void up_prober_poll(up_prober *p) {
  if (p->asking || p->was_ready) return;
  if (p->channel) {
    grpc_request_spec spec = {.path = HEALTH_CHECK_PATH,
                              .deadline_ms = PROBE_MS,
                              .arg = p,
                              .on_message = on_health,
                              .on_done = on_health_done};
    p->asking = true;
    grpc_channel_call(p->channel, &spec);
    return;
  }
  /* a storage that does not listen yet would make the upload wait and try again */
  if (!up_port_listens(p->plan->parts[p->part].probe_port)) return;
  p->asking = true;
  p->work.data = p;
  uv_queue_work(p->loop, &p->work, try_storage, after_storage);
}

void up_prober_free(up_prober *p) {
  if (!p) return;
  grpc_channel *channel = p->channel;
  p->freed = p->asking;
  bool waits = p->asking;
  if (channel) grpc_channel_free(channel); /* ends a health check, which frees p */
  if (!waits) free(p);
}
