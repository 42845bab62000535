/* Unit tests of net/loop_watch. SPDX-License-Identifier: Apache-2.0 */
#include "net/loop_watch.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAUSE_MS = 30, WORK_MS = 20 };

static void compute(uv_timer_t *timer) {
  (void)timer;
  uint64_t end = uv_hrtime() + WORK_MS * UINT64_C(1000000);
  while (uv_hrtime() < end) continue;
}

static void nap(uv_timer_t *timer) {
  (void)timer;
  usleep(WORK_MS * 1000);
}

static void nothing(uv_timer_t *timer) {
  (void)timer;
}

/* What is logged while a loop waits, calls `work`, and waits again. */
static void watched(void (*work)(uv_timer_t *), char *out, size_t size) {
  FILE *log = tmpfile();
  int before = dup(STDERR_FILENO);
  dup2(fileno(log), STDERR_FILENO);
  uv_loop_t loop;
  loop_watch watch = {0};
  uv_timer_t once, after;
  uv_loop_init(&loop);
  loop_watch_start(&watch, &loop);
  uv_timer_init(&loop, &once);
  uv_timer_init(&loop, &after);
  uv_timer_start(&once, work, PAUSE_MS, 0);
  uv_timer_start(&after, nothing, 2 * PAUSE_MS + WORK_MS, 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  loop_watch_stop(&watch);
  uv_close((uv_handle_t *)&once, NULL);
  uv_close((uv_handle_t *)&after, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&loop), 0);
  dup2(before, STDERR_FILENO);
  close(before);
  rewind(log);
  out[fread(out, 1, size - 1, log)] = '\0';
  fclose(log);
}

static double number_after(const char *text, const char *key) {
  const char *at = strstr(text, key);
  double value = -1;
  if (at) sscanf(at + strlen(key), "\":\"%lf", &value);
  return value;
}

static void test_a_long_turn(void **state) {
  (void)state;
  char said[4096];
  log_init(LOG_LEVEL_DEBUG, "test");
  watched(compute, said, sizeof said);
  assert_non_null(strstr(said, "the loop was busy"));
  assert_true(number_after(said, "wall_ms") >= WORK_MS);
  assert_true(number_after(said, "cpu_ms") > 1); /* others may use the processor meanwhile */
}

static void test_a_turn_that_waits(void **state) {
  (void)state;
  char said[4096];
  log_init(LOG_LEVEL_DEBUG, "test");
  watched(nap, said, sizeof said);
  assert_true(number_after(said, "wall_ms") >= WORK_MS);
  assert_true(number_after(said, "cpu_ms") < WORK_MS / 2.0);
}

static void test_debug_only(void **state) {
  (void)state;
  char said[4096];
  log_init(LOG_LEVEL_INFO, "test");
  watched(compute, said, sizeof said);
  assert_true(!*said || number_after(said, "wall_ms") >= 250);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_long_turn),
      cmocka_unit_test(test_a_turn_that_waits),
      cmocka_unit_test(test_debug_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
