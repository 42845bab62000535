/* net/grpc_call.c: a server's call: its life and its answer. SPDX-License-Identifier: Apache-2.0
 *
 * The end-of-call hook runs when the stream closes, or at once when the server ends the call
 * (deadline, shutdown, a broken request); never from inside a function that the handler called. */
#include "base/mem.h"
#include "net/grpc_meta.h"
#include "net/grpc_server_impl.h"
#include "net/oneshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

grpc_call *grpc_call_new(grpc_server_conn *conn, int32_t stream) {
  grpc_call *call = NEW(grpc_call);
  call->conn = conn;
  call->stream = stream;
  call->refs = 1;
  call->user = conn->server->cfg.user;
  call->queue_end = &call->queue;
  memcpy(call->peer, conn->peer, sizeof call->peer);
  call->same_host = conn->same_host;
  list_push_back(&conn->calls, &call->node);
  return call;
}

grpc_call *grpc_call_ref(grpc_call *call) {
  call->refs++;
  return call;
}

void grpc_call_unref(grpc_call *call) {
  if (--call->refs) return;
  buf_deinit(&call->headers);
  free(call->status_text);
  free(call->details);
  free(call->identity);
  free(call);
}

static void pop_chunk(grpc_call *call) {
  grpc_chunk *first = call->queue;
  call->queue = first->next;
  if (!call->queue) call->queue_end = &call->queue;
  free(first);
}

static void drop_queue(grpc_call *call) {
  grpc_server_discharge(call->conn->server, call->queued);
  call->queued = 0;
  while (call->queue) pop_chunk(call);
}

static void drop_message(grpc_call *call) {
  grpc_server_discharge(call->conn->server, call->message.len);
  buf_deinit(&call->message);
}

static void tell_handler(grpc_call *call) {
  void (*hook)(grpc_call *, void *) = call->on_end_of_call;
  call->on_end_of_call = NULL;
  if (hook) hook(call, call->data);
}

void grpc_call_close(grpc_call *call) {
  drop_queue(call);
  drop_message(call);
  grpc_server_discharge(call->conn->server, call->header_bytes);
  oneshot_cancel(&call->deadline);
  list_remove(&call->node);
  call->conn = NULL;
  tell_handler(call);
  grpc_call_unref(call);
}

bool grpc_call_ended(const grpc_call *call) {
  return !call->conn || call->finished;
}

/* ---- what a handler may ask ---- */

void *grpc_call_user(const grpc_call *call) {
  return call->user;
}
void *grpc_call_data(const grpc_call *call) {
  return call->data;
}
size_t grpc_call_queued(const grpc_call *call) {
  return call->queued;
}
const char *grpc_call_peer(const grpc_call *call) {
  return call->peer;
}
bool grpc_call_is_from_here(const grpc_call *call) {
  return call->same_host;
}

const char *grpc_call_identity(const grpc_call *call) {
  return call->identity;
}

void grpc_call_set_identity(grpc_call *call, char *user_take) {
  free(call->identity);
  call->identity = user_take;
}

void grpc_call_set_data(grpc_call *call, void *data,
                        void (*on_end_of_call)(grpc_call *, void *data)) {
  call->data = data;
  call->on_end_of_call = on_end_of_call;
}

const char *grpc_call_header(const grpc_call *call, const char *name) {
  const char *at = (const char *)call->headers.data, *end = at + call->headers.len;
  while (call->headers.len && at < end) {
    const char *value = at + strlen(at) + 1;
    if (!strcmp(at, name)) return value;
    at = value + strlen(value) + 1;
  }
  return NULL;
}

/* ---- the answer ---- */

static size_t status_headers(const grpc_call *call, nghttp2_nv out[3], char code[12]) {
  size_t n = 0;
  snprintf(code, 12, "%d", rc_grpc(call->code));
  out[n++] = grpc_header("grpc-status", code);
  if (call->status_text) out[n++] = grpc_header("grpc-message", call->status_text);
  if (call->details) out[n++] = grpc_header("grpc-status-details-bin", call->details);
  return n;
}

static size_t take_from_queue(grpc_call *call, uint8_t *out, size_t most) {
  size_t put = 0;
  while (put < most && call->queue) {
    grpc_chunk *c = call->queue;
    size_t n = c->len - c->off < most - put ? c->len - c->off : most - put;
    memcpy(out + put, c->bytes + c->off, n);
    c->off += n;
    put += n;
    if (c->off == c->len) pop_chunk(call);
  }
  call->queued -= put;
  grpc_server_discharge(call->conn->server, put);
  return put;
}

static int submit_trailers(grpc_call *call, nghttp2_session *session) {
  nghttp2_nv headers[3];
  char code[12];
  size_t n = status_headers(call, headers, code);
  call->trailers_sent = true;
  return nghttp2_submit_trailer(session, call->stream, headers, n);
}

/* nghttp2 asks for the next bytes of the body; the trailers follow the last of them. */
static ssize_t on_body(nghttp2_session *session, int32_t stream, uint8_t *out, size_t most,
                       uint32_t *flags, nghttp2_data_source *source, void *user) {
  (void)source, (void)user;
  grpc_call *call = nghttp2_session_get_stream_user_data(session, stream);
  if (!call) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  size_t put = take_from_queue(call, out, most);
  if (!call->queue && !call->finished && call->refill) {
    call->refill(call, call->refill_arg);
    put += take_from_queue(call, out + put, most - put);
  }
  if (!call->queue && call->finished) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (call->http_status) return (ssize_t)put;
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    if (!call->trailers_sent && submit_trailers(call, session) != 0)
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return (ssize_t)put;
  }
  return put ? (ssize_t)put : NGHTTP2_ERR_DEFERRED;
}

static void submit_response(grpc_call *call, nghttp2_session *session) {
  bool http = call->http_status != NULL, status_only = call->finished && !call->queue && !http;
  nghttp2_nv headers[5] = {grpc_header(":status", http ? call->http_status : "200"),
                           grpc_header("content-type", http ? "text/plain" : "application/grpc")};
  nghttp2_data_provider body = {.read_callback = on_body};
  char code[12];
  size_t n = 2;
  if (status_only) n += status_headers(call, headers + n, code);
  call->responded = true;
  nghttp2_submit_response(session, call->stream, headers, n, status_only ? NULL : &body);
}

/* There is something new to say. */
static void push(grpc_call *call) {
  nghttp2_session *session = h2_conn_session(call->conn->h2);
  if (!call->responded)
    submit_response(call, session);
  else
    nghttp2_session_resume_data(session, call->stream);
  h2_conn_flush_soon(call->conn->h2);
}

static void finish(grpc_call *call, rc code) {
  call->finished = true;
  call->code = code;
  oneshot_cancel(&call->deadline);
  push(call);
}

static void set_status_text(grpc_call *call, const char *text) {
  if (!text || !*text) return;
  char encoded[GRPC_MESSAGE_MOST + 1];
  grpc_message_encode(text, encoded);
  call->status_text = mem_strdup(encoded);
}

void grpc_call_finish(grpc_call *call, rc code, const char *text) {
  if (grpc_call_ended(call)) return;
  set_status_text(call, text);
  finish(call, code);
}

void grpc_call_finish_details(grpc_call *call, const char *text, const char *details) {
  if (grpc_call_ended(call)) return;
  char encoded[GRPC_DETAILS_SIZE];
  grpc_details_encode(details, encoded);
  call->details = mem_strdup(encoded);
  set_status_text(call, text);
  finish(call, RC_INVALID);
}

void grpc_call_abort(grpc_call *call, rc code, const char *text) {
  if (!call->conn) return;
  tell_handler(call);
  if (grpc_call_ended(call)) return;
  drop_queue(call);
  drop_message(call);
  grpc_call_finish(call, code, text);
}

static void give_up_sending(grpc_call *call, const char *text) {
  drop_queue(call);
  grpc_call_finish(call, RC_EXHAUSTED, text);
}

/* False: there is no room, nothing was queued. */
static bool enqueue(grpc_call *call, const uint8_t *head, size_t head_len, const uint8_t *data,
                    size_t len) {
  grpc_server *server = call->conn->server;
  size_t size = head_len + len;
  if (!grpc_server_charge(server, size)) return false;
  grpc_chunk *c = malloc(sizeof *c + size);
  if (!c) {
    grpc_server_discharge(server, size);
    return false;
  }
  *c = (grpc_chunk){.len = size};
  if (head_len) memcpy(c->bytes, head, head_len);
  if (len) memcpy(c->bytes + head_len, data, len);
  *call->queue_end = c;
  call->queue_end = &c->next;
  call->queued += size;
  return true;
}

static void send_bytes(grpc_call *call, const uint8_t *head, size_t head_len, const uint8_t *data,
                       size_t len) {
  if (enqueue(call, head, head_len, data, len))
    push(call);
  else
    give_up_sending(call, "the server holds as many response bytes as it may; try again later");
}

/* The head of a message of `size` bytes, and the first of them. */
static void send_head(grpc_call *call, size_t size, const uint8_t *data, size_t len) {
  if (grpc_call_ended(call)) return;
  uint8_t head[GRPC_FRAME_HEAD];
  grpc_frame_head(head, size);
  if (size > GRPC_FRAME_MOST)
    give_up_sending(call, "the response is larger than a gRPC message can be (4 GiB)");
  else
    send_bytes(call, head, sizeof head, data, len);
}

void grpc_call_send(grpc_call *call, const uint8_t *message, size_t len) {
  send_head(call, len, message, len);
}

void grpc_call_send_head(grpc_call *call, size_t len) {
  send_head(call, len, NULL, 0);
}

void grpc_call_send_piece(grpc_call *call, const uint8_t *data, size_t len) {
  if (!grpc_call_ended(call) && len) send_bytes(call, NULL, 0, data, len);
}

void grpc_call_answer_http(grpc_call *call, const char *status, const char *text) {
  call->http_status = status;
  call->finished = true;
  enqueue(call, NULL, 0, (const uint8_t *)text, strlen(text));
  push(call);
}

void grpc_call_on_drain(grpc_call *call, void (*refill)(grpc_call *, void *), void *arg) {
  if (grpc_call_ended(call)) return;
  call->refill = refill;
  call->refill_arg = arg;
  push(call); /* an empty queue has run empty already */
}

void grpc_call_stop_upload(grpc_call *call) {
  nghttp2_session *session = h2_conn_session(call->conn->h2);
  if (call->dropping && nghttp2_session_get_stream_local_close(session, call->stream) == 1 &&
      nghttp2_session_get_stream_remote_close(session, call->stream) == 0)
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_NO_ERROR);
}
