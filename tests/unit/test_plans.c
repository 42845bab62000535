/* tests/unit/test_plans.c: what Polars is asked about stages, and how much of plans is kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "scheduler/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the question ---- */

static plan_bytes bytes(const char *text) {
  return (plan_bytes){(const uint8_t *)text, strlen(text)};
}

/* 0 → 2 by hash, 1 → 2 for every task, 2 → 3, which is the result; 4 runs within 2. */
static void test_stages_are_told_apart(void **state) {
  (void)state;
  plan_bytes keys[2] = {bytes("k"), bytes("l")};
  stage stages[5] = {{.number = 0, .why = "group by", .output = {.keys = keys, .n_keys = 2}},
                     {.number = 1, .output = {.range = bytes("r")}},
                     {.number = 2},
                     {.number = 3, .final = true},
                     {.number = 4, .within = &stages[2]}};
  stage *all[5] = {&stages[0], &stages[1], &stages[4], &stages[2], &stages[3]};
  stage *first[1] = {&stages[0]}, *second[1] = {&stages[1]}, *third[1] = {&stages[2]};
  stage_leaf leaves[4] = {
      {.number = 5, .read = LEAF_PARTITION, .producers = first, .n_producers = 1},
      {.number = 6, .read = LEAF_BROADCAST, .producers = second, .n_producers = 1},
      {.number = 7, .read = LEAF_ALL, .producers = third, .n_producers = 1, .schema = bytes("s")},
      {.number = 8, .read = LEAF_PARTITION, .producers = second, .n_producers = 1}};
  stage_leaf *of_two[3] = {&leaves[0], &leaves[1], &leaves[3]}, *of_three[1] = {&leaves[2]};
  stages[2].leaves = of_two;
  stages[2].n_leaves = 3;
  stages[3].leaves = of_three;
  stages[3].n_leaves = 1;
  stage_graph g = {.stages = all, .n = 5};
  arena a = {0};
  Planning__ExplainRequest m;
  planning__explain_request__init(&m);
  stages_explain_request(&g, &a, &m);

  assert_int_equal(m.n_stages, 4);
  assert_string_equal(m.stages[0]->why, "group by");
  assert_string_equal(m.stages[1]->why, "");
  assert_int_equal(m.stages[0]->output, PLANNING__EXCHANGE__EXCHANGE_HASH);
  assert_int_equal(m.stages[0]->n_keys, 2);
  assert_memory_equal(m.stages[0]->keys[1].data, "l", 1);
  assert_int_equal(m.stages[1]->output, PLANNING__EXCHANGE__EXCHANGE_RANGE);
  assert_int_equal(m.stages[2]->output, PLANNING__EXCHANGE__EXCHANGE_LOCAL);
  assert_int_equal(m.stages[3]->output, PLANNING__EXCHANGE__EXCHANGE_NONE);
  assert_int_equal(m.stages[2]->n_leaves, 3);
  assert_int_equal(m.stages[2]->leaves[0]->read, PLANNING__EXCHANGE__EXCHANGE_HASH);
  assert_int_equal(m.stages[2]->leaves[1]->read, PLANNING__EXCHANGE__EXCHANGE_BROADCAST);
  assert_int_equal(m.stages[2]->leaves[2]->read, PLANNING__EXCHANGE__EXCHANGE_RANGE);
  assert_int_equal(m.stages[2]->leaves[1]->producers[0], 1);
  assert_int_equal(m.stages[3]->leaves[0]->read, PLANNING__EXCHANGE__EXCHANGE_SINGLE);
  assert_int_equal(m.stages[3]->leaves[0]->leaf, 7);
  assert_int_equal(m.stages[3]->leaves[0]->schema.len, 1);
  arena_deinit(&a);
}

/* ---- what is kept ---- */

static query *planned_query(size_t bytes_) {
  query *q = query_new((query_id){0});
  q->only_planned = true;
  q->plans.answer = NEW(Planning__ExplainResponse);
  planning__explain_response__init(q->plans.answer);
  q->plans.answer->stage_graph.data = mem_new(bytes_);
  q->plans.answer->stage_graph.len = bytes_;
  return q;
}

static void test_the_oldest_goes_first(void **state) {
  (void)state;
  enum { EACH = 20 * 1024 * 1024, N = 5 };
  scheduler s = {0};
  list_init(&s.plans);
  query *q[N];
  for (int i = 0; i < N; i++) {
    q[i] = planned_query(EACH);
    plans_keep(&s, q[i]);
  }
  for (int i = 0; i < N; i++) assert_int_equal(q[i]->plans.answer != NULL, i >= 2);
  assert_int_equal(s.plans_bytes, 3 * EACH);
  plans_forget(&s, q[3]);
  plans_forget(&s, q[0]); /* again */
  assert_int_equal(s.plans_bytes, 2 * EACH);
  query *large = planned_query(4 * EACH);
  plans_keep(&s, large); /* more than all may weigh */
  assert_int_equal(s.plans_bytes, 0);
  assert_true(list_empty(&s.plans));
  for (int i = 0; i < N; i++) query_unref(q[i]);
  query_unref(large);
}

static void test_answers_that_do_not_decode(void **state) {
  (void)state;
  query *q = query_new((query_id){0});
  err e = {0};
  assert_int_equal(plans_take(q, (const uint8_t *)"\x0a\xff", 2, &e), RC_INVALID);
  assert_null(q->plans.answer);
  assert_int_equal(plans_take(q, (const uint8_t *)"\x0a\x01x", 3, &e), RC_OK);
  assert_string_equal(q->plans.answer->ir_plan, "x");
  query_unref(q);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_stages_are_told_apart),
      cmocka_unit_test(test_the_oldest_goes_first),
      cmocka_unit_test(test_answers_that_do_not_decode),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
