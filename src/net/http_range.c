/* net/http_range.c: see http_range.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/http_range.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Digits, at least one; what is too large is the largest: every file ends before it. */
static bool read_number(const char **at, uint64_t *out) {
  const char *begin = *at;
  for (*out = 0; isdigit((unsigned char)**at); ++*at) {
    uint64_t digit = (uint64_t)(**at - '0');
    *out = *out > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *out * 10 + digit;
  }
  return *at != begin;
}

static http_range_kind part(uint64_t first, uint64_t last, uint64_t bytes, http_range *out) {
  *out = (http_range){0};
  if (first >= bytes) return HTTP_RANGE_OUTSIDE;
  *out = (http_range){first, (last < bytes ? last + 1 : bytes) - first};
  return HTTP_RANGE_PART;
}

http_range_kind http_range_read(const char *text, uint64_t bytes, http_range *out) {
  static const char UNIT[] = "bytes=";
  *out = (http_range){0, bytes};
  if (!text || strncasecmp(text, UNIT, sizeof UNIT - 1) != 0) return HTTP_RANGE_ALL;
  const char *at = text + sizeof UNIT - 1;
  uint64_t first, last = UINT64_MAX;
  bool has_first = read_number(&at, &first);
  if (*at++ != '-') return HTTP_RANGE_ALL;
  bool has_last = read_number(&at, &last);
  if (*at || (!has_first && !has_last) || (has_first && has_last && first > last))
    return HTTP_RANGE_ALL;
  if (has_first) return part(first, has_last ? last : UINT64_MAX, bytes, out);
  return part(last < bytes ? bytes - last : 0, UINT64_MAX, last ? bytes : 0, out);
}
