/* net/loop_watch.c: see loop_watch.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/loop_watch.h"

#include "base/log.h"

#include <stdio.h>
#include <time.h>

#define MS_NS UINT64_C(1000000)
enum { NOTED_MS = 5, LONG_MS = 250 };

static uint64_t cpu_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000 * MS_NS + (uint64_t)t.tv_nsec;
}

static void note(uint64_t wall_ns, uint64_t cpu_ns) {
  char wall[24], cpu[24];
  snprintf(wall, sizeof wall, "%.1f", (double)wall_ns / MS_NS);
  snprintf(cpu, sizeof cpu, "%.1f", (double)cpu_ns / MS_NS);
  if (wall_ns >= LONG_MS * MS_NS)
    LOG_WARN("the loop was busy for long", "wall_ms", wall, "cpu_ms", cpu);
  else
    LOG_DEBUG("the loop was busy", "wall_ms", wall, "cpu_ms", cpu);
}

/* From the end of one poll, with its callbacks, to the end of the next. */
static void on_check(uv_check_t *check) {
  loop_watch *w = check->data;
  uint64_t wall = uv_hrtime(), idle = uv_metrics_idle_time(check->loop), cpu = cpu_now_ns();
  uint64_t busy = wall - w->wall_ns - (idle - w->idle_ns);
  if (w->wall_ns && busy >= NOTED_MS * MS_NS) note(busy, cpu - w->cpu_ns);
  w->wall_ns = wall;
  w->idle_ns = idle;
  w->cpu_ns = cpu;
}

void loop_watch_start(loop_watch *w, uv_loop_t *loop) {
  uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
  uv_check_init(loop, &w->check);
  w->check.data = w;
  uv_check_start(&w->check, on_check);
  uv_unref((uv_handle_t *)&w->check);
}

void loop_watch_stop(loop_watch *w) {
  uv_close((uv_handle_t *)&w->check, NULL);
}
