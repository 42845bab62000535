/* story/cost.c: what a task costs the scheduler, and that it stays flat. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Two loads, each on 10, 100 and 1,000 workers: many small queries behind a long queue, and one
 * query of 100,000 tasks in four stages, with losses and a restart from its first stage. The cost
 * is processor time, which others on the machine do not use up; the bound on how it may grow is
 * wide, for their part in its caches, and what is linear breaks it. */
#include "story.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { LEASE_MS = 10000, MAX_GROWTH = 8 };

typedef struct bench {
  sched *sched;
  sched_runtime runtime;
  int64_t now_ms;
  uint32_t n_workers, n_ids;
  uint32_t *lives;     /* of each worker */
  attempt_id *running; /* in the order of their starts */
  size_t n_started, cap;
} bench;

static attempt_id next_attempt(void *arg) {
  bench *b = arg;
  attempt_id id = {0};
  b->n_ids++;
  memcpy(id.u.bytes, &b->n_ids, sizeof b->n_ids);
  return id;
}

static void join_worker(bench *b, uint32_t w) {
  char name[16], life[16];
  snprintf(name, sizeof name, "w%u", w);
  snprintf(life, sizeof life, "%u", b->lives[w]);
  sched_worker_spec spec = {.instance_id = name,
                            .incarnation = life,
                            .slots = 2,
                            .runtimes = &b->runtime,
                            .n_runtimes = 1};
  sched_worker_join(b->sched, &spec, b->now_ms);
}

static void begin(bench *b, uint32_t n_workers, size_t max_starts, size_t max_queued) {
  *b = (bench){.runtime = story_runtime("2.0.0", ""), .now_ms = 1, .n_workers = n_workers};
  b->cap = max_starts;
  b->lives = mem_new(n_workers * sizeof *b->lives);
  b->running = mem_new(max_starts * sizeof *b->running);
  b->sched = sched_new(&(sched_config){.max_losses = 4,
                                       .lease_ms = LEASE_MS,
                                       .max_queued = max_queued,
                                       .max_finished = 1000,
                                       .new_attempt = next_attempt,
                                       .arg = b});
  for (uint32_t w = 0; w < n_workers; w++) join_worker(b, w);
}

static void end(bench *b) {
  sched_free(b->sched);
  free(b->running);
  free(b->lives);
}

static double cpu_us_since(clock_t began) {
  return (double)(clock() - began) * 1e6 / CLOCKS_PER_SEC;
}

static void note_start(bench *b, const sched_action *a) {
  assert_true(b->n_started < b->cap);
  b->running[b->n_started++] = a->attempt;
}

static sched_query_spec spec_numbered(const bench *b, uint32_t n) {
  sched_query_spec spec = {.plan_header = b->runtime.plan_header, .python_minor = -1};
  memcpy(spec.id.u.bytes, &n, sizeof n);
  return spec;
}

/* A queue of 10,000 in front of the workers: each end of a task starts the next and lets one in. */
static double many_queries(uint32_t n_workers) {
  enum { QUEUED = 10000, TASKS = 30000 };
  bench b;
  begin(&b, n_workers, TASKS, QUEUED + 2 * n_workers);
  sched_stage_spec one = {.n_tasks = 1, .final = true};
  uint32_t submitted = 0;
  clock_t began = clock();
  for (uint32_t ended = 0; ended < TASKS; ended++) {
    while (submitted < TASKS && submitted < ended + QUEUED + 2 * n_workers) {
      sched_query_spec spec = spec_numbered(&b, submitted++);
      assert_int_equal(sched_submit(b.sched, &spec, &one, 1, NULL), RC_OK);
    }
    for (sched_action a; sched_next_action(b.sched, &a);)
      if (a.kind == SCHED_START) note_start(&b, &a);
    sched_attempt_ended(b.sched, b.running[ended], SCHED_DONE, 1);
  }
  double us = cpu_us_since(began) / TASKS;
  assert_int_equal(b.n_started, TASKS);
  print_message("%4u workers, %d queries queued: %.2f us of CPU for each task\n", n_workers, QUEUED,
                us);
  end(&b);
  return us;
}

/* ---- one large query ---------------------------------------------------------------------- */

enum { N_STAGES = 4 };
static const uint32_t stage_tasks[N_STAGES] = {50000, 30000, 19999, 1};

typedef struct large {
  bench *b;
  uint32_t next; /* of stage_tasks */
  bool over;
  uint32_t lost, silent, restarts, given_up;
} large;

/* Half of the tasks prefer a worker. */
static void open_next(large *l) {
  char(*names)[16] = mem_new(l->b->n_workers * sizeof *names);
  uint32_t n = stage_tasks[l->next], number;
  const char **prefer = mem_new(n * sizeof *prefer);
  for (uint32_t w = 0; w < l->b->n_workers; w++) snprintf(names[w], sizeof names[w], "w%u", w);
  for (uint32_t k = 0; k < n; k += 2) prefer[k] = names[k % l->b->n_workers];
  sched_stage_spec spec = {.n_tasks = n, .final = l->next == N_STAGES - 1, .prefer = prefer};
  sched_query_spec query = spec_numbered(l->b, 1);
  rc r = l->next || l->given_up
             ? sched_open_stage(l->b->sched, query.id, &spec, l->b->now_ms, &number, NULL)
             : sched_submit(l->b->sched, &query, &spec, l->b->now_ms, NULL);
  assert_int_equal(r, RC_OK);
  l->next++;
  free(prefer);
  free(names);
}

static void act(large *l) {
  for (sched_action a; sched_next_action(l->b->sched, &a);) {
    if (a.kind == SCHED_START) note_start(l->b, &a);
    if (a.kind == SCHED_STOP)
      sched_attempt_ended(l->b->sched, a.attempt, SCHED_STOPPED, l->b->now_ms);
    if (a.kind == SCHED_STAGE_FINISHED) open_next(l);
    if (a.kind == SCHED_STAGES_GIVEN_UP) {
      l->given_up++;
      l->next = 0;
      open_next(l);
    }
    if (a.kind == SCHED_QUERY_ENDED) {
      assert_int_equal(a.state, SCHED_QUERY_SUCCEEDED);
      l->over = true;
    }
  }
}

/* Once rows are lost, some executors die, some workers fall silent, some restart; the rest is done.
 */
static void end_one(large *l, size_t i) {
  bench *b = l->b;
  attempt_id id = b->running[i];
  if (l->next == 3 && !l->given_up && i % 90000 == 89999) {
    sched_attempt_ended(b->sched, id, SCHED_INPUT_LOST, b->now_ms);
  } else if (i % 700 == 699) {
    l->lost++;
    sched_attempt_ended(b->sched, id, SCHED_LOST, b->now_ms);
  } else if (i % 1100 == 1099) {
    l->silent++;
    sched_attempt_ended(b->sched, id, SCHED_UNREACHABLE, b->now_ms);
  } else if (i % 5000 == 4999) {
    uint32_t w = (uint32_t)i / 5000 % b->n_workers;
    l->restarts++;
    b->lives[w]++;
    join_worker(b, w);
  }
  sched_attempt_ended(b->sched, id, SCHED_DONE, b->now_ms); /* if it is not over */
}

static double one_large_query(uint32_t n_workers) {
  bench b;
  begin(&b, n_workers, 300000, 1);
  large l = {.b = &b};
  clock_t began = clock();
  open_next(&l);
  act(&l);
  for (size_t i = 0; !l.over; i++) {
    assert_true(i < b.n_started); /* or nothing runs, and it is not over */
    b.now_ms++;
    if (b.now_ms >= sched_next_tick(b.sched)) sched_tick(b.sched, b.now_ms);
    join_worker(&b, (uint32_t)i % n_workers); /* still there */
    end_one(&l, i);
    act(&l);
  }
  double us = cpu_us_since(began) / (double)b.n_started;
  assert_true(l.given_up == 1 && l.lost && l.silent && l.restarts);
  assert_null(sched_validate(b.sched));
  print_message("%4u workers, 1 query of 100000 tasks: %.2f us of CPU for each of %zu attempts; %u "
                "executors lost, %u workers silent, %u restarts, %u times given up\n",
                n_workers, us, b.n_started, l.lost, l.silent, l.restarts, l.given_up);
  end(&b);
  return us;
}

/* ---- flat --------------------------------------------------------------------------------- */

static void many_queries_cost_the_same_on_any_number_of_workers(void **state) {
  (void)state;
  double few = many_queries(10);
  many_queries(100);
  assert_true(many_queries(1000) < MAX_GROWTH * few);
}

static void a_large_query_costs_the_same_on_any_number_of_workers(void **state) {
  (void)state;
  double few = one_large_query(10);
  one_large_query(100);
  assert_true(one_large_query(1000) < MAX_GROWTH * few);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(many_queries_cost_the_same_on_any_number_of_workers),
      cmocka_unit_test(a_large_query_costs_the_same_on_any_number_of_workers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
