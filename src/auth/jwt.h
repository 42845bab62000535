/* auth/jwt.h: a signed token (RFC 7519) → the user that it names. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The algorithm is one of a list, and the key must be of its kind: neither `none` nor a secret
 * that is somebody's public key is ever accepted. Claims are read when the signature is right.
 * Pure: the clock is an argument. No text of an error quotes the token. */
#ifndef FLOE_AUTH_JWT_H
#define FLOE_AUTH_JWT_H

#include "auth/jwk.h"

#include <stdint.h>

enum { JWT_MAX_BYTES = 16384, JWT_LEEWAY_S = 60, JWT_MAX_USER_BYTES = 256 };

typedef struct jwt_rules {
  const char *issuers;    /* who may have issued it, with commas between them; NULL: anybody */
  const char *audience;   /* whom it must be for; NULL: whomever */
  const char *user_claim; /* which claim names the user */
} jwt_rules;

/* RC_NOT_FOUND: it may be right, but the key that it names is not in the set. Else
 * RC_UNAUTHENTICATED. On success *user is owned by the caller. */
MUST_CHECK rc jwt_verify(const jwk_set *keys, const char *token, const jwt_rules *rules,
                         int64_t now_s, char **user, err *e);
/* Its second half: the claims of a token whose signature is right. */
MUST_CHECK rc jwt_check_claims(const char *json, size_t len, const jwt_rules *rules, int64_t now_s,
                               char **user, err *e);

#endif
