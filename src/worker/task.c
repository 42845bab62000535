/* worker/task.c: see task.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/task_internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/afterwards.h"
#include "store/http.h"

#include <stdlib.h>

enum {
  PLAN_FIELD = 17,       /* of RunTaskRequest */
  MAX_FIELDS = 64 << 20, /* bytes of all its other fields: the names of many files, above all */
  PLAN_IN_MEMORY = 1 << 20,
};

static void free_spool(void *plan) {
  spool_free(plan);
}

static void task_free(task *t) {
  pb_split_deinit(&t->split);
  executor__done__free_unpacked(t->done, NULL);
  inputs_deinit(&t->inputs);
  splice_deinit(&t->splice);
  cluster__run_task_request__free_unpacked(t->request, NULL);
  if (spool_fd(t->plan) < 0)
    spool_free(t->plan);
  else
    afterwards(t->config.loop, free_spool, t->plan);
  output_deinit(&t->output);
  free(t->shuffle_dir);
  free(t->sinks);
  free(t->sink_list);
  free(t->sizes);
  free(t->error_type);
  free(t->error_message);
  free(t);
}

/* The first failure is the one that is told. */
static void fail(task *t, Cluster__FailureKind kind, const char *type, const char *message) {
  if (t->failure != CLUSTER__FAILURE_KIND__FAILURE_UNSPECIFIED) return;
  t->failure = kind;
  t->error_type = mem_strdup(type);
  t->error_message = mem_strdup(message);
}

static void forget_failure(task *t) {
  free(t->error_type);
  free(t->error_message);
  t->error_type = t->error_message = NULL;
  t->failure = CLUSTER__FAILURE_KIND__FAILURE_UNSPECIFIED;
}

static bool is_canceled(const task *t) {
  return atomic_load(&t->canceled);
}

static void fail_worker(task *t) {
  fail(t, CLUSTER__FAILURE_KIND__FAILURE_WORKER, "", t->error.text);
}

/* ---- finish ---- */

/* What the executor says of its files is looked at, not believed. */
static rc measure_shuffled(task *t, err *e) {
  uint32_t partitions = t->request->shuffle->partitions;
  size_t n = t->done->n_shuffled;
  t->sizes = mem_new((n + 1) * sizeof *t->sizes);
  for (size_t i = 0; i < n; i++) {
    const Executor__ShuffledFile *f = t->done->shuffled[i];
    if (!tree_is_plain(f->name) || f->partition >= (partitions ? partitions : 1))
      return ERR(e, RC_INTERNAL, "the executor wrote \"%s\" as partition %u of %u", f->name,
                 f->partition, partitions);
    char *path = mem_printf("%s/%s", t->shuffle_dir, f->name);
    rc r = output_size(path, &t->sizes[i], e);
    free(path);
    TRY(r);
  }
  return RC_OK;
}

static rc commit(task *t, err *e) {
  if (t->shuffle_dir && !t->request->n_user_sinks) {
    TRY(shuffle_keep(t->config.shuffle, t->shuffle_dir, e));
    TRY(measure_shuffled(t, e));
  }
  if (t->output.scratch_path) TRY(output_size(t->output.scratch_path, &t->bytes, e));
  if (is_canceled(t)) return ERR(e, RC_CANCELLED, "cancelled");
  if (!t->output.scratch_path) return RC_OK;
  if (t->output.directory) return output_commit(&t->output, e);
  return store_put_file(t->request->upload->url, t->output.scratch_path, &t->canceled, e);
}

static void clean_up(task *t) {
  output_discard(&t->output);
  if (t->shuffle_dir && (!t->commit || t->code != RC_OK))
    shuffle_drop(t->config.shuffle, task_folder(t->request), t->request->attempt_id);
  if (t->inputs.n_fetched) tree_remove(t->inputs.fetch_dir);
}

static void finish_work(uv_work_t *work) {
  task *t = work->data;
  if (t->commit)
    t->code = commit(t, &t->error);
  else if (t->run_end_ns) /* did the executor fail because an input went away? */
    (void)!inputs_check(&t->inputs, &t->lost);
  clean_up(t);
}

static void fail_lost(task *t, const char *text) {
  fail(t, CLUSTER__FAILURE_KIND__FAILURE_INPUT_LOST, "", text);
  if (t->failure == CLUSTER__FAILURE_KIND__FAILURE_INPUT_LOST)
    LOG_WARN("an input of a task is lost", "query", t->request->query_id, "attempt",
             t->request->attempt_id, "error", t->error_message);
}

/* Whatever the executor made of it: the query itself is not at fault. */
static void check_lost(task *t) {
  bool may_be = t->failure == CLUSTER__FAILURE_KIND__FAILURE_QUERY ||
                t->failure == CLUSTER__FAILURE_KIND__FAILURE_EXECUTOR_LOST;
  if (!may_be || t->lost.code == RC_OK) return;
  forget_failure(t);
  fail_lost(t, t->lost.text);
}

static void finish(task *t);

static void finished(uv_work_t *work, int status) {
  (void)status;
  task *t = work->data;
  if (t->commit && t->code != RC_OK) fail_worker(t);
  check_lost(t);
  if (t->commit && t->code == RC_OK && t->shuffle_dir && is_canceled(t)) {
    t->commit = false; /* nobody will hear of these files: once more, to remove them */
    finish(t);
    return;
  }
  task_answer(t);
  task_free(t);
}

static void finish(task *t) {
  t->phase = FINISHING;
  t->work.data = t;
  uv_queue_work(t->config.loop, &t->work, finish_work, finished);
}

/* ---- run ---- */

static void take_done(task *t, executor_result *result) {
  if (!result->done->ok) {
    Cluster__FailureKind kind = result->done->lost ? CLUSTER__FAILURE_KIND__FAILURE_INPUT_LOST
                                                   : CLUSTER__FAILURE_KIND__FAILURE_QUERY;
    fail(t, kind, result->done->error_type, result->done->error_message);
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

static void on_profile(pool_job *job, const Executor__Profile *profile) {
  const task *t = LIST_ENTRY(job, task, job);
  reports_task(t->config.reports, t->request, profile, NULL);
}

static void run(task *t) {
  t->phase = WORKING;
  t->job.on_end = on_job_end;
  t->job.on_profile = on_profile;
  t->code = task_fill_run(t, &t->error);
  if (t->code == RC_OK) {
    pool_submit(t->config.pool, &t->job);
  } else {
    fail_worker(t);
    finish(t);
  }
}

/* ---- fetch ---- */

static void on_fetched(fetch *job) {
  task *t = LIST_ENTRY(job, task, fetch);
  if (job->code == RC_NOT_FOUND) {
    fail_lost(t, job->error.text);
  } else if (job->code != RC_OK) { /* a cancelled one has failed already */
    t->error = job->error;
    fail_worker(t);
  }
  if (job->code != RC_OK || is_canceled(t))
    finish(t);
  else
    run(t);
}

static void fetch_inputs(task *t) {
  t->phase = FETCHING;
  t->fetch = (fetch){.inputs = &t->inputs, .query = t->request->query_id, .on_end = on_fetched};
  fetcher_start(t->config.fetcher, &t->fetch);
}

/* ---- prepare ---- */

static rc prepare(task *t, err *e) {
  const Cluster__RunTaskRequest *r = t->request;
  TRY(output_prepare(&t->output, t->config.scratch, e));
  if (r->output_case == CLUSTER__RUN_TASK_REQUEST__OUTPUT_SHUFFLE || r->n_user_sinks)
    TRY(shuffle_prepare(t->config.shuffle, task_folder(r), r->attempt_id, &t->shuffle_dir, e));
  char *fetch_dir = task_fetch_dir(t);
  inputs_locate(&t->inputs, r, t->config.shuffle, fetch_dir);
  free(fetch_dir);
  if (t->inputs.n_fetched)
    TRY(executor_user_make_folder(&t->config.scratch->user, t->inputs.fetch_dir, e));
  return inputs_check(&t->inputs, &t->lost);
}

static void prepare_work(uv_work_t *work) {
  task *t = work->data;
  t->code = prepare(t, &t->error);
}

static void prepared(uv_work_t *work, int status) {
  (void)status;
  task *t = work->data;
  if (t->lost.code != RC_OK)
    fail_lost(t, t->lost.text);
  else if (t->code != RC_OK)
    fail_worker(t);
  if (t->code != RC_OK || is_canceled(t))
    finish(t);
  else if (t->inputs.n_fetched)
    fetch_inputs(t);
  else
    run(t);
}

/* ---- receive ---- */

static void refuse(task *t, rc code) {
  t->refused = true;
  t->code = code;
  finish(t);
}

static rc on_plan(void *arg, const uint8_t *data, size_t len, err *e) {
  task *t = arg;
  if (!t->request) TRY(task_begin(t, e));
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
  else if (t->phase == FETCHING)
    fetcher_cancel(t->config.fetcher, &t->fetch);
  else if (t->phase == WORKING)
    pool_cancel(t->config.pool, &t->job, kill);
}
