/* observatory/intake.c: what the cluster's processes tell, on 5049. SPDX-License-Identifier:
 * Apache-2.0 */
#include "base/clock.h"
#include "net/health.h"
#include "observatory/internal.h"

rc intake_take(observatory *o, const uint8_t *report, size_t len, err *e) {
  Profile__Report *r = profile__report__unpack(NULL, len, report);
  if (!r) return ERR(e, RC_INVALID, "profile.Report does not decode");
  int64_t now_ms = clock_mono_ms();
  for (size_t i = 0; i < r->n_hosts; i++) hosts_take(o->hosts, r->hosts[i], now_ms);
  if (r->n_queries + r->n_plans + r->n_tasks)
    store_report(o->store, r, len);
  else
    profile__report__free_unpacked(r, NULL);
  return RC_OK;
}

static void on_send(grpc_call *call, const uint8_t *message, size_t len) {
  observatory *o = grpc_call_user(call);
  err e = {0};
  rc r = intake_take(o, message, len, &e);
  if (r == RC_OK) grpc_call_send(call, NULL, 0); /* Received has no fields */
  grpc_call_finish(call, r, e.text);
}

const grpc_method INTAKE_METHODS[] = {
    {.path = "/profile.Observatory/Send", .on_request = on_send, .max_message = 8 << 20},
    {.path = HEALTH_CHECK_PATH, .on_request = health_always, .no_token = true},
};
const size_t N_INTAKE_METHODS = sizeof INTAKE_METHODS / sizeof *INTAKE_METHODS;
