/* scheduler/explain.c: how a query is cut into stages, and what became of each, as JSON.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Times are milliseconds since the query was submitted. While it runs, what is not known yet is
 * null. */
#include "scheduler/internal.h"

#include <jansson.h>

static json_t *ms_since(const execution *x, int64_t us) {
  return us ? json_real((double)(us - x->q->times.submitted_us) / 1000) : json_null();
}

static json_t *ms_between(int64_t from_us, int64_t to_us) {
  return from_us && to_us ? json_real((double)(to_us - from_us) / 1000) : json_null();
}

/* From the query's arrival to its first step of work. */
static json_t *planning_json(const execution *x) {
  if (!x->planning) return json_null();
  static const step none;
  const step *describe = x->steps[0];
  const step *capture = x->n_steps > 1 && x->steps[1]->kind == STEP_CAPTURE ? x->steps[1] : &none;
  int64_t arrived = x->q->times.submitted_us, planned = x->q->times.planned_us;
  int64_t cut = capture->opened_us ? capture->opened_us : planned;
  return json_pack(
      "{s:o, s:o, s:o, s:o, s:o, s:o}", "parse_ms", ms_between(arrived, describe->opened_us),
      "describe_ms", ms_between(describe->opened_us, describe->finished_us), "cut_ms",
      ms_between(describe->finished_us, cut), "capture_ms",
      ms_between(capture->opened_us, capture->finished_us), "write_ms",
      ms_between(capture->finished_us, planned), "total_ms", ms_between(arrived, planned));
}

static const char *tasks_name(stage_tasks tasks) {
  switch (tasks) {
  case STAGE_ONE:
    return "one";
  case STAGE_SOURCE:
    return "source";
  case STAGE_PARTITIONS:
    return "partitions";
  }
  return "";
}

static const char *read_name(leaf_read read) {
  switch (read) {
  case LEAF_ALL:
    return "all";
  case LEAF_BROADCAST:
    return "broadcast";
  case LEAF_PARTITION:
    return "partition";
  }
  return "";
}

static json_t *inputs(const stage *st) {
  json_t *items = json_array();
  for (size_t i = 0; i < st->n_leaves; i++) {
    json_t *from = json_array();
    for (size_t k = 0; k < st->leaves[i]->n_producers; k++)
      json_array_append_new(from, json_integer(st->leaves[i]->producers[k]->number));
    json_array_append_new(
        items, json_pack("{s:s, s:o}", "read", read_name(st->leaves[i]->read), "stages", from));
  }
  return items;
}

/* What all tasks together have done so far. */
static json_t *totals(const step *st) {
  uint64_t rows = 0, bytes = 0, run_us = 0, cpu_us = 0;
  uint32_t done = 0;
  for (uint32_t i = 0; i < st->n_tasks; i++) {
    const step_task *t = &st->tasks[i];
    if (!t->done) continue;
    done++;
    rows += t->rows;
    bytes += t->bytes;
    run_us += t->run_us;
    cpu_us += t->cpu_us;
  }
  return json_pack("{s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:o, s:o}", "tasks", (int)st->n_tasks,
                   "tasks_done", (int)done, "skewed_partitions", (int)st->n_skewed, "workers",
                   (int)steps_count_workers(st), "rows", (json_int_t)rows, "bytes",
                   (json_int_t)bytes, "run_us", (json_int_t)run_us, "cpu_us", (json_int_t)cpu_us,
                   "opened_ms", ms_since(st->execution, st->opened_us), "finished_ms",
                   ms_since(st->execution, st->finished_us));
}

static json_t *stage_json(const execution *x, const stage *st) {
  const step *run = x->stages[st->number];
  return json_pack("{s:i, s:s, s:s, s:o, s:b, s:b, s:b, s:f, s:o}", "stage", (int)st->number, "why",
                   st->why ? st->why : "", "split", tasks_name(st->tasks), "inputs", inputs(st),
                   "partitioned", st->output.n_keys || st->output.range.data, "final", st->final,
                   "determinate", st->determinate, "estimated_rows", st->rows, "run",
                   run ? totals(run) : json_null());
}

static const char *step_name(step_kind kind) {
  switch (kind) {
  case STEP_WHOLE:
    return "whole";
  case STEP_DESCRIBE:
    return "describe";
  case STEP_CAPTURE:
    return "capture";
  case STEP_STAGE:
    return "stage";
  case STEP_BOUNDARIES:
    return "boundaries";
  case STEP_DIVIDE:
    return "divide";
  case STEP_HEADS:
    return "heads";
  case STEP_COMMIT:
    return "commit";
  case STEP_EXPLAIN:
    return "explain";
  }
  return "";
}

/* Everything that ran, in the order of its beginning; a stage twice if it had to run again. */
static json_t *steps(const execution *x) {
  json_t *items = json_array();
  for (size_t i = 0; i < x->n_steps; i++) {
    const step *st = x->steps[i];
    json_array_append_new(items,
                          json_pack("{s:s, s:o, s:b, s:o}", "kind", step_name(st->kind), "stage",
                                    st->stage ? json_integer(st->stage->number) : json_null(),
                                    "given_up", st->given_up, "run", totals(st)));
  }
  return items;
}

static void put_graph(const execution *x, json_t *out) {
  json_t *stages = json_array();
  for (size_t i = 0; i < x->planning->graph.n; i++)
    json_array_append_new(stages, stage_json(x, x->planning->graph.stages[i]));
  json_object_set_new(out, "stages", stages);
  buf text = {0}, dot = {0};
  stages_print_text(&x->planning->graph, &text);
  stages_print_dot(&x->planning->graph, &dot);
  json_object_set_new(out, "text", json_string(buf_text(&text)));
  json_object_set_new(out, "dot", json_string(buf_text(&dot)));
  buf_deinit(&text);
  buf_deinit(&dot);
}

static json_t *revisions(const execution *x) {
  json_t *items = json_array();
  for (size_t i = 0; i < x->n_revised; i++)
    json_array_append_new(items, json_string(x->revisions[i]));
  return items;
}

char *explain_stages(const execution *x) {
  json_t *out = json_pack(
      "{s:i, s:o, s:o, s:o, s:o}", "partitions", (int)x->partitions, "whole_because",
      x->whole_because ? json_string(x->whole_because) : json_null(), "planned_again_because",
      revisions(x), "planning", planning_json(x), "steps", steps(x));
  if (x->stages) put_graph(x, out);
  char *text = json_dumps(out, JSON_COMPACT);
  json_decref(out);
  return text;
}
