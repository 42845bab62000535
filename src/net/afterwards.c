/* net/afterwards.c: see afterwards.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/afterwards.h"

#include "base/mem.h"

#include <stdlib.h>

typedef struct job {
  uv_work_t request;
  void (*work)(void *arg);
  void *arg;
} job;

static void on_pool(uv_work_t *request) {
  job *j = request->data;
  j->work(j->arg);
}

static void after_pool(uv_work_t *request, int status) {
  (void)status;
  free(request->data);
}

void afterwards(uv_loop_t *loop, void (*work)(void *arg), void *arg) {
  job *j = NEW(job);
  *j = (job){.work = work, .arg = arg};
  j->request.data = j;
  uv_queue_work(loop, &j->request, on_pool, after_pool);
}
