/* net/loop_watch.h: says when one turn of a loop took long. SPDX-License-Identifier: Apache-2.0
 *
 * Whatever else waits on the loop, heartbeats above all, waited as long. Time on the processor is
 * the loop's own doing; the rest of the wall time it waited for a processor or for a disk. */
#ifndef FLOE_NET_LOOP_WATCH_H
#define FLOE_NET_LOOP_WATCH_H

#include <stdint.h>
#include <uv.h>

typedef struct loop_watch {
  uv_check_t check; /* does not keep the loop alive */
  uint64_t wall_ns, idle_ns, cpu_ns;
} loop_watch;

/* Before the loop runs, and on its thread. */
void loop_watch_start(loop_watch *w, uv_loop_t *loop);
/* `w` must stay until the loop has ended. */
void loop_watch_stop(loop_watch *w);

#endif
