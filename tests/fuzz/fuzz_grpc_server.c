/* tests/fuzz/fuzz_grpc_server.c: a client that sends the input after HTTP/2's preface, then closes.
 * Whatever it was, the server ends the connection, every call and every byte it held.
 * SPDX-License-Identifier: Apache-2.0 */
#include "net/grpc_server.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
enum { PREFACE_LEN = 24 + 9, TURNS_MOST = 1000 };

static uv_loop_t loop;
static grpc_server *server;
static unsigned calls, hooks;

static void on_end_of_call(grpc_call *call, void *data) {
  (void)call, (void)data;
  hooks++;
}

static void serve(grpc_call *call, const uint8_t *message, size_t len) {
  calls++;
  grpc_call_set_data(call, NULL, on_end_of_call);
  if (len && message[0] == 'w') return; /* waits for its deadline */
  grpc_call_send(call, message, len);
  grpc_call_finish(call, RC_OK, NULL);
}

static void open_pieces(grpc_call *call, uint64_t len) {
  calls++;
  grpc_call_set_data(call, NULL, on_end_of_call);
  if (len == 3) grpc_call_finish_details(call, "early", "Error: early");
}

static void take_piece(grpc_call *call, const uint8_t *data, size_t len) {
  if (data[len - 1] == 'x') grpc_call_finish(call, RC_INVALID, "x");
}

static void end_pieces(grpc_call *call) {
  grpc_call_finish(call, RC_OK, NULL);
}

static void start(void) {
  static const grpc_method methods[] = {
      {.path = "/a/Whole", .on_request = serve, .no_token = true},
      {.path = "/a/Pieces", .on_open = open_pieces, .on_bytes = take_piece, .on_end = end_pieces}};
  static const grpc_server_config config = {.methods = methods,
                                            .n_methods = 2,
                                            .limits = {.max_message = 4096, .max_streams = 8},
                                            .token = NULL};
  if (uv_loop_init(&loop) != 0) abort();
  server = grpc_server_new(&loop, &config);
  if (grpc_server_listen(server, "127.0.0.1", 0, NULL) != RC_OK) abort();
}

static int connect_to_server(void) {
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)grpc_server_port(server))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct linger reset = {.l_onoff = 1}; /* no thousands of sockets in TIME_WAIT */
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) abort();
  return fd;
}

static void send_all(int fd, const void *data, size_t len) {
  if (len && write(fd, data, len) != (ssize_t)len) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  if (!server) start();
  if (len > 65536) return -1;
  int fd = connect_to_server();
  send_all(fd, PREFACE, PREFACE_LEN);
  send_all(fd, data, len);
  shutdown(fd, SHUT_WR);
  bool seen = false;
  for (int turn = 0; turn < TURNS_MOST && !(seen && !grpc_server_connections(server)); turn++) {
    uv_run(&loop, UV_RUN_NOWAIT);
    seen = seen || grpc_server_connections(server);
  }
  close(fd);
  uv_run(&loop, UV_RUN_NOWAIT);
  if (grpc_server_connections(server) || calls != hooks) abort();
  return 0;
}
