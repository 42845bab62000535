/* base/id.c: see id.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

uuid uuid_random(void) {
  uuid u;
  if (getrandom(u.bytes, sizeof u.bytes, 0) != (ssize_t)sizeof u.bytes) abort();
  u.bytes[6] = (uint8_t)((u.bytes[6] & 0x0F) | 0x40);
  u.bytes[8] = (uint8_t)((u.bytes[8] & 0x3F) | 0x80);
  return u;
}

static bool hyphen_before(unsigned byte) {
  return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

uuid_text uuid_print(uuid u) {
  uuid_text t;
  char *out = t.s;
  for (unsigned i = 0; i < 16; i++) {
    if (hyphen_before(i)) *out++ = '-';
    out += sprintf(out, "%02x", u.bytes[i]);
  }
  return t;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool uuid_parse(const char *text, uuid *out) {
  uuid u;
  if (strnlen(text, ID_TEXT_LEN + 1) != ID_TEXT_LEN) return false;
  for (unsigned i = 0; i < 16; i++) {
    if (hyphen_before(i) && *text++ != '-') return false;
    int high = hex_digit(text[0]), low = hex_digit(text[1]);
    if (high < 0 || low < 0) return false;
    u.bytes[i] = (uint8_t)(high << 4 | low);
    text += 2;
  }
  *out = u;
  return true;
}

bool uuid_equal(uuid a, uuid b) {
  return !memcmp(a.bytes, b.bytes, sizeof a.bytes);
}
