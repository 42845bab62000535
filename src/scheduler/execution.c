/* scheduler/execution.c: see execution.h. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/execution.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "scheduler/internal.h"

#include <client.pb-c.h>
#include <stdlib.h>

enum {
  MOST_PARTITIONS = 256,
  FUSED_PLAN_BYTES = 1 << 18, /* written on the loop */
  NO_PUSHDOWN = 1 << 4,       /* Polars' optimizations without any: type coercion alone */
};

/* ---- life ---- */

static void free_step(step *st) {
  for (uint32_t k = 0; k < st->n_tasks; k++) buf_deinit(&st->tasks[k].head);
  if (st->kind == STEP_COMMIT) spool_free(st->plan);
}

static void execution_free(execution *x) {
  for (size_t i = 0; i < x->n_steps; i++) free_step(x->steps[i]);
  free(x->steps);
  planning_free(x->planning); /* its tree is a view of the plan */
  scheduler_free_plan(x->s, x->plan);
  spool_free(x->heads);
  arena_deinit(&x->arena);
  free(x);
}

static void note_whole(execution *x, const char *why) {
  x->whole_because = arena_printf(&x->arena, "%s", why);
  LOG_INFO("query runs whole", "query", uuid_print(x->q->id.u).s, "because", why);
}

static step *add_whole(execution *x) {
  step *st = steps_add(x, STEP_WHOLE, x->plan, 1);
  st->result = true;
  x->n_parts = 1;
  return x->whole = st;
}

static void note_opened(execution *x, step *st) {
  st->opened_us = clock_wall_us();
  bool plans = st->kind == STEP_DESCRIBE || st->kind == STEP_CAPTURE;
  if (!plans && x->planning && !x->q->times.planned_us) x->q->times.planned_us = st->opened_us;
}

execution *execution_new(scheduler *s, query *q, spool *plan, planning *p, const char *why) {
  execution *x = NEW(execution);
  x->s = s;
  x->q = q;
  x->plan = plan;
  x->planning = p;
  list_init(&x->hosts);
  if (why) note_whole(x, why);
  if (p)
    steps_add(x, STEP_DESCRIBE, p->request, 1);
  else if (q->only_planned)
    steps_add(x, STEP_EXPLAIN, plan, 1);
  else
    add_whole(x);
  note_opened(x, x->steps[0]);
  return x;
}

void execution_close(execution *x) {
  if (!x || x->closed) return;
  x->closed = true;
  if (!x->s->stopping) shuffle_drop_query(x);
  if (!x->working) execution_free(x);
}

/* ---- opening steps ---- */

/* With the end of this step the query has succeeded. */
static bool is_final(const step *st) {
  if (st->kind == STEP_WHOLE) return !query_writes_destination(st->execution->q);
  return st->kind == STEP_HEADS || st->kind == STEP_EXPLAIN;
}

static sched_stage_spec spec_of(const step *st) {
  return (sched_stage_spec){
      .n_tasks = st->n_tasks,
      .final = is_final(st),
      .writes_destination = st->result && query_is_fenced(st->execution->q),
      .prefer = st->stage        ? steps_prefer(st)
                : st->commits_on ? &st->commits_on->instance_id
                                 : NULL,
      .pinned = st->commits_on,
  };
}

sched_stage_spec execution_first(execution *x) {
  return spec_of(x->steps[0]);
}

static void fail(execution *x, const err *e) {
  failures_add(&x->q->failures, NULL, "RuntimeError", e->text);
  err ignored;
  if (sched_end_query(x->s->sched, x->q->id, SCHED_QUERY_FAILED, clock_mono_ms(), &ignored) !=
      RC_OK)
    LOG_WARN("a query that cannot go on has ended before", "error", ignored.text);
}

/* Right after steps_add: sched/ counts as we do. */
static void open_step(execution *x, step *st) {
  sched_stage_spec spec = spec_of(st);
  uint32_t number = st->number;
  note_opened(x, st);
  err e = {0};
  rc r = sched_open_stage(x->s->sched, x->q->id, &spec, clock_mono_ms(), &number, &e);
  if (r == RC_OK && number != st->number)
    r = ERR(&e, RC_INTERNAL, "step %u became stage %u", st->number, number);
  if (r != RC_OK) fail(x, &e);
}

static void think(execution *x, rc (*piece)(planning *, err *));

static void explain(execution *x, bool whole) {
  x->planning->runs_whole = whole;
  x->planning->as_text = x->q->settings.plan_as_text;
  think(x, planning_explain);
}

static void run_whole(execution *x, const char *why) {
  note_whole(x, why);
  if (x->q->only_planned)
    explain(x, true);
  else
    open_step(x, add_whole(x));
}

/* Right, but not as it was meant to be. */
static void give_up_planning(execution *x, const char *why) {
  LOG_WARN("query could not be planned", "query", uuid_print(x->q->id.u).s, "error", why);
  run_whole(x, why);
}

/* ---- planning ---- */

static void ask(execution *x, step_kind kind) {
  open_step(x, steps_add(x, kind, x->planning->request, 1));
}

static void open_ready(execution *x);

static void begin_stages(execution *x) {
  x->stages = ARENA_NEW(&x->arena, step *, x->planning->graph.n);
  open_ready(x);
}

static void on_pool(uv_work_t *w) {
  execution *x = w->data;
  x->piece_rc = x->piece(x->planning, &x->piece_err);
}

/* No stage was opened in the meantime, unless all began again. */
static void after_revision(execution *x) {
  bool better = x->piece_rc == RC_OK && !x->n_parts && planning_is_revised(x->planning);
  err e = {0};
  x->adopts =
      better && sched_give_up_stages(x->s->sched, x->q->id, false, clock_mono_ms(), &e) == RC_OK;
  if (!x->adopts) {
    open_ready(x);
    return;
  }
  LOG_INFO("query is planned again", "query", uuid_print(x->q->id.u).s, "because",
           x->revisions[x->n_revised++]);
}

static void after_explain(execution *x) {
  if (x->piece_rc == RC_OK)
    ask(x, STEP_EXPLAIN);
  else
    fail(x, &x->piece_err);
}

static void after_piece(execution *x) {
  if (x->piece == planning_revise)
    after_revision(x);
  else if (x->piece == planning_explain)
    after_explain(x);
  else if (x->piece_rc != RC_OK)
    give_up_planning(x, x->piece_err.text);
  else if (x->piece == planning_write && x->q->only_planned)
    explain(x, false);
  else if (x->piece == planning_write)
    begin_stages(x);
  else if (planning_is_whole(x->planning))
    run_whole(x, "it has few rows, or nothing that several workers can share");
  else if (planning_asks(x->planning))
    ask(x, STEP_CAPTURE);
  else
    think(x, planning_write);
}

static void after_pool(uv_work_t *w, int status) {
  (void)status;
  execution *x = w->data;
  scheduler *s = x->s;
  x->working = false;
  s->n_planning--;
  if (x->closed)
    execution_free(x);
  else if (!s->stopping)
    after_piece(x);
  if (s->stopping)
    scheduler_check_done(s);
  else
    scheduler_run_actions(s);
}

static void think(execution *x, rc (*piece)(planning *, err *)) {
  x->piece = piece;
  x->working = true;
  x->work.data = x;
  x->s->n_planning++;
  uv_queue_work(x->s->loop, &x->work, on_pool, after_pool);
}

static uint32_t choose_partitions(const execution *x) {
  const conf *c = x->s->conf;
  if (c->scheduler.planner.partitions) return (uint32_t)c->scheduler.planner.partitions;
  uint32_t workers, slots;
  sched_capacity(x->s->sched, x->q->id, &workers, &slots);
  uint64_t each = x->q->settings.partitions_per_worker;
  if (!each) each = (uint64_t)c->scheduler.partitions_per_worker;
  uint64_t n = each * workers > slots ? each * workers : slots;
  return n > MOST_PARTITIONS ? MOST_PARTITIONS : (uint32_t)n;
}

enum { SINGLE_WORKER_FACTOR = 16 }; /* where the client says that one worker may do it */

uint32_t execution_single_worker_factor(const execution *x) {
  switch (x->q->settings.single_worker_ops) {
  case CLIENT__SINGLE_WORKER_OPS__SWO_FORBID:
    return 0;
  case CLIENT__SINGLE_WORKER_OPS__SWO_ALLOW:
    return SINGLE_WORKER_FACTOR;
  default:
    return 1;
  }
}

static stage_limits limits_of(const execution *x) {
  const query_settings *q = &x->q->settings;
  double small = (double)x->s->conf->scheduler.planner.small_rows;
  double broadcast = (double)x->s->conf->scheduler.planner.broadcast_rows;
  double allowed = (double)q->broadcast_bytes / STEP_ROW_BYTES;
  return (stage_limits){
      .partitions = x->partitions,
      .small_rows = small * execution_single_worker_factor(x),
      .replicate_rows = (double)x->s->conf->scheduler.planner.replicate_rows,
      .broadcast_rows = broadcast < allowed ? broadcast : allowed,
      .pre_aggregation = q->pre_aggregation,
      .partitioned_sort = q->partitioned_sort,
      .lower_expressions = q->lower_expressions,
      .user_sink = query_writes_destination(x->q),
  };
}

static void on_described(execution *x) {
  x->partitions = choose_partitions(x);
  if (x->partitions < 2) {
    run_whole(x, "the cluster has one slot for it");
    return;
  }
  x->planning->limits = limits_of(x);
  bool pushdown = x->s->conf->scheduler.planner.pushdown;
  x->planning->has_optimization_flags = x->q->settings.has_optimization_flags || !pushdown;
  x->planning->optimization_flags = pushdown ? x->q->settings.optimization_flags : NO_PUSHDOWN;
  think(x, planning_cut);
}

/* ---- stages ---- */

static bool is_finished(const execution *x, const stage *st) {
  while (st->within) st = st->within;
  const step *run = x->stages[st->number];
  return run && run->finished;
}

static bool is_ready(const execution *x, const stage *st, const stage *but_for) {
  for (size_t i = 0; i < st->n_leaves; i++)
    for (size_t k = 0; k < st->leaves[i]->n_producers; k++) {
      const stage *producer = st->leaves[i]->producers[k];
      if (producer != but_for && !is_finished(x, producer)) return false;
    }
  return true;
}

/* Parts are numbered in the order of stages: one of the result waits for those before it. */
static bool has_number(const execution *x, const stage *st, uint32_t *first_part) {
  *first_part = 0;
  for (size_t i = 0; i < st->number; i++) {
    if (!x->planning->graph.stages[i]->final) continue;
    if (!x->stages[i]) return false;
    *first_part += x->stages[i]->n_tasks;
  }
  return true;
}

static void open_stage(execution *x, const stage *st, uint32_t first_part) {
  planned_stage *planned = &x->planning->stages[st->number];
  step *run = steps_add_stage(x, st, planned->plan);
  run->marks = &planned->marks;
  run->result = st->final;
  run->first_part = first_part;
  if (st->final && first_part + run->n_tasks > x->n_parts) x->n_parts = first_part + run->n_tasks;
  x->stages[st->number] = run;
  open_step(x, run);
}

static uint64_t bytes_read(const execution *x, const stage *st, const stage *but) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < st->n_leaves; i++)
    for (size_t k = 0; k < st->leaves[i]->n_producers; k++)
      if (st->leaves[i]->producers[k] != but)
        bytes += steps_bytes(x->stages[st->leaves[i]->producers[k]->number]);
  return bytes;
}

/* Few rows: what reads this stage can be done by the same task. */
static bool fuse(execution *x, stage *st, err *e) {
  planning *p = x->planning;
  stage *reader = st->final ? NULL : stages_only_reader(&p->graph, st);
  if (!reader || !is_ready(x, reader, st)) return false;
  uint64_t few =
      (uint64_t)x->s->conf->scheduler.planner.task_bytes * execution_single_worker_factor(x);
  uint64_t plans =
      spool_len(p->stages[st->number].plan) + spool_len(p->stages[reader->number].plan);
  if (bytes_read(x, st, NULL) + bytes_read(x, reader, st) >= few || plans > FUSED_PLAN_BYTES)
    return false;
  stages_fuse(reader, st, &p->arena);
  if (planning_rewrite(p, reader, e) != RC_OK) fail(x, e);
  return true;
}

/* What is left to do when all of the result is written. */
static rc last_step(execution *x, step **out, err *e) {
  bool needed = false;
  *out = NULL;
  if (query_writes_destination(x->q)) return commit_next(x, out, e);
  TRY(result_ask_heads(x, &needed, e));
  if (needed) *out = steps_add(x, STEP_HEADS, x->heads, 1);
  return RC_OK;
}

static void finish_result(execution *x) {
  step *last;
  err e = {0};
  rc r = last_step(x, &last, &e);
  if (r == RC_OK && last)
    open_step(x, last);
  else if (r == RC_OK)
    r = sched_end_query(x->s->sched, x->q->id, SCHED_QUERY_SUCCEEDED, clock_mono_ms(), &e);
  if (r != RC_OK) fail(x, &e);
}

/* An error of ours, which must not be a query that hangs. */
static void fail_stuck(execution *x) {
  err e = {0};
  ERR(&e, RC_INTERNAL, "none of the query's stages can run next; this is an error of Floe");
  fail(x, &e);
}

static void open_ready(execution *x) {
  bool all_finished = true, runs = false;
  for (size_t i = 0; i < x->planning->graph.n; i++) {
    stage *st = x->planning->graph.stages[i];
    uint32_t first_part = 0;
    bool opens = !st->within && !x->stages[i] && is_ready(x, st, NULL) &&
                 (!st->final || has_number(x, st, &first_part));
    err e = {0};
    if (opens && !fuse(x, st, &e)) open_stage(x, st, first_part);
    all_finished = all_finished && is_finished(x, st);
    runs = runs || (x->stages[i] && !x->stages[i]->finished);
  }
  if (all_finished)
    finish_result(x);
  else if (!runs)
    fail_stuck(x);
}

/* Files that this stage read are deleted, unless another one will read them. */
static void drop_inputs(execution *x, const stage *finished) {
  const stage_graph *g = &x->planning->graph;
  for (size_t i = 0; i < g->n; i++) {
    bool needed = !stages_reads(finished, g->stages[i]);
    for (size_t k = 0; !needed && k < g->n; k++)
      needed = stages_reads(g->stages[k], g->stages[i]) && !is_finished(x, g->stages[k]);
    if (!needed && x->stages[i]) shuffle_drop_step(x->stages[i]);
  }
}

static void on_answer(execution *x, const step *st) {
  const char *failed = st->tasks[0].head_error;
  if (st->kind == STEP_WHOLE || st->kind == STEP_COMMIT) {
    finish_result(x);
    return;
  }
  if (failed && st->kind == STEP_DESCRIBE)
    run_whole(x, failed); /* the query is wrong, and will say so itself */
  else if (failed)
    give_up_planning(x, failed);
  else if (st->kind == STEP_DESCRIBE)
    on_described(x);
  else
    think(x, planning_write);
}

void execution_stage_finished(execution *x, uint32_t number) {
  step *st = x->steps[number];
  if (st->given_up) return;
  st->finished = true;
  st->finished_us = clock_wall_us();
  if (!st->stage) {
    on_answer(x, st);
    return;
  }
  step *next = ranges_next(st);
  if (next) {
    open_step(x, next);
    return;
  }
  if (st->kind == STEP_DIVIDE) shuffle_drop_step(st->divided);
  drop_inputs(x, st->stage);
  if (revise_is_due(x, st)) think(x, planning_revise);
  if (!x->working) open_ready(x);
}

void execution_stages_given_up(execution *x) {
  const char *failure = failures_newest(&x->q->failures);
  if (!x->adopts)
    LOG_WARN("query starts again from its first stage", "query", uuid_print(x->q->id.u).s,
             "because", failure ? failure : "");
  for (size_t i = 0; i < x->n_steps; i++) {
    x->steps[i]->given_up = true;
    shuffle_drop_step(x->steps[i]);
  }
  commit_again(x);
  err e = {0};
  if (x->q->stream && stream_restart(x->q->stream, &e) != RC_OK) {
    fail(x, &e);
    return;
  }
  if (x->adopts) {
    x->adopts = false;
    x->stages = NULL;
    think(x, planning_adopt);
  } else if (x->stages) {
    begin_stages(x);
  } else if (x->whole) {
    open_step(x, add_whole(x));
  }
}

void execution_count(const execution *x, sched_query_info *out) {
  bool runs = !x->q->only_planned;
  out->total_stages = x->stages ? (uint32_t)x->planning->graph.n : runs;
  out->finished_stages = runs && !x->stages && out->state == SCHED_QUERY_SUCCEEDED;
  for (size_t i = 0; x->stages && i < x->planning->graph.n; i++)
    out->finished_stages += is_finished(x, x->planning->graph.stages[i]);
}

static uint64_t count_files(const Planning__DescribeResponse *d) {
  uint64_t n = 0;
  for (size_t i = 0; d && i < d->n_nodes; i++)
    if (d->nodes[i]->source) n += d->nodes[i]->source->n_files;
  return n;
}

query_totals execution_add_up(const execution *x) {
  query_totals sum = {.n_files = x->planning ? count_files(x->planning->description) : 0};
  for (size_t i = 0; i < x->n_steps; i++) {
    const step *st = x->steps[i];
    for (uint32_t k = 0; k < st->n_tasks; k++) {
      sum.run_us += st->tasks[k].run_us;
      if (!st->result && st->stage) sum.bytes_shuffled += st->tasks[k].bytes;
    }
  }
  return sum;
}

void execution_count_workers(const execution *x, uint32_t **out, uint32_t *n) {
  *n = x->stages ? (uint32_t)x->planning->graph.n : !x->q->only_planned;
  *out = mem_new(*n * sizeof **out);
  for (uint32_t i = 0; i < *n; i++) {
    const step *st = x->stages ? x->stages[i] : x->whole;
    (*out)[i] = st ? steps_count_workers(st) : 0;
  }
}
