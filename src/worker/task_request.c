/* worker/task_request.c: what a request asks for: its runtime, its output, and the Run that goes to
 * the executor. SPDX-License-Identifier: Apache-2.0 */
#include "worker/task_internal.h"

#include "base/id.h"
#include "base/mem.h"

/* ---- its runtime ---- */

static rc choose_runtime(task *t, err *e) {
  const Cluster__RunTaskRequest *r = t->request;
  size_t n;
  const runtime *runtimes = pool_runtimes(t->config.pool, &n);
  int chosen = runtime_choose(runtimes, n, &r->plan_header, r->python_version, r->polars_version);
  if (chosen >= 0) {
    t->job.runtime = (size_t)chosen;
    return RC_OK;
  }
  buf have = {0};
  runtime_print(runtimes, n, &have);
  const char *python = *r->python_version ? r->python_version : "any";
  rc failed = ERR(e, RC_PRECONDITION,
                  "this worker has no runtime for plans of Polars %s with Python %s; it has: %s",
                  r->polars_version, python, buf_text(&have));
  buf_deinit(&have);
  return failed;
}

/* ---- its output ---- */

static bool is_to(const Cluster__RunTaskRequest *r, Cluster__RunTaskRequest__OutputCase where) {
  return r->output_case == where;
}

const char *task_folder(const Cluster__RunTaskRequest *r) {
  bool other = is_to(r, CLUSTER__RUN_TASK_REQUEST__OUTPUT_SHUFFLE) && *r->shuffle->folder;
  return other ? r->shuffle->folder : r->query_id;
}

/* They become parts of paths. */
static rc check_ids(const Cluster__RunTaskRequest *r, err *e) {
  uuid id;
  if (!uuid_parse(r->attempt_id, &id))
    return ERR(e, RC_INVALID, "attempt_id: expected a UUID, found \"%s\"", r->attempt_id);
  if (is_to(r, CLUSTER__RUN_TASK_REQUEST__OUTPUT_SHUFFLE) && !uuid_parse(task_folder(r), &id))
    return ERR(e, RC_INVALID, "folder: expected a UUID, found \"%s\"", task_folder(r));
  return inputs_validate(r, e);
}

static rc check_output(const Cluster__RunTaskRequest *r, err *e) {
  bool local = is_to(r, CLUSTER__RUN_TASK_REQUEST__OUTPUT_LOCAL);
  bool upload = is_to(r, CLUSTER__RUN_TASK_REQUEST__OUTPUT_UPLOAD);
  bool absent = is_to(r, CLUSTER__RUN_TASK_REQUEST__OUTPUT__NOT_SET);
  if (local && r->local->directory[0] != '/')
    return ERR(e, RC_INVALID, "output directory: expected an absolute path, found \"%s\"",
               r->local->directory);
  if ((local || upload) != (r->placeholder_len != 0))
    return ERR(e, RC_INVALID,
               "expected a placeholder in the plan and an output of files, or neither");
  bool stream = is_to(r, CLUSTER__RUN_TASK_REQUEST__OUTPUT_SHUFFLE) &&
                r->shuffle->format == CLUSTER__SHUFFLE_FORMAT__SHUFFLE_STREAM;
  if (stream && r->shuffle->partitions)
    return ERR(e, RC_INVALID, "expected a stream without partitions, found %u",
               r->shuffle->partitions);
  if (r->call && (!absent || r->n_user_sinks || r->n_inputs || r->n_splices))
    return ERR(e, RC_INVALID, "expected a planning call alone, found an output or inputs with it");
  return RC_OK;
}

static void choose_output(task *t) {
  const Cluster__RunTaskRequest *r = t->request;
  if (is_to(r, CLUSTER__RUN_TASK_REQUEST__OUTPUT_LOCAL))
    output_local(&t->output, t->config.scratch, r->attempt_id, r->local->directory, r->local->part);
  else if (is_to(r, CLUSTER__RUN_TASK_REQUEST__OUTPUT_UPLOAD))
    output_upload(&t->output, t->config.scratch, r->attempt_id);
}

static rc add_splices(task *t, err *e) {
  const Cluster__RunTaskRequest *r = t->request;
  for (size_t i = 0; i < r->n_splices; i++) {
    const Cluster__Splice *s = r->splices[i];
    splice_range range = {s->offset, s->len, s->with.data, s->with.len};
    TRY(splice_add(&t->splice, &range, e));
  }
  if (!r->placeholder_len) return RC_OK;
  return splice_add_text(&t->splice, r->placeholder_offset, r->placeholder_len,
                         t->output.scratch_path, e);
}

rc task_begin(task *t, err *e) {
  t->request = cluster__run_task_request__unpack(NULL, t->split.rest.len, t->split.rest.data);
  if (!t->request) return ERR(e, RC_INVALID, "RunTaskRequest does not decode");
  TRY(check_ids(t->request, e));
  TRY(check_output(t->request, e));
  choose_output(t);
  TRY(add_splices(t, e));
  return choose_runtime(t, e);
}

char *task_fetch_dir(const task *t) {
  return mem_printf("%s/%s", t->config.scratch->fetch_dir, t->request->attempt_id);
}

/* ---- its Run ---- */

static const char *compression_name(Cluster__ShuffleCompression c) {
  switch (c) {
  case CLUSTER__SHUFFLE_COMPRESSION__SHUFFLE_LZ4:
    return "lz4";
  case CLUSTER__SHUFFLE_COMPRESSION__SHUFFLE_ZSTD:
    return "zstd";
  default:
    return "uncompressed";
  }
}

static void fill_shuffle(task *t) {
  const Cluster__ShuffleOutput *from = t->request->shuffle;
  Executor__Shuffle *to = &t->shuffle;
  executor__shuffle__init(to);
  to->directory = t->shuffle_dir;
  to->partitions = from->partitions;
  to->key = from->key;
  to->ordered = from->ordered;
  to->parquet = from->format == CLUSTER__SHUFFLE_FORMAT__SHUFFLE_PARQUET;
  to->stream = from->format == CLUSTER__SHUFFLE_FORMAT__SHUFFLE_STREAM;
  to->compression = (char *)(uintptr_t)compression_name(from->compression);
  if (from->has_level) {
    to->opt_level_case = EXECUTOR__SHUFFLE__OPT_LEVEL_LEVEL;
    to->level = from->level;
  }
  t->job.run.shuffle = to;
}

static void fill_boundaries(task *t) {
  const Cluster__BoundariesOutput *from = t->request->boundaries;
  executor__boundaries__init(&t->boundaries);
  t->boundaries.partitions = from->partitions;
  t->boundaries.key = from->key;
  t->job.run.boundaries = &t->boundaries;
}

/* How much longer the plan has become before that place. */
static uint64_t moved(const Cluster__RunTaskRequest *r, uint64_t offset) {
  uint64_t by = 0;
  for (size_t i = 0; i < r->n_splices && r->splices[i]->offset < offset; i++)
    by += r->splices[i]->with.len - r->splices[i]->len;
  return by;
}

static void fill_sinks(task *t) {
  const Cluster__RunTaskRequest *r = t->request;
  Executor__Run *run = &t->job.run;
  t->sinks = mem_new(r->n_user_sinks * sizeof *t->sinks);
  t->sink_list = mem_new(r->n_user_sinks * sizeof *t->sink_list);
  for (size_t i = 0; i < r->n_user_sinks; i++) {
    const Cluster__UserSink *from = r->user_sinks[i];
    Executor__Sink *to = t->sink_list[i] = &t->sinks[i];
    executor__sink__init(to);
    to->path = from->path;
    to->format = from->format;
    to->offset = from->offset + moved(r, from->offset);
    to->len = from->len;
    to->folder = from->folder;
  }
  run->n_sinks = r->n_user_sinks;
  run->sinks = t->sink_list;
  run->attempt = r->attempt_id;
  run->marks = t->shuffle_dir;
}

static void fill_output(task *t) {
  const Cluster__RunTaskRequest *r = t->request;
  Executor__Run *run = &t->job.run;
  if (is_to(r, CLUSTER__RUN_TASK_REQUEST__OUTPUT_SHUFFLE)) {
    fill_shuffle(t);
  } else if (is_to(r, CLUSTER__RUN_TASK_REQUEST__OUTPUT_BOUNDARIES)) {
    fill_boundaries(t);
  } else if (t->output.scratch_path) {
    run->result_path = t->output.scratch_path;
  } else if (r->n_user_sinks) {
    fill_sinks(t);
  }
}

static rc fill_plan(task *t, err *e) {
  t->job.plan_fd = spool_fd(t->plan);
  if (t->job.plan_fd >= 0) return RC_OK;
  const uint8_t *data;
  TRY(spool_view(t->plan, &data, e));
  t->job.run.plan = (ProtobufCBinaryData){(size_t)spool_len(t->plan), (uint8_t *)(uintptr_t)data};
  return RC_OK;
}

rc task_fill_run(task *t, err *e) {
  const Cluster__RunTaskRequest *r = t->request;
  Executor__Run *run = &t->job.run;
  executor__run__init(run);
  TRY(fill_plan(t, e));
  run->engine = r->engine;
  if (r->has_optimization_flags) {
    run->opt_optimization_flags_case = EXECUTOR__RUN__OPT_OPTIMIZATION_FLAGS_OPTIMIZATION_FLAGS;
    run->optimization_flags = r->optimization_flags;
  }
  run->head_rows = r->head_rows;
  run->call = r->call;
  run->profile = t->config.reports && !r->call;
  run->n_inputs = t->inputs.n_leaves;
  run->inputs = t->inputs.leaves;
  fill_output(t);
  return RC_OK;
}
