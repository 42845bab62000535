/* tests/unit/grpc_world.h: a server and a client in one process, on one loop, for the tests of
 * net/. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_TESTS_GRPC_WORLD_H
#define FLOE_TESTS_GRPC_WORLD_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/spool.h"
#include "net/grpc_client.h"
#include "net/grpc_server.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { UPLOAD_REFUSED = 33 << 20 }; /* bytes of a message that /t/Upload refuses when it begins */

typedef struct world {
  uv_loop_t loop;
  grpc_server *server; /* NULL: it was shut down */
  grpc_channel *channel;
  SSL_CTX *server_tls, *client_tls;
  bool server_gone;
  /* what the handlers saw */
  int waiting;       /* calls of /t/Wait that are held */
  int ended;         /* end-of-call hooks that ran */
  grpc_call *held;   /* the last of /t/Wait, referenced */
  spool *upload;     /* of /t/Upload */
  size_t peak_queue; /* of /t/Stream */
  char peer[64];
} world;

/* A call of the client and what came of it. */
typedef struct answer {
  bool done;
  rc code;
  char text[8192];
  buf last;        /* the last message */
  size_t messages; /* how many there were */
  uint64_t bytes;  /* and their sum */
  void (*on_message)(struct answer *);
  grpc_request *request;
} answer;

static inline void answer_on_message(void *arg, const uint8_t *message, size_t len) {
  answer *a = arg;
  a->messages++;
  a->bytes += len;
  buf_clear(&a->last);
  assert_int_equal(buf_append(&a->last, message, len, NULL), RC_OK);
  if (a->on_message) a->on_message(a);
}

static inline void answer_on_done(void *arg, rc code, const char *text) {
  answer *a = arg;
  assert_false(a->done);
  a->done = true;
  a->code = code;
  snprintf(a->text, sizeof a->text, "%s", text);
}

static inline void world_turn(world *w) {
  uv_run(&w->loop, UV_RUN_ONCE);
}

static inline void on_watchdog(uv_timer_t *timer) {
  *(bool *)timer->data = true;
}

/* Turns the loop until *flag; fails the test after `seconds`. */
static inline void world_until(world *w, const bool *flag, unsigned seconds) {
  bool late = false;
  uv_timer_t watchdog = {.data = &late};
  uv_timer_init(&w->loop, &watchdog);
  uv_timer_start(&watchdog, on_watchdog, seconds * 1000, 0);
  while (!*flag && !late) world_turn(w);
  uv_close((uv_handle_t *)&watchdog, NULL);
  uv_run(&w->loop, UV_RUN_NOWAIT);
  assert_true(*flag);
}

static inline void world_pass(world *w, unsigned ms) {
  bool late = false;
  uv_timer_t timer = {.data = &late};
  uv_timer_init(&w->loop, &timer);
  uv_timer_start(&timer, on_watchdog, ms, 0);
  while (!late) world_turn(w);
  uv_close((uv_handle_t *)&timer, NULL);
  uv_run(&w->loop, UV_RUN_NOWAIT);
}

static inline void world_send(world *w, answer *a, const char *path, const void *head,
                              size_t head_len, spool *tail, unsigned deadline_ms) {
  *a = (answer){.on_message = a->on_message, .last = a->last};
  grpc_request_spec spec = {.path = path,
                            .deadline_ms = deadline_ms,
                            .head = head,
                            .head_len = head_len,
                            .tail = tail,
                            .streams = !strcmp(path, "/t/Stream"),
                            .arg = a,
                            .on_message = answer_on_message,
                            .on_done = answer_on_done};
  a->request = grpc_channel_call(w->channel, &spec);
  assert_false(a->done);
}

static inline void world_call(world *w, answer *a, const char *path, const char *text) {
  world_send(w, a, path, text, strlen(text), NULL, 0);
  world_until(w, &a->done, 20);
}

/* ---- handlers ---- */

static inline void serve_echo(grpc_call *call, const uint8_t *message, size_t len) {
  world *w = grpc_call_user(call);
  snprintf(w->peer, sizeof w->peer, "%s", grpc_call_peer(call));
  grpc_call_send(call, message, len);
  grpc_call_finish(call, RC_OK, NULL);
}

static inline void serve_fail(grpc_call *call, const uint8_t *message, size_t len) {
  char *text = mem_strndup((const char *)message, len);
  if (!strncmp(text, "details:", 8))
    grpc_call_finish_details(call, "refused", text + 8);
  else
    grpc_call_finish(call, RC_PRECONDITION, text);
  free(text);
}

static inline void count_end(grpc_call *call, void *data) {
  world *w = data;
  w->ended++;
  if (w->held == call) {
    w->held = NULL;
    grpc_call_unref(call);
  }
}

static inline void serve_wait(grpc_call *call, const uint8_t *message, size_t len) {
  (void)message, (void)len;
  world *w = grpc_call_user(call);
  w->waiting++;
  if (!w->held) w->held = grpc_call_ref(call);
  grpc_call_set_data(call, w, count_end);
}

/* The request says how many messages of 64 KiB to send; "-" is an endless stream. */
static inline void refill(grpc_call *call, void *arg) {
  static uint8_t block[64 << 10];
  int *left = arg;
  if (*left == 0) {
    grpc_call_finish(call, RC_OK, NULL);
    return;
  }
  if (*left > 0) --*left;
  grpc_call_send(call, block, sizeof block);
  world *w = grpc_call_user(call);
  if (grpc_call_queued(call) > w->peak_queue) w->peak_queue = grpc_call_queued(call);
}

static inline void end_stream(grpc_call *call, void *data) {
  world *w = grpc_call_user(call);
  w->ended++;
  free(data);
}

static inline void serve_stream(grpc_call *call, const uint8_t *message, size_t len) {
  int *left = NEW(int);
  char *text = mem_strndup((const char *)message, len);
  *left = !strcmp(text, "-") ? -1 : atoi(text);
  free(text);
  grpc_call_set_data(call, left, end_stream);
  grpc_call_on_drain(call, refill, left);
}

/* One message of as many bytes as the request says, in pieces of 1000. */
static inline void refill_piece(grpc_call *call, void *arg) {
  static const uint8_t block[1000];
  int *left = arg;
  size_t n = *left < 1000 ? (size_t)*left : sizeof block;
  grpc_call_send_piece(call, block, n);
  *left -= (int)n;
  if (*left == 0) grpc_call_finish(call, RC_OK, NULL);
}

static inline void serve_pieces(grpc_call *call, const uint8_t *message, size_t len) {
  int *left = NEW(int);
  char *text = mem_strndup((const char *)message, len);
  *left = atoi(text);
  free(text);
  grpc_call_set_data(call, left, end_stream);
  grpc_call_send_head(call, (size_t)*left);
  grpc_call_on_drain(call, refill_piece, left);
}

static inline void upload_open(grpc_call *call, uint64_t len) {
  world *w = grpc_call_user(call);
  if (len == UPLOAD_REFUSED) grpc_call_finish(call, RC_EXHAUSTED, "not that size");
  spool_free(w->upload);
  w->upload = spool_new("/tmp", 1 << 20);
}

static inline void upload_bytes(grpc_call *call, const uint8_t *data, size_t len) {
  world *w = grpc_call_user(call);
  assert_int_equal(spool_append(w->upload, data, len, NULL), RC_OK);
}

static inline void upload_end(grpc_call *call) {
  world *w = grpc_call_user(call);
  char text[32];
  int n = snprintf(text, sizeof text, "%llu", (unsigned long long)spool_len(w->upload));
  grpc_call_send(call, (uint8_t *)text, (size_t)n);
  grpc_call_finish(call, RC_OK, NULL);
}

/* The request says how many bytes the response shall have. */
static inline void serve_big(grpc_call *call, const uint8_t *message, size_t len) {
  char *text = mem_strndup((const char *)message, len);
  size_t size = (size_t)atoll(text);
  uint8_t *big = mem_new(size);
  grpc_call_send(call, big, size);
  grpc_call_finish(call, RC_OK, NULL);
  free(big);
  free(text);
}

static const grpc_method WORLD_METHODS[] = {
    {.path = "/t/Big", .on_request = serve_big},
    {.path = "/t/Echo", .on_request = serve_echo},
    {.path = "/t/Fail", .on_request = serve_fail},
    {.path = "/t/Wait", .on_request = serve_wait},
    {.path = "/t/Stream", .on_request = serve_stream},
    {.path = "/t/Pieces", .on_request = serve_pieces},
    {.path = "/t/Health", .on_request = serve_echo, .no_token = true},
    {.path = "/t/Upload",
     .on_open = upload_open,
     .on_bytes = upload_bytes,
     .on_end = upload_end,
     .max_message = 1ull << 30},
};

/* ---- life ---- */

typedef struct world_config {
  grpc_limits limits;
  const char *server_token, *client_token;
  const char *ip, *host;
  unsigned connect_ms, keepalive_ms;
  SSL_CTX *server_tls, *client_tls; /* owned by the world */
  int port;                         /* of the server; 0: a free one */
  int peer_port;                    /* what the channel connects to; 0: the world's own server */
} world_config;

static inline void world_open_server(world *w, const world_config *c) {
  grpc_server_config config = {.methods = WORLD_METHODS,
                               .n_methods = sizeof WORLD_METHODS / sizeof *WORLD_METHODS,
                               .limits = c->limits,
                               .tls = w->server_tls,
                               .token = c->server_token,
                               .user = w};
  w->server = grpc_server_new(&w->loop, &config);
  err e = {0};
  if (grpc_server_listen(w->server, c->ip ? c->ip : "127.0.0.1", c->port, &e) != RC_OK)
    fail_msg("%s", e.text);
}

static inline void world_open(world *w, const world_config *c) {
  *w = (world){.server_tls = c->server_tls, .client_tls = c->client_tls};
  assert_int_equal(uv_loop_init(&w->loop), 0);
  world_open_server(w, c);
  grpc_channel_config channel = {.host = c->host ? c->host : "127.0.0.1",
                                 .port = c->peer_port ? c->peer_port : grpc_server_port(w->server),
                                 .tls = c->client_tls,
                                 .token = c->client_token,
                                 .connect_ms = c->connect_ms,
                                 .keepalive_ms = c->keepalive_ms};
  w->channel = grpc_channel_new(&w->loop, &channel);
}

static inline void on_server_gone(void *arg) {
  world *w = arg;
  grpc_server_free(w->server);
  w->server = NULL;
  w->server_gone = true;
}

static inline void world_stop_server(world *w, unsigned grace_ms) {
  w->server_gone = false;
  grpc_server_shutdown(w->server, grace_ms, on_server_gone, w);
}

static inline void world_close(world *w) {
  grpc_channel_free(w->channel);
  if (w->server) {
    world_stop_server(w, 1000);
    world_until(w, &w->server_gone, 5);
  }
  spool_free(w->upload);
  assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
  assert_int_equal(uv_loop_close(&w->loop), 0); /* nothing was left on the loop */
  SSL_CTX_free(w->server_tls);
  SSL_CTX_free(w->client_tls);
}

#endif
