/* Unit tests of auth/jwt.c: what is signed right, and what is said in it. The algorithms, with
 * another program's signatures: tests/cluster/test_identity.py. SPDX-License-Identifier: Apache-2.0
 */
#include "auth/jwt.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* RFC 8037, appendix A */
#define KEY(more)                                                                                  \
  "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\"," more                                          \
  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"
#define SIGNED_TEXT                                                                                \
  "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."                                      \
  "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

enum { NOW = 1000000 };

static const jwt_rules RULES = {.issuers = "x, me", .audience = "floe", .user_claim = "sub"};

static rc verify(const char *key_set, const char *token, err *e) {
  jwk_set *keys;
  char *user;
  assert_int_equal(jwk_set_parse(key_set, strlen(key_set), &keys, e), RC_OK);
  rc r = jwt_verify(keys, token, &RULES, NOW, &user, e);
  assert_null(user);
  jwk_set_free(keys);
  return r;
}

/* The signature is right, and what is signed are no claims. */
static void a_signature_of_the_standard(void **state) {
  (void)state;
  err e = {0};
  assert_int_equal(verify(KEY(""), SIGNED_TEXT, &e), RC_UNAUTHENTICATED);
  assert_non_null(strstr(e.text, "no token of this cluster"));
  char *spoiled = mem_strdup(SIGNED_TEXT);
  spoiled[30]++;
  assert_int_equal(verify(KEY(""), spoiled, &e), RC_UNAUTHENTICATED);
  assert_non_null(strstr(e.text, "signature"));
  free(spoiled);
}

static void a_key_for_something_else(void **state) {
  (void)state;
  jwk_set *keys;
  assert_int_equal(verify(KEY("\"alg\":\"ES256\","), SIGNED_TEXT, NULL), RC_NOT_FOUND);
  const char *encryption = KEY("\"use\":\"enc\",");
  assert_int_equal(jwk_set_parse(encryption, strlen(encryption), &keys, NULL), RC_INVALID);
}

static void claims(void **state) {
  (void)state;
  static const struct {
    const char *json;
    const char *user, *problem;
  } cases[] = {
      {"{\"iss\":\"me\",\"aud\":\"floe\",\"exp\":1000001,\"sub\":\"al\"}", "al", NULL},
      {"{\"iss\":\"x\",\"aud\":[1,\"floe\"],\"exp\":1e9,\"sub\":\"al\"}", "al", NULL},
      {"{\"iss\":\"me\",\"aud\":\"floe\",\"exp\":999941,\"sub\":\"al\"}", "al", NULL},
      {"{\"iss\":\"me\",\"aud\":\"floe\",\"exp\":999940,\"sub\":\"al\"}", NULL, "expired"},
      {"{\"iss\":\"me\",\"aud\":\"floe\",\"exp\":\"1e9\",\"sub\":\"al\"}", NULL, "exp"},
      {"{\"iss\":\"me\",\"aud\":\"floe\",\"exp\":1e9,\"nbf\":1000060,\"sub\":\"a\"}", "a", NULL},
      {"{\"iss\":\"me\",\"aud\":\"floe\",\"exp\":1e9,\"nbf\":1000061,\"sub\":\"a\"}", NULL, "nbf"},
      {"{\"iss\":\"me\",\"aud\":\"floe\",\"exp\":1e9,\"nbf\":null,\"sub\":\"a\"}", NULL, "nbf"},
      {"{\"iss\":\"m\",\"aud\":\"floe\",\"exp\":1e9,\"sub\":\"al\"}", NULL, "iss"},
      {"{\"iss\":\"x, me\",\"aud\":\"floe\",\"exp\":1e9,\"sub\":\"al\"}", NULL, "iss"},
      {"{\"iss\":\"\",\"aud\":\"floe\",\"exp\":1e9,\"sub\":\"al\"}", NULL, "iss"},
      {"{\"iss\":\"me\",\"aud\":[],\"exp\":1e9,\"sub\":\"al\"}", NULL, "aud"},
      {"{\"iss\":\"me\",\"aud\":{\"floe\":1},\"exp\":1e9,\"sub\":\"al\"}", NULL, "aud"},
      {"{\"iss\":\"me\",\"aud\":\"floe\",\"exp\":1e9,\"sub\":\"\"}", NULL, "sub"},
      {"{\"iss\":\"me\",\"aud\":\"floe\",\"exp\":1e9,\"sub\":7}", NULL, "sub"},
      {"{\"iss\":\"me\",\"iss\":\"me\",\"aud\":\"floe\",\"exp\":1e9,\"sub\":\"al\"}", NULL,
       "token"},
      {"[]", NULL, "token"},
      {"", NULL, "token"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *user = NULL;
    err e = {0};
    rc r = jwt_check_claims(cases[i].json, strlen(cases[i].json), &RULES, NOW, &user, &e);
    if (r != (cases[i].user ? RC_OK : RC_UNAUTHENTICATED))
      fail_msg("%s: %s %s", cases[i].json, rc_name(r), e.text);
    if (cases[i].user) assert_string_equal(user, cases[i].user);
    if (cases[i].problem) assert_non_null(strstr(e.text, cases[i].problem));
    free(user);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_signature_of_the_standard),
      cmocka_unit_test(a_key_for_something_else),
      cmocka_unit_test(claims),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
