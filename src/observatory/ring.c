/* observatory/ring.c: see ring.h. SPDX-License-Identifier: Apache-2.0 */
#include "observatory/ring.h"

#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>

enum { MINUTE_MS = 60 * 1000 };

typedef struct part {
  ring_sample *samples; /* owned */
  uint64_t cap, added;
} part;

struct ring {
  part all, minutes;
  int64_t *last_minute_ms; /* of each worker */
  uint32_t n_workers;
};

ring *ring_new(size_t bytes) {
  ring *r = NEW(ring);
  r->all.cap = bytes / 5 * 2 / sizeof(ring_sample) + 1;
  r->minutes.cap = bytes / 5 * 3 / sizeof(ring_sample) + 1;
  r->all.samples = mem_new(r->all.cap * sizeof(ring_sample));
  r->minutes.samples = mem_new(r->minutes.cap * sizeof(ring_sample));
  return r;
}

void ring_free(ring *r) {
  if (!r) return;
  free(r->all.samples);
  free(r->minutes.samples);
  free(r->last_minute_ms);
  free(r);
}

static void part_add(part *p, const ring_sample *sample) {
  p->samples[p->added++ % p->cap] = *sample;
}

static int64_t *last_minute(ring *r, uint32_t worker) {
  if (worker >= r->n_workers) {
    int64_t *more = realloc(r->last_minute_ms, (worker + 1) * sizeof *more);
    if (!more) abort();
    while (r->n_workers <= worker) more[r->n_workers++] = INT64_MIN / 2;
    r->last_minute_ms = more;
  }
  return &r->last_minute_ms[worker];
}

void ring_add(ring *r, const ring_sample *sample) {
  part_add(&r->all, sample);
  int64_t *last = last_minute(r, sample->worker);
  if (sample->at_ms - *last < MINUTE_MS) return;
  *last = sample->at_ms;
  part_add(&r->minutes, sample);
}

static const ring_sample *nth(const part *p, uint64_t i) {
  return &p->samples[i % p->cap];
}

static uint64_t oldest(const part *p) {
  return p->added > p->cap ? p->added - p->cap : 0;
}

/* Number of the first sample from that time on: times ascend. */
static uint64_t find(const part *p, int64_t from_ms) {
  uint64_t low = oldest(p), high = p->added;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    if (nth(p, middle)->at_ms < from_ms)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

void ring_each(const ring *r, uint32_t worker, int64_t from_ms, int64_t step_ms,
               void (*on_sample)(void *arg, const ring_sample *sample), void *arg) {
  int64_t next_ms = from_ms;
  uint64_t first = oldest(&r->all);
  bool all_reach = !first || nth(&r->all, first)->at_ms <= from_ms;
  int64_t all_from_ms = all_reach ? from_ms : nth(&r->all, first)->at_ms;
  const part *parts[2] = {&r->minutes, &r->all};
  for (int k = all_reach; k < 2; k++) {
    const part *p = parts[k];
    uint64_t end = k ? p->added : find(p, all_from_ms);
    for (uint64_t i = find(p, k ? all_from_ms : from_ms); i < end; i++) {
      const ring_sample *s = nth(p, i);
      if (s->worker != worker || s->at_ms < next_ms) continue;
      on_sample(arg, s);
      next_ms = s->at_ms + step_ms;
    }
  }
}
