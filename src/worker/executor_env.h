/* worker/executor_env.h: as whom, with which program and in what environment executors run.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A user's Python must not read the worker's secrets: the environment is built anew from a short
 * list of names, and as root another user runs it. */
#ifndef FLOE_WORKER_EXECUTOR_ENV_H
#define FLOE_WORKER_EXECUTOR_ENV_H

#include "base/err.h"
#include "base/tree.h"
#include "conf/conf.h"
#include "worker/resources.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct executor_user {
  bool other; /* not ourselves */
  uid_t uid;
  gid_t gid;
  char *name, *home; /* owned; NULL unless `other` */
} executor_user;

/* worker.executor_user when we are root; ourselves otherwise, or when it says "root". */
MUST_CHECK rc executor_user_find(const conf *c, executor_user *out, err *e);
/* RC_DENIED, with what to do, when that user cannot execute `program`. */
MUST_CHECK rc executor_user_check(const executor_user *u, const char *program, err *e);
void executor_user_deinit(executor_user *u);

/* How our own files stand when the executors, and no other users, shall read them: folders can be
 * entered, not listed. */
tree_owner executor_user_readers(const executor_user *u);
/* Makes such a folder, unless it is there. */
MUST_CHECK rc executor_user_make_folder(const executor_user *u, const char *path, err *e);

/* The folder that holds the Python package floe_executor, beside the running binary. */
MUST_CHECK rc executor_package_dir(char **out, err *e);
/* `path -s -c …`: as list for execve; free with executor_strings_free. */
char **executor_argv(const char *python, const char *package_dir, const conf *c);
/* ours: a NULL-terminated list of "NAME=value". temp_dir: the executors' own. */
char **executor_env_new(const char *const *ours, const conf *c, const executor_user *user,
                        const slot_share *share, const char *temp_dir);
void executor_strings_free(char **list);

#endif
