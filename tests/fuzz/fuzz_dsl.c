/* Fuzz target of plan/dsl_parse.c and plan/dsl_write.c. SPDX-License-Identifier: Apache-2.0
 *
 * A plan that was parsed is written as a whole plan, which parses again and is then written the
 * same. What refs name stands inside the fields, one behind the other. */
#include "plan/dsl.h"
#include "plan/envelope.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool true_for_every_plan) {
  if (!true_for_every_plan) abort();
}

static void check_node(const dsl_node *n) {
  size_t at = 0;
  for (size_t i = 0; i < n->n_refs; i++) {
    must(n->refs[i].offset >= at);
    at = n->refs[i].offset + n->refs[i].len;
    must(n->refs[i].len > 0 && at <= n->fields.len);
  }
  for (size_t i = 0; i < dsl_n_inputs(n); i++) check_node(dsl_input(n, i));
}

static spool *parse_and_write(const uint8_t *data, size_t len) {
  arena a = {0};
  const dsl_node *root;
  err e = {0};
  spool *out = NULL;
  rc r = dsl_parse(data, len, &a, &root, &e);
  if (r == RC_OK) {
    check_node(root);
    out = spool_new("/tmp", 64 << 20);
    must(dsl_write(root, data, NULL, 0, out, NULL) == RC_OK);
  } else {
    must((r == RC_INVALID || r == RC_EXHAUSTED) && e.text[0] != '\0');
  }
  arena_deinit(&a);
  return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  spool *once = parse_and_write(data, len);
  if (!once) return 0;
  const uint8_t *first, *second;
  plan_envelope envelope;
  must(spool_view(once, &first, NULL) == RC_OK);
  rc was_plan = plan_envelope_read(data, len, &envelope, NULL); /* looks at the hash, too */
  must(plan_envelope_read(first, spool_len(once), &envelope, NULL) == RC_OK || was_plan != RC_OK);
  spool *twice = parse_and_write(first, spool_len(once));
  must(twice && spool_len(twice) == spool_len(once));
  must(spool_view(twice, &second, NULL) == RC_OK);
  must(memcmp(first, second, spool_len(once)) == 0);
  spool_free(once);
  spool_free(twice);
  return 0;
}
