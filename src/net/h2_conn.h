/* net/h2_conn.h: one HTTP/2 connection: TCP, TLS if wanted, an nghttp2 session, its timers.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Private to net/; the server and the client both stand on it. It moves bytes between the socket
 * and the session and decides when a connection is dead; it knows nothing of gRPC. The owner
 * submits to the session at any time (also from nghttp2's callbacks) and says h2_conn_flush_soon;
 * everything submitted in one turn of the loop leaves in one write. While the socket takes no more,
 * nothing is asked of the session, so the back-pressure reaches the owner's data callbacks.
 *
 * An idle connection holds no buffer but nghttp2's own. */
#ifndef FLOE_NET_H2_CONN_H
#define FLOE_NET_H2_CONN_H

#include "base/err.h"

#include <nghttp2/nghttp2.h>
#include <openssl/types.h>
#include <stdbool.h>
#include <uv.h>

/* What we let a peer send before we have taken it: bodies are consumed as they come, so these are
 * the reach of one round trip, not memory. */
enum { H2_STREAM_WINDOW = 4 << 20, H2_CONN_WINDOW = 16 << 20 };

typedef struct h2_conn h2_conn;

typedef struct h2_conn_config {
  uv_loop_t *loop;
  bool server;
  SSL_CTX *tls;               /* NULL: plain; borrowed */
  const char *host;           /* client with TLS: whom the certificate must name */
  unsigned max_streams;       /* server: SETTINGS_MAX_CONCURRENT_STREAMS */
  uint32_t max_header_bytes;  /* SETTINGS_MAX_HEADER_LIST_SIZE */
  unsigned handshake_ms;      /* from h2_conn_new to the peer's SETTINGS */
  unsigned keepalive_ms;      /* silence before our PING */
  unsigned keepalive_timeout; /* ms of further silence before the connection counts as dead */
  const nghttp2_session_callbacks *callbacks; /* their user_data is `owner`; copied */
  void *owner;
  bool (*is_idle)(void *owner); /* no PING wanted now; NULL: PINGs are always wanted */
  /* Once, never from inside h2_conn_new: nothing comes or goes any more; streams that were open
   * hear nothing else. The session lives until this returns. `why` is for people. */
  void (*on_down)(void *owner, const char *why);
  /* The last call, from the loop, after on_down: the connection is freed. */
  void (*on_gone)(void *owner);
} h2_conn_config;

MUST_CHECK rc h2_conn_new(const h2_conn_config *config, h2_conn **out, err *e);
/* A connected handle from malloc; the connection closes and frees it. */
void h2_conn_start(h2_conn *c, uv_tcp_t *tcp);
nghttp2_session *h2_conn_session(const h2_conn *c); /* NULL after on_down */
/* The owner saw the peer's SETTINGS: the handshake is over. */
void h2_conn_settled(h2_conn *c);
void h2_conn_flush_soon(h2_conn *c);
void h2_conn_flush(h2_conn *c); /* now, if not inside one of the session's callbacks */
/* Ends it; inside one of the session's callbacks this happens when they have returned. */
void h2_conn_close(h2_conn *c, const char *why);

#endif
