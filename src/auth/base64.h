/* auth/base64.h: base64 as tokens and Basic credentials use it. SPDX-License-Identifier: Apache-2.0
 */
#ifndef FLOE_AUTH_BASE64_H
#define FLOE_AUTH_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that `len` characters may become. */
#define BASE64_BYTES(len) ((len) / 4 * 3 + 3)

/* "-_" without padding. False: it is no base64, or not in the one form that its bytes have. `out`
 * has room for BASE64_BYTES(len). */
bool base64url_decode(const char *text, size_t len, uint8_t *out, size_t *out_len);
/* "+/" with padding. */
bool base64_decode(const char *text, size_t len, uint8_t *out, size_t *out_len);

#endif
