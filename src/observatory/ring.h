/* observatory/ring.h: what hosts said of themselves, in memory of a fixed size.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Two fifths of it hold every sample, the newest take the place of the oldest; the others one a
 * minute of each worker, which reaches back much further. Times are of a clock that never
 * jumps; what the samples say of their own time is only shown. */
#ifndef FLOE_OBSERVATORY_RING_H
#define FLOE_OBSERVATORY_RING_H

#include <stddef.h>
#include <stdint.h>

typedef struct ring ring;

typedef struct ring_sample {
  int64_t at_ms;   /* when it came: never less than that of the sample before it */
  int64_t time_us; /* as the worker says; since 1970 */
  uint32_t worker, running_tasks;
  uint64_t cpu_us_total, resident_bytes, peak_bytes; /* peak: the most of one executor */
  uint64_t host_cpu_us_total, host_memory_bytes;
  uint64_t received_bytes_total, sent_bytes_total;
  uint64_t disk_free_bytes;
} ring_sample;

ring *ring_new(size_t bytes); /* memory that is not touched yet costs nothing */
void ring_free(ring *r);      /* NULL is fine */
void ring_add(ring *r, const ring_sample *sample);
/* Those of a worker from `from_ms` on, oldest first, at least step_ms apart. */
void ring_each(const ring *r, uint32_t worker, int64_t from_ms, int64_t step_ms,
               void (*on_sample)(void *arg, const ring_sample *sample), void *arg);

#endif
