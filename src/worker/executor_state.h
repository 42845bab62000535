/* worker/executor_state.h: the life of an executor, as a table. SPDX-License-Identifier: Apache-2.0
 *
 *   STARTING ─hello→ IDLE ─run→ RUNNING ─done→ IDLE
 *                                  └─cancel→ CANCELING ─done→ DRAINING ─canceled→ IDLE
 *   any ─kill→ ENDING;  any ─exit→ GONE
 *
 * A cancelled task ends twice: its Done, and then Canceled, which says that the SIGINT has arrived
 * and cannot hit the next task. Pure. */
#ifndef FLOE_WORKER_EXECUTOR_STATE_H
#define FLOE_WORKER_EXECUTOR_STATE_H

#include <stdbool.h>

typedef enum executor_state {
  EXECUTOR_STARTING,
  EXECUTOR_IDLE,
  EXECUTOR_RUNNING,
  EXECUTOR_CANCELING,
  EXECUTOR_DRAINING,
  EXECUTOR_ENDING,
  EXECUTOR_GONE,
  EXECUTOR_STATES
} executor_state;

typedef enum executor_event {
  EXECUTOR_HELLO,
  EXECUTOR_RUN,
  EXECUTOR_DONE,
  EXECUTOR_CANCEL,
  EXECUTOR_CANCELED,
  EXECUTOR_KILL,
  EXECUTOR_EXIT,
  EXECUTOR_EVENTS
} executor_event;

/* False: the event is not allowed in that state; *state is untouched. */
bool executor_state_next(executor_state *state, executor_event event);
const char *executor_state_name(executor_state state);
const char *executor_event_name(executor_event event);

#endif
