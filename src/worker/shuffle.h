/* worker/shuffle.h: the files that this worker's tasks write for later stages.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   <shuffle_location, or the scratch folder's shuffle/>/worker-<instance_id>/
 *     .floe-<incarnation>              who sees it shares this filesystem with us
 *     <query_id>/<attempt_id>/…        one task's files; those that the query's client reads stand
 *                                      in a folder of another id. Or links to what the task writes
 *                                      beside the user's destinations: it goes with the links
 *
 * While it is written, an attempt's folder is the executors' user's; then it is taken over, so that
 * another query's Python cannot change it. Folders can be entered by the executors' group, not
 * listed: who may read a file must know the query's and the attempt's id. Other users of the host
 * see nothing. What a dead worker of the same name left is removed at start. Blocking, any
 * thread; immutable after opening. */
#ifndef FLOE_WORKER_SHUFFLE_H
#define FLOE_WORKER_SHUFFLE_H

#include "base/id.h"
#include "base/tree.h"
#include "conf/conf.h"
#include "worker/executor_env.h"

#include <stdint.h>

typedef struct shuffle {
  char *dir;          /* owned */
  executor_user user; /* who writes; its strings are borrowed */
  tree_owner owner;   /* whose the files become */
  uuid_text incarnation;
} shuffle;

/* RC_UNIMPLEMENTED: shuffle_location is no folder. */
MUST_CHECK rc shuffle_open(shuffle *s, const conf *c, const char *scratch_dir,
                           const executor_user *user, uuid incarnation, err *e);
void shuffle_close(shuffle *s); /* removes everything */

/* An empty folder for one attempt, for the executors to write; *dir is the caller's. */
MUST_CHECK rc shuffle_prepare(const shuffle *s, const char *query, const char *attempt, char **dir,
                              err *e);
/* The attempt is done: its files are ours from now on. */
MUST_CHECK rc shuffle_keep(const shuffle *s, const char *dir, err *e);
/* attempt NULL: all of the query. What is not there is fine. Both are UUIDs. */
void shuffle_drop(const shuffle *s, const char *query, const char *attempt);
/* Whose files lie here; of more than there is room for, any. */
enum { QUERY_LIST_MOST = 512 };
typedef struct query_list {
  uuid_text ids[QUERY_LIST_MOST];
  size_t n;
} query_list;
void shuffle_list(const shuffle *s, query_list *out);
/* All queries: nobody knows of these files any more. */
void shuffle_drop_all(const shuffle *s);

/* The path under which our executors can read files of the worker `incarnation` whose shuffle
 * folder is `dir`: `dir` itself, or NULL when this is not the same filesystem, or not theirs to
 * read. */
bool shuffle_sees(const shuffle *s, const char *dir, const char *incarnation);

#endif
