/* scheduler/telling.c: queries, as the observatory hears of them. SPDX-License-Identifier:
 * Apache-2.0
 *
 * What changes is noted, and told twice a second: nobody waits for it. An observatory in the same
 * process may ask earlier (scheduler_tell). */
#include "base/mem.h"
#include "net/outbox.h"
#include "scheduler/internal.h"

#include <profile.pb-c.h>
#include <stdlib.h>

enum { PERIOD_MS = 500, MOST_BYTES = 64 << 20 };

void telling_note(scheduler *s, query *q) {
  if (q->plans.subject || !list_empty(&q->changed_link)) return;
  list_push_back(&s->changed, &q->changed_link);
}

static void tell(const scheduler *s, const query *q, scheduler_on_report *take, void *arg) {
  Profile__QueryState state, *one = &state;
  Profile__Report report;
  profile__report__init(&report);
  profile__query_state__init(&state);
  uuid_text id = uuid_print(q->id.u);
  char *details = views_query(s, q), *stages = views_stages(q);
  state.query_id = id.s;
  if (details) state.details = details;
  if (stages) state.stages = stages;
  report.queries = &one;
  report.n_queries = 1;
  size_t n = profile__report__get_packed_size(&report);
  uint8_t *packed = mem_new(n + 1);
  profile__report__pack(&report, packed);
  take(arg, id.s, packed, n);
  free(packed);
  free(details);
  free(stages);
}

void scheduler_tell(scheduler *s, scheduler_on_report *take, void *arg) {
  LIST_EACH (&s->changed, it, next) {
    list_remove(it);
    tell(s, LIST_ENTRY(it, query, changed_link), take, arg);
  }
}

static void put(void *arg, const char *id, const uint8_t *report, size_t len) {
  outbox_put(arg, id, report, len);
}

static void before(void *arg) {
  scheduler *s = arg;
  scheduler_tell(s, put, s->observatory);
}

void telling_start(scheduler *s) {
  const conf *c = s->conf;
  if (!c->static_leader.observatory.host || !c->monitoring.enabled) return;
  outbox_config config = {.loop = s->loop,
                          .host = c->static_leader.observatory.host,
                          .port = c->static_leader.observatory.port,
                          .access = s->peer_access,
                          .path = "/profile.Observatory/Send",
                          .what = "observatory",
                          .period_ms = PERIOD_MS,
                          .most_bytes = MOST_BYTES,
                          .before = before,
                          .arg = s};
  s->observatory = outbox_new(&config);
}
