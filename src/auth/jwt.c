/* auth/jwt.c: see jwt.h. SPDX-License-Identifier: Apache-2.0 */
#include "auth/jwt.h"

#include "auth/base64.h"
#include "base/mem.h"
#include "conf/conf.h"

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

static const struct algorithm {
  const char *name;
  jwk_kind kind;
  const char *digest;  /* NULL: the algorithm has its own */
  bool pss;            /* RSA: the padding */
  size_t number_bytes; /* ECDSA: of each half of a signature */
} ALGORITHMS[] = {
    {"RS256", JWK_RSA, "SHA256", false, 0},   {"RS384", JWK_RSA, "SHA384", false, 0},
    {"RS512", JWK_RSA, "SHA512", false, 0},   {"PS256", JWK_RSA, "SHA256", true, 0},
    {"PS384", JWK_RSA, "SHA384", true, 0},    {"PS512", JWK_RSA, "SHA512", true, 0},
    {"ES256", JWK_P256, "SHA256", false, 32}, {"ES384", JWK_P384, "SHA384", false, 48},
    {"ES512", JWK_P521, "SHA512", false, 66}, {"EdDSA", JWK_ED25519, NULL, false, 0},
};

typedef struct piece { /* of the token */
  const char *at;
  size_t len;
} piece;

/* ---- signatures ---- */

/* The two numbers side by side → as OpenSSL wants them. */
static int ecdsa_der(const uint8_t *raw, size_t half, uint8_t **der) {
  ECDSA_SIG *sig = ECDSA_SIG_new();
  BIGNUM *r = BN_bin2bn(raw, (int)half, NULL), *s = BN_bin2bn(raw + half, (int)half, NULL);
  int len = -1;
  if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
    len = i2d_ECDSA_SIG(sig, der);
  } else {
    BN_free(r);
    BN_free(s);
  }
  ECDSA_SIG_free(sig);
  return len;
}

static bool digest_verify(const struct algorithm *a, EVP_PKEY *key, piece text, const uint8_t *sig,
                          size_t sig_len) {
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  EVP_PKEY_CTX *how;
  bool ok = ctx && EVP_DigestVerifyInit_ex(ctx, &how, a->digest, NULL, NULL, key, NULL) == 1;
  if (ok && a->pss)
    ok = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1;
  ok = ok && EVP_DigestVerify(ctx, sig, sig_len, (const uint8_t *)text.at, text.len) == 1;
  EVP_MD_CTX_free(ctx);
  ERR_clear_error();
  return ok;
}

static bool signature_is_right(const struct algorithm *a, EVP_PKEY *key, piece text,
                               const uint8_t *sig, size_t sig_len) {
  if (!a->number_bytes) return digest_verify(a, key, text, sig, sig_len);
  uint8_t *der = NULL;
  if (sig_len != 2 * a->number_bytes) return false;
  int der_len = ecdsa_der(sig, a->number_bytes, &der);
  bool ok = der_len > 0 && digest_verify(a, key, text, der, (size_t)der_len);
  OPENSSL_free(der);
  return ok;
}

/* ---- the header ---- */

static const struct algorithm *find_algorithm(const char *name) {
  for (size_t i = 0; name && i < sizeof ALGORITHMS / sizeof *ALGORITHMS; i++)
    if (!strcmp(ALGORITHMS[i].name, name)) return &ALGORITHMS[i];
  return NULL;
}

static bool fits(const jwk *key, const struct algorithm *a, const char *id) {
  return key->kind == a->kind && (!key->alg || !strcmp(key->alg, a->name)) &&
         (!id || (key->id && !strcmp(key->id, id)));
}

/* The one key that fits. */
static rc find_key(const jwk_set *keys, const struct algorithm *a, const char *id, const jwk **out,
                   err *e) {
  *out = NULL;
  for (size_t i = 0; i < keys->n; i++) {
    if (!fits(&keys->keys[i], a, id)) continue;
    if (*out)
      return ERR(e, RC_UNAUTHENTICATED,
                 "the token does not say with which of several keys it is signed (kid)");
    *out = &keys->keys[i];
  }
  if (*out) return RC_OK;
  return ERR(e, RC_NOT_FOUND, "the token is signed with a key (%s) that is not known here",
             a->name);
}

static rc read_header(const json_t *header, const jwk_set *keys, const struct algorithm **a,
                      const jwk **key, err *e) {
  *a = find_algorithm(json_string_value(json_object_get(header, "alg")));
  if (!*a)
    return ERR(e, RC_UNAUTHENTICATED,
               "the token is not signed in a way that is accepted: expected RS256, PS256, ES256 "
               "(or with 384, 512) or EdDSA");
  if (json_object_get(header, "crit"))
    return ERR(e, RC_UNAUTHENTICATED, "the token has critical extensions, which are not known");
  const json_t *id = json_object_get(header, "kid");
  if (id && !json_is_string(id)) return ERR(e, RC_UNAUTHENTICATED, "the token's kid is no text");
  return find_key(keys, *a, json_string_value(id), key, e);
}

static rc not_a_token(err *e) {
  return ERR(e, RC_UNAUTHENTICATED, "this is no token of this cluster");
}

/* ---- claims ---- */

static bool is_for(const json_t *audience, const char *wanted) {
  const char *one = json_string_value(audience);
  if (one) return !strcmp(one, wanted);
  for (size_t i = 0; i < json_array_size(audience); i++) {
    one = json_string_value(json_array_get(audience, i));
    if (one && !strcmp(one, wanted)) return true;
  }
  return false;
}

static rc check_times(const json_t *claims, int64_t now_s, err *e) {
  const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
  if (!json_is_number(exp))
    return ERR(e, RC_UNAUTHENTICATED, "the token does not say when it expires (exp)");
  if (!(json_number_value(exp) + JWT_LEEWAY_S > (double)now_s))
    return ERR(e, RC_UNAUTHENTICATED, "the token has expired; get a new one");
  if (nbf && !(json_is_number(nbf) && json_number_value(nbf) - JWT_LEEWAY_S <= (double)now_s))
    return ERR(e, RC_UNAUTHENTICATED, "the token is not valid yet (nbf)");
  return RC_OK;
}

static rc read_user(const json_t *claims, const char *name, char **user, err *e) {
  const json_t *claim = json_object_get(claims, name);
  const char *text = json_string_value(claim);
  size_t len = json_string_length(claim);
  bool plain = text && len && len <= JWT_MAX_USER_BYTES;
  for (size_t i = 0; plain && i < len; i++) plain = (uint8_t)text[i] >= ' ' && text[i] != 0x7f;
  if (!plain)
    return ERR(e, RC_UNAUTHENTICATED,
               "the token names no user: expected a text of up to %d bytes in its claim %s",
               JWT_MAX_USER_BYTES, name);
  *user = mem_strdup(text);
  return RC_OK;
}

static rc check_claims(const json_t *claims, const jwt_rules *rules, int64_t now_s, char **user,
                       err *e) {
  const char *issuer = json_string_value(json_object_get(claims, "iss"));
  if (!json_is_object(claims)) return not_a_token(e);
  if (rules->issuers && !(issuer && conf_list_has(rules->issuers, issuer)))
    return ERR(e, RC_UNAUTHENTICATED, "the token is from another issuer (iss); expected %s",
               rules->issuers);
  if (rules->audience && !is_for(json_object_get(claims, "aud"), rules->audience))
    return ERR(e, RC_UNAUTHENTICATED, "the token is for another audience (aud); expected %s",
               rules->audience);
  TRY(check_times(claims, now_s, e));
  return read_user(claims, rules->user_claim, user, e);
}

rc jwt_check_claims(const char *json, size_t len, const jwt_rules *rules, int64_t now_s,
                    char **user, err *e) {
  json_t *claims = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);
  rc r = check_claims(claims, rules, now_s, user, e);
  json_decref(claims);
  return r;
}

/* ---- all of it ---- */

/* header.claims.signature */
static bool cut(const char *token, piece parts[3]) {
  for (int i = 0; i < 3; i++) {
    parts[i] = (piece){token, strcspn(token, ".")};
    token += parts[i].len;
    if (*token++ != (i < 2 ? '.' : '\0')) return false;
  }
  return true;
}

typedef struct decoded {
  uint8_t bytes[BASE64_BYTES(JWT_MAX_BYTES)];
  size_t len;
} decoded;

static bool decode(piece p, decoded *out) {
  return base64url_decode(p.at, p.len, out->bytes, &out->len);
}

static rc check_signature(const jwk_set *keys, const piece parts[3], decoded *room, err *e) {
  const struct algorithm *a = NULL;
  const jwk *key = NULL;
  if (!decode(parts[0], room)) return not_a_token(e);
  json_t *header = json_loadb((const char *)room->bytes, room->len, JSON_REJECT_DUPLICATES, NULL);
  rc r = json_is_object(header) ? read_header(header, keys, &a, &key, e) : not_a_token(e);
  json_decref(header);
  if (r != RC_OK) return r;
  piece text = {parts[0].at, (size_t)(parts[1].at + parts[1].len - parts[0].at)};
  if (decode(parts[2], room) && signature_is_right(a, key->key, text, room->bytes, room->len))
    return RC_OK;
  return ERR(e, RC_UNAUTHENTICATED, "the token's signature is wrong");
}

rc jwt_verify(const jwk_set *keys, const char *token, const jwt_rules *rules, int64_t now_s,
              char **user, err *e) {
  piece parts[3];
  *user = NULL;
  if (strlen(token) > JWT_MAX_BYTES)
    return ERR(e, RC_UNAUTHENTICATED, "the token is longer than %d bytes", JWT_MAX_BYTES);
  if (!cut(token, parts)) return not_a_token(e);
  decoded *room = NEW(decoded);
  rc r = check_signature(keys, parts, room, e);
  if (r == RC_OK && !decode(parts[1], room)) r = not_a_token(e);
  if (r == RC_OK) r = jwt_check_claims((const char *)room->bytes, room->len, rules, now_s, user, e);
  free(room);
  return r;
}
