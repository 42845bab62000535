/* scheduler/access.c: who calls 5051, and whose queries it may touch. SPDX-License-Identifier:
 * Apache-2.0
 *
 * With authentication a query is its user's: nobody else may ask for it, read its rows, cancel or
 * delete it, but for admins. Without, a query's id is all that is needed: most calls of the
 * official client do not say who makes them. */
#include "base/clock.h"
#include "scheduler/internal.h"

#include <string.h>

static const char CLAIMED[] = "x-polars-user";

rc access_authorize(grpc_call *call, err *e) {
  const scheduler *s = grpc_call_user(call);
  const char *claimed = grpc_call_header(call, CLAIMED);
  char *user = NULL;
  if (!s->auth) return RC_OK;
  TRY(auth_check(s->auth, grpc_call_header(call, "authorization"), clock_wall_us() / 1000000, &user,
                 e));
  grpc_call_set_identity(call, user);
  if (!claimed || !*claimed || !strcmp(claimed, user)) return RC_OK;
  return ERR(e, RC_DENIED,
             "the token is %s's, and %s says another name; leave the name out "
             "(pl.Config.set_user_name, POLARS_CLOUD_USER_NAME)",
             user, CLAIMED);
}

const char *access_user(const grpc_call *call) {
  const char *known = grpc_call_identity(call), *claimed = grpc_call_header(call, CLAIMED);
  return known ? known : claimed ? claimed : "";
}

bool access_may_touch(grpc_call *call, const query *q) {
  const scheduler *s = grpc_call_user(call);
  const char *user = grpc_call_identity(call);
  if (!s->auth || (user && (!strcmp(user, q->user) || auth_is_admin(s->auth, user)))) return true;
  grpc_call_finish(call, RC_DENIED,
                   "this query is another user's; ask that user, or somebody among the cluster's "
                   "admins");
  return false;
}
