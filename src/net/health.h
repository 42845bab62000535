/* net/health.h: grpc.health.v1 Check, asked by Kubernetes probes and by `floe up`.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The two messages are so small that their bytes stand here: a request may name a service (we
 * answer for the whole process), a response is field 1, an enum. */
#ifndef FLOE_NET_HEALTH_H
#define FLOE_NET_HEALTH_H

#include "net/grpc_server.h"

#define HEALTH_CHECK_PATH "/grpc.health.v1.Health/Check"

/* The answer of a method's on_request; and one for whoever serves while its port is open. */
void health_answer(grpc_call *call, bool serving);
void health_always(grpc_call *call, const uint8_t *message, size_t len);
/* The other side: does this response say SERVING? */
bool health_is_serving(const uint8_t *response, size_t len);

#endif
