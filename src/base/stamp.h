/* base/stamp.h: has a file changed? SPDX-License-Identifier: Apache-2.0
 *
 * What tells one content of a path from the next, so that what was read is read again when it
 * changes: also when another file was moved there, or a link turned. */
#ifndef FLOE_BASE_STAMP_H
#define FLOE_BASE_STAMP_H

#include <stdbool.h>
#include <sys/stat.h>

typedef struct stamp { /* zeroed: of no file */
  dev_t dev;
  ino_t ino;
  off_t size;
  struct timespec changed;
} stamp;

/* True: it is not as `s` says, and `s` says now how it is. A file that is not there has a stamp
 * too. */
bool stamp_renew(stamp *s, const char *path);

#endif
