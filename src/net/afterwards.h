/* net/afterwards.h: work that nobody waits for. SPDX-License-Identifier: Apache-2.0
 *
 * Above all giving back what is large: to unmap and close a file of 300 MB takes 60 ms, and to
 * remove a folder as long as its disk needs. */
#ifndef FLOE_NET_AFTERWARDS_H
#define FLOE_NET_AFTERWARDS_H

#include <uv.h>

/* `work` owns `arg` and is called on libuv's pool. A loop that runs to its end ends after it, so it
 * must still run. */
void afterwards(uv_loop_t *loop, void (*work)(void *arg), void *arg);

#endif
