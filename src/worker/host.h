/* worker/host.h: what a worker, its executors and its machine use now. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Reads files of the kernel and the disk's state: not on the loop's thread, a disk may be slow. */
#ifndef FLOE_WORKER_HOST_H
#define FLOE_WORKER_HOST_H

#include <stddef.h>
#include <stdint.h>

typedef struct host_process {
  int pid;
  uint64_t cpu_us, resident_bytes, peak_bytes; /* peak: since its last reset (resources.h) */
} host_process;

typedef struct host_sample {
  uint64_t cpu_us, resident_bytes;                 /* of the processes asked for */
  uint64_t group_cpu_us, group_bytes, group_limit; /* of the control group, or the machine */
  const char *source;                              /* of these: "cgroup2", "cgroup1", "machine" */
  uint64_t received_bytes, sent_bytes;             /* by the network, since it is up */
  uint64_t disk_bytes, disk_free_bytes;
} host_sample;

/* Fills in `processes` but for their pids; the CPU time of a process has that of its children who
 * have ended. `root` stands before /proc and /sys: "" outside of tests. */
void host_read(const char *root, const char *disk, host_process *processes, size_t n,
               host_sample *out);

#endif
