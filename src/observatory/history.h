/* observatory/history.h: what the database knows, as JSON. SPDX-License-Identifier: Apache-2.0
 *
 * On the store's thread. Each returns text that the caller frees; NULL: unknown. `user` NULL:
 * whoever looks may see everything; else only what is this user's. */
#ifndef FLOE_OBSERVATORY_HISTORY_H
#define FLOE_OBSERVATORY_HISTORY_H

#include "observatory/database.h"

typedef struct history_filter { /* NULL: whatever */
  const char *status, *user, *label;
  const char *search; /* in its id, user, labels or errors */
  const char *before; /* the id of a query: those that came before it */
  int limit;
} history_filter;

/* {"queries": […newest first], "next": id or null}; `next` is the `before` of what follows. */
char *history_queries(database *d, const history_filter *filter, const char *user);
char *history_query(database *d, const char *id, const char *user);
char *history_stages(database *d, const char *id, const char *user);
/* {"tasks": [every attempt]} */
char *history_tasks(database *d, const char *id, const char *user);
/* {"steps": [{"step", "tasks", "logical": […], "physical": [… with "metrics", of all its tasks]}]}
 */
char *history_nodes(database *d, const char *id, const char *user);

#endif
