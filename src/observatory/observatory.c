/* observatory/observatory.c: see observatory.h. The wiring; what the parts do stands in them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "observatory/internal.h"

#include <stdlib.h>

enum { GRACE_MS = 1000 };

static rc start_intake(observatory *o, const peer_access *access, err *e) {
  const conf_address *at = &o->conf->observatory.service;
  grpc_server_config config = {.methods = INTAKE_METHODS,
                               .n_methods = N_INTAKE_METHODS,
                               .limits = {.max_connections = 4096},
                               .user = o};
  peer_access_serve(access, &config);
  o->intake = grpc_server_new(o->loop, &config);
  rc r = grpc_server_listen(o->intake, at->host, at->port, e);
  return r == RC_OK ? r : err_prefix(e, r, "observatory.service.bind_addr: ");
}

static rc start_rest(observatory *o, err *e) {
  const conf *c = o->conf;
  if (!c->observatory.rest_enabled) return RC_OK;
  http_server_config config = {.host = c->observatory.rest.host,
                               .port = c->observatory.rest.port,
                               .certificate_file = c->observatory.rest_tls.certificate_key_file,
                               .key_file = c->observatory.rest_tls.private_key_file,
                               .on_get = rest_on_get,
                               .arg = o};
  TRY(http_server_new(o->loop, &config, &o->rest, e));
  LOG_INFO("listening", "address", config.host, "service", "observatory");
  return RC_OK;
}

static void ignore(void *arg) {
  (void)arg;
}

rc observatory_new(uv_loop_t *loop, const conf *c, const peer_access *access, auth *a,
                   const observatory_source *source, observatory **out, err *e) {
  observatory *o = NEW(observatory);
  o->loop = loop;
  o->conf = c;
  o->auth = a;
  o->source = *source;
  list_init(&o->waiters);
  uv_timer_init(loop, &o->tick);
  o->tick.data = o;
  o->hosts = hosts_new((size_t)c->observatory.metrics_bytes);
  database_config history = {.path = c->observatory.database_path,
                             .cluster_id = c->cluster_id,
                             .keep_ms = c->observatory.keep_ms,
                             .most_bytes = c->observatory.database_bytes,
                             .ends_orphans = source->tell != NULL};
  o->store = store_new(loop, &history);
  rc r = start_intake(o, access, e);
  if (r == RC_OK) r = start_rest(o, e);
  if (r == RC_OK)
    *out = o;
  else
    observatory_shutdown(o, ignore, NULL);
  return r;
}

void observatory_print_metrics(observatory *o, buf *out) {
  store_health h = store_get_health(o->store);
  buf_printf(out,
             "# TYPE floe_observatory_reports_lost_total counter\n"
             "floe_observatory_reports_lost_total %llu\n"
             "# TYPE floe_observatory_reports_dropped_total counter\n"
             "floe_observatory_reports_dropped_total %llu\n",
             (unsigned long long)h.lost, (unsigned long long)h.dropped);
  hosts_print_metrics(o->hosts, clock_mono_ms(), out);
}

/* ---- the end: no more questions, then those who answer them, then those who ask ---- */

static void on_part_closed(void *arg) {
  observatory *o = arg;
  if (--o->parts) return;
  void (*done)(void *) = o->done;
  void *done_arg = o->done_arg;
  hosts_free(o->hosts);
  if (o->intake) grpc_server_free(o->intake);
  free(o);
  done(done_arg);
}

static void on_tick_closed(uv_handle_t *handle) {
  on_part_closed(handle->data);
}

static void on_store_closed(void *arg) {
  observatory *o = arg;
  if (o->rest) o->parts++, http_server_close(o->rest, on_part_closed, o);
  uv_close((uv_handle_t *)&o->tick, on_tick_closed);
}

static void on_intake_closed(void *arg) {
  observatory *o = arg;
  store_close(o->store, on_store_closed, o);
}

void observatory_shutdown(observatory *o, void (*done)(void *), void *arg) {
  o->done = done;
  o->done_arg = arg;
  o->stopping = true;
  o->parts = 1; /* the tick, the last to be closed */
  events_end_all(o);
  grpc_server_shutdown(o->intake, GRACE_MS, on_intake_closed, o);
}
