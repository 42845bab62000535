/* net/grpc_request.c: one call of a client: its body as nghttp2 asks for it, its answer as it
 * comes, its end. SPDX-License-Identifier: Apache-2.0
 *
 * A request that has ended is taken off its stream, so late frames find nobody. */
#include "base/buf.h"
#include "base/mem.h"
#include "net/grpc_client_impl.h"
#include "net/grpc_frame.h"
#include "net/grpc_meta.h"
#include "net/oneshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESPONSE_MOST = 64 << 20, NO_STATUS = -1 };

struct grpc_request {
  list node;              /* in its connection's requests, or the channel's orphans */
  grpc_client_conn *conn; /* NULL: it has no stream (any more) */
  int32_t stream;
  unsigned refs; /* its list's, and that of whoever is inside a callback */
  uv_loop_t *loop;
  bool answered;          /* the peer has said all it had to say */
  bool ended;             /* on_done was called */
  grpc_request_spec spec; /* head and path not kept */
  uv_timer_t *timer;      /* the deadline; or, when `fate` is set, the next turn of the loop */
  rc fate;                /* what on_done will get, once this is not RC_OK */
  char *fate_text;

  buf head;      /* frame head and spec.head */
  uint64_t sent; /* of head and tail together */

  int http_status, grpc_status;
  char *status_text; /* decoded */
  grpc_frame frame;
  buf message; /* being collected */
  unsigned messages;
};

/* ---- the end ---- */

static void unref(grpc_request *q) {
  if (--q->refs) return;
  buf_deinit(&q->head);
  buf_deinit(&q->message);
  free(q->status_text);
  free(q->fate_text);
  free(q);
}

/* Nothing of the stream reaches the request after this. The peer is told to stop, unless both
 * sides have said all they had to say. */
static void leave_stream(grpc_request *q) {
  if (!q->conn) return;
  nghttp2_session *session = h2_conn_session(q->conn->h2);
  nghttp2_session_set_stream_user_data(session, q->stream, NULL);
  if (!q->answered || nghttp2_session_get_stream_local_close(session, q->stream) != 1) {
    uint32_t why = q->answered ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL;
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, q->stream, why);
    h2_conn_flush_soon(q->conn->h2);
  }
  q->conn = NULL;
}

void grpc_request_end(grpc_request *q, rc code, const char *text) {
  if (q->ended) return;
  q->ended = true;
  oneshot_cancel(&q->timer);
  leave_stream(q);
  list_remove(&q->node);
  bool doomed = q->fate != RC_OK;
  q->spec.on_done(q->spec.arg, doomed ? q->fate : code, doomed ? q->fate_text : text);
  unref(q);
}

/* Also when on_done makes new requests or frees the channel: each round takes the first one. */
void grpc_request_end_all(list *requests, rc code, const char *text) {
  while (!list_empty(requests))
    grpc_request_end(LIST_ENTRY(requests->next, grpc_request, node), code, text);
}

static void meet_fate(void *arg) {
  grpc_request_end(arg, RC_INTERNAL, "");
}

/* Like grpc_request_end, but on_done comes from the loop. */
static void end_soon(grpc_request *q, rc code, const char *text) {
  if (q->ended || q->fate != RC_OK) return;
  q->fate = code;
  q->fate_text = mem_strdup(text);
  leave_stream(q);
  oneshot_start(&q->timer, q->loop, 0, meet_fate, q);
}

bool grpc_request_begun(const grpc_request *q) {
  return q->sent > 0;
}

void grpc_request_cancel(grpc_request *q) {
  end_soon(q, RC_CANCELLED, "cancelled by the caller");
}

static void on_deadline(void *arg) {
  grpc_request *q = arg;
  char text[64];
  snprintf(text, sizeof text, "no answer within %u ms", q->spec.deadline_ms);
  grpc_request_end(q, RC_DEADLINE, text);
}

/* ---- the request's body ---- */

static uint64_t body_len(const grpc_request *q) {
  return q->head.len + (q->spec.tail ? spool_len(q->spec.tail) : 0);
}

static rc take_body(grpc_request *q, uint8_t *out, size_t most, size_t *put, err *e) {
  *put = 0;
  if (q->sent < q->head.len) {
    size_t left = q->head.len - (size_t)q->sent;
    *put = left < most ? left : most;
    memcpy(out, q->head.data + q->sent, *put);
  }
  if (*put < most && q->spec.tail) {
    size_t got = 0;
    TRY(spool_read(q->spec.tail, q->sent + *put - q->head.len, out + *put, most - *put, &got, e));
    *put += got;
  }
  q->sent += *put;
  return RC_OK;
}

static ssize_t on_body(nghttp2_session *session, int32_t stream, uint8_t *out, size_t most,
                       uint32_t *flags, nghttp2_data_source *source, void *user) {
  (void)source, (void)user;
  grpc_request *q = nghttp2_session_get_stream_user_data(session, stream);
  if (!q) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  size_t put = 0;
  err e = {0};
  rc r = take_body(q, out, most, &put, &e);
  if (r == RC_OK && !put && q->sent < body_len(q))
    r = ERR(&e, RC_IO, "the request's tail became shorter while it was sent");
  if (r != RC_OK) {
    end_soon(q, r, e.text);
    return NGHTTP2_ERR_DEFERRED;
  }
  if (q->sent == body_len(q)) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return (ssize_t)put;
}

static int submit(grpc_request *q, const grpc_channel *ch, const char *path) {
  char timeout[GRPC_TIMEOUT_SIZE];
  size_t n = 0;
  nghttp2_nv h[9];
  h[n++] = grpc_header(":method", "POST");
  h[n++] = grpc_header(":scheme", ch->cfg.tls ? "https" : "http");
  h[n++] = grpc_header(":authority", ch->authority);
  h[n++] = grpc_header(":path", path);
  if (q->spec.deadline_ms) {
    grpc_timeout_print(q->spec.deadline_ms, timeout);
    h[n++] = grpc_header("grpc-timeout", timeout);
  }
  h[n++] = grpc_header("te", "trailers");
  h[n++] = grpc_header("content-type", "application/grpc");
  h[n++] = grpc_header("user-agent", "floe/" FLOE_VERSION);
  if (ch->authorization) h[n++] = grpc_header("authorization", ch->authorization);
  nghttp2_data_provider body = {.read_callback = on_body};
  q->stream = nghttp2_submit_request(h2_conn_session(q->conn->h2), NULL, h, n, &body, q);
  return q->stream;
}

static rc set_head(grpc_request *q, const grpc_request_spec *spec, err *e) {
  uint64_t len = spec->head_len + (spec->tail ? spool_len(spec->tail) : 0);
  if (len > GRPC_FRAME_MOST)
    return ERR(e, RC_INVALID, "%s: a message has at most 4 GiB, this one %llu bytes", spec->path,
               (unsigned long long)len);
  uint8_t frame_head[GRPC_FRAME_HEAD];
  grpc_frame_head(frame_head, (size_t)len);
  TRY(buf_append(&q->head, frame_head, sizeof frame_head, e));
  return buf_append(&q->head, spec->head, spec->head_len, e);
}

grpc_request *grpc_request_new(grpc_channel *ch, grpc_client_conn *conn,
                               const grpc_request_spec *spec, const char *why) {
  grpc_request *q = NEW(grpc_request);
  q->refs = 1;
  q->loop = ch->loop;
  q->spec = *spec;
  q->grpc_status = NO_STATUS;
  q->conn = conn;
  list_push_back(conn ? &conn->requests : &ch->orphans, &q->node);
  err e = {0};
  if (!conn) {
    end_soon(q, RC_UNAVAILABLE, why);
  } else if (set_head(q, spec, &e) != RC_OK) {
    end_soon(q, e.code, e.text);
  } else if (submit(q, ch, spec->path) < 0) {
    grpc_client_conn_retire(conn); /* out of stream numbers, most likely: the next one reconnects */
    end_soon(q, RC_UNAVAILABLE, nghttp2_strerror(q->stream));
  } else {
    if (spec->deadline_ms) oneshot_start(&q->timer, ch->loop, spec->deadline_ms, on_deadline, q);
    h2_conn_flush_soon(conn->h2);
  }
  return q;
}

/* ---- the answer ---- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user) {
  (void)flags, (void)user, (void)name_len;
  grpc_request *q = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
  if (!q) return 0;
  const char *n = (const char *)name, *v = (const char *)value; /* nghttp2 ends both with a NUL */
  if (!strcmp(n, ":status")) q->http_status = atoi(v);
  if (!strcmp(n, "grpc-status")) q->grpc_status = (int)strtoul(v, NULL, 10);
  if (!strcmp(n, "grpc-message") && !q->status_text) {
    char text[GRPC_MESSAGE_MOST + 1];
    grpc_message_decode(value, value_len, text);
    q->status_text = mem_strdup(text);
  }
  return 0;
}

static void deliver(grpc_request *q, const uint8_t *message, size_t len) {
  if (++q->messages > 1 && !q->spec.streams) {
    end_soon(q, RC_INTERNAL, "expected one response message, found more");
    return;
  }
  if (q->spec.on_message) q->spec.on_message(q->spec.arg, message, len);
}

static void on_message_open(grpc_request *q) {
  if (q->frame.compressed)
    end_soon(q, RC_INTERNAL, "the response is compressed, which was not offered");
  else if (q->frame.size > RESPONSE_MOST)
    end_soon(q, RC_EXHAUSTED, "the response has more than 64 MiB in one message");
}

static void on_message_bytes(grpc_request *q) {
  err e = {0};
  if (q->frame.piece_len == q->frame.size) return; /* whole in one piece: delivered from there */
  if (buf_append(&q->message, q->frame.piece, q->frame.piece_len, &e) != RC_OK)
    end_soon(q, e.code, e.text);
}

static void on_message_close(grpc_request *q) {
  bool whole = q->frame.piece_len == q->frame.size;
  deliver(q, whole ? q->frame.piece : q->message.data, q->frame.size);
  buf_deinit(&q->message);
}

/* Nobody is interested any more: it has ended, or will in the next turn of the loop. */
static bool is_lost(const grpc_request *q) {
  return q->ended || q->fate != RC_OK;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *user) {
  (void)flags, (void)user;
  size_t taken = len;
  grpc_request *q = nghttp2_session_get_stream_user_data(session, stream);
  if (q) {
    q->refs++; /* on_message may cancel it or free the channel */
    grpc_frame_event event;
    while (!is_lost(q) && (event = grpc_frame_next(&q->frame, &data, &len))) {
      if (event == GRPC_FRAME_OPEN) on_message_open(q);
      if (event == GRPC_FRAME_BYTES) on_message_bytes(q);
      if (event == GRPC_FRAME_CLOSE) on_message_close(q);
    }
    unref(q);
  }
  nghttp2_session_consume(session, stream, taken);
  return 0;
}

static void end_with_status(grpc_request *q) {
  rc code = rc_from_grpc(q->grpc_status);
  const char *text = q->status_text ? q->status_text : "";
  if (code == RC_OK && !grpc_frame_between(&q->frame)) {
    code = RC_INTERNAL;
    text = "the response ends in the middle of a message";
  } else if (code == RC_OK && !q->spec.streams && q->messages != 1) {
    code = RC_INTERNAL;
    text = "expected one response message, found none";
  }
  grpc_request_end(q, code, text);
}

static void end_without_status(grpc_request *q, uint32_t h2_error) {
  char text[128];
  bool http = q->http_status != 0 && q->http_status != 200;
  if (http)
    snprintf(text, sizeof text, "expected a gRPC status, found HTTP status %d", q->http_status);
  else
    snprintf(text, sizeof text, "expected a gRPC status, found the end of the stream (%s)",
             nghttp2_http2_strerror(h2_error));
  grpc_request_end(q, http ? grpc_rc_from_http(q->http_status) : grpc_rc_from_h2(h2_error), text);
}

/* nghttp2 closes the streams that the peer will not serve, but not those it holds back. Ending one
 * may end others, so each search begins anew. */
static void on_goaway(grpc_client_conn *conn, int32_t last_stream) {
  grpc_client_conn_retire(conn);
  grpc_request *found;
  do {
    found = NULL;
    LIST_EACH (&conn->requests, it, tmp)
      if (LIST_ENTRY(it, grpc_request, node)->stream > last_stream)
        found = LIST_ENTRY(it, grpc_request, node);
    if (found) grpc_request_end(found, RC_UNAVAILABLE, "the server takes no more calls (GOAWAY)");
  } while (found);
}

/* The answer may be complete while the request's body is not: then the rest is not sent. */
static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
  grpc_client_conn *conn = user;
  if (frame->hd.type == NGHTTP2_SETTINGS) h2_conn_settled(conn->h2);
  if (frame->hd.type == NGHTTP2_GOAWAY) on_goaway(conn, frame->goaway.last_stream_id);
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
  grpc_request *q = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
  if (!q || q->grpc_status == NO_STATUS) return 0;
  q->answered = true;
  end_with_status(q);
  return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error, void *user) {
  (void)user;
  grpc_request *q = nghttp2_session_get_stream_user_data(session, stream);
  if (!q) return 0;
  q->conn = NULL;
  if (q->grpc_status != NO_STATUS)
    end_with_status(q);
  else
    end_without_status(q, error);
  return 0;
}

/* nghttp2 could not send the request, for example because its headers are too long. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *user) {
  grpc_client_conn *conn = user;
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  LIST_EACH (&conn->requests, it, tmp) {
    grpc_request *q = LIST_ENTRY(it, grpc_request, node);
    if (q->stream != frame->hd.stream_id || !q->conn) continue;
    nghttp2_session_set_stream_user_data(session, q->stream, NULL);
    q->conn = NULL;
    grpc_request_end(q, RC_INTERNAL, nghttp2_strerror(error));
    break;
  }
  return 0;
}

void grpc_request_set_callbacks(nghttp2_session_callbacks *callbacks) {
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
