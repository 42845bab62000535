/* observatory/observatory.h: what is known of the cluster and its queries: taken on 5049, kept,
 * shown on 3001. SPDX-License-Identifier: Apache-2.0
 *
 * Nothing waits for it. A scheduler in the same process is asked, so that what is shown is as new
 * as can be; it is handed in, so that this module needs no other program's part. */
#ifndef FLOE_OBSERVATORY_OBSERVATORY_H
#define FLOE_OBSERVATORY_OBSERVATORY_H

#include "auth/auth.h"
#include "base/buf.h"
#include "base/err.h"
#include "conf/conf.h"
#include "net/http_server.h"
#include "net/peer_access.h"

#include <stdint.h>
#include <uv.h>

typedef struct observatory observatory;

/* One packed profile.Report, valid during the call. */
typedef void observatory_on_report(void *arg, const char *id, const uint8_t *report, size_t len);

typedef struct observatory_source {  /* zeroed: there is no scheduler here */
  char *(*cluster)(const void *arg); /* JSON text that the caller frees */
  void (*tell)(void *arg, observatory_on_report *take, void *take_arg); /* what has changed */
  /* A part of a result, by a signed URL: that is the authorization. The reply starts as 404. */
  void (*result)(const void *arg, const http_request *request, http_reply *reply);
  void *arg;
} observatory_source;

/* `c` and `a` (NULL: everybody may look) are borrowed. */
MUST_CHECK rc observatory_new(uv_loop_t *loop, const conf *c, const peer_access *access, auth *a,
                              const observatory_source *source, observatory **out, err *e);
void observatory_print_metrics(observatory *o, buf *out); /* for Prometheus */
/* `done` is called from the loop; the observatory is gone then. */
void observatory_shutdown(observatory *o, void (*done)(void *), void *arg);

#endif
