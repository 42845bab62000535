/* base/buf.h: a byte buffer that grows. SPDX-License-Identifier: Apache-2.0
 *
 * For bytes whose amount is not ours to choose. A zeroed buf is valid and empty; deinit is
 * idempotent. A failed append leaves the buffer as it was. */
#ifndef FLOE_BASE_BUF_H
#define FLOE_BASE_BUF_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct buf {
  uint8_t *data; /* owned */
  size_t len, cap;
} buf;

MUST_CHECK rc buf_reserve(buf *b, size_t more, err *e); /* room for `more` bytes past len */
MUST_CHECK rc buf_append(buf *b, const void *data, size_t len, err *e);
/* Text, small and ours: aborts when memory is out. Keeps a NUL after len, not counted in it. */
void buf_printf(buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_puts(buf *b, const char *text);
const char *buf_text(const buf *b); /* "" when empty; valid until the next change */
char *buf_take_text(buf *b);        /* ownership to the caller (free); b is empty after */
void buf_clear(buf *b);             /* len = 0, memory kept */
void buf_deinit(buf *b);

#endif
