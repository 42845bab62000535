/* net/bearer.h: `Authorization: Bearer <token>`. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_NET_BEARER_H
#define FLOE_NET_BEARER_H

#include <stdbool.h>

/* Does the header's value (NULL: absent) carry the token? The time this takes tells nothing of the
 * token but its length. */
bool bearer_matches(const char *authorization, const char *token);

#endif
