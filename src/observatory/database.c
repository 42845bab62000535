/* observatory/database.c: see database.h. SPDX-License-Identifier: Apache-2.0 */
#include "observatory/database.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "observatory/put.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { BUSY_MS = 2000, HOUR_MS = 3600 * 1000, PRUNE_ROUNDS = 64 };

/* Number n leads from version n to n + 1; what was released is never changed. */
static const char *const MIGRATIONS[] = {
    "PRAGMA auto_vacuum = INCREMENTAL;"
    "CREATE TABLE query(id TEXT PRIMARY KEY, details TEXT NOT NULL, stages TEXT,"
    " requested TEXT GENERATED ALWAYS AS (details ->> '$.request_time') STORED,"
    " status TEXT GENERATED ALWAYS AS (details ->> '$.status') STORED,"
    " user TEXT GENERATED ALWAYS AS (details ->> '$.user.name') STORED);"
    "CREATE INDEX query_requested ON query(requested, id);"
    "CREATE TABLE plan(query TEXT, step INTEGER, shape INTEGER, logical TEXT, physical TEXT,"
    " sources TEXT, files INTEGER, exchanges TEXT, PRIMARY KEY(query, step, shape)) WITHOUT ROWID;"
    "CREATE TABLE attempt(id TEXT PRIMARY KEY, query TEXT NOT NULL, step INTEGER NOT NULL,"
    " task INTEGER, worker TEXT, shape INTEGER, updated_us INTEGER, metrics TEXT, outcome TEXT,"
    " error TEXT, queued_us INTEGER, run_us INTEGER, commit_us INTEGER, cpu_us INTEGER,"
    " peak_rss_bytes INTEGER, rows INTEGER, bytes INTEGER);"
    "CREATE INDEX attempt_query ON attempt(query, step, task);"
    "CREATE TRIGGER query_gone AFTER DELETE ON query BEGIN"
    " DELETE FROM plan WHERE query = old.id; DELETE FROM attempt WHERE query = old.id; END;",
};
enum { VERSION = sizeof MIGRATIONS / sizeof *MIGRATIONS };

/* ---- opening ---- */

static void lack(database *d, const char *what) {
  if (!strcmp(d->lacks, what)) return;
  snprintf(d->lacks, sizeof d->lacks, "%s", what);
  LOG_WARN("the observatory's database lacks something", "file", d->file ? d->file : "(memory)",
           "what", what);
}

static int run(sqlite3 *db, const char *sql) {
  return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int read_version(sqlite3 *db, int *version) {
  sqlite3_stmt *s;
  int r = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &s, NULL);
  if (r == SQLITE_OK && (r = sqlite3_step(s)) == SQLITE_ROW) {
    *version = sqlite3_column_int(s, 0);
    r = SQLITE_OK;
  }
  sqlite3_finalize(s);
  return r;
}

static int check(sqlite3 *db) {
  sqlite3_stmt *s;
  int r = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &s, NULL);
  if (r == SQLITE_OK && (r = sqlite3_step(s)) == SQLITE_ROW) {
    const char *text = (const char *)sqlite3_column_text(s, 0);
    r = text && !strcmp(text, "ok") ? SQLITE_OK : SQLITE_CORRUPT;
  }
  sqlite3_finalize(s);
  return r;
}

static int migrate(sqlite3 *db, int from) {
  for (int v = from; v < VERSION; v++) {
    char *sql =
        mem_printf("BEGIN IMMEDIATE;%s PRAGMA user_version = %d; COMMIT;", MIGRATIONS[v], v + 1);
    int r = run(db, sql);
    free(sql);
    if (r != SQLITE_OK) return r;
  }
  return SQLITE_OK;
}

/* SQLITE_MISUSE: the file is of a newer version. */
static int open_file(database *d) {
  int version = 0;
  int r = sqlite3_open_v2(d->file ? d->file : ":memory:", &d->db,
                          SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
  if (r == SQLITE_OK) {
    sqlite3_busy_timeout(d->db, BUSY_MS);
    /* in this order: auto_vacuum is only taken before the first table, and before WAL */
    r = run(d->db, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
                   "PRAGMA synchronous = NORMAL; PRAGMA recursive_triggers = ON");
  }
  if (r == SQLITE_OK) r = check(d->db);
  if (r == SQLITE_OK) r = read_version(d->db, &version);
  if (r == SQLITE_OK && version > VERSION) return SQLITE_MISUSE;
  return r == SQLITE_OK ? migrate(d->db, version) : r;
}

static bool is_broken(int r) {
  return (r & 0xff) == SQLITE_CORRUPT || (r & 0xff) == SQLITE_NOTADB;
}

static void shut(database *d) {
  sqlite3_close_v2(d->db);
  d->db = NULL;
}

/* With what SQLite keeps beside it, so that it can still be looked into. */
static void set_aside(const database *d) {
  static const char *const PARTS[] = {"", "-wal", "-shm"};
  for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++) {
    char *from = mem_printf("%s%s", d->file, PARTS[i]);
    char *to =
        mem_printf("%s.broken-%lld%s", d->file, (long long)(clock_wall_us() / 1000000), PARTS[i]);
    if (rename(from, to) == 0 && !i) LOG_ERROR("a broken database was set aside", "as", to);
    free(from);
    free(to);
  }
}

static void open_memory(database *d) {
  shut(d);
  free(d->file);
  d->file = NULL;
  if (open_file(d) != SQLITE_OK) lack(d, "not even a database in memory could be opened");
}

static void open_any(database *d) {
  int r = open_file(d);
  if (is_broken(r) && d->file) {
    shut(d);
    set_aside(d);
    lack(d, "the database was broken and has been set aside: the history begins anew");
    r = open_file(d);
  }
  if (r == SQLITE_OK) return;
  char what[sizeof d->lacks];
  snprintf(what, sizeof what, "%s: %s; the history is in memory and ends with this process",
           d->file,
           r == SQLITE_MISUSE ? "was written by a newer version of Floe" : sqlite3_errmsg(d->db));
  lack(d, what);
  open_memory(d);
}

/* As in the official configuration: a folder stands for a file in it named after the cluster. */
static char *file_of(const database_config *c) {
  struct stat st;
  if (!c->path) return NULL;
  if (stat(c->path, &st) || !S_ISDIR(st.st_mode)) return mem_strdup(c->path);
  char *name = mem_strdup(c->cluster_id && *c->cluster_id ? c->cluster_id : "observatory");
  for (char *p = name; *p; p++)
    if (*p == '/') *p = '_';
  char *file = mem_printf("%s/%s.db", c->path, name);
  free(name);
  return file;
}

void database_open(database *d, const database_config *config) {
  *d = (database){.config = *config, .file = file_of(config)};
  open_any(d);
  if (config->ends_orphans)
    run(d->db, "UPDATE query SET details = json_set(details, '$.status', 'Failed', '$.errors',"
               " json_array('{\"scheduler\": \"RuntimeError: the scheduler ended before the query"
               " did\"}')) WHERE status IN ('Queued', 'Scheduled', 'InProgress')");
}

void database_close(database *d) {
  shut(d);
  free(d->file);
  d->file = NULL;
}

/* ---- failures ---- */

static void fail(database *d, int r) {
  if (is_broken(r) && d->file) {
    shut(d);
    set_aside(d);
    lack(d, "the database broke and has been set aside: the history begins anew");
    open_any(d);
    return;
  }
  char what[sizeof d->lacks];
  snprintf(what, sizeof what, "the database cannot be written: %s; what happens meanwhile is lost",
           sqlite3_errmsg(d->db));
  lack(d, what);
}

sqlite3_stmt *database_prepare(database *d, const char *sql) {
  sqlite3_stmt *s = NULL;
  int r = sqlite3_prepare_v2(d->db, sql, -1, &s, NULL);
  if (r != SQLITE_OK) fail(d, r);
  return s;
}

/* ---- writing ---- */

void database_write(database *d, const Profile__Report *report) {
  int r = run(d->db, "BEGIN IMMEDIATE");
  if (r == SQLITE_OK) r = put_report(d->db, report);
  if (r == SQLITE_OK) r = run(d->db, "COMMIT");
  if (r == SQLITE_OK) {
    if (!strncmp(d->lacks, "the database cannot be written", 30)) d->lacks[0] = '\0';
    return;
  }
  d->lost++;
  run(d->db, "ROLLBACK");
  fail(d, r);
}

/* ---- retention ---- */

static int64_t number(sqlite3 *db, const char *sql) {
  sqlite3_stmt *s;
  int64_t n = 0;
  if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
    n = sqlite3_column_int64(s, 0);
  sqlite3_finalize(s);
  return n;
}

static void prune_age(database *d, int64_t wall_us) {
  time_t oldest = (time_t)(wall_us / 1000000 - d->config.keep_ms / 1000);
  char text[32], sql[256];
  struct tm tm;
  gmtime_r(&oldest, &tm);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
  snprintf(sql, sizeof sql, "DELETE FROM query WHERE requested < '%s'", text);
  run(d->db, sql);
  /* of queries that nobody reported: questions about a plan, or of a scheduler that is not told */
  snprintf(sql, sizeof sql,
           "DELETE FROM attempt WHERE updated_us < %lld AND query NOT IN (SELECT id FROM query)",
           (long long)(wall_us - (int64_t)HOUR_MS * 1000));
  run(d->db, sql);
  run(d->db, "DELETE FROM plan WHERE query NOT IN (SELECT query FROM attempt)");
}

static void prune_bytes(database *d) {
  for (int i = 0; i < PRUNE_ROUNDS; i++) {
    int64_t pages = number(d->db, "PRAGMA page_count") - number(d->db, "PRAGMA freelist_count");
    if (pages * number(d->db, "PRAGMA page_size") <= d->config.most_bytes) return;
    if (run(d->db,
            "DELETE FROM query WHERE id IN (SELECT id FROM query ORDER BY requested, id LIMIT"
            " (SELECT count(*) / 16 + 1 FROM query))") != SQLITE_OK ||
        !sqlite3_changes(d->db))
      return;
  }
}

void database_prune(database *d, int64_t wall_us, int64_t mono_ms) {
  int64_t wall_ms = (wall_us - d->pruned_wall_us) / 1000, passed_ms = mono_ms - d->pruned_mono_ms;
  bool jumped = !d->pruned_wall_us || llabs(wall_ms - passed_ms) > HOUR_MS;
  d->pruned_wall_us = wall_us;
  d->pruned_mono_ms = mono_ms;
  if (!jumped) prune_age(d, wall_us);
  prune_bytes(d);
  run(d->db, "PRAGMA incremental_vacuum");
}
