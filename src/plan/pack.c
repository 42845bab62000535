/* plan/pack.c: see pack.h. Each value in its shortest form, which is how Polars writes it, too.
 * SPDX-License-Identifier: Apache-2.0 */
#include "plan/pack.h"

#include <stdlib.h>
#include <string.h>

static void put(buf *b, const void *data, size_t len) {
  if (buf_append(b, data, len, NULL) != RC_OK) abort();
}

/* A head byte and the lowest `bytes` bytes of a number, the highest of them first. */
static void put_head(buf *b, unsigned head, uint64_t n, unsigned bytes) {
  uint8_t out[9] = {(uint8_t)head};
  for (unsigned i = 0; i < bytes; i++) out[1 + i] = (uint8_t)(n >> 8 * (bytes - 1 - i));
  put(b, out, 1 + bytes);
}

/* n needs 1 << width bytes, of 1, 2, 4 and 8. */
static unsigned width(uint64_t n) {
  return n <= UINT8_MAX ? 0 : n <= UINT16_MAX ? 1 : n <= UINT32_MAX ? 2 : 3;
}

/* A length of 1, 2 or 4 bytes; `head` is the one of the shortest. MessagePack has no longer ones.
 */
static void put_length(buf *b, unsigned head, size_t len, unsigned shortest) {
  if (len > UINT32_MAX) abort();
  unsigned w = width(len) > shortest ? width(len) : shortest;
  put_head(b, head + w - shortest, len, 1u << w);
}

void pack_nil(buf *b) {
  put_head(b, 0xc0, 0, 0);
}

void pack_bool(buf *b, bool value) {
  put_head(b, value ? 0xc3 : 0xc2, 0, 0);
}

void pack_uint(buf *b, uint64_t value) {
  if (value < 0x80)
    put_head(b, (unsigned)value, 0, 0);
  else
    put_head(b, 0xcc + width(value), value, 1u << width(value));
}

void pack_int(buf *b, int64_t value) {
  if (value >= 0) return pack_uint(b, (uint64_t)value);
  if (value >= -32) return put_head(b, (uint8_t)value, 0, 0);
  unsigned w = width((uint64_t)~value << 1); /* one bit more, for the sign */
  put_head(b, 0xd0 + w, (uint64_t)value, 1u << w);
}

void pack_float(buf *b, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  put_head(b, 0xcb, bits, 8);
}

void pack_str(buf *b, const char *text, size_t len) {
  if (len < 32)
    put_head(b, 0xa0 | (unsigned)len, 0, 0);
  else
    put_length(b, 0xd9, len, 0);
  put(b, text, len);
}

void pack_text(buf *b, const char *text) {
  pack_str(b, text, strlen(text));
}

void pack_bin(buf *b, const void *data, size_t len) {
  put_length(b, 0xc4, len, 0);
  put(b, data, len);
}

void pack_array(buf *b, size_t items) {
  if (items < 16)
    put_head(b, 0x90 | (unsigned)items, 0, 0);
  else
    put_length(b, 0xdc, items, 1);
}

void pack_map(buf *b, size_t pairs) {
  if (pairs < 16)
    put_head(b, 0x80 | (unsigned)pairs, 0, 0);
  else
    put_length(b, 0xde, pairs, 1);
}

void pack_raw(buf *b, plan_bytes value) {
  put(b, value.data, value.len);
}

plan_bytes pack_done(buf *b, arena *a) {
  uint8_t *data = arena_take(a, b->len);
  if (b->len) memcpy(data, b->data, b->len);
  plan_bytes out = {data, b->len};
  buf_deinit(b);
  return out;
}

bool plan_bytes_equal(plan_bytes x, plan_bytes y) {
  return x.len == y.len && (x.len == 0 || memcmp(x.data, y.data, x.len) == 0);
}
