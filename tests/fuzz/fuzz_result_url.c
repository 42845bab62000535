/* tests/fuzz/fuzz_result_url.c: five lines are what a request brings; what we print is what we
 * take. SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "store/result_url.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* As the URL that was printed for it brings it, decoded. */
static void print_and_check(const signing_digest *key, result_part_id part) {
  buf url = {0}, bytes = {0}, expires = {0};
  result_part_id again;
  if (result_url_print(key, "", &part, &url, NULL) != RC_OK) abort();
  char *text = buf_take_text(&url), *signature = strstr(text, "signature=");
  *strchr(text, '?') = '\0';
  buf_printf(&bytes, "%llu", (unsigned long long)part.bytes);
  buf_printf(&expires, "%lld", (long long)part.expires_s);
  result_url_request request = {text, buf_text(&bytes), part.worker, buf_text(&expires),
                                signature + strlen("signature=")};
  if (result_url_check(key, &request, part.expires_s, &again, NULL) != RC_OK) abort();
  if (again.part != part.part || again.bytes != part.bytes) abort();
  buf_deinit(&bytes);
  buf_deinit(&expires);
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static const signing_digest KEY = {{1, 2, 3}};
  char *text = mem_strndup((const char *)data, len), *rest = text, *lines[5];
  for (size_t i = 0; i < 5; i++) lines[i] = strsep(&rest, "\n");
  result_url_request request = {lines[0], lines[1], lines[2], lines[3], lines[4]};
  result_part_id part = {0};
  if (result_url_check(&KEY, &request, 0, &part, NULL) == RC_OK) abort(); /* it has not the key */
  part.worker = part.worker ? part.worker : "";
  part.expires_s = 5;
  print_and_check(&KEY, part);
  free(text);
  return 0;
}
