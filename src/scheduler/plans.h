/* scheduler/plans.h: what clients may see of a query's plan. SPDX-License-Identifier: Apache-2.0
 *
 * Polars knows it, and says it only when somebody asks (an EXPLAIN step): nothing is spent on plans
 * that nobody wants to see. A query that shall only be planned takes that step itself. For any
 * other one GetQueryPlans makes an inquiry: a query of ours, on no list, which takes the step for
 * it, also when it has ended; for that, the question is kept a while. */
#ifndef FLOE_SCHEDULER_PLANS_H
#define FLOE_SCHEDULER_PLANS_H

#include "base/buf.h"
#include "base/list.h"
#include "plan/pack.h"

#include <planning.pb-c.h>

struct scheduler;
struct query;
struct planning;
struct grpc_call;

typedef struct plans_wish {
  bool as_text;  /* else dot */
  bool physical; /* the stages, too */
} plans_wish;

/* A query's; zeroed: nothing is known. */
typedef struct query_plans {
  list link;   /* in scheduler.plans, while it weighs something */
  buf request; /* packed ExplainRequest, of a query that has ended */
  Planning__ExplainResponse *answer;
  struct query *inquiry; /* under way */
  struct query *subject; /* of an inquiry: whose plans it asks for; a reference */
} query_plans;
void plans_deinit(query_plans *p);

/* The question for an executor. `p` NULL: the query runs whole. */
MUST_CHECK rc plans_request(plan_bytes plan, const struct planning *p, plans_wish wish, buf *out,
                            err *e);
/* Polars' answer to it: RC_INVALID, it does not decode. */
MUST_CHECK rc plans_take(struct query *q, const uint8_t *answer, size_t len, err *e);

/* A query ends; its execution is still there. */
void plans_keep(struct scheduler *s, struct query *q);
void plans_forget(struct scheduler *s, struct query *q);
/* GetQueryPlans: answers, now or later. */
void plans_answer(struct grpc_call *call, struct scheduler *s, struct query *q);
void plans_inquiry_ended(struct scheduler *s, struct query *inquiry);

#endif
