/* store/signing.c: see signing.h. SPDX-License-Identifier: Apache-2.0 */
#include "store/signing.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

rc signing_hmac(const void *key, size_t key_len, const char *text, signing_digest *out, err *e) {
  unsigned len = sizeof out->bytes;
  if (!HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text, strlen(text), out->bytes, &len))
    return ERR(e, RC_INTERNAL, "OpenSSL made no HMAC-SHA256; is the library whole?");
  return RC_OK;
}

void signing_put_hex(buf *out, const signing_digest *d) {
  for (size_t i = 0; i < sizeof d->bytes; i++) buf_printf(out, "%02x", d->bytes[i]);
}

void signing_put_encoded(buf *out, const char *text, bool keep_slash) {
  for (const unsigned char *c = (const unsigned char *)text; *c; c++)
    if (isalnum(*c) || strchr("-_.~", *c) || (*c == '/' && keep_slash))
      buf_printf(out, "%c", *c);
    else
      buf_printf(out, "%%%02X", *c);
}
