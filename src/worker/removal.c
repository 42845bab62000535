/* worker/removal.c: see removal.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/removal.h"

#include "base/mem.h"
#include "base/tree.h"

#include <stdlib.h>

typedef struct removal {
  uv_work_t work;
  char *path;
} removal;

static void on_pool(uv_work_t *work) {
  tree_remove(((removal *)work->data)->path);
}

static void after_pool(uv_work_t *work, int status) {
  (void)status;
  removal *r = work->data;
  free(r->path);
  free(r);
}

void removal_start(uv_loop_t *loop, char *path_take) {
  removal *r = NEW(removal);
  r->path = path_take;
  r->work.data = r;
  uv_queue_work(loop, &r->work, on_pool, after_pool);
}
