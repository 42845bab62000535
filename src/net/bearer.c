/* net/bearer.c: see bearer.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/bearer.h"

#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

bool bearer_matches(const char *authorization, const char *token) {
  static const char scheme[] = "Bearer ";
  size_t scheme_len = sizeof scheme - 1, len = strlen(token);
  if (!authorization || strncasecmp(authorization, scheme, scheme_len) != 0) return false;
  const char *found = authorization + scheme_len;
  return strlen(found) == len && CRYPTO_memcmp(found, token, len) == 0;
}
