/* scheduler/paths.h: may a query read and write there? SPDX-License-Identifier: Apache-2.0
 *
 * A guard rail for those who write queries, not a wall: their Python functions run where the
 * executors run and open what those may open (docs/guide/security.md). */
#ifndef FLOE_SCHEDULER_PATHS_H
#define FLOE_SCHEDULER_PATHS_H

#include "conf/conf.h"
#include "plan/envelope.h"

/* RC_DENIED, with the path and the setting that forbids it. From any thread. */
MUST_CHECK rc paths_check(const conf *c, const uint8_t *plan, size_t len,
                          const plan_envelope *envelope, err *e);

/* Is `path` at or below one of `prefixes` (with commas between them)? Compared by whole parts: an
 * alias of a scheme is another scheme, a pattern matches no part of a prefix, nothing climbs. */
bool paths_allowed(plan_text path, const char *prefixes);
bool paths_is_local(plan_text path); /* on a disk: no URL, or a file:// one */

#endif
