/* base/mem.h: allocation. SPDX-License-Identifier: Apache-2.0
 *
 * Two kinds. `mem_*` is for small things whose size we choose (a struct, a name): it aborts when
 * memory is out, because nothing sensible can follow. Sizes that come from data or from the wire
 * use `buf` (base/buf.h), which fails as a value. */
#ifndef FLOE_BASE_MEM_H
#define FLOE_BASE_MEM_H

#include <stddef.h>

void *mem_new(size_t bytes); /* zeroed; release with free() */
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t len);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define NEW(type) ((type *)mem_new(sizeof(type)))

#endif
