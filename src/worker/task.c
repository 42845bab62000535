/* worker/task.c: see task.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/task.h"

#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/spool.h"
#include "net/pb_split.h"
#include "store/http.h"
#include "store/location.h"
#include "worker/splice.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
  PLAN_FIELD = 17,         /* of RunTaskRequest */
  MAX_FIELDS = 256 * 1024, /* bytes of all its other fields */
  PLAN_IN_MEMORY = 1 << 20,
};

typedef enum task_phase { RECEIVING, PREPARING, WORKING, FINISHING } task_phase;

struct task {
  task_config config;
  task_phase phase;
  pb_split split;
  Cluster__RunTaskRequest *request; /* NULL until the first byte of the plan */
  plan_splice splice;
  spool *plan;
  output output;
  pool_job job;
  uv_work_t work;
  atomic_bool canceled;
  uint64_t received_ns, run_end_ns;
  /* how it ends */
  rc code; /* of a request that is not valid, or of the worker's own part */
  err error;
  bool refused; /* the request itself was at fault */
  bool commit;  /* the executor is done and all is well so far */
  Cluster__FailureKind failure;
  char *error_type, *error_message;
  Executor__Done *done; /* owned: the executor's report */
  uint64_t bytes, peak_rss_bytes;
};

/* ---- the answer ---- */

static void task_free(task *t) {
  pb_split_deinit(&t->split);
  cluster__run_task_request__free_unpacked(t->request, NULL);
  executor__done__free_unpacked(t->done, NULL);
  splice_deinit(&t->splice);
  spool_free(t->plan);
  output_deinit(&t->output);
  free(t->error_type);
  free(t->error_message);
  free(t);
}

static char *result_location(const task *t) {
  const Cluster__RunTaskRequest *r = t->request;
  if (t->output.directory) return mem_printf("%s/" LOCATION_FIRST_PART, t->output.directory);
  if (r->output_case == CLUSTER__RUN_TASK_REQUEST__OUTPUT_UPLOAD)
    return mem_strdup(r->upload->location);
  return mem_strdup(r->user_sink ? r->user_sink->path : "");
}

static void answer_output(task *t, Cluster__RunTaskResponse *response) {
  Cluster__OutputFile file, *files = &file;
  Cluster__TaskOutput result;
  cluster__output_file__init(&file);
  cluster__task_output__init(&result);
  file.location = result_location(t);
  file.bytes = t->bytes;
  result.n_files = *file.location ? 1 : 0;
  result.files = &files;
  result.has_rows = t->done->opt_rows_case == EXECUTOR__DONE__OPT_ROWS_ROWS;
  result.rows = result.has_rows ? t->done->rows : 0;
  result.head = t->done->head;
  result.head_error = t->done->head_error;
  response->outcome_case = CLUSTER__RUN_TASK_RESPONSE__OUTCOME_OUTPUT;
  response->output = &result;
  t->config.on_answer(t->config.owner, response, RC_OK, "");
  free(file.location);
}

static void answer_failure(task *t, Cluster__RunTaskResponse *response) {
  Cluster__TaskFailure failure;
  cluster__task_failure__init(&failure);
  failure.kind = t->failure;
  if (t->error_type) failure.error_type = t->error_type;
  if (t->error_message) failure.message = t->error_message;
  response->outcome_case = CLUSTER__RUN_TASK_RESPONSE__OUTCOME_FAILURE;
  response->failure = &failure;
  t->config.on_answer(t->config.owner, response, RC_OK, "");
}

static uint64_t us_between(uint64_t from_ns, uint64_t to_ns) {
  return from_ns && to_ns > from_ns ? (to_ns - from_ns) / 1000 : 0;
}

static void answer(task *t) {
  if (t->refused) {
    t->config.on_answer(t->config.owner, NULL, t->code, t->error.text);
    return;
  }
  Cluster__RunTaskResponse response;
  Cluster__TaskTimes times;
  cluster__run_task_response__init(&response);
  cluster__task_times__init(&times);
  response.times = &times;
  times.queued_us = us_between(t->received_ns, t->job.started_ns);
  times.run_us = t->done ? t->done->run_us : us_between(t->job.started_ns, t->run_end_ns);
  times.cpu_us = t->done ? t->done->cpu_us : 0;
  times.commit_us = us_between(t->run_end_ns, uv_hrtime());
  times.peak_rss_bytes = t->peak_rss_bytes;
  if (t->failure == CLUSTER__FAILURE_KIND__FAILURE_UNSPECIFIED)
    answer_output(t, &response);
  else
    answer_failure(t, &response);
}

/* The first failure is the one that is told. */
static void fail(task *t, Cluster__FailureKind kind, const char *type, const char *message) {
  if (t->failure != CLUSTER__FAILURE_KIND__FAILURE_UNSPECIFIED) return;
  t->failure = kind;
  t->error_type = mem_strdup(type);
  t->error_message = mem_strdup(message);
}

static void fail_worker(task *t) {
  fail(t, CLUSTER__FAILURE_KIND__FAILURE_WORKER, "", t->error.text);
}

/* ---- finish ---- */

static rc commit(task *t, err *e) {
  if (!t->output.scratch_path) return RC_OK;
  TRY(output_size(t->output.scratch_path, &t->bytes, e));
  if (atomic_load(&t->canceled)) return ERR(e, RC_CANCELLED, "cancelled");
  if (t->output.directory) return output_commit(&t->output, e);
  return store_put_file(t->request->upload->url, t->output.scratch_path, &t->canceled, e);
}

static void finish_work(uv_work_t *work) {
  task *t = work->data;
  if (t->commit) t->code = commit(t, &t->error);
  output_discard(&t->output);
}

static void finished(uv_work_t *work, int status) {
  (void)status;
  task *t = work->data;
  if (t->commit && t->code != RC_OK) fail_worker(t);
  answer(t);
  task_free(t);
}

static void finish(task *t) {
  t->phase = FINISHING;
  t->work.data = t;
  uv_queue_work(t->config.loop, &t->work, finish_work, finished);
}

/* ---- run ---- */

static bool is_canceled(task *t) {
  return atomic_load(&t->canceled);
}

static void take_done(task *t, executor_result *result) {
  if (!result->done->ok) {
    fail(t, CLUSTER__FAILURE_KIND__FAILURE_QUERY, result->done->error_type,
         result->done->error_message);
    return;
  }
  t->commit = !is_canceled(t);
  t->done = result->done;
  result->done = NULL; /* ours now */
}

static void on_job_end(pool_job *job, executor_result *result) {
  task *t = LIST_ENTRY(job, task, job);
  t->run_end_ns = uv_hrtime();
  t->peak_rss_bytes = result->peak_rss_bytes;
  switch (result->end) {
  case EXECUTOR_END_DONE:
    take_done(t, result);
    break;
  case EXECUTOR_END_CANCELED:
    fail(t, CLUSTER__FAILURE_KIND__FAILURE_CANCELED, "", "cancelled");
    break;
  case EXECUTOR_END_OUT_OF_MEMORY:
    fail(t, CLUSTER__FAILURE_KIND__FAILURE_OUT_OF_MEMORY, "", result->text);
    break;
  case EXECUTOR_END_LOST:
    fail(t, CLUSTER__FAILURE_KIND__FAILURE_EXECUTOR_LOST, "", result->text);
  }
  finish(t);
}

static rc fill_run(task *t, err *e) {
  const Cluster__RunTaskRequest *r = t->request;
  Executor__Run *run = &t->job.run;
  executor__run__init(run);
  t->job.plan_fd = spool_fd(t->plan);
  if (t->job.plan_fd < 0) {
    const uint8_t *data;
    TRY(spool_view(t->plan, &data, e));
    run->plan = (ProtobufCBinaryData){(size_t)spool_len(t->plan), (uint8_t *)(uintptr_t)data};
  }
  run->engine = r->engine;
  if (r->has_optimization_flags) {
    run->opt_optimization_flags_case = EXECUTOR__RUN__OPT_OPTIMIZATION_FLAGS_OPTIMIZATION_FLAGS;
    run->optimization_flags = r->optimization_flags;
  }
  run->head_rows = r->head_rows;
  if (t->output.scratch_path) {
    run->result_path = t->output.scratch_path;
  } else if (r->user_sink) {
    run->sink_path = r->user_sink->path;
    run->sink_format = r->user_sink->format;
  }
  return RC_OK;
}

static void run(task *t) {
  t->phase = WORKING;
  t->job.on_end = on_job_end;
  t->code = fill_run(t, &t->error);
  if (t->code == RC_OK) {
    pool_submit(t->config.pool, &t->job);
  } else {
    fail_worker(t);
    finish(t);
  }
}

/* ---- prepare ---- */

static void prepare_work(uv_work_t *work) {
  task *t = work->data;
  t->code = output_prepare(&t->output, t->config.scratch, &t->error);
}

static void prepared(uv_work_t *work, int status) {
  (void)status;
  task *t = work->data;
  if (t->code != RC_OK) fail_worker(t);
  if (t->code != RC_OK || is_canceled(t))
    finish(t);
  else
    run(t);
}

/* ---- receive ---- */

static void refuse(task *t, rc code) {
  t->refused = true;
  t->code = code;
  finish(t);
}

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

static rc choose_output(task *t, err *e) {
  const Cluster__RunTaskRequest *r = t->request;
  uuid id;
  if (!uuid_parse(r->attempt_id, &id)) /* it becomes part of paths */
    return ERR(e, RC_INVALID, "attempt_id: expected a UUID, found \"%s\"", r->attempt_id);
  bool upload = r->output_case == CLUSTER__RUN_TASK_REQUEST__OUTPUT_UPLOAD;
  bool local = r->output_case == CLUSTER__RUN_TASK_REQUEST__OUTPUT_LOCAL;
  if (local && r->local->directory[0] != '/')
    return ERR(e, RC_INVALID, "output directory: expected an absolute path, found \"%s\"",
               r->local->directory);
  if ((local || upload) != (r->placeholder_len != 0))
    return ERR(e, RC_INVALID, "expected an output and a placeholder in the plan, or neither");
  if (local)
    output_local(&t->output, t->config.scratch, r->attempt_id, r->local->directory);
  else if (upload)
    output_upload(&t->output, t->config.scratch, r->attempt_id);
  return splice_init(&t->splice, r->placeholder_offset, r->placeholder_len, t->output.scratch_path,
                     e);
}

/* All other fields are known: the plan is always the last. */
static rc begin(task *t, err *e) {
  t->request = cluster__run_task_request__unpack(NULL, t->split.rest.len, t->split.rest.data);
  if (!t->request) return ERR(e, RC_INVALID, "RunTaskRequest does not decode");
  TRY(choose_output(t, e));
  return choose_runtime(t, e);
}

static rc on_plan(void *arg, const uint8_t *data, size_t len, err *e) {
  task *t = arg;
  if (!t->request) TRY(begin(t, e));
  return splice_feed(&t->splice, data, len, t->plan, e);
}

task *task_new(const task_config *config) {
  task *t = NEW(task);
  t->config = *config;
  t->plan = spool_new(config->scratch->dir, PLAN_IN_MEMORY);
  pb_split_init(&t->split, PLAN_FIELD, MAX_FIELDS, on_plan, t);
  return t;
}

/* No such runtime is an outcome that the scheduler knows; the rest is a wrong request. */
static void end_receiving(task *t, rc code) {
  if (code == RC_PRECONDITION) {
    fail(t, CLUSTER__FAILURE_KIND__FAILURE_NO_RUNTIME, "", t->error.text);
    finish(t);
  } else if (code == RC_INVALID) {
    refuse(t, code);
  } else { /* the disk is full, say */
    fail_worker(t);
    finish(t);
  }
}

void task_receive(task *t, const uint8_t *data, size_t len) {
  if (t->phase != RECEIVING) return;
  rc r = pb_split_feed(&t->split, data, len, &t->error);
  if (r != RC_OK) end_receiving(t, r);
}

static rc check_whole(task *t, err *e) {
  TRY(pb_split_end(&t->split, e));
  if (!t->request || !spool_len(t->plan)) return ERR(e, RC_INVALID, "the request holds no plan");
  return splice_end(&t->splice, e);
}

void task_received(task *t) {
  if (t->phase != RECEIVING) return;
  rc r = check_whole(t, &t->error);
  if (r != RC_OK) {
    end_receiving(t, r);
    return;
  }
  t->received_ns = uv_hrtime();
  t->phase = PREPARING;
  t->work.data = t;
  uv_queue_work(t->config.loop, &t->work, prepare_work, prepared);
}

/* ---- cancel ---- */

void task_cancel(task *t, bool kill, const char *why) {
  atomic_store(&t->canceled, true);
  fail(t, CLUSTER__FAILURE_KIND__FAILURE_CANCELED, "", why);
  if (t->phase == RECEIVING)
    finish(t);
  else if (t->phase == WORKING)
    pool_cancel(t->config.pool, &t->job, kill);
}
