/* net/grpc_client.c: see grpc_client.h. Channels and their connections.
 * SPDX-License-Identifier: Apache-2.0 */
#include "net/grpc_client.h"

#include "base/mem.h"
#include "net/grpc_client_impl.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES_MOST = 64 << 10 };

/* ---- connections ---- */

static void channel_release(grpc_channel *ch) {
  if (!ch->freed || !list_empty(&ch->conns)) return;
  nghttp2_session_callbacks_del(ch->callbacks);
  free((char *)(uintptr_t)ch->cfg.host);
  free(ch->authority);
  free(ch->authorization);
  free(ch);
}

void grpc_client_conn_retire(grpc_client_conn *conn) {
  if (conn->channel->current == conn) conn->channel->current = NULL;
}

static bool is_idle(void *owner) {
  return list_empty(&((grpc_client_conn *)owner)->requests);
}

static void on_down(void *owner, const char *why) {
  grpc_client_conn *conn = owner;
  grpc_client_conn_retire(conn);
  if (conn->dial) dial_cancel(conn->dial);
  conn->dial = NULL;
  char *text = mem_printf("%s: %s", conn->channel->authority, why);
  grpc_request_end_all(&conn->requests, RC_UNAVAILABLE, text);
  free(text);
}

static void on_gone(void *owner) {
  grpc_client_conn *conn = owner;
  grpc_channel *ch = conn->channel;
  list_remove(&conn->node);
  free(conn);
  channel_release(ch);
}

static void on_dialed(void *arg, uv_tcp_t *tcp, const char *why) {
  grpc_client_conn *conn = arg;
  conn->dial = NULL;
  if (tcp)
    h2_conn_start(conn->h2, tcp);
  else
    h2_conn_close(conn->h2, why);
}

static rc connect_channel(grpc_channel *ch, err *e) {
  grpc_client_conn *conn = NEW(grpc_client_conn);
  conn->channel = ch;
  list_init(&conn->requests);
  h2_conn_config config = {
      .loop = ch->loop,
      .tls = ch->cfg.tls,
      .host = ch->cfg.tls_name ? ch->cfg.tls_name : ch->cfg.host,
      .max_header_bytes = HEADER_BYTES_MOST,
      .handshake_ms = ch->cfg.connect_ms,
      .keepalive_ms = ch->cfg.keepalive_ms,
      .keepalive_timeout = ch->cfg.keepalive_ms,
      .callbacks = ch->callbacks,
      .owner = conn,
      .is_idle = is_idle,
      .on_down = on_down,
      .on_gone = on_gone,
  };
  rc r = h2_conn_new(&config, &conn->h2, e);
  if (r != RC_OK) {
    free(conn);
    return r;
  }
  conn->dial = dial_start(ch->loop, ch->cfg.host, ch->cfg.port, on_dialed, conn);
  list_push_back(&ch->conns, &conn->node);
  ch->current = conn;
  return RC_OK;
}

/* ---- channels ---- */

grpc_channel *grpc_channel_new(uv_loop_t *loop, const grpc_channel_config *config) {
  grpc_channel *ch = NEW(grpc_channel);
  ch->loop = loop;
  ch->cfg = *config;
  ch->cfg.host = mem_strdup(config->host);
  ch->cfg.token = NULL;
  if (!ch->cfg.connect_ms) ch->cfg.connect_ms = 5000;
  if (!ch->cfg.keepalive_ms) ch->cfg.keepalive_ms = 10000;
  bool v6 = strchr(config->host, ':') != NULL;
  ch->authority = mem_printf(v6 ? "[%s]:%d" : "%s:%d", config->host, config->port);
  if (config->token) ch->authorization = mem_printf("Bearer %s", config->token);
  if (nghttp2_session_callbacks_new(&ch->callbacks) != 0) abort();
  grpc_request_set_callbacks(ch->callbacks);
  list_init(&ch->conns);
  list_init(&ch->orphans);
  return ch;
}

grpc_request *grpc_channel_call(grpc_channel *ch, const grpc_request_spec *spec) {
  err e = {0};
  if (!ch->current && connect_channel(ch, &e) != RC_OK)
    return grpc_request_new(ch, NULL, spec, e.text);
  return grpc_request_new(ch, ch->current, spec, NULL);
}

void grpc_channel_free(grpc_channel *ch) {
  if (!ch) return;
  ch->current = NULL;
  static const char why[] = "the channel was closed";
  grpc_request_end_all(&ch->orphans, RC_CANCELLED, why);
  LIST_EACH (&ch->conns, it, tmp) {
    grpc_client_conn *conn = LIST_ENTRY(it, grpc_client_conn, node);
    grpc_request_end_all(&conn->requests, RC_CANCELLED, why);
    h2_conn_close(conn->h2, why);
  }
  ch->freed = true;
  channel_release(ch);
}
