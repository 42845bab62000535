/* net/http_server.c: see http_server.h. SPDX-License-Identifier: Apache-2.0
 *
 * The library runs in its external mode: its epoll descriptor is polled by the loop, and a timer
 * stands in for its timeouts. */
#include "net/http_server.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 256, IDLE_SECONDS = 60, MAX_PEM_BYTES = 1024 * 1024 };

struct http_server {
  struct MHD_Daemon *daemon;
  uv_poll_t poll;
  uv_timer_t timer;
  unsigned open_handles;
  void (*on_get)(void *, const char *, http_reply *);
  void *arg;
  char *certificate, *key; /* PEM text; the library wants it for its whole life */
  void (*closed)(void *);
  void *closed_arg;
};

static const char *const HEADERS[][2] = {
    {"Cache-Control", "no-store"},
    {"Content-Security-Policy", "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
};

static enum MHD_Result send_reply(struct MHD_Connection *connection, const http_reply *reply) {
  struct MHD_Response *response = MHD_create_response_from_buffer(
      reply->body_len, (void *)(uintptr_t)reply->body, MHD_RESPMEM_MUST_COPY);
  if (!response) return MHD_NO;
  MHD_add_response_header(response, "Content-Type", reply->content_type);
  for (size_t i = 0; i < sizeof HEADERS / sizeof *HEADERS; i++)
    MHD_add_response_header(response, HEADERS[i][0], HEADERS[i][1]);
  enum MHD_Result sent = MHD_queue_response(connection, (unsigned)reply->status, response);
  MHD_destroy_response(response);
  return sent;
}

static void set_text(http_reply *reply, int status, const char *text) {
  *reply = (http_reply){.status = status,
                        .content_type = "text/plain; charset=utf-8",
                        .body = text,
                        .body_len = strlen(text)};
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state) {
  (void)version, (void)upload;
  http_server *s = cls;
  static int seen;
  if (!*state) { /* first call: headers only */
    *state = &seen;
    return MHD_YES;
  }
  if (*upload_len) { /* nothing here takes a body */
    *upload_len = 0;
    return MHD_YES;
  }
  http_reply reply;
  bool is_get = !strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD);
  set_text(&reply, is_get ? 404 : 405, is_get ? "not found\n" : "only GET is answered here\n");
  if (is_get) s->on_get(s->arg, url, &reply);
  enum MHD_Result sent = send_reply(connection, &reply);
  free(reply.owned);
  return sent;
}

/* ---- on the loop ---- */

static void on_timer(uv_timer_t *t);

static void run(http_server *s) {
  MHD_run(s->daemon);
  MHD_UNSIGNED_LONG_LONG wait_ms;
  if (MHD_get_timeout(s->daemon, &wait_ms) == MHD_YES)
    uv_timer_start(&s->timer, on_timer, wait_ms, 0);
  else
    uv_timer_stop(&s->timer);
}

static void on_timer(uv_timer_t *t) {
  run(t->data);
}

static void on_poll(uv_poll_t *p, int status, int events) {
  (void)status, (void)events;
  run(p->data);
}

/* ---- start and stop ---- */

static rc read_pem(const char *path, char **out, err *e) {
  FILE *f = fopen(path, "re");
  if (!f) return ERR(e, RC_NOT_FOUND, "cannot read %s", path);
  char *text = mem_new(MAX_PEM_BYTES + 1);
  size_t n = fread(text, 1, MAX_PEM_BYTES, f);
  fclose(f);
  *out = mem_strndup(text, n);
  free(text);
  return RC_OK;
}

rc http_address(const char *host, int port, struct sockaddr_storage *out, err *e) {
  if (!uv_ip4_addr(host, port, (struct sockaddr_in *)out)) return RC_OK;
  if (!uv_ip6_addr(host, port, (struct sockaddr_in6 *)out)) return RC_OK;
  return ERR(e, RC_INVALID, "http: expected a literal address to listen on, found \"%s\"", host);
}

static rc start(http_server *s, const http_server_config *c, err *e) {
  struct sockaddr_storage at = {0};
  TRY(http_address(c->host, c->port, &at, e));
  unsigned flags = MHD_USE_EPOLL | (at.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
  if (c->certificate_file) {
    TRY(read_pem(c->certificate_file, &s->certificate, e));
    TRY(read_pem(c->key_file, &s->key, e));
    flags |= MHD_USE_TLS;
  }
  struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, s->certificate},
                                 {MHD_OPTION_HTTPS_MEM_KEY, 0, s->key},
                                 {MHD_OPTION_END, 0, NULL}};
  struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
  s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, &at,
                               MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
                               MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
                               MHD_OPTION_ARRAY, c->certificate_file ? tls : none, MHD_OPTION_END);
  if (!s->daemon)
    return ERR(
        e, RC_UNAVAILABLE,
        "cannot listen on http %s:%d; is another program using the port, is the certificate right?",
        c->host, c->port);
  return RC_OK;
}

rc http_server_new(uv_loop_t *loop, const http_server_config *config, http_server **out, err *e) {
  http_server *s = NEW(http_server);
  s->on_get = config->on_get;
  s->arg = config->arg;
  rc r = start(s, config, e);
  if (r != RC_OK) {
    free(s->certificate);
    free(s->key);
    free(s);
    return r;
  }
  uv_poll_init(loop, &s->poll, MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
  uv_timer_init(loop, &s->timer);
  s->poll.data = s->timer.data = s;
  s->open_handles = 2;
  uv_poll_start(&s->poll, UV_READABLE, on_poll);
  *out = s;
  return RC_OK;
}

static void on_handle_closed(uv_handle_t *h) {
  http_server *s = h->data;
  if (--s->open_handles) return;
  void (*closed)(void *) = s->closed;
  void *arg = s->closed_arg;
  MHD_stop_daemon(s->daemon);
  free(s->certificate);
  free(s->key);
  free(s);
  closed(arg);
}

void http_server_close(http_server *s, void (*closed)(void *), void *arg) {
  s->closed = closed;
  s->closed_arg = arg;
  uv_close((uv_handle_t *)&s->poll, on_handle_closed);
  uv_close((uv_handle_t *)&s->timer, on_handle_closed);
}
