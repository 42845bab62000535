/* Unit tests of sched/: each rule by itself; what happens in turn is in tests/story.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sched/sched.h"
#include "sched/sched_internal.h"
#include "story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- heap --------------------------------------------------------------------------------- */

typedef struct number {
  heap_node node;
  int value;
} number;

static bool number_before(const heap_node *a, const heap_node *b) {
  return HEAP_ENTRY(a, number, node)->value < HEAP_ENTRY(b, number, node)->value;
}

static void heap_orders_while_keys_change(void **state) {
  (void)state;
  enum { N = 200 };
  static number numbers[N];
  heap h = {.before = number_before};
  unsigned seed = 3;
  for (int step = 0; step < 20000; step++) {
    seed = seed * 1103515245u + 12345u;
    number *n = &numbers[(seed >> 8) % N];
    if ((seed >> 4) % 3) {
      n->value = (int)(seed >> 12);
      heap_put(&h, &n->node);
    } else {
      heap_remove(&h, &n->node);
    }
    assert_true(heap_valid(&h));
  }
  for (heap_node *first, *second; (first = heap_first(&h));) {
    second = heap_second(&h);
    heap_remove(&h, first);
    assert_ptr_equal(heap_first(&h), second);
  }
  heap_deinit(&h);
}

/* ---- tables ------------------------------------------------------------------------------- */

static void check_machine(const states_machine *m) {
  bool reached[16] = {true};
  for (unsigned round = 0; round < m->n_states; round++)
    for (unsigned s = 0, to; s < m->n_states; s++)
      for (unsigned v = 0; v < m->n_events; v++)
        if (reached[s] && states_next(m, s, v, &to)) reached[to] = true;
  for (unsigned s = 0, to; s < m->n_states; s++) {
    assert_true(reached[s]);
    bool leaves = false;
    for (unsigned v = 0; v < m->n_events; v++) leaves = leaves || states_next(m, s, v, &to);
    assert_int_equal(leaves, !m->ends[s]); /* no way out of an end, no dead end elsewhere */
  }
}

static void tables_reach_every_state_and_end_only_in_ends(void **state) {
  (void)state;
  check_machine(&states_query);
  check_machine(&states_stage);
  check_machine(&states_task);
  check_machine(&states_attempt);
  unsigned to = 77;
  assert_false(states_next(&states_task, TASK_DONE, TASK_ON_START, &to));
  assert_int_equal(to, 77);
}

/* ---- what is refused ---------------------------------------------------------------------- */

static void a_runtime_that_no_worker_has_is_refused(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .polars = "1.41.2 2.0.0");
  join(s, "w2", "", .polars = "2.0.0");
  refused(s, "a", RC_INVALID,
          "polars 1.30.0 (plan schema 00000652…) cannot run here: the workers have polars 2.0.0 "
          "(Python 3.11.2), 1.41.2 (Python 3.11.2); install it on the workers with `floe runtime "
          "add 1.30.0` and restart them",
          .polars = "1.30.0");
  submit(s, "a", "start a#1 on w1");
  story_end(s);
}

static void another_build_of_the_same_version_is_told_apart(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  sched_runtime other = story_runtime("2.0.0+local", "");
  err e = {0};
  sched_query_spec spec = {.polars_version = "2.0.0+local",
                           .plan_header = other.plan_header,
                           .python_minor = -1,
                           .python_micro = -1};
  sched_stage_spec one = {.n_tasks = 1, .final = true};
  assert_int_equal(sched_submit(story_sched(s), &spec, &one, 1, &e), RC_INVALID);
  assert_non_null(strstr(e.text, "(Python 3.11.2, plan schema 00000031…); the client's polars is "
                                 "another build than theirs"));
  story_end(s);
}

static void odd_characters_of_a_version_do_not_reach_a_command(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  refused(s, "a", RC_INVALID, "`floe runtime add 1.0` and", .polars = "1.0;reboot");
  refused(s, "a", RC_INVALID, "polars ? (plan", .polars = "");
  story_end(s);
}

static void workers_without_a_runtime_are_named_so(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .polars = "");
  refused(s, "a", RC_INVALID, "the workers have no polars at all; install");
  story_end(s);
}

static void a_long_list_of_runtimes_is_cut(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .polars = "1.1.0 1.2.0 1.3.0 1.4.0 1.5.0 1.6.0 1.7.0 1.8.0");
  join(s, "w2", "", .polars = "1.9.0 1.10.0");
  refused(s, "a", RC_INVALID, "polars 1.10.0 (Python 3.11.2), 1.9.0 (Python 3.11.2), 1.8.0");
  refused(s, "a", RC_INVALID, "1.3.0 (Python 3.11.2), …; install");
  story_end(s);
}

static void functions_need_their_python(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .python = "3.11.2");
  join(s, "w2", "", .python = "3.12.1");
  submit(s, "a", "start a#1 on w2", .python_minor = 12);
  submit(s, "b", "start b#1 on w1", .python_minor = 11, .python_micro = 2);
  refused(s, "c", RC_INVALID,
          "pickled by Python 3.12.4 and run under no other; the workers have polars 2.0.0 (Python "
          "3.12.1), 2.0.0 (Python 3.11.2); use one of these on the client, or add that Python on "
          "the workers with `floe runtime add 2.0.0 --python python3.12` and restart them",
          .python_minor = 12, .python_micro = 4);
  refused(s, "c", RC_INVALID, "Python 3.10 and", .python_minor = 10);
  story_end(s);
}

static void the_queue_is_bounded(void **state) {
  (void)state;
  story *s = story_begin(.max_queued = 2);
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "");
  refused(s, "c", RC_EXHAUSTED, "2 queries wait or run, and no more than 2 may; submit it again");
  done(s, "a#1", "a succeeded; start b#1 on w1");
  submit(s, "c", "");
  story_end(s);
}

static void an_id_is_taken_once(void **state) {
  (void)state;
  story *s = story_begin();
  submit(s, "a", "");
  refused(s, "a", RC_EXISTS, "query 61000000-0000-0000-0000-000000000000 was submitted before");
  story_end(s);
}

static void an_unknown_query_cannot_be_canceled(void **state) {
  (void)state;
  story *s = story_begin();
  err e = {0};
  assert_int_equal(sched_cancel(story_sched(s), (query_id){0}, 1, &e), RC_NOT_FOUND);
  assert_non_null(strstr(e.text, "it never was, or it is forgotten"));
  story_end(s);
}

/* ---- order and place ---------------------------------------------------------------------- */

static void priority_goes_before_first_come(void **state) {
  (void)state;
  story *s = story_begin();
  submit(s, "low", "", .priority = -5);
  submit(s, "first", "");
  submit(s, "second", "");
  submit(s, "high", "", .priority = 5);
  join(s, "w1", "start high#1 on w1");
  done(s, "high#1", "high succeeded; start first#1 on w1");
  done(s, "first#1", "first succeeded; start second#1 on w1");
  done(s, "second#1", "second succeeded; start low#1 on w1");
  story_end(s);
}

static void the_least_busy_worker_comes_first(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "big", "", .slots = 4);
  join(s, "small", "");
  submit(s, "a", "start a#1 on big");
  submit(s, "b", "start b#1 on small");
  submit(s, "c", "start c#1 on big");
  done(s, "b#1", "b succeeded");
  submit(s, "d", "start d#1 on small");
  submit(s, "e", "start e#1 on big");
  submit(s, "f", "start f#1 on big");
  submit(s, "g", "");
  story_end(s);
}

static void equally_idle_workers_take_turns(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1");
  done(s, "a#1", "a succeeded");
  submit(s, "b", "start b#1 on w2");
  done(s, "b#1", "b succeeded");
  submit(s, "c", "start c#1 on w1");
  story_end(s);
}

static void a_worker_without_slots_gets_nothing(void **state) {
  (void)state;
  story *s = story_begin();
  sched_runtime r = story_runtime("2.0.0", "3.11.2");
  sched_worker_spec none = {.instance_id = "w0", .incarnation = "1", .runtimes = &r};
  none.n_runtimes = 1;
  sched_worker_join(story_sched(s), &none, 1);
  submit(s, "a", "");
  join(s, "w1", "start a#1 on w1");
  story_end(s);
}

/* ---- several stages and tasks ------------------------------------------------------------- */

static void stages_are_counted_as_they_finish(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 3);
  submit(s, "a", "start a.0.0#1 on w1; start a.0.1#1 on w1; start a.1.0#1 on w1", .n_stages = 2,
         .tasks = {2, 1});
  done(s, "a.0.0#1", "");
  assert_int_equal(query_info(s, "a").finished_stages, 0);
  done(s, "a.1.0#1", "");
  assert_int_equal(query_info(s, "a").finished_stages, 1);
  lost(s, "a.0.1#1", "start a.0.1#2 on w1");
  done(s, "a.0.1#2", "a succeeded");
  sched_query_info info = query_info(s, "a");
  assert_int_equal(info.total_stages, 2);
  assert_int_equal(info.finished_stages, 2);
  assert_int_equal(info.failed_stages, 0);
  assert_int_equal(info.attempts, 4);
  story_end(s);
}

static void one_failed_task_ends_the_others(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 3);
  submit(s, "a", "start a.0.0#1 on w1; start a.0.1#1 on w1; start a.1.0#1 on w1", .n_stages = 2,
         .tasks = {2, 2});
  err_in_query(s, "a.0.1#1", "stop a.0.0#1 on w1; stop a.1.0#1 on w1; a failed");
  sched_query_info info = query_info(s, "a");
  assert_int_equal(info.finished_stages, 0);
  assert_int_equal(info.failed_stages, 1);
  done(s, "a.0.0#1", "");
  stopped(s, "a.1.0#1", "");
  assert_int_equal(worker_info(s, "w1").busy, 0);
  story_end(s);
}

static void tasks_of_one_stage_leave_room_by_order(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a.0.0#1 on w1", .n_stages = 1, .tasks = {2});
  submit(s, "b", "");
  submit(s, "c", "", .priority = 1);
  done(s, "a.0.0#1", "start c#1 on w1");
  done(s, "c#1", "c succeeded; start a.0.1#1 on w1");
  done(s, "a.0.1#1", "a succeeded; start b#1 on w1");
  story_end(s);
}

/* ---- stages that are opened one after the other ------------------------------------------- */

static void a_stage_follows_another(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 2);
  submit(s, "a", "start a.0.0#1 on w1; start a.0.1#1 on w1", .n_stages = 1, .tasks = {2},
         .more = true);
  done(s, "a.0.0#1", "");
  done(s, "a.0.1#1", "a.0 finished");
  assert_int_equal(query_info(s, "a").total_stages, 1);
  open_stage(s, "a", "start a.1.0#1 on w1", .final = true);
  assert_int_equal(query_info(s, "a").total_stages, 2);
  done(s, "a.1.0#1", "a succeeded");
  assert_int_equal(query_info(s, "a").finished_stages, 2);
  story_end(s);
}

static void a_query_with_nothing_open_waits(void **state) {
  (void)state;
  story *s = story_begin();
  submit(s, "a", "", .more = true);
  join(s, "w1", "start a.0.0#1 on w1");
  done(s, "a.0.0#1", "a.0 finished");
  leave(s, "w1", "");
  pass(s, 1000 * STORY_LEASE_MS, "");
  assert_int_equal(query_info(s, "a").state, SCHED_QUERY_RUNNING);
  open_stage(s, "a", "", .final = true);
  join(s, "w1", "start a.1.0#1 on w1");
  done(s, "a.1.0#1", "a succeeded");
  story_end(s);
}

static void the_end_of_a_final_stage_waits_for_open_ones(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 3);
  submit(s, "a", "start a.0.0#1 on w1", .more = true);
  open_stage(s, "a", "start a.1.0#1 on w1", .final = true);
  open_stage(s, "a", "start a.2.0#1 on w1", .final = true);
  done(s, "a.1.0#1", "");
  done(s, "a.0.0#1", "a.0 finished");
  open_stage(s, "a", "start a.3.0#1 on w1", .final = true);
  done(s, "a.2.0#1", "");
  done(s, "a.3.0#1", "a succeeded");
  story_end(s);
}

static void a_stage_opens_only_in_a_query_that_goes_on(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  query_id a = {.u.bytes = {'a'}};
  sched_stage_spec one = {.n_tasks = 1}, none = {0};
  uint32_t stage = 7;
  err e = {0};
  assert_int_equal(sched_open_stage(story_sched(s), a, &none, 1, &stage, &e), RC_INVALID);
  assert_non_null(strstr(e.text, "at least one task"));
  done(s, "a#1", "a succeeded");
  assert_int_equal(sched_open_stage(story_sched(s), a, &one, 1, &stage, &e), RC_NOT_FOUND);
  assert_int_equal(sched_open_stage(story_sched(s), (query_id){0}, &one, 1, &stage, &e),
                   RC_NOT_FOUND);
  assert_int_equal(stage, 7);
  story_end(s);
}

static void the_driver_may_end_a_query(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a.0.0#1 on w1", .more = true);
  end_query(s, "a", SCHED_QUERY_SUCCEEDED, RC_PRECONDITION, "");
  done(s, "a.0.0#1", "a.0 finished");
  end_query(s, "a", SCHED_QUERY_SUCCEEDED, RC_OK, "a succeeded");
  end_query(s, "a", SCHED_QUERY_FAILED, RC_NOT_FOUND, "");
  submit(s, "b", "start b.0.0#1 on w1", .more = true);
  end_query(s, "b", SCHED_QUERY_FAILED, RC_OK, "stop b.0.0#1 on w1; b failed");
  submit(s, "c", "", .more = true);
  give_up(s, "c", RC_OK, "c given up");
  end_query(s, "c", SCHED_QUERY_SUCCEEDED, RC_PRECONDITION, ""); /* nothing of it has run */
  end_query(s, "c", SCHED_QUERY_FAILED, RC_OK, "c failed");
  story_end(s);
}

/* ---- stages that are given up ------------------------------------------------------------- */

static void stages_that_are_given_up_are_opened_anew(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 2);
  submit(s, "a", "start a.0.0#1 on w1", .more = true);
  done(s, "a.0.0#1", "a.0 finished");
  open_stage(s, "a", "start a.1.0#1 on w1; start a.1.1#1 on w1", .tasks = 3);
  done(s, "a.1.0#1", "start a.1.2#1 on w1");
  give_up(s, "a", RC_OK, "stop a.1.1#1 on w1; stop a.1.2#1 on w1; a given up");
  assert_int_equal(query_info(s, "a").total_stages, 1);
  open_stage(s, "a", "");
  stopped(s, "a.1.2#1", "start a.2.0#1 on w1");
  done(s, "a.1.1#1", ""); /* too late */
  done(s, "a.2.0#1", "a.2 finished");
  open_stage(s, "a", "start a.3.0#1 on w1", .final = true);
  done(s, "a.3.0#1", "a succeeded");
  assert_int_equal(query_info(s, "a").total_stages, 3);
  assert_int_equal(query_info(s, "a").finished_stages, 3);
  story_end(s);
}

static void a_query_is_given_up_only_so_often(void **state) {
  (void)state;
  story *s = story_begin(.max_losses = 3);
  join(s, "w1", "");
  submit(s, "a", "start a.0.0#1 on w1", .more = true);
  give_up(s, "a", RC_OK, "stop a.0.0#1 on w1; a given up");
  give_up(s, "a", RC_OK, "a given up");
  open_stage(s, "a", "");
  give_up(s, "a", RC_EXHAUSTED, "a failed, lost");
  give_up(s, "a", RC_NOT_FOUND, "");
  submit(s, "b", "");
  stopped(s, "a.0.0#1", "start b#1 on w1");
  story_end(s);
}

static void of_many_tasks_that_miss_their_input_the_first_counts(void **state) {
  (void)state;
  story *s = story_begin(.max_losses = 2);
  join(s, "w1", "", .slots = 3);
  join(s, "w2", "");
  submit(s, "a", "start a.0.0#1 on w1; start a.0.1#1 on w2; start a.0.2#1 on w1", .n_stages = 1,
         .tasks = {3}, .more = true);
  input_lost(s, "a.0.1#1", "stop a.0.0#1 on w1; stop a.0.2#1 on w1; a given up");
  input_lost(s, "a.0.0#1", "");
  open_stage(s, "a", "start a.1.0#1 on w2"); /* w2 is not to blame */
  input_lost(s, "a.0.2#1", "");
  input_lost(s, "a.1.0#1", "a failed, lost");
  story_end(s);
}

static void a_lost_input_behind_a_fence_is_heard(void **state) {
  (void)state;
  story *s = story_begin(.max_losses = 3);
  join(s, "w1", "");
  submit(s, "a", "start a.0.0#1 on w1", .more = true, .writes = true);
  unreachable(s, "a.0.0#1", "");
  input_lost(s, "a.0.0#1", "a given up");
  open_stage(s, "a", "", .writes = true, .final = true);
  heartbeat(s, "w1", "start a.1.0#1 on w1");
  story_end(s);
}

static void a_final_stage_counts_no_more_once_given_up(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 2);
  submit(s, "a", "start a.0.0#1 on w1", .more = true);
  open_stage(s, "a", "start a.1.0#1 on w1", .final = true);
  done(s, "a.1.0#1", "");
  input_lost(s, "a.0.0#1", "a given up");
  open_stage(s, "a", "start a.2.0#1 on w1");
  done(s, "a.2.0#1", "a.2 finished"); /* and not: a succeeded */
  open_stage(s, "a", "start a.3.0#1 on w1", .final = true);
  done(s, "a.3.0#1", "a succeeded");
  story_end(s);
}

static void a_writer_waits_for_the_one_that_was_given_up(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 2);
  join(s, "w2", "", .slots = 2);
  submit(s, "a", "start a.0.0#1 on w1", .more = true, .writes = true);
  give_up(s, "a", RC_OK, "stop a.0.0#1 on w1; a given up");
  open_stage(s, "a", "start a.1.0#1 on w2"); /* writes nothing of the user's */
  open_stage(s, "a", "", .final = true, .writes = true);
  done(s, "a.1.0#1", "a.1 finished");
  stopped(s, "a.0.0#1", "start a.2.0#1 on w1");
  done(s, "a.2.0#1", "a succeeded");
  story_end(s);
}

static void a_writer_waits_a_lease_for_a_silent_one_that_was_given_up(void **state) {
  (void)state;
  story *s = story_begin(.max_losses = 4);
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a.0.0#1 on w1", .more = true, .writes = true);
  unreachable(s, "a.0.0#1", "");
  give_up(s, "a", RC_OK, "a given up"); /* the call is gone: there is nothing to stop */
  open_stage(s, "a", "", .final = true, .writes = true);
  give_up(s, "a", RC_OK, "a given up"); /* one that waits has written nothing */
  open_stage(s, "a", "", .final = true, .writes = true);
  pass(s, STORY_LEASE_MS - 1, "");
  heartbeat(s, "w1", "");
  heartbeat(s, "w2", "");
  pass(s, 1, "start a.2.0#1 on w2");
  done(s, "a.0.0#1", "");
  done(s, "a.2.0#1", "a succeeded");
  story_end(s);
}

static void a_writer_waits_for_all_that_were_given_up(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 2);
  join(s, "w2", "");
  submit(s, "a", "start a.0.0#1 on w1; start a.0.1#1 on w2; start a.0.2#1 on w1", .n_stages = 1,
         .tasks = {3}, .more = true, .writes = true);
  done(s, "a.0.1#1", "");
  give_up(s, "a", RC_OK, "stop a.0.0#1 on w1; stop a.0.2#1 on w1; a given up");
  open_stage(s, "a", "", .final = true, .writes = true);
  unreachable(s, "a.0.0#1", "");
  stopped(s, "a.0.2#1", "");
  join(s, "w1", "start a.1.0#1 on w2", .life = "2"); /* … and so a.0.0 is over */
  story_end(s);
}

static void nobody_waits_once_the_query_has_ended(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a.0.0#1 on w1", .more = true, .writes = true);
  give_up(s, "a", RC_OK, "stop a.0.0#1 on w1; a given up");
  open_stage(s, "a", "", .final = true, .writes = true);
  cancel(s, "a", "a canceled");
  stopped(s, "a.0.0#1", "");
  assert_int_equal(worker_info(s, "w1").busy, 0);
  story_end(s);
}

/* ---- shares ------------------------------------------------------------------------------- */

static void queries_of_one_priority_share_the_slots(void **state) {
  (void)state;
  story *s = story_begin();
  submit(s, "big", "", .n_stages = 1, .tasks = {9});
  submit(s, "too", "", .n_stages = 1, .tasks = {9});
  join(s, "w1",
       "start big.0.0#1 on w1; start too.0.0#1 on w1; start big.0.1#1 on w1; start too.0.1#1 on w1",
       .slots = 4);
  submit(s, "small", "");
  done(s, "big.0.0#1", "start small#1 on w1"); /* it runs nothing yet */
  done(s, "small#1", "small succeeded; start big.0.2#1 on w1");
  done(s, "too.0.0#1", "start too.0.2#1 on w1");
  submit(s, "high", "", .priority = 1, .n_stages = 1, .tasks = {2});
  done(s, "big.0.1#1", "start high.0.0#1 on w1"); /* priority comes before shares */
  done(s, "big.0.2#1", "start high.0.1#1 on w1");
  done(s, "high.0.0#1", "start big.0.3#1 on w1");
  story_end(s);
}

static void on_one_slot_they_take_turns(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a.0.0#1 on w1", .n_stages = 1, .tasks = {3});
  submit(s, "b", "", .n_stages = 1, .tasks = {2});
  done(s, "a.0.0#1", "start a.0.1#1 on w1"); /* it came first */
  submit(s, "c", "");
  done(s, "a.0.1#1", "start b.0.0#1 on w1");
  done(s, "b.0.0#1", "start a.0.2#1 on w1"); /* whose turn was before c came */
  done(s, "a.0.2#1", "a succeeded; start c#1 on w1");
  done(s, "c#1", "c succeeded; start b.0.1#1 on w1");
  story_end(s);
}

static void a_stream_of_new_queries_starves_nobody(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a.0.0#1 on w1", .n_stages = 1, .tasks = {2});
  submit(s, "n1", "");
  submit(s, "n2", "");
  done(s, "a.0.0#1", "start a.0.1#1 on w1");
  err_in_query(s, "a.0.1#1", "a failed; start n1#1 on w1");
  submit(s, "b", "", .n_stages = 1, .tasks = {3});
  done(s, "n1#1", "n1 succeeded; start n2#1 on w1");
  done(s, "n2#1", "n2 succeeded; start b.0.0#1 on w1");
  submit(s, "n3", "");
  done(s, "b.0.0#1", "start b.0.1#1 on w1");
  submit(s, "n4", "");
  done(s, "b.0.1#1", "start n3#1 on w1");
  submit(s, "n5", "");
  done(s, "n3#1", "n3 succeeded; start b.0.2#1 on w1");
  story_end(s);
}

static void the_older_stage_goes_first(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a.0.0#1 on w1", .n_stages = 2, .tasks = {2, 1});
  done(s, "a.0.0#1", "start a.0.1#1 on w1");
  err_in_query(s, "a.0.1#1", "a failed");
  submit(s, "b", "start b.0.0#1 on w1", .n_stages = 2, .tasks = {1, 1}, .retries = 1);
  err_in_query(s, "b.0.0#1", "start b.0.0#2 on w1");
  done(s, "b.0.0#2", "start b.1.0#1 on w1");
  story_end(s);
}

/* ---- which workers ------------------------------------------------------------------------ */

static void a_task_goes_where_its_rows_are_if_there_is_room(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "", .slots = 2);
  join(s, "w3", "");
  submit(s, "a", "start a.0.0#1 on w1", .more = true);
  done(s, "a.0.0#1", "a.0 finished");
  open_stage(s, "a",
             "start a.1.0#1 on w3; start a.1.1#1 on w2; start a.1.2#1 on w1; start a.1.3#1 on w2",
             .tasks = 4, .prefer = {"w3", "nobody", "w3"});
  story_end(s);
}

static void nothing_is_preferred_to_a_worker_that_works(void **state) {
  (void)state;
  story *s = story_begin(.max_losses = 5);
  join(s, "w1", "", .slots = 2);
  join(s, "w2", "", .slots = 2);
  submit(s, "x", "start x.0.0#1 on w1", .more = true);
  open_stage(s, "x", "start x.1.0#1 on w1", .prefer = {"w1"});
  lost(s, "x.1.0#1", "start x.1.0#2 on w2");                   /* elsewhere, though w1 has room */
  open_stage(s, "x", "start x.2.0#1 on w2", .prefer = {"w1"}); /* w1 is to blame */
  done(s, "x.0.0#1", "x.0 finished");                          /* forgiven */
  open_stage(s, "x", "start x.3.0#1 on w1", .prefer = {"w1"});
  story_end(s);
}

/* What it shall do can be done there only, unless that worker is gone. */
static void a_pinned_task_waits_for_its_worker(void **state) {
  (void)state;
  story *s = story_begin(.max_losses = 5);
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a.0.0#1 on w1", .more = true);
  submit(s, "b", "start b#1 on w2");
  done(s, "a.0.0#1", "a.0 finished");
  open_stage(s, "a", "", .prefer = {"w2"}, .pinned = true); /* w1 is free */
  submit(s, "c", "start c#1 on w1");                        /* and others may have it */
  done(s, "b#1", "b succeeded; start a.1.0#1 on w2");
  done(s, "c#1", "c succeeded");
  lost(s, "a.1.0#1", "start a.1.0#2 on w2"); /* again there */
  leave(s, "w2", "start a.1.0#3 on w1");
  story_end(s);
}

static void a_new_life_of_a_worker_has_not_the_rows_of_the_old_one(void **state) {
  (void)state;
  for (int restarts = 0; restarts < 2; restarts++) {
    story *s = story_begin();
    join(s, "w1", "");
    join(s, "w2", "");
    join(s, "w3", "");
    submit(s, "a", "", .more = true, .min_workers = 4);
    open_stage(s, "a", "", .prefer = {"w3"});
    if (restarts) join(s, "w3", "", .life = "2");
    join(s, "w4",
         restarts ? "start a.0.0#1 on w1; start a.1.0#1 on w2"
                  : "start a.0.0#1 on w1; start a.1.0#1 on w3");
    story_end(s);
  }
}

static void a_query_keeps_to_its_number_of_workers(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 2);
  join(s, "w2", "");
  join(s, "w3", "", .slots = 4);
  submit(s, "a", "start a.0.0#1 on w1; start a.0.1#1 on w2; start a.0.2#1 on w1", .n_stages = 1,
         .tasks = {6}, .max_workers = 2);
  submit(s, "b", "start b#1 on w3");
  done(s, "b#1", "b succeeded"); /* w3 is free, and not one of a's */
  done(s, "a.0.2#1", "start a.0.3#1 on w1");
  leave(s, "w2", "start a.0.1#2 on w3; start a.0.4#1 on w3; start a.0.5#1 on w3");
  story_end(s);
}

static void a_slot_on_its_worker_lets_a_full_query_go_on(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 2);
  submit(s, "b", "start b#1 on w1");
  submit(s, "a", "start a.0.0#1 on w1", .n_stages = 1, .tasks = {3}, .max_workers = 1);
  join(s, "w2", "");
  submit(s, "c", "start c#1 on w2"); /* a holds up nobody */
  done(s, "b#1", "b succeeded; start a.0.1#1 on w1");
  done(s, "c#1", "c succeeded");
  open_stage(s, "a", "", .prefer = {"w2"});
  leave(s, "w1", "start a.0.0#2 on w2");
  story_end(s);
}

static void a_full_query_has_no_elsewhere(void **state) {
  (void)state;
  story *s = story_begin(.max_losses = 5);
  join(s, "w1", "", .slots = 2);
  join(s, "w2", "");
  submit(s, "a", "start a.0.0#1 on w1; start a.0.1#1 on w1", .n_stages = 1, .tasks = {2},
         .max_workers = 1);
  lost(s, "a.0.0#1", "start a.0.0#2 on w1");
  done(s, "a.0.1#1", "");
  lost(s, "a.0.0#2", "start a.0.0#3 on w2"); /* nothing keeps it here */
  story_end(s);
}

static void a_query_begins_when_enough_workers_have_come(void **state) {
  (void)state;
  story *s = story_begin();
  submit(s, "a", "", .n_stages = 1, .tasks = {3}, .min_workers = 2);
  submit(s, "b", "", .min_workers = 3);
  join(s, "w1", "");
  join(s, "old", "", .polars = "1.41.2"); /* does not fit */
  submit(s, "c", "start c#1 on w1");      /* held up by nobody */
  done(s, "c#1", "c succeeded");
  leave(s, "w1", "");
  join(s, "w2", "");
  join(s, "w1", "start a.0.0#1 on w2; start a.0.1#1 on w1");
  leave(s, "w2", "");
  done(s, "a.0.1#1", "start a.0.0#2 on w1"); /* once is enough */
  cancel(s, "b", "b canceled");
  story_end(s);
}

static void capacity_is_what_the_query_could_use(void **state) {
  (void)state;
  story *s = story_begin();
  query_id a = {.u.bytes = {'a'}}, b = {.u.bytes = {'b'}};
  uint32_t workers = 7, slots = 7;
  submit(s, "a", "");
  sched_capacity(story_sched(s), a, &workers, &slots);
  assert_true(workers == 0 && slots == 0);
  join(s, "w1", "start a#1 on w1", .slots = 4);
  join(s, "w2", "", .slots = 4);
  join(s, "w3", "");
  join(s, "old", "", .slots = 8, .polars = "1.41.2");
  sched_capacity(story_sched(s), a, &workers, &slots);
  assert_true(workers == 3 && slots == 9); /* busy ones too */
  submit(s, "b", "start b#1 on w2", .max_workers = 2);
  sched_capacity(story_sched(s), b, &workers, &slots);
  assert_true(workers == 2 && slots == 8);
  unreachable(s, "a#1", "start a#2 on w3");
  sched_capacity(story_sched(s), a, &workers, &slots);
  assert_true(workers == 2 && slots == 5);
  cancel(s, "a", "stop a#2 on w3; a canceled");
  sched_capacity(story_sched(s), a, &workers, &slots);
  assert_true(workers == 0 && slots == 0);
  story_end(s);
}

/* ---- memory, time, questions -------------------------------------------------------------- */

static void the_oldest_ended_query_is_forgotten_first(void **state) {
  (void)state;
  story *s = story_begin(.max_finished = 2);
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "");
  cancel(s, "b", "b canceled");
  done(s, "a#1", "a succeeded");
  submit(s, "c", "start c#1 on w1");
  err_in_query(s, "c#1", "c failed; b forgotten");
  assert_int_equal(query_info(s, "a").state, SCHED_QUERY_SUCCEEDED);
  submit(s, "b", "start b#1 on w1"); /* its id is free again */
  story_end(s);
}

static void nothing_need_be_remembered(void **state) {
  (void)state;
  story *s = story_begin();
  story_sched(s)->config.max_finished = 0;
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "");
  cancel(s, "a", "stop a#1 on w1; a canceled; a forgotten");
  stopped(s, "a#1", "start b#1 on w1");
  story_end(s);
}

static void a_query_says_when(void **state) {
  (void)state;
  story *s = story_begin();
  submit(s, "a", "");
  pass(s, 10, "");
  assert_int_equal(query_info(s, "a").submitted_ms, 1);
  assert_int_equal(query_info(s, "a").started_ms, 0);
  join(s, "w1", "start a#1 on w1");
  pass(s, 10, "");
  lost(s, "a#1", "start a#2 on w1");
  done(s, "a#2", "a succeeded");
  sched_query_info info = query_info(s, "a");
  assert_int_equal(info.started_ms, 11);
  assert_int_equal(info.ended_ms, 21);
  assert_int_equal(info.attempts, 2);
  story_end(s);
}

static void the_next_tick_is_what_is_due_first(void **state) {
  (void)state;
  story *s = story_begin(.max_losses = 5);
  assert_true(sched_next_tick(story_sched(s)) == INT64_MAX);
  submit(s, "a", "");
  assert_true(sched_next_tick(story_sched(s)) == INT64_MAX);
  join(s, "w1", "start a#1 on w1");
  assert_int_equal(sched_next_tick(story_sched(s)), 1 + STORY_LEASE_MS);
  pass(s, 5, "");
  unreachable(s, "a#1", "");
  pass(s, 5, "");
  heartbeat(s, "w1", "");
  assert_int_equal(sched_next_tick(story_sched(s)), 6 + STORY_LEASE_MS);
  story_end(s);
}

static void time_does_not_run_backwards(void **state) {
  (void)state;
  story *s = story_begin();
  pass(s, 1000, "");
  join(s, "w1", "");
  sched_worker_heartbeat(story_sched(s), "w1", "1", 5);
  assert_int_equal(worker_info(s, "w1").last_seen_ms, 1001);
  assert_null(sched_validate(story_sched(s)));
  story_end(s);
}

static void workers_are_listed_with_what_they_have(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 2, .polars = "2.0.0 1.41.2");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1");
  sched_worker_info w = worker_info(s, "w1");
  assert_int_equal(w.slots, 2);
  assert_int_equal(w.busy, 1);
  assert_int_equal(w.n_runtimes, 2);
  assert_string_equal(w.runtimes[1].polars_version, "1.41.2");
  assert_int_equal(sched_worker_count(story_sched(s)), 2);
  leave(s, "w2", "");
  assert_int_equal(sched_worker_count(story_sched(s)), 1);
  story_end(s);
}

static void a_long_name_is_cut_everywhere_alike(void **state) {
  (void)state;
  story *s = story_begin();
  char name[300], cut[sizeof name];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  snprintf(cut, sizeof cut, "start a#1 on %.127s", name);
  join(s, name, "");
  heartbeat(s, name, "");
  submit(s, "a", cut);
  leave(s, name, "");
  assert_int_equal(sched_worker_count(story_sched(s)), 0);
  story_end(s);
}

static void validate_finds_what_is_wrong(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 2);
  submit(s, "a", "start a#1 on w1");
  sched_worker *w = sched_workers_find(story_sched(s), "w1");
  w->busy++;
  assert_non_null(sched_validate(story_sched(s)));
  w->busy--;
  assert_null(sched_validate(story_sched(s)));
  sched_attempt *a = LIST_ENTRY(w->attempts.next, sched_attempt, on_worker);
  a->task->state = TASK_QUEUED;
  assert_non_null(sched_validate(story_sched(s)));
  a->task->state = TASK_RUNNING;
  story_end(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(heap_orders_while_keys_change),
      cmocka_unit_test(tables_reach_every_state_and_end_only_in_ends),
      cmocka_unit_test(a_runtime_that_no_worker_has_is_refused),
      cmocka_unit_test(another_build_of_the_same_version_is_told_apart),
      cmocka_unit_test(odd_characters_of_a_version_do_not_reach_a_command),
      cmocka_unit_test(workers_without_a_runtime_are_named_so),
      cmocka_unit_test(a_long_list_of_runtimes_is_cut),
      cmocka_unit_test(functions_need_their_python),
      cmocka_unit_test(the_queue_is_bounded),
      cmocka_unit_test(an_id_is_taken_once),
      cmocka_unit_test(an_unknown_query_cannot_be_canceled),
      cmocka_unit_test(priority_goes_before_first_come),
      cmocka_unit_test(the_least_busy_worker_comes_first),
      cmocka_unit_test(equally_idle_workers_take_turns),
      cmocka_unit_test(a_worker_without_slots_gets_nothing),
      cmocka_unit_test(stages_are_counted_as_they_finish),
      cmocka_unit_test(one_failed_task_ends_the_others),
      cmocka_unit_test(tasks_of_one_stage_leave_room_by_order),
      cmocka_unit_test(a_stage_follows_another),
      cmocka_unit_test(a_query_with_nothing_open_waits),
      cmocka_unit_test(the_end_of_a_final_stage_waits_for_open_ones),
      cmocka_unit_test(a_stage_opens_only_in_a_query_that_goes_on),
      cmocka_unit_test(the_driver_may_end_a_query),
      cmocka_unit_test(stages_that_are_given_up_are_opened_anew),
      cmocka_unit_test(a_query_is_given_up_only_so_often),
      cmocka_unit_test(of_many_tasks_that_miss_their_input_the_first_counts),
      cmocka_unit_test(a_lost_input_behind_a_fence_is_heard),
      cmocka_unit_test(a_final_stage_counts_no_more_once_given_up),
      cmocka_unit_test(a_writer_waits_for_the_one_that_was_given_up),
      cmocka_unit_test(a_writer_waits_a_lease_for_a_silent_one_that_was_given_up),
      cmocka_unit_test(a_writer_waits_for_all_that_were_given_up),
      cmocka_unit_test(nobody_waits_once_the_query_has_ended),
      cmocka_unit_test(queries_of_one_priority_share_the_slots),
      cmocka_unit_test(on_one_slot_they_take_turns),
      cmocka_unit_test(a_stream_of_new_queries_starves_nobody),
      cmocka_unit_test(the_older_stage_goes_first),
      cmocka_unit_test(a_task_goes_where_its_rows_are_if_there_is_room),
      cmocka_unit_test(nothing_is_preferred_to_a_worker_that_works),
      cmocka_unit_test(a_pinned_task_waits_for_its_worker),
      cmocka_unit_test(a_new_life_of_a_worker_has_not_the_rows_of_the_old_one),
      cmocka_unit_test(a_query_keeps_to_its_number_of_workers),
      cmocka_unit_test(a_slot_on_its_worker_lets_a_full_query_go_on),
      cmocka_unit_test(a_full_query_has_no_elsewhere),
      cmocka_unit_test(a_query_begins_when_enough_workers_have_come),
      cmocka_unit_test(capacity_is_what_the_query_could_use),
      cmocka_unit_test(the_oldest_ended_query_is_forgotten_first),
      cmocka_unit_test(nothing_need_be_remembered),
      cmocka_unit_test(a_query_says_when),
      cmocka_unit_test(the_next_tick_is_what_is_due_first),
      cmocka_unit_test(time_does_not_run_backwards),
      cmocka_unit_test(workers_are_listed_with_what_they_have),
      cmocka_unit_test(a_long_name_is_cut_everywhere_alike),
      cmocka_unit_test(validate_finds_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
