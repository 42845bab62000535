/* tests/fuzz/fuzz_http_range.c: the first 8 bytes are the size of a file, the rest is a Range.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "net/http_range.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  uint64_t bytes = 0;
  if (len < sizeof bytes) return 0;
  memcpy(&bytes, data, sizeof bytes);
  char *text = mem_strndup((const char *)data + sizeof bytes, len - sizeof bytes);
  http_range r;
  http_range_kind kind = http_range_read(text, bytes, &r);
  if (r.first > bytes || r.len > bytes - r.first) abort();
  if (kind == HTTP_RANGE_ALL && r.len != bytes) abort();
  if ((kind == HTTP_RANGE_OUTSIDE) != (!r.len && kind != HTTP_RANGE_ALL)) abort();
  free(text);
  return 0;
}
