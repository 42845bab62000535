/* Fuzz target of plan/paths.c. SPDX-License-Identifier: Apache-2.0
 *
 * What is found stands inside the plan, and the first failure ends the search. */
#include "plan/paths.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

typedef struct seen {
  const char *begin, *end;
  unsigned paths, until; /* fails at this one */
} seen;

static rc on_path(void *arg, plan_path_use use, plan_text path, err *e) {
  seen *s = arg;
  (void)use;
  if (path.s && (path.s < s->begin || path.s + path.len > s->end)) abort();
  return ++s->paths == s->until ? ERR(e, RC_DENIED, "enough") : RC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  plan_envelope envelope;
  if (plan_envelope_read(data, len, &envelope, NULL) != RC_OK) return 0;
  seen all = {.begin = (const char *)data, .end = (const char *)data + len};
  if (plan_each_path(data, len, on_path, &all, NULL) != RC_OK) abort();
  for (unsigned until = 1; until <= all.paths && until < 4; until++) {
    seen some = {.begin = all.begin, .end = all.end, .until = until};
    if (plan_each_path(data, len, on_path, &some, NULL) != RC_DENIED || some.paths != until)
      abort();
  }
  return 0;
}
