/* plan/stages.h: a query as stages and the exchanges between them. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A stage is one plan, run by one or more tasks, each on its own part of the rows. Rows go from
 * stage to stage through files: the output of each task of a stage (`output`) is read by leaves of
 * later stages. What a plan becomes is decided in cut.c; what Polars would push through each
 * exchange is added by stages_take_capture. Numbers of stages are their places in the graph,
 * producers before their consumers. All memory is the arena's. */
#ifndef FLOE_PLAN_STAGES_H
#define FLOE_PLAN_STAGES_H

#include "plan/describe.h"
#include "plan/dsl.h"
#include "plan/expr.h"
#include "plan/rules.h"

#include <planning.pb-c.h>

typedef enum stage_tasks {
  STAGE_ONE,       /* one task sees all rows */
  STAGE_SOURCE,    /* each task reads its part of `source` */
  STAGE_PARTITIONS /* each task reads its partitions of the hash (or range) leaves */
} stage_tasks;

/* How a leaf reads the files of its producers. LEAF_PARTITION over producers that do not partition:
 * the files of each of their tasks are one partition, in the order of tasks. */
typedef enum leaf_read {
  LEAF_ALL,       /* one task reads everything, in the order of tasks: a gather */
  LEAF_BROADCAST, /* every task reads everything */
  LEAF_PARTITION  /* each task reads its partitions */
} leaf_read;

typedef struct stage stage;
typedef struct stage_leaf {
  uint32_t number; /* in the tree: dsl_leaf */
  leaf_read read;
  stage *const *producers; /* in the order of their rows; usually one */
  size_t n_producers;
  bool divisible;    /* LEAF_PARTITION: a partition may be divided between tasks, by files */
  plan_bytes schema; /* after capture: an empty frame of the columns that the stage wants */
} stage_leaf;

/* How a stage's rows are written. `n_keys` 0: one file for each task. */
typedef struct stage_output {
  plan_bytes *keys; /* hash of these; or, for a range, … */
  size_t n_keys;
  plan_bytes range; /* … one binary key, cut at boundaries that are found when the stage runs */
  bool ordered;     /* the writer keeps the order of rows */
} stage_output;

struct stage {
  uint32_t number;
  const dsl_node *tree;
  stage_tasks tasks;
  const described_node *source; /* STAGE_SOURCE: what is split, … */
  const dsl_node *source_node;  /* … and where it stands in the tree */
  const dsl_node *sink;         /* the client's, in final stages; NULL: it has none */
  stage_leaf **leaves;          /* leaves of the same number are the same object */
  size_t n_leaves;
  stage_output output;
  bool final;           /* writes the query's result */
  bool determinate;     /* run again, it gives the same rows */
  double rows;          /* estimate */
  const stage *within;  /* NULL; or it does not run itself: stages_fuse took it into that one */
  const dsl_node *node; /* of the client's plan: the stage has its rows; NULL: it is not known */
  uint32_t divisible;   /* while it is cut: see fragment */
  const char *why;      /* it ends here: "group by: partial sums by hash of (k)" */
};

typedef struct stage_graph {
  stage **stages;
  size_t n;
  uint32_t fired[N_PLAN_RULES]; /* how often the planner decided so */
  uint32_t halved;              /* the aggregates in halves: aggregate_rule_name */
} stage_graph;

typedef struct stage_limits { /* settings of the planner, see conf.h */
  uint32_t partitions;        /* of an exchange, at least 1 */
  double small_rows;          /* a query of fewer rows is not distributed */
  double replicate_rows;      /* sources of fewer rows are read by every task */
  double broadcast_rows;      /* a join side of fewer rows is broadcast; 0: never */
  bool pre_aggregation, partitioned_sort;
  bool lower_expressions; /* aggregates and windows among the columns of a select, too */
  bool user_sink;         /* the sink is the user's own: cut_sink */
} stage_limits;

/* RC_OK with graph->n == 1 and a stage of one task: not worth, or not possible, to distribute.
 * `d` describes what stands below the sink: stages_below_sink(root). */
const dsl_node *stages_below_sink(const dsl_node *root);
MUST_CHECK rc stages_cut(const dsl_node *root, const described *d, const stage_limits *limits,
                         arena *a, stage_graph *graph, err *e);

/* ---- pushdown ---- */
MUST_CHECK rc stages_capture_request(const stage_graph *g, const described *d,
                                     const uint8_t header[79], arena *a,
                                     Planning__CaptureRequest *out, err *e);
MUST_CHECK rc stages_take_capture(stage_graph *g, const Planning__CaptureResponse *response,
                                  arena *a, err *e);

/* Does it, or one of its leaves, read what `producer` writes? */
bool stages_leaf_reads(const stage_leaf *l, const stage *producer);
bool stages_reads(const stage *st, const stage *producer);

/* ---- real rows ---- */
typedef enum stage_surprise {
  SURPRISE_NONE,
  SURPRISE_MANY, /* too many for every task to have them all */
  SURPRISE_FEW   /* so few that every task should have them, and `reader`'s other rows not move */
} stage_surprise;
/* `st` has written so many rows: does it call for another plan of the stage that reads it? */
stage_surprise stages_surprise(const stage_graph *g, const stage *st, double rows,
                               const stage_limits *limits, const stage **reader);
/* Of the other rows that go to the same partitions as those of `st`, as was guessed. */
double stages_partner_rows(const stage *reader, const stage *st);

/* ---- few rows ---- */
/* The stage that alone, and by one leaf, reads what `producer` writes, if both can be one task;
 * else NULL. */
stage *stages_only_reader(const stage_graph *g, const stage *producer);
/* `producer`, which has not run, becomes a part of its only reader, which will be one task. */
void stages_fuse(stage *reader, stage *producer, arena *a);

/* ---- a task's plan ---- */

/* A task's part of the source: pieces of the written plan to be replaced. */
typedef struct stage_splice {
  uint64_t offset;
  uint32_t len;
  plan_bytes with;
} stage_splice;
enum { STAGE_MAX_SPLICES = 3 };
/* Where the splices go: filled in by stages_write, used by stages_bind. */
typedef struct stage_marks {
  dsl_mark marks[STAGE_MAX_SPLICES];
  size_t n;
  dsl_mark placeholder; /* in: the piece of the client's sink (data NULL: none), in final stages */
} stage_marks;
/* The plan that all tasks of a stage share, without a sink unless `final`. */
MUST_CHECK rc stages_write(const stage *st, const uint8_t header[79], arena *a, spool *out,
                           stage_marks *marks, err *e);
/* Most tasks that a STAGE_SOURCE stage can have, at most `wanted`. */
uint32_t stages_source_tasks(const stage *st, uint32_t wanted);
/* The splices of task `i` of `n`, in the order of their offsets. */
size_t stages_bind(const stage *st, const stage_marks *marks, uint32_t i, uint32_t n, arena *a,
                   stage_splice out[STAGE_MAX_SPLICES]);

/* ---- explain ---- */
void stages_print_text(const stage_graph *g, buf *out);
void stages_print_dot(const stage_graph *g, buf *out);
/* The stages that run, but for their plans (ExplainedStage.plan). */
void stages_explain_request(const stage_graph *g, arena *a, Planning__ExplainRequest *out);
void stages_print_reference(buf *out); /* for each kind of node, how it runs; for docs/reference */

#endif
