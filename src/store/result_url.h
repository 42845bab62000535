/* store/result_url.h: URLs of results that this cluster serves itself. SPDX-License-Identifier:
 * Apache-2.0
 *
 *   <base>/results/<query id>/part-00000.parquet?bytes=…&worker=…&expires=…&signature=…
 *
 * Who holds one may read this part of this result until it expires: the signature is the
 * authorization, and all that is needed to serve it stands in it. Pure, but for a random key. */
#ifndef FLOE_STORE_RESULT_URL_H
#define FLOE_STORE_RESULT_URL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "store/signing.h"

#include <stdint.h>

#define RESULT_URL_PATH "/results/"

/* Of the cluster's token, so that URLs outlive the process; NULL: a random one. */
MUST_CHECK rc result_url_key(const char *token, signing_digest *out, err *e);

typedef struct result_part_id { /* what a URL says */
  query_id query;
  uint32_t part;
  uint64_t bytes;
  const char *worker; /* on whose disk it may be; borrowed */
  int64_t expires_s;  /* since 1970 */
} result_part_id;

/* `base`: "https://host:3001", without a slash at its end. Appends to `out`. */
MUST_CHECK rc result_url_print(const signing_digest *key, const char *base,
                               const result_part_id *part, buf *out, err *e);

/* What a request brings, decoded; NULL: it is not there. */
typedef struct result_url_request {
  const char *path, *bytes, *worker, *expires, *signature;
} result_url_request;

/* RC_NOT_FOUND: this is no such URL. RC_DENIED: not our signature, or it has expired.
 * out->worker points into the request. */
MUST_CHECK rc result_url_check(const signing_digest *key, const result_url_request *request,
                               int64_t now_s, result_part_id *out, err *e);

#endif
