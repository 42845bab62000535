/* story/simulation.c: a cluster in which everything goes wrong, by seed. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The simulation plays workers, network and clients. Workers restart, leave and are cut off; calls
 * break; answers come late, twice, or cross a cancel. Queries have several stages; the rows of a
 * task are gone with its worker, and then whoever reads them gives its query up, to start again.
 * The simulation knows what really runs where, which the scheduler can only infer, and checks:
 * every query ends exactly once, and only when all its stages have; no worker really runs more than
 * it has slots; no attempt that writes a destination starts while another one of its query really
 * runs. What a worker owes the scheduler is played faithfully: cut off for a lease, or with
 * a call broken for a lease, it has stopped. */
#include "flow.h"
#include "sched/heap.h"
#include "story.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LEASE_MS = 10000, HEARTBEAT_MS = 3000, RUN_MS = 300, MAX_SLOTS = 4, N_VERSIONS = 3 };

static const char *const versions[N_VERSIONS] = {"2.0.0", "1.44.2", "1.41.2"};

typedef struct scale {
  uint32_t seed, n_workers, n_queries;
  int64_t arrival_ms;   /* all queries come within it */
  uint32_t n_disasters; /* restarts, leaves and cuts */
  uint32_t every;       /* sched_validate after so many events */
  uint32_t n_shapes;    /* of queries; 1: all have one task */
} scale;

typedef struct sim_worker {
  char name[16];
  uint32_t life, slots, running; /* running: really */
  bool has[N_VERSIONS];
  bool up, cut_off;
  int64_t heard_ms; /* the scheduler has heard it last */
} sim_worker;

typedef struct sim_run { /* one attempt, as it really is */
  uint32_t query, worker, life, stage, task;
  bool runs, writes;
} sim_run;

typedef struct sim_query {
  bool writes, submitted, ended, forgotten;
  uint32_t version, n_writing;
  flow flow;
} sim_query;

typedef enum event_kind {
  SUBMIT,
  CANCEL,
  LOSE, /* its driver finds that rows are lost */
  HEARTBEAT,
  REST,    /* a run comes to rest on its worker */
  REPORT,  /* the scheduler hears of a run */
  RESTART, /* a worker dies; its new life joins later */
  LEAVE,   /* … says goodbye … */
  CUT,     /* … is cut off … */
  GIVE_UP, /* cut off for a lease, it stops all */
  JOIN     /* … and comes (back) */
} event_kind;

typedef struct event {
  heap_node node;
  int64_t at_ms;
  uint64_t order;
  event_kind kind;
  uint32_t who; /* query, worker or run */
  sched_outcome outcome;
} event;

typedef struct sim {
  scale scale;
  uint64_t random;
  sched *sched;
  int64_t now_ms;
  heap agenda;
  uint64_t n_events;
  sim_worker *workers;
  sim_query *queries;
  sim_run *runs; /* from 1; the attempt's id is the index */
  uint32_t n_runs, cap_runs, n_ended;
  uint32_t ends[5], losses;
  uint32_t deaths, cuts, broken, given_up; /* faults that fired */
} sim;

/* ---- chance and time ---------------------------------------------------------------------- */

static uint32_t chance(sim *m, uint32_t below) {
  m->random = m->random * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(m->random >> 33) % below;
}

static bool event_before(const heap_node *a, const heap_node *b) {
  const event *x = HEAP_ENTRY(a, event, node), *y = HEAP_ENTRY(b, event, node);
  return x->at_ms != y->at_ms ? x->at_ms < y->at_ms : x->order < y->order;
}

static void plan(sim *m, int64_t in_ms, event_kind kind, uint32_t who, sched_outcome outcome) {
  event *v = NEW(event);
  *v = (event){.at_ms = m->now_ms + in_ms,
               .order = ++m->n_events,
               .kind = kind,
               .who = who,
               .outcome = outcome};
  heap_put(&m->agenda, &v->node);
}

/* ---- what really runs --------------------------------------------------------------------- */

static attempt_id next_attempt(void *arg) {
  sim *m = arg;
  attempt_id id = {0};
  if (++m->n_runs >= m->cap_runs) {
    m->cap_runs = m->cap_runs ? m->cap_runs * 2 : 1024;
    m->runs = realloc(m->runs, m->cap_runs * sizeof *m->runs);
    assert_non_null(m->runs);
  }
  m->runs[m->n_runs] = (sim_run){0};
  memcpy(id.u.bytes, &m->n_runs, sizeof m->n_runs);
  return id;
}

static void rest(sim *m, uint32_t run) {
  sim_run *r = &m->runs[run];
  if (!r->runs) return;
  r->runs = false;
  m->queries[r->query].n_writing -= r->writes;
  m->workers[r->worker].running--;
}

static void rest_all(sim *m, uint32_t w) {
  for (uint32_t i = m->n_runs; i > 0 && m->workers[w].running; i--)
    if (m->runs[i].runs && m->runs[i].worker == w) rest(m, i);
}

/* How a run goes, most often well. What breaks is reported late and rests within a lease. */
static void plan_run(sim *m, uint32_t run) {
  int64_t takes = 1 + chance(m, 2 * RUN_MS);
  uint32_t fate = chance(m, 100);
  if (fate < 92) {
    plan(m, takes, REST, run, 0);
    plan(m, takes + chance(m, 3), REPORT, run, SCHED_DONE);
    if (fate < 5) plan(m, takes + 3 + chance(m, 20000), REPORT, run, fate); /* once more, wrong */
  } else if (fate < 95) {
    plan(m, takes, REST, run, 0);
    plan(m, takes, REPORT, run, fate == 92 ? SCHED_QUERY_ERROR : SCHED_LOST);
  } else {
    m->broken++;
    int64_t rests = takes + chance(m, LEASE_MS);
    plan(m, takes, REPORT, run, SCHED_UNREACHABLE);
    plan(m, rests, REST, run, 0);
    if (fate < 98) plan(m, rests + chance(m, 2000), REPORT, run, SCHED_DONE);
  }
}

static uint32_t number_of(uuid u) {
  uint32_t n;
  memcpy(&n, u.bytes, sizeof n);
  return n;
}

static query_id query_numbered(uint32_t n) {
  query_id id = {0};
  memcpy(id.u.bytes, &n, sizeof n);
  return id;
}

static void on_start(sim *m, const sched_action *a) {
  uint32_t run = number_of(a->attempt.u), w = (uint32_t)atoi(a->worker + 1);
  sim_query *q = &m->queries[number_of(a->query.u)];
  sim_worker *worker = &m->workers[w];
  assert_false(q->ended);
  assert_true(worker->has[q->version]);
  uint32_t stage = flow_find(&q->flow, a->stage);
  assert_true(stage < FLOW_STAGES);
  bool writes = q->writes && q->flow.shape->stages[stage].final;
  if (writes) assert_int_equal(q->n_writing, 0);
  m->runs[run] = (sim_run){.query = number_of(a->query.u),
                           .worker = w,
                           .life = worker->life,
                           .stage = a->stage,
                           .task = a->task,
                           .writes = writes};
  if (!worker->up || worker->cut_off) {
    plan(m, chance(m, 50), REPORT, run, SCHED_UNREACHABLE);
    return;
  }
  m->runs[run].runs = true;
  q->n_writing += writes;
  assert_true(++worker->running <= worker->slots);
  plan_run(m, run);
}

static void on_stop(sim *m, const sched_action *a) {
  uint32_t run = number_of(a->attempt.u);
  const sim_worker *w = &m->workers[m->runs[run].worker];
  bool answers = w->up && !w->cut_off && chance(m, 20);
  int64_t takes = chance(m, answers ? 100 : LEASE_MS);
  if (!answers) plan(m, 0, REPORT, run, SCHED_UNREACHABLE);
  plan(m, takes, REST, run, 0);
  if (answers) plan(m, takes, REPORT, run, SCHED_STOPPED);
}

static void on_ended(sim *m, const sched_action *a) {
  sim_query *q = &m->queries[number_of(a->query.u)];
  assert_true(q->submitted && !q->ended);
  q->ended = true;
  if (a->state == SCHED_QUERY_SUCCEEDED)
    assert_int_equal(q->flow.open, (1u << q->flow.shape->n_stages) - 1);
  m->n_ended++;
  m->ends[a->state]++;
  m->losses += a->lost_too_often;
}

/* Some tasks prefer a worker that has rows for them. */
static sched_stage_spec stage_of(sim *m, const sim_query *q, uint32_t i, const char **prefer) {
  const flow_stage *st = &q->flow.shape->stages[i];
  for (uint32_t k = 0; k < st->n_tasks; k++) {
    uint32_t made = st->reads && chance(m, 2) ? q->flow.made[__builtin_ctz(st->reads)][0] : 0;
    prefer[k] = made ? m->workers[m->runs[made].worker].name : NULL;
  }
  return (sched_stage_spec){.n_tasks = st->n_tasks,
                            .final = st->final,
                            .writes_destination = st->final && q->writes,
                            .prefer = prefer,
                            .pinned = chance(m, 4)};
}

static void open_stages(sim *m, uint32_t query) {
  sim_query *q = &m->queries[query];
  for (uint32_t i; (i = flow_next(&q->flow)) < FLOW_STAGES;) {
    const char *prefer[FLOW_TASKS];
    sched_stage_spec spec = stage_of(m, q, i, prefer);
    uint32_t number;
    assert_int_equal(
        sched_open_stage(m->sched, query_numbered(query), &spec, m->now_ms, &number, NULL), RC_OK);
    flow_opened(&q->flow, i, number);
  }
}

static void on_stage_finished(sim *m, const sched_action *a) {
  sim_query *q = &m->queries[number_of(a->query.u)];
  uint32_t stage = flow_find(&q->flow, a->stage);
  assert_true(stage < FLOW_STAGES);
  q->flow.finished |= 1u << stage;
  open_stages(m, number_of(a->query.u));
}

static void act(sim *m) {
  for (sched_action a; sched_next_action(m->sched, &a);) switch (a.kind) {
    case SCHED_START:
      on_start(m, &a);
      break;
    case SCHED_STOP:
      on_stop(m, &a);
      break;
    case SCHED_STAGE_FINISHED:
      on_stage_finished(m, &a);
      break;
    case SCHED_STAGES_GIVEN_UP:
      m->given_up++;
      flow_restart(&m->queries[number_of(a.query.u)].flow);
      open_stages(m, number_of(a.query.u));
      break;
    case SCHED_QUERY_ENDED:
      on_ended(m, &a);
      break;
    case SCHED_QUERY_FORGOTTEN: {
      sim_query *q = &m->queries[number_of(a.query.u)];
      assert_true(q->ended && !q->forgotten);
      q->forgotten = true;
      break;
    }
    }
}

/* ---- what the scheduler is told ----------------------------------------------------------- */

static void submit_query(sim *m, uint32_t i) {
  sim_query *q = &m->queries[i];
  sched_runtime r = story_runtime(versions[q->version], "");
  int32_t priority = (int32_t)chance(m, 3);
  uint32_t n_retries = chance(m, 2), python = chance(m, 2);
  uint32_t max_workers = chance(m, 4) ? 0 : 1 + chance(m, 3);
  uint32_t min_workers = chance(m, 4) ? 0 : 1 + m->scale.n_workers / N_VERSIONS / 2;
  sched_query_spec spec = {.id = query_numbered(i),
                           .priority = priority,
                           .n_retries = n_retries,
                           .polars_version = versions[q->version],
                           .plan_header = r.plan_header,
                           .python_minor = python ? 11 : -1,
                           .python_micro = -1,
                           .max_workers = max_workers,
                           .min_workers = min_workers};
  const char *prefer[FLOW_TASKS];
  sched_stage_spec first = stage_of(m, q, 0, prefer);
  rc code = sched_submit(m->sched, &spec, &first, m->now_ms, NULL);
  q->submitted = code == RC_OK;
  if (code != RC_OK) plan(m, 500 + chance(m, 500), SUBMIT, i, 0); /* full, or no runtime now */
  if (code != RC_OK) return;
  flow_opened(&q->flow, 0, 0);
  open_stages(m, i);
  if (!chance(m, 20)) plan(m, chance(m, 4 * RUN_MS), CANCEL, i, 0);
  if (!chance(m, 50)) plan(m, chance(m, 4 * RUN_MS), LOSE, i, 0);
}

static void join_worker(sim *m, uint32_t w) {
  sim_worker *worker = &m->workers[w];
  sched_runtime runtimes[N_VERSIONS];
  size_t n = 0;
  for (size_t i = 0; i < N_VERSIONS; i++)
    if (worker->has[i]) runtimes[n++] = story_runtime(versions[i], "3.11.2");
  char life[16];
  snprintf(life, sizeof life, "%u", worker->life);
  worker->up = true;
  worker->cut_off = false;
  worker->heard_ms = m->now_ms;
  sched_worker_join(m->sched,
                    &(sched_worker_spec){.instance_id = worker->name,
                                         .incarnation = life,
                                         .slots = worker->slots,
                                         .runtimes = runtimes,
                                         .n_runtimes = n},
                    m->now_ms);
}

static void beat(sim *m, uint32_t w) {
  sim_worker *worker = &m->workers[w];
  plan(m, HEARTBEAT_MS, HEARTBEAT, w, 0);
  if (!worker->up || worker->cut_off) return;
  char life[16];
  snprintf(life, sizeof life, "%u", worker->life);
  if (sched_worker_heartbeat(m->sched, worker->name, life, m->now_ms))
    worker->heard_ms = m->now_ms;
  else
    join_worker(m, w);
}

static bool is_within_reach(const sim *m, const sim_run *r) {
  const sim_worker *w = &m->workers[r->worker];
  return w->up && !w->cut_off && w->life == r->life;
}

static bool misses_rows(const sim *m, const flow *f, uint32_t stage) {
  uint32_t reads = f->shape->stages[stage].reads;
  for (uint32_t i = 0; i < f->shape->n_stages; i++)
    for (uint32_t k = 0; reads & 1u << i && k < f->shape->stages[i].n_tasks; k++)
      if (!is_within_reach(m, &m->runs[f->made[i][k]])) return true;
  return false;
}

/* A report from a worker that is down or cut off cannot come: the call is found broken instead. */
static void report(sim *m, const event *v) {
  const sim_run *r = &m->runs[v->who];
  flow *f = &m->queries[r->query].flow;
  uint32_t stage = flow_find(f, r->stage);
  sched_outcome outcome = v->outcome;
  if (!is_within_reach(m, r)) outcome = SCHED_UNREACHABLE;
  if (outcome == SCHED_DONE && stage < FLOW_STAGES) {
    if (misses_rows(m, f, stage))
      outcome = SCHED_INPUT_LOST;
    else
      f->made[stage][r->task] = v->who;
  }
  attempt_id id = {0};
  memcpy(id.u.bytes, &v->who, sizeof v->who);
  sched_attempt_ended(m->sched, id, outcome, m->now_ms);
}

static void lose_rows(sim *m, uint32_t query) {
  const sim_query *q = &m->queries[query];
  bool lost = chance(m, 4) > 0;
  rc code = sched_give_up_stages(m->sched, query_numbered(query), lost, m->now_ms, NULL);
  assert_true(q->ended ? code == RC_NOT_FOUND : code == RC_OK || code == RC_EXHAUSTED);
}

static void die(sim *m, uint32_t w, bool says_goodbye) {
  sim_worker *worker = &m->workers[w];
  if (!worker->up || worker->cut_off) return;
  m->deaths++;
  rest_all(m, w);
  char life[16];
  snprintf(life, sizeof life, "%u", worker->life++);
  worker->up = false;
  if (says_goodbye) sched_worker_leave(m->sched, worker->name, life, m->now_ms);
  plan(m, chance(m, 2 * LEASE_MS), JOIN, w, 0);
}

static void cut(sim *m, uint32_t w) {
  sim_worker *worker = &m->workers[w];
  if (!worker->up || worker->cut_off) return;
  worker->cut_off = true;
  m->cuts++;
  plan(m, worker->heard_ms + LEASE_MS - 1 - m->now_ms, GIVE_UP, w, 0); /* before it is over */
  plan(m, LEASE_MS + chance(m, LEASE_MS), JOIN, w, 0);
}

static void happen(sim *m, const event *v) {
  switch (v->kind) {
  case SUBMIT:
    submit_query(m, v->who);
    break;
  case CANCEL:
    if (!m->queries[v->who].forgotten)
      assert_int_equal(sched_cancel(m->sched, query_numbered(v->who), m->now_ms, NULL), RC_OK);
    break;
  case LOSE:
    lose_rows(m, v->who);
    break;
  case HEARTBEAT:
    beat(m, v->who);
    break;
  case REST:
    rest(m, v->who);
    break;
  case REPORT:
    report(m, v);
    break;
  case RESTART:
    die(m, v->who, false);
    break;
  case LEAVE:
    die(m, v->who, true);
    break;
  case CUT:
    cut(m, v->who);
    break;
  case GIVE_UP:
    rest_all(m, v->who);
    break;
  case JOIN:
    join_worker(m, v->who);
    break;
  }
}

/* ---- the play ----------------------------------------------------------------------------- */

static void set_the_stage(sim *m) {
  const scale *c = &m->scale;
  for (uint32_t w = 0; w < c->n_workers; w++) {
    sim_worker *worker = &m->workers[w];
    *worker = (sim_worker){.slots = 1 + chance(m, MAX_SLOTS)};
    snprintf(worker->name, sizeof worker->name, "w%u", w);
    for (uint32_t i = 0; i < N_VERSIONS; i++) /* each version is somewhere */
      worker->has[i] = w % N_VERSIONS == i || c->n_workers < N_VERSIONS || !chance(m, 3);
    plan(m, chance(m, 1000), JOIN, w, 0);
    plan(m, 1000 + chance(m, HEARTBEAT_MS), HEARTBEAT, w, 0);
  }
  for (uint32_t i = 0; i < c->n_queries; i++) {
    m->queries[i].version = chance(m, N_VERSIONS);
    uint32_t shape = chance(m, c->n_shapes);
    m->queries[i].flow.shape = &flow_shapes[shape];
    m->queries[i].writes = shape < FLOW_N_WRITERS && chance(m, 2);
    plan(m, chance(m, (uint32_t)c->arrival_ms), SUBMIT, i, 0);
  }
  static const event_kind disasters[] = {RESTART, LEAVE, CUT};
  for (uint32_t i = 0; i < c->n_disasters; i++) {
    uint32_t victim = chance(m, c->n_workers);
    plan(m, 1000 + chance(m, (uint32_t)c->arrival_ms), disasters[i % 3], victim, 0);
  }
}

/* A tick is due before the next event: it comes first. */
static void tick_until(sim *m, int64_t at_ms) {
  for (int64_t due; (due = sched_next_tick(m->sched)) <= at_ms;) {
    m->now_ms = due;
    sched_tick(m->sched, due);
    assert_true(sched_next_tick(m->sched) > due);
    act(m);
  }
  m->now_ms = at_ms;
}

static void play(sim *m) {
  int64_t curtain_ms = m->scale.arrival_ms + 1000 * (int64_t)LEASE_MS;
  for (uint64_t n = 0; m->n_ended < m->scale.n_queries; n++) {
    event *v = HEAP_ENTRY(heap_first(&m->agenda), event, node);
    heap_remove(&m->agenda, &v->node);
    tick_until(m, v->at_ms);
    assert_true(m->now_ms < curtain_ms); /* or a query waits for ever */
    happen(m, v);
    free(v);
    if (n % m->scale.every == 0) {
      const char *wrong = sched_validate(m->sched);
      if (wrong) fail_msg("seed %u, event %lu: %s", m->scale.seed, (unsigned long)n, wrong);
    }
    act(m);
  }
}

static void simulate(scale c, bool print) {
  sim m = {.scale = c, .random = c.seed, .agenda.before = event_before};
  m.workers = mem_new(c.n_workers * sizeof *m.workers);
  m.queries = mem_new(c.n_queries * sizeof *m.queries);
  m.sched = sched_new(&(sched_config){.min_workers = c.n_workers / 2,
                                      .max_losses = 4,
                                      .lease_ms = LEASE_MS,
                                      .max_queued = c.n_queries / 2 + 1,
                                      .max_finished = c.n_queries / 4,
                                      .new_attempt = next_attempt,
                                      .arg = &m});
  set_the_stage(&m);
  play(&m);
  if (print)
    print_message(
        "%u workers, %u queries: %u attempts, %lu events, %.0f s played; %u deaths and %u "
        "cuts of workers, %u broken calls, %u times given up; %u succeeded, %u failed (%u lost), "
        "%u canceled\n",
        c.n_workers, c.n_queries, m.n_runs, (unsigned long)m.n_events, (double)m.now_ms / 1000,
        m.deaths, m.cuts, m.broken, m.given_up, m.ends[SCHED_QUERY_SUCCEEDED],
        m.ends[SCHED_QUERY_FAILED], m.losses, m.ends[SCHED_QUERY_CANCELED]);
  for (heap_node *n; (n = heap_first(&m.agenda));) {
    heap_remove(&m.agenda, n);
    free(HEAP_ENTRY(n, event, node));
  }
  assert_true(c.n_shapes == 1 || m.given_up);
  assert_true(m.broken && (c.n_disasters < 100 || (m.deaths && m.cuts))); /* the faults fired … */
  assert_true(m.ends[SCHED_QUERY_SUCCEEDED] > c.n_queries / 2);           /* … and did not win */
  heap_deinit(&m.agenda);
  sched_free(m.sched);
  free(m.workers);
  free(m.queries);
  free(m.runs);
}

static void small_clusters_checked_after_every_event(void **state) {
  (void)state;
  for (uint32_t seed = 1; seed <= 25; seed++)
    simulate((scale){.seed = seed,
                     .n_workers = 1 + seed % 7,
                     .n_queries = seed % 2 ? 60 : 150,
                     .arrival_ms = 30000,
                     .n_disasters = seed % 20,
                     .every = 1,
                     .n_shapes = seed % 2 ? FLOW_N_SHAPES : 1},
             false);
}

static uint32_t big_seed = 20;

static void a_thousand_workers_and_a_hundred_thousand_queries(void **state) {
  (void)state;
  simulate((scale){.seed = big_seed,
                   .n_workers = 1000,
                   .n_queries = 100000,
                   .arrival_ms = 20000,
                   .n_disasters = 600,
                   .every = 5000,
                   .n_shapes = 1},
           true);
}

static void a_thousand_workers_and_queries_of_many_stages(void **state) {
  (void)state;
  simulate((scale){.seed = big_seed,
                   .n_workers = 1000,
                   .n_queries = 5000,
                   .arrival_ms = 20000,
                   .n_disasters = 600,
                   .every = 5000,
                   .n_shapes = FLOW_N_SHAPES},
           true);
}

/* simulation [SEED]: of the big ones. */
int main(int argc, char **argv) {
  if (argc > 1) big_seed = (uint32_t)atoi(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_clusters_checked_after_every_event),
      cmocka_unit_test(a_thousand_workers_and_a_hundred_thousand_queries),
      cmocka_unit_test(a_thousand_workers_and_queries_of_many_stages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
