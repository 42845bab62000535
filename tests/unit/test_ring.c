/* Unit tests of observatory/ring. SPDX-License-Identifier: Apache-2.0 */
#include "observatory/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct seen {
  size_t n;
  int64_t first_ms, last_ms;
} seen;

static void on_sample(void *arg, const ring_sample *s) {
  seen *all = arg;
  if (!all->n++) all->first_ms = s->at_ms;
  assert_true(all->n == 1 || s->at_ms > all->last_ms);
  all->last_ms = s->at_ms;
}

static seen read_ring(const ring *r, uint32_t worker, int64_t from_ms, int64_t step_ms) {
  seen all = {0};
  ring_each(r, worker, from_ms, step_ms, on_sample, &all);
  return all;
}

static void add(ring *r, uint32_t worker, int64_t at_ms) {
  ring_add(r, &(ring_sample){.worker = worker, .at_ms = at_ms, .cpu_us_total = (uint64_t)at_ms});
}

static void an_empty_ring_says_nothing(void **state) {
  (void)state;
  ring *r = ring_new(1);
  assert_int_equal(read_ring(r, 0, 0, 0).n, 0);
  add(r, 0, 5);
  assert_int_equal(read_ring(r, 0, 0, 0).n, 1);
  add(r, 0, 6); /* there is room for one */
  seen all = read_ring(r, 0, 6, 0);
  assert_int_equal(all.n, 1);
  assert_int_equal(all.first_ms, 6);
  ring_free(r);
}

static void workers_and_times_are_told_apart(void **state) {
  (void)state;
  ring *r = ring_new(1 << 20);
  for (int64_t t = 0; t < 1000; t++) add(r, t % 3, t * 2000);
  assert_int_equal(read_ring(r, 1, 0, 0).n, 333);
  assert_int_equal(read_ring(r, 7, 0, 0).n, 0);
  seen late = read_ring(r, 2, 1000000, 0);
  assert_true(late.first_ms >= 1000000 && late.first_ms < 1006000);
  assert_int_equal(late.last_ms, 998 * 2000);
  seen steps = read_ring(r, 0, 0, 60000);
  assert_int_equal(steps.n, 34);
  ring_free(r);
}

/* A week of 64 workers, every two seconds, in 100 MiB: all of the last hours, minutes of the week.
 */
static void a_week_stays_within_the_ring(void **state) {
  (void)state;
  const int64_t week_ms = INT64_C(7) * 24 * 3600 * 1000;
  ring *r = ring_new(100 << 20);
  for (int64_t t = 0; t < week_ms; t += 2000)
    for (uint32_t w = 0; w < 64; w++) add(r, w, t);
  seen hour = read_ring(r, 63, week_ms - 3600 * 1000, 0);
  assert_int_equal(hour.n, 1800);
  seen week = read_ring(r, 63, 0, 0);
  assert_int_equal(week.last_ms, week_ms - 2000);
  assert_true(week.first_ms < 60000);
  seen step = read_ring(r, 0, 0, week_ms / 1000);
  assert_true(step.n > 900 && step.n <= 1000);
  ring_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_ring_says_nothing),
      cmocka_unit_test(workers_and_times_are_told_apart),
      cmocka_unit_test(a_week_stays_within_the_ring),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
