/* tests/fuzz/fuzz_framing.c: the first byte says how the rest is cut into pieces; the messages must
 * not depend on it, and have the sizes that were announced. SPDX-License-Identifier: Apache-2.0 */
#include "flight/framing.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

typedef struct seen {
  buf bytes; /* of all messages, each behind its size */
  size_t owed;
} seen;

static void on_head(void *arg, size_t len) {
  seen *s = arg;
  if (s->owed || len > FRAMING_MOST) abort();
  s->owed = len;
  if (buf_append(&s->bytes, &len, sizeof len, NULL) != RC_OK) abort();
}

static void on_piece(void *arg, const uint8_t *data, size_t len) {
  seen *s = arg;
  if (len > s->owed) abort();
  s->owed -= len;
  if (buf_append(&s->bytes, data, len, NULL) != RC_OK) abort();
}

/* The first message is taken for the schema that is expected. */
static size_t schema_len(const uint8_t *data, size_t len) {
  uint32_t size;
  if (len < 8) return len;
  memcpy(&size, data + 4, sizeof size);
  return size <= len - 8 ? 8 + size : len;
}

static rc read_all(const uint8_t *data, size_t len, size_t piece, seen *out) {
  framing f = {.schema = data,
               .schema_len = schema_len(data, len),
               .out = {.arg = out, .on_head = on_head, .on_piece = on_piece}};
  rc r = RC_OK;
  for (size_t at = 0; at < len && r == RC_OK; at += piece)
    r = framing_feed(&f, data + at, len - at < piece ? len - at : piece, NULL);
  if (r == RC_OK) r = framing_end(&f, NULL);
  framing_deinit(&f);
  return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  if (!len) return 0;
  seen whole = {0}, cut = {0};
  rc one = read_all(data + 1, len - 1, len, &whole);
  rc two = read_all(data + 1, len - 1, data[0] ? data[0] : 1, &cut);
  (void)!framing_check_schema(data + 1, schema_len(data + 1, len - 1), NULL);
  if (one != two || whole.bytes.len != cut.bytes.len || whole.owed != cut.owed) abort();
  if (whole.bytes.len && memcmp(whole.bytes.data, cut.bytes.data, whole.bytes.len) != 0) abort();
  if (one == RC_OK && whole.owed) abort();
  buf_deinit(&whole.bytes);
  buf_deinit(&cut.bytes);
  return 0;
}
