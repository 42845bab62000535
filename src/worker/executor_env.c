/* worker/executor_env.c: see executor_env.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/executor_env.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- who ---- */

rc executor_user_find(const conf *c, executor_user *out, err *e) {
  *out = (executor_user){.uid = geteuid(), .gid = getegid()};
  const char *name = c->worker.executor_user;
  if (geteuid() != 0 || !strcmp(name, "root")) return RC_OK;
  struct passwd entry, *found;
  char text[4096];
  int failed = getpwnam_r(name, &entry, text, sizeof text, &found);
  if (failed) return ERR_ERRNO(e, failed, "worker.executor_user: looking up user %s", name);
  if (!found)
    return ERR(e, RC_INVALID,
               "worker.executor_user: there is no user \"%s\"; name one that exists, or \"root\"",
               name);
  *out = (executor_user){.other = true,
                         .uid = entry.pw_uid,
                         .gid = entry.pw_gid,
                         .name = mem_strdup(name),
                         .home = mem_strdup(entry.pw_dir)};
  return RC_OK;
}

/* Only a process of that user gets the kernel's own answer (ACLs, mounts and all). */
static int access_as(const executor_user *u, const char *program) {
  pid_t pid = fork();
  if (pid == 0) {
    bool became = setgroups(0, NULL) == 0 && setgid(u->gid) == 0 && setuid(u->uid) == 0;
    _exit(became && access(program, X_OK) == 0 ? 0 : errno);
  }
  int status;
  while (pid > 0 && waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return errno;
  return pid < 0 ? errno : WEXITSTATUS(status);
}

rc executor_user_check(const executor_user *u, const char *program, err *e) {
  int failed = u->other ? access_as(u, program) : 0;
  if (!failed) return RC_OK;
  return ERR_ERRNO(e, failed,
                   "executors run as user %s, who cannot execute %s (let others enter its folders, "
                   "or set worker.executor_user)",
                   u->name, program);
}

void executor_user_deinit(executor_user *u) {
  free(u->name);
  free(u->home);
  *u = (executor_user){0};
}

tree_owner executor_user_readers(const executor_user *u) {
  if (u->other) return (tree_owner){.group = u->gid, .folders = 0710, .files = 0640};
  return (tree_owner){.group = (gid_t)-1, .folders = 0700, .files = 0600};
}

rc executor_user_make_folder(const executor_user *u, const char *path, err *e) {
  tree_owner readers = executor_user_readers(u);
  if (mkdir(path, 0700) && errno != EEXIST) return ERR_ERRNO(e, errno, "making %s", path);
  if (chown(path, (uid_t)-1, readers.group) || chmod(path, readers.folders))
    return ERR_ERRNO(e, errno, "opening %s to the executors", path);
  return RC_OK;
}

/* ---- what ---- */

rc executor_package_dir(char **out, err *e) {
  char exe[4096];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
  if (n < 0) return ERR_ERRNO(e, errno, "finding the running binary by /proc/self/exe");
  exe[n] = '\0';
  *strrchr(exe, '/') = '\0'; /* the kernel's answer is an absolute path */
  static const char *const PLACES[] = {"executor", "../lib/floe/executor"}; /* built, installed */
  for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++) {
    char *dir = mem_printf("%s/%s", exe, PLACES[i]);
    char *probe = mem_printf("%s/floe_executor/executor_pb2.py", dir);
    bool there = access(probe, R_OK) == 0;
    free(probe);
    if (there) {
      *out = dir;
      return RC_OK;
    }
    free(dir);
  }
  return ERR(e, RC_NOT_FOUND,
             "the Python package floe_executor is neither in %s/executor nor in "
             "%s/../lib/floe/executor; install Floe again",
             exe, exe);
}

/* Not the working folder but the package's comes first in sys.path (-c puts '' there). */
static const char PROGRAM[] = "import sys; sys.path[0] = sys.argv[1]; "
                              "from floe_executor.__main__ import main; main()";

char **executor_argv(const char *python, const char *package_dir, const conf *c) {
  char nice[8];
  snprintf(nice, sizeof nice, "%d", (int)c->worker.executor_nice);
  const char *const args[] = {python, "-s", "-u", "-c", PROGRAM, package_dir, nice};
  size_t n = sizeof args / sizeof *args;
  char **list = mem_new((n + 1) * sizeof *list);
  for (size_t i = 0; i < n; i++) list[i] = mem_strdup(args[i]);
  return list;
}

/* ---- environment ---- */

typedef struct env_list {
  char **items; /* NULL-terminated */
  size_t n, cap;
} env_list;

static void set(env_list *l, const char *name, const char *value) {
  size_t len = strlen(name);
  char *item = mem_printf("%s=%s", name, value);
  for (size_t i = 0; i < l->n; i++)
    if (!strncmp(l->items[i], item, len + 1)) {
      free(l->items[i]);
      l->items[i] = item;
      return;
    }
  if (l->n < l->cap)
    l->items[l->n++] = item;
  else
    free(item); /* cannot be: cap counts every call */
}

static void set_number(env_list *l, const char *name, uint64_t value) {
  char text[32];
  snprintf(text, sizeof text, "%llu", (unsigned long long)value);
  set(l, name, text);
}

static bool starts_with(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_kept(const char *item) {
  static const char *const KEPT[] = {"PATH=",   "LANG=",  "TZ=",  "HOME=",   "LC_",
                                     "POLARS_", "AZURE_", "AWS_", "GOOGLE_", "SSL_CERT_"};
  for (size_t i = 0; i < sizeof KEPT / sizeof *KEPT; i++)
    if (starts_with(item, KEPT[i])) return true;
  return false;
}

static bool is_ours(const char *name) {
  return starts_with(name, "PC_CUBLET__") || starts_with(name, "FLOE_");
}

static void set_kept(env_list *l, const char *const *ours) {
  for (; *ours; ours++)
    if (is_kept(*ours)) {
      size_t name_len = strcspn(*ours, "=");
      char *name = mem_strndup(*ours, name_len);
      set(l, name, *ours + name_len + 1);
      free(name);
    }
}

static void set_own(env_list *l, const executor_user *user, const slot_share *share,
                    const char *temp_dir) {
  if (user->home) set(l, "HOME", user->home);
  set(l, "TMPDIR", temp_dir);
  set(l, "POLARS_TEMP_DIR", temp_dir);
  set(l, "POLARS_OOC_SPILL_DIR", temp_dir);
  set_number(l, "POLARS_MAX_THREADS", share->threads);
  set_number(l, "POLARS_OOMKILL_THRESHOLD_MB", share->memory_bytes >> 20);
  set_number(l, "POLARS_OVERRIDE_TOTAL_MEMORY_MB", share->memory_bytes >> 20);
}

char **executor_env_new(const char *const *ours, const conf *c, const executor_user *user,
                        const slot_share *share, const char *temp_dir) {
  enum { OWN = 8 };
  size_t n_ours = 0;
  while (ours[n_ours]) n_ours++;
  env_list l = {.cap = n_ours + OWN + c->worker.n_env_vars};
  l.items = mem_new((l.cap + 1) * sizeof *l.items);
  set_kept(&l, ours);
  set_own(&l, user, share, temp_dir);
  for (size_t i = 0; i < c->worker.n_env_vars; i++)
    if (!is_ours(c->worker.env_vars[i].key))
      set(&l, c->worker.env_vars[i].key, c->worker.env_vars[i].value);
  return l.items;
}

void executor_strings_free(char **list) {
  for (char **s = list; s && *s; s++) free(*s);
  free(list);
}
