/* scheduler/result.c: a result that has several parts is one answer. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The order of the parts is the order of the rows. The client is shown the first rows: when they
 * stand in several parts, an executor joins them. */
#include "base/clock.h"
#include "base/mem.h"
#include "scheduler/internal.h"

#include <stdlib.h>
#include <string.h>

enum {
  MAX_HEAD_BYTES = 8 * 1024 * 1024,
  MAX_HEADS_BYTES = 4 * MAX_HEAD_BYTES, /* of all parts, while the query runs */
};

/* ---- the parts, in order ---- */

step_task *result_next(result_parts *p) {
  const execution *x = p->x;
  if (x->whole) return p->task < x->whole->n_tasks ? &x->whole->tasks[p->task++] : NULL;
  for (; x->stages && p->stage < x->planning->graph.n; p->stage++, p->task = 0) {
    step *st = x->stages[p->stage];
    if (st && st->result && p->task < st->n_tasks) return &st->tasks[p->task++];
  }
  return NULL;
}

step_task *result_part(const execution *x, uint32_t number) {
  result_parts p = {.x = x};
  step_task *t = result_next(&p);
  for (uint32_t i = 0; t && i < number; i++) t = result_next(&p);
  return t;
}

/* ---- the first rows ---- */

static const char *why_no_head(const execution *x, size_t bytes) {
  if (bytes > MAX_HEAD_BYTES)
    return "the first rows of the result are larger than 8 MiB; read them with "
           "result.lazy().head()";
  if (x->head_bytes + bytes > MAX_HEADS_BYTES)
    return "the first rows of the result's parts are larger than 32 MiB; read them with "
           "result.lazy().head()";
  return NULL;
}

void result_take_head(step *st, step_task *t, const Cluster__TaskOutput *o) {
  execution *x = st->execution;
  x->head_bytes -= t->head.len;
  buf_deinit(&t->head);
  t->head_error = why_no_head(x, o->head.len);
  if (t->head_error) return;
  if (*o->head_error) t->head_error = arena_printf(&x->arena, "%s", o->head_error);
  if (buf_append(&t->head, o->head.data, o->head.len, NULL) != RC_OK)
    t->head_error =
        "the scheduler had no memory for the first rows; read them with result.lazy().head()";
  x->head_bytes += t->head.len;
}

/* The parts in which the first rows stand: at least one. */
static size_t head_parts(const execution *x, step_task *out[RESULT_HEAD_ROWS]) {
  result_parts p = {.x = x};
  uint64_t rows = 0;
  size_t n = 0;
  step_task *first = NULL;
  for (step_task *t; rows < RESULT_HEAD_ROWS && (t = result_next(&p));) {
    if (!first) first = t;
    if (t->rows) out[n++] = t; /* at least a row each: they fit */
    rows += t->rows;
  }
  if (!n && first) out[n++] = first;
  return n;
}

static rc put_request(execution *x, step_task **parts_, size_t n, err *e) {
  ProtobufCBinaryData heads[RESULT_HEAD_ROWS];
  Planning__HeadsRequest m;
  planning__heads_request__init(&m);
  m.rows = RESULT_HEAD_ROWS;
  m.n_heads = n;
  m.heads = heads;
  for (size_t i = 0; i < n; i++)
    heads[i] = (ProtobufCBinaryData){parts_[i]->head.len, parts_[i]->head.data};
  buf packed = {0};
  rc r = buf_reserve(&packed, planning__heads_request__get_packed_size(&m), e);
  if (r == RC_OK) {
    packed.len = planning__heads_request__pack(&m, packed.data);
    spool_free(x->heads);
    x->heads = spool_new(x->s->conf->temp_dir, packed.len);
    r = spool_append(x->heads, packed.data, packed.len, e);
  }
  buf_deinit(&packed);
  return r;
}

rc result_ask_heads(execution *x, bool *needed, err *e) {
  step_task *in[RESULT_HEAD_ROWS];
  size_t n = head_parts(x, in);
  *needed = query_is_anonymous(x->q) && n > 1;
  for (size_t i = 0; i < n; i++) *needed = *needed && in[i]->head.len;
  return *needed ? put_request(x, in, n, e) : RC_OK;
}

static void put_head(execution *x) {
  step_task *in[RESULT_HEAD_ROWS];
  const step *last = x->steps[x->n_steps - 1];
  size_t n = head_parts(x, in);
  step_task *from = last->kind == STEP_HEADS ? &last->tasks[0] : n ? in[0] : NULL;
  for (size_t i = 0; last->kind != STEP_HEADS && i < n; i++)
    if (!in[i]->head.len) from = in[i]; /* the one that says why there is none */
  if (!from) return;
  x->q->head = from->head;
  from->head = (buf){0};
  if (!x->q->head.len && from->head_error) x->q->head_error = mem_strdup(from->head_error);
}

/* ---- the whole ---- */

static rc put_part_url(const execution *x, uint32_t part, const step_task *t, err *e) {
  buf url = {0};
  rc r = location_result_url(x->s->results, x->q->id, part, clock_wall_us(), &url, e);
  if (r == RC_OK) query_add_file(x->q, buf_text(&url), t->host->instance_id, t->bytes);
  buf_deinit(&url);
  return r;
}

/* Several tasks may have written into the same folder. */
static void add_destinations(query *q, const step_task *t) {
  for (size_t i = 0; i < t->n_locations; i++) {
    size_t k = 0;
    while (k < q->n_files && strcmp(q->files[k].location, t->locations[i]) != 0) k++;
    if (k == q->n_files) query_add_file(q, t->locations[i], t->host->instance_id, 0);
  }
}

rc result_complete(execution *x, err *e) {
  query *q = x->q;
  result_parts p = {.x = x};
  uint32_t part = 0;
  x->steps[x->n_steps - 1]->finished_us = q->times.ended_us;
  q->has_rows = !q->only_planned;
  for (const step_task *t; (t = result_next(&p)); part++) {
    q->has_rows = q->has_rows && t->has_rows;
    q->rows += t->rows;
    q->bytes += t->bytes;
    if (query_is_anonymous(q)) TRY(put_part_url(x, part, t, e));
    if (query_writes_destination(q)) add_destinations(q, t);
  }
  put_head(x);
  return RC_OK;
}
