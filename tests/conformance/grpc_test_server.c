/* tests/conformance/grpc_test_server.c: a small server for tools that judge it from outside.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   grpc_test_server PORT [CERT KEY]     PORT 0: a free one
 *
 * Prints "port N" when it listens; SIGTERM shuts it down. Methods of /floe.test.Test/, on raw
 * bytes: Echo; Sink (any size, in pieces; answers the size as text); Stream (COUNT SIZE as text: so
 * many messages of that size); Wait (until the deadline or the end); Fail (the text comes back as
 * an error with details). */
#include "base/mem.h"
#include "net/grpc_server.h"
#include "net/tls.h"

#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct stream {
  unsigned left;
  size_t size;
  uint8_t *block;
} stream;

static void echo(grpc_call *call, const uint8_t *message, size_t len) {
  grpc_call_send(call, message, len);
  grpc_call_finish(call, RC_OK, NULL);
}

static void wait_for_end(grpc_call *call, const uint8_t *message, size_t len) {
  (void)call, (void)message, (void)len;
}

static void fail(grpc_call *call, const uint8_t *message, size_t len) {
  char *text = mem_strndup((const char *)message, len);
  grpc_call_finish_details(call, text, text);
  free(text);
}

static void free_stream(grpc_call *call, void *data) {
  (void)call;
  stream *s = data;
  free(s->block);
  free(s);
}

static void refill(grpc_call *call, void *arg) {
  stream *s = arg;
  if (s->left == 0) {
    grpc_call_finish(call, RC_OK, NULL);
    return;
  }
  s->left--;
  grpc_call_send(call, s->block, s->size);
}

static void send_stream(grpc_call *call, const uint8_t *message, size_t len) {
  stream *s = NEW(stream);
  char *text = mem_strndup((const char *)message, len);
  int found = sscanf(text, "%u %zu", &s->left, &s->size);
  free(text);
  grpc_call_set_data(call, s, free_stream);
  if (found != 2 || s->size > 16 << 20) {
    grpc_call_finish(call, RC_INVALID, "expected COUNT SIZE, the size at most 16 MiB");
    return;
  }
  s->block = mem_new(s->size + 1);
  grpc_call_on_drain(call, refill, s);
}

static void free_count(grpc_call *call, void *data) {
  (void)call;
  free(data);
}

static void sink_open(grpc_call *call, uint64_t len) {
  (void)len;
  grpc_call_set_data(call, NEW(uint64_t), free_count);
}

static void sink_bytes(grpc_call *call, const uint8_t *data, size_t len) {
  (void)data;
  *(uint64_t *)grpc_call_data(call) += len;
}

static void sink_end(grpc_call *call) {
  char text[32];
  int n =
      snprintf(text, sizeof text, "%llu", (unsigned long long)*(uint64_t *)grpc_call_data(call));
  grpc_call_send(call, (uint8_t *)text, (size_t)n);
  grpc_call_finish(call, RC_OK, NULL);
}

static const grpc_method METHODS[] = {
    {.path = "/floe.test.Test/Echo", .on_request = echo, .max_message = 64 << 20},
    {.path = "/floe.test.Test/Wait", .on_request = wait_for_end},
    {.path = "/floe.test.Test/Fail", .on_request = fail},
    {.path = "/floe.test.Test/Stream", .on_request = send_stream},
    {.path = "/floe.test.Test/Sink",
     .on_open = sink_open,
     .on_bytes = sink_bytes,
     .on_end = sink_end,
     .max_message = UINT32_MAX},
};

static void on_gone(void *arg) {
  grpc_server_free(arg);
}

static void on_sigterm(uv_signal_t *handle, int signum) {
  (void)signum;
  grpc_server_shutdown(handle->data, 2000, on_gone, handle->data);
  uv_close((uv_handle_t *)handle, NULL);
}

int main(int argc, char **argv) {
  if (argc != 2 && argc != 4) return fprintf(stderr, "usage: %s PORT [CERT KEY]\n", argv[0]), 2;
  uv_loop_t loop;
  uv_signal_t sigterm;
  grpc_server_config config = {.methods = METHODS, .n_methods = sizeof METHODS / sizeof *METHODS};
  err e = {0};
  if (argc == 4 && tls_server_context(argv[2], argv[3], NULL, &config.tls, &e) != RC_OK)
    return fprintf(stderr, "%s\n", e.text), 1;
  if (uv_loop_init(&loop) != 0) return 1;
  grpc_server *server = grpc_server_new(&loop, &config);
  if (grpc_server_listen(server, "127.0.0.1", atoi(argv[1]), &e) != RC_OK)
    return fprintf(stderr, "%s\n", e.text), 1;
  uv_signal_init(&loop, &sigterm);
  sigterm.data = server;
  uv_signal_start(&sigterm, on_sigterm, SIGTERM);
  printf("port %d\n", grpc_server_port(server));
  fflush(stdout);
  uv_run(&loop, UV_RUN_DEFAULT);
  SSL_CTX_free(config.tls);
  return uv_loop_close(&loop) == 0 ? 0 : 1;
}
