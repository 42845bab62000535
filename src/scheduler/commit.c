/* scheduler/commit.c: the user's destinations get what the query has written.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tasks write beside a destination, each attempt under names of its own (floe_executor's
 * destinations.py). When all of the result was accepted, each worker in turn is asked to rename
 * what its tasks wrote; only names that were accepted stand in a request, so that a lost attempt
 * can never get there. Asking twice does no harm. A worker that is gone is replaced by another one:
 * on a shared filesystem it finds the files, else it says that they are lost. */
#include "base/mem.h"
#include "scheduler/internal.h"

#include <stdlib.h>
#include <string.h>

void commit_note(execution *x, attempt_id attempt) {
  step_writer *w = ARENA_NEW(&x->arena, step_writer, 1);
  *w = (step_writer){attempt, x->writers};
  x->writers = w;
}

static bool was_accepted(const execution *x, attempt_id attempt) {
  result_parts parts = {.x = x};
  for (const step_task *t; (t = result_next(&parts));)
    if (t->done && uuid_equal(t->attempt.u, attempt.u)) return true;
  return false;
}

static void put_lost(const execution *x, arena *a, Planning__CommitRequest *m) {
  size_t n = 0;
  for (const step_writer *w = x->writers; w; w = w->next) n++;
  m->lost = ARENA_NEW(a, char *, n);
  for (const step_writer *w = x->writers; w; w = w->next)
    if (!was_accepted(x, w->attempt))
      m->lost[m->n_lost++] = arena_printf(a, "%s", uuid_print(w->attempt.u).s);
}

static void put_staged(const execution *x, const step_host *h, arena *a,
                       Planning__CommitRequest *m) {
  size_t n = 0;
  result_parts count = {.x = x}, parts = {.x = x};
  for (const step_task *t; (t = result_next(&count));) n += t->n_locations;
  m->staged = ARENA_NEW(a, ProtobufCBinaryData, n);
  for (const step_task *t; (t = result_next(&parts));)
    for (size_t i = 0; t->host == h && i < t->n_locations; i++)
      if (t->staged[i].len)
        m->staged[m->n_staged++] =
            (ProtobufCBinaryData){t->staged[i].len, (uint8_t *)(uintptr_t)t->staged[i].data};
}

static rc write_request(const execution *x, const Planning__CommitRequest *m, spool **out, err *e) {
  buf packed = {0};
  rc r = buf_reserve(&packed, planning__commit_request__get_packed_size(m), e);
  if (r == RC_OK) {
    packed.len = planning__commit_request__pack(m, packed.data);
    *out = spool_new(x->s->conf->temp_dir, packed.len);
    r = spool_append(*out, packed.data, packed.len, e);
  }
  buf_deinit(&packed);
  return r;
}

static rc ask(execution *x, const step_host *h, step **out, err *e) {
  arena a = {0};
  spool *request = NULL;
  Planning__CommitRequest m;
  planning__commit_request__init(&m);
  put_staged(x, h, &a, &m);
  put_lost(x, &a, &m);
  rc r = m.n_staged ? write_request(x, &m, &request, e) : RC_OK;
  arena_deinit(&a);
  if (request) {
    *out = steps_add(x, STEP_COMMIT, request, 1);
    (*out)->commits_on = h;
  }
  return r;
}

rc commit_next(execution *x, step **out, err *e) {
  *out = NULL;
  LIST_EACH (&x->hosts, it, next) {
    step_host *h = LIST_ENTRY(it, step_host, link);
    if (h->committed) continue;
    h->committed = true;
    TRY(ask(x, h, out, e));
    if (*out) return RC_OK;
  }
  return RC_OK;
}

void commit_again(execution *x) {
  x->commits = false;
  LIST_EACH (&x->hosts, it, next) LIST_ENTRY(it, step_host, link)->committed = false;
}
