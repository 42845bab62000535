/* worker/staging.h: what tasks wrote beside the user's destinations and nobody committed.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The executor links to it from its attempt's folder (floe_executor/destinations.py), before it
 * writes. What was committed is there no more. Blocking, any thread. */
#ifndef FLOE_WORKER_STAGING_H
#define FLOE_WORKER_STAGING_H

/* Of one attempt; NULL: of all in the query's folder. The links stay. */
void staging_remove(const char *query_dir, const char *attempt);
/* Of all queries in a shuffle folder. */
void staging_remove_all(const char *shuffle_dir);

#endif
