/* net/file_server.h: the files of folders over HTTP/1.1, by libmicrohttpd.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   GET <prefix><path>  →  the bytes in chunks, then the trailer `X-Floe-Xxh3: <16 hex digits>`,
 * the XXH3-64 of what was sent. With `Range: bytes=<first>-<last>` it is that part of the file
 * (206), or 416 when the file ends before it.
 *
 * A path has plain parts only, and no part of it may be a link. It has a few threads of its own for
 * all connections (epoll) and touches no loop. Bounded: connections, idle time and memory for
 * each. */
#ifndef FLOE_NET_FILE_SERVER_H
#define FLOE_NET_FILE_SERVER_H

#include "base/err.h"
#include "net/peer_access.h"

#define FILE_SERVER_CHECKSUM "X-Floe-Xxh3"

typedef struct file_server file_server;

typedef struct file_server_config { /* copied */
  const char *host;                 /* a literal address */
  int port;                         /* 0: any that is free */
  const char *prefix;               /* "/shuffle/" */
  const char *folder;
  const peer_access *access; /* its token as a Bearer; its certificate; NULL: neither */
} file_server_config;

/* Another folder, which may not exist yet; of a prefix, the last one given. At any time. */
void file_server_add(file_server *s, const char *prefix, const char *folder);
MUST_CHECK rc file_server_new(const file_server_config *config, file_server **out, err *e);
int file_server_port(const file_server *s);
/* Ends all connections. Takes as long as a thread needs to look up: milliseconds. NULL is fine. */
void file_server_free(file_server *s);

#endif
