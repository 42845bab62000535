/* sched/states.h: the states of query, stage, task and attempt, as tables. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Everything that is known of a machine stands in three lists: its states (name, is it an end?),
 * its events (name, what has happened) and its moves (state, event, next state). A move that is
 * not listed is refused. The enums, the names and docs/reference/states.md are made from them.
 * The query's states are in sched.h, because a program sees them. Pure data; changes nothing. */
#ifndef FLOE_SCHED_STATES_H
#define FLOE_SCHED_STATES_H

#include "base/buf.h"
#include "sched/sched.h"

/* ---- query -------------------------------------------------------------------------------- */
#define QUERY_EVENTS(X)                                                                            \
  X(START, "one of its tasks starts")                                                              \
  X(FINISH, "a final stage is finished, and no other is open")                                     \
  X(FAIL, "one of its stages failed, or they were given up too often")                             \
  X(CANCEL, "the user cancels it")
#define QUERY_MOVES(X)                                                                             \
  X(QUEUED, START, RUNNING)                                                                        \
  X(QUEUED, FAIL, FAILED)                                                                          \
  X(QUEUED, CANCEL, CANCELED)                                                                      \
  X(RUNNING, START, RUNNING)                                                                       \
  X(RUNNING, FINISH, SUCCEEDED)                                                                    \
  X(RUNNING, FAIL, FAILED)                                                                         \
  X(RUNNING, CANCEL, CANCELED)

/* ---- stage -------------------------------------------------------------------------------- */
#define STAGE_STATES(X)                                                                            \
  X(WAITING, false)                                                                                \
  X(READY, false)                                                                                  \
  X(RUNNING, false) X(FINISHED, true) X(FAILED, true) X(CANCELED, true)
#define STAGE_EVENTS(X)                                                                            \
  X(OPEN, "nobody may still write what it writes")                                                 \
  X(START, "one of its tasks starts")                                                              \
  X(FINISH, "its last task is done")                                                               \
  X(FAIL, "one of its tasks failed")                                                               \
  X(CANCEL, "it is given up, or its query ends without it")
#define STAGE_MOVES(X)                                                                             \
  X(WAITING, OPEN, READY)                                                                          \
  X(WAITING, CANCEL, CANCELED)                                                                     \
  X(READY, START, RUNNING)                                                                         \
  X(READY, CANCEL, CANCELED)                                                                       \
  X(RUNNING, START, RUNNING)                                                                       \
  X(RUNNING, FINISH, FINISHED)                                                                     \
  X(RUNNING, FAIL, FAILED)                                                                         \
  X(RUNNING, CANCEL, CANCELED)

/* ---- task --------------------------------------------------------------------------------- */
#define TASK_STATES(X)                                                                             \
  X(WAITING, false)                                                                                \
  X(QUEUED, false)                                                                                 \
  X(RUNNING, false) X(FENCED, false) X(DONE, true) X(FAILED, true) X(CANCELED, true)
#define TASK_EVENTS(X)                                                                             \
  X(OPEN, "its stage is opened")                                                                   \
  X(START, "an attempt begins on a worker's slot")                                                 \
  X(FINISH, "its attempt has done the work")                                                       \
  X(RETRY, "its attempt came to nothing and another one may start")                                \
  X(FENCE, "its attempt may still write the user's destination, so no other may start")            \
  X(FAIL, "its attempt came to nothing and was the last one allowed")                              \
  X(CANCEL, "its stage is given up, or its query ends without it")
#define TASK_MOVES(X)                                                                              \
  X(WAITING, OPEN, QUEUED)                                                                         \
  X(WAITING, CANCEL, CANCELED)                                                                     \
  X(QUEUED, START, RUNNING)                                                                        \
  X(QUEUED, CANCEL, CANCELED)                                                                      \
  X(RUNNING, FINISH, DONE)                                                                         \
  X(RUNNING, RETRY, QUEUED)                                                                        \
  X(RUNNING, FENCE, FENCED)                                                                        \
  X(RUNNING, FAIL, FAILED)                                                                         \
  X(RUNNING, CANCEL, CANCELED)                                                                     \
  X(FENCED, FINISH, DONE)                                                                          \
  X(FENCED, RETRY, QUEUED)                                                                         \
  X(FENCED, FAIL, FAILED)                                                                          \
  X(FENCED, CANCEL, CANCELED)

/* ---- attempt ------------------------------------------------------------------------------ */
#define ATTEMPT_STATES(X) X(RUNNING, false) X(STOPPING, false) X(SILENT, false) X(OVER, true)
#define ATTEMPT_EVENTS(X)                                                                          \
  X(STOP, "nobody wants its result any more")                                                      \
  X(SILENCE, "its worker did not answer: it may still run")                                        \
  X(END, "it surely runs no more: its worker said so, restarted, left, or a lease is over")
#define ATTEMPT_MOVES(X)                                                                           \
  X(RUNNING, STOP, STOPPING)                                                                       \
  X(RUNNING, SILENCE, SILENT)                                                                      \
  X(RUNNING, END, OVER)                                                                            \
  X(STOPPING, SILENCE, SILENT)                                                                     \
  X(STOPPING, END, OVER)                                                                           \
  X(SILENT, END, OVER)

/* ---- made from the lists ------------------------------------------------------------------ */
#define STATES_COUNT(...) +1
enum { QUERY_N_STATES = 0 SCHED_QUERY_STATES(STATES_COUNT) };

typedef enum query_event {
#define X(name, text) QUERY_ON_##name,
  QUERY_EVENTS(X)
#undef X
} query_event;

#define X(name, end) STAGE_##name,
typedef enum stage_state { STAGE_STATES(X) } stage_state;
#undef X
#define X(name, text) STAGE_ON_##name,
typedef enum stage_event { STAGE_EVENTS(X) } stage_event;
#undef X

#define X(name, end) TASK_##name,
typedef enum task_state { TASK_STATES(X) } task_state;
#undef X
#define X(name, text) TASK_ON_##name,
typedef enum task_event { TASK_EVENTS(X) } task_event;
#undef X

#define X(name, end) ATTEMPT_##name,
typedef enum attempt_state { ATTEMPT_STATES(X) } attempt_state;
#undef X
#define X(name, text) ATTEMPT_ON_##name,
typedef enum attempt_event { ATTEMPT_EVENTS(X) } attempt_event;
#undef X

typedef struct states_machine {
  const char *name;
  const char *const *states;
  const bool *ends; /* for each state */
  size_t n_states;
  const char *const *events;
  const char *const *event_texts;
  size_t n_events;
  const unsigned char *next; /* [state][event]: the next state + 1; 0: refused */
} states_machine;

extern const states_machine states_query, states_stage, states_task, states_attempt;

/* False: the table refuses `event` in `state`, and *to is untouched. */
bool states_next(const states_machine *m, unsigned state, unsigned event, unsigned *to);
/* docs/reference/states.md: for each machine a picture (Mermaid) and the table. */
void states_print(buf *out);

#endif
