/* scheduler/request.c: what a worker is told of a task. SPDX-License-Identifier: Apache-2.0
 *
 * Everything of RunTask but the plan's bytes, which dispatch.c streams from their spool. */
#include "base/clock.h"
#include "base/mem.h"
#include "scheduler/internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { PLAN_FIELD_KEY = 17 << 3 | 2 /* RunTaskRequest.plan, length-delimited */ };

typedef struct draft {
  const step *step;
  uint32_t task;
  arena arena; /* of all that the message points to */
  Cluster__RunTaskRequest m;
} draft;

static const query *query_of(const draft *d) {
  return d->step->execution->q;
}

static ProtobufCBinaryData view(plan_bytes b) {
  return (ProtobufCBinaryData){b.len, (uint8_t *)(uintptr_t)b.data};
}

static char *borrow(const char *text) {
  return (char *)(uintptr_t)text; /* packing reads only */
}

/* ---- what runs, and how ---- */

static char *text_of(draft *d, uuid u) {
  return arena_printf(&d->arena, "%s", uuid_print(u).s);
}

static Cluster__PlanningCall call_of(step_kind kind) {
  switch (kind) {
  case STEP_DESCRIBE:
    return CLUSTER__PLANNING_CALL__PLANNING_DESCRIBE;
  case STEP_CAPTURE:
    return CLUSTER__PLANNING_CALL__PLANNING_CAPTURE;
  case STEP_HEADS:
    return CLUSTER__PLANNING_CALL__PLANNING_HEADS;
  case STEP_EXPLAIN:
    return CLUSTER__PLANNING_CALL__PLANNING_EXPLAIN;
  case STEP_COMMIT:
    return CLUSTER__PLANNING_CALL__PLANNING_COMMIT;
  case STEP_WHOLE:
  case STEP_STAGE:
  case STEP_BOUNDARIES:
  case STEP_DIVIDE:
    break;
  }
  return CLUSTER__PLANNING_CALL__PLANNING_NONE;
}

static void put_task(draft *d) {
  const query *q = query_of(d);
  Cluster__RunTaskRequest *m = &d->m;
  cluster__run_task_request__init(m);
  m->attempt_id = text_of(d, d->step->tasks[d->task].attempt.u);
  m->query_id = text_of(d, q->id.u);
  m->stage = d->step->number;
  m->task = d->task;
  m->polars_version = q->polars_version;
  m->plan_header = (ProtobufCBinaryData){PLAN_HEADER_BYTES, (uint8_t *)(uintptr_t)q->plan_header};
  if (q->python_minor >= 0)
    m->python_version = arena_printf(&d->arena, "3.%d.%d", q->python_minor, q->python_micro);
  m->engine = (Cluster__Engine)q->settings.engine;
  m->has_optimization_flags = q->settings.has_optimization_flags;
  m->optimization_flags = q->settings.optimization_flags;
  m->call = call_of(d->step->kind);
}

/* ---- what it reads ---- */

typedef struct file_list {
  arena *arena;
  Cluster__ShuffleFile **items;
  size_t n, cap;
} file_list;

static void count_file(void *arg, const step_task *writer, const step_file *file) {
  (void)writer, (void)file;
  ((file_list *)arg)->cap++;
}

static void add_file(void *arg, const step_task *writer, const step_file *file) {
  file_list *l = arg;
  Cluster__ShuffleFile *f = ARENA_NEW(l->arena, Cluster__ShuffleFile, 1);
  cluster__shuffle_file__init(f);
  f->worker = borrow(writer->host->instance_id);
  f->incarnation = borrow(writer->host->incarnation);
  f->address = borrow(writer->host->shuffle_address);
  f->folder = borrow(writer->host->shuffle_folder);
  f->name = borrow(file->name);
  f->bytes = file->bytes;
  l->items[l->n++] = f;
}

/* `leaf` NULL: the files that a stage has written and that are divided now. */
static void each_file(const draft *d, const stage_leaf *leaf, steps_on_file *on_file,
                      file_list *l) {
  if (leaf)
    steps_each_input(d->step, d->task, leaf, on_file, l);
  else
    steps_each_divided(d->step, d->task, on_file, l);
}

static Cluster__TaskInput *new_input(draft *d, const stage_leaf *leaf, plan_bytes schema) {
  Cluster__TaskInput *in = ARENA_NEW(&d->arena, Cluster__TaskInput, 1);
  cluster__task_input__init(in);
  file_list l = {.arena = &d->arena};
  each_file(d, leaf, count_file, &l);
  l.items = ARENA_NEW(&d->arena, Cluster__ShuffleFile *, l.cap);
  each_file(d, leaf, add_file, &l);
  in->files = l.items;
  in->n_files = l.n;
  in->schema = view(schema);
  return in;
}

static Cluster__TaskInput *input_of(draft *d, const stage_leaf *leaf) {
  Cluster__TaskInput *in = new_input(d, leaf, leaf->schema);
  in->leaf = leaf->number;
  in->broadcast = leaf->read == LEAF_BROADCAST;
  return in;
}

static void put_inputs(draft *d) {
  const stage *st = d->step->stage;
  d->m.inputs = ARENA_NEW(&d->arena, Cluster__TaskInput *, st->n_leaves);
  d->m.n_inputs = st->n_leaves;
  for (size_t i = 0; i < st->n_leaves; i++) d->m.inputs[i] = input_of(d, st->leaves[i]);
}

static void put_divided(draft *d) {
  d->m.inputs = ARENA_NEW(&d->arena, Cluster__TaskInput *, 1);
  d->m.inputs[0] = new_input(d, NULL, (plan_bytes){0}); /* all columns of the files */
  d->m.n_inputs = 1;
}

static void put_splices(draft *d) {
  stage_splice parts[STAGE_MAX_SPLICES];
  size_t n =
      stages_bind(d->step->stage, d->step->marks, d->task, d->step->n_tasks, &d->arena, parts);
  d->m.splices = ARENA_NEW(&d->arena, Cluster__Splice *, n);
  d->m.n_splices = n;
  for (size_t i = 0; i < n; i++) {
    Cluster__Splice *s = ARENA_NEW(&d->arena, Cluster__Splice, 1);
    cluster__splice__init(s);
    s->offset = parts[i].offset;
    s->len = parts[i].len;
    s->with = view(parts[i].with);
    d->m.splices[i] = s;
  }
}

/* ---- what it writes ---- */

static void put_shuffle(draft *d) {
  const stage_output *o = &d->step->stage->output;
  const query_settings *settings = &query_of(d)->settings;
  Cluster__ShuffleOutput *out = ARENA_NEW(&d->arena, Cluster__ShuffleOutput, 1);
  cluster__shuffle_output__init(out);
  out->partitions = d->step->partitions;
  if (out->partitions)
    out->key = view(
        d->step->divided
            ? expr_range_partition(&d->arena, o->range, d->step->boundaries, out->partitions - 1)
            : expr_hash_partition(&d->arena, o->keys, o->n_keys, out->partitions));
  out->ordered = o->ordered;
  out->format = (Cluster__ShuffleFormat)settings->shuffle_format;
  out->compression = (Cluster__ShuffleCompression)settings->shuffle_compression;
  out->has_level = settings->has_shuffle_level;
  out->level = settings->shuffle_level;
  d->m.output_case = CLUSTER__RUN_TASK_REQUEST__OUTPUT_SHUFFLE;
  d->m.shuffle = out;
}

static void put_boundaries(draft *d) {
  Cluster__BoundariesOutput *out = ARENA_NEW(&d->arena, Cluster__BoundariesOutput, 1);
  cluster__boundaries_output__init(out);
  out->partitions = d->step->partitions;
  out->key = view(d->step->stage->output.range);
  d->m.output_case = CLUSTER__RUN_TASK_REQUEST__OUTPUT_BOUNDARIES;
  d->m.boundaries = out;
}

static Cluster__UserSink *sink_of(draft *d, const query_sink *from) {
  Cluster__UserSink *sink = ARENA_NEW(&d->arena, Cluster__UserSink, 1);
  cluster__user_sink__init(sink);
  sink->path = from->path;
  sink->format = from->format;
  sink->offset = d->step->kind == STEP_WHOLE ? from->offset : d->step->marks->placeholder.offset;
  sink->len = from->len;
  sink->folder = from->folder;
  return sink;
}

static void put_user_sinks(draft *d) {
  const query *q = query_of(d);
  d->m.n_user_sinks = q->n_sinks;
  d->m.user_sinks = ARENA_NEW(&d->arena, Cluster__UserSink *, q->n_sinks);
  for (size_t i = 0; i < q->n_sinks; i++) d->m.user_sinks[i] = sink_of(d, &q->sinks[i]);
}

static rc put_part(draft *d, err *e) {
  const execution *x = d->step->execution;
  uint32_t part = d->step->first_part + d->task;
  location_target target = {0};
  TRY(location_result_target(x->s->results, x->q->id, part, clock_wall_us(), &target, e));
  if (target.directory) {
    Cluster__LocalOutput *local = ARENA_NEW(&d->arena, Cluster__LocalOutput, 1);
    cluster__local_output__init(local);
    local->directory = arena_printf(&d->arena, "%s", target.directory);
    local->part = part;
    d->m.output_case = CLUSTER__RUN_TASK_REQUEST__OUTPUT_LOCAL;
    d->m.local = local;
  } else {
    Cluster__UploadOutput *upload = ARENA_NEW(&d->arena, Cluster__UploadOutput, 1);
    cluster__upload_output__init(upload);
    upload->url = arena_printf(&d->arena, "%s", target.put_url);
    upload->location = arena_printf(&d->arena, "%s", target.location);
    d->m.output_case = CLUSTER__RUN_TASK_REQUEST__OUTPUT_UPLOAD;
    d->m.upload = upload;
  }
  location_target_deinit(&target);
  return RC_OK;
}

/* The node below the sink becomes the root: stages are written without a sink, the client's plan
 * is not. */
static void put_splice_of_root(draft *d) {
  const query *q = query_of(d);
  Cluster__Splice *s = ARENA_NEW(&d->arena, Cluster__Splice, 1);
  cluster__splice__init(s);
  s->offset = q->sinkless.offset;
  s->len = q->sinkless.len;
  s->with = (ProtobufCBinaryData){q->sinkless.with_len, (uint8_t *)(uintptr_t)q->sinkless.with};
  d->m.splices = ARENA_NEW(&d->arena, Cluster__Splice *, 1);
  d->m.splices[0] = s;
  d->m.n_splices = 1;
}

static void put_stream(draft *d) {
  const query *q = query_of(d);
  Cluster__ShuffleOutput *out = ARENA_NEW(&d->arena, Cluster__ShuffleOutput, 1);
  cluster__shuffle_output__init(out);
  out->ordered = q->settings.maintain_order;
  out->format = CLUSTER__SHUFFLE_FORMAT__SHUFFLE_STREAM;
  out->folder = arena_printf(&d->arena, "%s", stream_folder(q->stream));
  d->m.output_case = CLUSTER__RUN_TASK_REQUEST__OUTPUT_SHUFFLE;
  d->m.shuffle = out;
  if (d->step->kind == STEP_WHOLE) put_splice_of_root(d);
}

static rc put_result(draft *d, err *e) {
  const query *q = query_of(d);
  if (q->stream) {
    put_stream(d);
    return RC_OK;
  }
  if (!query_is_anonymous(q)) {
    put_user_sinks(d);
    return RC_OK;
  }
  bool whole = d->step->kind == STEP_WHOLE;
  d->m.head_rows = RESULT_HEAD_ROWS;
  d->m.placeholder_offset = whole ? q->placeholder_offset : d->step->marks->placeholder.offset;
  d->m.placeholder_len = q->placeholder_len;
  return put_part(d, e);
}

static void put_stage(draft *d) {
  if (d->step->divided)
    put_divided(d);
  else
    put_inputs(d);
  if (!d->step->divided && d->step->stage->tasks == STAGE_SOURCE) put_splices(d);
  if (d->step->kind == STEP_BOUNDARIES)
    put_boundaries(d);
  else if (!d->step->result)
    put_shuffle(d);
}

static rc put_all(draft *d, err *e) {
  put_task(d);
  if (d->step->stage) put_stage(d);
  return d->step->result ? put_result(d, e) : RC_OK;
}

/* ---- packing ---- */

static rc put_varint(buf *b, uint64_t v, err *e) {
  uint8_t bytes[10];
  size_t n = 0;
  do {
    bytes[n++] = (uint8_t)((v & 0x7F) | (v > 0x7F ? 0x80 : 0));
    v >>= 7;
  } while (v);
  return buf_append(b, bytes, n, e);
}

/* Everything but the plan, then the plan's key and length: its bytes follow from the spool. */
static rc pack(const draft *d, buf *out, err *e) {
  TRY(buf_reserve(out, cluster__run_task_request__get_packed_size(&d->m), e));
  out->len = cluster__run_task_request__pack(&d->m, out->data);
  TRY(put_varint(out, PLAN_FIELD_KEY, e));
  return put_varint(out, spool_len(d->step->plan), e);
}

rc request_build(const step *st, uint32_t task, buf *out, err *e) {
  draft d = {.step = st, .task = task};
  rc r = put_all(&d, e);
  if (r == RC_OK) r = pack(&d, out, e);
  arena_deinit(&d.arena);
  return r;
}
