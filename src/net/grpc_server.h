/* net/grpc_server.h: a gRPC server on nghttp2, libuv and OpenSSL. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Unary and server-streaming methods; a request is always one message, delivered whole (small) or
 * in pieces (a plan of 300 MB goes to disk as it comes). Everything runs on the loop's thread;
 * there is no global state, so a process may have several servers on several loops.
 *
 * What it promises the official client: PINGs are acknowledged and never counted against it,
 * responses are never compressed, header blocks stay under 16 KiB, a running call is ended with
 * UNAVAILABLE before the GOAWAY of a graceful stop. What it promises the process: every queue,
 * header, message, stream and connection is bounded by `grpc_limits`.
 *
 * Lifetime of a call: it exists from its headers until the later of (stream closed) and (last
 * unref). A handler that answers later takes a ref. Every function on an ended call is a no-op. */
#ifndef FLOE_NET_GRPC_SERVER_H
#define FLOE_NET_GRPC_SERVER_H

#include "base/err.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

typedef struct grpc_server grpc_server;
typedef struct grpc_call grpc_call;

/* A method takes its request whole (on_request) or in pieces (on_open, on_bytes…, on_end). */
typedef struct grpc_method {
  const char *path; /* "/package.Service/Method"; borrowed */
  /* Whole: `message` is valid during the call of on_request only. */
  void (*on_request)(grpc_call *call, const uint8_t *message, size_t len);
  /* Pieces: on_open sees the headers and the announced size of the message. Any of the three may
   * finish the call; then no more of them are called and the rest of the body is dropped. When the
   * call ends early, only the on_end_of_call hook (below) hears of it. */
  void (*on_open)(grpc_call *call, uint64_t message_len);
  void (*on_bytes)(grpc_call *call, const uint8_t *data, size_t len);
  void (*on_end)(grpc_call *call);
  uint64_t max_message; /* 0: limits.max_message */
  bool no_token;        /* everybody may call it (health) */
} grpc_method;

/* Zero means the default that stands beside it. */
typedef struct grpc_limits {
  uint64_t max_message;     /* a request taken whole: 4 MiB */
  size_t max_buffered;      /* request and response bytes held in memory, whole server: 256 MiB */
  unsigned max_connections; /* 1024; more are closed at once */
  unsigned max_streams;     /* for each connection: 256 */
  size_t max_header_bytes;  /* of one request: 64 KiB */
  unsigned handshake_ms;    /* TCP accept to the client's SETTINGS: 10 s */
  unsigned keepalive_ms;    /* idle time before our own PING: 30 s */
  unsigned keepalive_timeout_ms; /* without its ACK the connection is closed: 20 s */
} grpc_limits;

typedef struct grpc_server_config {
  const grpc_method *methods; /* borrowed for the server's life */
  size_t n_methods;
  grpc_limits limits;
  SSL_CTX *tls;      /* NULL: h2c with prior knowledge; borrowed */
  const char *token; /* NULL: none; else calls need `authorization: Bearer <token>`; copied */
  /* May it be made? When its headers are there, before the method hears of it; NULL: yes. */
  rc (*authorize)(grpc_call *call, err *e);
  void *user; /* for grpc_call_user */
} grpc_server_config;

grpc_server *grpc_server_new(uv_loop_t *loop, const grpc_server_config *config);
/* May be called several times (IPv4 and IPv6). `ip` is a literal address; port 0 takes a free one.
 */
MUST_CHECK rc grpc_server_listen(grpc_server *server, const char *ip, int port, err *e);
int grpc_server_port(const grpc_server *server); /* of the first listen */
size_t grpc_server_connections(const grpc_server *server);
/* Stop accepting; every running call gets UNAVAILABLE "…is shutting down"; then GOAWAY; after
 * grace_ms what is left is cut. `done` is called from the loop when nothing is left; only then
 * may grpc_server_free be called. */
void grpc_server_shutdown(grpc_server *server, unsigned grace_ms, void (*done)(void *), void *arg);
void grpc_server_free(grpc_server *server);

void *grpc_call_user(const grpc_call *call);
/* The handler's own data. `on_end_of_call` is called exactly once when the call is over, however
 * it ended: answered, cancelled by the peer, deadline, lost connection, shutdown; never from inside
 * a grpc_call_… function. On a call whose stream is closed it is too late to set one. */
void grpc_call_set_data(grpc_call *call, void *data,
                        void (*on_end_of_call)(grpc_call *, void *data));
void *grpc_call_data(const grpc_call *call);
grpc_call *grpc_call_ref(grpc_call *call);
void grpc_call_unref(grpc_call *call);
bool grpc_call_ended(const grpc_call *call);
const char *grpc_call_header(const grpc_call *call, const char *name); /* NULL: absent */
const char *grpc_call_peer(const grpc_call *call);                     /* "127.0.0.1:1234" */
/* Who makes the call, for `authorize` to say; NULL: it was not said. */
void grpc_call_set_identity(grpc_call *call, char *user_take);
const char *grpc_call_identity(const grpc_call *call);
bool grpc_call_is_from_here(const grpc_call *call); /* by loopback, or from this host's address */

/* Copies the message and queues it. Unary methods send one and finish. */
void grpc_call_send(grpc_call *call, const uint8_t *message, size_t len);
/* A message in pieces, for what is too large to be held: its size, then exactly so many bytes. */
void grpc_call_send_head(grpc_call *call, size_t len);
void grpc_call_send_piece(grpc_call *call, const uint8_t *data, size_t len);
size_t grpc_call_queued(const grpc_call *call); /* bytes not yet handed to the connection */
/* For streams: `refill` is called whenever the queue has run empty and the call is not finished. */
void grpc_call_on_drain(grpc_call *call, void (*refill)(grpc_call *, void *), void *arg);
/* rc OK: success, after what was queued. `text` goes into grpc-message (cut to fit). */
void grpc_call_finish(grpc_call *call, rc code, const char *text);
/* INVALID_ARGUMENT with `grpc-status-details-bin`: the official client raises `details`
 * ("ColumnNotFoundError: zz") as that Python exception. Cut to 8 KiB. */
void grpc_call_finish_details(grpc_call *call, const char *text, const char *details);

#endif
