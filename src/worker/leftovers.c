/* worker/leftovers.c: see leftovers.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/leftovers.h"

#include "base/log.h"

static void sweep(uv_work_t *work) {
  leftovers *l = work->data;
  for (size_t i = 0; i < l->ended.n; i++) shuffle_drop(l->shuffle, l->ended.ids[i].s, NULL);
  shuffle_list(l->shuffle, &l->found);
}

static void swept(uv_work_t *work, int status) {
  (void)status;
  leftovers *l = work->data;
  l->kept = l->found;
  l->busy = false;
}

void leftovers_sweep(leftovers *l, char *const *ended, size_t n) {
  uuid id;
  if (l->busy) return;
  l->busy = true;
  l->ended.n = 0;
  for (size_t i = 0; i < n && l->ended.n < QUERY_LIST_MOST; i++) {
    if (!uuid_parse(ended[i], &id)) continue; /* it becomes part of a path */
    LOG_INFO("files of a query that has ended are removed", "query", ended[i]);
    l->ended.ids[l->ended.n++] = uuid_print(id);
  }
  l->work.data = l;
  uv_queue_work(l->loop, &l->work, sweep, swept);
}
