/* base/id.h: identities. SPDX-License-Identifier: Apache-2.0
 *
 * One-field structs, so that the compiler refuses a worker where a query belongs. Text form is the
 * hyphenated lower-case UUID: the official client panics on anything else. */
#ifndef FLOE_BASE_ID_H
#define FLOE_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#define ID_TEXT_LEN 36

typedef struct uuid {
  uint8_t bytes[16];
} uuid;
typedef struct uuid_text {
  char s[ID_TEXT_LEN + 1];
} uuid_text;

typedef struct query_id {
  uuid u;
} query_id;
typedef struct attempt_id { /* one run of one task; a retry has a new one */
  uuid u;
} attempt_id;

uuid uuid_random(void); /* version 4, from the kernel */
uuid_text uuid_print(uuid u);
bool uuid_parse(const char *text, uuid *out); /* false: not a hyphenated UUID, out untouched */
bool uuid_equal(uuid a, uuid b);

#endif
