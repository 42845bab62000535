/* observatory/observatory.h: the dashboard and its REST interface on 3001. SPDX-License-Identifier:
 * Apache-2.0
 *
 * It shows what its source knows and keeps nothing itself. The source is handed in, so that this
 * module needs no other program's part. */
#ifndef FLOE_OBSERVATORY_OBSERVATORY_H
#define FLOE_OBSERVATORY_OBSERVATORY_H

#include "base/err.h"
#include "conf/conf.h"

#include <uv.h>

typedef struct observatory observatory;

/* Each returns JSON text that the caller frees; query() and stages() NULL: unknown. */
typedef struct observatory_source {
  char *(*cluster)(const void *arg);
  char *(*queries)(const void *arg);
  char *(*query)(const void *arg, const char *query_id);
  char *(*stages)(const void *arg, const char *query_id);
  const void *arg;
} observatory_source;

MUST_CHECK rc observatory_new(uv_loop_t *loop, const conf *c, const observatory_source *source,
                              observatory **out, err *e);
/* `done` is called from the loop; the observatory is gone then. */
void observatory_shutdown(observatory *o, void (*done)(void *), void *arg);

#endif
