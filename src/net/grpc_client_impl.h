/* net/grpc_client_impl.h: what the client's files share. SPDX-License-Identifier: Apache-2.0
 *
 * Private to net/. grpc_client.c owns channels and their connections, grpc_request.c is one call.
 * A request is submitted to its connection's session at once, also before there is a socket;
 * nghttp2 holds it back until it may go (connected, and under the peer's limit of streams). */
#ifndef FLOE_NET_GRPC_CLIENT_IMPL_H
#define FLOE_NET_GRPC_CLIENT_IMPL_H

#include "base/list.h"
#include "net/dial.h"
#include "net/grpc_client.h"
#include "net/h2_conn.h"

struct grpc_channel {
  uv_loop_t *loop;
  grpc_channel_config cfg; /* strings owned, zeroes filled in */
  char *authority;         /* "host:port" */
  char *authorization;     /* NULL: none */
  nghttp2_session_callbacks *callbacks;
  struct grpc_client_conn *current; /* takes new requests; NULL: the next one connects */
  list conns;                       /* current, and those that only end what they have */
  list orphans;                     /* requests that never got a connection, until on_done */
  bool freed;
};

typedef struct grpc_client_conn {
  list node;
  grpc_channel *channel;
  h2_conn *h2;
  dial *dial; /* NULL: connected, or over */
  list requests;
} grpc_client_conn;

/* grpc_client.c: the connection takes no new requests. */
void grpc_client_conn_retire(grpc_client_conn *conn);

/* grpc_request.c */
/* conn NULL: it fails from the loop with `why`. */
grpc_request *grpc_request_new(grpc_channel *channel, grpc_client_conn *conn,
                               const grpc_request_spec *spec, const char *why);
/* Ends it now: on_done is called from inside. */
void grpc_request_end(grpc_request *request, rc code, const char *text);
void grpc_request_end_all(list *requests, rc code, const char *text);
void grpc_request_set_callbacks(nghttp2_session_callbacks *callbacks);

#endif
