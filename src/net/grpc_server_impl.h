/* net/grpc_server_impl.h: what the server's files share. SPDX-License-Identifier: Apache-2.0
 *
 * Private to net/. grpc_server.c owns connections, grpc_intake.c turns frames into requests,
 * grpc_call.c is a call's life and its answer. */
#ifndef FLOE_NET_GRPC_SERVER_IMPL_H
#define FLOE_NET_GRPC_SERVER_IMPL_H

#include "base/buf.h"
#include "base/list.h"
#include "net/grpc_frame.h"
#include "net/grpc_server.h"
#include "net/h2_conn.h"

struct grpc_server {
  uv_loop_t *loop;
  grpc_server_config cfg; /* limits filled in; token owned */
  nghttp2_session_callbacks *callbacks;
  list listeners, conns;
  size_t n_conns;                    /* connections that are up */
  size_t open_conns, open_listeners; /* not yet freed */
  size_t buffered; /* bytes of requests and responses held, against limits.max_buffered */
  int port;
  bool closing;
  uv_timer_t *tick; /* of the shutdown */
  uint64_t cut_at;  /* loop time, ms */
  void (*done)(void *);
  void *done_arg;
};

typedef struct grpc_server_conn {
  list node;
  grpc_server *server;
  h2_conn *h2;
  list calls;
  bool said_goaway;
  int32_t last_stream;                  /* the client's newest stream */
  int32_t skipped_above, skipped_below; /* the newest numbers it passed over, both exclusive */
  char peer[64];
  bool same_host;
} grpc_server_conn;

typedef struct grpc_chunk { /* a message in the response queue, with its frame head */
  struct grpc_chunk *next;
  size_t len, off;
  uint8_t bytes[];
} grpc_chunk;

struct grpc_call {
  list node;
  grpc_server_conn *conn; /* NULL: the stream is closed, the call has ended */
  int32_t stream;
  unsigned refs; /* the stream's and the handler's */
  void *user;
  void *data;
  void (*on_end_of_call)(grpc_call *, void *);
  char peer[64];
  char *identity; /* NULL: not said */
  bool same_host;

  /* request */
  const grpc_method *method; /* NULL: unknown */
  buf headers;               /* name NUL value NUL … */
  size_t header_bytes;       /* as HTTP/2 counts them; charged to the server until the end */
  bool is_post, is_grpc, headers_too_long, has_timeout, bad_timeout;
  uint64_t timeout_ms;
  uv_timer_t *deadline;
  grpc_frame frame;
  unsigned messages; /* begun */
  buf message;       /* of a method that takes it whole; charged to the server */
  bool dropping;     /* body bytes came after the call was finished */

  /* response */
  bool responded;          /* the headers were submitted */
  bool finished;           /* the status is known */
  bool trailers_sent;      /* … and submitted */
  const char *http_status; /* NULL: an answer of gRPC */
  rc code;
  char *status_text, *details; /* encoded, owned */
  grpc_chunk *queue, **queue_end;
  size_t queued;
  void (*refill)(grpc_call *, void *);
  void *refill_arg;
};

/* grpc_server.c: false: over limits.max_buffered, nothing charged. */
bool grpc_server_charge(grpc_server *server, size_t bytes);
void grpc_server_discharge(grpc_server *server, size_t bytes);

/* grpc_call.c */
grpc_call *grpc_call_new(grpc_server_conn *conn, int32_t stream);
/* The stream is closed: everything is released but the object itself, which waits for unrefs. */
void grpc_call_close(grpc_call *call);
/* The server ends the call: what it holds is dropped and the handler hears of it at once. */
void grpc_call_abort(grpc_call *call, rc code, const char *text);
/* An answer that is not gRPC, because the request was not; both texts live for ever. */
void grpc_call_answer_http(grpc_call *call, const char *status, const char *text);
/* The answer is out, the client still uploads: tell it to stop. */
void grpc_call_stop_upload(grpc_call *call);

/* grpc_intake.c: sets the callbacks; their user_data is a grpc_server_conn. */
void grpc_intake_set_callbacks(nghttp2_session_callbacks *callbacks);

#endif
