/* worker/resources.c: see resources.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/resources.h"

#include "worker/cgroup.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESERVE_SHARE 16
#define RESERVE_MOST_BYTES (UINT64_C(1) << 30)

/* ---- the machine ---- */

static double machine_cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set)) return (double)sysconf(_SC_NPROCESSORS_ONLN);
  return CPU_COUNT(&set);
}

uint64_t resources_kib(const char *text, const char *key) {
  const char *line = strstr(text, key);
  return line ? strtoull(line + strlen(key), NULL, 10) * 1024 : 0;
}

static uint64_t machine_memory(const char *root) {
  char text[CGROUP_TEXT_BYTES];
  uint64_t bytes = cgroup_read(text, root, "proc/meminfo") ? resources_kib(text, "MemTotal:") : 0;
  return bytes ? bytes : (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- control groups ---- */

static void lower_cores(resources *l, double quota_us, double period_us) {
  if (quota_us > 0 && period_us > 0 && quota_us / period_us < l->cores)
    l->cores = quota_us / period_us;
}

static bool on_cpu(void *arg, const char *folder, int version) {
  char text[CGROUP_TEXT_BYTES];
  double quota, period;
  if (version == 1)
    lower_cores(arg, cgroup_number(folder, "cpu.cfs_quota_us"),
                cgroup_number(folder, "cpu.cfs_period_us"));
  else if (cgroup_read(text, folder, "cpu.max") && /* "50000 100000" or "max 100000" */
           sscanf(text, "%lf %lf", &quota, &period) == 2)
    lower_cores(arg, quota, period);
  return true;
}

static bool on_memory(void *arg, const char *folder, int version) {
  resources *l = arg;
  double bytes = cgroup_number(folder, version == 1 ? "memory.limit_in_bytes" : "memory.max");
  if (bytes > 0 && bytes < (double)l->memory_bytes) l->memory_bytes = (uint64_t)bytes;
  return true;
}

resources resources_read(const char *root) {
  resources l = {.cores = machine_cores(), .memory_bytes = machine_memory(root)};
  cgroup_each(root, "cpu", on_cpu, &l);
  cgroup_each(root, "memory", on_memory, &l);
  return l;
}

slot_share resources_divide(resources all, const conf *c) {
  if (c->cpu_reserved > 0) all.cores = c->cpu_reserved;
  if (c->memory_limit_bytes > 0) all.memory_bytes = (uint64_t)c->memory_limit_bytes;
  uint64_t reserve = all.memory_bytes / RESERVE_SHARE;
  if (reserve > RESERVE_MOST_BYTES) reserve = RESERVE_MOST_BYTES;
  unsigned slots = c->worker.slots > 0 ? (unsigned)c->worker.slots : 1;
  long threads = (long)(all.cores / slots + 0.5);
  return (slot_share){
      .slots = slots,
      .threads = threads > 1 ? (unsigned)threads : 1,
      .memory_bytes = (all.memory_bytes - reserve) / slots,
  };
}

/* ---- processes ---- */

static uint64_t status_bytes(int pid, const char *key) {
  char text[CGROUP_TEXT_BYTES], folder[64];
  snprintf(folder, sizeof folder, "/proc/%d", pid);
  return cgroup_read(text, folder, "status") ? resources_kib(text, key) : 0;
}

uint64_t resources_resident_bytes(int pid) {
  return status_bytes(pid, "VmRSS:");
}
uint64_t resources_anonymous_bytes(int pid) {
  return status_bytes(pid, "RssAnon:");
}
uint64_t resources_peak_bytes(int pid) {
  return status_bytes(pid, "VmHWM:");
}

void resources_reset_peak(int pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/clear_refs", pid);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t ignored = write(fd, "5", 1); /* 5: the peak only */
  (void)ignored;
  close(fd);
}
