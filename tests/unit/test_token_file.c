/* Unit tests of auth/token_file.c and auth/base64.c. SPDX-License-Identifier: Apache-2.0 */
#include "auth/base64.h"
#include "auth/token_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* printf %s hashed-0123456789 | sha256sum */
#define HASH "41c20dc337006b142b598a1afd823c38abfe8ebeb68d23805f61c05b8bf73968"
#define HASHED "sha256:" HASH

static void users_and_their_tokens(void **state) {
  (void)state;
  static const char text[] =
      "# two of alice\n\nalice token-0123456789\r\n\talice\tother-0123456789\n"
      "bob " HASHED;
  token_file *f;
  err e = {0};
  if (token_file_parse(text, sizeof text - 1, &f, &e) != RC_OK) fail_msg("%s", e.text);
  assert_string_equal(token_file_user(f, "token-0123456789"), "alice");
  assert_string_equal(token_file_user(f, "other-0123456789"), "alice");
  assert_string_equal(token_file_user(f, "hashed-0123456789"), "bob");
  static const char *const nobodys[] = {
      "", "token-012345678", "token-01234567890", "alice", HASHED, HASH};
  for (size_t i = 0; i < sizeof nobodys / sizeof *nobodys; i++)
    assert_null(token_file_user(f, nobodys[i]));
  token_file_free(f);
}

static void mistakes_are_named_by_line(void **state) {
  (void)state;
  static const struct {
    const char *text, *problem;
  } cases[] = {
      {"alice", "line 1"},
      {"\nalice short", "line 2: expected a token of at least"},
      {"alice token-0123456789 more", "a user and a token"},
      {"alice sha256:12", "64 hex digits"},
      {"alice token-0123456789\nbob token-0123456789", "line 2: this token was given before"},
      {"alice token-0123456789\x7f", "visible"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    token_file *f;
    err e = {0};
    assert_int_equal(token_file_parse(cases[i].text, strlen(cases[i].text), &f, &e), RC_INVALID);
    assert_null(f);
    if (!strstr(e.text, cases[i].problem)) fail_msg("%s", e.text);
    assert_null(strstr(e.text, "0123456789"));
  }
}

static void base64_in_its_one_form(void **state) {
  (void)state;
  static const struct {
    const char *text, *bytes;
    bool url, ok;
  } cases[] = {
      {"", "", true, true},         {"YQ", "a", true, true},         {"YWI", "ab", true, true},
      {"YWJj", "abc", true, true},  {"_-8", "\xff\xef", true, true}, {"YR", NULL, true, false},
      {"Y", NULL, true, false},     {"YQ==", NULL, true, false},     {"/w", NULL, true, false},
      {"YQ==", "a", false, true},   {"YWI=", "ab", false, true},     {"YQ", NULL, false, false},
      {"Y===", NULL, false, false}, {"/w==", "\xff", false, true},   {"Y\nQ=", NULL, false, false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint8_t out[16];
    size_t n, len = strlen(cases[i].text);
    bool ok = (cases[i].url ? base64url_decode : base64_decode)(cases[i].text, len, out, &n);
    if (ok != cases[i].ok) fail_msg("%s", cases[i].text);
    if (!ok) continue;
    assert_int_equal(n, strlen(cases[i].bytes));
    assert_memory_equal(out, cases[i].bytes, n);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(users_and_their_tokens),
      cmocka_unit_test(mistakes_are_named_by_line),
      cmocka_unit_test(base64_in_its_one_form),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
