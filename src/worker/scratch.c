/* worker/scratch.c: see scratch.h. SPDX-License-Identifier: Apache-2.0
 *
 * No fsync: a result that a power cut empties is asked for again, and syncing costs more than a
 * small query. */
#include "worker/scratch.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/location.h"
#include "worker/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ATTEMPT_PREFIX ".attempt-"

/* ---- the worker's folder ---- */

static void remove_marked(const char *marker) {
  char target[4096];
  ssize_t n = readlink(marker, target, sizeof target - 1);
  if (n <= 0) return;
  target[n] = '\0';
  const char *slash = strrchr(target, '/');
  if (!slash || strncmp(slash + 1, ATTEMPT_PREFIX, strlen(ATTEMPT_PREFIX)) != 0) return;
  if (unlink(target) == 0) LOG_INFO("removed what a dead worker left", "file", target);
  *strrchr(target, '/') = '\0';
  rmdir(target); /* its folder, unless it holds something */
}

static void remove_leftovers(const char *dir) {
  DIR *d = opendir(dir);
  for (struct dirent *entry; d && (entry = readdir(d)) != NULL;) {
    char *path = mem_printf("%s/%s", dir, entry->d_name);
    remove_marked(path);
    free(path);
  }
  if (d) closedir(d);
  char *shuffle_dir = mem_printf("%s/shuffle", dir); /* shuffle.h: unless it is elsewhere */
  staging_remove_all(shuffle_dir);
  free(shuffle_dir);
  tree_remove(dir);
}

static rc make_executor_dir(const scratch *s, err *e) {
  if (mkdir(s->executor_dir, 0700)) return ERR_ERRNO(e, errno, "making %s", s->executor_dir);
  if (s->user.other && chown(s->executor_dir, s->user.uid, s->user.gid))
    return ERR_ERRNO(e, errno, "giving %s to user %s", s->executor_dir, s->user.name);
  return RC_OK;
}

static rc open_dir(const scratch *s, err *e) {
  bool made;
  TRY(tree_make(s->dir, &made, e));
  TRY(tree_check_ours(s->dir, "POLARS_TEMP_DIR", e));
  if (!made) {
    remove_leftovers(s->dir);
    TRY(tree_make(s->dir, NULL, e));
    TRY(tree_check_ours(s->dir, "POLARS_TEMP_DIR", e));
  }
  TRY(executor_user_make_folder(&s->user, s->fetch_dir, e));
  return make_executor_dir(s, e);
}

static void free_names(scratch *s) {
  free(s->dir);
  free(s->executor_dir);
  free(s->fetch_dir);
  *s = (scratch){0};
}

rc scratch_open(scratch *s, const char *temp_dir, const char *instance_id,
                const executor_user *user, err *e) {
  char *name = mem_strdup(instance_id);
  for (char *c = name; *c; c++)
    if (*c == '/') *c = '_';
  *s = (scratch){.dir = mem_printf("%s/worker-%s", temp_dir, name), .user = *user};
  s->executor_dir = mem_printf("%s/executor", s->dir);
  s->fetch_dir = mem_printf("%s/fetched", s->dir);
  free(name);
  rc r = open_dir(s, e);
  if (r == RC_OK) return RC_OK;
  free_names(s);
  return err_prefix(e, r, "temp_dir: ");
}

void scratch_close(scratch *s) {
  if (s->dir) tree_remove(s->dir);
  free_names(s);
}

/* ---- one attempt ---- */

void output_local(output *o, const scratch *s, const char *attempt, const char *directory,
                  unsigned part) {
  *o = (output){
      .scratch_path = mem_printf("%s/" ATTEMPT_PREFIX "%s.parquet", directory, attempt),
      .directory = mem_strdup(directory),
      .marker = mem_printf("%s/attempt-%s", s->dir, attempt),
      .part = part,
  };
}

void output_upload(output *o, const scratch *s, const char *attempt) {
  *o = (output){.scratch_path = mem_printf("%s/attempt-%s.parquet", s->dir, attempt)};
}

static rc make_file(const char *path, const executor_user *user, err *e) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return ERR_ERRNO(e, errno, "making %s", path);
  int failed = fchmod(fd, 0644) ? errno : 0;
  if (!failed && user->other && fchown(fd, user->uid, user->gid)) failed = errno;
  close(fd);
  return failed ? ERR_ERRNO(e, failed, "giving %s to the executors", path) : RC_OK;
}

/* Another attempt of the query, which came to nothing, may remove the empty folder in between. */
static rc make_file_in_folder(output *o, const scratch *s, err *e) {
  enum { TIMES = 5 };
  rc r = RC_INTERNAL;
  for (int i = 0; i < TIMES; i++) {
    TRY(tree_make(o->directory, NULL, e));
    r = make_file(o->scratch_path, &s->user, e);
    if (r == RC_OK || access(o->directory, F_OK) == 0) return r;
  }
  return r;
}

rc output_prepare(output *o, const scratch *s, err *e) {
  if (!o->scratch_path) return RC_OK;
  if (!o->directory) return make_file(o->scratch_path, &s->user, e);
  if (symlink(o->scratch_path, o->marker))
    return ERR_ERRNO(e, errno, "noting an attempt in %s", s->dir);
  return make_file_in_folder(o, s, e);
}

rc output_commit(output *o, err *e) {
  /* From now on it is the worker's: another query's Python must not change it. */
  if (lchown(o->scratch_path, geteuid(), getegid()))
    return ERR_ERRNO(e, errno, "taking over %s", o->scratch_path);
  char *final_path = mem_printf("%s/%s", o->directory, location_part(o->part).s);
  rc r = RC_OK;
  if (rename(o->scratch_path, final_path))
    r = ERR_ERRNO(e, errno, "naming the result %s", final_path);
  free(final_path);
  return r;
}

rc output_size(const char *path, uint64_t *bytes, err *e) {
  struct stat st;
  if (lstat(path, &st)) return ERR_ERRNO(e, errno, "looking at %s", path);
  if (!S_ISREG(st.st_mode)) return ERR(e, RC_DATA_LOSS, "%s is no ordinary file", path);
  *bytes = (uint64_t)st.st_size;
  return RC_OK;
}

void output_discard(output *o) {
  if (o->scratch_path) unlink(o->scratch_path);
  if (o->directory) rmdir(o->directory); /* unless it holds results, or other attempts */
  if (o->marker) unlink(o->marker);
}

void output_deinit(output *o) {
  free(o->scratch_path);
  free(o->directory);
  free(o->marker);
  *o = (output){0};
}
