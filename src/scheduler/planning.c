/* scheduler/planning.c: see planning.h. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/planning.h"

#include "base/mem.h"
#include "scheduler/plans.h"

#include <stdlib.h>
#include <string.h>

enum { WORTH_BYTES = 1024 * 1024 }; /* frames inside a plan: fewer are not worth a question */

/* ---- is it for us? ---- */

bool planning_is_for(const plan_envelope *envelope, const char **why) {
  if (!dsl_is_known(envelope->header)) {
    *why = "plans of this Polars version are not taken apart";
    return false;
  }
  switch (envelope->sink) {
  case PLAN_SINK_ANONYMOUS:
  case PLAN_SINK_FLIGHT:
  case PLAN_SINK_FILE:
  case PLAN_SINK_PARTITIONED:
  case PLAN_SINK_CALLBACK:
    return true;
  default:
    *why = "its sink is of a kind that is not taken apart";
    return false;
  }
}

/* Bounded, because inputs may be shared: whoever has so many is worth a look. */
static bool reads_files(const dsl_node *n, unsigned *left) {
  if (!*left || n->kind == DSL_SCAN) return true;
  (*left)--;
  for (size_t i = 0; i < dsl_n_inputs(n); i++)
    if (reads_files(dsl_input(n, i), left)) return true;
  return false;
}

static rc check_worth(const conf *c, const dsl_node *root, size_t plan_len, err *e) {
  unsigned left = DSL_MAX_NODES;
  if (!c->scheduler.planner.small_rows || plan_len >= WORTH_BYTES || reads_files(root, &left))
    return RC_OK;
  return ERR(e, RC_PRECONDITION, "its few rows come with the plan");
}

/* ---- questions and answers ---- */

static rc ask_packed(planning *p, const buf *question, err *e) {
  p->request = p->requests[p->n_requests++] = spool_new(p->temp_dir, PLAN_MEMORY_BYTES);
  return spool_append(p->request, question->data, question->len, e);
}

static rc ask(planning *p, const ProtobufCMessage *question, err *e) {
  buf packed = {0};
  rc r = buf_reserve(&packed, protobuf_c_message_get_packed_size(question), e);
  if (r == RC_OK) {
    packed.len = protobuf_c_message_pack(question, packed.data);
    r = ask_packed(p, &packed, e);
  }
  buf_deinit(&packed);
  return r;
}

rc planning_explain(planning *p, err *e) {
  plans_wish wish = {.as_text = p->as_text, .physical = true};
  buf packed = {0};
  rc r = plans_request(p->plan, p->runs_whole ? NULL : p, wish, &packed, e);
  if (r == RC_OK) r = ask_packed(p, &packed, e);
  buf_deinit(&packed);
  return r;
}

static rc undecodable(err *e) {
  return ERR(e, RC_INTERNAL, "Polars' answer about the plan does not decode");
}

/* ---- the three pieces ---- */

static rc parse(planning *p, const conf *c, bool streams, bool runs, err *e) {
  TRY(dsl_parse(p->plan.data, p->plan.len, &p->arena, &p->root, e));
  if (streams) p->root = stages_below_sink(p->root);
  TRY(check_worth(c, p->root, p->plan.len, e));
  Planning__DescribeRequest request;
  TRY(describe_request(stages_below_sink(p->root), p->header, &p->arena, &p->described, &request,
                       e));
  request.streamed = streams && runs;
  return ask(p, &request.base, e);
}

rc planning_new(const conf *c, const uint8_t *plan, size_t len, const plan_envelope *envelope,
                bool runs, planning **out, err *e) {
  planning *p = NEW(planning);
  p->plan = (plan_bytes){plan, len};
  p->temp_dir = mem_strdup(c->temp_dir);
  memcpy(p->header, envelope->header, sizeof p->header);
  if (envelope->sink == PLAN_SINK_ANONYMOUS)
    p->placeholder = (plan_bytes){plan + envelope->placeholder_offset, envelope->placeholder_len};
  if (envelope->n_sinks == 1)
    p->placeholder = (plan_bytes){plan + envelope->sinks[0].offset, envelope->sinks[0].len};
  rc r = parse(p, c, envelope->sink == PLAN_SINK_FLIGHT, runs, e);
  if (r != RC_OK) {
    planning_free(p);
    return r;
  }
  *out = p;
  return RC_OK;
}

static const char *text_of(planning *p, const stage_graph *g) {
  buf text = {0};
  stages_print_text(g, &text);
  const char *kept = arena_printf(&p->revising, "%s", buf_text(&text));
  buf_deinit(&text);
  return kept;
}

/* Nothing is asked of a graph without exchanges. */
static rc ask_capture(planning *p, err *e) {
  p->cut_text = text_of(p, &p->graph);
  if (!planning_asks(p)) return RC_OK;
  Planning__CaptureRequest request;
  TRY(stages_capture_request(&p->graph, &p->described, p->header, &p->arena, &request, e));
  request.has_optimization_flags = p->has_optimization_flags;
  request.optimization_flags = p->optimization_flags;
  return ask(p, &request.base, e);
}

rc planning_cut(planning *p, err *e) {
  p->description = planning__describe_response__unpack(NULL, p->answer.len,
                                                       (const uint8_t *)buf_text(&p->answer));
  if (!p->description) return undecodable(e);
  TRY(describe_take(&p->described, p->description, e));
  TRY(stages_cut(p->root, &p->described, &p->limits, &p->arena, &p->graph, e));
  return ask_capture(p, e);
}

rc planning_revise(planning *p, err *e) {
  p->n_revisions++;
  return stages_cut(p->root, &p->described, &p->limits, &p->revising, &p->revised, e);
}

bool planning_is_revised(const planning *p) {
  buf text = {0};
  stages_print_text(&p->revised, &text);
  bool same = strcmp(buf_text(&text), p->cut_text) == 0;
  buf_deinit(&text);
  return !same;
}

rc planning_adopt(planning *p, err *e) {
  planned_graph *older = ARENA_NEW(&p->arena, planned_graph, 1);
  *older = (planned_graph){p->graph, p->stages, p->older};
  p->older = older;
  p->graph = p->revised;
  p->stages = NULL;
  return ask_capture(p, e);
}

bool planning_is_whole(const planning *p) {
  return p->graph.n == 1 && p->graph.stages[0]->tasks == STAGE_ONE;
}

/* Nothing can be pushed through an exchange where there is none. */
bool planning_asks(const planning *p) {
  return p->graph.n > 1;
}

static rc write_stage(planning *p, const stage *st, planned_stage *out, err *e) {
  out->plan = spool_new(p->temp_dir, PLAN_MEMORY_BYTES);
  if (st->final) out->marks.placeholder.piece = p->placeholder;
  TRY(stages_write(st, p->header, &p->arena, out->plan, &out->marks, e));
  if (st->final && p->placeholder.data && out->marks.placeholder.offset == UINT64_MAX)
    return ERR(e, RC_INTERNAL, "stage %u lost the place where its result goes", st->number);
  return RC_OK;
}

static rc take_capture(planning *p, err *e) {
  planning__capture_response__free_unpacked(p->capture, NULL);
  p->capture = planning__capture_response__unpack(NULL, p->answer.len,
                                                  (const uint8_t *)buf_text(&p->answer));
  if (!p->capture) return undecodable(e);
  return stages_take_capture(&p->graph, p->capture, &p->arena, e);
}

rc planning_write(planning *p, err *e) {
  if (planning_asks(p)) TRY(take_capture(p, e));
  if (!p->leaf) {
    p->leaf = spool_new(p->temp_dir, PLAN_MEMORY_BYTES);
    TRY(dsl_write(dsl_leaf(&p->arena, 0), p->header, NULL, 0, p->leaf, e));
  }
  p->stages = ARENA_NEW(&p->arena, planned_stage, p->graph.n);
  for (size_t i = 0; i < p->graph.n; i++) TRY(write_stage(p, p->graph.stages[i], &p->stages[i], e));
  return RC_OK;
}

rc planning_rewrite(planning *p, const stage *st, err *e) {
  planned_stage *planned = &p->stages[st->number];
  spool_free(planned->plan);
  *planned = (planned_stage){0};
  return write_stage(p, st, planned, e);
}

static void free_plans(const planned_stage *stages, size_t n) {
  for (size_t i = 0; stages && i < n; i++) spool_free(stages[i].plan);
}

void planning_free(planning *p) {
  if (!p) return;
  free_plans(p->stages, p->graph.n);
  for (const planned_graph *g = p->older; g; g = g->older) free_plans(g->stages, g->graph.n);
  planning__describe_response__free_unpacked(p->description, NULL);
  planning__capture_response__free_unpacked(p->capture, NULL);
  for (size_t i = 0; i < p->n_requests; i++) spool_free(p->requests[i]);
  spool_free(p->leaf);
  buf_deinit(&p->answer);
  free(p->temp_dir);
  arena_deinit(&p->revising);
  arena_deinit(&p->arena);
  free(p);
}
