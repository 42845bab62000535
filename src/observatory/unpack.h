/* observatory/unpack.h: MessagePack as JSON. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_OBSERVATORY_UNPACK_H
#define FLOE_OBSERVATORY_UNPACK_H

#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

/* One whole value, which the caller releases. Numbers that JSON cannot hold are null, as is binary
 * data. RC_INVALID: no MessagePack, text that is not UTF-8, or nested too deeply. */
MUST_CHECK rc unpack_json(const uint8_t *data, size_t len, json_t **out, err *e);

#endif
