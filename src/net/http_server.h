/* net/http_server.h: HTTP/1.1 for the dashboard and for results, by libmicrohttpd.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Answers to small GETs, and to HEAD. Each connection has a thread: it reads the request, waits for
 * the handler, which answers on the loop, at once or later, and sends what the handler gave it:
 * bytes, or a file. So no bulk, nor its encryption, passes through the loop. Bounded: connections,
 * idle time and memory for each. Every answer carries headers that keep a page from loading or
 * being framed by anything foreign. */
#ifndef FLOE_NET_HTTP_SERVER_H
#define FLOE_NET_HTTP_SERVER_H

#include "base/err.h"
#include "net/http_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

typedef struct http_server http_server;

typedef struct http_request http_request; /* while it is answered */
const char *http_request_path(const http_request *r);
const char *http_request_header(const http_request *r, const char *name);   /* NULL: absent */
const char *http_request_argument(const http_request *r, const char *name); /* NULL: absent */

typedef struct http_reply {
  int status;               /* 200 …; 401 also asks a browser for a password */
  const char *content_type; /* borrowed, lives as long as the server */
  const char *body;         /* of body_len bytes */
  size_t body_len;
  char *owned;    /* freed after the answer; NULL: body is static */
  http_file file; /* file.open set: this instead of the body, with its own status */
  /* The handler has not answered yet: request and reply stay until it has, by http_request_answer.
   */
  bool later;
} http_reply;

/* On the loop; before http_server_close. The reply is filled in. */
void http_request_answer(const http_request *r);

typedef struct http_server_config {
  const char *host; /* a literal address */
  int port;
  const char *certificate_file, *key_file; /* PEM; NULL: plaintext */
  /* On the loop; the reply starts as 404. */
  void (*on_get)(void *arg, const http_request *request, http_reply *reply);
  void *arg;
} http_server_config;

/* Where to listen: `host` must be a literal address. */
MUST_CHECK rc http_address(const char *host, int port, struct sockaddr_storage *out, err *e);
MUST_CHECK rc http_server_new(uv_loop_t *loop, const http_server_config *config, http_server **out,
                              err *e);
/* Ends all connections; `closed` is called from the loop when nothing is left, and the memory goes.
 */
void http_server_close(http_server *s, void (*closed)(void *), void *arg);

#endif
