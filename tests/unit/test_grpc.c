/* Unit tests of net/'s gRPC: server and client on one loop. SPDX-License-Identifier: Apache-2.0 */
#include "grpc_world.h"

/* ---- calls ---- */

static void echo_comes_back(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  answer a = {0};
  world_call(&w, &a, "/t/Echo", "hello");
  assert_int_equal(a.code, RC_OK);
  assert_int_equal(a.messages, 1);
  assert_string_equal(buf_text(&a.last), "hello");
  assert_int_equal(strncmp(w.peer, "127.0.0.1:", 10), 0);
  world_call(&w, &a, "/t/Echo", "");
  assert_int_equal(a.code, RC_OK);
  assert_int_equal(a.bytes, 0);
  assert_int_equal(grpc_server_connections(w.server), 1);
  buf_deinit(&a.last);
  world_close(&w);
}

static void hundreds_of_calls_run_at_once(void **state) {
  (void)state;
  enum { N = 600 }; /* more than the peer's limit of streams, and than nghttp2 assumes at first */
  world w;
  world_open(&w, &(world_config){.limits.max_streams = 50});
  static answer a[N];
  char text[32];
  for (int i = 0; i < N; i++) {
    snprintf(text, sizeof text, "call %d", i);
    world_send(&w, &a[i], "/t/Echo", text, strlen(text), NULL, 0);
  }
  for (int i = 0; i < N; i++) {
    world_until(&w, &a[i].done, 10);
    snprintf(text, sizeof text, "call %d", i);
    assert_int_equal(a[i].code, RC_OK);
    assert_string_equal(buf_text(&a[i].last), text);
    buf_deinit(&a[i].last);
  }
  world_close(&w);
}

static void unknown_method_is_unimplemented(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  answer a = {0};
  world_call(&w, &a, "/t/Nothing", "x");
  assert_int_equal(a.code, RC_UNIMPLEMENTED);
  assert_non_null(strstr(a.text, "/t/Nothing"));
  world_close(&w);
}

static void status_texts_survive(void **state) {
  (void)state;
  world w;
  world_open(&w, &(world_config){0});
  answer a = {0};
  world_call(&w, &a, "/t/Fail", "100 % of grün\nis \xF0\x9F\x8C\xB2");
  assert_int_equal(a.code, RC_PRECONDITION);
  assert_string_equal(a.text, "100 % of grün\nis \xF0\x9F\x8C\xB2");
  char giant[20001];
  memset(giant, 'x', sizeof giant);
  giant[20000] = '\0';
  world_call(&w, &a, "/t/Fail", giant);
  assert_int_equal(a.code, RC_PRECONDITION);
  assert_int_equal(strlen(a.text), 4096);
  memcpy(giant, "details:", 8);
  world_call(&w, &a, "/t/Fail", giant);
  assert_int_equal(a.code, RC_INVALID);
  assert_string_equal(a.text, "refused");
  world_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(echo_comes_back),
      cmocka_unit_test(hundreds_of_calls_run_at_once),
      cmocka_unit_test(unknown_method_is_unimplemented),
      cmocka_unit_test(status_texts_survive),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
