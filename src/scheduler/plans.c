/* scheduler/plans.c: see plans.h. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plans.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "scheduler/internal.h"

#include <client.pb-c.h>
#include <stdlib.h>
#include <string.h>

enum {
  MOST_KEPT_BYTES = 64 * 1024 * 1024, /* of all queries together */
  MOST_BYTES = 8 * 1024 * 1024,       /* of a question that the loop may write */
  FIRST_OF_ALL = INT32_MAX, /* an inquiry's priority: it takes a moment, and somebody waits */
};

void plans_deinit(query_plans *p) {
  buf_deinit(&p->request);
  planning__explain_response__free_unpacked(p->answer, NULL);
  p->answer = NULL;
  query_unref(p->subject);
  p->subject = NULL;
}

/* ---- question and answer ---- */

static rc put_plan(ProtobufCBinaryData *out, spool *plan, err *e) {
  const uint8_t *data;
  TRY(spool_view(plan, &data, e));
  *out = (ProtobufCBinaryData){(size_t)spool_len(plan), (uint8_t *)(uintptr_t)data};
  return RC_OK;
}

static rc put_stages(Planning__ExplainRequest *m, const planning *p, arena *a, err *e) {
  stages_explain_request(&p->graph, a, m);
  for (size_t i = 0; i < m->n_stages; i++)
    TRY(put_plan(&m->stages[i]->plan, p->stages[m->stages[i]->number].plan, e));
  return RC_OK;
}

rc plans_request(plan_bytes plan, const planning *p, plans_wish wish, buf *out, err *e) {
  arena a = {0};
  Planning__ExplainRequest m;
  planning__explain_request__init(&m);
  m.plan = describe_binary(plan);
  m.dot = !wish.as_text;
  m.physical = wish.physical;
  rc r = p && wish.physical ? put_stages(&m, p, &a, e) : RC_OK;
  if (r == RC_OK) r = buf_reserve(out, planning__explain_request__get_packed_size(&m), e);
  if (r == RC_OK) out->len += planning__explain_request__pack(&m, out->data + out->len);
  arena_deinit(&a);
  return r;
}

rc plans_take(query *q, const uint8_t *answer, size_t len, err *e) {
  planning__explain_response__free_unpacked(q->plans.answer, NULL);
  q->plans.answer = planning__explain_response__unpack(NULL, len, answer);
  if (!q->plans.answer) return ERR(e, RC_INVALID, "Polars' answer about the plan does not decode");
  return RC_OK;
}

/* ---- what is kept ---- */

static size_t weigh(const query *q) {
  const Planning__ExplainResponse *r = q->plans.answer;
  return q->plans.request.len +
         (r ? strlen(r->ir_plan) + r->stage_graph.len + strlen(r->physical_plan) : 0);
}

void plans_forget(scheduler *s, query *q) {
  list_remove(&q->plans.link);
  s->plans_bytes -= weigh(q);
  plans_deinit(&q->plans);
}

static void keep(scheduler *s, query *q) {
  s->plans_bytes += weigh(q);
  list_push_back(&s->plans, &q->plans.link);
  LIST_EACH (&s->plans, it, next) {
    if (s->plans_bytes <= MOST_KEPT_BYTES) break;
    plans_forget(s, LIST_ENTRY(it, query, plans.link));
  }
}

typedef enum standing {
  PLANNED,
  NOT_YET,
  IN_PART /* the client's plan is all that there is */
} standing;

static standing standing_of(const execution *x) {
  if (!x->planning) return PLANNED;
  if (x->working) return x->q->times.ended_us ? IN_PART : NOT_YET;
  if (x->stages || x->whole) return PLANNED;
  return x->q->times.ended_us ? IN_PART : NOT_YET;
}

static uint64_t bytes_of(const execution *x, bool physical) {
  uint64_t bytes = spool_len(x->plan);
  for (size_t i = 0; physical && x->stages && i < x->planning->graph.n; i++)
    if (!x->planning->graph.stages[i]->within) bytes += spool_len(x->planning->stages[i].plan);
  return bytes;
}

/* The question about a query that runs, or has just ended. */
static rc write_request(const execution *x, buf *out, err *e) {
  standing at = standing_of(x);
  if (at == NOT_YET) return ERR(e, RC_UNAVAILABLE, "the query is not planned yet");
  plans_wish wish = {.as_text = x->q->settings.plan_as_text, .physical = at == PLANNED};
  if (bytes_of(x, wish.physical) > MOST_BYTES)
    return ERR(e, RC_PRECONDITION,
               "plans of more than 8 MiB are shown by .explain() only, not of queries that run");
  plan_bytes plan = {.len = (size_t)spool_len(x->plan)};
  TRY(spool_view(x->plan, &plan.data, e));
  return plans_request(plan, x->stages ? x->planning : NULL, wish, out, e);
}

void plans_keep(scheduler *s, query *q) {
  if (!q->only_planned && write_request(q->execution, &q->plans.request, NULL) != RC_OK)
    buf_deinit(&q->plans.request);
  if (!q->plans.subject && weigh(q)) keep(s, q);
}

/* ---- GetQueryPlans ---- */

/* 0.12 draws the stages by itself; clients before it read texts. */
static void send_plans(grpc_call *call, const query *q, const Planning__ExplainResponse *r) {
  bool as_text = q->settings.plan_as_text;
  bool physical = r && r->stage_graph.len;
  Client__QueryPlansV1 texts;
  client__query_plans_v1__init(&texts);
  texts.format = as_text ? CLIENT__PLAN_FORMAT__PF_EXPLAIN : CLIENT__PLAN_FORMAT__PF_DOT;
  Client__ClientQueryPlans plans;
  client__client_query_plans__init(&plans);
  plans.format = texts.format;
  if (r) {
    texts.opt_ir_plan_case = CLIENT__QUERY_PLANS_V1__OPT_IR_PLAN_IR_PLAN;
    plans.opt_ir_plan_case = CLIENT__CLIENT_QUERY_PLANS__OPT_IR_PLAN_IR_PLAN;
    texts.ir_plan = plans.ir_plan = r->ir_plan;
  }
  if (physical) {
    texts.opt_phys_plan_case = CLIENT__QUERY_PLANS_V1__OPT_PHYS_PLAN_PHYS_PLAN;
    texts.phys_plan = r->physical_plan;
    plans.opt_stage_graph_case = CLIENT__CLIENT_QUERY_PLANS__OPT_STAGE_GRAPH_STAGE_GRAPH;
    plans.stage_graph = r->stage_graph;
  }
  Client__GetQueryPlansResponse response;
  client__get_query_plans_response__init(&response);
  response.plans_v1 = &texts;
  response.plans = &plans;
  answer_message(call, &response.base);
}

static query *new_inquiry(scheduler *s, query *subject, spool *request) {
  query *q = query_new((query_id){uuid_random()});
  q->user = mem_strdup(subject->user);
  q->polars_version = mem_strdup(subject->polars_version);
  q->settings = subject->settings;
  q->settings.priority = FIRST_OF_ALL;
  q->settings.min_workers = q->settings.n_retries = 0;
  q->only_planned = true;
  q->format = mem_strdup("");
  q->python_minor = subject->python_minor;
  q->python_micro = subject->python_micro;
  q->times.submitted_us = clock_wall_us();
  memcpy(q->plan_header, subject->plan_header, sizeof q->plan_header);
  q->plans.subject = query_ref(subject);
  q->execution = execution_new(s, q, request, NULL, NULL);
  return q;
}

static rc begin_inquiry(scheduler *s, query *subject, const buf *question, err *e) {
  spool *request = spool_new(s->conf->temp_dir, PLAN_MEMORY_BYTES);
  rc r = spool_append(request, question->data, question->len, e);
  if (r != RC_OK) {
    spool_free(request);
    return r;
  }
  query *q = new_inquiry(s, subject, request);
  r = submission_enqueue(s, q, e);
  if (r != RC_OK) {
    execution_close(q->execution);
    query_unref(q);
    return ERR(e, RC_PRECONDITION, "%s", e->text); /* RC_UNAVAILABLE would be asked again */
  }
  map_put(&s->queries, &q->id, sizeof q->id, q);
  subject->plans.inquiry = q;
  return RC_OK;
}

static rc inquire(scheduler *s, query *q, err *e) {
  if (q->times.ended_us && !q->plans.request.len)
    return ERR(
        e, RC_PRECONDITION,
        "the plan of this query is no longer kept: it was large, or many queries ended since");
  buf question = {0};
  rc r = q->times.ended_us ? RC_OK : write_request(q->execution, &question, e);
  if (r == RC_OK) r = begin_inquiry(s, q, question.len ? &question : &q->plans.request, e);
  buf_deinit(&question);
  return r;
}

void plans_answer(grpc_call *call, scheduler *s, query *q) {
  err e = {0};
  rc r = RC_OK;
  if (q->plans.answer || (q->only_planned && q->times.ended_us)) {
    send_plans(call, q, q->plans.answer);
    return;
  }
  if (q->only_planned)
    r = ERR(&e, RC_UNAVAILABLE, "the query is not planned yet");
  else if (!q->plans.inquiry)
    r = inquire(s, q, &e);
  if (r != RC_OK) {
    grpc_call_finish(call, r, e.text);
    return;
  }
  query_waiter_add(q->plans.inquiry, call);
  scheduler_run_actions(s);
}

/* What is known of a query that has ended stays so. */
static void learn(scheduler *s, query *subject, query *inquiry) {
  if (!subject->plans.request.len || subject->times.ended_us > inquiry->times.submitted_us) return;
  plans_forget(s, subject);
  subject->plans.answer = inquiry->plans.answer;
  inquiry->plans.answer = NULL;
  keep(s, subject);
}

void plans_inquiry_ended(scheduler *s, query *inquiry) {
  query *subject = inquiry->plans.subject;
  const Planning__ExplainResponse *r = inquiry->plans.answer;
  const char *newest = failures_newest(&inquiry->failures);
  char *failure = mem_printf("the plan cannot be shown: %s", newest ? newest : "it was given up");
  subject->plans.inquiry = NULL;
  LIST_EACH (&inquiry->waiters, it, next) {
    query_waiter *w = LIST_ENTRY(it, query_waiter, link);
    list_remove(&w->link);
    if (r)
      send_plans(w->call, subject, r); /* frees w through the end of the call */
    else
      grpc_call_finish(w->call, RC_PRECONDITION, failure);
  }
  free(failure);
  if (r) learn(s, subject, inquiry);
  plans_deinit(&inquiry->plans);
}
