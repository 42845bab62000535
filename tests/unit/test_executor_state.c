/* Unit tests of worker/executor_state. SPDX-License-Identifier: Apache-2.0 */
#include "worker/executor_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_task_and_a_cancelled_task(void **state) {
  (void)state;
  const struct {
    executor_event event;
    executor_state then;
  } life[] = {
      {EXECUTOR_HELLO, EXECUTOR_IDLE},       {EXECUTOR_RUN, EXECUTOR_RUNNING},
      {EXECUTOR_DONE, EXECUTOR_IDLE},        {EXECUTOR_RUN, EXECUTOR_RUNNING},
      {EXECUTOR_CANCEL, EXECUTOR_CANCELING}, {EXECUTOR_DONE, EXECUTOR_DRAINING},
      {EXECUTOR_CANCEL, EXECUTOR_DRAINING},  {EXECUTOR_CANCELED, EXECUTOR_IDLE},
      {EXECUTOR_RUN, EXECUTOR_RUNNING},      {EXECUTOR_CANCEL, EXECUTOR_CANCELING},
      {EXECUTOR_KILL, EXECUTOR_ENDING},      {EXECUTOR_DONE, EXECUTOR_ENDING},
      {EXECUTOR_EXIT, EXECUTOR_GONE},
  };
  executor_state s = EXECUTOR_STARTING;
  for (size_t i = 0; i < sizeof life / sizeof *life; i++) {
    assert_true(executor_state_next(&s, life[i].event));
    assert_string_equal(executor_state_name(s), executor_state_name(life[i].then));
  }
}

static void every_state_can_be_killed_and_ends_once(void **state) {
  (void)state;
  for (int from = 0; from < EXECUTOR_GONE; from++) {
    executor_state s = (executor_state)from;
    assert_true(executor_state_next(&s, EXECUTOR_KILL));
    assert_int_equal(s, EXECUTOR_ENDING);
    s = (executor_state)from;
    assert_true(executor_state_next(&s, EXECUTOR_EXIT));
    assert_int_equal(s, EXECUTOR_GONE);
  }
  executor_state gone = EXECUTOR_GONE;
  assert_false(executor_state_next(&gone, EXECUTOR_EXIT));
}

/* After a cancel no path leads to the next task but the one over Canceled. */
static void no_task_starts_before_the_signal_has_arrived(void **state) {
  (void)state;
  for (int from = 0; from < EXECUTOR_STATES; from++)
    for (int event = 0; event < EXECUTOR_EVENTS; event++) {
      executor_state s = (executor_state)from;
      bool allowed = executor_state_next(&s, (executor_event)event);
      if (!allowed) assert_int_equal(s, from);
      if (event == EXECUTOR_RUN) assert_true(allowed == (from == EXECUTOR_IDLE));
      bool was_canceled = from == EXECUTOR_CANCELING || from == EXECUTOR_DRAINING;
      if (was_canceled && s == EXECUTOR_IDLE) assert_int_equal(event, EXECUTOR_CANCELED);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_task_and_a_cancelled_task),
      cmocka_unit_test(every_state_can_be_killed_and_ends_once),
      cmocka_unit_test(no_task_starts_before_the_signal_has_arrived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
