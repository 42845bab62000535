/* tests/unit/test_steps.c: which files the tasks of a stage read, and how many tasks it gets.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "scheduler/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_STAGES = 4 };

/* A graph of stages that are written by hand, and steps that have "run". */
typedef struct world {
  conf conf;
  scheduler s;
  query q;
  execution x;
  planning planning;
  stage stages[MAX_STAGES];
  stage *graph[MAX_STAGES];
  step_host hosts[2];
} world;

static world *new_world(int64_t task_bytes, uint32_t partitions) {
  world *w = NEW(world);
  w->conf.scheduler.planner.task_bytes = task_bytes;
  w->s.conf = &w->conf;
  w->x.s = &w->s;
  w->x.q = &w->q;
  w->x.partitions = partitions;
  w->x.planning = &w->planning;
  list_init(&w->x.hosts);
  for (uint32_t i = 0; i < 2; i++) {
    w->hosts[i] = (step_host){.instance_id = i ? "b" : "a"};
    list_push_back(&w->x.hosts, &w->hosts[i].link);
  }
  for (uint32_t i = 0; i < MAX_STAGES; i++) {
    w->stages[i].number = i;
    w->graph[i] = &w->stages[i];
  }
  w->x.stages = ARENA_NEW(&w->x.arena, step *, MAX_STAGES);
  return w;
}

static void free_world(world *w) {
  arena_deinit(&w->x.arena);
  free(w->x.steps);
  free(w);
}

/* Stage `number` has run: `sizes` is a row for each task with the bytes of each of its partitions,
 * 0 for none; partitions 0: one file for each task. Task i ran on host i % 2. */
static step *has_run(world *w, uint32_t number, uint32_t n_tasks, uint32_t partitions,
                     const uint64_t *sizes) {
  step *st = steps_add(&w->x, STEP_STAGE, NULL, n_tasks);
  st->stage = &w->stages[number];
  st->partitions = partitions;
  w->x.stages[number] = st;
  uint32_t width = partitions ? partitions : 1;
  for (uint32_t i = 0; i < n_tasks; i++) {
    step_task *t = &st->tasks[i];
    t->done = true;
    t->host = &w->hosts[i % 2];
    t->files = ARENA_NEW(&w->x.arena, step_file, width);
    for (uint32_t p = 0; p < width; p++) {
      uint64_t bytes = sizes[i * width + p];
      const char *name = arena_printf(&w->x.arena, "%u.%u.%u", number, i, p);
      if (bytes) t->files[t->n_files++] = (step_file){p, bytes, name};
      t->bytes += bytes;
    }
  }
  st->finished = true;
  return st;
}

static stage_leaf *leaf(world *w, leaf_read read, size_t n, ...) {
  stage_leaf *l = ARENA_NEW(&w->x.arena, stage_leaf, 1);
  stage **producers = ARENA_NEW(&w->x.arena, stage *, n);
  va_list numbers;
  va_start(numbers, n);
  for (size_t i = 0; i < n; i++) producers[i] = &w->stages[va_arg(numbers, int)];
  va_end(numbers);
  *l = (stage_leaf){.read = read, .producers = producers, .n_producers = n};
  return l;
}

/* Stage 3 reads these leaves. */
static step *open_reader(world *w, stage_tasks tasks, stage_leaf *a, stage_leaf *b) {
  stage *st = &w->stages[3];
  st->tasks = tasks;
  st->leaves = ARENA_NEW(&w->x.arena, stage_leaf *, 2);
  if (a) st->leaves[st->n_leaves++] = a;
  if (b) st->leaves[st->n_leaves++] = b;
  return w->x.stages[3] = steps_add_stage(&w->x, st, NULL);
}

static void add_name(void *arg, const step_task *writer, const step_file *file) {
  (void)writer;
  buf_printf(arg, "%s ", file->name);
}

static void assert_reads(const step *st, uint32_t task, const stage_leaf *l, const char *expected) {
  buf names = {0};
  steps_each_input(st, task, l, add_name, &names);
  assert_string_equal(buf_text(&names), expected);
  buf_deinit(&names);
}

/* ---- */

static void a_partition_is_read_from_every_writer(void **state) {
  (void)state;
  world *w = new_world(1, 3);
  has_run(w, 0, 2, 3, (uint64_t[]){5, 5, 5, 5, 0, 5});
  stage_leaf *l = leaf(w, LEAF_PARTITION, 1, 0);
  step *st = open_reader(w, STAGE_PARTITIONS, l, NULL);
  assert_int_equal(st->n_tasks, 3);
  assert_reads(st, 0, l, "0.0.0 0.1.0 ");
  assert_reads(st, 1, l, "0.0.1 ");
  assert_reads(st, 2, l, "0.0.2 0.1.2 ");
  free_world(w);
}

static void small_partitions_are_read_together(void **state) {
  (void)state;
  world *w = new_world(10, 4);
  has_run(w, 0, 1, 4, (uint64_t[]){1, 1, 9, 9});
  stage_leaf *l = leaf(w, LEAF_PARTITION, 1, 0);
  step *st = open_reader(w, STAGE_PARTITIONS, l, NULL);
  assert_int_equal(st->n_tasks, 2);
  assert_reads(st, 0, l, "0.0.0 0.0.1 0.0.2 ");
  assert_reads(st, 1, l, "0.0.3 ");
  free_world(w);
}

static void nothing_is_one_task(void **state) {
  (void)state;
  world *w = new_world(1, 4);
  has_run(w, 0, 1, 4, (uint64_t[]){0, 0, 0, 0});
  stage_leaf *l = leaf(w, LEAF_PARTITION, 1, 0);
  step *st = open_reader(w, STAGE_PARTITIONS, l, NULL);
  assert_int_equal(st->n_tasks, 1);
  assert_int_equal(st->tasks[0].n_partitions, 4);
  assert_reads(st, 0, l, "");
  assert_null(steps_prefer(st)[0]);
  free_world(w);
}

static void broadcast_and_gather_read_everything_in_order(void **state) {
  (void)state;
  world *w = new_world(1, 2);
  has_run(w, 0, 2, 2, (uint64_t[]){5, 5, 5, 5});
  has_run(w, 1, 2, 0, (uint64_t[]){5, 5});
  stage_leaf *all = leaf(w, LEAF_ALL, 2, 1, 0), *broadcast = leaf(w, LEAF_BROADCAST, 1, 1);
  step *st = open_reader(w, STAGE_ONE, all, broadcast);
  assert_int_equal(st->n_tasks, 1);
  assert_reads(st, 0, all, "1.0.0 1.1.0 0.0.0 0.0.1 0.1.0 0.1.1 ");
  assert_reads(st, 0, broadcast, "1.0.0 1.1.0 ");
  free_world(w);
}

/* One stage may serve two readers: its layout need not be that of the leaf's other producers. */
static void writers_of_both_kinds_lose_nothing(void **state) {
  (void)state;
  world *w = new_world(1, 2);
  has_run(w, 0, 1, 2, (uint64_t[]){5, 5});
  has_run(w, 1, 3, 0, (uint64_t[]){5, 5, 5});
  stage_leaf *l = leaf(w, LEAF_PARTITION, 2, 0, 1);
  step *st = open_reader(w, STAGE_PARTITIONS, l, NULL);
  buf names = {0};
  for (uint32_t i = 0; i < st->n_tasks; i++) steps_each_input(st, i, l, add_name, &names);
  assert_string_equal(buf_text(&names), "0.0.0 0.0.1 1.0.0 1.1.0 1.2.0 ");
  buf_deinit(&names);
  free_world(w);
}

static void every_partition_is_read_once_however_they_are_divided(void **state) {
  (void)state;
  uint64_t sizes[4 * 13];
  for (uint32_t seed = 1; seed < 300; seed++) {
    world *w = new_world(1 + seed * 7 % 400, 13);
    for (size_t i = 0; i < 4 * 13; i++) sizes[i] = (seed * 2654435761u ^ i * 40503u) % 100;
    has_run(w, 0, 4, 13, sizes);
    stage_leaf *l = leaf(w, LEAF_PARTITION, 1, 0);
    const step *st = open_reader(w, STAGE_PARTITIONS, l, NULL);
    uint32_t next = 0;
    for (uint32_t i = 0; i < st->n_tasks; i++) {
      assert_int_equal(st->tasks[i].first_partition, next);
      assert_true(st->tasks[i].n_partitions > 0);
      next += st->tasks[i].n_partitions;
    }
    assert_int_equal(next, 13);
    free_world(w);
  }
}

static void a_task_goes_where_its_rows_are(void **state) {
  (void)state;
  world *w = new_world(1, 2);
  has_run(w, 0, 2, 2, (uint64_t[]){9, 1, 1, 9}); /* on a, on b */
  has_run(w, 1, 1, 0, (uint64_t[]){1000});       /* broadcast from a: all read it */
  step *st = open_reader(w, STAGE_PARTITIONS, leaf(w, LEAF_PARTITION, 1, 0),
                         leaf(w, LEAF_BROADCAST, 1, 1));
  assert_string_equal(steps_prefer(st)[0], "a");
  assert_string_equal(steps_prefer(st)[1], "b");
  free_world(w);
}

/* ---- ranges ---- */

static step *written_ranges(world *w, const uint64_t sizes[3]) {
  w->stages[0].output.range = (plan_bytes){(const uint8_t *)"key", 3};
  step *written = has_run(w, 0, 3, 0, sizes);
  return written;
}

static void few_rows_are_not_divided(void **state) {
  (void)state;
  world *w = new_world(100, 4);
  assert_null(ranges_next(written_ranges(w, (uint64_t[]){5, 5, 5})));
  stage_leaf *l = leaf(w, LEAF_PARTITION, 1, 0);
  step *st = open_reader(w, STAGE_PARTITIONS, l, NULL);
  assert_int_equal(st->n_tasks, 1);
  assert_reads(st, 0, l, "0.0.0 0.1.0 0.2.0 ");
  free_world(w);
}

static void many_rows_are_divided_at_boundaries(void **state) {
  (void)state;
  world *w = new_world(5, 4);
  step *written = written_ranges(w, (uint64_t[]){5, 0, 10});
  step *boundaries = ranges_next(written);
  assert_int_equal(boundaries->kind, STEP_BOUNDARIES);
  assert_int_equal(boundaries->partitions, 3);
  assert_ptr_equal(w->x.stages[0], boundaries);
  buf names = {0};
  steps_each_divided(boundaries, 0, add_name, &names);
  assert_string_equal(buf_text(&names), "0.0.0 0.2.0 ");

  plan_bytes cut = {(const uint8_t *)"m", 1};
  boundaries->tasks[0].boundaries = &cut;
  boundaries->tasks[0].n_boundaries = 1;
  step *divide = ranges_next(boundaries);
  assert_int_equal(divide->kind, STEP_DIVIDE);
  assert_int_equal(divide->n_tasks, 2); /* the second writer wrote nothing */
  assert_int_equal(divide->partitions, 2);
  buf_clear(&names);
  steps_each_divided(divide, 1, add_name, &names);
  assert_string_equal(buf_text(&names), "0.2.0 ");
  assert_null(ranges_next(divide));
  assert_ptr_equal(w->x.stages[0], divide);
  buf_deinit(&names);
  free_world(w);
}

static void equal_keys_are_not_divided(void **state) {
  (void)state;
  world *w = new_world(1, 4);
  step *written = written_ranges(w, (uint64_t[]){5, 5, 5});
  step *boundaries = ranges_next(written);
  assert_int_equal(boundaries->kind, STEP_BOUNDARIES);
  assert_null(ranges_next(boundaries));
  assert_ptr_equal(w->x.stages[0], written);
  assert_int_equal(open_reader(w, STAGE_PARTITIONS, leaf(w, LEAF_PARTITION, 1, 0), NULL)->n_tasks,
                   1);
  free_world(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_partition_is_read_from_every_writer),
      cmocka_unit_test(small_partitions_are_read_together),
      cmocka_unit_test(nothing_is_one_task),
      cmocka_unit_test(broadcast_and_gather_read_everything_in_order),
      cmocka_unit_test(writers_of_both_kinds_lose_nothing),
      cmocka_unit_test(every_partition_is_read_once_however_they_are_divided),
      cmocka_unit_test(a_task_goes_where_its_rows_are),
      cmocka_unit_test(few_rows_are_not_divided),
      cmocka_unit_test(many_rows_are_divided_at_boundaries),
      cmocka_unit_test(equal_keys_are_not_divided),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
