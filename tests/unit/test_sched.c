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
