/* net/oneshot.h: a timer that fires once and whose memory looks after itself.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Private to net/. A libuv handle must outlive its close; here it does so on its own, so the
 * object that started it may go at any time after oneshot_cancel. */
#ifndef FLOE_NET_ONESHOT_H
#define FLOE_NET_ONESHOT_H

#include <stdint.h>
#include <uv.h>

/* `fire` is called from the loop; before that *at was set to NULL. `at` must stay valid until then
 * or until oneshot_cancel. A timer that *at already holds is cancelled. */
void oneshot_start(uv_timer_t **at, uv_loop_t *loop, uint64_t ms, void (*fire)(void *), void *arg);
void oneshot_cancel(uv_timer_t **at); /* *at NULL is fine */

#endif
