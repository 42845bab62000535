/* scheduler/abandoned.c: queries that nobody waits for any more. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A client that goes away says nothing. Whether its query goes on is the administrator's choice
 * (scheduler.abandon_after): work for a sink is wanted though nobody waits. Rows that are streamed
 * are of no use without their reader: flight/ looks after those. */
#include "base/clock.h"
#include "base/log.h"
#include "scheduler/internal.h"

enum { TICK_MS = 1000 };

int64_t abandoned_next_tick(const scheduler *s, int64_t now_ms) {
  return s->conf->scheduler.abandon_ms && !list_empty(&s->newest) ? now_ms + TICK_MS : INT64_MAX;
}

static bool is_abandoned(const scheduler *s, const query *q, int64_t now_ms) {
  return !q->times.ended_us && !q->stream && list_empty(&q->waiters) &&
         now_ms - q->asked_ms >= s->conf->scheduler.abandon_ms;
}

void abandoned_tick(scheduler *s, int64_t now_ms) {
  if (!s->conf->scheduler.abandon_ms) return;
  LIST_EACH (&s->newest, it, next) {
    const query *q = LIST_ENTRY(it, query, all_link);
    if (!is_abandoned(s, q, now_ms)) continue;
    LOG_INFO("query cancelled: its client asks no more", "query", uuid_print(q->id.u).s);
    err e = {0};
    if (scheduler_cancel(s, q, &e) != RC_OK)
      LOG_WARN("an abandoned query could not be cancelled", "error", e.text);
  }
}
