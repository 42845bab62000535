/* store/signing.h: what signed URLs are made of. Pure. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_STORE_SIGNING_H
#define FLOE_STORE_SIGNING_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct signing_digest {
  uint8_t bytes[32];
} signing_digest;

/* HMAC-SHA256. `out` may lie where the key lies. */
MUST_CHECK rc signing_hmac(const void *key, size_t key_len, const char *text, signing_digest *out,
                           err *e);
void signing_put_hex(buf *out, const signing_digest *d);
/* Everything but unreserved characters becomes %XX; '/' may stay, where it separates. */
void signing_put_encoded(buf *out, const char *text, bool keep_slash);

#endif
