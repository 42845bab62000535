/* sched/sched.h: the scheduler's mind, without its body. SPDX-License-Identifier: Apache-2.0
 *
 * Events go in (a query came, a worker joined, an attempt ended, time passed), actions come out
 * (start this attempt on that worker, stop it, this query is over). No socket, no clock, no
 * thread: `now` is milliseconds of a clock that never jumps. The same events give the same
 * actions, so a cluster of 1,000 workers is a test that runs in milliseconds.
 *
 * A query has stages, a stage has tasks, a task has attempts. Each has a state; each state is
 * changed by one function over one table (sched/states.h). An attempt that is no longer the
 * current one of its task changes nothing.
 *
 * Lost infrastructure (executor, worker, connection) is retried under `max_losses`, elsewhere if
 * there is an elsewhere; an error of the query itself is repeated only as often as the client
 * asked (`n_retries`). A task that writes the user's own destination is started again only when
 * its former worker surely has stopped: it said so, or its lease is over. */
#ifndef FLOE_SCHED_SCHED_H
#define FLOE_SCHED_SCHED_H

#include "base/err.h"
#include "base/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sched sched;

typedef struct sched_config {
  uint32_t min_workers; /* no task starts before so many workers have joined (once) */
  uint32_t
      max_losses;    /* attempts of one task that may be lost before its query fails; 1 retry = 2 */
  int64_t lease_ms;  /* a worker silent for so long is lost, and has stopped by itself */
  size_t max_queued; /* queries not yet ended; more are refused with RC_EXHAUSTED */
  size_t max_finished;                  /* ended queries remembered; the oldest goes first */
  attempt_id (*new_attempt)(void *arg); /* how ids are made: random, or counted in tests */
  void *arg;
} sched_config;

typedef struct sched_runtime {
  char polars_version[24];
  uint32_t index_bits;
  char python_version[16]; /* "3.11.2" */
  uint8_t plan_header[79];
  char fingerprint[68];
  char commit[44]; /* of Polars; only to be shown */
} sched_runtime;

typedef struct sched_worker_spec {
  const char *instance_id, *incarnation; /* copied */
  uint32_t slots;
  const sched_runtime *runtimes; /* copied */
  size_t n_runtimes;
} sched_worker_spec;

typedef struct sched_query_spec {
  query_id id;
  int32_t priority; /* higher first; of equal ones, that which runs the fewest tasks */
  uint32_t n_retries;
  const char *polars_version;     /* what the client said; for texts; copied */
  const uint8_t *plan_header;     /* 79 bytes: the runtime must have the same; copied */
  int python_minor, python_micro; /* -1: any */
  uint32_t max_workers;           /* tasks run on no more workers at once; 0: any number */
  uint32_t min_workers; /* no task starts before so many fitting workers are there, once */
} sched_query_spec;

/* A stage is opened when all that it reads is complete: its tasks can start at once. Where there
 * are several final stages, each must be opened in answer to the STAGE_FINISHED that completes its
 * input; a driver that needs longer has no final stages, and says sched_end_query. */
typedef struct sched_stage_spec {
  uint32_t n_tasks; /* at least 1 */
  bool final;       /* with its end, when no other stage is open then, the query has succeeded */
  bool writes_destination; /* the user's own: fence before a retry */
  /* NULL, or for each task an instance_id or NULL: it goes there if a slot is free, else anywhere
   */
  const char *const *prefer;
  bool pinned; /* it waits for a slot there, as long as that worker is not lost */
} sched_stage_spec;

typedef enum sched_outcome { /* how an attempt ended */
                             SCHED_DONE,
                             SCHED_QUERY_ERROR, /* the query's own fault */
                             SCHED_LOST,        /* executor or worker side lost; the worker itself
                                                   answered, so it has stopped */
                             SCHED_UNREACHABLE, /* the worker did not answer: it may still run */
                             SCHED_NOT_BEGUN,   /* the worker was never reached: no loss */
                             SCHED_INPUT_LOST,  /* the rows of earlier stages are gone: its query's
                                                   stages are given up, see there */
                             SCHED_STOPPED      /* by our own STOP, and the worker said so. A call
                                                   that was merely broken off is UNREACHABLE, unless
                                                   its query has ended or its stage writes no
                                                   destination: nobody minds if it still runs */
} sched_outcome;

/* name, is it an end? In the order of the official QueryStatus 1..5. */
#define SCHED_QUERY_STATES(X)                                                                      \
  X(QUEUED, false) X(RUNNING, false) X(SUCCEEDED, true) X(FAILED, true) X(CANCELED, true)
typedef enum sched_query_state {
#define X(name, end) SCHED_QUERY_##name,
  SCHED_QUERY_STATES(X)
#undef X
} sched_query_state;

typedef enum sched_action_kind {
  SCHED_START,
  SCHED_STOP,
  SCHED_STAGE_FINISHED,  /* all tasks of a stage that is not final are done */
  SCHED_STAGES_GIVEN_UP, /* what was open of the query is stopped: open it anew */
  SCHED_QUERY_ENDED,
  SCHED_QUERY_FORGOTTEN
} sched_action_kind;

typedef struct sched_action {
  sched_action_kind kind;
  query_id query;
  attempt_id attempt;           /* START, STOP */
  uint32_t stage, task, number; /* START: number counts the attempts of this task from 1 */
  char worker[128];             /* START, STOP: instance_id */
  sched_query_state state;      /* QUERY_ENDED */
  bool lost_too_often;          /* QUERY_ENDED, FAILED: not the query's own error */
} sched_action;

typedef struct sched_query_info {
  sched_query_state state;
  uint32_t total_stages, finished_stages, failed_stages;
  int64_t submitted_ms, started_ms, ended_ms; /* 0: not yet */
  uint32_t attempts;
} sched_query_info;

typedef struct sched_worker_info {
  char instance_id[128];
  uint32_t slots, busy;
  int64_t last_seen_ms;
  const sched_runtime *runtimes; /* valid until the next event */
  size_t n_runtimes;
} sched_worker_info;

sched *sched_new(const sched_config *config);
void sched_free(sched *s);

/* RC_INVALID: workers are there and none has the runtime, the text names those that exist and how
 * to add one. With no worker at all the query waits. RC_EXHAUSTED: too many queries wait. */
MUST_CHECK rc sched_submit(sched *s, const sched_query_spec *spec, const sched_stage_spec *first,
                           int64_t now, err *e);
/* The next stage of a query that has not ended; *stage is its number, from 0. RC_NOT_FOUND: it has
 * ended, or is not known. A query whose stages are all finished, none of them final, waits. */
MUST_CHECK rc sched_open_stage(sched *s, query_id id, const sched_stage_spec *spec, int64_t now,
                               uint32_t *stage, err *e);
/* Gives up the stages of a query that are not finished, because rows that they read are lost, or
 * (not `lost`) because the caller knows better ones: what runs of them is stopped (STOP), then
 * comes STAGES_GIVEN_UP, and the caller opens other stages, with new numbers. Final stages that had
 * finished may be opened again.
 * A stage that writes the destination waits until the given up writer surely has stopped.
 * SCHED_INPUT_LOST does the same by itself, if the attempt is still its task's current one; so of
 * many tasks that miss the same rows the first one counts.
 * A query can lose rows max_losses - 1 times. RC_EXHAUSTED: once too often, it has FAILED (then
 * QUERY_ENDED follows instead). RC_NOT_FOUND: it has ended, or is not known. */
MUST_CHECK rc sched_give_up_stages(sched *s, query_id id, bool lost, int64_t now, err *e);
/* The caller's verdict on a query whose stages are not final: SUCCEEDED, nothing of it is left to
 * run (RC_PRECONDITION: a stage is open), or FAILED, it cannot go on (open stages are stopped). */
MUST_CHECK rc sched_end_query(sched *s, query_id id, sched_query_state end, int64_t now, err *e);
/* While it is held no task of the query starts for the first time. RC_NOT_FOUND as above. */
MUST_CHECK rc sched_hold_query(sched *s, query_id id, bool held, int64_t now, err *e);
/* Workers, and slots on them together, that could run this query's tasks now. */
void sched_capacity(const sched *s, query_id id, uint32_t *workers, uint32_t *slots);
/* RC_NOT_FOUND: never heard of, or forgotten. Cancelling an ended query is RC_OK and no event. */
MUST_CHECK rc sched_cancel(sched *s, query_id id, int64_t now, err *e);
/* A known instance_id with another incarnation is a restart: what ran there is lost. */
void sched_worker_join(sched *s, const sched_worker_spec *spec, int64_t now);
bool sched_worker_heartbeat(sched *s, const char *instance_id, const char *incarnation,
                            int64_t now);
void sched_worker_leave(sched *s, const char *instance_id, const char *incarnation, int64_t now);
void sched_attempt_ended(sched *s, attempt_id attempt, sched_outcome outcome, int64_t now);
/* Lost workers, ended leases. Call it at least as often as sched_next_tick says. */
void sched_tick(sched *s, int64_t now);
int64_t sched_next_tick(const sched *s); /* when the next one is due; INT64_MAX: nothing waits */
/* Call after each event until it returns false. */
bool sched_next_action(sched *s, sched_action *out);

bool sched_query_info_get(const sched *s, query_id id, sched_query_info *out);
/* *at starts at 0 and is opaque; no event in between. */
bool sched_workers_each(const sched *s, size_t *at, sched_worker_info *out);
size_t sched_worker_count(const sched *s);
/* Test and debug builds: check every invariant; returns NULL or what is wrong. */
const char *sched_validate(const sched *s);

#endif
