/* scheduler/execution.h: how a query runs: the steps it takes and what comes of them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A step is what sched/ calls a stage: tasks that may run at once. A query that is not distributed
 * takes one step (WHOLE). Another one asks Polars about its plan (DESCRIBE, CAPTURE), runs the
 * stages of its graph, each as soon as what it reads is finished (after some of them BOUNDARIES and
 * DIVIDE: ranges.c), and perhaps joins the first rows of the result's parts (HEADS). What was
 * written for a destination of the user's is named in the end, by each worker its own (COMMIT). A
 * query that is only planned ends with the question what becomes of its plan (EXPLAIN: plans.h).
 * When rows of earlier stages are lost, all stages run again; when they are far more or fewer than
 * was guessed, other stages may (revise.c).
 *
 * Lives from the submission to the end of its query; on the loop's thread, except for the pieces
 * of planning (planning.h). */
#ifndef FLOE_SCHEDULER_EXECUTION_H
#define FLOE_SCHEDULER_EXECUTION_H

#include "base/list.h"
#include "sched/sched.h"
#include "scheduler/planning.h"

#include <cluster.pb-c.h>
#include <uv.h>

enum { STEP_ROW_BYTES = 64 }; /* what a row in memory is taken for */

struct scheduler;
struct query;
struct query_totals;
struct peer;
typedef struct execution execution;

typedef enum step_kind {
  STEP_WHOLE,
  STEP_DESCRIBE,
  STEP_CAPTURE,
  STEP_STAGE,
  STEP_BOUNDARIES,
  STEP_DIVIDE,
  STEP_HEADS,
  STEP_COMMIT,
  STEP_EXPLAIN
} step_kind;

/* One life of a worker that has run tasks of the query. */
typedef struct step_host {
  list link; /* in execution.hosts */
  const char *instance_id, *incarnation, *shuffle_address, *shuffle_folder;
  bool wrote;     /* it may have files of the query */
  bool committed; /* or it was asked to */
} step_host;

typedef struct step_writer { /* an attempt that began to write the result */
  attempt_id attempt;
  const struct step_writer *next;
} step_writer;

typedef struct step_file { /* for later stages */
  uint32_t partition;
  uint64_t bytes;
  const char *name; /* as in Cluster__ShuffleFile */
} step_file;

typedef struct step_task {
  attempt_id attempt;                     /* the newest: only its answer counts */
  const step_host *host;                  /* where that runs */
  uint32_t first_partition, n_partitions; /* of its leaves: what it reads */
  uint32_t share, n_shares;        /* of a divided partition's files; n_shares 0: it has them all */
  const struct step_task *divided; /* of a DIVIDE: whose files it reads */
  bool done;                       /* with it, what follows is set */
  bool has_rows;
  uint64_t rows, bytes, run_us, cpu_us;
  step_file *files; /* ascending by partition */
  size_t n_files;
  const char **locations; /* what sinks of the user's own wrote … */
  plan_bytes *staged;     /* … and is to be committed; empty: it is there */
  size_t n_locations;
  plan_bytes *boundaries; /* of BOUNDARIES */
  size_t n_boundaries;
  buf head; /* the first rows of a result, an Arrow IPC file; owned */
  const char *head_error;
} step_task;

typedef struct step {
  execution *execution;
  step_kind kind;
  uint32_t number;    /* in sched/ */
  const stage *stage; /* STAGE, BOUNDARIES, DIVIDE */
  spool *plan;        /* lives as long as the execution */
  const stage_marks *marks;
  bool result;                  /* its rows are the query's result, and … */
  uint32_t first_part;          /* … its tasks write the parts from this one on */
  uint32_t partitions;          /* of its output; 0: one file for each task */
  uint32_t n_skewed;            /* partitions that it reads with several tasks */
  const step_host *commits_on;  /* COMMIT */
  struct step *divided;         /* BOUNDARIES, DIVIDE: whose files they read */
  const plan_bytes *boundaries; /* DIVIDE: one less than `partitions` */
  step_task *tasks;
  uint32_t n_tasks;
  int64_t opened_us, finished_us; /* wall clock; 0: not yet */
  bool finished, given_up, dropped;
} step;

struct execution {
  struct scheduler *s;
  struct query *q;
  arena arena; /* steps and what they brought */
  spool *plan; /* the client's, or what EXPLAIN asks where that is all; owned */
  planning *planning;
  const char *whole_because; /* it was asked to be distributed and is not; NULL: nothing to say */
  uint32_t partitions;
  step **steps; /* by their numbers; owned */
  size_t n_steps;
  step *whole;   /* the newest; NULL: there is none */
  step **stages; /* the newest step of each stage of the graph; NULL before it is open. NULL: no
                    graph yet */
  list hosts;
  const step_writer *writers;
  bool commits;      /* a worker was told to: from now on the query is not cancelled */
  uint32_t n_parts;  /* of the result, that were ever begun */
  size_t head_bytes; /* kept in tasks */
  spool *heads;      /* what HEADS is asked; owned */
  /* a piece of planning on the pool */
  uv_work_t work;
  rc (*piece)(planning *, err *);
  rc piece_rc;
  err piece_err;
  bool working, closed;
  bool adopts; /* stages are given up because a better graph is there */
  const char *revisions[PLANNING_MAX_REVISIONS]; /* why the query was planned again, n_revised … */
  size_t n_revised;                              /* … times; behind them one that is considered */
};

/* execution.c: takes `plan` and `p`. p NULL: it runs whole; `why` (copied) says why or is NULL. */
execution *execution_new(struct scheduler *s, struct query *q, spool *plan, planning *p,
                         const char *why);
sched_stage_spec execution_first(execution *x); /* for sched_submit */
void execution_stage_finished(execution *x, uint32_t number);
void execution_stages_given_up(execution *x);
void execution_count(const execution *x, sched_query_info *out); /* its stages */
struct query_totals execution_add_up(const execution *x);
/* For each stage; *out is the caller's to free. */
void execution_count_workers(const execution *x, uint32_t **out, uint32_t *n);
/* The query has ended: files for later stages are deleted, memory is released. */
void execution_close(execution *x); /* NULL is fine */

/* By how much more than otherwise one worker may do alone, as the client wishes; 0: nothing that
 * several could do. */
uint32_t execution_single_worker_factor(const execution *x);

/* revise.c: is another plan worth a try, now that this step has finished? What was counted so far
 * is noted in the planning. */
bool revise_is_due(execution *x, const step *finished);

/* steps.c */
step *steps_add(execution *x, step_kind kind, spool *plan, uint32_t n_tasks);
/* An attempt begins on this worker. */
void steps_begin(step *st, uint32_t task, attempt_id attempt, const struct peer *p);
bool steps_is_current(const step *st, uint32_t task, attempt_id attempt);
/* Takes what the current attempt brought. RC_INVALID: it is not what was asked for. */
MUST_CHECK rc steps_end(step *st, uint32_t task, const Cluster__RunTaskResponse *r, err *e);
/* A planning step whose question Polars could not answer has ended, too. */
void steps_fail(step *st, uint32_t task, const char *text);
uint64_t steps_bytes(const step *st); /* that its tasks wrote */
/* How many tasks are worth it for so many bytes: 1 … most. */
uint32_t steps_worth(const execution *x, uint64_t bytes, uint32_t most);
/* The tasks of a stage and which partitions they read. */
step *steps_add_stage(execution *x, const stage *st, spool *plan);
/* balance.c: those of a stage that reads partitions. */
step *balance_partitions(execution *x, const stage *st, spool *plan);
/* Of a leaf as a whole: those of the exchange, or the tasks that wrote it. Ranges that were not
 * worth dividing are one. */
uint32_t steps_count_partitions(const step *st, const stage_leaf *leaf);
typedef void steps_on_partition(void *arg, const step_task *writer, const step_file *file,
                                uint32_t partition);
/* All files of a leaf, in the order of rows. */
void steps_each_file(const step *st, const stage_leaf *leaf, steps_on_partition *on_file,
                     void *arg);
/* Each file that task number `task` reads through the leaf, in the order of rows. */
typedef void steps_on_file(void *arg, const step_task *writer, const step_file *file);
void steps_each_input(const step *st, uint32_t task, const stage_leaf *leaf, steps_on_file *on_file,
                      void *arg);
/* Each file that `task` of a DIVIDE, or the one of a BOUNDARIES, reads. */
void steps_each_divided(const step *st, uint32_t task, steps_on_file *on_file, void *arg);
uint32_t steps_count_workers(const step *st);
/* For each task the worker that has most of its input, or NULL. In the execution's arena. */
const char **steps_prefer(const step *st);

/* result.c: the parts of a result, in order, and its first rows. */
enum { RESULT_HEAD_ROWS = 10 };
void result_take_head(step *st, step_task *t, const Cluster__TaskOutput *o);
/* *needed: the first rows stand in several parts; x->heads is what HEADS must be asked. */
MUST_CHECK rc result_ask_heads(execution *x, bool *needed, err *e);
/* The tasks of a result, in the order of their rows. */
typedef struct result_parts { /* zeroed, but for x */
  const execution *x;
  size_t stage;  /* of the graph */
  uint32_t task; /* of its step */
} result_parts;
step_task *result_next(result_parts *p); /* NULL: no more */
/* The part of this number; NULL: not known yet. */
step_task *result_part(const execution *x, uint32_t number);
MUST_CHECK rc result_complete(execution *x, err *e); /* into the query */

/* commit.c: an attempt begins to write for a destination. */
void commit_note(execution *x, attempt_id attempt);
/* All of the result is accepted. *out: the next worker to be asked; NULL: all is committed. */
MUST_CHECK rc commit_next(execution *x, step **out, err *e);
void commit_again(execution *x); /* the result will be written anew */

/* ranges.c: another step is needed before the stage is finished that this one belongs to; NULL: no.
 * It is added and must be opened. */
step *ranges_next(step *finished);

/* request.c: everything of RunTask but the plan's bytes. */
MUST_CHECK rc request_build(const step *st, uint32_t task, buf *out, err *e);

/* shuffle.c: files that nobody will read any more. */
void shuffle_drop_step(step *st);
void shuffle_drop_query(execution *x);
void shuffle_drop_folder(const struct scheduler *s, const char *instance_id,
                         const char *incarnation, const char *folder);
/* The parts of a result that workers keep on disks of their own. */
void shuffle_drop_result(const struct scheduler *s, query_id id);
void shuffle_drop_attempt(const struct scheduler *s, const char *instance_id,
                          const char *incarnation, const char *folder, attempt_id attempt);

#endif
