/* worker/cgroup.h: the control groups above this process. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_WORKER_CGROUP_H
#define FLOE_WORKER_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

enum { CGROUP_TEXT_BYTES = 4096 };

/* `version` 1: the folder is one of the controller's hierarchy; 2: of the one that all share. False
 * ends the walk. */
typedef bool cgroup_on_folder(void *arg, const char *folder, int version);

/* From the group itself up to the mount: in a container the group's own path may not be visible,
 * the mount then shows it. */
void cgroup_each(const char *root, const char *controller, cgroup_on_folder *on_folder, void *arg);

/* These files are short; what does not fit is not looked at. false: there is none. */
bool cgroup_read(char text[CGROUP_TEXT_BYTES], const char *folder, const char *name);
/* The first number of a file; "max", "-1" and an absent file are no limit: -1. */
double cgroup_number(const char *folder, const char *name);

#endif
