/* base/tree.h: folders that somebody else may write into. SPDX-License-Identifier: Apache-2.0
 *
 * A user's Python owns the folder it writes to, and may put links and other things there at any
 * moment. So nothing here follows a link, and everything goes by descriptors: what was looked at
 * is what is changed. Blocking. */
#ifndef FLOE_BASE_TREE_H
#define FLOE_BASE_TREE_H

#include "base/err.h"

#include <sys/types.h>

/* "a/b=1/c.ipc": parts of letters, digits and ._=-, none begins with a dot, none is empty. */
bool tree_is_plain(const char *path);

/* Makes a folder and what is missing above it, open to all whatever the umask says. *made (may be
 * NULL): it was not there. */
MUST_CHECK rc tree_make(const char *path, bool *made, err *e);
/* RC_DENIED: it is not a folder of ours, or a link; `setting` is what to set to another place. */
MUST_CHECK rc tree_check_ours(const char *path, const char *setting, err *e);
/* A file below dir_fd, for reading; no part of the (plain) path may be a link. */
MUST_CHECK rc tree_open(int dir_fd, const char *path, int *out, err *e);
MUST_CHECK rc tree_open_in(const char *dir, const char *path, int *out, err *e); /* the same */

typedef struct tree_owner { /* whose it becomes: ours, and readable for a group */
  gid_t group;              /* (gid_t)-1: as it is */
  mode_t folders, files;
} tree_owner;

/* Takes over the folder `path` with all that is in it. RC_DATA_LOSS: there is something that is
 * neither a folder nor a file of user `from` alone. */
MUST_CHECK rc tree_take(const char *path, uid_t from, const tree_owner *to, err *e);
/* Removes what it can; what is not there is fine. */
void tree_remove(const char *path);

#endif
