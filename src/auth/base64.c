/* auth/base64.c: see base64.h. SPDX-License-Identifier: Apache-2.0 */
#include "auth/base64.h"

#include <string.h>

static int value_of(char c, const char *last_two) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == last_two[0]) return 62;
  return c == last_two[1] ? 63 : -1;
}

static bool decode(const char *text, size_t len, const char *last_two, uint8_t *out,
                   size_t *out_len) {
  uint32_t bits = 0;
  unsigned n_bits = 0;
  *out_len = 0;
  if (len % 4 == 1) return false;
  for (size_t i = 0; i < len; i++) {
    int value = value_of(text[i], last_two);
    if (value < 0) return false;
    bits = bits << 6 | (uint32_t)value;
    n_bits += 6;
    if (n_bits < 8) continue;
    n_bits -= 8;
    out[(*out_len)++] = (uint8_t)(bits >> n_bits);
    bits &= (1u << n_bits) - 1;
  }
  return bits == 0;
}

bool base64url_decode(const char *text, size_t len, uint8_t *out, size_t *out_len) {
  return decode(text, len, "-_", out, out_len);
}

bool base64_decode(const char *text, size_t len, uint8_t *out, size_t *out_len) {
  if (len % 4) return false;
  for (int padding = 0; padding < 2 && len && text[len - 1] == '='; padding++) len--;
  return decode(text, len, "+/", out, out_len);
}
