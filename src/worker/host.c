/* worker/host.c: see host.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/host.h"

#include "base/mem.h"
#include "worker/cgroup.h"
#include "worker/resources.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define US 1000000U

static uint64_t ticks_us(uint64_t ticks) {
  return ticks * US / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* ---- processes ---- */

/* Fields 14 to 17 of /proc/PID/stat; the name before them may hold anything but ends with the last
 * parenthesis. */
static uint64_t cpu_of(const char *stat) {
  const char *at = strrchr(stat, ')');
  uint64_t t[4] = {0};
  if (!at || sscanf(at + 1,
                    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64
                    " %" SCNu64,
                    &t[0], &t[1], &t[2], &t[3]) != 4)
    return 0;
  return ticks_us(t[0] + t[1] + t[2] + t[3]);
}

static void read_process(const char *root, host_process *p) {
  char text[CGROUP_TEXT_BYTES];
  char *folder = mem_printf("%s/proc/%d", root, p->pid);
  if (cgroup_read(text, folder, "stat")) p->cpu_us = cpu_of(text);
  if (cgroup_read(text, folder, "status")) {
    p->resident_bytes = resources_kib(text, "VmRSS:");
    p->peak_bytes = resources_kib(text, "VmHWM:");
  }
  free(folder);
}

/* ---- the control group ---- */

/* "key 123" at the beginning of a line. */
static uint64_t value_of(const char *text, const char *key) {
  size_t n = strlen(key);
  for (const char *line = text; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (!strncmp(line, key, n) && line[n] == ' ') return strtoull(line + n, NULL, 10);
  }
  return 0;
}

static bool on_cpu(void *arg, const char *folder, int version) {
  host_sample *s = arg;
  char text[CGROUP_TEXT_BYTES];
  double ns = version == 1 ? cgroup_number(folder, "cpuacct.usage") : -1;
  if (ns >= 0)
    s->group_cpu_us = (uint64_t)(ns / 1000);
  else if (version == 2 && cgroup_read(text, folder, "cpu.stat"))
    s->group_cpu_us = value_of(text, "usage_usec");
  return s->group_cpu_us == 0;
}

static bool on_memory(void *arg, const char *folder, int version) {
  host_sample *s = arg;
  char text[CGROUP_TEXT_BYTES];
  double used = cgroup_number(folder, version == 1 ? "memory.usage_in_bytes" : "memory.current");
  if (used < 0 || !cgroup_read(text, folder, "memory.stat")) return true;
  uint64_t cached = value_of(text, version == 1 ? "total_inactive_file" : "inactive_file");
  s->group_bytes = (uint64_t)used > cached ? (uint64_t)used - cached : 0;
  s->source = version == 1 ? "cgroup1" : "cgroup2";
  return false;
}

static void read_machine(const char *root, host_sample *s) {
  char text[CGROUP_TEXT_BYTES];
  char *folder = mem_printf("%s/proc", root);
  uint64_t t[8] = {0};
  if (cgroup_read(text, folder, "meminfo"))
    s->group_bytes = resources_kib(text, "MemTotal:") - resources_kib(text, "MemAvailable:");
  if (cgroup_read(text, folder, "stat") &&
      sscanf(text,
             "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
             " %" SCNu64,
             &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) == 8)
    s->group_cpu_us = ticks_us(t[0] + t[1] + t[2] + t[5] + t[6]); /* not idle, not waiting */
  s->source = "machine";
  free(folder);
}

/* CPU and memory of the same thing, or they could not be compared. */
static void read_group(const char *root, host_sample *s) {
  cgroup_each(root, "memory", on_memory, s);
  if (s->source) cgroup_each(root, "cpuacct", on_cpu, s);
  if (!s->source || !s->group_cpu_us) read_machine(root, s);
  s->group_limit = resources_read(root).memory_bytes;
}

/* ---- network and disk ---- */

/* "  eth0: <received bytes> and seven more <sent bytes> …" */
static void read_network(const char *root, host_sample *s) {
  char text[CGROUP_TEXT_BYTES];
  char *folder = mem_printf("%s/proc/self/net", root);
  char *rest = cgroup_read(text, folder, "dev") ? text : NULL;
  free(folder);
  for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
    char name[64];
    uint64_t in, out;
    if (sscanf(line, " %63[^:]: %" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, name, &in,
               &out) != 3 ||
        !strcmp(name, "lo"))
      continue;
    s->received_bytes += in;
    s->sent_bytes += out;
  }
}

static void read_disk(const char *folder, host_sample *s) {
  struct statvfs v;
  if (statvfs(folder, &v)) return;
  s->disk_bytes = (uint64_t)v.f_blocks * v.f_frsize;
  s->disk_free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
}

void host_read(const char *root, const char *disk, host_process *processes, size_t n,
               host_sample *out) {
  *out = (host_sample){0};
  for (size_t i = 0; i < n; i++) {
    read_process(root, &processes[i]);
    out->cpu_us += processes[i].cpu_us;
    out->resident_bytes += processes[i].resident_bytes;
  }
  read_group(root, out);
  read_network(root, out);
  read_disk(disk, out);
}
