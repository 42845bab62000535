/* Unit tests of store/sigv4.c. SPDX-License-Identifier: Apache-2.0 */
#include "store/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define EXAMPLE_WALL_US INT64_C(1369353600000000) /* 2013-05-24T00:00:00Z */

static const sigv4_credentials EXAMPLE = {.access_key_id = "AKIAIOSFODNN7EXAMPLE",
                                          .secret_access_key =
                                              "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};

static sigv4_request example_request(void) {
  return (sigv4_request){.method = "GET",
                         .endpoint = "https://examplebucket.s3.amazonaws.com",
                         .path = "/test.txt",
                         .region = "us-east-1",
                         .wall_us = EXAMPLE_WALL_US,
                         .expires_s = 86400};
}

static void presign_equals(const sigv4_credentials *c, sigv4_request r, const char *expected) {
  buf url = {0};
  err e = {0};
  assert_int_equal(sigv4_presign(c, &r, &url, &e), RC_OK);
  assert_string_equal(buf_text(&url), expected);
  buf_deinit(&url);
}

/* "Authenticating Requests: Using Query Parameters" in the S3 API reference. */
static void the_documented_example_is_met(void **state) {
  (void)state;
  presign_equals(&EXAMPLE, example_request(),
                 "https://examplebucket.s3.amazonaws.com/test.txt"
                 "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
                 "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
                 "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
                 "&X-Amz-Signature="
                 "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

/* The signatures of the next two were made by botocore from the same requests. */
static void odd_characters_are_encoded_once(void **state) {
  (void)state;
  sigv4_request r = example_request();
  r.method = "PUT";
  r.endpoint = "HTTP://LocalHost:8333/";
  r.path = "/polars/a b/\xc3\xbc+%&=~._-/x.parquet";
  r.expires_s = SIGV4_MAX_EXPIRES_S;
  presign_equals(&EXAMPLE, r,
                 "http://localhost:8333/polars/a%20b/%C3%BC%2B%25%26%3D~._-/x.parquet"
                 "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
                 "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
                 "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=604800&X-Amz-SignedHeaders=host"
                 "&X-Amz-Signature="
                 "73ab6476347fcc5f8da51322fa9305abc35f456efab6f0d9ef1066987c7b6d09");
}

static void session_token_prefix_and_own_port(void **state) {
  (void)state;
  sigv4_credentials c = EXAMPLE;
  c.session_token = "FwoGZX/+==";
  sigv4_request r = example_request();
  r.method = "DELETE";
  r.endpoint = "https://minio.example.com:443/s3/";
  r.path = "/bucket/k";
  r.expires_s = 60;
  presign_equals(&c, r,
                 "https://minio.example.com/s3/bucket/k?X-Amz-Algorithm=AWS4-HMAC-SHA256"
                 "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
                 "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=60"
                 "&X-Amz-Security-Token=FwoGZX%2F%2B%3D%3D&X-Amz-SignedHeaders=host"
                 "&X-Amz-Signature="
                 "48313a43b5dfbe38cb8d2e8b105e3f2f64ca34699c03eff86b88d9017ac1cde9");
}

static void presign_is_refused(sigv4_request r, const char *expected) {
  buf url = {0};
  err e = {0};
  assert_int_equal(sigv4_presign(&EXAMPLE, &r, &url, &e), RC_INVALID);
  assert_non_null(strstr(e.text, expected));
  assert_int_equal(url.len, 0);
}

static void what_cannot_work_is_refused(void **state) {
  (void)state;
  static const char *const endpoints[] = {"localhost:8333",    "",
                                          "ftp://h",           "http://",
                                          "http:///path",      "https://user@host",
                                          "https://host?x=1",  "https://host name",
                                          "https://h/#anchor", "http:/h"};
  sigv4_request r = example_request();
  for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
    r.endpoint = endpoints[i];
    presign_is_refused(r, "expected an endpoint");
  }
  r = example_request();
  r.expires_s = 0;
  presign_is_refused(r, "7 days");
  r.expires_s = SIGV4_MAX_EXPIRES_S + 1;
  presign_is_refused(r, "found 604801 s");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_documented_example_is_met),
      cmocka_unit_test(odd_characters_are_encoded_once),
      cmocka_unit_test(session_token_prefix_and_own_port),
      cmocka_unit_test(what_cannot_work_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
