/* scheduler/query.h: what the scheduler keeps of one query beside its state.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The state itself lives in sched/; here are the plan, the settings, the long polls that wait, and
 * in the end the result or the errors. Counted references: the table of queries holds one, each
 * attempt under way holds one. */
#ifndef FLOE_SCHEDULER_QUERY_H
#define FLOE_SCHEDULER_QUERY_H

#include "base/buf.h"
#include "base/id.h"
#include "base/list.h"
#include "base/spool.h"
#include "plan/envelope.h"
#include "sched/sched.h"
#include "scheduler/failures.h"
#include "scheduler/plans.h"

#include <client.pb-c.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct query_settings {
  int engine; /* cluster.Engine */
  bool distributed, has_optimization_flags;
  uint64_t optimization_flags;
  uint32_t n_retries;
  int32_t priority;
  int until;                         /* client.ExecuteUntil */
  bool plan_as_text;                 /* else dot: how the client wants to see its plan */
  uint32_t min_workers, max_workers; /* 0: not said */
  /* of a distributed query */
  bool pre_aggregation, partitioned_sort, lower_expressions;
  int single_worker_ops;                   /* client.SingleWorkerOps */
  uint64_t broadcast_bytes;                /* a join's side of more is not broadcast */
  uint32_t partitions_per_worker;          /* 0: not said */
  int shuffle_format, shuffle_compression; /* cluster.ShuffleFormat, ShuffleCompression */
  bool has_shuffle_level;
  int32_t shuffle_level;
  /* of a streamed result */
  bool maintain_order;
  int64_t ttl_ms; /* 0: not said */
} query_settings;

typedef struct query_totals { /* of all that ran for it */
  uint64_t bytes_shuffled, run_us;
  uint64_t n_files; /* of its sources; 0: nobody asked */
} query_totals;

typedef struct query_times { /* microseconds since 1970 UTC; 0: not yet */
  int64_t submitted_us, started_us, ended_us;
  int64_t planned_us; /* the first step after planning was opened */
} query_times;

/* One call that waits for the end. Owned by its call. */
typedef struct query_waiter {
  list link; /* in query.waiters */
  struct grpc_call *call;
  struct query *query; /* while it is in the list */
} query_waiter;

typedef struct query_file { /* of the result */
  char *location;           /* what a client opens, if it sees the folder (serving.h) */
  char *worker;             /* instance_id of who wrote it */
  uint64_t bytes;           /* 0: of a sink of the user's own */
} query_file;

typedef struct query_sink { /* as plan_sink */
  char *path, *format;      /* owned; the format in lower case */
  uint64_t offset;
  uint32_t len;
  bool folder;
} query_sink;

typedef struct query {
  unsigned refs;
  query_id id;
  char *user;           /* "" when the client gave none */
  char *polars_version; /* the client's */
  query_settings settings;
  Client__QueryInfo *info; /* labels and lineage; NULL: an inquiry */
  bool only_planned;       /* no rows are computed, and there is no result */
  query_plans plans;
  struct execution *execution; /* NULL before it is queued and once it is over */
  uint8_t plan_header[PLAN_HEADER_BYTES];
  plan_sink_kind sink;
  char *format;      /* of all the user's files; "" */
  query_sink *sinks; /* owned: the user's destinations, as far as they are known */
  size_t n_sinks;
  uint64_t placeholder_offset;
  uint32_t placeholder_len;
  struct stream *stream; /* the result, when the client streams it; NULL: not, or no more */
  plan_sinkless sinkless;
  int python_minor, python_micro;
  query_times times;
  int failed_stage;     /* -1: none */
  query_totals totals;  /* once it is over */
  sched_query_info end; /* how it ended, once times.ended_us is set: sched/ may have forgotten it */
  list all_link;        /* in scheduler.newest */
  list changed_link;    /* in scheduler.changed */
  list waiters;         /* of query_waiter: long polls */
  int64_t asked_ms;     /* monotonic: when its client last asked for it, or stopped waiting */
  list attempts;        /* of attempt (dispatch.c): calls to workers; each may read a plan */
  list ended_link;      /* in scheduler.ended, while its head and errors are kept */
  size_t kept_bytes;    /* of these */
  char *stages;         /* how it ran, as JSON, once it is over; NULL: no longer kept */
  uint32_t *workers_used, n_workers_used; /* for each stage, once it is over */

  char **errors; /* JSON objects as the client wants them */
  size_t n_errors;
  failures failures; /* of attempts, until it is over */
  query_file *files;
  size_t n_files;
  uint32_t n_parts; /* of an anonymous result, that may exist */
  uint64_t bytes, rows;
  bool has_rows, deleted;
  buf head; /* an Arrow IPC file */
  char *head_error;
} query;

void query_free_sinks(query_sink *sinks, size_t n);
query *query_new(query_id id);
query *query_ref(query *q);
void query_unref(query *q); /* NULL is fine */
/* The call is answered when the query ends. */
void query_waiter_add(query *q, struct grpc_call *call);
bool query_is_anonymous(const query *q);
bool query_writes_destination(const query *q); /* the user's own, by the plan's own sink */
/* It is written directly: not beside it, to be committed later. Then there is one writer at a time.
 */
bool query_is_fenced(const query *q);
void query_add_error(query *q, const failures *f);
void query_add_file(query *q, const char *location, const char *worker, uint64_t bytes);
void query_clear_result(query *q);
void query_clear_errors(query *q);

#endif
