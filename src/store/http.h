/* store/http.h: files to an object store, over HTTP. SPDX-License-Identifier: Apache-2.0
 *
 * Blocking calls for a thread pool; libcurl does the work. Connections stay open between calls and
 * are shared by the threads. Time is bounded: 5 s to connect, 60 s without progress. What may pass
 * (no connection, 408, 429, 5xx) is tried again after 0.2, 0.4, 0.8 and 1.6 s. Redirects are
 * errors. Texts carry the URL without its query, because that holds the signature. */
#ifndef FLOE_STORE_HTTP_H
#define FLOE_STORE_HTTP_H

#include "base/err.h"

#include <stdatomic.h>

typedef struct store_http store_http;

store_http *store_http_new(void);
void store_http_free(store_http *h); /* no call may be under way; NULL is fine */

/* PUT the file at `path`; the store sees all of it or nothing. Set *cancel (may be NULL) from
 * another thread to end the call within a second with RC_CANCELLED. RC_UNAVAILABLE: the store
 * stayed out of reach; RC_DENIED: it refused (401, 403); RC_NOT_FOUND: 404; RC_IO: any other. */
MUST_CHECK rc store_http_put_file(store_http *h, const char *url, const char *path,
                                  const atomic_bool *cancel, err *e);
/* DELETE; an object that is not there (404) is RC_OK. */
MUST_CHECK rc store_http_delete(store_http *h, const char *url, err *e);

#endif
