/* store/sigv4.h: presigned URLs of S3. SPDX-License-Identifier: Apache-2.0
 *
 * AWS Signature Version 4 in the query string: who has the URL may do this one thing with this one
 * object until it expires. The host is signed too, so the URL works for exactly that host. Pure. */
#ifndef FLOE_STORE_SIGV4_H
#define FLOE_STORE_SIGV4_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define SIGV4_MAX_EXPIRES_S (7 * 24 * 3600) /* S3 accepts no more */

typedef struct sigv4_credentials {
  const char *access_key_id, *secret_access_key;
  const char *session_token; /* NULL: long-term credentials */
} sigv4_credentials;

typedef struct sigv4_request {
  const char *method;   /* "GET", "PUT", "DELETE" */
  const char *endpoint; /* "https://host[:port][/prefix]"; no query, no user */
  const char *path;     /* "/bucket/key", or "/key" when the host names the bucket; not encoded */
  const char *region;
  int64_t wall_us;    /* when it is signed */
  uint32_t expires_s; /* 1 … SIGV4_MAX_EXPIRES_S */
} sigv4_request;

/* Appends the URL to `out`. RC_INVALID: the endpoint or expires_s is not as above. */
MUST_CHECK rc sigv4_presign(const sigv4_credentials *c, const sigv4_request *r, buf *out, err *e);

#endif
