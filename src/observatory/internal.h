/* observatory/internal.h: what the observatory's own files share. SPDX-License-Identifier:
 * Apache-2.0
 */
#ifndef FLOE_OBSERVATORY_INTERNAL_H
#define FLOE_OBSERVATORY_INTERNAL_H

#include "base/list.h"
#include "net/grpc_server.h"
#include "net/http_server.h"
#include "observatory/hosts.h"
#include "observatory/observatory.h"
#include "observatory/store.h"

struct observatory {
  uv_loop_t *loop;
  const conf *conf;
  auth *auth; /* NULL: everybody may look */
  observatory_source source;
  store *store;
  hosts *hosts;
  grpc_server *intake;
  http_server *rest; /* NULL: not enabled */
  list waiters;      /* events.c */
  uv_timer_t tick;   /* while somebody waits */
  bool stopping;
  unsigned parts; /* that still close */
  void (*done)(void *);
  void *done_arg;
};

/* intake.c: a packed report, from wherever. RC_INVALID: it does not decode. */
MUST_CHECK rc intake_take(observatory *o, const uint8_t *report, size_t len, err *e);
extern const grpc_method INTAKE_METHODS[];
extern const size_t N_INTAKE_METHODS;

/* One request on its way to its route. */
typedef struct rest_get {
  observatory *o;
  const http_request *request;
  const char *id;   /* what stands in the path for {id}; NULL */
  const char *user; /* NULL: whoever asks may see everything; else only what is this user's */
  http_reply *reply;
} rest_get;

/* rest.c: the routes of 3001, the last has no path. */
typedef struct rest_route {
  const char *path; /* "{id}" stands for one part of it */
  void (*get)(const rest_get *g);
} rest_route;
extern const rest_route REST_ROUTES[];
void rest_on_get(void *observatory, const http_request *request, http_reply *reply);
void rest_reply(http_reply *reply, const char *content_type, char *text_take); /* NULL: stays 404 */
void rest_refuse(http_reply *reply, rc code, const char *why);
void rest_ask_scheduler(observatory *o); /* what has changed there, if it is here */

/* events.c: GET /api/v1/events. */
void events_get(const rest_get *g);
void events_on_tick(uv_timer_t *timer);
void events_end_all(observatory *o);

/* export.c: GET /api/v1/export. */
void export_get(const rest_get *g);

#endif
