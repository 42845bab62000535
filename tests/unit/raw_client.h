/* tests/unit/raw_client.h: HTTP/2 by hand, for clients that do not behave.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_TESTS_RAW_CLIENT_H
#define FLOE_TESTS_RAW_CLIENT_H

#include "base/buf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RAW_END_STREAM = 1, RAW_END_HEADERS = 4 };
enum { RAW_DATA, RAW_HEADERS, RAW_SETTINGS = 4, RAW_PING = 6, RAW_GOAWAY, RAW_WINDOW_UPDATE = 8 };

static inline int raw_connect(int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) abort();
  return fd;
}

static inline void raw_frame(buf *b, uint8_t type, uint8_t flags, uint32_t stream, const void *data,
                             size_t len) {
  uint8_t head[9] = {(uint8_t)(len >> 16),
                     (uint8_t)(len >> 8),
                     (uint8_t)len,
                     type,
                     flags,
                     (uint8_t)(stream >> 24),
                     (uint8_t)(stream >> 16),
                     (uint8_t)(stream >> 8),
                     (uint8_t)stream};
  if (buf_append(b, head, sizeof head, NULL) || buf_append(b, data, len, NULL)) abort();
}

/* The preface, SETTINGS with the largest windows, a WINDOW_UPDATE for the connection. */
static inline void raw_hello(buf *b) {
  static const uint8_t window[6] = {0, 4, 0x7F, 0xFF, 0xFF, 0xFF}, more[4] = {0x7F, 0, 0, 0};
  buf_puts(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  raw_frame(b, RAW_SETTINGS, 0, 0, window, sizeof window);
  raw_frame(b, RAW_WINDOW_UPDATE, 0, 0, more, sizeof more);
}

static inline void raw_header(buf *block, const char *name, const char *value) {
  buf_printf(block, "%c%c%s%c%s", 0x10, (int)strlen(name), name, (int)strlen(value), value);
}

/* `timeout` NULL: none. */
static inline void raw_request(buf *b, uint32_t stream, const char *path, const char *timeout) {
  buf block = {0};
  raw_header(&block, ":method", "POST");
  raw_header(&block, ":scheme", "http");
  raw_header(&block, ":path", path);
  raw_header(&block, ":authority", "x");
  raw_header(&block, "content-type", "application/grpc");
  if (timeout) raw_header(&block, "grpc-timeout", timeout);
  raw_frame(b, RAW_HEADERS, RAW_END_HEADERS, stream, block.data, block.len);
  buf_deinit(&block);
}

static inline void raw_send(int fd, buf *b) {
  if (write(fd, b->data, b->len) != (ssize_t)b->len) abort();
  buf_clear(b);
}

/* Has the other side closed? Throws away what it has sent. */
static inline bool raw_is_closed(int fd) {
  char junk[4096];
  ssize_t n;
  while ((n = recv(fd, junk, sizeof junk, MSG_DONTWAIT)) > 0) continue;
  return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

#endif
