/* scheduler/internal.h: what the scheduler's own files share. SPDX-License-Identifier: Apache-2.0
 */
#ifndef FLOE_SCHEDULER_INTERNAL_H
#define FLOE_SCHEDULER_INTERNAL_H

#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "base/spool.h"
#include "conf/conf.h"
#include "flight/flight.h"
#include "net/grpc_client.h"
#include "net/grpc_server.h"
#include "plan/envelope.h"
#include "sched/sched.h"
#include "scheduler/execution.h"
#include "scheduler/query.h"
#include "scheduler/scheduler.h"
#include "scheduler/serving.h"
#include "scheduler/stream.h"
#include "store/location.h"
#include "store/signing.h"

#include <protobuf-c/protobuf-c.h>
#include <stdatomic.h>
#include <uv.h>

/* A worker that was not heard of for so long is lost, and stops its tasks by itself. Workers beat
 * at least three times as often. The grace is for the stopping itself: only then is a task that
 * writes somebody's destination started elsewhere. */
enum { SCHEDULER_LEASE_MS = 15000, SCHEDULER_LEASE_GRACE_MS = 2000 };

/* A worker as the scheduler talks to it. Kept while the process lives: a worker that comes back
 * under its name takes its place again. */
typedef struct peer {
  char *instance_id, *incarnation;
  char *host;
  int port;
  grpc_channel *channel;                  /* to its 5052 */
  char *shuffle_address, *shuffle_folder; /* its 5053, and what it serves there */
} peer;

struct scheduler {
  uv_loop_t *loop;
  const conf *conf;
  auth *auth; /* NULL: everybody may ask */
  sched *sched;
  location *results;      /* NULL: every query needs a sink of its own */
  signing_digest url_key; /* of what clients read on 3001 */
  flight *flight;
  list streams; /* of stream */
  const peer_access *peer_access;
  SSL_CTX *client_tls;
  grpc_server *client_server, *worker_server;
  uv_timer_t tick;
  map queries;                /* query_id → query */
  list newest;                /* the same, in the order they came */
  list changed;               /* of these, since the observatory was told */
  struct outbox *observatory; /* NULL: nobody is told */
  map peers;                  /* instance_id → peer */
  map attempts;               /* attempt_id → attempt (dispatch.c) */
  list ended;           /* queries whose head and errors are kept, oldest first (retention.c) */
  size_t kept_bytes;    /* of these */
  list plans;           /* queries that have ended, of whose plans something is kept (plans.c) */
  size_t plans_bytes;   /* of these */
  list deletions;       /* that wait for the pool (deletion.c) */
  unsigned n_deletions; /* that wait or run, … */
  unsigned n_deleting;  /* … and that run */
  atomic_bool give_up_deleting;
  unsigned n_planning; /* pieces of planning on the pool */
  bool stopping;
  unsigned servers_open; /* of the two, while shutting down */
  void (*done)(void *);
  void *done_arg;
};

/* scheduler.c: carry out what sched/ decided; after every event. */
void scheduler_run_actions(scheduler *s);
/* scheduler.c: a plan that nobody reads any more; NULL is fine. */
void scheduler_free_plan(scheduler *s, spool *plan_take);
/* scheduler.c: end the shutdown when the last thing that held it is gone. */
void scheduler_check_done(scheduler *s);

/* client_service.c, worker_service.c: the methods of 5051 and of 5050. */
extern const grpc_method CLIENT_METHODS[];
extern const size_t N_CLIENT_METHODS;
extern const grpc_method WORKER_METHODS[];
extern const size_t N_WORKER_METHODS;
void peer_free(peer *p);

/* access.c: who calls 5051, and whose queries it may touch. */
MUST_CHECK rc access_authorize(grpc_call *call, err *e);
/* False: it is another user's, and the call has its answer. */
bool access_may_touch(grpc_call *call, const query *q);
const char *access_user(const grpc_call *call); /* "": nobody said */

/* submission.c: SubmitQuery, from its first byte to sched_submit. */
MUST_CHECK rc submission_enqueue(scheduler *s, const query *q, err *e);
void submission_open(grpc_call *call, uint64_t message_len);
void submission_bytes(grpc_call *call, const uint8_t *data, size_t len);
void submission_end(grpc_call *call);

/* dispatch.c: attempts on workers. */
void dispatch_start(scheduler *s, const sched_action *start);
void dispatch_stop(scheduler *s, attempt_id attempt);
/* Also those that sched/ has given up: after this nothing reads a plan of the query. */
void dispatch_stop_all(const query *q);

/* deletion.c: the files of anonymous results. */
bool deletion_may(const scheduler *s, const query *q);            /* the configuration allows it */
void deletion_ask(scheduler *s, const query *q, grpc_call *call); /* answers the call */
/* The query has ended without success, and its attempts were told to stop. */
void deletion_after_failure(scheduler *s, const query *q);

/* views.c: a query, and its stages (NULL: not kept any more), as JSON; the caller's. */
char *views_query(const scheduler *s, const query *q);
char *views_stages(const query *q);

/* telling.c: the query has changed; the observatory will hear of it. */
void telling_start(scheduler *s);
void telling_note(scheduler *s, query *q);

/* explain.c: the stages of a query as JSON, owned by the caller. */
char *explain_stages(const execution *x);

/* scheduler.c: RC_OK also when it is too late: its destination is being committed. */
MUST_CHECK rc scheduler_cancel(scheduler *s, const query *q, err *e);

/* scheduler.c: where a query stands. */
sched_query_info scheduler_info(const scheduler *s, const query *q);

/* abandoned.c: cancels them; when it wants to look next. */
void abandoned_tick(scheduler *s, int64_t now_ms);
int64_t abandoned_next_tick(const scheduler *s, int64_t now_ms);

/* retention.c: what ended queries weigh, bounded. */
void retention_add(scheduler *s, query *q);
void retention_remove(scheduler *s, query *q);

/* answer.c: the one message of a unary call; a query in the client's words. */
void answer_message(grpc_call *call, const ProtobufCMessage *message);
void answer_status(grpc_call *call, const scheduler *s, const query *q);
void answer_result(grpc_call *call, const scheduler *s, query *q);

#endif
