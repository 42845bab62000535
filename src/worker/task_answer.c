/* worker/task_answer.c: what an attempt answers. SPDX-License-Identifier: Apache-2.0 */
#include "worker/task_internal.h"

#include "base/mem.h"
#include "store/location.h"

#include <stdlib.h>

enum { MOST_ERROR = 4096 }; /* bytes of its text, for the observatory */

/* ---- an output ---- */

static char *result_location(const task *t, arena *a) {
  const Cluster__RunTaskRequest *r = t->request;
  if (t->output.directory)
    return arena_printf(a, "%s/%s", t->output.directory, location_part(t->output.part).s);
  bool upload = r->output_case == CLUSTER__RUN_TASK_REQUEST__OUTPUT_UPLOAD;
  return upload ? r->upload->location : NULL;
}

static Cluster__OutputFile *add_file(Cluster__TaskOutput *result, arena *a) {
  Cluster__OutputFile *file = result->files[result->n_files++] =
      ARENA_NEW(a, Cluster__OutputFile, 1);
  cluster__output_file__init(file);
  return file;
}

static void put_files(const task *t, Cluster__TaskOutput *result, arena *a) {
  char *ours = result_location(t, a);
  result->files = ARENA_NEW(a, Cluster__OutputFile *, t->done->n_written + 1);
  if (ours) {
    Cluster__OutputFile *file = add_file(result, a);
    file->location = ours;
    file->bytes = t->bytes;
  }
  for (size_t i = 0; i < t->done->n_written; i++) {
    const Executor__Written *from = t->done->written[i];
    Cluster__OutputFile *file = add_file(result, a);
    file->location = from->location;
    file->bytes = from->bytes;
    file->staged = from->staged;
  }
}

static Cluster__ShuffledFile **shuffled_of(const task *t, arena *a) {
  size_t n = t->done->n_shuffled;
  Cluster__ShuffledFile **files = ARENA_NEW(a, Cluster__ShuffledFile *, n + 1);
  for (size_t i = 0; i < n; i++) {
    const Executor__ShuffledFile *from = t->done->shuffled[i];
    Cluster__ShuffledFile *to = files[i] = ARENA_NEW(a, Cluster__ShuffledFile, 1);
    cluster__shuffled_file__init(to);
    to->partition = from->partition;
    to->name = arena_printf(a, "%s/%s", t->request->attempt_id, from->name);
    to->bytes = t->sizes[i];
    to->rows = from->rows;
  }
  return files;
}

static void answer_output(task *t, Cluster__RunTaskResponse *response) {
  arena memory = {0};
  Cluster__TaskOutput result;
  cluster__task_output__init(&result);
  put_files(t, &result, &memory);
  result.has_rows = t->done->opt_rows_case == EXECUTOR__DONE__OPT_ROWS_ROWS;
  result.rows = result.has_rows ? t->done->rows : 0;
  result.head = t->done->head;
  result.head_error = t->done->head_error;
  result.answer = t->done->answer;
  result.n_boundaries = t->done->n_boundaries;
  result.boundaries = t->done->boundaries;
  result.schema = t->done->schema;
  if (t->sizes) {
    result.n_shuffled = t->done->n_shuffled;
    result.shuffled = shuffled_of(t, &memory);
  }
  response->outcome_case = CLUSTER__RUN_TASK_RESPONSE__OUTCOME_OUTPUT;
  response->output = &result;
  t->config.on_answer(t->config.owner, response, RC_OK, "");
  arena_deinit(&memory);
}

/* ---- a failure ---- */

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

/* ---- either ---- */

static uint64_t us_between(uint64_t from_ns, uint64_t to_ns) {
  return from_ns && to_ns > from_ns ? (to_ns - from_ns) / 1000 : 0;
}

static const char *outcome_name(Cluster__FailureKind kind) {
  static const char *const NAMES[] = {"done",     "query",  "executor_lost", "out_of_memory",
                                      "canceled", "worker", "no_runtime",    "input_lost"};
  return (size_t)kind < sizeof NAMES / sizeof *NAMES ? NAMES[kind] : "failed";
}

static void report(const task *t, const Cluster__TaskTimes *times) {
  Profile__TaskEnd end;
  profile__task_end__init(&end);
  end.outcome = (char *)(uintptr_t)outcome_name(t->failure);
  end.queued_us = times->queued_us;
  end.run_us = times->run_us;
  end.commit_us = times->commit_us;
  end.cpu_us = times->cpu_us;
  end.peak_rss_bytes = times->peak_rss_bytes;
  end.rows = t->done && t->done->opt_rows_case == EXECUTOR__DONE__OPT_ROWS_ROWS ? t->done->rows : 0;
  end.bytes = t->bytes;
  for (size_t i = 0; t->sizes && i < t->done->n_shuffled; i++) {
    end.rows += t->done->shuffled[i]->rows;
    end.bytes += t->sizes[i];
  }
  char *error =
      t->failure ? mem_printf("%s: %.*s", t->error_type, MOST_ERROR, t->error_message) : NULL;
  if (error) end.error = error;
  reports_task(t->config.reports, t->request, t->done ? t->done->profile : NULL, &end);
  free(error);
}

void task_answer(task *t) {
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
  if (t->request) report(t, &times);
  if (t->failure == CLUSTER__FAILURE_KIND__FAILURE_UNSPECIFIED)
    answer_output(t, &response);
  else
    answer_failure(t, &response);
}
