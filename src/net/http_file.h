/* net/http_file.h: a file as an answer over HTTP: whole, a part of it, or only its size.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Its bytes come from whoever made it, window by window, on the connection's own thread. */
#ifndef FLOE_NET_HTTP_FILE_H
#define FLOE_NET_HTTP_FILE_H

#include "base/err.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct http_file {
  uint64_t bytes;
  char tag[64]; /* other bytes have another one; no quotes */
  void *arg;
  /* All block, on another thread than the loop's. *stop: the server ends, give up soon. */
  rc (*open)(void *arg, const atomic_bool *stop,
             err *e); /* failed: the status and text that are sent */
  rc (*read)(void *arg, uint64_t at, uint8_t *out, size_t len, const atomic_bool *stop, err *e);
  void (*close)(void *arg); /* called once, whatever became of it */
} http_file;

struct MHD_Connection;
struct MHD_Response;

/* As an answer to this request, to be queued with *status: 200, 206, 416, or what open() said.
 * NULL: no memory. `file` is copied; `stop` lives as long as the connection. */
struct MHD_Response *http_file_response(struct MHD_Connection *connection, const http_file *file,
                                        const atomic_bool *stop, unsigned *status);

#endif
