/* base/tree.c: see tree.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/tree.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  DEEPEST = 64, /* folders within each other; a descriptor is open for each */
  PASSES = 3,   /* a folder may be filled while it is emptied, until it is sealed */
};

/* ---- names ---- */

static bool is_plain_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '=' || c == '-';
}

bool tree_is_plain(const char *path) {
  bool begins = true; /* a part */
  for (; *path; path++) {
    if (begins && (*path == '/' || *path == '.')) return false;
    if (*path != '/' && !is_plain_char(*path)) return false;
    begins = *path == '/';
  }
  return !begins;
}

/* ---- making ---- */

static rc make_one(const char *path, bool *made, err *e) {
  *made = mkdir(path, 0755) == 0;
  if (!*made && errno != EEXIST) return ERR_ERRNO(e, errno, "making folder %s", path);
  /* A strict umask must not lock the executors' user out. */
  if (*made && chmod(path, 0755)) return ERR_ERRNO(e, errno, "opening folder %s", path);
  return RC_OK;
}

rc tree_make(const char *path, bool *made, err *e) {
  char *part = mem_strdup(path);
  bool made_last = false;
  rc r = RC_OK;
  for (char *slash = strchr(part + 1, '/'); slash && r == RC_OK; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    r = make_one(part, &made_last, e);
    *slash = '/';
  }
  if (r == RC_OK) r = make_one(part, &made_last, e);
  free(part);
  if (made) *made = made_last;
  return r;
}

/* A folder with a foreseeable name in a place like /tmp must be ours and no link. */
rc tree_check_ours(const char *path, const char *setting, err *e) {
  struct stat st;
  if (lstat(path, &st)) return ERR_ERRNO(e, errno, "looking at %s", path);
  if (S_ISDIR(st.st_mode) && st.st_uid == geteuid()) return RC_OK;
  return ERR(e, RC_DENIED,
             "expected %s to be a folder of user %u, found one of user %u, or a link; remove it or "
             "set %s",
             path, (unsigned)geteuid(), (unsigned)st.st_uid, setting);
}

/* ---- opening ---- */

static int open_part(int dir, const char *name, bool last) {
  if (last) return openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  return openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_plain(int dir_fd, char *path) {
  int dir = dir_fd;
  for (char *name = path, *slash;; name = slash + 1) {
    slash = strchr(name, '/');
    if (slash) *slash = '\0';
    int fd = open_part(dir, name, !slash), failed = errno;
    if (dir != dir_fd) close(dir);
    errno = failed;
    if (fd < 0 || !slash) return fd;
    dir = fd;
  }
}

rc tree_open(int dir_fd, const char *path, int *out, err *e) {
  if (!tree_is_plain(path)) return ERR(e, RC_INVALID, "expected a plain path, found \"%s\"", path);
  char *parts = mem_strdup(path);
  int fd = open_plain(dir_fd, parts), failed = errno;
  free(parts);
  if (fd < 0) return ERR_ERRNO(e, failed, "opening %s", path);
  struct stat st;
  if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
    close(fd);
    return ERR(e, RC_NOT_FOUND, "%s is no ordinary file", path);
  }
  *out = fd;
  return RC_OK;
}

rc tree_open_in(const char *dir, const char *path, int *out, err *e) {
  int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir_fd < 0) return ERR_ERRNO(e, errno, "opening %s", dir);
  rc r = tree_open(dir_fd, path, out, e);
  close(dir_fd);
  return r;
}

/* ---- walking ---- */

static bool is_real(const struct dirent *entry) {
  return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int open_folder(int dir, const char *name) {
  return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* ---- removing ---- */

static void remove_at(int dir, const char *name, int depth);

/* Owns `fd`. */
static void empty(int fd, int depth) {
  /* From now on nobody else makes anything in it. */
  if (fchown(fd, geteuid(), (gid_t)-1) || fchmod(fd, 0700)) errno = 0; /* or we may not: go on */
  DIR *d = fdopendir(fd);
  if (!d) {
    close(fd);
    return;
  }
  for (struct dirent *entry; (entry = readdir(d)) != NULL;)
    if (is_real(entry)) remove_at(fd, entry->d_name, depth + 1);
  closedir(d);
}

static void remove_at(int dir, const char *name, int depth) {
  if (unlinkat(dir, name, 0) == 0 || errno == ENOENT || depth > DEEPEST) return;
  for (int pass = 0; pass < PASSES && unlinkat(dir, name, AT_REMOVEDIR) != 0; pass++) {
    int fd = open_folder(dir, name);
    if (fd < 0) return;
    empty(fd, depth);
  }
}

void tree_remove(const char *path) {
  remove_at(AT_FDCWD, path, 0);
}

/* ---- taking over ---- */

typedef struct taking {
  uid_t from;
  const tree_owner *to;
  const char *path; /* the folder that is taken, for texts */
  int depth;
} taking;

static rc take_folder(taking *t, int fd, err *e);

static rc give_us(const taking *t, int fd, mode_t mode, err *e) {
  if (fchown(fd, geteuid(), t->to->group) || fchmod(fd, mode))
    return ERR_ERRNO(e, errno, "taking over what is in %s", t->path);
  return RC_OK;
}

static rc take_entry(taking *t, int dir, const char *name, err *e) {
  int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || fstat(fd, &st)) {
    rc r = ERR_ERRNO(e, errno, "taking over %s in %s", name, t->path);
    if (fd >= 0) close(fd);
    return r;
  }
  if (S_ISDIR(st.st_mode)) return take_folder(t, fd, e); /* owns fd */
  /* A second name could stand for a file that was never the executor's to give. */
  bool good = S_ISREG(st.st_mode) && st.st_uid == t->from && st.st_nlink == 1;
  rc r =
      good ? give_us(t, fd, t->to->files, e)
           : ERR(e, RC_DATA_LOSS, "expected files and folders only in %s, found %s", t->path, name);
  close(fd);
  return r;
}

/* The folder first: then its entries cannot be exchanged any more. Owns `fd`. */
static rc take_folder(taking *t, int fd, err *e) {
  DIR *d = fdopendir(fd);
  if (!d) {
    close(fd);
    return ERR_ERRNO(e, errno, "reading %s", t->path);
  }
  rc r = ++t->depth > DEEPEST ? ERR(e, RC_DATA_LOSS, "%s is nested too deeply", t->path)
                              : give_us(t, fd, t->to->folders, e);
  for (struct dirent *entry; r == RC_OK && (entry = readdir(d)) != NULL;)
    if (is_real(entry)) r = take_entry(t, fd, entry->d_name, e);
  t->depth--;
  closedir(d);
  return r;
}

rc tree_take(const char *path, uid_t from, const tree_owner *to, err *e) {
  taking t = {.from = from, .to = to, .path = path};
  int fd = open_folder(AT_FDCWD, path);
  if (fd < 0) return ERR_ERRNO(e, errno, "opening %s", path);
  return take_folder(&t, fd, e);
}
