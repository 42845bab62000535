/* worker/executor_state.c: see executor_state.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/executor_state.h"

/* One row for each state; NO (zero) is "not allowed", so cells hold the next state plus one. */
enum {
  NO,
  STARTING,
  IDLE,
  RUNNING,
  CANCELING,
  DRAINING,
  ENDING,
  GONE,
};

static const unsigned char NEXT[EXECUTOR_STATES][EXECUTOR_EVENTS] = {
    /*               hello   run      done      cancel     canceled  kill    exit */
    /* STARTING  */ {IDLE, NO, NO, NO, NO, ENDING, GONE},
    /* IDLE      */ {NO, RUNNING, NO, NO, NO, ENDING, GONE},
    /* RUNNING   */ {NO, NO, IDLE, CANCELING, NO, ENDING, GONE},
    /* CANCELING */ {NO, NO, DRAINING, CANCELING, NO, ENDING, GONE},
    /* DRAINING  */ {NO, NO, NO, DRAINING, IDLE, ENDING, GONE},
    /* ENDING    */ {ENDING, NO, ENDING, ENDING, ENDING, ENDING, GONE},
    /* GONE      */ {NO, NO, NO, GONE, NO, GONE, NO},
};

bool executor_state_next(executor_state *state, executor_event event) {
  unsigned char next = NEXT[*state][event];
  if (next == NO) return false;
  *state = (executor_state)(next - 1);
  return true;
}

const char *executor_state_name(executor_state state) {
  static const char *const NAMES[] = {"starting", "idle",   "running", "canceling",
                                      "draining", "ending", "gone"};
  return NAMES[state];
}

const char *executor_event_name(executor_event event) {
  static const char *const NAMES[] = {"Hello", "Run", "Done", "Cancel", "Canceled", "kill", "exit"};
  return NAMES[event];
}
