/* auth/jwk.c: see jwk.h. SPDX-License-Identifier: Apache-2.0 */
#include "auth/jwk.h"

#include "auth/base64.h"
#include "base/mem.h"

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NUMBER_BYTES = 1024, LEAST_RSA_BITS = 2048 };

typedef struct number { /* big-endian */
  uint8_t bytes[BASE64_BYTES(MAX_NUMBER_BYTES / 3 * 4)];
  size_t len;
} number;

static const char *text_of(const json_t *key, const char *name) {
  return json_string_value(json_object_get(key, name));
}

static bool says(const json_t *key, const char *name, const char *value) {
  const char *text = text_of(key, name);
  return text && !strcmp(text, value);
}

static bool read_number(const json_t *key, const char *name, number *out) {
  const json_t *text = json_object_get(key, name);
  size_t len = json_string_length(text);
  return len && len <= MAX_NUMBER_BYTES / 3 * 4 &&
         base64url_decode(json_string_value(text), len, out->bytes, &out->len);
}

static EVP_PKEY *key_from(const char *type, OSSL_PARAM *params) {
  EVP_PKEY *key = NULL;
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
  if (ctx && params && EVP_PKEY_fromdata_init(ctx) == 1)
    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
  EVP_PKEY_CTX_free(ctx);
  OSSL_PARAM_free(params);
  return key;
}

static EVP_PKEY *rsa_key(const json_t *json) {
  number n, e;
  if (!read_number(json, "n", &n) || !read_number(json, "e", &e)) return NULL;
  BIGNUM *modulus = BN_bin2bn(n.bytes, (int)n.len, NULL);
  BIGNUM *exponent = BN_bin2bn(e.bytes, (int)e.len, NULL);
  OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
  OSSL_PARAM *params = NULL;
  if (modulus && exponent && build && BN_num_bits(modulus) >= LEAST_RSA_BITS &&
      OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) &&
      OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent))
    params = OSSL_PARAM_BLD_to_param(build);
  EVP_PKEY *key = key_from("RSA", params);
  OSSL_PARAM_BLD_free(build);
  BN_free(exponent);
  BN_free(modulus);
  return key;
}

static const struct curve {
  jwk_kind kind;
  const char *name, *group;
  size_t bytes;
} CURVES[] = {{JWK_P256, "P-256", "prime256v1", 32},
              {JWK_P384, "P-384", "secp384r1", 48},
              {JWK_P521, "P-521", "secp521r1", 66}};

/* OpenSSL proves that the point is on the curve. */
static EVP_PKEY *curve_key(const json_t *json, const struct curve *curve) {
  number x, y;
  uint8_t point[1 + 2 * 66] = {POINT_CONVERSION_UNCOMPRESSED};
  if (!read_number(json, "x", &x) || !read_number(json, "y", &y)) return NULL;
  if (x.len != curve->bytes || y.len != curve->bytes) return NULL;
  memcpy(point + 1, x.bytes, x.len);
  memcpy(point + 1 + x.len, y.bytes, y.len);
  OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
  OSSL_PARAM *params = NULL;
  if (build &&
      OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) &&
      OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * x.len))
    params = OSSL_PARAM_BLD_to_param(build);
  EVP_PKEY *key = key_from("EC", params);
  OSSL_PARAM_BLD_free(build);
  return key;
}

static EVP_PKEY *edwards_key(const json_t *json) {
  number x;
  if (!says(json, "crv", "Ed25519") || !read_number(json, "x", &x)) return NULL;
  return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.bytes, x.len);
}

static EVP_PKEY *make_key(const json_t *json, jwk_kind *kind) {
  if (says(json, "kty", "RSA")) {
    *kind = JWK_RSA;
    return rsa_key(json);
  }
  if (says(json, "kty", "OKP")) {
    *kind = JWK_ED25519;
    return edwards_key(json);
  }
  for (size_t i = 0; says(json, "kty", "EC") && i < sizeof CURVES / sizeof *CURVES; i++)
    if (says(json, "crv", CURVES[i].name)) {
      *kind = CURVES[i].kind;
      return curve_key(json, &CURVES[i]);
    }
  return NULL;
}

static char *copy_or_null(const char *text) {
  return text ? mem_strdup(text) : NULL;
}

static void take_key(jwk_set *set, const json_t *json) {
  jwk k = {0};
  if (!json_is_object(json) || (text_of(json, "use") && !says(json, "use", "sig"))) return;
  k.key = make_key(json, &k.kind);
  ERR_clear_error();
  if (!k.key) return;
  k.id = copy_or_null(text_of(json, "kid"));
  k.alg = copy_or_null(text_of(json, "alg"));
  set->keys[set->n++] = k;
}

static rc take_keys(const json_t *keys, jwk_set *set, err *e) {
  size_t n = json_array_size(keys);
  if (!json_is_array(keys))
    return ERR(e, RC_INVALID, "expected a JSON Web Key Set, {\"keys\": […]}, found other JSON");
  if (n > JWK_MAX_KEYS)
    return ERR(e, RC_INVALID, "expected at most %d keys, found %zu", JWK_MAX_KEYS, n);
  set->keys = mem_new((n + 1) * sizeof *set->keys);
  for (size_t i = 0; i < n; i++) take_key(set, json_array_get(keys, i));
  if (set->n) return RC_OK;
  return ERR(e, RC_INVALID,
             "expected a key for signatures (RSA from 2048 bits, P-256, P-384, P-521 or Ed25519), "
             "found none among %zu",
             n);
}

rc jwk_set_parse(const char *json, size_t len, jwk_set **out, err *e) {
  *out = NULL;
  if (len > JWK_MAX_SET_BYTES)
    return ERR(e, RC_INVALID, "expected at most %d bytes of keys, found %zu", JWK_MAX_SET_BYTES,
               len);
  json_error_t wrong;
  json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &wrong);
  if (!root)
    return ERR(e, RC_INVALID, "expected JSON, found something else in line %d", wrong.line);
  jwk_set *set = NEW(jwk_set);
  rc r = take_keys(json_object_get(root, "keys"), set, e);
  json_decref(root);
  if (r == RC_OK)
    *out = set;
  else
    jwk_set_free(set);
  return r;
}

void jwk_set_free(jwk_set *s) {
  if (!s) return;
  for (size_t i = 0; i < s->n; i++) {
    free(s->keys[i].id);
    free(s->keys[i].alg);
    EVP_PKEY_free(s->keys[i].key);
  }
  free(s->keys);
  free(s);
}
