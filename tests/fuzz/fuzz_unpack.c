/* tests/fuzz/fuzz_unpack.c: MessagePack as JSON: what is taken can be printed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "observatory/unpack.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  json_t *value;
  err e = {0};
  if (unpack_json(data, len, &value, &e) != RC_OK) {
    if (e.code != RC_INVALID || !*e.text) abort();
    return 0;
  }
  char *text = json_dumps(value, JSON_ENCODE_ANY);
  if (!text) abort();
  free(text);
  json_decref(value);
  return 0;
}
