/* Fuzz target of auth/: what callers and issuers send. SPDX-License-Identifier: Apache-2.0
 *
 * The first byte says what the rest is: k a key set, t a token, c claims, f a file of tokens, b
 * base64. No token is right here: there is nobody who signs. */
#include "auth/base64.h"
#include "auth/jwt.h"
#include "auth/token_file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char KEYS[] =
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\","
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},{\"kty\":\"EC\",\"crv\":\"P-256\","
    "\"kid\":\"p\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static void must(bool always) {
  if (!always) abort();
}

static void check_keys(const char *text, size_t len) {
  jwk_set *keys;
  err e = {0};
  rc r = jwk_set_parse(text, len, &keys, &e);
  must(r == RC_OK ? keys && keys->n > 0 : r == RC_INVALID && !keys && *e.text);
  jwk_set_free(keys);
}

static void check_token(const char *text) {
  jwk_set *keys;
  char *user;
  err e = {0};
  must(jwk_set_parse(KEYS, sizeof KEYS - 1, &keys, NULL) == RC_OK && keys->n == 2);
  rc r = jwt_verify(keys, text, &(jwt_rules){.user_claim = "sub"}, 0, &user, &e);
  must((r == RC_UNAUTHENTICATED || r == RC_NOT_FOUND) && !user && *e.text);
  jwk_set_free(keys);
}

static void check_claims(const char *text, size_t len) {
  jwt_rules rules = {.issuers = "a, b", .audience = "c", .user_claim = "sub"};
  char *user = NULL;
  err e = {0};
  rc r = jwt_check_claims(text, len, &rules, 1000, &user, &e);
  must(r == RC_OK ? user && *user : r == RC_UNAUTHENTICATED && !user && *e.text);
  free(user);
}

static void check_file(const char *text, size_t len) {
  token_file *f;
  err e = {0};
  rc r = token_file_parse(text, len, &f, &e);
  must(r == RC_OK ? f != NULL : r == RC_INVALID && !f && *e.text);
  if (f) must(!token_file_user(f, ""));
  token_file_free(f);
}

static void check_base64(const char *text, size_t len) {
  uint8_t *out = mem_new(BASE64_BYTES(len));
  size_t n;
  if (base64url_decode(text, len, out, &n)) must(n == len * 3 / 4);
  if (base64_decode(text, len, out, &n)) must(n <= BASE64_BYTES(len));
  free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  if (!len) return 0;
  char *text = mem_strndup((const char *)data + 1, len - 1);
  if (*data == 'k') check_keys(text, strlen(text));
  if (*data == 't') check_token(text);
  if (*data == 'c') check_claims(text, strlen(text));
  if (*data == 'f') check_file(text, strlen(text));
  if (*data == 'b') check_base64(text, strlen(text));
  free(text);
  return 0;
}
