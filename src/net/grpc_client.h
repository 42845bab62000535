/* net/grpc_client.h: a gRPC client on nghttp2, libuv and OpenSSL. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A channel is at most one connection to one peer. It connects when a call needs it; when the
 * connection breaks, the calls on it fail with UNAVAILABLE and the next call connects anew. Calls
 * made while connecting wait for it (bounded by connect_ms). Retrying is the caller's business:
 * only the caller knows whether a repeat is safe. All on the loop's thread. */
#ifndef FLOE_NET_GRPC_CLIENT_H
#define FLOE_NET_GRPC_CLIENT_H

#include "base/err.h"
#include "base/spool.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

typedef struct grpc_channel grpc_channel;
typedef struct grpc_request grpc_request;

typedef struct grpc_channel_config {
  const char *host; /* name or literal address; names are resolved at each connect; copied */
  int port;
  SSL_CTX *tls;         /* NULL: h2c; borrowed */
  const char *tls_name; /* whom the certificate must name; NULL: the host; borrowed */
  const char *token;    /* sent as `authorization: Bearer`; NULL: none; copied */
  unsigned connect_ms;  /* 0: 5 s */
  unsigned
      keepalive_ms; /* PING while calls are open; 0: 10 s; no ACK within the same time: closed */
} grpc_channel_config;

typedef struct grpc_request_spec {
  const char *path;
  unsigned deadline_ms; /* 0: none; also sent as grpc-timeout */
  /* The message is `head` followed by all of `tail` (may be NULL). head is copied; tail is
   * borrowed and must live and stay unchanged until on_done or grpc_request_cancel. */
  const uint8_t *head;
  size_t head_len;
  spool *tail;
  bool streams; /* the method answers with a stream; else it must answer with one message */
  void *arg;
  /* Each response message, whole, valid during the call only. May be NULL. */
  void (*on_message)(void *arg, const uint8_t *message, size_t len);
  /* Exactly once, never from inside grpc_channel_call. `code` RC_OK: status 0 and, unless it
   * streams, one message was delivered before. `text`: the peer's or our own explanation. The
   * request is invalid afterwards. */
  void (*on_done)(void *arg, rc code, const char *text);
} grpc_request_spec;

grpc_channel *grpc_channel_new(uv_loop_t *loop, const grpc_channel_config *config);
/* Pending calls end with CANCELLED from inside this call; memory goes when the loop has closed
 * the handles. The channel must not be used afterwards. */
void grpc_channel_free(grpc_channel *channel);
grpc_request *grpc_channel_call(grpc_channel *channel, const grpc_request_spec *spec);
/* Has any of the message been handed to a connection? False, also inside on_done: the peer has
 * surely not begun the call, so a repeat is safe. */
bool grpc_request_begun(const grpc_request *request);
/* RST_STREAM CANCEL to the peer; on_done follows with CANCELLED, from the loop. Nothing reads the
 * tail any more. */
void grpc_request_cancel(grpc_request *request);

#endif
