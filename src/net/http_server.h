/* net/http_server.h: HTTP/1.1 for the dashboard, by libmicrohttpd on the loop.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Small answers to small GETs; the handler answers at once. Bounded: connections, idle time and
 * memory for each. Every answer carries headers that keep a page from loading or being framed by
 * anything foreign. */
#ifndef FLOE_NET_HTTP_SERVER_H
#define FLOE_NET_HTTP_SERVER_H

#include "base/err.h"

#include <stddef.h>
#include <uv.h>

typedef struct http_server http_server;

typedef struct http_reply {
  int status;               /* 200 … */
  const char *content_type; /* borrowed, lives as long as the server */
  const char *body;         /* of body_len bytes */
  size_t body_len;
  char *owned; /* freed after the answer; NULL: body is static */
} http_reply;

typedef struct http_server_config {
  const char *host; /* a literal address */
  int port;
  const char *certificate_file, *key_file;                        /* PEM; NULL: plaintext */
  void (*on_get)(void *arg, const char *path, http_reply *reply); /* reply starts as 404 */
  void *arg;
} http_server_config;

/* Where to listen: `host` must be a literal address. */
MUST_CHECK rc http_address(const char *host, int port, struct sockaddr_storage *out, err *e);
MUST_CHECK rc http_server_new(uv_loop_t *loop, const http_server_config *config, http_server **out,
                              err *e);
/* Closes everything; `closed` is called from the loop when no handle is left, and the memory goes.
 */
void http_server_close(http_server *s, void (*closed)(void *), void *arg);

#endif
