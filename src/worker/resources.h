/* worker/resources.h: how many cores and how much memory there are, and a slot's part of them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The least of the machine and of every control group above this process (version 1 or 2), unless
 * the configuration says otherwise. */
#ifndef FLOE_WORKER_RESOURCES_H
#define FLOE_WORKER_RESOURCES_H

#include "conf/conf.h"

#include <stdint.h>

typedef struct resources {
  double cores;
  uint64_t memory_bytes;
} resources;

typedef struct slot_share {
  unsigned slots;
  unsigned threads;      /* of one slot; at least 1 */
  uint64_t memory_bytes; /* of one slot */
} slot_share;

/* `root` stands before /proc and /sys: "" outside of tests. */
resources resources_read(const char *root);
/* A sixteenth of the memory, at most 1 GiB, stays with the main process and idle executors. */
slot_share resources_divide(resources all, const conf *c);

/* The bytes in a line "Key:   123 kB"; 0: there is none. */
uint64_t resources_kib(const char *text, const char *key);
/* Memory of a process, from /proc; 0: it is gone. */
uint64_t resources_resident_bytes(int pid);
uint64_t resources_anonymous_bytes(int pid); /* resident, without mapped files */
uint64_t resources_peak_bytes(int pid);      /* since the last reset, or its start */
void resources_reset_peak(int pid);

#endif
