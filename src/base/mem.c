/* base/mem.c: see mem.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p) {
  if (!p) {
    fputs("floe: out of memory for a small object; stopping\n", stderr);
    abort();
  }
  return p;
}

void *mem_new(size_t bytes) {
  return checked(calloc(1, bytes));
}
char *mem_strdup(const char *text) {
  return checked(strdup(text));
}
char *mem_strndup(const char *text, size_t len) {
  return checked(strndup(text, len));
}

char *mem_printf(const char *fmt, ...) {
  char *out = NULL;
  va_list ap;
  va_start(ap, fmt);
  int n = vasprintf(&out, fmt, ap);
  va_end(ap);
  return checked(n < 0 ? NULL : out);
}
