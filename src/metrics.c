/* metrics.c: see metrics.h. SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include "base/mem.h"
#include "net/http_server.h"

#include <stdlib.h>
#include <string.h>

struct metrics {
  metrics_parts parts;
  http_server *server;
  void (*done)(void *);
  void *done_arg;
};

static void on_get(void *arg, const http_request *request, http_reply *reply) {
  const metrics *m = arg;
  if (strcmp(http_request_path(request), "/metrics") != 0) return;
  buf text = {0};
  buf_printf(&text, "# TYPE floe_info gauge\nfloe_info{version=\"%s\"} 1\n", FLOE_VERSION);
  if (m->parts.scheduler) scheduler_print_metrics(m->parts.scheduler, &text);
  if (m->parts.worker) worker_print_metrics(m->parts.worker, &text);
  if (m->parts.observatory) observatory_print_metrics(m->parts.observatory, &text);
  size_t len = text.len;
  char *body = buf_take_text(&text);
  *reply = (http_reply){.status = 200,
                        .content_type = "text/plain; version=0.0.4",
                        .body = body,
                        .body_len = len,
                        .owned = body};
}

rc metrics_new(uv_loop_t *loop, const conf *c, metrics_parts parts, metrics **out, err *e) {
  const conf_address *at = &c->monitoring.metrics;
  if (!at->host) return RC_OK;
  metrics *m = NEW(metrics);
  m->parts = parts;
  http_server_config config = {.host = at->host, .port = at->port, .on_get = on_get, .arg = m};
  rc r = http_server_new(loop, &config, &m->server, e);
  if (r == RC_OK)
    *out = m;
  else
    free(m);
  return r == RC_OK ? r : err_prefix(e, r, "monitoring.metrics.bind_addr: ");
}

static void on_closed(void *arg) {
  metrics *m = arg;
  void (*done)(void *) = m->done;
  void *done_arg = m->done_arg;
  free(m);
  done(done_arg);
}

void metrics_close(metrics *m, void (*done)(void *), void *arg) {
  m->done = done;
  m->done_arg = arg;
  http_server_close(m->server, on_closed, m);
}
