/* tests/fuzz/fuzz_grpc_client.c: a server that answers two calls with the input, then closes. Each
 * call ends exactly once. SPDX-License-Identifier: Apache-2.0 */
#include "net/grpc_client.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const uint8_t SETTINGS[9] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
enum { TURNS_MOST = 1000, CALLS = 2 };

static uv_loop_t loop;
static int listener = -1, port;
static unsigned done;
static volatile unsigned sum;

static void on_message(void *arg, const uint8_t *message, size_t len) {
  (void)arg;
  for (size_t i = 0; i < len; i++) sum += message[i]; /* a sanitizer sees that all of it is there */
}

static void on_done(void *arg, rc code, const char *text) {
  (void)arg, (void)code;
  if (!text) abort();
  done++;
}

static void start(void) {
  struct sockaddr_in any = {.sin_family = AF_INET};
  socklen_t len = sizeof any;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  listener = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&any, len) != 0 ||
      listen(listener, 8) != 0 || getsockname(listener, (struct sockaddr *)&any, &len) != 0)
    abort();
  port = ntohs(any.sin_port);
  if (uv_loop_init(&loop) != 0) abort();
}

static void answer(const uint8_t *data, size_t len) {
  int fd = accept(listener, NULL, NULL);
  struct linger reset = {.l_onoff = 1};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  if (fd < 0 || write(fd, SETTINGS, sizeof SETTINGS) != sizeof SETTINGS) abort();
  for (int turn = 0; turn < 6; turn++) uv_run(&loop, UV_RUN_NOWAIT); /* the calls are sent */
  if (len && write(fd, data, len) != (ssize_t)len) abort();
  shutdown(fd, SHUT_WR);
  for (int turn = 0; turn < TURNS_MOST && done < CALLS; turn++) uv_run(&loop, UV_RUN_NOWAIT);
  close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  if (listener < 0) start();
  if (len > 65536) return -1;
  done = 0;
  grpc_channel_config config = {.host = "127.0.0.1", .port = port};
  grpc_channel *channel = grpc_channel_new(&loop, &config);
  for (int i = 0; i < CALLS; i++) {
    grpc_request_spec spec = {.path = "/a/B",
                              .streams = i == 1,
                              .head = (const uint8_t *)"x",
                              .head_len = 1,
                              .on_message = on_message,
                              .on_done = on_done};
    grpc_channel_call(channel, &spec);
  }
  for (int turn = 0; turn < 4; turn++) uv_run(&loop, UV_RUN_NOWAIT); /* connects */
  answer(data, len);
  grpc_channel_free(channel);
  if (done != CALLS) abort();
  uv_run(&loop, UV_RUN_DEFAULT);
  return 0;
}
