/* Unit tests of worker/resources, with a /proc and /sys of their own. SPDX-License-Identifier:
 * Apache-2.0 */
#include "worker/resources.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define GIB (UINT64_C(1) << 30)

static char root[64];

static void put(const char *path, const char *text) {
  char *full = mem_printf("%s%s", root, path);
  for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(full, 0700);
    *slash = '/';
  }
  FILE *f = fopen(full, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
  free(full);
}

static int make_root(void **state) {
  (void)state;
  strcpy(root, "/tmp/floe-resources-XXXXXX");
  if (!mkdtemp(root)) return -1;
  put("/proc/meminfo", "MemTotal:       33554432 kB\nMemFree:        1 kB\n");
  return 0;
}

static int remove_root(void **state) {
  (void)state;
  char *command = mem_printf("rm -rf %s", root);
  int failed = system(command);
  free(command);
  return failed;
}

static double machine(void) {
  return resources_read("/nonexistent").cores;
}

static void without_control_groups_it_is_the_machine(void **state) {
  (void)state;
  resources r = resources_read(root);
  assert_int_equal(r.memory_bytes, 32 * GIB);
  assert_true(r.cores >= 1);
}

static void version_2_takes_the_least_on_the_way_up(void **state) {
  (void)state;
  put("/proc/self/cgroup", "0::/pod/box\n");
  put("/sys/fs/cgroup/pod/memory.max", "4294967296\n");
  put("/sys/fs/cgroup/pod/box/memory.max", "max\n");
  put("/sys/fs/cgroup/pod/cpu.max", "max 100000\n");
  put("/sys/fs/cgroup/pod/box/cpu.max", "50000 100000\n");
  resources r = resources_read(root);
  assert_int_equal(r.memory_bytes, 4 * GIB);
  assert_true(r.cores == 0.5);
}

static void version_2_in_a_namespace(void **state) {
  (void)state;
  put("/proc/self/cgroup", "0::/\n");
  put("/sys/fs/cgroup/memory.max", "1073741824\n");
  assert_int_equal(resources_read(root).memory_bytes, GIB);
}

static void version_1(void **state) {
  (void)state;
  put("/proc/self/cgroup", "4:memory:/box\n2:cpu,cpuacct:/box\n1:name=systemd:/\n");
  put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "2147483648\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  put("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "25000\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  resources r = resources_read(root);
  assert_int_equal(r.memory_bytes, 2 * GIB);
  assert_true(r.cores == 0.25);
}

static void nonsense_is_no_limit(void **state) {
  (void)state;
  put("/proc/self/cgroup", "0\n::\n\n0::/box\n");
  put("/sys/fs/cgroup/box/memory.max", "");
  put("/sys/fs/cgroup/box/cpu.max", "x y\n");
  resources r = resources_read(root);
  assert_int_equal(r.memory_bytes, 32 * GIB);
  assert_true(r.cores == machine());
}

static void slots_share_what_there_is(void **state) {
  (void)state;
  conf c = {.worker.slots = 2};
  resources all = {.cores = 8, .memory_bytes = 32 * GIB};
  slot_share s = resources_divide(all, &c);
  assert_int_equal(s.threads, 4);
  assert_int_equal(s.memory_bytes, 31 * GIB / 2);
  c.cpu_reserved = 0.5;
  c.memory_limit_bytes = GIB;
  s = resources_divide(all, &c);
  assert_int_equal(s.threads, 1);
  assert_int_equal(s.memory_bytes, (GIB - GIB / 16) / 2);
}

static void our_own_memory(void **state) {
  (void)state;
  uint64_t resident = resources_resident_bytes(getpid()); /* before its peak: it may grow */
  assert_true(resident > 100000);
  assert_true(resources_peak_bytes(getpid()) >= resident);
  assert_int_equal(resources_resident_bytes(-1), 0);
}

int main(void) {
#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)
  const struct CMUnitTest tests[] = {
      WITH_ROOT(without_control_groups_it_is_the_machine),
      WITH_ROOT(version_2_takes_the_least_on_the_way_up),
      WITH_ROOT(version_2_in_a_namespace),
      WITH_ROOT(version_1),
      WITH_ROOT(nonsense_is_no_limit),
      cmocka_unit_test(slots_share_what_there_is),
      cmocka_unit_test(our_own_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
