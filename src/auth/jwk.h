/* auth/jwk.h: the public keys of who issues tokens: a JSON Web Key Set (RFC 7517).
 * SPDX-License-Identifier: Apache-2.0
 *
 * Of a set only what may check a signature is kept: RSA from 2048 bits, P-256, P-384, P-521 and
 * Ed25519. Symmetric keys are left out, so that no public text ever counts as a secret. */
#ifndef FLOE_AUTH_JWK_H
#define FLOE_AUTH_JWK_H

#include "base/err.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

enum { JWK_MAX_SET_BYTES = 1 << 20, JWK_MAX_KEYS = 256 };

typedef enum jwk_kind { JWK_RSA, JWK_P256, JWK_P384, JWK_P521, JWK_ED25519 } jwk_kind;

typedef struct jwk {
  jwk_kind kind;
  char *id, *alg; /* NULL: the set does not say */
  EVP_PKEY *key;
} jwk;

typedef struct jwk_set {
  jwk *keys;
  size_t n;
} jwk_set;

/* RC_INVALID: it is no set, or there is no key in it that can be used. */
MUST_CHECK rc jwk_set_parse(const char *json, size_t len, jwk_set **out, err *e);
void jwk_set_free(jwk_set *s); /* NULL is fine */

#endif
