/* story/stories.c: what a cluster goes through, told event by event. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Each test is named by its moral. The language is in story.h. */
#include "story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- one query ---------------------------------------------------------------------------- */

static void a_query_runs_and_succeeds(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  done(s, "a#1", "a succeeded");
  story_end(s);
}

static void a_query_waits_for_the_first_worker(void **state) {
  (void)state;
  story *s = story_begin();
  submit(s, "a", "");
  pass(s, 1000000, "");
  join(s, "w1", "start a#1 on w1");
  story_end(s);
}

static void nothing_starts_before_enough_workers_have_joined(void **state) {
  (void)state;
  story *s = story_begin(.min_workers = 2);
  submit(s, "a", "");
  join(s, "w1", "");
  leave(s, "w1", "");
  join(s, "w2", "");
  join(s, "w1", "start a#1 on w2");
  leave(s, "w1", "");
  done(s, "a#1", "a succeeded");
  submit(s, "b", "start b#1 on w2"); /* once is enough */
  story_end(s);
}

static void an_error_of_the_query_fails_it(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  err_in_query(s, "a#1", "a failed");
  story_end(s);
}

static void an_error_of_the_query_is_repeated_as_often_as_asked(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1", .retries = 2);
  err_in_query(s, "a#1", "start a#2 on w1");
  err_in_query(s, "a#2", "start a#3 on w1");
  err_in_query(s, "a#3", "a failed");
  story_end(s);
}

static void losses_and_errors_are_counted_apart(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1", .retries = 1);
  lost(s, "a#1", "start a#2 on w1");
  err_in_query(s, "a#2", "start a#3 on w1");
  lost(s, "a#3", "a failed, lost");
  story_end(s);
}

static void a_worker_that_is_never_reached_is_no_loss(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1");
  lost(s, "a#1", "start a#2 on w2"); /* w1 dies; so has w2, and nobody knows yet */
  not_begun(s, "a#2", "start a#3 on w1");
  not_begun(s, "a#3", ""); /* both are suspect now */
  heartbeat(s, "w2", "start a#4 on w2");
  done(s, "a#4", "a succeeded");
  story_end(s);
}

static void a_destination_that_nobody_began_to_write_needs_no_fence(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1", .writes = true);
  not_begun(s, "a#1", "start a#2 on w2");
  done(s, "a#2", "a succeeded");
  story_end(s);
}

/* ---- late, twice, unasked ----------------------------------------------------------------- */

static void late_answer_of_a_stale_attempt_changes_nothing(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1");
  unreachable(s, "a#1", "start a#2 on w2");
  done(s, "a#1", ""); /* it did the work after all; a#2 counts */
  done(s, "a#2", "a succeeded");
  story_end(s);
}

static void an_answer_that_comes_twice_counts_once(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  lost(s, "a#1", "start a#2 on w1");
  lost(s, "a#1", "");
  unreachable(s, "a#1", "");
  done(s, "a#2", "a succeeded");
  err_in_query(s, "a#2", "");
  assert_int_equal(query_info(s, "a").state, SCHED_QUERY_SUCCEEDED);
  story_end(s);
}

static void silence_reported_twice_is_one_loss(void **state) {
  (void)state;
  story *s = story_begin(.max_losses = 3);
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1", .writes = true);
  unreachable(s, "a#1", "");
  unreachable(s, "a#1", "");
  unreachable(s, "a#1", "");
  lost(s, "a#1", ""); /* the answer frees the slot; the worker is suspect until it is heard */
  heartbeat(s, "w1", "start a#2 on w1");
  story_end(s);
}

static void a_stop_that_nobody_asked_for_is_a_loss(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  stopped(s, "a#1", "start a#2 on w1");
  stopped(s, "a#2", "a failed, lost");
  story_end(s);
}

/* ---- lost workers ------------------------------------------------------------------------- */

static void a_silent_worker_is_lost_with_its_tasks(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 2);
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "start b#1 on w1");
  pass(s, STORY_LEASE_MS - 1, "");
  join(s, "w2", "");
  pass(s, 1, "start a#2 on w2");
  heartbeat_unknown(s, "w1", "1"); /* it must join again */
  done(s, "a#1", "");
  join(s, "w1", "start b#2 on w1");
  story_end(s);
}

static void a_heartbeat_keeps_a_worker(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  for (int i = 0; i < 20; i++) {
    pass(s, STORY_LEASE_MS / 2, "");
    heartbeat(s, "w1", "");
  }
  done(s, "a#1", "a succeeded");
  story_end(s);
}

static void a_worker_restarts_under_the_same_name(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .life = "first");
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "");
  join(s, "w1", "start a#2 on w1", .life = "second");
  done(s, "a#1", "");
  heartbeat_unknown(s, "w1", "first");
  done(s, "a#2", "a succeeded; start b#1 on w1");
  story_end(s);
}

static void joining_twice_in_one_life_changes_nothing(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  join(s, "w1", "");
  done(s, "a#1", "a succeeded");
  assert_int_equal(sched_worker_count(story_sched(s)), 1);
  story_end(s);
}

static void a_late_goodbye_of_a_former_life_is_not_heard(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .life = "first");
  join(s, "w1", "", .life = "second");
  sched_worker_leave(story_sched(s), "w1", "first", 1);
  submit(s, "a", "start a#1 on w1");
  story_end(s);
}

static void a_worker_that_leaves_hands_its_task_back(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1");
  leave(s, "w1", "start a#2 on w2");
  done(s, "a#2", "a succeeded");
  story_end(s);
}

static void a_dead_worker_does_not_swallow_the_queue(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "start b#1 on w2");
  submit(s, "c", "");
  unreachable(s, "a#1", ""); /* w1 has no busy slot but says nothing */
  pass(s, 1, "");
  done(s, "b#1", "b succeeded; start a#2 on w2");
  done(s, "a#2", "a succeeded; start c#1 on w2");
  heartbeat(s, "w1", "");
  story_end(s);
}

static void a_worker_that_fails_everything_comes_last(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "bad", "");
  join(s, "good", "");
  submit(s, "a", "start a#1 on bad");
  lost(s, "a#1", "start a#2 on good");
  done(s, "a#2", "a succeeded");
  submit(s, "b", "start b#1 on good");
  submit(s, "c", "start c#1 on bad"); /* better than to wait */
  done(s, "c#1", "c succeeded");
  done(s, "b#1", "b succeeded");
  submit(s, "d", "start d#1 on good"); /* forgiven: they take turns again */
  submit(s, "e", "start e#1 on bad");
  story_end(s);
}

static void losses_are_bounded(void **state) {
  (void)state;
  story *s = story_begin(.max_losses = 3);
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  lost(s, "a#1", "start a#2 on w1");
  leave(s, "w1", "");
  join(s, "w1", "start a#3 on w1", .life = "2");
  join(s, "w1", "a failed, lost", .life = "3");
  story_end(s);
}

/* ---- elsewhere, if there is an elsewhere -------------------------------------------------- */

static void a_retry_goes_elsewhere(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "", .slots = 2);
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "start b#1 on w2"); /* w2 is the busier one now */
  lost(s, "a#1", "start a#2 on w2");
  story_end(s);
}

static void a_retry_waits_for_elsewhere_and_others_pass(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "start b#1 on w2");
  submit(s, "c", "");
  lost(s, "a#1", "start c#1 on w1");
  done(s, "c#1", "c succeeded"); /* a leaves w1 alone, though it is free */
  done(s, "b#1", "b succeeded; start a#2 on w2");
  story_end(s);
}

static void a_retry_waits_for_elsewhere_one_lease_at_most(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "start b#1 on w2");
  lost(s, "a#1", "");
  pass(s, STORY_LEASE_MS - 1, "");
  heartbeat(s, "w1", "");
  heartbeat(s, "w2", "");
  pass(s, 1, "start a#2 on w1");
  story_end(s);
}

static void when_the_elsewhere_goes_away_the_retry_stays(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "start b#1 on w2");
  lost(s, "a#1", "");
  leave(s, "w2", "start a#2 on w1");
  story_end(s);
}

static void a_waiting_retry_can_be_canceled(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "start b#1 on w2");
  lost(s, "a#1", "");
  cancel(s, "a", "a canceled");
  pass(s, STORY_LEASE_MS - 1, "");
  story_end(s);
}

/* ---- fences ------------------------------------------------------------------------------- */

static void a_destination_writer_is_fenced_until_the_lease_is_over(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1", .writes = true);
  unreachable(s, "a#1", "");
  pass(s, STORY_LEASE_MS - 1, "");
  heartbeat(s, "w1", ""); /* it lives, but did it stop? */
  heartbeat(s, "w2", "");
  pass(s, 1, "start a#2 on w2");
  done(s, "a#1", "");
  done(s, "a#2", "a succeeded");
  story_end(s);
}

static void a_fence_opens_when_the_worker_answers(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1", .writes = true);
  unreachable(s, "a#1", "");
  stopped(s, "a#1", "start a#2 on w2");
  story_end(s);
}

static void a_fence_opens_when_the_worker_restarts(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1", .writes = true);
  unreachable(s, "a#1", "");
  join(s, "w1", "", .life = "1"); /* the same life proves nothing */
  join(s, "w1", "start a#2 on w1", .life = "2");
  story_end(s);
}

static void a_fence_opens_when_the_worker_leaves(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1", .writes = true);
  unreachable(s, "a#1", "");
  leave(s, "w1", "start a#2 on w2");
  story_end(s);
}

static void a_fence_opens_with_the_lease_of_its_worker(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1", .writes = true);
  pass(s, STORY_LEASE_MS / 2, "");
  join(s, "w2", "");
  unreachable(s, "a#1", "");
  pass(s, STORY_LEASE_MS / 2, "start a#2 on w2"); /* w1 was last heard a lease ago */
  story_end(s);
}

static void work_done_behind_a_fence_counts(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  join(s, "w2", "");
  submit(s, "a", "start a#1 on w1", .writes = true);
  unreachable(s, "a#1", "");
  done(s, "a#1", "a succeeded"); /* nothing else has run, so nothing was written twice */
  story_end(s);
}

static void a_fence_does_not_hide_the_last_loss(void **state) {
  (void)state;
  story *s = story_begin(.max_losses = 1);
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1", .writes = true);
  unreachable(s, "a#1", "a failed, lost");
  done(s, "a#1", "");
  story_end(s);
}

static void a_slot_that_may_still_be_used_is_not_given_away(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .slots = 2);
  submit(s, "a", "start a#1 on w1");
  unreachable(s, "a#1", "");
  heartbeat(s, "w1", "start a#2 on w1");
  submit(s, "b", "");
  assert_int_equal(worker_info(s, "w1").busy, 2);
  stopped(s, "a#1", "start b#1 on w1");
  story_end(s);
}

/* ---- cancel ------------------------------------------------------------------------------- */

static void a_held_query_starts_nothing_new_and_holds_up_nobody(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a.0.0#1 on w1", .n_stages = 1, .tasks = {3});
  hold(s, "a", true, "");
  done(s, "a.0.0#1", "");
  submit(s, "b", "start b#1 on w1");
  done(s, "b#1", "b succeeded");
  pass(s, STORY_LEASE_MS / 2, "");
  heartbeat(s, "w1", "");
  hold(s, "a", false, "start a.0.1#1 on w1");
  hold(s, "a", true, "");
  lost(s, "a.0.1#1", "start a.0.1#2 on w1"); /* what has begun goes on */
  cancel(s, "a", "stop a.0.1#2 on w1; a canceled");
  story_end(s);
}

static void cancel_while_queued(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "");
  cancel(s, "b", "b canceled");
  done(s, "a#1", "a succeeded");
  story_end(s);
}

static void cancel_while_running_keeps_the_slot_until_the_worker_answers(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  submit(s, "b", "");
  cancel(s, "a", "stop a#1 on w1; a canceled");
  stopped(s, "a#1", "start b#1 on w1");
  story_end(s);
}

static void cancel_as_it_starts(void **state) {
  (void)state;
  story *s = story_begin();
  submit(s, "a", "");
  join(s, "w1", "start a#1 on w1");
  cancel(s, "a", "stop a#1 on w1; a canceled");
  lost(s, "a#1", "");
  submit(s, "b", "start b#1 on w1");
  story_end(s);
}

static void cancel_that_crosses_the_answer(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  cancel(s, "a", "stop a#1 on w1; a canceled");
  done(s, "a#1", ""); /* canceled is canceled */
  assert_int_equal(query_info(s, "a").state, SCHED_QUERY_CANCELED);
  story_end(s);
}

static void cancel_just_after_the_end(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  done(s, "a#1", "a succeeded");
  cancel(s, "a", "");
  cancel(s, "a", "");
  assert_int_equal(query_info(s, "a").state, SCHED_QUERY_SUCCEEDED);
  story_end(s);
}

static void cancel_behind_a_fence(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1", .writes = true);
  submit(s, "b", "");
  unreachable(s, "a#1", "");
  cancel(s, "a", "a canceled"); /* the call is gone: there is nothing to stop */
  heartbeat(s, "w1", "");
  pass(s, STORY_LEASE_MS - 1, "");
  heartbeat(s, "w1", "");
  pass(s, 1, "start b#1 on w1");
  story_end(s);
}

static void a_worker_that_does_not_answer_the_stop_frees_its_slot_after_a_lease(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "");
  submit(s, "a", "start a#1 on w1");
  cancel(s, "a", "stop a#1 on w1; a canceled");
  unreachable(s, "a#1", "");
  submit(s, "b", "");
  pass(s, STORY_LEASE_MS / 2, "");
  heartbeat(s, "w1", "");
  pass(s, STORY_LEASE_MS / 2, "start b#1 on w1");
  story_end(s);
}

/* ---- many queries ------------------------------------------------------------------------- */

static void two_runtimes_share_one_slot(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "w1", "", .polars = "2.0.0 1.41.2");
  submit(s, "new1", "start new1#1 on w1");
  submit(s, "old1", "", .polars = "1.41.2");
  submit(s, "new2", "");
  submit(s, "old2", "", .polars = "1.41.2");
  done(s, "new1#1", "new1 succeeded; start old1#1 on w1");
  done(s, "old1#1", "old1 succeeded; start new2#1 on w1");
  done(s, "new2#1", "new2 succeeded; start old2#1 on w1");
  done(s, "old2#1", "old2 succeeded");
  story_end(s);
}

static void a_busy_runtime_holds_up_nobody_else(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "old", "", .polars = "1.41.2");
  join(s, "new", "");
  submit(s, "a", "start a#1 on old", .polars = "1.41.2");
  submit(s, "b", "", .polars = "1.41.2", .priority = 9);
  submit(s, "c", "start c#1 on new");
  story_end(s);
}

static void the_rare_runtime_is_not_starved_by_the_common_one(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "both", "", .polars = "2.0.0 1.41.2");
  join(s, "new", "");
  submit(s, "n1", "start n1#1 on both");
  submit(s, "n2", "start n2#1 on new");
  submit(s, "n3", "");
  submit(s, "rare", "", .polars = "1.41.2");
  submit(s, "n4", "");
  done(s, "n2#1", "n2 succeeded; start n3#1 on new");
  done(s, "n3#1", "n3 succeeded; start n4#1 on new");
  submit(s, "n5", "");
  done(s, "n1#1", "n1 succeeded; start rare#1 on both"); /* before n5, which came later */
  story_end(s);
}

static void a_query_whose_runtime_disappears_keeps_waiting(void **state) {
  (void)state;
  story *s = story_begin();
  join(s, "old", "", .polars = "1.41.2");
  join(s, "new", "");
  submit(s, "a", "start a#1 on old", .polars = "1.41.2");
  submit(s, "b", "", .polars = "1.41.2");
  leave(s, "old", "");
  refused(s, "c", RC_INVALID, "polars 1.41.2", .polars = "1.41.2");
  pass(s, STORY_LEASE_MS - 1, "");
  join(s, "old2", "start a#2 on old2", .polars = "1.41.2");
  story_end(s);
}

static void fifty_clients_with_twenty_queries_each_on_two_workers(void **state) {
  (void)state;
  enum { CLIENTS = 50, QUERIES = 20, N = CLIENTS * QUERIES };
  story *s = story_begin(.max_queued = N, .max_finished = N);
  char name[16], running[24], starts[64];
  for (int i = 0; i < N; i++) {
    snprintf(name, sizeof name, "c%d-%d", i % CLIENTS, i / CLIENTS);
    submit(s, name, "");
  }
  join(s, "w1", "start c0-0#1 on w1");
  join(s, "w2", "start c1-0#1 on w2");
  for (int i = 0; i < N; i++) { /* first come, first served, on both workers in turn */
    int next = i + 2;
    snprintf(running, sizeof running, "c%d-%d#1", i % CLIENTS, i / CLIENTS);
    snprintf(starts, sizeof starts, "c%d-%d succeeded; start c%d-%d#1 on w%d", i % CLIENTS,
             i / CLIENTS, next % CLIENTS, next / CLIENTS, i % 2 + 1);
    if (next >= N) *strchr(starts, ';') = '\0';
    done(s, running, starts);
  }
  story_end(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_query_runs_and_succeeds),
      cmocka_unit_test(a_query_waits_for_the_first_worker),
      cmocka_unit_test(nothing_starts_before_enough_workers_have_joined),
      cmocka_unit_test(an_error_of_the_query_fails_it),
      cmocka_unit_test(an_error_of_the_query_is_repeated_as_often_as_asked),
      cmocka_unit_test(losses_and_errors_are_counted_apart),
      cmocka_unit_test(late_answer_of_a_stale_attempt_changes_nothing),
      cmocka_unit_test(an_answer_that_comes_twice_counts_once),
      cmocka_unit_test(silence_reported_twice_is_one_loss),
      cmocka_unit_test(a_stop_that_nobody_asked_for_is_a_loss),
      cmocka_unit_test(a_silent_worker_is_lost_with_its_tasks),
      cmocka_unit_test(a_heartbeat_keeps_a_worker),
      cmocka_unit_test(a_worker_restarts_under_the_same_name),
      cmocka_unit_test(joining_twice_in_one_life_changes_nothing),
      cmocka_unit_test(a_late_goodbye_of_a_former_life_is_not_heard),
      cmocka_unit_test(a_worker_that_leaves_hands_its_task_back),
      cmocka_unit_test(a_dead_worker_does_not_swallow_the_queue),
      cmocka_unit_test(a_worker_that_fails_everything_comes_last),
      cmocka_unit_test(losses_are_bounded),
      cmocka_unit_test(a_retry_goes_elsewhere),
      cmocka_unit_test(a_retry_waits_for_elsewhere_and_others_pass),
      cmocka_unit_test(a_retry_waits_for_elsewhere_one_lease_at_most),
      cmocka_unit_test(when_the_elsewhere_goes_away_the_retry_stays),
      cmocka_unit_test(a_waiting_retry_can_be_canceled),
      cmocka_unit_test(a_destination_writer_is_fenced_until_the_lease_is_over),
      cmocka_unit_test(a_fence_opens_when_the_worker_answers),
      cmocka_unit_test(a_fence_opens_when_the_worker_restarts),
      cmocka_unit_test(a_fence_opens_when_the_worker_leaves),
      cmocka_unit_test(a_fence_opens_with_the_lease_of_its_worker),
      cmocka_unit_test(work_done_behind_a_fence_counts),
      cmocka_unit_test(a_fence_does_not_hide_the_last_loss),
      cmocka_unit_test(a_slot_that_may_still_be_used_is_not_given_away),
      cmocka_unit_test(a_held_query_starts_nothing_new_and_holds_up_nobody),
      cmocka_unit_test(cancel_while_queued),
      cmocka_unit_test(cancel_while_running_keeps_the_slot_until_the_worker_answers),
      cmocka_unit_test(cancel_as_it_starts),
      cmocka_unit_test(cancel_that_crosses_the_answer),
      cmocka_unit_test(cancel_just_after_the_end),
      cmocka_unit_test(cancel_behind_a_fence),
      cmocka_unit_test(a_worker_that_does_not_answer_the_stop_frees_its_slot_after_a_lease),
      cmocka_unit_test(a_worker_that_is_never_reached_is_no_loss),
      cmocka_unit_test(a_destination_that_nobody_began_to_write_needs_no_fence),
      cmocka_unit_test(two_runtimes_share_one_slot),
      cmocka_unit_test(a_busy_runtime_holds_up_nobody_else),
      cmocka_unit_test(the_rare_runtime_is_not_starved_by_the_common_one),
      cmocka_unit_test(a_query_whose_runtime_disappears_keeps_waiting),
      cmocka_unit_test(fifty_clients_with_twenty_queries_each_on_two_workers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
