/* observatory/events.c: GET /api/v1/events: when there is something new to ask for.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Server-sent events, each an answer of its own: a browser's EventSource asks again at once and
 * says which it had last. So nobody has to be sent to who does not listen any more. */
#include "base/clock.h"
#include "base/mem.h"
#include "observatory/internal.h"

#include <stdlib.h>

enum { TICK_MS = 500, LONGEST_MS = 15 * 1000, MOST_WAITERS = 128 };

typedef struct waiter {
  list link; /* in observatory.waiters */
  const http_request *request;
  http_reply *reply;
  int64_t until_ms;
  uint64_t seen;
} waiter;

static void put_event(http_reply *reply, uint64_t version) {
  rest_reply(reply, "text/event-stream",
             mem_printf("retry: %d\nid: %llu\nevent: change\ndata: {\"version\": %llu}\n\n",
                        TICK_MS, (unsigned long long)version, (unsigned long long)version));
}

static void put_nothing(http_reply *reply) {
  rest_reply(reply, "text/event-stream", mem_printf("retry: %d\n: nothing new\n\n", TICK_MS));
}

static void end(waiter *w) {
  list_remove(&w->link);
  http_request_answer(w->request);
  free(w);
}

static size_t count(const list *waiters) {
  size_t n = 0;
  LIST_EACH (waiters, it, next) n++;
  return n;
}

void events_get(const rest_get *g) {
  observatory *o = g->o;
  rest_ask_scheduler(o);
  const char *last = http_request_header(g->request, "Last-Event-ID");
  uint64_t version = store_version(o->store), seen = last ? strtoull(last, NULL, 10) : version + 1;
  if (seen != version || count(&o->waiters) >= MOST_WAITERS) {
    put_event(g->reply, version);
    return;
  }
  waiter *w = NEW(waiter);
  *w = (waiter){.request = g->request, .reply = g->reply, .seen = seen};
  w->until_ms = clock_mono_ms() + LONGEST_MS;
  list_push_back(&o->waiters, &w->link);
  g->reply->later = true;
  if (!uv_is_active((uv_handle_t *)&o->tick))
    uv_timer_start(&o->tick, events_on_tick, TICK_MS, TICK_MS);
}

void events_on_tick(uv_timer_t *timer) {
  observatory *o = timer->data;
  rest_ask_scheduler(o);
  uint64_t version = store_version(o->store);
  int64_t now_ms = clock_mono_ms();
  LIST_EACH (&o->waiters, it, next) {
    waiter *w = LIST_ENTRY(it, waiter, link);
    if (w->seen == version && now_ms < w->until_ms) continue;
    if (w->seen != version)
      put_event(w->reply, version);
    else
      put_nothing(w->reply);
    end(w);
  }
  if (list_empty(&o->waiters)) uv_timer_stop(timer);
}

void events_end_all(observatory *o) {
  LIST_EACH (&o->waiters, it, next) {
    waiter *w = LIST_ENTRY(it, waiter, link);
    put_nothing(w->reply);
    end(w);
  }
}
