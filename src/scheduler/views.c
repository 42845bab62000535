/* scheduler/views.c: the cluster and its queries as JSON, for whoever shows them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The form of one query is what the official client's get_query_details decodes; lists have the
 * same names where they say the same thing. */
#include "base/clock.h"
#include "base/mem.h"
#include "sched/states.h"
#include "scheduler/internal.h"

#include <cluster.pb-c.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

/* What clients and workers said of themselves need not be UTF-8, and JSON must be. */
static json_t *text(const char *said) {
  json_t *t = json_string(said);
  return t ? t : json_string("(not UTF-8)");
}

static json_t *time_or_null(int64_t us) {
  if (!us) return json_null();
  time_t s = (time_t)(us / 1000000);
  struct tm tm;
  gmtime_r(&s, &tm);
  char day[32], text[48];
  strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
  snprintf(text, sizeof text, "%s.%06dZ", day, (int)(us % 1000000));
  return json_string(text);
}

static const char *status_name(sched_query_state state) {
  switch (state) {
  case SCHED_QUERY_QUEUED:
    return "Queued";
  case SCHED_QUERY_RUNNING:
    return "InProgress";
  case SCHED_QUERY_SUCCEEDED:
    return "Success";
  case SCHED_QUERY_FAILED:
    return "Failed";
  case SCHED_QUERY_CANCELED:
    return "Canceled";
  }
  return "Failed";
}

static const char *engine_name(int engine) {
  switch (engine) {
  case CLUSTER__ENGINE__ENGINE_STREAMING:
    return "Streaming";
  case CLUSTER__ENGINE__ENGINE_IN_MEMORY:
    return "InMemory";
  default:
    return "Auto";
  }
}

static json_t *stage_numbers(uint32_t from, uint32_t to) {
  json_t *items = json_array();
  for (uint32_t i = from; i < to; i++) json_array_append_new(items, json_integer(i));
  return items;
}

static json_t *error_list(const query *q) {
  if (!q->n_errors) return json_null();
  json_t *items = json_array();
  for (size_t i = 0; i < q->n_errors; i++) json_array_append_new(items, json_string(q->errors[i]));
  return items;
}

/* Where the rows are; without the signature that lets whoever holds it read them. */
static json_t *output_location(const query *q) {
  if (!q->n_files || q->deleted) return json_null();
  const char *file = q->files[0].location;
  return query_is_anonymous(q) ? json_stringn(file, strcspn(file, "?")) : text(file);
}

static json_t *labels(const query *q) {
  json_t *items = json_array();
  for (size_t i = 0; q->info && i < q->info->n_labels; i++)
    json_array_append_new(items, text(q->info->labels[i]->name));
  return items;
}

static json_t *text_or_null(const char *said) {
  return said && *said ? text(said) : json_null();
}

static json_t *lineage(const query *q) {
  const Client__LineageContext *l = q->info ? q->info->lineage_context : NULL;
  if (!l) return json_null();
  return json_pack("{s:o, s:o, s:o, s:o, s:o}", "job_namespace", text(l->job_namespace), "job_name",
                   text(l->job_name), "parent_run_id", text_or_null(l->parent_run_id),
                   "parent_job_namespace", text_or_null(l->parent_job_namespace), "parent_job_name",
                   text_or_null(l->parent_job_name));
}

/* What a list of queries shows of each. */
static json_t *summary(const scheduler *s, const query *q) {
  sched_query_info info = scheduler_info(s, q);
  bool running = info.state == SCHED_QUERY_RUNNING;
  return json_pack(
      "{s:s, s:{s:o}, s:o, s:o, s:s, s:o, s:o, s:o, s:i, s:o, s:o, s:s, s:s, s:i}", "id",
      uuid_print(q->id.u).s, "user", "name", text(q->user), "labels", labels(q), "polars_version",
      text(q->polars_version), "status", status_name(info.state), "request_time",
      time_or_null(q->times.submitted_us), "start_time", time_or_null(q->times.started_us),
      "end_time", time_or_null(q->times.ended_us), "total_num_stages", (int)info.total_stages,
      "in_progress_stages",
      stage_numbers(info.finished_stages, running ? info.total_stages : info.finished_stages),
      "finished_stages", stage_numbers(0, info.finished_stages), "engine",
      engine_name(q->settings.engine), "query_type",
      q->settings.distributed ? "Distributed" : "Single", "attempts", (int)info.attempts);
}

/* Nothing in it when the query was not planned. */
static json_t *plan_timing(const query *q) {
  if (!q->times.planned_us) return json_object();
  return json_pack("{s:o, s:o}", "plan_start_time", time_or_null(q->times.submitted_us),
                   "plan_end_time", time_or_null(q->times.planned_us));
}

static json_t *details(const scheduler *s, const query *q) {
  json_t *o = summary(s, q);
  json_object_set_new(o, "lineage", lineage(q));
  json_object_set_new(o, "query_plan_timing", plan_timing(q));
  query_totals totals = q->execution ? execution_add_up(q->execution) : q->totals;
  bool failed = q->failed_stage >= 0 && scheduler_info(s, q).state == SCHED_QUERY_FAILED;
  json_object_set_new(o, "failed_stage", failed ? json_integer(q->failed_stage) : json_null());
  json_object_set_new(o, "total_node_time_ns", json_integer((json_int_t)totals.run_us * 1000));
  json_t *files = totals.n_files ? json_integer((json_int_t)totals.n_files) : json_null();
  json_object_set_new(o, "total_num_files", files);
  json_object_set_new(o, "original_num_files", json_incref(files));
  json_object_set_new(o, "total_bytes_shuffled", json_integer((json_int_t)totals.bytes_shuffled));
  json_object_set_new(o, "errors", error_list(q));
  json_object_set_new(o, "output_location", output_location(q));
  json_object_set_new(o, "output_files", json_integer((json_int_t)q->n_files));
  json_object_set_new(o, "output_rows",
                      q->has_rows ? json_integer((json_int_t)q->rows) : json_null());
  json_object_set_new(o, "output_bytes", json_integer((json_int_t)q->bytes));
  return o;
}

static char *print(json_t *o) {
  char *text = json_dumps(o, JSON_COMPACT);
  json_decref(o);
  return text;
}

static json_t *runtimes(const sched_worker_info *w) {
  json_t *items = json_array();
  for (size_t i = 0; i < w->n_runtimes; i++) {
    const sched_runtime *r = &w->runtimes[i];
    json_array_append_new(items,
                          json_pack("{s:o, s:o, s:i}", "polars", text(r->polars_version), "python",
                                    text(r->python_version), "index_bits", (int)r->index_bits));
  }
  return items;
}

char *scheduler_cluster_json(const scheduler *s) {
  json_t *workers = json_array();
  int64_t now = clock_mono_ms();
  size_t at = 0;
  for (sched_worker_info w; sched_workers_each(s->sched, &at, &w);) {
    const peer *p = map_get(&s->peers, w.instance_id, strlen(w.instance_id));
    json_array_append_new(workers,
                          json_pack("{s:o, s:o, s:i, s:i, s:I, s:o}", "instance_id",
                                    text(w.instance_id), "host", text(p ? p->host : ""), "slots",
                                    (int)w.slots, "busy", (int)w.busy, "seen_ms_ago",
                                    (json_int_t)(now - w.last_seen_ms), "runtimes", runtimes(&w)));
  }
  return print(json_pack("{s:s, s:s, s:b, s:o}", "cluster_id",
                         s->conf->cluster_id ? s->conf->cluster_id : "", "version", FLOE_VERSION,
                         "has_token", s->conf->cluster.token != NULL, "workers", workers));
}

char *views_query(const scheduler *s, const query *q) {
  return print(details(s, q));
}

char *views_stages(const query *q) {
  if (q->execution) return explain_stages(q->execution);
  return q->stages ? mem_strdup(q->stages) : NULL;
}

void scheduler_print_metrics(const scheduler *s, buf *out) {
  size_t counts[QUERY_N_STATES] = {0}, at = 0;
  unsigned workers = 0, slots = 0, busy = 0;
  for (void *q; map_each(&s->queries, &at, &q);) counts[scheduler_info(s, q).state]++;
  at = 0;
  for (sched_worker_info w; sched_workers_each(s->sched, &at, &w); workers++)
    slots += w.slots, busy += w.busy;
  buf_puts(out, "# TYPE floe_queries gauge\n");
  for (int i = 0; i < QUERY_N_STATES; i++)
    buf_printf(out, "floe_queries{status=\"%s\"} %zu\n", status_name((sched_query_state)i),
               counts[i]);
  buf_printf(out,
             "# TYPE floe_workers gauge\nfloe_workers %u\n"
             "# TYPE floe_slots gauge\nfloe_slots %u\n"
             "# TYPE floe_slots_busy gauge\nfloe_slots_busy %u\n",
             workers, slots, busy);
}
