/* Unit tests of store/location.c. SPDX-License-Identifier: Apache-2.0
 *
 * Uploads and deletion in a real object store: tests/cluster/test_store.py. */
#include "store/location.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define WALL_US INT64_C(1369353600000000) /* 2013-05-24T00:00:00Z */
#define ID "0f8fad5b-d9cb-469f-a165-70867728950e"

static query_id id(void) {
  query_id q;
  assert_true(uuid_parse(ID, &q.u));
  return q;
}

/* Options are "key=value", up to NULL. */
typedef struct s3_case {
  conf_location_kind kind;
  const char *url;
  int64_t presign_ms; /* 0: 8 h */
  const char *external;
  const char *options[8];
} s3_case;

static rc make(s3_case c, location **out, err *e) {
  char copies[8][128];
  conf_option options[8];
  size_t n = 0;
  for (; n < 8 && c.options[n]; n++) {
    snprintf(copies[n], sizeof copies[n], "%s", c.options[n]);
    char *equals = strchr(copies[n], '=');
    *equals = '\0';
    options[n] = (conf_option){copies[n], equals + 1};
  }
  conf_location given = {.kind = c.kind,
                         .url = (char *)(uintptr_t)c.url,
                         .presign_ms = c.presign_ms ? c.presign_ms : 8 * 3600 * 1000,
                         .external_endpoint = (char *)(uintptr_t)c.external,
                         .options = options,
                         .n_options = n};
  return location_new(&given, out, e);
}

static location *must_make(s3_case c) {
  location *l = NULL;
  err e = {0};
  if (make(c, &l, &e) != RC_OK) fail_msg("%s", e.text);
  return l;
}

static void assert_refused(s3_case c, rc code, const char *expected) {
  location *l = NULL;
  err e = {0};
  assert_int_equal(make(c, &l, &e), code);
  assert_null(l);
  if (!strstr(e.text, expected)) fail_msg("expected \"%s\" in \"%s\"", expected, e.text);
}

static void assert_starts(const char *text, const char *expected) {
  if (strncmp(text, expected, strlen(expected)) != 0)
    fail_msg("expected \"%s…\", found \"%s\"", expected, text);
}

static void assert_url(const location *l, const char *expected) {
  buf url = {0};
  assert_int_equal(location_result_url(l, id(), 0, WALL_US, &url, NULL), RC_OK);
  assert_starts(buf_text(&url), expected);
  buf_deinit(&url);
}

static void assert_put_url(const location *l, const char *expected) {
  location_target target;
  assert_int_equal(location_result_target(l, id(), 0, WALL_US, &target, NULL), RC_OK);
  assert_starts(target.put_url, expected);
  location_target_deinit(&target);
  location_target_deinit(&target);
}

/* ---- local ---- */

static void a_directory_for_each_query(void **state) {
  (void)state;
  static const char *const urls[] = {"/srv/results", "/srv/results//", "file:///srv/results/"};
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    location *l = must_make((s3_case){.kind = CONF_LOCATION_LOCAL, .url = urls[i]});
    location_target target;
    assert_true(location_is_local(l));
    assert_int_equal(location_result_target(l, id(), 0, WALL_US, &target, NULL), RC_OK);
    assert_string_equal(target.directory, "/srv/results/" ID);
    assert_null(target.put_url);
    location_target_deinit(&target);
    assert_url(l, "/srv/results/" ID "/part-00000.parquet");
    location_free(l);
  }
  assert_refused((s3_case){.kind = CONF_LOCATION_SHARED, .url = "results"}, RC_INVALID,
                 "absolute path");
}

static void parts_are_named_in_their_order(void **state) {
  (void)state;
  location *l = must_make((s3_case){.kind = CONF_LOCATION_LOCAL, .url = "/srv"});
  buf url = {0};
  assert_int_equal(location_result_url(l, id(), 123, WALL_US, &url, NULL), RC_OK);
  assert_string_equal(buf_text(&url), "/srv/" ID "/part-00123.parquet");
  assert_string_equal(location_part(0).s, LOCATION_FIRST_PART);
  buf_deinit(&url);
  location_free(l);
}

static void touch(const char *path) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fclose(f);
}

static void deleting_takes_this_result_only_and_twice_is_fine(void **state) {
  (void)state;
  char root[] = "/tmp/floe-test-location-XXXXXX", path[256], other[256];
  assert_non_null(mkdtemp(root));
  location *l = must_make((s3_case){.kind = CONF_LOCATION_LOCAL, .url = root});
  snprintf(path, sizeof path, "%s/" ID, root);
  assert_int_equal(mkdir(path, 0700), 0);
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/" ID "/part-%05d.parquet", root, i);
    touch(path);
  }
  snprintf(other, sizeof other, "%s/other", root);
  touch(other);
  for (int i = 0; i < 2; i++)
    assert_int_equal(location_result_delete(l, id(), 2, WALL_US, NULL, NULL), RC_OK);
  snprintf(path, sizeof path, "%s/" ID, root);
  assert_int_not_equal(access(path, F_OK), 0);
  assert_int_equal(unlink(other), 0);
  assert_int_equal(rmdir(root), 0);
  location_free(l);
}

static void what_stands_in_a_result_and_is_not_ours_is_an_error(void **state) {
  (void)state;
  char root[] = "/tmp/floe-test-location-XXXXXX", path[256], inner[256];
  assert_non_null(mkdtemp(root));
  location *l = must_make((s3_case){.kind = CONF_LOCATION_LOCAL, .url = root});
  snprintf(path, sizeof path, "%s/" ID, root);
  snprintf(inner, sizeof inner, "%s/" ID "/folder", root);
  assert_int_equal(mkdir(path, 0700) | mkdir(inner, 0700), 0);
  err e = {0};
  assert_int_not_equal(location_result_delete(l, id(), 2, WALL_US, NULL, &e), RC_OK);
  assert_non_null(strstr(e.text, "/folder"));
  assert_int_equal(rmdir(inner) | rmdir(path) | rmdir(root), 0);
  location_free(l);
}

/* ---- S3 ---- */

#define KEYS "aws_access_key_id=AK", "aws_secret_access_key=SK"
#define S3(address, ...)                                                                           \
  (s3_case) {                                                                                      \
    .kind = CONF_LOCATION_S3, .url = (address), .options = { __VA_ARGS__ }                         \
  }

static void urls_follow_endpoint_and_style(void **state) {
  (void)state;
  static const char key[] = "/" ID "/part-00000.parquet?X-Amz-Algorithm=AWS4-HMAC-SHA256"
                            "&X-Amz-Credential=AK%2F20130524%2F";
  static const struct {
    const char *url, *expected, *region;
    const char *options[3];
  } cases[] = {
      {"s3://b", "https://s3.us-east-1.amazonaws.com/b", "us-east-1", {0}},
      {"s3://b/", "https://s3.eu-west-1.amazonaws.com/b", "eu-west-1", {"region=eu-west-1"}},
      {"s3://b//p/q//", "https://s3.us-east-1.amazonaws.com/b/p/q", "us-east-1", {0}},
      {"s3://b/p q", "http://h:9/b/p%20q", "us-east-1", {"AWS_Endpoint_URL=http://h:9"}},
      {"s3://b", "http://h:9/b", "r", {"endpoint_url=http://h:9/", "AWS_DEFAULT_REGION=r"}},
      {"s3://b/p",
       "https://b.s3.us-east-1.amazonaws.com/p",
       "us-east-1",
       {"aws_virtual_hosted_style_request=true"}},
      {"s3://b/p",
       "https://b.example.com/p",
       "us-east-1",
       {"virtual_hosted_style_request=True", "aws_endpoint=https://b.example.com"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char expected[512];
    location *l = must_make(S3(cases[i].url, KEYS, cases[i].options[0], cases[i].options[1]));
    assert_false(location_is_local(l));
    snprintf(expected, sizeof expected, "%s%s%s%%2Fs3", cases[i].expected, key, cases[i].region);
    assert_url(l, expected);
    assert_put_url(l, expected);
    location_free(l);
  }
}

static void clients_see_the_external_endpoint(void **state) {
  (void)state;
  s3_case c = S3("s3://polars/", KEYS, "aws_endpoint_url=http://storage:8333");
  c.external = "http://localhost:8333";
  location *l = must_make(c);
  assert_url(l, "http://localhost:8333/polars/" ID "/part-00000.parquet?");
  assert_put_url(l, "http://storage:8333/polars/" ID "/part-00000.parquet?");
  location_target target;
  assert_int_equal(location_result_target(l, id(), 0, WALL_US, &target, NULL), RC_OK);
  assert_null(target.directory);
  assert_string_equal(target.location, "s3://polars/" ID "/part-00000.parquet");
  assert_non_null(strstr(target.put_url, "&X-Amz-Expires=604800&"));
  location_target_deinit(&target);
  buf url = {0};
  assert_int_equal(location_result_url(l, id(), 0, WALL_US, &url, NULL), RC_OK);
  assert_non_null(strstr(buf_text(&url), "&X-Amz-Expires=28800&"));
  buf_deinit(&url);
  location_free(l);
}

static void credentials_are_of_one_kind(void **state) {
  (void)state;
  assert_refused(S3("s3://b", NULL), RC_INVALID, "no credentials for s3://b");
  assert_refused(S3("s3://b", "access_key_id=AK"), RC_INVALID, "the secret key is missing");
  assert_refused(S3("s3://b", "secret_access_key=SK"), RC_INVALID, "the access key is missing");
  assert_refused(S3("s3://b", "aws_access_key_id=", "aws_secret_access_key="), RC_INVALID,
                 "AWS_ACCESS_KEY_ID");
  setenv("AWS_ACCESS_KEY_ID", "ENVKEY", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "ENVSECRET", 1);
  setenv("AWS_SESSION_TOKEN", "ENVTOKEN", 1);
  location *l = must_make(S3("s3://b", NULL));
  buf url = {0};
  assert_int_equal(location_result_url(l, id(), 7, WALL_US, &url, NULL), RC_OK);
  assert_non_null(strstr(buf_text(&url), "X-Amz-Credential=ENVKEY%2F"));
  assert_non_null(strstr(buf_text(&url), "X-Amz-Security-Token=ENVTOKEN"));
  location_free(l);
  buf_clear(&url);
  l = must_make(S3("s3://b", KEYS)); /* not the environment's token with these keys */
  assert_int_equal(location_result_url(l, id(), 7, WALL_US, &url, NULL), RC_OK);
  assert_null(strstr(buf_text(&url), "Token"));
  location_free(l);
  buf_deinit(&url);
  assert_refused(S3("s3://b", "access_key_id=AK"), RC_INVALID, "the secret key is missing");
  unsetenv("AWS_ACCESS_KEY_ID");
  unsetenv("AWS_SECRET_ACCESS_KEY");
  unsetenv("AWS_SESSION_TOKEN");
}

static void what_cannot_work_is_said_at_the_start(void **state) {
  (void)state;
  assert_refused(S3("/srv", KEYS), RC_INVALID, "s3://bucket/prefix");
  assert_refused(S3("s3://", KEYS), RC_INVALID, "name of a bucket");
  assert_refused(S3("s3://b?x/", KEYS), RC_INVALID, "name of a bucket");
  assert_refused(S3("s3://b/a/../c", KEYS), RC_INVALID, "between slashes");
  assert_refused(S3("s3://b", KEYS, "aws_endpoint_url=h:9"), RC_INVALID,
                 "aws_endpoint_url: expected an endpoint");
  assert_refused(S3("s3://b", KEYS, "aws_virtual_hosted_style_request=perhaps"), RC_INVALID,
                 "expected true or false");
  s3_case c = S3("s3://b", KEYS);
  c.external = "localhost:8333";
  assert_refused(c, RC_INVALID, "external_endpoint: expected an endpoint");
  c = S3("s3://b", KEYS);
  c.presign_ms = INT64_C(8) * 24 * 3600 * 1000;
  assert_refused(c, RC_INVALID, "7 days");
  c.presign_ms = 999;
  assert_refused(c, RC_INVALID, "presign_duration");
  assert_refused((s3_case){.kind = CONF_LOCATION_GCS, .url = "gs://b"}, RC_UNIMPLEMENTED,
                 "gs://b: Google Cloud Storage");
  assert_refused((s3_case){.kind = CONF_LOCATION_NONE}, RC_INVALID, "no location is set");
}

int main(void) {
  static const char *const ours[] = {
      "AWS_ACCESS_KEY_ID",  "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",  "AWS_REGION",
      "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL",      "AWS_ENDPOINT_URL_S3"};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) unsetenv(ours[i]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_directory_for_each_query),
      cmocka_unit_test(parts_are_named_in_their_order),
      cmocka_unit_test(deleting_takes_this_result_only_and_twice_is_fine),
      cmocka_unit_test(what_stands_in_a_result_and_is_not_ours_is_an_error),
      cmocka_unit_test(urls_follow_endpoint_and_style),
      cmocka_unit_test(clients_see_the_external_endpoint),
      cmocka_unit_test(credentials_are_of_one_kind),
      cmocka_unit_test(what_cannot_work_is_said_at_the_start),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
