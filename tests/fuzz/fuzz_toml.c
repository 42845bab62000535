/* tests/fuzz/fuzz_toml.c: the bytes of a configuration file, all the way to a conf. An error must
 * have a text. SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  conf *c;
  err e = {0};
  buf notices = {0};
  rc r = conf_load_bytes("fuzz.toml", (const char *)data, len, NULL, &c, &notices, &e);
  if ((r == RC_OK) != (c != NULL) || (r != RC_OK && !*e.text)) abort();
  conf_free(c);
  buf_deinit(&notices);
  return 0;
}
