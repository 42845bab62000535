/* Fuzz target of plan/envelope.c and plan/msgpack.c. SPDX-License-Identifier: Apache-2.0
 *
 * What is found must stand inside the plan, and a plan is whole only as it is: one byte less or
 * more is refused. */
#include "plan/envelope.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool true_for_every_plan) {
  if (!true_for_every_plan) abort();
}

static void check_text(const uint8_t *data, size_t len, plan_text text) {
  if (text.len == 0) return;
  must(text.s >= (const char *)data && text.s + text.len <= (const char *)data + len);
}

static void check_found(const uint8_t *data, size_t len, const plan_envelope *p) {
  must(p->header == data);
  must(p->n_sinks <= PLAN_MAX_SINKS);
  for (size_t i = 0; i < p->n_sinks; i++) {
    check_text(data, len, p->sinks[i].path);
    check_text(data, len, p->sinks[i].format);
    must(p->sinks[i].len && p->sinks[i].offset + p->sinks[i].len <= len);
  }
  check_text(data, len, p->format);
  bool placeholder = p->sink == PLAN_SINK_ANONYMOUS || p->sink == PLAN_SINK_FLIGHT;
  must(placeholder == (p->placeholder_len > 0));
  must(p->placeholder_offset + p->placeholder_len <= len);
  must((p->python_minor < 0) == (p->python_micro < 0));
}

static void check_refused(const uint8_t *data, size_t len) {
  plan_envelope p;
  err e = {0};
  must(plan_envelope_read(data, len, &p, &e) == RC_INVALID && e.text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  plan_envelope p;
  err e = {0};
  rc r = plan_envelope_read(data, len, &p, &e);
  if (r != RC_OK) {
    must(r == RC_INVALID && e.text[0] != '\0');
    return 0;
  }
  check_found(data, len, &p);
  check_refused(data, len - 1);
  uint8_t *longer = malloc(len + 1);
  must(longer != NULL);
  memcpy(longer, data, len);
  longer[len] = 0xc0;
  check_refused(longer, len + 1);
  free(longer);
  return 0;
}
