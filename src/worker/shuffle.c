/* worker/shuffle.c: see shuffle.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/shuffle.h"

#include "base/log.h"
#include "base/mem.h"
#include "worker/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARKER ".floe-"
enum { MAKE_TRIES = 8 }; /* the query's folder may go while the attempt's is made */

/* ---- opening and closing ---- */

static rc choose_dir(shuffle *s, const conf *c, const char *scratch_dir, err *e) {
  const conf_location *l = &c->worker.shuffle_location;
  bool is_folder = l->kind == CONF_LOCATION_LOCAL || l->kind == CONF_LOCATION_SHARED;
  if (l->kind != CONF_LOCATION_NONE && !is_folder)
    return ERR(e, RC_UNIMPLEMENTED,
               "expected a folder (local or shared_filesystem), found an object store: this "
               "version keeps what goes between stages on disks");
  char *name = mem_strdup(c->instance_id);
  for (char *p = name; *p; p++)
    if (*p == '/') *p = '_';
  s->dir =
      is_folder ? mem_printf("%s/worker-%s", l->url, name) : mem_printf("%s/shuffle", scratch_dir);
  free(name);
  return RC_OK;
}

static char *marker_of(const char *dir, const char *incarnation) {
  return mem_printf("%s/" MARKER "%s", dir, incarnation);
}

static rc make_marker(const shuffle *s, err *e) {
  char *path = marker_of(s->dir, s->incarnation.s);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  bool made = fd >= 0 && !fchown(fd, (uid_t)-1, s->owner.group) && !fchmod(fd, s->owner.files);
  rc r = made ? RC_OK : ERR_ERRNO(e, errno, "making %s", path);
  if (fd >= 0) close(fd);
  free(path);
  return r;
}

static rc open_dir(const shuffle *s, err *e) {
  TRY(tree_make(s->dir, NULL, e));
  TRY(tree_check_ours(s->dir, "worker.shuffle_location", e));
  staging_remove_all(s->dir);
  tree_remove(s->dir);
  TRY(executor_user_make_folder(&s->user, s->dir, e));
  TRY(tree_check_ours(s->dir, "worker.shuffle_location", e));
  TRY(make_marker(s, e));
  return executor_user_check(&s->user, s->dir, e);
}

rc shuffle_open(shuffle *s, const conf *c, const char *scratch_dir, const executor_user *user,
                uuid incarnation, err *e) {
  *s = (shuffle){.user = *user, .incarnation = uuid_print(incarnation)};
  s->owner = executor_user_readers(user);
  rc r = choose_dir(s, c, scratch_dir, e);
  if (r == RC_OK) r = open_dir(s, e);
  if (r == RC_OK) return RC_OK;
  free(s->dir);
  *s = (shuffle){0};
  return err_prefix(e, r, "worker.shuffle_location: ");
}

void shuffle_close(shuffle *s) {
  if (s->dir) {
    staging_remove_all(s->dir);
    tree_remove(s->dir);
  }
  free(s->dir);
  *s = (shuffle){0};
}

/* ---- an attempt's folder ---- */

static rc make_attempt(const shuffle *s, const char *query_dir, const char *dir, err *e) {
  for (int tries = 0; tries < MAKE_TRIES; tries++) {
    TRY(executor_user_make_folder(&s->user, query_dir, e));
    if (mkdir(dir, 0700) == 0) return RC_OK;
    if (errno != ENOENT) break;
  }
  return ERR_ERRNO(e, errno, "making %s", dir);
}

rc shuffle_prepare(const shuffle *s, const char *query, const char *attempt, char **dir, err *e) {
  char *query_dir = mem_printf("%s/%s", s->dir, query);
  char *path = mem_printf("%s/%s", query_dir, attempt);
  rc r = make_attempt(s, query_dir, path, e);
  free(query_dir);
  if (r == RC_OK && s->user.other && chown(path, s->user.uid, s->user.gid))
    r = ERR_ERRNO(e, errno, "giving %s to user %s", path, s->user.name);
  if (r != RC_OK) rmdir(path);
  if (r == RC_OK)
    *dir = path;
  else
    free(path);
  return r;
}

rc shuffle_keep(const shuffle *s, const char *dir, err *e) {
  return tree_take(dir, s->user.uid, &s->owner, e);
}

void shuffle_drop(const shuffle *s, const char *query, const char *attempt) {
  char *query_dir = mem_printf("%s/%s", s->dir, query);
  char *path = mem_printf("%s/%s", query_dir, attempt ? attempt : "");
  staging_remove(query_dir, attempt);
  tree_remove(attempt ? path : query_dir);
  if (attempt) rmdir(query_dir); /* unless it holds more */
  free(path);
  free(query_dir);
}

void shuffle_list(const shuffle *s, query_list *out) {
  out->n = 0;
  DIR *d = opendir(s->dir);
  for (struct dirent *entry; d && out->n < QUERY_LIST_MOST && (entry = readdir(d)) != NULL;) {
    uuid query;
    if (uuid_parse(entry->d_name, &query)) out->ids[out->n++] = uuid_print(query);
  }
  if (d) closedir(d);
}

void shuffle_drop_all(const shuffle *s) {
  query_list queries;
  size_t before = SIZE_MAX;
  for (shuffle_list(s, &queries); queries.n && queries.n != before; shuffle_list(s, &queries)) {
    before = queries.n;
    for (size_t i = 0; i < queries.n; i++) shuffle_drop(s, queries.ids[i].s, NULL);
  }
}

/* ---- other workers' folders ---- */

/* As the executors will: they read the files, which are like the marker. */
static bool may_read(const executor_user *u, const struct stat *st) {
  if (u->uid == st->st_uid) return st->st_mode & S_IRUSR;
  if (u->gid == st->st_gid) return st->st_mode & S_IRGRP;
  return st->st_mode & S_IROTH;
}

bool shuffle_sees(const shuffle *s, const char *dir, const char *incarnation) {
  struct stat st;
  char *path = marker_of(dir, incarnation);
  bool found = dir[0] == '/' && lstat(path, &st) == 0 && S_ISREG(st.st_mode);
  free(path);
  return found && (s->user.uid == 0 || may_read(&s->user, &st));
}
