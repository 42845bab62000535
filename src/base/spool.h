/* base/spool.h: bytes that arrive piece by piece and may be many. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A plan is 3 kB or 300 MB. A spool keeps the first `memory_bytes` on the heap and, when more
 * come, moves everything to an unnamed file in `dir`, so that memory is never the sum of what
 * clients send. Nothing is left on disk after a crash. One thread at a time. */
#ifndef FLOE_BASE_SPOOL_H
#define FLOE_BASE_SPOOL_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct spool spool;

spool *spool_new(const char *dir, size_t memory_bytes); /* dir: copied; touched only when needed */
MUST_CHECK rc spool_append(spool *s, const void *data, size_t len, err *e);
uint64_t spool_len(const spool *s);
/* Copies up to `len` bytes from `offset`; *got is less only at the end. */
MUST_CHECK rc spool_read(const spool *s, uint64_t offset, void *out, size_t len, size_t *got,
                         err *e);
/* The whole as one view: the heap block, or a read-only mapping. Valid until append, drop or free.
 */
MUST_CHECK rc spool_view(spool *s, const uint8_t **data, err *e);
void spool_drop_view(spool *s);
int spool_fd(const spool *s); /* the file, owned by the spool; -1 while all is on the heap */
void spool_free(spool *s);    /* NULL is fine */

#endif
