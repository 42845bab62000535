/* story/story.h: words to tell what happens to a scheduler. SPDX-License-Identifier: Apache-2.0
 *
 *   story *s = story_begin();
 *   join(s, "w1", "");
 *   submit(s, "a", "start a#1 on w1");
 *   lost(s, "a#1", "start a#2 on w1");
 *   done(s, "a#2", "a succeeded");
 *   story_end(s);
 *
 * Each sentence is one event and what the scheduler does about it, in order, "; " between. An
 * attempt is called query#number, in queries of several tasks query.stage.task#number. After each
 * event every invariant is checked. Time stands still except in `pass`. Workers have one slot and
 * polars 2.0.0 on Python 3.11.2 unless said otherwise. */
#ifndef FLOE_TESTS_STORY_H
#define FLOE_TESTS_STORY_H

#include "sched/sched.h"

#define STORY_LEASE_MS 10000

typedef struct story story;

/* In all of these zero means the default that stands beside it. */
typedef struct story_config {
  uint32_t min_workers, max_losses; /* 0, 2 */
  size_t max_queued, max_finished;  /* 100, 100 */
} story_config;

typedef struct story_worker {
  uint32_t slots;     /* 1 */
  const char *life;   /* the incarnation; "1" */
  const char *polars; /* one runtime for each; "2.0.0" */
  const char *python; /* "3.11.2" */
} story_worker;

typedef struct story_query {
  int priority;
  uint32_t retries;
  bool writes;                    /* the user's own destination */
  const char *polars;             /* "2.0.0" */
  int python_minor, python_micro; /* any */
  uint32_t n_stages, tasks[4];    /* of each stage; one stage of one task */
  bool more;                      /* none of these is final: others will be opened */
  uint32_t max_workers, min_workers;
} story_query;

typedef struct story_stage {
  uint32_t tasks; /* 1 */
  bool final, writes;
  const char *prefer[4];
  bool pinned;
} story_stage;

/* Options follow the expectation: join(s, "w1", "", .slots = 2). */
#define story_begin(...) story_begin_((story_config){__VA_ARGS__})
#define join(s, name, expected, ...) join_(s, name, expected, (story_worker){__VA_ARGS__})
#define submit(s, name, expected, ...) submit_(s, name, expected, (story_query){__VA_ARGS__})
#define open_stage(s, query, expected, ...)                                                        \
  open_stage_(s, query, expected, (story_stage){__VA_ARGS__})
/* The error's text must have `text` in it. */
#define refused(s, name, code, text, ...) refused_(s, name, code, text, (story_query){__VA_ARGS__})

void story_end(story *s);
void cancel(story *s, const char *query, const char *expected);
void give_up(story *s, const char *query, rc code, const char *expected);
void end_query(story *s, const char *query, sched_query_state end, rc code, const char *expected);
void hold(story *s, const char *query, bool held, const char *expected);
void done(story *s, const char *attempt, const char *expected);
void err_in_query(story *s, const char *attempt, const char *expected);
void lost(story *s, const char *attempt, const char *expected);        /* the worker says so */
void not_begun(story *s, const char *attempt, const char *expected);   /* it was never reached */
void unreachable(story *s, const char *attempt, const char *expected); /* it does not answer */
void input_lost(story *s, const char *attempt, const char *expected);
void stopped(story *s, const char *attempt, const char *expected);
void heartbeat(story *s, const char *worker, const char *expected); /* of its latest life */
void heartbeat_unknown(story *s, const char *worker, const char *life);
void leave(story *s, const char *worker, const char *expected);
void pass(story *s, int64_t ms, const char *expected); /* time, then a tick */

sched_query_info query_info(story *s, const char *query);
sched_worker_info worker_info(story *s, const char *worker);
sched *story_sched(story *s);

story *story_begin_(story_config config);
void join_(story *s, const char *name, const char *expected, story_worker w);
void submit_(story *s, const char *name, const char *expected, story_query q);
void open_stage_(story *s, const char *query, const char *expected, story_stage st);
void refused_(story *s, const char *name, rc code, const char *text, story_query q);

/* Also for tests that tell no story: a runtime of that version, with its own plan header. */
sched_runtime story_runtime(const char *polars, const char *python);

#endif
