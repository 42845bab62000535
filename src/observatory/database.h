/* observatory/database.h: the history of queries in SQLite. SPDX-License-Identifier: Apache-2.0
 *
 * Used by one thread. It never fails as a whole: a file that is broken is set aside, one that
 * cannot be opened is replaced by memory, what cannot be written is counted; `lacks` says so in
 * words. */
#ifndef FLOE_OBSERVATORY_DATABASE_H
#define FLOE_OBSERVATORY_DATABASE_H

#include <profile.pb-c.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct database_config {
  const char *path; /* NULL: in memory; a folder: a file in it; borrowed */
  const char *cluster_id;
  int64_t keep_ms, most_bytes; /* of history */
  bool ends_orphans;           /* queries under way in the file ended when its scheduler did */
} database_config;

typedef struct database {
  database_config config;
  char *file; /* owned; NULL: in memory */
  sqlite3 *db;
  char lacks[512]; /* ""; or what it cannot do */
  uint64_t lost;   /* reports that could not be written */
  int64_t pruned_wall_us, pruned_mono_ms;
} database;

void database_open(database *d, const database_config *config);
void database_close(database *d);
/* All of the report or nothing. What is wrong in it is left out, with a warning in the log. */
void database_write(database *d, const Profile__Report *report);
/* Deletes what is too old or too much. Clocks are arguments; where the wall clock has jumped since
 * the last time, age says nothing and is not looked at. */
void database_prune(database *d, int64_t wall_us, int64_t mono_ms);

/* For those who read. NULL: the database cannot answer, and `lacks` is set. */
sqlite3_stmt *database_prepare(database *d, const char *sql);

#endif
