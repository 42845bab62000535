/* worker/runtime.h: the Python environments of this worker, and which of them a task needs.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every folder D in worker.runtimes_dir with D/bin/python is a runtime. What Polars it holds is
 * known when its first executor has said Hello. */
#ifndef FLOE_WORKER_RUNTIME_H
#define FLOE_WORKER_RUNTIME_H

#include "base/buf.h"
#include "base/err.h"

#include <executor.pb-c.h>

typedef struct runtime {
  char *name, *python;    /* "polars-2.0.0", ".../polars-2.0.0/bin/python"; owned */
  Executor__Hello *hello; /* owned; NULL: not known, or left out */
} runtime;

/* RC_NOT_FOUND: the folder holds none. *out (ordered by name) and its parts are the caller's. */
MUST_CHECK rc runtime_find(const char *dir, runtime **out, size_t *n, err *e);
void runtime_deinit(runtime *r);
/* A worker's runtime may not change under it: "polars 2.0.1, before 2.0.0". */
MUST_CHECK rc runtime_check_same(const runtime *r, const Executor__Hello *hello, err *e);

/* Which runtime: the same plan header and Python, and among those the same Polars, or else the
 * newest. Returns its index, or -1. python "": any; "3.11": any 3.11; "3.11.2": only that. */
int runtime_choose(const runtime *runtimes, size_t n, const ProtobufCBinaryData *plan_header,
                   const char *python, const char *polars_version);
/* "polars 2.0.0 (Python 3.11.2), polars 1.41.2 (Python 3.11.2)", or "none". */
void runtime_print(const runtime *runtimes, size_t n, buf *out);

#endif
