/* worker/removal.h: removes a folder for which nobody waits. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_WORKER_REMOVAL_H
#define FLOE_WORKER_REMOVAL_H

#include <uv.h>

/* On libuv's pool; a loop that runs to its end ends after it. */
void removal_start(uv_loop_t *loop, char *path_take);

#endif
