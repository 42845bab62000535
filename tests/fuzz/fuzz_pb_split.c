/* tests/fuzz/fuzz_pb_split.c: the first byte says how the rest is cut into pieces; the outcome must
 * not depend on it, and nothing may be lost or invented. SPDX-License-Identifier: Apache-2.0 */
#include "net/pb_split.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { LONG = 17, MOST = 256 };

static rc take(void *arg, const uint8_t *data, size_t len, err *e) {
  return buf_append(arg, data, len, e);
}

static rc split(const uint8_t *data, size_t len, size_t piece, pb_split *s, buf *plan) {
  pb_split_init(s, LONG, MOST, take, plan);
  for (size_t i = 0; i < len; i += piece)
    TRY(pb_split_feed(s, data + i, len - i < piece ? len - i : piece, NULL));
  return pb_split_end(s, NULL);
}

static bool same(const buf *a, const buf *b) {
  return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  if (!len) return 0;
  size_t piece = data[0] ? data[0] : 1;
  pb_split whole, cut;
  buf plan = {0}, again = {0};
  rc one = split(data + 1, len - 1, len, &whole, &plan);
  rc two = split(data + 1, len - 1, piece, &cut, &again);
  if (one != two || whole.rest.len > MOST) abort();
  if (one == RC_OK && (!same(&plan, &again) || !same(&whole.rest, &cut.rest))) abort();
  if (one == RC_OK && plan.len + whole.rest.len > len - 1) abort();
  pb_split_deinit(&whole);
  pb_split_deinit(&cut);
  buf_deinit(&plan);
  buf_deinit(&again);
  return 0;
}
