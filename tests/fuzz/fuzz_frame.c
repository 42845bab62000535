/* tests/fuzz/fuzz_frame.c: the first byte says how the rest is cut into pieces; the frames must not
 * depend on it, and no more comes out than went in. SPDX-License-Identifier: Apache-2.0 */
#include "net/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MOST = 4096 };

/* All frames behind each other, each followed by its length. */
static rc read_all(const uint8_t *data, size_t len, size_t piece, buf *out) {
  frame_reader r = {.max = MOST};
  rc result = RC_OK;
  for (size_t at = 0; at < len && result == RC_OK; at += piece) {
    const uint8_t *from = data + at;
    size_t left = len - at < piece ? len - at : piece;
    while (left && result == RC_OK) {
      bool complete = false;
      size_t before = left;
      result = frame_next(&r, &from, &left, &complete, NULL);
      if (result == RC_OK && left == before) abort(); /* no progress */
      if (!complete) continue;
      if (r.body.len > MOST) abort();
      if (buf_append(out, r.body.data, r.body.len, NULL) != RC_OK ||
          buf_append(out, &r.size, sizeof r.size, NULL) != RC_OK)
        abort();
    }
  }
  frame_reader_deinit(&r);
  return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  if (!len) return 0;
  buf whole = {0}, cut = {0};
  rc one = read_all(data + 1, len - 1, len, &whole);
  rc two = read_all(data + 1, len - 1, data[0] ? data[0] : 1, &cut);
  if (one != two || whole.len != cut.len || whole.len > len - 1) abort();
  if (whole.len && memcmp(whole.data, cut.data, whole.len) != 0) abort();
  buf_deinit(&whole);
  buf_deinit(&cut);
  return 0;
}
