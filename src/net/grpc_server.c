/* net/grpc_server.c: see grpc_server.h. Listening, connections, shutdown.
 * SPDX-License-Identifier: Apache-2.0 */
#include "net/grpc_server.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/grpc_server_impl.h"
#include "net/oneshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHUTDOWN_TICK_MS = 10, LISTEN_BACKLOG = 511 };

typedef struct listener {
  uv_tcp_t tcp; /* first: the handle's address is the object's */
  list node;
  grpc_server *server;
} listener;

/* ---- the budget ---- */

bool grpc_server_charge(grpc_server *server, size_t bytes) {
  size_t most = server->cfg.limits.max_buffered;
  if (bytes > most || server->buffered > most - bytes) return false;
  server->buffered += bytes;
  return true;
}

void grpc_server_discharge(grpc_server *server, size_t bytes) {
  server->buffered -= bytes;
}

/* ---- connections ---- */

static void on_down(void *owner, const char *why) {
  grpc_server_conn *conn = owner;
  LOG_DEBUG("connection ended", "peer", conn->peer, "why", why);
  LIST_EACH (&conn->calls, it, tmp) grpc_call_close(LIST_ENTRY(it, grpc_call, node));
  list_remove(&conn->node);
  conn->server->n_conns--;
}

static void on_gone(void *owner) {
  grpc_server_conn *conn = owner;
  conn->server->open_conns--;
  free(conn);
}

static void name_peer(uv_tcp_t *tcp, char *out, size_t size) {
  struct sockaddr_storage address = {0};
  int len = sizeof address;
  char ip[INET6_ADDRSTRLEN] = "?";
  uv_tcp_getpeername(tcp, (struct sockaddr *)&address, &len);
  bool v6 = address.ss_family == AF_INET6;
  struct sockaddr_in *in = (struct sockaddr_in *)&address;
  uv_ip_name((struct sockaddr *)&address, ip, sizeof ip);
  /* the port stands at the same place in both */
  snprintf(out, size, v6 ? "[%s]:%u" : "%s:%u", ip, (unsigned)ntohs(in->sin_port));
}

static bool is_loopback(const char *ip) {
  return !strncmp(ip, "127.", 4) || !strcmp(ip, "::1") || !strncmp(ip, "::ffff:127.", 11);
}

/* From loopback, or from the address that was connected to. */
static bool is_same_host(const uv_tcp_t *tcp) {
  struct sockaddr_storage peer = {0}, own = {0};
  int peer_len = sizeof peer, own_len = sizeof own;
  char peer_ip[INET6_ADDRSTRLEN] = "", own_ip[INET6_ADDRSTRLEN] = "";
  if (uv_tcp_getpeername(tcp, (struct sockaddr *)&peer, &peer_len) != 0 ||
      uv_tcp_getsockname(tcp, (struct sockaddr *)&own, &own_len) != 0)
    return false;
  uv_ip_name((struct sockaddr *)&peer, peer_ip, sizeof peer_ip);
  uv_ip_name((struct sockaddr *)&own, own_ip, sizeof own_ip);
  return is_loopback(peer_ip) || !strcmp(peer_ip, own_ip);
}

static rc open_conn(grpc_server *server, grpc_server_conn *conn, err *e) {
  const grpc_limits *limits = &server->cfg.limits;
  h2_conn_config config = {
      .loop = server->loop,
      .server = true,
      .tls = server->cfg.tls,
      .max_streams = limits->max_streams,
      .max_header_bytes = (uint32_t)limits->max_header_bytes,
      .handshake_ms = limits->handshake_ms,
      .keepalive_ms = limits->keepalive_ms,
      .keepalive_timeout = limits->keepalive_timeout_ms,
      .callbacks = server->callbacks,
      .owner = conn,
      .on_down = on_down,
      .on_gone = on_gone,
  };
  return h2_conn_new(&config, &conn->h2, e);
}

static void free_handle(uv_handle_t *handle) {
  free(handle);
}

static bool has_room(const grpc_server *server) {
  return server->open_conns < server->cfg.limits.max_connections;
}

static void on_connection(uv_stream_t *stream, int status) {
  grpc_server *server = ((listener *)stream)->server;
  if (status < 0) return;
  uv_tcp_t *tcp = NEW(uv_tcp_t);
  grpc_server_conn *conn = NEW(grpc_server_conn);
  uv_tcp_init(server->loop, tcp);
  conn->server = server;
  list_init(&conn->calls);
  err e = {0};
  if (uv_accept(stream, (uv_stream_t *)tcp) != 0 || !has_room(server) ||
      open_conn(server, conn, &e) != RC_OK) {
    LOG_DEBUG("connection refused", "why", e.code ? e.text : "there are as many as there may be");
    free(conn);
    uv_close((uv_handle_t *)tcp, free_handle);
    return;
  }
  name_peer(tcp, conn->peer, sizeof conn->peer);
  conn->same_host = is_same_host(tcp);
  list_push_back(&server->conns, &conn->node);
  server->n_conns++;
  server->open_conns++;
  h2_conn_start(conn->h2, tcp);
}

size_t grpc_server_connections(const grpc_server *server) {
  return server->n_conns;
}

/* ---- listening ---- */

static void on_listener_closed(uv_handle_t *handle) {
  listener *l = (listener *)handle;
  l->server->open_listeners--;
  free(l);
}

static int listen_on(listener *l, const char *ip, int port) {
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  int r;
  if (uv_ip4_addr(ip, port, &v4) == 0)
    r = uv_tcp_bind(&l->tcp, (struct sockaddr *)&v4, 0);
  else if ((r = uv_ip6_addr(ip, port, &v6)) == 0) /* so that :: and 0.0.0.0 may share a port */
    r = uv_tcp_bind(&l->tcp, (struct sockaddr *)&v6, UV_TCP_IPV6ONLY);
  return r == 0 ? uv_listen((uv_stream_t *)&l->tcp, LISTEN_BACKLOG, on_connection) : r;
}

static int bound_port(const listener *l) {
  struct sockaddr_storage address = {0};
  int len = sizeof address;
  uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&address, &len);
  return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

rc grpc_server_listen(grpc_server *server, const char *ip, int port, err *e) {
  if (port < 0 || port > 65535)
    return ERR(e, RC_INVALID, "listening on %s: expected a port 0..65535, found %d", ip, port);
  listener *l = NEW(listener);
  l->server = server;
  uv_tcp_init(server->loop, &l->tcp);
  int r = listen_on(l, ip, port);
  if (r != 0) {
    uv_close((uv_handle_t *)&l->tcp, free_handle);
    return ERR(e, r == UV_EINVAL ? RC_INVALID : RC_UNAVAILABLE, "listening on %s port %d: %s", ip,
               port, uv_strerror(r));
  }
  server->open_listeners++;
  list_push_back(&server->listeners, &l->node);
  if (!server->port) server->port = bound_port(l);
  return RC_OK;
}

int grpc_server_port(const grpc_server *server) {
  return server->port;
}

/* ---- life ---- */

static void fill_limits(grpc_limits *l) {
  if (!l->max_message) l->max_message = 4 << 20;
  if (!l->max_buffered) l->max_buffered = 256 << 20;
  if (!l->max_connections) l->max_connections = 1024;
  if (!l->max_streams) l->max_streams = 256;
  if (!l->max_header_bytes) l->max_header_bytes = 64 << 10;
  if (!l->handshake_ms) l->handshake_ms = 10000;
  if (!l->keepalive_ms) l->keepalive_ms = 30000;
  if (!l->keepalive_timeout_ms) l->keepalive_timeout_ms = 20000;
}

grpc_server *grpc_server_new(uv_loop_t *loop, const grpc_server_config *config) {
  grpc_server *server = NEW(grpc_server);
  server->loop = loop;
  server->cfg = *config;
  server->cfg.token = config->token ? mem_strdup(config->token) : NULL;
  fill_limits(&server->cfg.limits);
  list_init(&server->listeners);
  list_init(&server->conns);
  if (nghttp2_session_callbacks_new(&server->callbacks) != 0) abort();
  grpc_intake_set_callbacks(server->callbacks);
  return server;
}

static void abort_calls(grpc_server_conn *conn) {
  LIST_EACH (&conn->calls, it, tmp)
    grpc_call_abort(LIST_ENTRY(it, grpc_call, node), RC_UNAVAILABLE, "the server is shutting down");
  h2_conn_flush(conn->h2);
}

/* A tick after the statuses: GOAWAY. A connection closes itself when its last stream has ended. */
static void say_goaway(grpc_server_conn *conn) {
  nghttp2_session *session = h2_conn_session(conn->h2);
  if (conn->said_goaway || !session) return;
  conn->said_goaway = true;
  nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR, NULL,
                        0);
  h2_conn_flush(conn->h2);
}

static void on_tick(void *arg) {
  grpc_server *server = arg;
  bool cut = uv_now(server->loop) >= server->cut_at;
  LIST_EACH (&server->conns, it, tmp) {
    grpc_server_conn *conn = LIST_ENTRY(it, grpc_server_conn, node);
    if (conn->said_goaway && cut)
      h2_conn_close(conn->h2, "the server has shut down");
    else
      say_goaway(conn);
  }
  if (server->open_listeners || server->open_conns)
    oneshot_start(&server->tick, server->loop, SHUTDOWN_TICK_MS, on_tick, server);
  else
    server->done(server->done_arg);
}

void grpc_server_shutdown(grpc_server *server, unsigned grace_ms, void (*done)(void *), void *arg) {
  if (server->closing) return;
  server->closing = true;
  server->done = done;
  server->done_arg = arg;
  server->cut_at = uv_now(server->loop) + grace_ms;
  LIST_EACH (&server->listeners, it, tmp) {
    list_remove(it);
    uv_close((uv_handle_t *)&LIST_ENTRY(it, listener, node)->tcp, on_listener_closed);
  }
  LIST_EACH (&server->conns, it, tmp) abort_calls(LIST_ENTRY(it, grpc_server_conn, node));
  oneshot_start(&server->tick, server->loop, SHUTDOWN_TICK_MS, on_tick, server);
}

void grpc_server_free(grpc_server *server) {
  if (!server) return;
  nghttp2_session_callbacks_del(server->callbacks);
  free((char *)(uintptr_t)server->cfg.token);
  free(server);
}
