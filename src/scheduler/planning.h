/* scheduler/planning.h: from a client's plan to the plans of its stages. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Three pieces of work with a question to Polars between them: parse → describe → cut → capture →
 * write. When stages then have far more or fewer rows than was guessed: revise → adopt → capture →
 * write. The pieces are heavy for large plans, so they run on libuv's pool; a planning is touched
 * by one thread at a time. What goes wrong here is no fault of the query: it runs whole then, and
 * the text says why. */
#ifndef FLOE_SCHEDULER_PLANNING_H
#define FLOE_SCHEDULER_PLANNING_H

#include "conf/conf.h"
#include "plan/envelope.h"
#include "plan/stages.h"

typedef struct planned_stage {
  spool *plan; /* what all its tasks share */
  stage_marks marks;
} planned_stage;

/* The plans of a graph, kept when another one takes its place: attempts may still read them. */
typedef struct planned_graph {
  stage_graph graph;
  planned_stage *stages; /* for each of graph.stages; NULL before planning_write */
  struct planned_graph *older;
} planned_graph;

enum {
  PLAN_MEMORY_BYTES =
      64 * 1024, /* larger plans and questions are files, and are read on the pool */
  PLANNING_MAX_REVISIONS = 2,
};

typedef struct planning {
  arena arena; /* all below lives in it, but the answers and the spools */
  uint8_t header[PLAN_HEADER_BYTES];
  char *temp_dir;
  plan_bytes plan;        /* the client's; the tree is a view of it */
  plan_bytes placeholder; /* or the path of the one destination */
  const dsl_node *root;
  described described;
  Planning__DescribeResponse *description;
  Planning__CaptureResponse *capture;
  buf answer;                                  /* in: what Polars said to `request` */
  spool *requests[3 + PLANNING_MAX_REVISIONS]; /* kept, like graphs */
  size_t n_requests;
  spool *request;      /* out: the next question; the newest of them */
  stage_limits limits; /* in, before planning_cut, as are the flags: Polars' optimizations */
  bool has_optimization_flags;
  uint64_t optimization_flags;
  stage_graph graph;
  planned_stage *stages; /* for each of graph.stages */
  planned_graph *older;
  const char *cut_text; /* the graph, before anything was pushed through it */
  arena revising;       /* of `revised`: made while the loop still works with `graph` */
  stage_graph revised;
  unsigned n_revisions;
  bool runs_whole,
      as_text; /* in, before planning_explain: no stages; the form that is wished for */
  spool *leaf; /* a plan that is leaf 0 alone */
} planning;

/* May a plan of this kind be distributed at all? If not, *why says what prevents it. */
bool planning_is_for(const plan_envelope *envelope, const char **why);
/* `plan` must stay as it is until planning_free. Not `runs`: it is only planned. RC_EXHAUSTED,
 * RC_PRECONDITION: not for us. */
MUST_CHECK rc planning_new(const conf *c, const uint8_t *plan, size_t len,
                           const plan_envelope *envelope, bool runs, planning **out, err *e);
MUST_CHECK rc planning_cut(planning *p, err *e);
bool planning_is_whole(const planning *p); /* one stage of one task: nothing to distribute */
bool planning_asks(const planning *p);     /* is there another question? */
MUST_CHECK rc planning_write(planning *p, err *e);
/* A stage has changed, and none of its tasks has begun. */
MUST_CHECK rc planning_rewrite(planning *p, const stage *st, err *e);
/* Cuts again, with the rows that were counted (describe_count). planning_is_revised: it came out
 * otherwise, and planning_adopt may put it in place of the graph, of which nothing runs any more.
 */
MUST_CHECK rc planning_revise(planning *p, err *e);
bool planning_is_revised(const planning *p);
MUST_CHECK rc planning_adopt(planning *p, err *e);
/* Instead of running it. */
MUST_CHECK rc planning_explain(planning *p, err *e);
void planning_free(planning *p); /* NULL is fine */

#endif
