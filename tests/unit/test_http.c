/* Unit tests of store/http.c: how a call ends early. SPDX-License-Identifier: Apache-2.0
 *
 * What stores answer, and how that is retried: tests/cluster/test_store.py. */
#include "base/clock.h"
#include "store/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* A socket on a free port of loopback: bound, and listening if it is asked to. Nobody accepts. */
static int open_port(bool listening, char *url, size_t url_size) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
  if (listening) assert_int_equal(listen(fd, 1), 0);
  snprintf(url, url_size, "http://127.0.0.1:%d/bucket/key?X-Amz-Signature=secret",
           ntohs(at.sin_port));
  return fd;
}

static void *cancel_soon(void *arg) {
  struct timespec soon = {.tv_nsec = 300 * 1000000L};
  nanosleep(&soon, NULL);
  atomic_store((atomic_bool *)arg, true);
  return NULL;
}

static void put_is_cancelled(bool listening) {
  char url[128];
  int fd = open_port(listening, url, sizeof url);
  atomic_bool cancel = false;
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &cancel), 0);
  err e = {0};
  int64_t start = clock_mono_ms();
  assert_int_equal(store_put_file(url, "/proc/self/exe", &cancel, &e), RC_CANCELLED);
  assert_in_range(clock_mono_ms() - start, 0, 2500);
  assert_null(strstr(e.text, "secret"));
  pthread_join(thread, NULL);
  close(fd);
}

static void a_store_that_never_answers_can_be_left(void **state) {
  (void)state;
  put_is_cancelled(true);
}

static void the_pause_before_another_try_can_be_left(void **state) {
  (void)state;
  put_is_cancelled(false);
}

static void a_cancelled_call_does_not_begin(void **state) {
  (void)state;
  atomic_bool cancel = true;
  assert_int_equal(store_put_file("http://127.0.0.1:1/x", "/proc/self/exe", &cancel, NULL),
                   RC_CANCELLED);
}

static void a_file_that_is_not_there_is_named(void **state) {
  (void)state;
  err e = {0};
  assert_int_equal(store_put_file("http://127.0.0.1:1/x", "/nonexistent/file", NULL, &e),
                   RC_NOT_FOUND);
  assert_non_null(strstr(e.text, "/nonexistent/file"));
}

static void other_protocols_are_refused(void **state) {
  (void)state;
  err e = {0};
  assert_int_equal(store_delete("file:///etc/hostname", NULL, &e), RC_IO);
  assert_int_equal(store_delete("ftp://127.0.0.1:1/x", NULL, &e), RC_IO);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_store_that_never_answers_can_be_left),
      cmocka_unit_test(the_pause_before_another_try_can_be_left),
      cmocka_unit_test(a_cancelled_call_does_not_begin),
      cmocka_unit_test(a_file_that_is_not_there_is_named),
      cmocka_unit_test(other_protocols_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
