/* net/grpc_meta.c: see grpc_meta.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/grpc_meta.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

nghttp2_nv grpc_header(const char *name, const char *value) {
  return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                      .value = (uint8_t *)(uintptr_t)value,
                      .namelen = strlen(name),
                      .valuelen = strlen(value)};
}

/* Bytes of the UTF-8 character at `s` (NUL-terminated); 0: not UTF-8. */
static size_t character_len(const uint8_t *s) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (s[0] < 0x80) return 1;
  size_t n = s[0] >= 0xF8 ? 0 : s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : s[0] >= 0xC0 ? 2 : 0;
  if (!n) return 0;
  uint32_t code = s[0] & (0x7Fu >> n);
  for (size_t i = 1; i < n; i++) {
    if ((s[i] & 0xC0) != 0x80) return 0; /* stops at the NUL too */
    code = code << 6 | (s[i] & 0x3Fu);
  }
  bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  return code < least[n] || code > 0x10FFFF || surrogate ? 0 : n;
}

void grpc_message_encode(const char *text, char out[GRPC_MESSAGE_MOST + 1]) {
  char *put = out, *end = out + GRPC_MESSAGE_MOST;
  for (const uint8_t *s = (const uint8_t *)text; *s;) {
    size_t n = character_len(s);
    bool plain = n == 1 && *s >= 0x20 && *s <= 0x7E && *s != '%';
    size_t size = !n || plain ? 1 : 3 * n;
    if ((size_t)(end - put) < size) break;
    if (plain || !n)
      *put++ = n ? (char)*s : '?';
    else
      for (size_t i = 0; i < n; i++) put += sprintf(put, "%%%02X", s[i]);
    s += n ? n : 1;
  }
  *put = '\0';
}

static int hex(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

void grpc_message_decode(const uint8_t *text, size_t len, char out[GRPC_MESSAGE_MOST + 1]) {
  size_t put = 0;
  for (size_t i = 0; i < len && put < GRPC_MESSAGE_MOST; i++) {
    int high = text[i] == '%' && len - i > 2 ? hex(text[i + 1]) : -1;
    int low = high >= 0 ? hex(text[i + 2]) : -1;
    uint8_t c = low >= 0 ? (uint8_t)(high << 4 | low) : text[i];
    if (low >= 0) i += 2;
    out[put++] = c ? (char)c : '?';
  }
  out[put] = '\0';
}

void grpc_details_encode(const char *text, char out[GRPC_DETAILS_SIZE]) {
  size_t len = strlen(text);
  if (len > GRPC_DETAILS_MOST) {
    len = GRPC_DETAILS_MOST;
    while (len && ((uint8_t)text[len] & 0xC0) == 0x80) len--;
  }
  int n = EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)text, (int)len);
  while (n > 0 && out[n - 1] == '=') n--;
  out[n] = '\0';
}

void grpc_timeout_print(unsigned ms, char out[GRPC_TIMEOUT_SIZE]) {
  bool fits = ms <= 99999999; /* eight digits are the most */
  snprintf(out, GRPC_TIMEOUT_SIZE, "%u%c", fits ? ms : ms / 1000 + (ms % 1000 != 0),
           fits ? 'm' : 'S');
}

bool grpc_timeout_parse(const uint8_t *text, size_t len, uint64_t *ms) {
  uint64_t n = 0;
  if (len < 2 || len > 9) return false;
  for (size_t i = 0; i + 1 < len; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    n = n * 10 + (text[i] - '0');
  }
  switch (text[len - 1]) {
  case 'H':
    *ms = n * 3600000;
    return true;
  case 'M':
    *ms = n * 60000;
    return true;
  case 'S':
    *ms = n * 1000;
    return true;
  case 'm':
    *ms = n;
    return true;
  case 'u':
    *ms = (n + 999) / 1000;
    return true;
  case 'n':
    *ms = (n + 999999) / 1000000;
    return true;
  default:
    return false;
  }
}

bool grpc_is_content_type(const uint8_t *text, size_t len) {
  static const char want[] = "application/grpc";
  size_t n = sizeof want - 1;
  if (len < n || memcmp(text, want, n) != 0) return false;
  return len == n || text[n] == '+' || text[n] == ';';
}

rc grpc_rc_from_http(int http_status) {
  switch (http_status) {
  case 401:
    return RC_UNAUTHENTICATED;
  case 403:
    return RC_DENIED;
  case 404:
    return RC_UNIMPLEMENTED;
  case 429:
  case 502:
  case 503:
  case 504:
    return RC_UNAVAILABLE;
  default:
    return RC_INTERNAL;
  }
}

rc grpc_rc_from_h2(uint32_t error_code) {
  switch (error_code) {
  case NGHTTP2_REFUSED_STREAM:
    return RC_UNAVAILABLE;
  case NGHTTP2_CANCEL:
    return RC_CANCELLED;
  case NGHTTP2_ENHANCE_YOUR_CALM:
    return RC_EXHAUSTED;
  case NGHTTP2_INADEQUATE_SECURITY:
    return RC_DENIED;
  default:
    return RC_INTERNAL;
  }
}
