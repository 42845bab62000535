/* store/http.h: files to an object store, and from other workers, over HTTP.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Blocking calls for a thread pool, from any thread; libcurl does the work and connections stay
 * open between calls. Time is bounded: 5 s to connect, 60 s without progress. What may pass (no
 * connection, 408, 429, 5xx) is tried again after 0.2, 0.4, 0.8 and 1.6 s. A redirect is an error.
 * The process must ignore SIGPIPE. Texts name the URL without its query: that is the signature.
 *
 * RC_UNAVAILABLE: the store stayed out of reach; RC_DENIED: it refused (401, 403); RC_NOT_FOUND:
 * 404; RC_IO: any other answer. */
#ifndef FLOE_STORE_HTTP_H
#define FLOE_STORE_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "net/peer_access.h"

#include <stdatomic.h>
#include <stdint.h>

/* PUT the file at `path`; the store has all of it or nothing. Set *cancel (may be NULL) from
 * another thread to end the call within about a second with RC_CANCELLED. */
MUST_CHECK rc store_put_file(const char *url, const char *path, const atomic_bool *cancel, err *e);
typedef struct store_get {
  const char *url;           /* http://address/… */
  const peer_access *access; /* its token goes along; TLS, whatever the URL says, if it has a CA */
  uint64_t bytes;            /* how many it must be */
  int fd;                    /* where they go: an empty file; borrowed */
  /* Not NULL: only `bytes` from `first` on, at least one, and they go here. */
  uint8_t *memory;
  uint64_t first;
} store_get;

/* GET a file of a worker (net/file_server.h): other times hold, for a peer is here or it is lost.
 * 2 s to connect; 5 s without a sign of its machine; 20 s without progress; no other try after 5 s.
 * RC_OK: all bytes are there, and their checksum is right. RC_DATA_LOSS: it has other bytes.
 * RC_INTERNAL: not the peer, the file here cannot be written. */
MUST_CHECK rc store_get_file(const store_get *get, const atomic_bool *cancel, err *e);
/* GET what is small, at once or not at all: RC_EXHAUSTED: it has more than `most` bytes. Within
 * 15 s. */
MUST_CHECK rc store_fetch(const char *url, size_t most, const atomic_bool *cancel, buf *out,
                          err *e);
/* An object that is not there is RC_OK. `cancel` as above. */
MUST_CHECK rc store_delete(const char *url, const atomic_bool *cancel, err *e);

#endif
