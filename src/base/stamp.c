/* base/stamp.c: see stamp.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/stamp.h"

bool stamp_renew(stamp *s, const char *path) {
  struct stat st;
  stamp now = {0};
  if (!stat(path, &st)) now = (stamp){st.st_dev, st.st_ino, st.st_size, st.st_ctim};
  bool same = now.dev == s->dev && now.ino == s->ino && now.size == s->size &&
              now.changed.tv_sec == s->changed.tv_sec && now.changed.tv_nsec == s->changed.tv_nsec;
  *s = now;
  return !same;
}
