/* scheduler/submission.c: SubmitQuery, from its first byte to the queue. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The plan is spooled as it arrives; what is left of the message is small. Whatever can be refused
 * is refused here, with the Python exception that the client shall raise: it is the only place
 * where collect() can get a real exception type. Plans that are long to read go to libuv's pool. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/pb_split.h"
#include "scheduler/internal.h"
#include "scheduler/paths.h"

#include <client.pb-c.h>
#include <cluster.pb-c.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
  PLAN_FIELD = 2,
  MOST_TTL_S = 365 * 24 * 3600,
  MAX_REST_BYTES = 1024 * 1024,
  MAX_INFO_BYTES = 8 * 1024, /* labels, lineage: kept as long as the query is remembered */
  MAX_LABELS = 64,           /* the client's own limit */
};

typedef struct submission {
  grpc_call *call; /* a reference is held while `work` runs */
  scheduler *s;
  pb_split split;
  spool *plan;
  plan_envelope envelope; /* what it points to may be gone; these are copies: */
  uint8_t header[PLAN_HEADER_BYTES];
  char *format;
  query_sink *sinks;                   /* owned, … */
  size_t n_sinks;                      /* … of the envelope */
  Client__SubmitQueryRequest *request; /* all but the plan */
  Client__QueryInfo *info;
  planning *planning;  /* NULL: the query runs whole, … */
  char *whole_because; /* … although it was asked to be distributed; or NULL */
  uv_work_t work;
  rc read_rc;
  err read_err;
  int64_t arrived_us; /* when all of it was there */
  bool over, working; /* the call has ended; the pool still reads the plan */
} submission;

static void submission_free(submission *sub) {
  client__submit_query_request__free_unpacked(sub->request, NULL);
  client__query_info__free_unpacked(sub->info, NULL);
  planning_free(sub->planning);
  free(sub->whole_because);
  query_free_sinks(sub->sinks, sub->n_sinks);
  free(sub->format);
  scheduler_free_plan(sub->s, sub->plan);
  pb_split_deinit(&sub->split);
  free(sub);
}

static void on_end_of_call(grpc_call *call, void *data) {
  (void)call;
  submission *sub = data;
  sub->over = true;
  if (!sub->working) submission_free(sub);
}

static rc keep_plan(void *arg, const uint8_t *data, size_t len, err *e) {
  return spool_append(((submission *)arg)->plan, data, len, e);
}

/* The official client raises `type` with `text`. */
static void refuse(grpc_call *call, const char *type, const char *text) {
  char *details = mem_printf("%s: %s", type, text);
  LOG_INFO("query refused", "reason", details, "peer", grpc_call_peer(call));
  grpc_call_finish_details(call, text, details);
  free(details);
}

/* An error of ours keeps its status; what is wrong with the query is an exception of its kind. */
static void refuse_err(grpc_call *call, rc code, const err *e) {
  if (code == RC_INVALID)
    refuse(call, "ComputeError", e->text);
  else if (code == RC_DENIED)
    refuse(call, "PermissionError", e->text);
  else
    grpc_call_finish(call, code, e->text);
}

void submission_open(grpc_call *call, uint64_t message_len) {
  (void)message_len;
  scheduler *s = grpc_call_user(call);
  submission *sub = NEW(submission);
  sub->call = call;
  sub->s = s;
  sub->plan = spool_new(s->conf->temp_dir, PLAN_MEMORY_BYTES);
  pb_split_init(&sub->split, PLAN_FIELD, MAX_REST_BYTES, keep_plan, sub);
  grpc_call_set_data(call, sub, on_end_of_call);
}

void submission_bytes(grpc_call *call, const uint8_t *data, size_t len) {
  submission *sub = grpc_call_data(call);
  err e = {0};
  rc r = pb_split_feed(&sub->split, data, len, &e);
  if (r != RC_OK) grpc_call_finish(call, r, e.text);
}

/* Not only planned, as by explain(). */
static bool is_to_be_run(const Client__QuerySettings *settings) {
  return !settings || settings->execute_until == CLIENT__EXECUTE_UNTIL__UNTIL_UNSPECIFIED ||
         settings->execute_until == CLIENT__EXECUTE_UNTIL__UNTIL_EXECUTE;
}

static bool is_distributed(const Client__QuerySettings *settings) {
  return settings && settings->query_type_case == CLIENT__QUERY_SETTINGS__QUERY_TYPE_DISTRIBUTED;
}

static bool wants_text(const Client__QuerySettings *settings) {
  return settings && (settings->preferred_graph_format == CLIENT__GRAPH_FORMAT__GRAPH_EXPLAIN ||
                      settings->preferred_graph_format == CLIENT__GRAPH_FORMAT__GRAPH_PLAIN);
}

/* What a planner cannot take apart runs whole: that is always right. */
static void plan(submission *sub, const uint8_t *bytes) {
  const Client__QuerySettings *settings = sub->request->settings;
  if (!is_distributed(settings) ||
      settings->execute_until == CLIENT__EXECUTE_UNTIL__UNTIL_OPTIMIZE_IR)
    return;
  const char *why;
  err e = {0};
  if (!planning_is_for(&sub->envelope, &why))
    sub->whole_because = mem_strdup(why);
  else if (planning_new(sub->s->conf, bytes, (size_t)spool_len(sub->plan), &sub->envelope,
                        is_to_be_run(settings), &sub->planning, &e) != RC_OK)
    sub->whole_because = mem_strdup(e.text);
}

static char *copy_text(plan_text t) {
  return mem_strndup(t.s ? t.s : "", t.len);
}

static void copy_sinks(submission *sub) {
  const plan_envelope *from = &sub->envelope;
  sub->n_sinks = from->n_sinks;
  sub->sinks = mem_new(from->n_sinks * sizeof *sub->sinks);
  for (size_t i = 0; i < from->n_sinks; i++) {
    const plan_sink *sink = &from->sinks[i];
    sub->sinks[i] = (query_sink){copy_text(sink->path), copy_text(sink->format), sink->offset,
                                 sink->len, sink->folder};
    for (char *c = sub->sinks[i].format; *c; c++) *c = (char)tolower(*c);
  }
}

/* It will not run: the question what becomes of it takes the plan's place. */
static rc ask_for_plan(submission *sub, const uint8_t *bytes, err *e) {
  const Client__QuerySettings *settings = sub->request->settings;
  plans_wish wish = {.as_text = wants_text(settings),
                     .physical =
                         settings->execute_until != CLIENT__EXECUTE_UNTIL__UNTIL_OPTIMIZE_IR};
  spool *question = spool_new(sub->s->conf->temp_dir, PLAN_MEMORY_BYTES);
  buf packed = {0};
  rc r = plans_request((plan_bytes){bytes, (size_t)spool_len(sub->plan)}, NULL, wish, &packed, e);
  if (r == RC_OK) r = spool_append(question, packed.data, packed.len, e);
  buf_deinit(&packed);
  spool_free(r == RC_OK ? sub->plan : question);
  if (r == RC_OK) sub->plan = question;
  return r;
}

static rc read_info(submission *sub, err *e) {
  const ProtobufCBinaryData *from = &sub->request->query_info;
  if (from->len > MAX_INFO_BYTES)
    return ERR(e, RC_INVALID, "labels and lineage take %zu bytes, expected at most %d", from->len,
               MAX_INFO_BYTES);
  sub->info = client__query_info__unpack(NULL, from->len, from->data);
  if (!sub->info) return ERR(e, RC_INVALID, "the query's labels and lineage do not decode");
  if (sub->info->n_labels > MAX_LABELS)
    return ERR(e, RC_INVALID, "the query has %zu labels, expected at most %d", sub->info->n_labels,
               MAX_LABELS);
  return RC_OK;
}

static rc read_plan(submission *sub, err *e) {
  const uint8_t *bytes;
  TRY(spool_view(sub->plan, &bytes, e));
  TRY(plan_envelope_read(bytes, (size_t)spool_len(sub->plan), &sub->envelope, e));
  sub->request = client__submit_query_request__unpack(NULL, sub->split.rest.len,
                                                      (const uint8_t *)buf_text(&sub->split.rest));
  if (!sub->request)
    return ERR(e, RC_INVALID, "SubmitQueryRequest does not decode; is this a polars_cloud client?");
  TRY(read_info(sub, e));
  TRY(paths_check(sub->s->conf, bytes, (size_t)spool_len(sub->plan), &sub->envelope, e));
  plan(sub, bytes);
  memcpy(sub->header, sub->envelope.header, sizeof sub->header);
  copy_sinks(sub);
  sub->format = copy_text(sub->envelope.format);
  if (sub->planning) return RC_OK;
  if (!is_to_be_run(sub->request->settings)) return ask_for_plan(sub, bytes, e);
  spool_drop_view(sub->plan); /* here: it takes long */
  return RC_OK;
}

/* ---- what the client may not ask for ---- */

static const char *refused_sink(const scheduler *s, const plan_envelope *envelope) {
  switch (envelope->sink) {
  case PLAN_SINK_FLIGHT:
    return envelope->sinkless.len
               ? NULL
               : "rows of this Polars version cannot be streamed back; use .execute() and then "
                 "result.lazy().collect()";
  case PLAN_SINK_ANONYMOUS:
    return s->results ? NULL
                      : "this cluster has no place for anonymous results; give the query a sink "
                        "(.sink_parquet(…)), or set scheduler.anonymous_result_location";
  default:
    return NULL;
  }
}

/* ---- the request's small part ---- */

static int engine_of(Client__Engine engine) {
  switch (engine) {
  case CLIENT__ENGINE__ENGINE_STREAMING:
    return CLUSTER__ENGINE__ENGINE_STREAMING;
  case CLIENT__ENGINE__ENGINE_IN_MEMORY:
    return CLUSTER__ENGINE__ENGINE_IN_MEMORY;
  default:
    return CLUSTER__ENGINE__ENGINE_AUTO;
  }
}

static void copy_shuffle_settings(const Client__ShuffleOpts *from, query_settings *to) {
  if (!from) return;
  if (from->format == CLIENT__SHUFFLE_FORMAT__SF_PARQUET)
    to->shuffle_format = CLUSTER__SHUFFLE_FORMAT__SHUFFLE_PARQUET;
  if (from->compression == CLIENT__SHUFFLE_COMPRESSION__SC_LZ4)
    to->shuffle_compression = CLUSTER__SHUFFLE_COMPRESSION__SHUFFLE_LZ4;
  if (from->compression == CLIENT__SHUFFLE_COMPRESSION__SC_ZSTD)
    to->shuffle_compression = CLUSTER__SHUFFLE_COMPRESSION__SHUFFLE_ZSTD;
  to->has_shuffle_level = from->opt_compression_level_case ==
                          CLIENT__SHUFFLE_OPTS__OPT_COMPRESSION_LEVEL_COMPRESSION_LEVEL;
  if (to->has_shuffle_level) to->shuffle_level = from->compression_level;
}

static void copy_distributed_settings(const Client__DistributedOpts *from, query_settings *to) {
  to->pre_aggregation = from->allow_pre_aggregation;
  to->partitioned_sort = from->allow_partitioned_sort;
  to->broadcast_bytes = from->allow_equi_join_broadcast_limit;
  to->single_worker_ops = (int)from->single_worker_ops;
  to->lower_expressions =
      from->opt_expression_lowering_case !=
          CLIENT__DISTRIBUTED_OPTS__OPT_EXPRESSION_LOWERING_EXPRESSION_LOWERING ||
      from->expression_lowering;
  if (from->opt_partitions_per_worker_case ==
      CLIENT__DISTRIBUTED_OPTS__OPT_PARTITIONS_PER_WORKER_PARTITIONS_PER_WORKER)
    to->partitions_per_worker = from->partitions_per_worker;
  copy_shuffle_settings(from->shuffle_opts, to);
}

static void copy_n_workers(const Client__NumWorkers *from, query_settings *to) {
  if (!from) return;
  if (from->opt_min_case == CLIENT__NUM_WORKERS__OPT_MIN_MIN) to->min_workers = from->min;
  if (from->opt_max_case == CLIENT__NUM_WORKERS__OPT_MAX_MAX) to->max_workers = from->max;
}

static void copy_stream_settings(const Client__FlightOpts *from, query_settings *to) {
  to->maintain_order = true;
  if (!from) return;
  if (from->opt_maintain_order_case == CLIENT__FLIGHT_OPTS__OPT_MAINTAIN_ORDER_MAINTAIN_ORDER)
    to->maintain_order = from->maintain_order;
  if (!from->ttl) return;
  int64_t s = from->ttl->seconds;
  if (s > MOST_TTL_S) s = MOST_TTL_S;
  to->ttl_ms = s >= 1 ? s * 1000 : 1000;
}

static query_settings settings_of(const Client__QuerySettings *from) {
  query_settings to = {0};
  if (!from) return to;
  copy_n_workers(from->n_workers, &to);
  to.distributed = is_distributed(from);
  if (to.distributed) copy_distributed_settings(from->distributed, &to);
  copy_stream_settings(from->flight, &to);
  to.engine = engine_of(from->engine);
  to.has_optimization_flags = from->opt_optimization_flags_case ==
                              CLIENT__QUERY_SETTINGS__OPT_OPTIMIZATION_FLAGS_OPTIMIZATION_FLAGS;
  if (to.has_optimization_flags) to.optimization_flags = from->optimization_flags;
  to.n_retries = from->n_retries;
  to.until = (int)from->execute_until;
  to.plan_as_text = wants_text(from);
  to.priority = from->priority;
  return to;
}

static const char *header_or(const grpc_call *call, const char *name, const char *otherwise) {
  const char *value = grpc_call_header(call, name);
  return value ? value : otherwise;
}

/* Takes the plan, and the planning that looks into it, out of the submission. */
static query *make_query(submission *sub) {
  const plan_envelope *envelope = &sub->envelope;
  query *q = query_new((query_id){uuid_random()});
  q->user = mem_strdup(access_user(sub->call));
  q->polars_version = mem_strdup(header_or(sub->call, "x-polars-version", "(unknown)"));
  q->settings = settings_of(sub->request->settings);
  q->only_planned = !is_to_be_run(sub->request->settings);
  q->sink = envelope->sink;
  q->format = sub->format;
  q->sinks = sub->sinks;
  q->n_sinks = sub->n_sinks;
  q->placeholder_offset = envelope->placeholder_offset;
  q->placeholder_len = envelope->placeholder_len;
  q->python_minor = envelope->python_minor;
  q->python_micro = envelope->python_micro;
  q->times.submitted_us = sub->arrived_us;
  memcpy(q->plan_header, sub->header, sizeof q->plan_header);
  q->sinkless = envelope->sinkless;
  q->execution = execution_new(sub->s, q, sub->plan, sub->planning, sub->whole_because);
  sub->plan = NULL;
  q->info = sub->info;
  sub->info = NULL;
  sub->planning = NULL;
  sub->format = NULL;
  sub->sinks = NULL;
  sub->n_sinks = 0;
  return q;
}

rc submission_enqueue(scheduler *s, const query *q, err *e) {
  sched_query_spec spec = {
      .id = q->id,
      .priority = q->settings.priority,
      .n_retries = q->settings.n_retries,
      .polars_version = q->polars_version,
      .plan_header = q->plan_header,
      .python_minor = q->python_minor,
      .python_micro = q->python_micro,
      .min_workers = q->settings.min_workers,
      .max_workers = q->settings.max_workers,
  };
  sched_stage_spec first = execution_first(q->execution);
  return sched_submit(s->sched, &spec, &first, clock_mono_ms(), e);
}

static void answer_accepted(grpc_call *call, query_id id) {
  uuid_text text = uuid_print(id.u);
  Client__QueryId ref;
  client__query_id__init(&ref);
  ref.query_id = text.s;
  Client__SubmitQueryResponse response;
  client__submit_query_response__init(&response);
  response.query_id = &ref;
  answer_message(call, &response.base);
}

static void accept_query(submission *sub) {
  scheduler *s = sub->s;
  grpc_call *call = sub->call;
  bool has_result = is_to_be_run(sub->request->settings);
  const char *no = has_result ? refused_sink(s, &sub->envelope) : NULL;
  if (no) {
    refuse(call, "NotImplementedError", no);
    return;
  }
  if (s->conf->scheduler.deny_anonymous_users && !*access_user(call)) {
    refuse(call, "PermissionError",
           "this cluster takes no anonymous queries; name yourself: pl.Config.set_user_name(…) or "
           "POLARS_CLOUD_USER_NAME");
    return;
  }
  query *q = make_query(sub);
  err e = {0};
  rc r = submission_enqueue(s, q, &e);
  if (r != RC_OK) {
    execution_close(q->execution);
    query_unref(q);
    refuse_err(call, r, &e);
    return;
  }
  if (q->sink == PLAN_SINK_FLIGHT && !q->only_planned) stream_new(s, q);
  map_put(&s->queries, &q->id, sizeof q->id, q);
  list_push_back(&s->newest, &q->all_link);
  telling_note(s, q);
  LOG_INFO("query accepted", "query", uuid_print(q->id.u).s, "user", q->user, "polars",
           q->polars_version);
  answer_accepted(call, q->id);
  scheduler_run_actions(s);
}

/* The plan has been read, here or on the pool. */
static void finish(submission *sub) {
  if (sub->read_rc == RC_OK)
    accept_query(sub);
  else
    refuse_err(sub->call, sub->read_rc, &sub->read_err);
}

static void on_pool(uv_work_t *w) {
  submission *sub = w->data;
  sub->read_rc = read_plan(sub, &sub->read_err);
}

static void after_pool(uv_work_t *w, int status) {
  (void)status;
  submission *sub = w->data;
  grpc_call *call = sub->call;
  sub->working = false;
  if (sub->over)
    submission_free(sub);
  else
    finish(sub);
  grpc_call_unref(call);
}

void submission_end(grpc_call *call) {
  submission *sub = grpc_call_data(call);
  sub->arrived_us = clock_wall_us();
  err e = {0};
  rc r = pb_split_end(&sub->split, &e);
  if (r != RC_OK) {
    grpc_call_finish(call, r, e.text);
    return;
  }
  if (spool_fd(sub->plan) < 0) {
    sub->read_rc = read_plan(sub, &sub->read_err);
    finish(sub);
    return;
  }
  grpc_call_ref(call);
  sub->working = true;
  sub->work.data = sub;
  uv_queue_work(sub->s->loop, &sub->work, on_pool, after_pool);
}
