/* worker/resources.c: see resources.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/resources.h"

#include "base/mem.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 4096 };
#define RESERVE_SHARE 16
#define RESERVE_MOST_BYTES (UINT64_C(1) << 30)

/* These files are short; what does not fit is not looked at. false: there is none. */
static bool read_text(char text[TEXT_BYTES], const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, text, TEXT_BYTES - 1);
  close(fd);
  if (n < 0) return false;
  text[n] = '\0';
  return true;
}

/* ---- the machine ---- */

static double machine_cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set)) return (double)sysconf(_SC_NPROCESSORS_ONLN);
  return CPU_COUNT(&set);
}

/* "Key:   123 kB" */
static uint64_t kib_of(const char *text, const char *key) {
  const char *line = strstr(text, key);
  return line ? strtoull(line + strlen(key), NULL, 10) * 1024 : 0;
}

static uint64_t machine_memory(const char *root) {
  char text[TEXT_BYTES];
  char *path = mem_printf("%s/proc/meminfo", root);
  uint64_t bytes = read_text(text, path) ? kib_of(text, "MemTotal:") : 0;
  free(path);
  return bytes ? bytes : (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- control groups ---- */

/* The first number of a file; "max", "-1" and an absent file are no limit: -1. */
static double number_in(const char *folder, const char *name) {
  char text[TEXT_BYTES];
  char *path = mem_printf("%s/%s", folder, name);
  bool found = read_text(text, path) && text[0] >= '0' && text[0] <= '9';
  free(path);
  return found ? strtod(text, NULL) : -1;
}

static void lower_cores(resources *l, double quota_us, double period_us) {
  if (quota_us > 0 && period_us > 0 && quota_us / period_us < l->cores)
    l->cores = quota_us / period_us;
}

static void lower_memory(resources *l, double bytes) {
  if (bytes > 0 && bytes < (double)l->memory_bytes) l->memory_bytes = (uint64_t)bytes;
}

static void apply_v2(resources *l, const char *folder) {
  char text[TEXT_BYTES];
  char *path = mem_printf("%s/cpu.max", folder); /* "50000 100000" or "max 100000" */
  double quota, period;
  if (read_text(text, path) && sscanf(text, "%lf %lf", &quota, &period) == 2)
    lower_cores(l, quota, period);
  free(path);
  lower_memory(l, number_in(folder, "memory.max"));
}

static void apply_v1_cpu(resources *l, const char *folder) {
  lower_cores(l, number_in(folder, "cpu.cfs_quota_us"), number_in(folder, "cpu.cfs_period_us"));
}

static void apply_v1_memory(resources *l, const char *folder) {
  lower_memory(l, number_in(folder, "memory.limit_in_bytes"));
}

/* From the group itself up to the mount: in a container the group's own path may not be visible,
 * the mount then shows it. */
static void apply_upwards(resources *l, const char *mount, const char *group,
                          void (*apply)(resources *, const char *)) {
  char *folder = mem_printf("%s%s", mount, group);
  size_t shortest = strlen(mount);
  for (char *slash; strlen(folder) > shortest && (slash = strrchr(folder, '/')); *slash = '\0')
    apply(l, folder);
  apply(l, mount);
  free(folder);
}

static bool has_controller(const char *controllers, const char *name) {
  size_t n = strlen(name);
  for (const char *at = controllers; (at = strstr(at, name)) != NULL; at += n)
    if ((at == controllers || at[-1] == ',') && (at[n] == ',' || !at[n])) return true;
  return false;
}

/* A line of /proc/self/cgroup: "0::/group" (version 2) or "4:memory:/group". */
static void apply_line(resources *l, const char *root, char *line) {
  char *controllers = strchr(line, ':');
  char *group = controllers ? strchr(++controllers, ':') : NULL;
  if (!group) return;
  *group++ = '\0';
  char *sys = mem_printf("%s/sys/fs/cgroup", root);
  char *cpu = mem_printf("%s/cpu", sys), *memory = mem_printf("%s/memory", sys);
  if (!*controllers) apply_upwards(l, sys, group, apply_v2);
  if (has_controller(controllers, "cpu")) apply_upwards(l, cpu, group, apply_v1_cpu);
  if (has_controller(controllers, "memory")) apply_upwards(l, memory, group, apply_v1_memory);
  free(cpu);
  free(memory);
  free(sys);
}

resources resources_read(const char *root) {
  resources l = {.cores = machine_cores(), .memory_bytes = machine_memory(root)};
  char text[TEXT_BYTES];
  char *path = mem_printf("%s/proc/self/cgroup", root);
  if (read_text(text, path)) {
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
      apply_line(&l, root, line);
  }
  free(path);
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
  char text[TEXT_BYTES], path[64];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  return read_text(text, path) ? kib_of(text, key) : 0;
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
