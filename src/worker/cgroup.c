/* worker/cgroup.c: see cgroup.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/cgroup.h"

#include "base/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool cgroup_read(char text[CGROUP_TEXT_BYTES], const char *folder, const char *name) {
  char *path = mem_printf("%s/%s", folder, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  free(path);
  if (fd < 0) return false;
  ssize_t n = read(fd, text, CGROUP_TEXT_BYTES - 1);
  close(fd);
  if (n < 0) return false;
  text[n] = '\0';
  return true;
}

double cgroup_number(const char *folder, const char *name) {
  char text[CGROUP_TEXT_BYTES];
  bool found = cgroup_read(text, folder, name) && text[0] >= '0' && text[0] <= '9';
  return found ? strtod(text, NULL) : -1;
}

static bool walk_up(const char *mount, const char *group, int version, cgroup_on_folder *on_folder,
                    void *arg) {
  char *folder = mem_printf("%s%s", mount, group);
  size_t shortest = strlen(mount);
  bool on = true;
  for (char *slash; on && strlen(folder) > shortest && (slash = strrchr(folder, '/'));
       *slash = '\0')
    on = on_folder(arg, folder, version);
  free(folder);
  return on && on_folder(arg, mount, version);
}

static bool has_controller(const char *controllers, const char *name) {
  size_t n = strlen(name);
  for (const char *at = controllers; (at = strstr(at, name)) != NULL; at += n)
    if ((at == controllers || at[-1] == ',') && (at[n] == ',' || !at[n])) return true;
  return false;
}

/* A line of /proc/self/cgroup: "0::/group" (version 2) or "4:memory:/group". */
static bool walk_line(const char *root, char *line, const char *controller,
                      cgroup_on_folder *on_folder, void *arg) {
  char *controllers = strchr(line, ':');
  char *group = controllers ? strchr(++controllers, ':') : NULL;
  if (!group) return true;
  *group++ = '\0';
  bool is_v2 = !*controllers;
  if (!is_v2 && !has_controller(controllers, controller)) return true;
  char *mount = is_v2 ? mem_printf("%s/sys/fs/cgroup", root)
                      : mem_printf("%s/sys/fs/cgroup/%s", root, controller);
  bool on = walk_up(mount, group, is_v2 ? 2 : 1, on_folder, arg);
  free(mount);
  return on;
}

void cgroup_each(const char *root, const char *controller, cgroup_on_folder *on_folder, void *arg) {
  char text[CGROUP_TEXT_BYTES];
  if (!cgroup_read(text, root, "proc/self/cgroup")) return;
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
    if (!walk_line(root, line, controller, on_folder, arg)) return;
}
