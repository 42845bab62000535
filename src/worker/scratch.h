/* worker/scratch.h: this worker's folder for what must not outlive it. SPDX-License-Identifier:
 * Apache-2.0
 *
 *   <temp_dir>/worker-<instance_id>/           ours alone
 *     attempt-<id>.parquet                     a result on its way to a store
 *     attempt-<id> -> /results/…/.attempt-…    where an unfinished local result lies
 *     executor/<pid>/                          an executor's: spilled data, TMPDIR
 *     fetched/<attempt id>/                    files of other workers that an attempt reads
 *
 * What a dead worker of the same name left is removed at start. Blocking. */
#ifndef FLOE_WORKER_SCRATCH_H
#define FLOE_WORKER_SCRATCH_H

#include "base/err.h"
#include "worker/executor_env.h"

#include <stdint.h>

typedef struct scratch {
  char *dir, *executor_dir, *fetch_dir; /* owned */
  executor_user user;                   /* who writes; its strings are borrowed */
} scratch;

MUST_CHECK rc scratch_open(scratch *s, const char *temp_dir, const char *instance_id,
                           const executor_user *user, err *e);
void scratch_close(scratch *s); /* removes it */

/* Where the rows of one attempt go. The executor writes `scratch_path`; nobody sees `final_path`
 * before it is whole. */
typedef struct output {
  char *scratch_path; /* NULL: the plan writes to the user's own destination */
  char *directory;    /* of a local result; NULL: none */
  char *marker;       /* the link to scratch_path */
  unsigned part;      /* number of the local result's file */
} output;

void output_local(output *o, const scratch *s, const char *attempt, const char *directory,
                  unsigned part);
void output_upload(output *o, const scratch *s, const char *attempt);
/* Makes folders and an empty scratch file that the executors' user may write. */
MUST_CHECK rc output_prepare(output *o, const scratch *s, err *e);
/* The local result gets its name: part-00000.parquet … */
MUST_CHECK rc output_commit(output *o, err *e);
MUST_CHECK rc output_size(const char *path, uint64_t *bytes, err *e);
/* Removes whatever is not committed; harmless after output_commit. */
void output_discard(output *o);
void output_deinit(output *o);

#endif
