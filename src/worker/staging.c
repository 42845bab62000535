/* worker/staging.c: see staging.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/staging.h"

#include "base/id.h"
#include "base/mem.h"
#include "base/tree.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX ".floe-" /* and the attempt's id */

/* The link is the executors' user's: only what bears the attempt's name is ours to remove. */
static void remove_linked(const char *link, const char *attempt) {
  char path[4096];
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return;
  path[n] = '\0';
  const char *slash = strrchr(path, '/');
  char *prefix = mem_printf(PREFIX "%s.", attempt);
  if (slash && !strncmp(slash + 1, prefix, strlen(prefix))) tree_remove(path);
  free(prefix);
}

typedef void on_entry(const char *path, const char *name);

static void each(const char *dir, const char *name, on_entry *on) {
  char *path = mem_printf("%s/%s", dir, name);
  DIR *d = opendir(path);
  for (struct dirent *entry; d && (entry = readdir(d)) != NULL;)
    if (entry->d_name[0] != '.') on(path, entry->d_name);
  if (d) closedir(d);
  free(path);
}

static void on_link(const char *attempt_dir, const char *name) {
  char *link = mem_printf("%s/%s", attempt_dir, name);
  remove_linked(link, strrchr(attempt_dir, '/') + 1);
  free(link);
}

static void on_attempt(const char *query_dir, const char *name) {
  uuid id;
  if (uuid_parse(name, &id)) each(query_dir, name, on_link);
}

static void on_query(const char *shuffle_dir, const char *name) {
  uuid id;
  if (uuid_parse(name, &id)) each(shuffle_dir, name, on_attempt);
}

void staging_remove(const char *query_dir, const char *attempt) {
  if (attempt)
    on_attempt(query_dir, attempt);
  else
    each(query_dir, ".", on_attempt);
}

void staging_remove_all(const char *shuffle_dir) {
  each(shuffle_dir, ".", on_query);
}
