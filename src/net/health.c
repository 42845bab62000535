/* net/health.c: see health.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/health.h"

enum { STATUS_KEY = 1 << 3 /* field 1, varint */, SERVING = 1, NOT_SERVING = 2 };

void health_answer(grpc_call *call, bool serving) {
  const uint8_t response[] = {STATUS_KEY, serving ? SERVING : NOT_SERVING};
  grpc_call_send(call, response, sizeof response);
  grpc_call_finish(call, RC_OK, NULL);
}

void health_always(grpc_call *call, const uint8_t *message, size_t len) {
  (void)message, (void)len;
  health_answer(call, true);
}

bool health_is_serving(const uint8_t *response, size_t len) {
  return len == 2 && response[0] == STATUS_KEY && response[1] == SERVING;
}
