/* base/buf.c: see buf.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

rc buf_reserve(buf *b, size_t more, err *e) {
  if (more >= SIZE_MAX / 2 - b->len)
    return ERR(e, RC_NO_MEMORY, "a buffer of %zu + %zu bytes is beyond any limit", b->len, more);
  size_t need = b->len + more + 1; /* one more for the NUL of buf_text */
  if (need <= b->cap) return RC_OK;
  size_t cap = b->cap ? b->cap : 64;
  while (cap < need) cap *= 2;
  uint8_t *data = realloc(b->data, cap);
  if (!data) return ERR(e, RC_NO_MEMORY, "out of memory for a buffer of %zu bytes", cap);
  b->data = data;
  b->cap = cap;
  return RC_OK;
}

rc buf_append(buf *b, const void *data, size_t len, err *e) {
  TRY(buf_reserve(b, len, e));
  if (len) memcpy(b->data + b->len, data, len);
  b->len += len;
  b->data[b->len] = '\0';
  return RC_OK;
}

static void reserve_or_abort(buf *b, size_t more) {
  if (buf_reserve(b, more, NULL) != RC_OK) abort();
}

void buf_printf(buf *b, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  if (n < 0) abort();
  reserve_or_abort(b, (size_t)n);
  vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
  va_end(again);
  b->len += (size_t)n;
}

void buf_puts(buf *b, const char *text) {
  size_t n = strlen(text);
  reserve_or_abort(b, n);
  memcpy(b->data + b->len, text, n + 1);
  b->len += n;
}

const char *buf_text(const buf *b) {
  return b->len ? (const char *)b->data : "";
}

char *buf_take_text(buf *b) {
  char *text = b->data ? (char *)b->data : mem_strdup("");
  *b = (buf){0};
  return text;
}

void buf_clear(buf *b) {
  b->len = 0;
  if (b->data) b->data[0] = '\0';
}

void buf_deinit(buf *b) {
  free(b->data);
  *b = (buf){0};
}
