/* net/oneshot.c: see oneshot.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/oneshot.h"

#include "base/mem.h"

#include <stdlib.h>

typedef struct oneshot {
  uv_timer_t timer; /* first: the handle's address is the object's */
  uv_timer_t **at;
  void (*fire)(void *);
  void *arg;
} oneshot;

static void on_closed(uv_handle_t *handle) {
  free(handle);
}

static void on_time(uv_timer_t *timer) {
  oneshot *o = (oneshot *)timer;
  void (*fire)(void *) = o->fire;
  void *arg = o->arg;
  oneshot_cancel(o->at);
  fire(arg);
}

void oneshot_start(uv_timer_t **at, uv_loop_t *loop, uint64_t ms, void (*fire)(void *), void *arg) {
  oneshot_cancel(at);
  oneshot *o = NEW(oneshot);
  o->at = at;
  o->fire = fire;
  o->arg = arg;
  uv_timer_init(loop, &o->timer);
  uv_timer_start(&o->timer, on_time, ms, 0);
  *at = &o->timer;
}

void oneshot_cancel(uv_timer_t **at) {
  if (!*at) return;
  uv_close((uv_handle_t *)*at, on_closed);
  *at = NULL;
}
