/* observatory/observatory.h: the dashboard, its REST interface and results on 3001.
 * SPDX-License-Identifier: Apache-2.0
 *
 * It shows what its source knows and keeps nothing itself. The source is handed in, so that this
 * module needs no other program's part. */
#ifndef FLOE_OBSERVATORY_OBSERVATORY_H
#define FLOE_OBSERVATORY_OBSERVATORY_H

#include "auth/auth.h"
#include "base/err.h"
#include "conf/conf.h"
#include "net/http_server.h"

#include <uv.h>

typedef struct observatory observatory;

/* Each returns JSON text that the caller frees; query() and stages() NULL: unknown. `user` NULL:
 * whoever looks may see everything; else only what is this user's. */
typedef struct observatory_source {
  char *(*cluster)(const void *arg);
  char *(*queries)(const void *arg, const char *user);
  char *(*query)(const void *arg, const char *query_id, const char *user);
  char *(*stages)(const void *arg, const char *query_id, const char *user);
  /* A part of a result, by a signed URL: that is the authorization. The reply starts as 404. */
  void (*result)(const void *arg, const http_request *request, http_reply *reply);
  const void *arg;
} observatory_source;

/* `c` and `a` (NULL: everybody may look) are borrowed. */
MUST_CHECK rc observatory_new(uv_loop_t *loop, const conf *c, auth *a,
                              const observatory_source *source, observatory **out, err *e);
/* `done` is called from the loop; the observatory is gone then. */
void observatory_shutdown(observatory *o, void (*done)(void *), void *arg);

#endif
