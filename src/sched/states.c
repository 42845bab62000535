/* sched/states.c: see states.h. SPDX-License-Identifier: Apache-2.0 */
#include "sched/states.h"

#define NAME(name, ...) #name,
#define END(name, end) end,
#define TEXT(name, text) text,

/* The lists of one machine as arrays; `move_x` writes one entry of its table. */
#define MACHINE(id, state_list, event_list, move_list, move_x)                                     \
  static const char *const id##_states[] = {state_list(NAME)};                                     \
  static const bool id##_ends[] = {state_list(END)};                                               \
  static const char *const id##_events[] = {event_list(NAME)};                                     \
  static const char *const id##_texts[] = {event_list(TEXT)};                                      \
  static const unsigned char id##_next[0 state_list(STATES_COUNT)][0 event_list(STATES_COUNT)] = { \
      move_list(move_x)};                                                                          \
  const states_machine states_##id = {                                                             \
      .name = #id,                                                                                 \
      .states = id##_states,                                                                       \
      .ends = id##_ends,                                                                           \
      .n_states = 0 state_list(STATES_COUNT),                                                      \
      .events = id##_events,                                                                       \
      .event_texts = id##_texts,                                                                   \
      .n_events = 0 event_list(STATES_COUNT),                                                      \
      .next = &id##_next[0][0],                                                                    \
  }

#define QUERY_MOVE(state, event, to) [SCHED_QUERY_##state][QUERY_ON_##event] = SCHED_QUERY_##to + 1,
#define STAGE_MOVE(state, event, to) [STAGE_##state][STAGE_ON_##event] = STAGE_##to + 1,
#define TASK_MOVE(state, event, to) [TASK_##state][TASK_ON_##event] = TASK_##to + 1,
#define ATTEMPT_MOVE(state, event, to) [ATTEMPT_##state][ATTEMPT_ON_##event] = ATTEMPT_##to + 1,

MACHINE(query, SCHED_QUERY_STATES, QUERY_EVENTS, QUERY_MOVES, QUERY_MOVE);
MACHINE(stage, STAGE_STATES, STAGE_EVENTS, STAGE_MOVES, STAGE_MOVE);
MACHINE(task, TASK_STATES, TASK_EVENTS, TASK_MOVES, TASK_MOVE);
MACHINE(attempt, ATTEMPT_STATES, ATTEMPT_EVENTS, ATTEMPT_MOVES, ATTEMPT_MOVE);

bool states_next(const states_machine *m, unsigned state, unsigned event, unsigned *to) {
  unsigned next = m->next[state * m->n_events + event];
  if (!next) return false;
  *to = next - 1;
  return true;
}

static void print_picture(const states_machine *m, buf *out) {
  buf_printf(out, "```mermaid\nstateDiagram-v2\n  [*] --> %s\n", m->states[0]);
  for (unsigned s = 0; s < m->n_states; s++) {
    for (unsigned v = 0, to; v < m->n_events; v++)
      if (states_next(m, s, v, &to))
        buf_printf(out, "  %s --> %s: %s\n", m->states[s], m->states[to], m->events[v]);
    if (m->ends[s]) buf_printf(out, "  %s --> [*]\n", m->states[s]);
  }
  buf_puts(out, "```\n\n");
}

static void print_table(const states_machine *m, buf *out) {
  buf_puts(out, "| event | it means |");
  for (unsigned s = 0; s < m->n_states; s++) buf_printf(out, " %s |", m->states[s]);
  buf_puts(out, "\n|---|---|");
  for (unsigned s = 0; s < m->n_states; s++) buf_puts(out, "---|");
  for (unsigned v = 0; v < m->n_events; v++) {
    buf_printf(out, "\n| %s | %s |", m->events[v], m->event_texts[v]);
    for (unsigned s = 0, to; s < m->n_states; s++)
      buf_printf(out, " %s |", states_next(m, s, v, &to) ? m->states[to] : "");
  }
  buf_puts(out, "\n");
}

void states_print(buf *out) {
  static const states_machine *const all[] = {&states_query, &states_stage, &states_task,
                                              &states_attempt};
  buf_puts(out, "# States\n\nMade from `src/sched/states.h`; do not edit. A query has stages, a "
                "stage has tasks, a task has attempts.\nIn the tables a column is the state "
                "before, a field the state after; an empty field: the event is refused.\n");
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    buf_printf(out, "\n## %s\n\n", all[i]->name);
    print_picture(all[i], out);
    print_table(all[i], out);
  }
}
