/* tests/unit/expressions.h: real expressions by their names. SPDX-License-Identifier: Apache-2.0
 *
 * EXPRESSIONS is the folder that tests/fuzz/make_expressions.py fills. */
#ifndef FLOE_TEST_EXPRESSIONS_H
#define FLOE_TEST_EXPRESSIONS_H

#include "plan/pack.h"

#include <stdio.h>
#include <stdlib.h>

static inline plan_bytes expression(arena *a, const char *name) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", EXPRESSIONS, name);
  FILE *f = fopen(path, "rb");
  if (!f || fseek(f, 0, SEEK_END) != 0) abort();
  size_t len = (size_t)ftell(f);
  rewind(f);
  uint8_t *data = arena_take(a, len);
  if (fread(data, 1, len, f) != len) abort();
  fclose(f);
  return (plan_bytes){data, len};
}

#endif
