/* auth/auth.h: who asks? SPDX-License-Identifier: Apache-2.0
 *
 * The policy of one service: the tokens of a file, tokens signed with the keys of a JSON Web Key
 * Set, or both. Files are read again when they change. A set behind a URL is fetched on libuv's
 * pool: at the start, every few minutes, and soon when a token names a key that is not in it. What
 * cannot be read or fetched any more leaves what was known before, and is logged.
 *
 * On the loop's thread. No token is ever logged. */
#ifndef FLOE_AUTH_AUTH_H
#define FLOE_AUTH_AUTH_H

#include "base/err.h"
#include "conf/conf.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct auth auth;

/* `c` is borrowed. *out NULL and RC_OK: nothing is configured, everybody may ask. A file that
 * cannot be read is an error; a URL is not. */
MUST_CHECK rc auth_new(uv_loop_t *loop, const conf_auth *c, auth **out, err *e);

/* The value of the header `authorization` (NULL: absent) → the user, owned by the caller: `Bearer
 * TOKEN`, or `Basic` with any user and the token as password. RC_UNAUTHENTICATED; RC_UNAVAILABLE:
 * the keys are not here yet. */
MUST_CHECK rc auth_check(auth *a, const char *authorization, int64_t now_s, char **user, err *e);
/* May this user do everything with everybody's queries? */
bool auth_is_admin(const auth *a, const char *user);

void auth_stop(auth *a); /* NULL is fine; fetches nothing more, and lets the loop end */
void auth_free(auth *a); /* NULL is fine; after the loop has ended */

#endif
