/* scheduler/retention.c: how much of ended queries is kept. SPDX-License-Identifier: Apache-2.0
 *
 * sched/ bounds how many ended queries are remembered; this bounds what they weigh, for a head or
 * an error text can have megabytes. Over the budget the oldest lose theirs: their state, rows and
 * locations stay. */
#include "base/mem.h"
#include "scheduler/internal.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 128 * 1024 * 1024, LIGHT_BYTES = 4096 };

static size_t weigh(const query *q) {
  size_t bytes = q->head.len + (q->stages ? strlen(q->stages) : 0);
  for (size_t i = 0; i < q->n_errors; i++) bytes += strlen(q->errors[i]);
  return bytes;
}

static void lighten(query *q) {
  if (q->head.len) {
    buf_deinit(&q->head);
    q->head_error = mem_strdup("the first rows are no longer kept; read result.lazy().head()");
  }
  free(q->stages);
  q->stages = NULL;
  bool heavy = weigh(q) > LIGHT_BYTES;
  if (!heavy) return;
  query_clear_errors(q);
  failures now = {0};
  failures_add(&now, NULL, "RuntimeError",
               "the query failed; its long error text is no longer kept");
  query_add_error(q, &now);
  failures_deinit(&now);
}

void retention_add(scheduler *s, query *q) {
  failures_deinit(&q->failures); /* they stand in the errors now */
  q->kept_bytes = weigh(q);
  s->kept_bytes += q->kept_bytes;
  list_push_back(&s->ended, &q->ended_link);
  LIST_EACH (&s->ended, it, next) {
    if (s->kept_bytes <= MOST_BYTES || it == &q->ended_link) break;
    query *oldest = LIST_ENTRY(it, query, ended_link);
    retention_remove(s, oldest);
    lighten(oldest);
  }
}

void retention_remove(scheduler *s, query *q) {
  list_remove(&q->ended_link);
  s->kept_bytes -= q->kept_bytes;
  q->kept_bytes = 0;
}
