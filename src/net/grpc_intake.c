/* net/grpc_intake.c: from HTTP/2 frames to a handler's on_request, or on_open, on_bytes, on_end.
 * SPDX-License-Identifier: Apache-2.0
 *
 * All of a client's bytes are judged here: headers when they are complete, the body as it comes.
 * A body is consumed at once, whether a handler takes it in pieces or it is collected within its
 * bounds; so nothing a client sends waits in nghttp2. */
#include "base/log.h"
#include "net/bearer.h"
#include "net/grpc_meta.h"
#include "net/grpc_server_impl.h"
#include "net/oneshot.h"

#include <stdio.h>
#include <string.h>

enum { HEADER_OVERHEAD = 32 }; /* what HTTP/2 counts for a header besides its bytes */

static grpc_call *call_of(nghttp2_session *session, int32_t stream) {
  return nghttp2_session_get_stream_user_data(session, stream);
}

/* ---- headers ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
  if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  grpc_call *call = grpc_call_new(user, frame->hd.stream_id);
  nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
  return 0;
}

static const grpc_method *find_method(const grpc_server_config *cfg, const uint8_t *path,
                                      size_t len) {
  for (size_t i = 0; i < cfg->n_methods; i++)
    if (strlen(cfg->methods[i].path) == len && !memcmp(cfg->methods[i].path, path, len))
      return &cfg->methods[i];
  return NULL;
}

/* Both end with a NUL, and nghttp2 lets none in between. */
static void keep_header(grpc_call *call, const uint8_t *name, size_t name_len, const uint8_t *value,
                        size_t value_len) {
  grpc_server *server = call->conn->server;
  size_t size = name_len + value_len + HEADER_OVERHEAD;
  if (call->headers_too_long || size > server->cfg.limits.max_header_bytes - call->header_bytes ||
      !grpc_server_charge(server, size)) {
    call->headers_too_long = true;
    return;
  }
  call->header_bytes += size;
  if (buf_append(&call->headers, name, name_len + 1, NULL) != RC_OK ||
      buf_append(&call->headers, value, value_len + 1, NULL) != RC_OK)
    call->headers_too_long = true;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user) {
  (void)flags, (void)user;
  grpc_call *call = call_of(session, frame->hd.stream_id);
  if (!call || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  const char *n = (const char *)name;
  if (!strcmp(n, ":method")) call->is_post = !strcmp((const char *)value, "POST");
  if (!strcmp(n, ":path")) call->method = find_method(&call->conn->server->cfg, value, value_len);
  if (!strcmp(n, "content-type")) call->is_grpc = grpc_is_content_type(value, value_len);
  if (!strcmp(n, "grpc-timeout")) {
    call->has_timeout = true;
    call->bad_timeout = !grpc_timeout_parse(value, value_len, &call->timeout_ms);
  }
  keep_header(call, name, name_len, value, value_len);
  return 0;
}

static rc authorize(grpc_call *call, err *e) {
  const grpc_server_config *cfg = &call->conn->server->cfg;
  if (call->method->no_token) return RC_OK;
  if (cfg->token && !bearer_matches(grpc_call_header(call, "authorization"), cfg->token))
    return ERR(e, RC_UNAUTHENTICATED,
               "expected the header `authorization: Bearer <the server's token>`");
  return cfg->authorize ? cfg->authorize(call, e) : RC_OK;
}

static void on_deadline(void *arg) {
  grpc_call_abort(arg, RC_DEADLINE, "the deadline of the call has passed");
}

static void refuse_unknown_method(grpc_call *call) {
  char text[256];
  snprintf(text, sizeof text, "this server has no method %s", grpc_call_header(call, ":path"));
  grpc_call_abort(call, RC_UNIMPLEMENTED, text);
}

static bool speaks_grpc(const grpc_call *call) {
  return call->is_post && call->is_grpc;
}

static void on_headers_complete(grpc_call *call) {
  grpc_server *server = call->conn->server;
  err e = {0};
  if (!speaks_grpc(call)) return; /* is told so when its request is complete */
  if (call->headers_too_long) {
    grpc_call_abort(call, RC_EXHAUSTED, "the headers are longer than the server has room for");
  } else if (!call->method) {
    refuse_unknown_method(call);
  } else if (authorize(call, &e) != RC_OK) {
    LOG_INFO("call refused", "method", call->method->path, "peer", call->peer, "reason", e.text);
    grpc_call_abort(call, e.code, e.text);
  } else if (call->bad_timeout) {
    grpc_call_abort(call, RC_INVALID, "grpc-timeout: expected up to 8 digits and one of HMSmun");
  } else if (server->closing) {
    grpc_call_abort(call, RC_UNAVAILABLE, "the server is shutting down");
  } else if (call->has_timeout) {
    oneshot_start(&call->deadline, server->loop, call->timeout_ms, on_deadline, call);
  }
}

/* ---- body ---- */

static void on_message_open(grpc_call *call) {
  const grpc_limits *limits = &call->conn->server->cfg.limits;
  uint64_t most = call->method->max_message ? call->method->max_message : limits->max_message;
  char text[160];
  if (++call->messages > 1) {
    grpc_call_abort(call, RC_UNIMPLEMENTED, "expected one request message, found more");
  } else if (call->frame.compressed) {
    grpc_call_abort(call, RC_UNIMPLEMENTED, "compressed messages are not supported; send plain");
  } else if (call->frame.size > most) {
    snprintf(text, sizeof text, "the request has %u bytes, this method takes at most %llu",
             call->frame.size, (unsigned long long)most);
    grpc_call_abort(call, RC_EXHAUSTED, text);
  } else if (call->method->on_open) {
    call->method->on_open(call, call->frame.size);
  }
}

/* Grows with what has come, not with what was announced. */
static void collect(grpc_call *call, const uint8_t *data, size_t len) {
  grpc_server *server = call->conn->server;
  if (grpc_server_charge(server, len)) {
    if (buf_append(&call->message, data, len, NULL) == RC_OK) return;
    grpc_server_discharge(server, len);
  }
  grpc_call_abort(call, RC_EXHAUSTED,
                  "the server holds as many request bytes as it may; try again later");
}

static void on_message_bytes(grpc_call *call) {
  if (call->method->on_request)
    collect(call, call->frame.piece, call->frame.piece_len);
  else
    call->method->on_bytes(call, call->frame.piece, call->frame.piece_len);
}

static void take_body(grpc_call *call, const uint8_t *data, size_t len) {
  grpc_frame_event event;
  while (!call->finished && (event = grpc_frame_next(&call->frame, &data, &len))) {
    if (event == GRPC_FRAME_OPEN) on_message_open(call);
    if (event == GRPC_FRAME_BYTES) on_message_bytes(call);
  }
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *user) {
  (void)user;
  grpc_call *call = call_of(session, stream);
  if (!call || call->finished) { /* the stream's window is not given back: it shall stop */
    nghttp2_session_consume_connection(session, len);
    if (!call || (flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    call->dropping = true;
    grpc_call_stop_upload(call);
    return 0;
  }
  if (speaks_grpc(call)) take_body(call, data, len);
  nghttp2_session_consume(session, stream, len);
  return 0;
}

static void on_request_complete(grpc_call *call) {
  if (call->finished) return;
  if (!call->is_post) {
    grpc_call_answer_http(call, "405", "This port speaks gRPC: expected POST.\n");
  } else if (!call->is_grpc) {
    grpc_call_answer_http(call, "415", "This port speaks gRPC: expected application/grpc.\n");
  } else if (call->messages == 0) {
    grpc_call_abort(call, RC_UNIMPLEMENTED, "expected one request message, found none");
  } else if (!grpc_frame_between(&call->frame)) {
    grpc_call_abort(call, RC_INVALID, "the request ends in the middle of its message");
  } else if (call->method->on_request) {
    buf message = call->message; /* stays whole for the handler, however the call ends in it */
    call->message = (buf){0};
    call->method->on_request(call, (const uint8_t *)buf_text(&message), message.len);
    grpc_server_discharge(call->conn->server, message.len);
    buf_deinit(&message);
  } else {
    call->method->on_end(call);
  }
}

/* ---- frames ---- */

/* nghttp2 ignores HEADERS on a stream that was passed over, because it does not remember which of
 * the old ones ever lived; RFC 9113 5.1.1 asks for a connection error. One gap is remembered. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *user) {
  grpc_server_conn *conn = user;
  int32_t stream = head->stream_id;
  if (head->type != NGHTTP2_HEADERS) return 0;
  if (stream > conn->skipped_above && stream < conn->skipped_below)
    return nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
  if (stream <= conn->last_stream) return 0;
  if (stream > conn->last_stream + 2) {
    conn->skipped_above = conn->last_stream;
    conn->skipped_below = stream;
  }
  conn->last_stream = stream;
  return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
  grpc_server_conn *conn = user;
  bool last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
  switch (frame->hd.type) {
  case NGHTTP2_SETTINGS:
    h2_conn_settled(conn->h2);
    return 0;
  case NGHTTP2_HEADERS:
  case NGHTTP2_DATA:
    break;
  default:
    return 0;
  }
  grpc_call *call = call_of(session, frame->hd.stream_id);
  if (!call) return 0;
  if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
    on_headers_complete(call);
  if (last) on_request_complete(call);
  return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
  (void)user;
  if (frame->hd.type != NGHTTP2_HEADERS || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
  grpc_call *call = call_of(session, frame->hd.stream_id);
  if (call) grpc_call_stop_upload(call);
  return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error, void *user) {
  (void)error, (void)user;
  grpc_call *call = call_of(session, stream);
  if (!call) return 0;
  nghttp2_session_set_stream_user_data(session, stream, NULL);
  grpc_call_close(call);
  return 0;
}

void grpc_intake_set_callbacks(nghttp2_session_callbacks *callbacks) {
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
