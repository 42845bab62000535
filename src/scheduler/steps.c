/* scheduler/steps.c: the steps of an execution, their tasks, and what tasks write for each other.
 * SPDX-License-Identifier: Apache-2.0
 *
 * How many tasks a stage gets is decided when it is opened, from the bytes that its inputs really
 * have: a task shall have something to do (balance.c: and none too much). */
#include "base/mem.h"
#include "scheduler/internal.h"

#include <stdlib.h>
#include <string.h>

enum { LONG_TASK_BYTES = 64 << 20, MOST_OF_A_PARTITION = 4 };

step *steps_add(execution *x, step_kind kind, spool *plan, uint32_t n_tasks) {
  step *st = ARENA_NEW(&x->arena, step, 1);
  st->execution = x;
  st->kind = kind;
  st->number = (uint32_t)x->n_steps;
  st->plan = plan;
  st->n_tasks = n_tasks;
  st->tasks = ARENA_NEW(&x->arena, step_task, n_tasks);
  step **more = realloc(x->steps, (x->n_steps + 1) * sizeof *more);
  if (!more) abort();
  more[x->n_steps++] = st;
  x->steps = more;
  return st;
}

/* ---- attempts ---- */

static char *keep(execution *x, const char *text) {
  return arena_printf(&x->arena, "%s", text);
}

static plan_bytes keep_bytes(execution *x, const ProtobufCBinaryData *bytes) {
  uint8_t *copy = ARENA_NEW(&x->arena, uint8_t, bytes->len);
  if (bytes->len) memcpy(copy, bytes->data, bytes->len);
  return (plan_bytes){copy, bytes->len};
}

static step_host *find_host(execution *x, const peer *p) {
  LIST_EACH (&x->hosts, it, next) {
    step_host *h = LIST_ENTRY(it, step_host, link);
    if (!strcmp(h->instance_id, p->instance_id) && !strcmp(h->incarnation, p->incarnation))
      return h;
  }
  step_host *h = ARENA_NEW(&x->arena, step_host, 1);
  h->instance_id = keep(x, p->instance_id);
  h->incarnation = keep(x, p->incarnation);
  h->shuffle_address = keep(x, p->shuffle_address);
  h->shuffle_folder = keep(x, p->shuffle_folder);
  list_push_back(&x->hosts, &h->link);
  return h;
}

void steps_begin(step *st, uint32_t task, attempt_id attempt, const peer *p) {
  step_host *host = find_host(st->execution, p);
  bool to_destination = st->result && query_writes_destination(st->execution->q);
  if (to_destination) commit_note(st->execution, attempt);
  if (to_destination || (st->stage && !st->result)) host->wrote = true;
  if (st->kind == STEP_COMMIT) st->execution->commits = true;
  if (st->result && st->execution->q->stream) stream_begin(st->execution->q->stream, host);
  st->tasks[task].attempt = attempt;
  st->tasks[task].host = host;
}

bool steps_is_current(const step *st, uint32_t task, attempt_id attempt) {
  return !st->given_up && !st->finished && uuid_equal(st->tasks[task].attempt.u, attempt.u);
}

/* ---- what an attempt brought ---- */

static rc take_files(step *st, step_task *t, const Cluster__TaskOutput *o, err *e) {
  execution *x = st->execution;
  t->files = ARENA_NEW(&x->arena, step_file, o->n_shuffled);
  t->n_files = o->n_shuffled;
  t->has_rows = true;
  t->rows = t->bytes = 0;
  for (size_t i = 0; i < o->n_shuffled; i++) {
    const Cluster__ShuffledFile *f = o->shuffled[i];
    bool ascends = !i || f->partition >= o->shuffled[i - 1]->partition;
    if (!ascends || f->partition >= (st->partitions ? st->partitions : 1))
      return ERR(e, RC_INVALID, "worker %s wrote partition %u of %u, which was not asked for",
                 t->host->instance_id, f->partition, st->partitions);
    t->files[i] = (step_file){f->partition, f->bytes, keep(x, f->name)};
    t->bytes += f->bytes;
    t->rows += f->rows;
  }
  return RC_OK;
}

static void take_result(step *st, step_task *t, const Cluster__TaskOutput *o) {
  execution *x = st->execution;
  t->locations = ARENA_NEW(&x->arena, const char *, o->n_files);
  t->staged = ARENA_NEW(&x->arena, plan_bytes, o->n_files);
  t->n_locations = o->n_files;
  t->bytes = 0;
  for (size_t i = 0; i < o->n_files; i++) {
    t->bytes += o->files[i]->bytes;
    t->locations[i] = keep(x, o->files[i]->location);
    t->staged[i] = keep_bytes(x, &o->files[i]->staged);
  }
  result_take_head(st, t, o);
}

static rc take_heads(step *st, step_task *t, const Cluster__TaskOutput *o, err *e) {
  Planning__HeadsResponse *r =
      planning__heads_response__unpack(NULL, o->answer.len, o->answer.data);
  if (!r) return ERR(e, RC_INVALID, "the joined first rows do not decode");
  Cluster__TaskOutput joined;
  cluster__task_output__init(&joined);
  joined.head = r->head;
  result_take_head(st, t, &joined);
  planning__heads_response__free_unpacked(r, NULL);
  return RC_OK;
}

static void take_boundaries(step *st, step_task *t, const Cluster__TaskOutput *o) {
  arena *a = &st->execution->arena;
  t->n_boundaries = o->n_boundaries < st->partitions ? o->n_boundaries : st->partitions - 1;
  t->boundaries = ARENA_NEW(a, plan_bytes, t->n_boundaries);
  for (size_t i = 0; i < t->n_boundaries; i++)
    t->boundaries[i] = keep_bytes(st->execution, &o->boundaries[i]);
}

static rc take_output(step *st, step_task *t, const Cluster__TaskOutput *o, err *e) {
  t->has_rows = o->has_rows;
  t->rows = o->rows;
  switch (st->kind) {
  case STEP_DESCRIBE:
  case STEP_CAPTURE:
    buf_clear(&st->execution->planning->answer);
    return buf_append(&st->execution->planning->answer, o->answer.data, o->answer.len, e);
  case STEP_EXPLAIN:
    return plans_take(st->execution->q, o->answer.data, o->answer.len, e);
  case STEP_HEADS:
    return take_heads(st, t, o, e);
  case STEP_COMMIT:
    return RC_OK;
  case STEP_BOUNDARIES:
    take_boundaries(st, t, o);
    return RC_OK;
  case STEP_DIVIDE:
    return take_files(st, t, o, e);
  case STEP_STAGE:
    if (!st->result) return take_files(st, t, o, e);
    break;
  case STEP_WHOLE:
    break;
  }
  if (st->execution->q->stream) {
    TRY(take_files(st, t, o, e));
    return stream_take(st->execution->q->stream, t, o, e);
  }
  take_result(st, t, o);
  return RC_OK;
}

rc steps_end(step *st, uint32_t task, const Cluster__RunTaskResponse *r, err *e) {
  step_task *t = &st->tasks[task];
  if (r->times) {
    t->run_us = r->times->run_us;
    t->cpu_us = r->times->cpu_us;
  }
  TRY(take_output(st, t, r->output, e));
  t->done = true;
  return RC_OK;
}

void steps_fail(step *st, uint32_t task, const char *text) {
  step_task *t = &st->tasks[task];
  t->head_error = keep(st->execution, text);
  t->done = true;
}

/* ---- what tasks read ---- */

static const step *producer(const step *st, const stage_leaf *leaf, size_t i) {
  return st->execution->stages[leaf->producers[i]->number];
}

uint32_t steps_count_partitions(const step *st, const stage_leaf *leaf) {
  uint32_t n = 0, writers = 0;
  for (size_t i = 0; i < leaf->n_producers; i++) {
    const step *from = producer(st, leaf, i);
    writers += from->n_tasks;
    bool undivided = from->stage->output.range.data && !from->partitions;
    uint32_t of_this = from->partitions ? from->partitions : undivided ? 1 : writers;
    if (of_this > n) n = of_this;
  }
  return n;
}

typedef struct range {
  uint32_t first, n; /* partitions */
} range;
static const range ALL = {0, UINT32_MAX};

static bool is_in(range r, uint32_t partition) {
  return partition >= r.first && partition - r.first < r.n;
}

/* Files ascend by partition. */
static size_t first_file(const step_task *t, uint32_t partition) {
  size_t low = 0, high = t->n_files;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (t->files[middle].partition < partition)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* All files of these partitions of a leaf, in the order of rows. */
static void each_file(const step *st, const stage_leaf *leaf, range r, steps_on_partition *on_file,
                      void *arg) {
  uint32_t writers = 0;
  for (size_t i = 0; i < leaf->n_producers; i++) {
    const step *from = producer(st, leaf, i);
    for (uint32_t k = 0; k < from->n_tasks; k++, writers++) {
      const step_task *t = &from->tasks[k];
      uint32_t writer = from->stage->output.range.data ? 0 : writers;
      for (size_t f = from->partitions ? first_file(t, r.first) : 0; f < t->n_files; f++) {
        uint32_t partition = from->partitions ? t->files[f].partition : writer;
        if (!is_in(r, partition)) break;
        on_file(arg, t, &t->files[f], partition);
      }
    }
  }
}

void steps_each_file(const step *st, const stage_leaf *leaf, steps_on_partition *on_file,
                     void *arg) {
  each_file(st, leaf, ALL, on_file, arg);
}

typedef struct listener {
  steps_on_file *on_file;
  void *arg;
  uint32_t seen, share, n_shares;
} listener;

static void tell(void *arg, const step_task *writer, const step_file *file, uint32_t partition) {
  (void)partition;
  listener *l = arg;
  if (l->seen++ % l->n_shares == l->share) l->on_file(l->arg, writer, file);
}

void steps_each_input(const step *st, uint32_t task, const stage_leaf *leaf, steps_on_file *on_file,
                      void *arg) {
  const step_task *t = &st->tasks[task];
  range r = leaf->read == LEAF_PARTITION ? (range){t->first_partition, t->n_partitions} : ALL;
  bool shared = leaf->divisible && leaf->read == LEAF_PARTITION && t->n_shares;
  listener l = {on_file, arg, 0, shared ? t->share : 0, shared ? t->n_shares : 1};
  each_file(st, leaf, r, tell, &l);
}

void steps_each_divided(const step *st, uint32_t task, steps_on_file *on_file, void *arg) {
  for (uint32_t i = 0; i < st->divided->n_tasks; i++) {
    const step_task *from = &st->divided->tasks[i];
    if (st->kind == STEP_DIVIDE && st->tasks[task].divided != from) continue;
    for (size_t f = 0; f < from->n_files; f++) on_file(arg, from, &from->files[f]);
  }
}

/* ---- how many tasks ---- */

uint64_t steps_bytes(const step *st) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < st->n_tasks; i++) bytes += st->tasks[i].bytes;
  return bytes;
}

uint32_t steps_worth(const execution *x, uint64_t bytes, uint32_t most) {
  uint32_t factor = execution_single_worker_factor(x);
  if (!factor) return most;
  uint64_t n = bytes / ((uint64_t)x->s->conf->scheduler.planner.task_bytes * factor);
  return n < 1 ? 1 : n < most ? (uint32_t)n : most;
}

/* Long tasks do not end at the same time: of much there are several for each partition, so that a
 * slot which is early has something left to do. */
static uint32_t count_source_tasks(const execution *x, const stage *st) {
  uint64_t bytes = st->source->bytes;
  if (!bytes) bytes = (uint64_t)(st->source->rows * STEP_ROW_BYTES);
  uint64_t each = bytes / LONG_TASK_BYTES / x->partitions;
  each = each < 1 ? 1 : each > MOST_OF_A_PARTITION ? MOST_OF_A_PARTITION : each;
  return stages_source_tasks(st, steps_worth(x, bytes, x->partitions) * (uint32_t)each);
}

step *steps_add_stage(execution *x, const stage *st, spool *plan) {
  step *added = st->tasks == STAGE_PARTITIONS ? balance_partitions(x, st, plan)
                : st->tasks == STAGE_SOURCE
                    ? steps_add(x, STEP_STAGE, plan, count_source_tasks(x, st))
                    : steps_add(x, STEP_STAGE, plan, 1);
  added->stage = st;
  added->partitions = st->output.n_keys ? x->partitions : 0;
  return added;
}

/* ---- where ---- */

typedef struct share {
  const step_host *host;
  uint64_t bytes;
} share;
typedef struct shares {
  share *items;
  size_t n;
} shares;

static void add_share(void *arg, const step_task *writer, const step_file *file) {
  shares *s = arg;
  size_t i = 0;
  while (i < s->n && s->items[i].host != writer->host) i++;
  if (i == s->n) s->items[s->n++] = (share){.host = writer->host};
  s->items[i].bytes += file->bytes;
}

uint32_t steps_count_workers(const step *st) {
  uint32_t n = 0;
  LIST_EACH (&st->execution->hosts, it, next) {
    uint32_t i = 0;
    while (i < st->n_tasks && st->tasks[i].host != LIST_ENTRY(it, step_host, link)) i++;
    n += i < st->n_tasks;
  }
  return n;
}

static size_t count_hosts(const execution *x) {
  size_t n = 0;
  LIST_EACH (&x->hosts, it, next) n++;
  return n;
}

static const char *richest(const shares *s) {
  const share *best = NULL;
  for (size_t i = 0; i < s->n; i++)
    if (!best || s->items[i].bytes > best->bytes) best = &s->items[i];
  return best ? best->host->instance_id : NULL;
}

const char **steps_prefer(const step *st) {
  execution *x = st->execution;
  const char **prefer = ARENA_NEW(&x->arena, const char *, st->n_tasks);
  shares s = {.items = ARENA_NEW(&x->arena, share, count_hosts(x))};
  for (uint32_t i = 0; i < st->n_tasks; i++) {
    s.n = 0;
    if (st->divided) steps_each_divided(st, i, add_share, &s);
    for (size_t k = 0; !st->divided && k < st->stage->n_leaves; k++)
      if (st->stage->leaves[k]->read != LEAF_BROADCAST)
        steps_each_input(st, i, st->stage->leaves[k], add_share, &s);
    prefer[i] = richest(&s);
  }
  return prefer;
}
