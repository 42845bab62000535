/* observatory/put.c: see put.h. SPDX-License-Identifier: Apache-2.0
 *
 * Reports of an attempt may come in any order: what was said once stays, what is newer wins. */
#include "observatory/put.h"

#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "observatory/unpack.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PLAN = 1 << 20 };

/* Kinds: t text (NULL is NULL), i integer. */
static int put(sqlite3 *db, const char *sql, const char *kinds, ...) {
  sqlite3_stmt *s;
  int r = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
  va_list args;
  va_start(args, kinds);
  for (int i = 0; r == SQLITE_OK && kinds[i]; i++)
    r = kinds[i] == 't' ? sqlite3_bind_text(s, i + 1, va_arg(args, const char *), -1, SQLITE_STATIC)
                        : sqlite3_bind_int64(s, i + 1, va_arg(args, sqlite3_int64));
  va_end(args);
  if (r == SQLITE_OK) r = sqlite3_step(s);
  int ended = sqlite3_finalize(s);
  return r == SQLITE_DONE || r == SQLITE_ROW ? SQLITE_OK : ended ? ended : r;
}

static bool are_ids(const char *query, const char *attempt) {
  uuid id;
  return uuid_parse(query, &id) && (!attempt || uuid_parse(attempt, &id));
}

/* An array of maps, in MessagePack; NULL: it is none. */
static json_t *nodes_of(const ProtobufCBinaryData *packed, const char *what, const char *query) {
  json_t *nodes = NULL;
  err e = {0};
  if (!packed->len) return NULL;
  if (packed->len > MOST_PLAN)
    ERR(&e, RC_INVALID, "%zu bytes, more than %d", packed->len, MOST_PLAN);
  else if (unpack_json(packed->data, packed->len, &nodes, &e) == RC_OK && json_is_array(nodes))
    return nodes;
  if (!json_is_null(nodes)) /* Polars' in-memory engine has no physical plan */
    LOG_WARN("what an executor observed does not decode", "what", what, "query", query, "error",
             e.text);
  json_decref(nodes);
  return NULL;
}

static char *print(json_t *nodes) {
  return nodes ? json_dumps(nodes, JSON_COMPACT) : NULL;
}

/* ---- plans ---- */

/* Plans of a step's tasks differ in their files, rarely in their nodes: one of each is kept. */
static sqlite3_int64 shape_of(json_t *nodes) {
  uint64_t hash = 14695981039346656037U; /* FNV-1a */
  size_t i;
  json_t *node;
  json_array_foreach(nodes, i, node) {
    const char *type =
        json_string_value(json_object_get(json_object_get(node, "properties"), "type"));
    hash = (hash ^ (uint64_t)json_integer_value(json_object_get(node, "id"))) * 1099511628211U;
    for (const char *c = type ? type : ""; *c; c++) hash = (hash ^ (uint8_t)*c) * 1099511628211U;
  }
  return (sqlite3_int64)(hash >> 1);
}

/* Files between stages lie below a folder that is named after the query, or the attempt. */
static bool is_exchange(const json_t *properties, const Profile__TaskPlans *p) {
  char *text = json_dumps(properties, JSON_COMPACT);
  bool is = text && (strstr(text, p->query_id) || strstr(text, p->attempt_id));
  free(text);
  return is;
}

typedef struct ends { /* numbers of nodes at the ends of a task's plan: arrays */
  json_t *sources;    /* read what the query reads, … */
  json_int_t files;   /* … so many files */
  json_t *exchanges;  /* read or write files between stages */
} ends;

static ends ends_of(json_t *nodes, const Profile__TaskPlans *p) {
  ends found = {.sources = json_array(), .exchanges = json_array()};
  size_t i;
  json_t *node;
  json_array_foreach(nodes, i, node) {
    json_t *properties = json_object_get(node, "properties"), *id = json_object_get(node, "id");
    if (is_exchange(properties, p)) {
      json_array_append(found.exchanges, id);
    } else if (json_object_get(properties, "first_source")) {
      json_array_append(found.sources, id);
      found.files += json_integer_value(json_object_get(properties, "num_sources"));
    }
  }
  return found;
}

static int put_plans(sqlite3 *db, const Profile__TaskPlans *p) {
  if (!are_ids(p->query_id, p->attempt_id)) return SQLITE_OK;
  json_t *logical = nodes_of(&p->logical, "logical plan", p->query_id);
  json_t *physical = nodes_of(&p->physical, "physical plan", p->query_id);
  ends found = ends_of(physical, p);
  sqlite3_int64 shape = shape_of(physical ? physical : logical), step = p->step;
  char *texts[] = {print(logical), print(physical), print(found.sources), print(found.exchanges)};
  int r =
      put(db, "INSERT OR IGNORE INTO plan VALUES (?, ?, ?, ?, ?, ?, ?, ?)", "tiitttit", p->query_id,
          step, shape, texts[0], texts[1], texts[2], (sqlite3_int64)found.files, texts[3]);
  if (r == SQLITE_OK)
    r = put(db,
            "INSERT INTO attempt(id, query, step, shape) VALUES (?, ?, ?, ?)"
            " ON CONFLICT(id) DO UPDATE SET shape = excluded.shape",
            "ttii", p->attempt_id, p->query_id, step, shape);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(texts[i]);
  json_decref(logical);
  json_decref(physical);
  json_decref(found.sources);
  json_decref(found.exchanges);
  return r;
}

/* ---- attempts ---- */

static int put_progress(sqlite3 *db, const Profile__TaskProgress *p) {
  json_t *nodes = nodes_of(&p->metrics, "metrics", p->query_id);
  char *metrics = print(nodes);
  int r = put(db,
              "INSERT INTO attempt(id, query, step, task, worker, updated_us, metrics)"
              " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET"
              " task = excluded.task, worker = excluded.worker,"
              " metrics = CASE WHEN excluded.metrics IS NULL OR"
              "  (metrics IS NOT NULL AND updated_us > excluded.updated_us)"
              "  THEN metrics ELSE excluded.metrics END,"
              " updated_us = max(coalesce(updated_us, 0), excluded.updated_us)",
              "ttiitit", p->attempt_id, p->query_id, (sqlite3_int64)p->step, (sqlite3_int64)p->task,
              p->worker, (sqlite3_int64)p->time_us, metrics);
  free(metrics);
  json_decref(nodes);
  return r;
}

static int put_end(sqlite3 *db, const char *attempt, const Profile__TaskEnd *end) {
  return put(db,
             "UPDATE attempt SET outcome = ?, error = ?, queued_us = ?, run_us = ?, commit_us = ?,"
             " cpu_us = ?, peak_rss_bytes = ?, rows = ?, bytes = ? WHERE id = ?",
             "ttiiiiiiit", end->outcome, *end->error ? end->error : NULL,
             (sqlite3_int64)end->queued_us, (sqlite3_int64)end->run_us,
             (sqlite3_int64)end->commit_us, (sqlite3_int64)end->cpu_us,
             (sqlite3_int64)end->peak_rss_bytes, (sqlite3_int64)end->rows,
             (sqlite3_int64)end->bytes, attempt);
}

static int put_task(sqlite3 *db, const Profile__TaskProgress *p) {
  if (!are_ids(p->query_id, p->attempt_id)) return SQLITE_OK;
  int r = put_progress(db, p);
  return r == SQLITE_OK && p->end ? put_end(db, p->attempt_id, p->end) : r;
}

/* ---- queries ---- */

static bool is_object(const char *text) {
  json_t *o = json_loads(text, 0, NULL);
  bool is = json_is_object(o);
  json_decref(o);
  return is;
}

static int put_query(sqlite3 *db, const Profile__QueryState *q) {
  if (!are_ids(q->query_id, NULL) || !is_object(q->details) ||
      (*q->stages && !is_object(q->stages))) {
    LOG_WARN("what a scheduler said of a query does not decode", "query", q->query_id);
    return SQLITE_OK;
  }
  return put(
      db,
      "INSERT INTO query(id, details, stages) VALUES (?, ?, nullif(?, '')) ON CONFLICT(id) DO"
      " UPDATE SET details = excluded.details, stages = coalesce(excluded.stages, stages)",
      "ttt", q->query_id, q->details, q->stages);
}

int put_report(sqlite3 *db, const Profile__Report *report) {
  int r = SQLITE_OK;
  for (size_t i = 0; r == SQLITE_OK && i < report->n_queries; i++)
    r = put_query(db, report->queries[i]);
  for (size_t i = 0; r == SQLITE_OK && i < report->n_plans; i++)
    r = put_plans(db, report->plans[i]);
  for (size_t i = 0; r == SQLITE_OK && i < report->n_tasks; i++) r = put_task(db, report->tasks[i]);
  return r;
}
