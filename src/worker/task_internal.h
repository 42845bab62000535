/* worker/task_internal.h: what the files of a task share. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_WORKER_TASK_INTERNAL_H
#define FLOE_WORKER_TASK_INTERNAL_H

#include "base/spool.h"
#include "net/pb_split.h"
#include "worker/inputs.h"
#include "worker/splice.h"
#include "worker/task.h"

#include <stdatomic.h>

typedef enum task_phase { RECEIVING, PREPARING, FETCHING, WORKING, FINISHING } task_phase;

struct task {
  task_config config;
  task_phase phase;
  pb_split split;
  Cluster__RunTaskRequest *request; /* NULL until the first byte of the plan */
  plan_splice splice;
  spool *plan;
  output output;
  /* Owned; NULL: not (yet). Where files for later stages are written; or links to what is written
   * beside the user's destinations. */
  char *shuffle_dir;
  inputs inputs;
  fetch fetch; /* of inputs that do not lie here */
  pool_job job;
  Executor__Shuffle shuffle; /* parts of job.run */
  Executor__Boundaries boundaries;
  Executor__Sink *sinks; /* owned, as is the list of them */
  Executor__Sink **sink_list;
  uv_work_t work;
  atomic_bool canceled;
  uint64_t received_ns, run_end_ns;
  /* how it ends */
  rc code; /* of a request that is not valid, or of the worker's own part */
  err error;
  err lost;     /* after a failure: an input is not there any more */
  bool refused; /* the request itself was at fault */
  bool commit;  /* the executor is done and all is well so far */
  Cluster__FailureKind failure;
  char *error_type, *error_message;
  Executor__Done *done; /* owned: the executor's report */
  uint64_t *sizes;      /* owned: of done->shuffled */
  uint64_t bytes, peak_rss_bytes;
};

/* task_request.c. From the request as it stands without its plan: RC_INVALID when it is wrong,
 * RC_PRECONDITION when this worker has no such runtime. */
MUST_CHECK rc task_begin(task *t, err *e);
MUST_CHECK rc task_fill_run(task *t, err *e);
/* Whose files those are that it writes: the folder's name below the shuffle folder. */
const char *task_folder(const Cluster__RunTaskRequest *r);
/* The folder of this attempt's fetched inputs; the caller's. */
char *task_fetch_dir(const task *t);

/* task_answer.c */
void task_answer(task *t);

#endif
