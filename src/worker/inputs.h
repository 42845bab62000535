/* worker/inputs.h: the files of earlier stages that a task reads, as paths on this machine.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A file is read where it lies when this is its worker, or when a marker proves that we see the
 * same filesystem; else it is fetched from its worker first (fetcher.h). The executor gets paths
 * only: no address, no token. */
#ifndef FLOE_WORKER_INPUTS_H
#define FLOE_WORKER_INPUTS_H

#include "base/arena.h"
#include "worker/shuffle.h"

#include <cluster.pb-c.h>
#include <executor.pb-c.h>

typedef struct input_file {
  const Cluster__ShuffleFile *file; /* borrowed from the request */
  char *path;
  bool is_fetched; /* it lies at `path` only when it has been fetched */
} input_file;

typedef struct inputs {     /* zeroed: the task reads none */
  Executor__Input **leaves; /* for Run.inputs */
  size_t n_leaves;
  input_file *files;
  size_t n_files, n_fetched;
  char *fetch_dir; /* where fetched files lie; removed by inputs_deinit's caller, if n_fetched */
  arena memory;    /* of all of the above */
} inputs;

/* RC_INVALID: an id is none, or a name could lead out of a shuffle folder. */
MUST_CHECK rc inputs_validate(const Cluster__RunTaskRequest *r, err *e);
/* Of a validated request, which must outlive it. Looks for markers: blocking, but no error. */
void inputs_locate(inputs *in, const Cluster__RunTaskRequest *r, const shuffle *s,
                   const char *fetch_dir);
/* RC_NOT_FOUND: a file that is read where it lies is not there, or has another size. Blocking. */
MUST_CHECK rc inputs_check(const inputs *in, err *e);
/* The text of a lost file: whose it was, and why. Returns RC_NOT_FOUND. */
rc inputs_lost(const Cluster__ShuffleFile *file, const char *why, err *e);
void inputs_deinit(inputs *in);

#endif
