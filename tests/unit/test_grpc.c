/* Unit tests of net/'s gRPC: server and client on one loop. SPDX-License-Identifier: Apache-2.0 */
#include "grpc_world.h"
#include "net/tls.h"
#include "raw_client.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

/* ---- calls ---- */

static void echo_comes_back(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  answer a = {0};
  world_call(&w, &a, "/t/Echo", "hello");
  assert_int_equal(a.code, RC_OK);
  assert_int_equal(a.messages, 1);
  assert_string_equal(buf_text(&a.last), "hello");
  assert_int_equal(strncmp(w.peer, "127.0.0.1:", 10), 0);
  world_call(&w, &a, "/t/Echo", "");
  assert_int_equal(a.code, RC_OK);
  assert_int_equal(a.bytes, 0);
  assert_int_equal(grpc_server_connections(w.server), 1);
  buf_deinit(&a.last);
  world_close(&w);
}

static void hundreds_of_calls_run_at_once(void **state) {
  (void)state;
  enum { N = 600 }; /* more than the peer's limit of streams, and than nghttp2 assumes at first */
  world w;
  world_open(&w, &(world_config){.limits.max_streams = 50});
  static answer a[N];
  char text[32];
  for (int i = 0; i < N; i++) {
    snprintf(text, sizeof text, "call %d", i);
    world_send(&w, &a[i], "/t/Echo", text, strlen(text), NULL, 0);
  }
  for (int i = 0; i < N; i++) {
    world_until(&w, &a[i].done, 10);
    snprintf(text, sizeof text, "call %d", i);
    assert_int_equal(a[i].code, RC_OK);
    assert_string_equal(buf_text(&a[i].last), text);
    buf_deinit(&a[i].last);
  }
  world_close(&w);
}

static void unknown_method_is_unimplemented(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  answer a = {0};
  world_call(&w, &a, "/t/Nothing", "x");
  assert_int_equal(a.code, RC_UNIMPLEMENTED);
  assert_non_null(strstr(a.text, "/t/Nothing"));
  world_close(&w);
}

static void status_texts_survive(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  answer a = {0};
  world_call(&w, &a, "/t/Fail", "100 % of grün\nis \xF0\x9F\x8C\xB2");
  assert_int_equal(a.code, RC_PRECONDITION);
  assert_string_equal(a.text, "100 % of grün\nis \xF0\x9F\x8C\xB2");
  char giant[20001];
  memset(giant, 'x', sizeof giant);
  giant[20000] = '\0';
  world_call(&w, &a, "/t/Fail", giant);
  assert_int_equal(a.code, RC_PRECONDITION);
  assert_int_equal(strlen(a.text), 4096);
  memcpy(giant, "details:", 8);
  world_call(&w, &a, "/t/Fail", giant);
  assert_int_equal(a.code, RC_INVALID);
  assert_string_equal(a.text, "refused");
  world_close(&w);
}

/* ---- bodies ---- */

static spool *spool_of(size_t bytes) {
  spool *s = spool_new("/tmp", 1 << 20);
  uint32_t block[4096];
  for (uint32_t i = 0; i < bytes / sizeof block; i++) {
    for (uint32_t k = 0; k < 4096; k++) block[k] = i * 4096 + k;
    assert_int_equal(spool_append(s, block, sizeof block, NULL), RC_OK);
  }
  return s;
}

static void a_long_body_goes_from_spool_to_spool(void **state) {
  (void)state;
  enum { BYTES = 64 << 20 };
  world w;
  world_open(&w, &(world_config){0});
  spool *tail = spool_of(BYTES);
  answer a = {0};
  world_send(&w, &a, "/t/Upload", "head", 4, tail, 0);
  world_until(&w, &a.done, 30);
  assert_int_equal(a.code, RC_OK);
  assert_string_equal(buf_text(&a.last), "67108868");
  const uint8_t *sent, *got;
  assert_int_equal(spool_view(tail, &sent, NULL), RC_OK);
  assert_int_equal(spool_view(w.upload, &got, NULL), RC_OK);
  assert_memory_equal(got, "head", 4);
  assert_memory_equal(got + 4, sent, BYTES);
  spool_free(tail);
  buf_deinit(&a.last);
  world_close(&w);
}

static void an_early_answer_stops_the_upload(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  spool *tail = spool_of(UPLOAD_REFUSED);
  answer a = {0};
  world_send(&w, &a, "/t/Upload", NULL, 0, tail, 0);
  world_until(&w, &a.done, 10);
  assert_int_equal(a.code, RC_EXHAUSTED);
  assert_string_equal(a.text, "not that size");
  assert_int_equal(spool_len(w.upload), 0);
  world_call(&w, &a, "/t/Echo", "same connection");
  assert_int_equal(a.code, RC_OK);
  assert_int_equal(grpc_server_connections(w.server), 1);
  spool_free(tail);
  buf_deinit(&a.last);
  world_close(&w);
}

static void an_uploader_that_goes_on_is_reset(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  int fd = raw_connect(grpc_server_port(w.server));
  buf b = {0};
  raw_hello(&b);
  raw_request(&b, 1, "/t/Nothing", NULL);
  raw_send(fd, &b);
  world_pass(&w, 50); /* the status is out */
  raw_is_closed(fd);
  raw_frame(&b, RAW_DATA, 0, 1, "more", 4);
  raw_send(fd, &b);
  world_pass(&w, 50);
  static const uint8_t reset[13] = {0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0}; /* NO_ERROR */
  uint8_t got[64];
  ssize_t n = recv(fd, got, sizeof got, MSG_DONTWAIT);
  assert_int_equal(n, sizeof reset);
  assert_memory_equal(got, reset, sizeof reset);
  close(fd);
  buf_deinit(&b);
  world_close(&w);
}

static void a_stream_comes_whole(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  answer a = {0};
  world_call(&w, &a, "/t/Stream", "800"); /* 50 MiB */
  assert_int_equal(a.code, RC_OK);
  assert_int_equal(a.messages, 800);
  assert_int_equal(a.bytes, 800u << 16);
  assert_true(w.peak_queue < 70000);
  world_pass(&w, 1);
  assert_int_equal(w.ended, 1);
  buf_deinit(&a.last);
  world_close(&w);
}

static void a_message_in_pieces_is_one(void **state) {
  (void)state;
  static const char *const sizes[] = {"0", "1", "999", "1000", "1001", "123456", "3000000"};
  world w;
  world_open(&w, &(world_config){0});
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    answer a = {0};
    world_call(&w, &a, "/t/Pieces", sizes[i]);
    assert_int_equal(a.code, RC_OK);
    assert_int_equal(a.messages, 1);
    assert_int_equal(a.bytes, atoi(sizes[i]));
    buf_deinit(&a.last);
  }
  world_close(&w);
}

static void a_reader_that_stops_costs_one_block(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){.limits = {.keepalive_ms = 200, .keepalive_timeout_ms = 200}});
  int fd = raw_connect(grpc_server_port(w.server));
  buf b = {0};
  raw_hello(&b);
  raw_request(&b, 1, "/t/Stream", NULL);
  raw_frame(&b, RAW_DATA, RAW_END_STREAM, 1, "\0\0\0\0\1-", 6);
  raw_send(fd, &b);
  world_pass(&w, 150);
  assert_int_equal(w.ended, 0);
  assert_in_range(w.peak_queue, 1, 70000);
  world_pass(&w, 600); /* nor does it answer PINGs */
  assert_int_equal(w.ended, 1);
  assert_int_equal(grpc_server_connections(w.server), 0);
  close(fd);
  buf_deinit(&b);
  world_close(&w);
}

/* ---- ends ---- */

static void a_deadline_ends_both_sides(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  answer a = {0};
  world_send(&w, &a, "/t/Wait", "", 0, NULL, 80);
  world_until(&w, &a.done, 5);
  assert_int_equal(a.code, RC_DEADLINE);
  world_pass(&w, 20);
  assert_int_equal(w.waiting, 1);
  assert_int_equal(w.ended, 1);
  world_close(&w);
}

static void the_server_enforces_the_deadline(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  int fd = raw_connect(grpc_server_port(w.server));
  buf b = {0};
  raw_hello(&b);
  raw_request(&b, 1, "/t/Wait", "60m");
  raw_frame(&b, RAW_DATA, RAW_END_STREAM, 1, "\0\0\0\0\0", 5);
  raw_send(fd, &b);
  world_pass(&w, 30);
  assert_int_equal(w.waiting, 1);
  assert_int_equal(w.ended, 0);
  world_pass(&w, 60);
  assert_int_equal(w.ended, 1);
  assert_int_equal(grpc_server_connections(w.server), 1);
  close(fd);
  buf_deinit(&b);
  world_close(&w);
}

static void a_cancelled_call_ends_on_the_server(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  answer a = {0}, early = {0};
  world_send(&w, &a, "/t/Wait", "", 0, NULL, 0);
  world_pass(&w, 20);
  assert_int_equal(w.waiting, 1);
  grpc_call *call = grpc_call_ref(w.held);
  grpc_request_cancel(a.request);
  assert_false(a.done); /* from the loop, not from inside */
  world_until(&w, &a.done, 5);
  assert_int_equal(a.code, RC_CANCELLED);
  world_pass(&w, 20);
  assert_int_equal(w.ended, 1);
  assert_true(grpc_call_ended(call));
  grpc_call_send(call, (const uint8_t *)"late", 4); /* nobody hears it */
  grpc_call_finish(call, RC_OK, NULL);
  grpc_call_unref(call);
  world_send(&w, &early, "/t/Wait", "", 0, NULL, 0);
  grpc_request_cancel(early.request); /* before anything was sent */
  world_until(&w, &early.done, 5);
  assert_int_equal(early.code, RC_CANCELLED);
  world_call(&w, &a, "/t/Echo", "still there");
  assert_int_equal(a.code, RC_OK);
  buf_deinit(&a.last);
  world_close(&w);
}

static void cancel_from_on_message(answer *a) {
  if (a->messages == 3) grpc_request_cancel(a->request);
}

static void a_stream_can_be_cancelled_from_its_message(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  answer a = {.on_message = cancel_from_on_message};
  world_call(&w, &a, "/t/Stream", "-");
  assert_int_equal(a.code, RC_CANCELLED);
  assert_int_equal(a.messages, 3);
  world_pass(&w, 20);
  assert_int_equal(w.ended, 1);
  buf_deinit(&a.last);
  world_close(&w);
}

static world *freeing;
static void free_channel(answer *a) {
  (void)a;
  grpc_channel_free(freeing->channel);
  freeing->channel = NULL;
}

static void a_channel_can_be_freed_from_a_message(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  freeing = &w;
  answer a = {.on_message = free_channel}, other = {0};
  world_send(&w, &other, "/t/Wait", "", 0, NULL, 0);
  world_call(&w, &a, "/t/Stream", "-");
  assert_int_equal(a.code, RC_CANCELLED);
  assert_int_equal(a.messages, 1);
  assert_int_equal(other.code, RC_CANCELLED);
  buf_deinit(&a.last);
  world_close(&w);
}

/* ---- what is refused ---- */

static void the_token_is_asked_for(void **state) {
  (void)state;
  const struct {
    const char *server, *client;
    rc code;
  } cases[] = {{"s3cret", "s3cret", RC_OK},
               {"s3cret", NULL, RC_UNAUTHENTICATED},
               {"s3cret", "s3creT", RC_UNAUTHENTICATED},
               {"s3cret", "s3cret2", RC_UNAUTHENTICATED},
               {NULL, "whatever", RC_OK}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    world w;
    world_open(&w,
               &(world_config){.server_token = cases[i].server, .client_token = cases[i].client});
    answer a = {0};
    world_call(&w, &a, "/t/Echo", "x");
    assert_int_equal(a.code, cases[i].code);
    world_call(&w, &a, "/t/Health", "x");
    assert_int_equal(a.code, RC_OK);
    buf_deinit(&a.last);
    world_close(&w);
  }
}

static void too_much_is_refused_and_the_connection_lives(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){.limits = {.max_message = 1 << 20, .max_buffered = 1500000}});
  char *big = mem_new(2 << 20);
  answer a = {0};
  world_send(&w, &a, "/t/Echo", big, (1 << 20) + 1, NULL, 0); /* over max_message */
  world_until(&w, &a.done, 5);
  assert_int_equal(a.code, RC_EXHAUSTED);
  assert_non_null(strstr(a.text, "1048576"));
  world_send(&w, &a, "/t/Echo", big, 1000000, NULL, 0); /* request and response over the budget */
  world_until(&w, &a.done, 5);
  assert_int_equal(a.code, RC_EXHAUSTED);
  answer four[4] = {{0}};
  for (int i = 0; i < 4; i++) world_send(&w, &four[i], "/t/Echo", big, 500000, NULL, 0);
  int ok = 0;
  for (int i = 0; i < 4; i++) {
    world_until(&w, &four[i].done, 5);
    ok += four[i].code == RC_OK;
    assert_true(four[i].code == RC_OK || four[i].code == RC_EXHAUSTED);
    buf_deinit(&four[i].last);
  }
  assert_true(ok > 0);
  world_send(&w, &a, "/t/Echo", big, 700000, NULL, 0); /* everything was given back */
  world_until(&w, &a.done, 5);
  assert_int_equal(a.code, RC_OK);
  assert_int_equal(grpc_server_connections(w.server), 1);
  free(big);
  buf_deinit(&a.last);
  world_close(&w);
}

static void a_response_has_a_limit(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  answer a = {0};
  world_call(&w, &a, "/t/Big", "67108864");
  assert_int_equal(a.code, RC_OK);
  assert_int_equal(a.bytes, 67108864);
  world_call(&w, &a, "/t/Big", "67108865");
  assert_int_equal(a.code, RC_EXHAUSTED);
  buf_deinit(&a.last);
  world_close(&w);
}

static void a_stream_is_not_a_unary_answer(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  answer a = {0};
  grpc_request_spec spec = {.path = "/t/Stream",
                            .head = (const uint8_t *)"2",
                            .head_len = 1,
                            .arg = &a,
                            .on_message = answer_on_message,
                            .on_done = answer_on_done};
  grpc_channel_call(w.channel, &spec);
  world_until(&w, &a.done, 5);
  assert_int_equal(a.code, RC_INTERNAL);
  assert_int_equal(a.messages, 1);
  a = (answer){.last = a.last};
  spec.head = (const uint8_t *)"0";
  grpc_channel_call(w.channel, &spec);
  world_until(&w, &a.done, 5);
  assert_int_equal(a.code, RC_INTERNAL);
  buf_deinit(&a.last);
  world_close(&w);
}

static void long_headers_are_refused(void **state) {
  (void)state;
  world w;
  char token[3001];
  memset(token, 't', 3000);
  token[3000] = '\0';
  world_open(&w, &(world_config){.limits.max_header_bytes = 2000, .client_token = token});
  answer a = {0};
  world_call(&w, &a, "/t/Echo", "x");
  assert_int_equal(a.code, RC_EXHAUSTED);
  assert_non_null(strstr(a.text, "headers"));
  world_close(&w);
}

static void broken_requests_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *body;
    size_t len;
  } bodies[] = {{"", 0},                         /* no message */
                {"\0\0\0\0\5abc", 8},            /* cut off */
                {"\1\0\0\0\1a", 6},              /* compressed */
                {"\0\0\0\0\1a\0\0\0\0\1b", 12}}; /* two */
  world w;
  world_open(&w, &(world_config){0});
  int fd = raw_connect(grpc_server_port(w.server));
  buf b = {0};
  raw_hello(&b);
  for (unsigned i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    raw_request(&b, 1 + 2 * i, "/t/Wait", NULL);
    raw_frame(&b, RAW_DATA, RAW_END_STREAM, 1 + 2 * i, bodies[i].body, bodies[i].len);
  }
  raw_send(fd, &b);
  world_pass(&w, 50);
  assert_int_equal(w.waiting, 0);
  assert_false(raw_is_closed(fd));
  close(fd);
  buf_deinit(&b);
  world_close(&w);
}

static void connections_are_bounded_in_number_and_time(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){.limits = {.max_connections = 2, .handshake_ms = 100}});
  int fd[3];
  for (int i = 0; i < 3; i++) fd[i] = raw_connect(grpc_server_port(w.server));
  world_pass(&w, 40);
  assert_int_equal(grpc_server_connections(w.server), 2);
  assert_true(raw_is_closed(fd[2]));
  assert_false(raw_is_closed(fd[0]));
  world_pass(&w, 120); /* nobody said SETTINGS */
  assert_int_equal(grpc_server_connections(w.server), 0);
  assert_true(raw_is_closed(fd[0]));
  for (int i = 0; i < 3; i++) close(fd[i]);
  world_close(&w);
}

/* ---- connections that end ---- */

static void shutdown_answers_long_polls_then_a_call_reconnects(void **state) {
  (void)state;
  enum { N = 20 };
  world w;
  world_open(&w, &(world_config){0});
  int port = grpc_server_port(w.server);
  answer polls[N] = {{0}}, a = {0};
  for (int i = 0; i < N; i++) world_send(&w, &polls[i], "/t/Wait", "", 0, NULL, 0);
  world_pass(&w, 20);
  assert_int_equal(w.waiting, N);
  world_stop_server(&w, 5000);
  assert_int_equal(w.ended, N); /* the handlers know at once */
  for (int i = 0; i < N; i++) {
    world_until(&w, &polls[i].done, 5);
    assert_int_equal(polls[i].code, RC_UNAVAILABLE);
    assert_string_equal(polls[i].text, "the server is shutting down");
  }
  world_until(&w, &w.server_gone, 2); /* long before the grace is over */
  world_call(&w, &a, "/t/Echo", "x");
  assert_int_equal(a.code, RC_UNAVAILABLE);
  assert_non_null(strstr(a.text, "connection refused"));
  world_open_server(&w, &(world_config){.port = port});
  world_call(&w, &a, "/t/Echo", "x");
  assert_int_equal(a.code, RC_OK);
  buf_deinit(&a.last);
  world_close(&w);
}

static void shutdown_cuts_who_does_not_go(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  int fd = raw_connect(grpc_server_port(w.server));
  buf b = {0};
  raw_hello(&b);
  raw_request(&b, 1, "/t/Stream", NULL);
  raw_frame(&b, RAW_DATA, RAW_END_STREAM, 1, "\0\0\0\0\1-", 6);
  raw_send(fd, &b);
  world_pass(&w, 50);
  world_stop_server(&w, 100);
  assert_int_equal(w.ended, 1);
  world_pass(&w, 50);
  assert_false(w.server_gone);
  world_until(&w, &w.server_gone, 2);
  close(fd);
  buf_deinit(&b);
  world_close(&w);
}

/* Accepts one connection, says `hello`; when bytes come: says `reply`, or cuts the connection. */
typedef struct mute {
  uv_tcp_t listener, conn;
  buf hello, reply;
  bool cut;
} mute;

static void on_mute_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *out) {
  static char junk[4096];
  (void)handle, (void)hint;
  *out = uv_buf_init(junk, sizeof junk);
}
static void on_mute_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b) {
  (void)b;
  mute *m = stream->data;
  if (n <= 0 || uv_is_closing((uv_handle_t *)stream)) return;
  if (m->cut) uv_tcp_close_reset((uv_tcp_t *)stream, NULL);
  uv_buf_t reply = uv_buf_init((char *)m->reply.data, (unsigned)m->reply.len);
  if (reply.len) assert_int_equal(uv_try_write(stream, &reply, 1), reply.len);
  buf_clear(&m->reply);
}
static void on_mute_connection(uv_stream_t *listener, int status) {
  mute *m = listener->data;
  assert_int_equal(status, 0);
  uv_tcp_init(listener->loop, &m->conn);
  m->conn.data = m;
  assert_int_equal(uv_accept(listener, (uv_stream_t *)&m->conn), 0);
  uv_read_start((uv_stream_t *)&m->conn, on_mute_alloc, on_mute_read);
  uv_buf_t hello = uv_buf_init((char *)m->hello.data, (unsigned)m->hello.len);
  if (hello.len) assert_int_equal(uv_try_write((uv_stream_t *)&m->conn, &hello, 1), hello.len);
}
static int mute_listen(mute *m, uv_loop_t *loop) {
  struct sockaddr_in any;
  int len = sizeof any;
  uv_ip4_addr("127.0.0.1", 0, &any);
  uv_tcp_init(loop, &m->listener);
  m->listener.data = m;
  assert_int_equal(uv_tcp_bind(&m->listener, (struct sockaddr *)&any, 0), 0);
  assert_int_equal(uv_listen((uv_stream_t *)&m->listener, 8, on_mute_connection), 0);
  uv_tcp_getsockname(&m->listener, (struct sockaddr *)&any, &len);
  return ntohs(any.sin_port);
}

static void a_peer_that_says_nothing_or_cuts_is_unavailable(void **state) {
  (void)state;
  for (int cut = 0; cut < 2; cut++) {
    world w;
    world_open(&w, &(world_config){0});
    mute m = {.cut = cut};
    grpc_channel_config config = {
        .host = "127.0.0.1", .port = mute_listen(&m, &w.loop), .connect_ms = 100};
    grpc_channel *own = w.channel;
    w.channel = grpc_channel_new(&w.loop, &config);
    answer a = {0};
    world_call(&w, &a, "/t/Echo", "x");
    assert_int_equal(a.code, RC_UNAVAILABLE);
    assert_non_null(strstr(a.text, cut ? "reset" : "handshake"));
    if (!uv_is_closing((uv_handle_t *)&m.conn)) uv_close((uv_handle_t *)&m.conn, NULL);
    uv_close((uv_handle_t *)&m.listener, NULL);
    grpc_channel_free(w.channel);
    w.channel = own;
    world_close(&w);
  }
}

static void a_goaway_ends_what_the_peer_will_not_serve(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  mute m = {0};
  raw_frame(&m.hello, RAW_SETTINGS, 0, 0, "\0\3\0\0\0\1", 6); /* one stream at a time */
  raw_frame(&m.reply, RAW_GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8);
  grpc_channel_config config = {.host = "127.0.0.1", .port = mute_listen(&m, &w.loop)};
  grpc_channel *own = w.channel;
  w.channel = grpc_channel_new(&w.loop, &config);
  answer first = {0}, held[3] = {{0}};
  world_send(&w, &first, "/t/Echo", "1", 1, NULL, 0);
  for (int i = 0; i < 3; i++) world_send(&w, &held[i], "/t/Echo", "2", 1, NULL, 0);
  for (int i = 0; i < 3; i++) {
    world_until(&w, &held[i].done, 5);
    assert_int_equal(held[i].code, RC_UNAVAILABLE);
    assert_non_null(strstr(held[i].text, "GOAWAY"));
  }
  assert_false(first.done); /* the peer may yet answer it */
  uv_close((uv_handle_t *)&m.conn, NULL);
  uv_close((uv_handle_t *)&m.listener, NULL);
  world_until(&w, &first.done, 5);
  assert_int_equal(first.code, RC_UNAVAILABLE);
  grpc_channel_free(w.channel);
  w.channel = own;
  buf_deinit(&m.hello);
  buf_deinit(&m.reply);
  world_close(&w);
}

static void headers_that_cannot_be_sent_fail_the_call(void **state) {
  (void)state;
  world w;
  char *token = mem_new(70001);
  memset(token, 't', 70000);
  world_open(&w, &(world_config){.client_token = token});
  answer a = {0};
  world_call(&w, &a, "/t/Echo", "x");
  assert_int_equal(a.code, RC_INTERNAL);
  free(token);
  world_close(&w);
}

static void turn_both(world *a, world *b, const bool *flag) {
  uint64_t end = uv_hrtime() + 5000000000u;
  while (!*flag && uv_hrtime() < end) {
    uv_run(&a->loop, UV_RUN_NOWAIT);
    uv_run(&b->loop, UV_RUN_NOWAIT);
  }
  assert_true(*flag);
}

static void a_frozen_peer_is_noticed(void **state) {
  (void)state;
  world there, here; /* each with a loop of its own: who is not turned is frozen */
  world_open(&there, &(world_config){.limits = {.keepalive_ms = 60, .keepalive_timeout_ms = 60}});
  world_open(&here,
             &(world_config){.peer_port = grpc_server_port(there.server), .keepalive_ms = 60});
  answer a = {0}, echo = {0};
  world_send(&here, &a, "/t/Wait", "", 0, NULL, 0);
  world_send(&here, &echo, "/t/Echo", "", 0, NULL, 0);
  turn_both(&there, &here, &echo.done);
  uint64_t until = uv_hrtime() + 400000000u;
  bool over = false;
  while (!over) { /* both alive: PINGs are answered, a quiet call goes on */
    uv_run(&there.loop, UV_RUN_NOWAIT);
    uv_run(&here.loop, UV_RUN_NOWAIT);
    over = uv_hrtime() > until;
  }
  assert_false(a.done);
  assert_int_equal(there.ended, 0);
  world_pass(&there, 300); /* the client is frozen */
  assert_int_equal(there.ended, 1);
  assert_int_equal(grpc_server_connections(there.server), 0);
  world_until(&here, &a.done, 2);
  assert_int_equal(a.code, RC_UNAVAILABLE);
  world_send(&here, &a, "/t/Wait", "", 0, NULL, 0);
  world_send(&here, &echo, "/t/Echo", "", 0, NULL, 0);
  turn_both(&there, &here, &echo.done);
  world_until(&here, &a.done, 2); /* the server is frozen */
  assert_int_equal(a.code, RC_UNAVAILABLE);
  assert_non_null(strstr(a.text, "PING"));
  buf_deinit(&echo.last);
  world_close(&here);
  world_close(&there);
}

/* ---- addresses ---- */

static void ipv6_works(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){.ip = "::1", .host = "::1"});
  answer a = {0};
  world_call(&w, &a, "/t/Echo", "six");
  assert_int_equal(a.code, RC_OK);
  assert_int_equal(strncmp(w.peer, "[::1]:", 6), 0);
  err e = {0};
  assert_int_equal(grpc_server_listen(w.server, "127.0.0.1", grpc_server_port(w.server), &e),
                   RC_OK);
  assert_int_equal(grpc_server_listen(w.server, "::1", grpc_server_port(w.server), &e),
                   RC_UNAVAILABLE);
  assert_non_null(strstr(e.text, "::1"));
  assert_int_equal(grpc_server_listen(w.server, "nowhere", 1, &e), RC_INVALID);
  buf_deinit(&a.last);
  world_close(&w);
}

static void names_are_resolved(void **state) {
  (void)state;
  world w;
  world_open(&w,
             &(world_config){.host = "localhost"}); /* perhaps ::1 first, where nobody listens */
  answer a = {0};
  world_call(&w, &a, "/t/Echo", "x");
  assert_int_equal(a.code, RC_OK);
  buf_deinit(&a.last);
  world_close(&w);
  world_open(&w, &(world_config){.host = "nowhere.invalid"});
  world_call(&w, &a, "/t/Echo", "x");
  assert_int_equal(a.code, RC_UNAVAILABLE);
  assert_non_null(strstr(a.text, "nowhere.invalid"));
  world_send(&w, &a, "/t/Echo", "", 0, NULL, 0);
  world_close(&w); /* while it is being resolved */
  assert_int_equal(a.code, RC_CANCELLED);
}

/* ---- TLS ---- */

static void put_pem(const char *path, X509 *cert, EVP_PKEY *key) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  if (cert) assert_int_equal(PEM_write_X509(f, cert), 1);
  if (key) assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
  fclose(f);
}

/* A certificate that signs itself, for `san`. */
static void make_certificate(const char *cert_path, const char *key_path, const char *san) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *cert = X509_new();
  X509_set_version(cert, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -60);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, key);
  X509_NAME *name = X509_get_subject_name(cert);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
  X509_set_issuer_name(cert, name);
  X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
  X509_add_ext(cert, ext, -1);
  X509_EXTENSION_free(ext);
  assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
  put_pem(cert_path, cert, NULL);
  put_pem(key_path, NULL, key);
  X509_free(cert);
  EVP_PKEY_free(key);
}

typedef struct pems {
  char dir[32], cert[64], key[64], other[64], other_key[64];
} pems;

static pems make_pems(void) {
  pems p = {.dir = "/tmp/floe-tls-XXXXXX"};
  assert_non_null(mkdtemp(p.dir));
  snprintf(p.cert, sizeof p.cert, "%s/cert", p.dir);
  snprintf(p.key, sizeof p.key, "%s/key", p.dir);
  snprintf(p.other, sizeof p.other, "%s/other", p.dir);
  snprintf(p.other_key, sizeof p.other_key, "%s/other_key", p.dir);
  make_certificate(p.cert, p.key, "IP:127.0.0.1,DNS:floe.test");
  make_certificate(p.other, p.other_key, "DNS:localhost");
  return p;
}

static void drop_pems(const pems *p) {
  unlink(p->cert);
  unlink(p->key);
  unlink(p->other);
  unlink(p->other_key);
  rmdir(p->dir);
}

static void tls_carries_calls(void **state) {
  (void)state;
  pems p = make_pems();
  world_config c = {0};
  assert_int_equal(tls_server_context(p.cert, p.key, NULL, &c.server_tls, NULL), RC_OK);
  assert_int_equal(tls_client_context(p.cert, &c.client_tls, NULL), RC_OK);
  world w;
  world_open(&w, &c);
  answer a = {0};
  world_call(&w, &a, "/t/Echo", "secret");
  assert_string_equal(a.text, "");
  assert_int_equal(a.code, RC_OK);
  world_call(&w, &a, "/t/Stream", "200");
  assert_int_equal(a.bytes, 200u << 16);
  spool *tail = spool_of(8 << 20);
  world_send(&w, &a, "/t/Upload", "", 0, tail, 0);
  world_until(&w, &a.done, 20);
  assert_string_equal(buf_text(&a.last), "8388608");
  answer poll = {0};
  world_send(&w, &poll, "/t/Wait", "", 0, NULL, 0);
  world_pass(&w, 20);
  world_stop_server(&w, 1000);
  world_until(&w, &w.server_gone, 5);
  assert_int_equal(poll.code, RC_UNAVAILABLE);
  spool_free(tail);
  buf_deinit(&a.last);
  world_close(&w);
  drop_pems(&p);
}

static void tls_refuses_strangers(void **state) {
  (void)state;
  pems p = make_pems();
  const struct {
    const char *ca, *host;
    bool client_ca;
    const char *why;
  } cases[] = {{p.other, "127.0.0.1", false, "certificate"}, /* not signed by whom we trust */
               {p.cert, "localhost", false, "mismatch"},     /* a different name */
               {p.cert, "127.0.0.1", true, "certificate required"}}; /* we show none */
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    world_config c = {.host = cases[i].host};
    assert_int_equal(
        tls_server_context(p.cert, p.key, cases[i].client_ca ? p.other : NULL, &c.server_tls, NULL),
        RC_OK);
    assert_int_equal(tls_client_context(cases[i].ca, &c.client_tls, NULL), RC_OK);
    world w;
    world_open(&w, &c);
    answer a = {0};
    world_call(&w, &a, "/t/Echo", "x");
    assert_int_equal(a.code, RC_UNAVAILABLE);
    if (!strstr(a.text, cases[i].why)) fail_msg("expected %s in %s", cases[i].why, a.text);
    world_close(&w);
  }
  drop_pems(&p);
}

static void tls_and_plain_do_not_meet(void **state) {
  (void)state;
  pems p = make_pems();
  for (int server_has_it = 0; server_has_it < 2; server_has_it++) {
    world_config c = {.connect_ms = 500};
    if (server_has_it)
      assert_int_equal(tls_server_context(p.cert, p.key, NULL, &c.server_tls, NULL), RC_OK);
    else
      assert_int_equal(tls_client_context(p.cert, &c.client_tls, NULL), RC_OK);
    world w;
    world_open(&w, &c);
    answer a = {0};
    world_call(&w, &a, "/t/Echo", "x");
    assert_int_equal(a.code, RC_UNAVAILABLE);
    world_close(&w);
  }
  drop_pems(&p);
}

static void tls_says_which_file_is_wrong(void **state) {
  (void)state;
  pems p = make_pems();
  SSL_CTX *none = NULL;
  err e = {0};
  assert_int_equal(tls_server_context("/no/cert", p.key, NULL, &none, &e), RC_INVALID);
  assert_non_null(strstr(e.text, "/no/cert"));
  assert_int_equal(tls_server_context(p.cert, p.other_key, NULL, &none, &e), RC_INVALID);
  assert_non_null(strstr(e.text, p.other_key));
  assert_int_equal(tls_server_context(p.cert, p.key, "/no/ca", &none, &e), RC_INVALID);
  assert_non_null(strstr(e.text, "/no/ca"));
  assert_int_equal(tls_client_context("/no/ca", &none, &e), RC_INVALID);
  assert_null(none);
  drop_pems(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(echo_comes_back),
      cmocka_unit_test(hundreds_of_calls_run_at_once),
      cmocka_unit_test(unknown_method_is_unimplemented),
      cmocka_unit_test(status_texts_survive),
      cmocka_unit_test(a_long_body_goes_from_spool_to_spool),
      cmocka_unit_test(an_early_answer_stops_the_upload),
      cmocka_unit_test(an_uploader_that_goes_on_is_reset),
      cmocka_unit_test(a_stream_comes_whole),
      cmocka_unit_test(a_message_in_pieces_is_one),
      cmocka_unit_test(a_reader_that_stops_costs_one_block),
      cmocka_unit_test(a_deadline_ends_both_sides),
      cmocka_unit_test(the_server_enforces_the_deadline),
      cmocka_unit_test(a_cancelled_call_ends_on_the_server),
      cmocka_unit_test(a_stream_can_be_cancelled_from_its_message),
      cmocka_unit_test(a_channel_can_be_freed_from_a_message),
      cmocka_unit_test(the_token_is_asked_for),
      cmocka_unit_test(too_much_is_refused_and_the_connection_lives),
      cmocka_unit_test(a_response_has_a_limit),
      cmocka_unit_test(a_stream_is_not_a_unary_answer),
      cmocka_unit_test(long_headers_are_refused),
      cmocka_unit_test(broken_requests_are_refused),
      cmocka_unit_test(connections_are_bounded_in_number_and_time),
      cmocka_unit_test(shutdown_answers_long_polls_then_a_call_reconnects),
      cmocka_unit_test(shutdown_cuts_who_does_not_go),
      cmocka_unit_test(a_peer_that_says_nothing_or_cuts_is_unavailable),
      cmocka_unit_test(a_goaway_ends_what_the_peer_will_not_serve),
      cmocka_unit_test(headers_that_cannot_be_sent_fail_the_call),
      cmocka_unit_test(a_frozen_peer_is_noticed),
      cmocka_unit_test(ipv6_works),
      cmocka_unit_test(names_are_resolved),
      cmocka_unit_test(tls_carries_calls),
      cmocka_unit_test(tls_refuses_strangers),
      cmocka_unit_test(tls_and_plain_do_not_meet),
      cmocka_unit_test(tls_says_which_file_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
