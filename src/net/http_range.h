/* net/http_range.h: the header `Range: bytes=…` of a request. SPDX-License-Identifier: Apache-2.0
 */
#ifndef FLOE_NET_HTTP_RANGE_H
#define FLOE_NET_HTTP_RANGE_H

#include <stdint.h>

typedef enum http_range_kind {
  HTTP_RANGE_ALL,    /* no header, or a form that may be passed over: several ranges, other units */
  HTTP_RANGE_PART,   /* 206 */
  HTTP_RANGE_OUTSIDE /* 416 */
} http_range_kind;

typedef struct http_range { /* within the file */
  uint64_t first, len;
} http_range;

/* "bytes=<first>-<last>", "bytes=<first>-" and "bytes=-<the last so many>" of a file of `bytes`.
 * `text` NULL: no header. *out is set in every case; OUTSIDE: empty. */
http_range_kind http_range_read(const char *text, uint64_t bytes, http_range *out);

#endif
