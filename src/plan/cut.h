/* plan/cut.h: what the files that cut a plan share. SPDX-License-Identifier: Apache-2.0
 *
 * A fragment is a piece of a plan under construction, and what is known of where its rows are. The
 * rule of a node makes the fragments of its inputs, moves rows if it must, and puts the node on
 * top. Private to src/plan and its tests. */
#ifndef FLOE_PLAN_CUT_H
#define FLOE_PLAN_CUT_H

#include "plan/stages.h"

enum { CUT_MAX_BRANCHES = 32 };

typedef enum spread {
  SPREAD_REPLICATED, /* every task can make all of its rows, cheaply and the same everywhere */
  SPREAD_PARTS,      /* each task has a part of the rows */
  SPREAD_ONE         /* one task must make it */
} spread;

/* What is left of the order that local Polars promises. */
typedef enum order {
  ORDER_LOST,
  ORDER_RELATIVE, /* the rows of each task come in the local order */
  ORDER_TOTAL,    /* … and so do the tasks, one after the other */
  ORDER_FREE      /* local Polars promises none: any order is right */
} order;

/* Columns: rows that agree in all of them are in the same task, and in the same numbered
 * partition as the rows of any exchange by hash of such columns. */
typedef struct key_set {
  expr_name *names;
  size_t n;
} key_set;

/* One plan of a fragment, run by its own tasks. A union is a fragment of several. */
typedef struct branch {
  const dsl_node *tree;
  stage_tasks tasks;            /* with SPREAD_PARTS */
  const described_node *source; /* STAGE_SOURCE: what is split … */
  const dsl_node *source_node;  /* … and the node that stands for it in the tree */
} branch;

typedef struct fragment {
  branch *branches;
  size_t n_branches;
  spread spread;
  order order;
  key_set *hashed; /* it is partitioned by each of these */
  size_t n_hashed;
  double rows, selectivity; /* estimates: rows, and the part of its sources' rows */
  bool determinate;
  const dsl_node *node; /* of the client's plan, if its rows are those of that node */
  /* A leaf, by its number + 1, whose rows of one partition may go to several tasks, each of which
   * has the other leaves' rows of it all; 0: there is none. Whatever is put on top of a fragment
   * ends this, but for fragment_by_parts. */
  uint32_t divisible;
} fragment;

/* A condition of a filter above, on its way down to the source whose rows it keeps: for estimates
 * only, Polars moves the filter itself. */
typedef struct condition {
  expr_name *columns;
  size_t n;
  double keeps;
  bool counted;
  unsigned hidden; /* by so many group_bys: it is about what they compute */
} condition;

typedef struct cut {
  arena *a;
  const described *d;
  const stage_limits *limits;
  stage_graph *g;
  stage_leaf **leaves; /* by number, while the plan is cut */
  size_t n_leaves;
  uint32_t n_uses;  /* of leaves, in the end */
  condition *above; /* of the filters above, a stack */
  size_t n_above;
  struct shared *shared; /* sub-plans that stand in the plan more than once */
  size_t n_shared;
  err *e;
} cut;

/* ---- cut.c ---- */
void cut_decided(cut *c, plan_rule rule);
/* The rows of `n` in at least the order `need`. */
MUST_CHECK rc cut_node(cut *c, const dsl_node *n, order need, fragment *out);
/* Puts `n`, which has one input, on top of every branch. */
fragment fragment_on_top(cut *c, fragment f, const dsl_node *n);
/* The same for nodes that are made: wrap makes one above a tree. */
typedef const dsl_node *fragment_wrap(cut *c, const void *arg, const dsl_node *tree);
fragment fragment_wrapped(cut *c, fragment f, fragment_wrap *wrap, const void *arg);
/* For what may work on any part of a task's rows alone: the fragment stays divisible. */
fragment fragment_by_parts(cut *c, fragment f, fragment_wrap *wrap, const void *arg);
/* Its columns are others now. */
void fragment_forget_keys(fragment *f);
/* On one task from here on, for a node that needs all rows. */
fragment fragment_on_one(cut *c, fragment f, const dsl_node *n);
/* False: one of the keys is more than a column. */
bool cut_plain_keys(cut *c, const plan_bytes *keys, size_t n, key_set *names);
bool cut_has_name(const key_set *set, expr_name name);
/* Is it partitioned so that rows which agree in `keys`, or in some of them, are together? */
bool fragment_is_hashed_by(const fragment *f, const key_set *keys);
/* The list with its selectors expanded. False: one cannot be. `excluded`: names that a selector
 * does not stand for. */
bool cut_expand(cut *c, const described_node *dn, plan_bytes list, const key_set *excluded,
                plan_bytes **out, size_t *n);

/* Did Polars say that rows can be told apart by the hash of this list of expressions? A nil list:
 * of all columns. */
bool cut_hashable(cut *c, const described_node *dn, plan_bytes list);

/* ---- cut_aggregate.c, cut_join.c: rules ---- */
MUST_CHECK rc cut_group_by(cut *c, const dsl_node *n, order need, fragment *out);
MUST_CHECK rc cut_distinct(cut *c, const dsl_node *n, order need, fragment *out);
/* A select of aggregates only. *done false: it is none, or cannot be halved. */
MUST_CHECK rc cut_aggregates(cut *c, const dsl_node *n, fragment *out, bool *done);
MUST_CHECK rc cut_join(cut *c, const dsl_node *n, order need, fragment *out);
/* Inputs gathered, the node on one task. */
MUST_CHECK rc cut_on_one(cut *c, const dsl_node *n, fragment *out);
/* The same when the inputs are planned already, in at least the order that is needed. */
void cut_inputs_on_one(cut *c, const dsl_node *n, const fragment *inputs, fragment *out);

/* ---- cut_source.c ---- */
void cut_source(cut *c, const dsl_node *n, fragment *out);

/* ---- cut_sink.c ---- */
/* The rows where a destination of the user's is written. sink NULL: it is not known. */
fragment cut_sink(cut *c, const dsl_node *sink, fragment f);

/* ---- revise.c ---- */
/* In rows moved: to build a hash table of a row costs as much as to move some. */
double cut_cost_everywhere(const stage_limits *limits, double rows);
bool cut_fits_everywhere(const stage_limits *limits, double rows);
/* Do the rows that need not move, `others`, pay for sending `rows` everywhere? */
bool cut_pays_everywhere(const stage_limits *limits, double rows, double others);

/* ---- exchange.c ---- */
/* All rows in one task, in their order if they have one. */
fragment exchange_gather(cut *c, fragment f, const char *why);
/* By hash of `keys`, P partitions; in relative order if `ordered`. */
fragment exchange_hash(cut *c, fragment f, const plan_bytes *keys, size_t n, bool ordered,
                       const char *why);
/* By ranges of a binary key: the tasks' rows, one task after the other, ascend by it. Only of a
 * fragment with one branch: the ranges are those of one stage. */
fragment exchange_range(cut *c, fragment f, plan_bytes key, bool ordered, const char *why);
/* All rows in every task. */
fragment exchange_broadcast(cut *c, fragment f, const char *why);
/* Its rows are written once, for several readers. */
fragment exchange_materialise(cut *c, fragment f, const char *why);
bool cut_same_tree(const dsl_node *x, const dsl_node *y);
/* The last stages of the query. */
void exchange_finish(cut *c, fragment f, const dsl_node *sink);

/* ---- estimate.c ---- */
/* Its conditions wait for a source that has their columns … */
void estimate_push_filter(cut *c, plan_bytes predicate);
void estimate_source(cut *c, const described_node *dn, fragment *f);
/* Below a group_by (and no more: `below` false) only conditions on its keys mean the same. */
void estimate_group_by(cut *c, const key_set *keys, bool below);
/* … and those beyond the first `n` that found none count where the filter stands. */
void estimate_pop_filter(cut *c, size_t n, fragment *f);

#endif
