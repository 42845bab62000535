/* observatory/history.c: see history.h. SPDX-License-Identifier: Apache-2.0 */
#include "observatory/history.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- statements ---- */

static sqlite3_stmt *prepare(database *d, const char *sql, const char *const *texts, int n) {
  sqlite3_stmt *s = database_prepare(d, sql);
  for (int i = 0; s && i < n; i++) sqlite3_bind_text(s, i + 1, texts[i], -1, SQLITE_STATIC);
  return s;
}

static const char *text_at(sqlite3_stmt *s, int column) {
  return (const char *)sqlite3_column_text(s, column);
}

static json_t *json_at(sqlite3_stmt *s, int column) {
  const char *text = text_at(s, column);
  json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
  return value ? value : json_null();
}

/* The first column of the first row, as it is. */
static char *one_text(database *d, const char *sql, const char *const *texts, int n) {
  sqlite3_stmt *s = prepare(d, sql, texts, n);
  char *found = NULL;
  if (s && sqlite3_step(s) == SQLITE_ROW && text_at(s, 0)) found = mem_strdup(text_at(s, 0));
  sqlite3_finalize(s);
  return found;
}

static char *print(json_t *o) {
  char *text = json_dumps(o, JSON_COMPACT);
  json_decref(o);
  return text;
}

#define MAY_SEE " (?2 IS NULL OR user = ?2)"

/* ---- queries ---- */

static sqlite3_stmt *select_queries(database *d, const history_filter *f, const char *user) {
  const char *texts[] = {f->status, user, f->user, f->label, f->search, f->before};
  sqlite3_stmt *s = prepare(
      d,
      "SELECT json_remove(details, '$.errors', '$.lineage', '$.query_plan_timing'), id FROM query"
      " WHERE (?1 IS NULL OR status = ?1) AND" MAY_SEE " AND (?3 IS NULL OR user = ?3)"
      " AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(details, '$.labels') WHERE value = ?4))"
      " AND (?5 IS NULL OR instr(id, ?5) OR instr(user, ?5)"
      "  OR instr(coalesce(details ->> '$.labels', ''), ?5)"
      "  OR instr(coalesce(details ->> '$.errors', ''), ?5))"
      " AND (?6 IS NULL OR (requested, id) < (SELECT requested, id FROM query WHERE id = ?6))"
      " ORDER BY requested DESC, id DESC LIMIT ?7",
      texts, 6);
  if (s) sqlite3_bind_int(s, 7, f->limit);
  return s;
}

char *history_queries(database *d, const history_filter *filter, const char *user) {
  sqlite3_stmt *s = select_queries(d, filter, user);
  json_t *items = json_array(), *next = json_null();
  while (s && sqlite3_step(s) == SQLITE_ROW) {
    json_array_append_new(items, json_at(s, 0));
    if ((int)json_array_size(items) == filter->limit) next = json_string(text_at(s, 1));
  }
  sqlite3_finalize(s);
  return print(json_pack("{s:o, s:o}", "queries", items, "next", next));
}

#define IS_ONE_OF(numbers)                                                                         \
  "EXISTS (SELECT 1 FROM json_each(" numbers ") WHERE value = m ->> 'phys_node_key')"

/* What only the executors know is put into what the scheduler said. */
char *history_query(database *d, const char *id, const char *user) {
  const char *texts[] = {id, user};
  return one_text(
      d,
      "WITH node AS MATERIALIZED (SELECT m.value AS m, p.sources, p.exchanges"
      "  FROM attempt a JOIN plan p ON p.query = a.query AND p.step = a.step AND p.shape = a.shape,"
      "  json_each(a.metrics) m WHERE a.query = ?1),"
      " read(n_rows, n_bytes) AS (SELECT sum(m ->> 'rows_sent'), sum(m ->> "
      "'io_total_bytes_received')"
      "  FROM node WHERE " IS_ONE_OF(
          "sources") "),"
                     " spent(all_ns, moving_ns) AS (SELECT sum(m ->> 'total_time_ns'),"
                     "  sum((m ->> 'total_time_ns') * " IS_ONE_OF(
                         "exchanges") ") FROM node)"
                                      " SELECT json_set(details, '$.total_rows_read', n_rows, "
                                      "'$.total_bytes_read', n_bytes,"
                                      "  '$.percentage_time_shuffling', 100.0 * moving_ns / "
                                      "nullif(all_ns, 0),"
                                      "  '$.total_num_files', coalesce(details ->> "
                                      "'$.total_num_files',"
                                      "   (SELECT sum(files) FROM plan WHERE query = ?1)))"
                                      " FROM query, read, spent WHERE id = ?1 AND" MAY_SEE,
      texts, 2);
}

char *history_stages(database *d, const char *id, const char *user) {
  const char *texts[] = {id, user};
  return one_text(d, "SELECT stages FROM query WHERE id = ?1 AND" MAY_SEE, texts, 2);
}

static bool is_known(database *d, const char *id, const char *user) {
  const char *texts[] = {id, user};
  char *found = one_text(d, "SELECT id FROM query WHERE id = ?1 AND" MAY_SEE, texts, 2);
  free(found);
  return found != NULL;
}

/* ---- tasks ---- */

static json_t *column(sqlite3_stmt *s, int i) {
  if (sqlite3_column_type(s, i) == SQLITE_INTEGER) return json_integer(sqlite3_column_int64(s, i));
  return text_at(s, i) ? json_string(text_at(s, i)) : json_null();
}

static json_t *row(sqlite3_stmt *s) {
  json_t *o = json_object();
  for (int i = 0; i < sqlite3_column_count(s); i++)
    json_object_set_new(o, sqlite3_column_name(s, i), column(s, i));
  return o;
}

char *history_tasks(database *d, const char *id, const char *user) {
  if (!is_known(d, id, user)) return NULL;
  sqlite3_stmt *s = prepare(
      d,
      "SELECT id AS attempt, step, task, worker, coalesce(outcome, 'running') AS outcome,"
      " error, updated_us, queued_us, run_us, commit_us, cpu_us, peak_rss_bytes, rows, bytes"
      " FROM attempt WHERE query = ? AND task IS NOT NULL ORDER BY step, task, updated_us",
      &id, 1);
  json_t *items = json_array();
  while (s && sqlite3_step(s) == SQLITE_ROW) json_array_append_new(items, row(s));
  sqlite3_finalize(s);
  return print(json_pack("{s:o}", "tasks", items));
}

/* ---- nodes ---- */

/* Counters of one node in several tasks become one: "max_…" and "largest_…" are the greatest, the
 * others sums; `done` when all are. */
static void add_metrics(json_t *sum, json_t *more) {
  const char *key;
  json_t *value;
  json_object_foreach(more, key, value) {
    json_t *old = json_object_get(sum, key);
    bool greatest = !strncmp(key, "max_", 4) || !strncmp(key, "largest_", 8);
    json_int_t a = json_integer_value(old), b = json_integer_value(value);
    if (!old)
      json_object_set_new(sum, key, json_deep_copy(value));
    else if (json_is_integer(value) && strcmp(key, "phys_node_key") != 0)
      json_object_set_new(sum, key, json_integer(!greatest ? a + b : a > b ? a : b));
    else if (json_is_boolean(value))
      json_object_set_new(sum, key, json_boolean(json_is_true(old) && json_is_true(value)));
    else if (json_is_array(value))
      json_array_extend(old, value); /* `custom`: of which task, nobody asks */
  }
}

static json_t *node_of(json_t *physical, json_int_t key) {
  size_t i;
  json_t *node;
  json_array_foreach(physical, i,
                     node) if (json_integer_value(json_object_get(node, "id")) == key) return node;
  return NULL;
}

static void add_task(json_t *step, json_t *metrics) {
  size_t i;
  json_t *of_node;
  json_array_foreach(metrics, i, of_node) {
    json_int_t key = json_integer_value(json_object_get(of_node, "phys_node_key"));
    json_t *node = node_of(json_object_get(step, "physical"), key);
    if (!node) continue;
    if (!json_object_get(node, "metrics")) json_object_set_new(node, "metrics", json_object());
    add_metrics(json_object_get(node, "metrics"), of_node);
  }
  json_object_set_new(step, "tasks",
                      json_integer(json_integer_value(json_object_get(step, "tasks")) + 1));
}

static json_t *new_step(sqlite3_stmt *s) {
  return json_pack("{s:I, s:I, s:i, s:o, s:o}", "step", (json_int_t)sqlite3_column_int64(s, 0),
                   "shape", (json_int_t)sqlite3_column_int64(s, 1), "tasks", 0, "logical",
                   json_at(s, 2), "physical", json_at(s, 3));
}

static bool is_of(json_t *step, sqlite3_stmt *s) {
  return step && json_integer_value(json_object_get(step, "step")) == sqlite3_column_int64(s, 0) &&
         json_integer_value(json_object_get(step, "shape")) == sqlite3_column_int64(s, 1);
}

/* Attempts that came to nothing are not in it: their rows were moved again. */
char *history_nodes(database *d, const char *id, const char *user) {
  if (!is_known(d, id, user)) return NULL;
  sqlite3_stmt *s =
      prepare(d,
              "SELECT p.step, p.shape, p.logical, p.physical, a.metrics FROM plan p JOIN attempt a"
              " ON a.query = p.query AND a.step = p.step AND a.shape = p.shape"
              " WHERE p.query = ? AND coalesce(a.outcome, 'done') = 'done' ORDER BY p.step, "
              "p.shape, a.task",
              &id, 1);
  json_t *steps = json_array(), *step = NULL;
  while (s && sqlite3_step(s) == SQLITE_ROW) {
    if (!is_of(step, s)) json_array_append_new(steps, step = new_step(s));
    json_t *metrics = json_at(s, 4);
    add_task(step, metrics);
    json_decref(metrics);
  }
  sqlite3_finalize(s);
  return print(json_pack("{s:o}", "steps", steps));
}
