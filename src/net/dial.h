/* net/dial.h: resolve a name and connect to the first of its addresses that answers.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Private to net/. Without a time limit of its own: who started it cancels it. */
#ifndef FLOE_NET_DIAL_H
#define FLOE_NET_DIAL_H

#include <uv.h>

typedef struct dial dial;

/* on_done comes once, from the loop: `tcp` is connected, from malloc and now the callee's; or NULL
 * and `why` for a person. A literal address needs no resolver. */
dial *dial_start(uv_loop_t *loop, const char *host, int port,
                 void (*on_done)(void *arg, uv_tcp_t *tcp, const char *why), void *arg);
/* on_done will not come; memory goes when the loop has let go. Not after on_done. */
void dial_cancel(dial *d);

#endif
