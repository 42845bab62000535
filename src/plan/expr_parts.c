/* plan/expr_parts.c: see expr_parts.h. SPDX-License-Identifier: Apache-2.0 */
#include "plan/expr_parts.h"

#include <string.h>

msgpack plan_cursor(plan_bytes value) {
  return (msgpack){value.data, value.data, value.data + value.len};
}

plan_bytes plan_take(msgpack *m) {
  const uint8_t *start = m->at;
  if (msgpack_walk(m, NULL, NULL, NULL) != RC_OK) return (plan_bytes){0};
  return (plan_bytes){start, (size_t)(m->at - start)};
}

static bool enter_map(msgpack *m, uint64_t *pairs) {
  msgpack_token t;
  if (!m->start || msgpack_next(m, &t, NULL) != RC_OK || t.kind != MSGPACK_MAP) return false;
  *pairs = t.n;
  return true;
}

plan_bytes plan_payload(plan_bytes value) {
  msgpack m = plan_cursor(value);
  msgpack_token key;
  uint64_t pairs;
  if (!enter_map(&m, &pairs) || pairs != 1) return (plan_bytes){0};
  if (msgpack_next(&m, &key, NULL) != RC_OK || key.kind != MSGPACK_STR) return (plan_bytes){0};
  return plan_take(&m);
}

plan_bytes plan_part(plan_bytes map, const char *key) {
  msgpack m = plan_cursor(map);
  if (!map.data || !msgpack_enter(&m, key)) return (plan_bytes){0};
  return plan_take(&m);
}

plan_bytes plan_item(plan_bytes array, uint64_t i) {
  msgpack m = plan_cursor(array);
  if (!array.data || !msgpack_index(&m, i)) return (plan_bytes){0};
  return plan_take(&m);
}

bool plan_text_is(plan_bytes text, const char *expected) {
  return text.data && text.len == strlen(expected) && memcmp(text.data, expected, text.len) == 0;
}

plan_bytes expr_agg_input(plan_bytes agg) {
  static const char *const PLAIN[] = {"First", "FirstNonNull", "Last",    "LastNonNull",
                                      "Mean",  "Median",       "NUnique", "Sum"};
  static const char *const WITH_FIELDS[] = {"Count", "Implode", "Item", "Max", "Min"};
  plan_bytes name = plan_value_name(agg), value = plan_payload(agg);
  for (size_t i = 0; i < sizeof PLAIN / sizeof *PLAIN; i++)
    if (plan_text_is(name, PLAIN[i])) return value;
  for (size_t i = 0; i < sizeof WITH_FIELDS / sizeof *WITH_FIELDS; i++)
    if (plan_text_is(name, WITH_FIELDS[i])) return plan_part(value, "input");
  if (plan_text_is(name, "Std") || plan_text_is(name, "Var")) return plan_item(value, 0);
  return (plan_bytes){0};
}

plan_items plan_items_of(plan_bytes array) {
  plan_items it = {plan_cursor(array), 0};
  msgpack_token t;
  if (array.data && msgpack_next(&it.at, &t, NULL) == RC_OK && t.kind == MSGPACK_ARRAY)
    it.left = t.n;
  return it;
}

bool plan_items_next(plan_items *it, plan_bytes *item) {
  if (it->left == 0) return false;
  it->left--;
  *item = plan_take(&it->at);
  return item->data != NULL;
}

expr_scan expr_scan_of(plan_bytes expr) {
  return (expr_scan){.at = plan_cursor(expr)};
}

bool expr_scan_next(expr_scan *s) {
  msgpack_token t, key;
  while (s->at.at < s->at.end) {
    s->start = s->at.at;
    if (msgpack_next(&s->at, &t, NULL) != RC_OK) return false;
    msgpack inside = s->at;
    if (t.kind != MSGPACK_MAP || t.n != 1) continue;
    if (msgpack_next(&inside, &key, NULL) != RC_OK || key.kind != MSGPACK_STR) continue;
    s->at = inside;
    s->name = (plan_bytes){key.data, key.n};
    if (!plan_text_is(s->name, "Literal")) return true;
    expr_scan_skip(s);
  }
  return false;
}

plan_bytes expr_scan_payload(const expr_scan *s) {
  msgpack m = s->at;
  return plan_take(&m);
}

void expr_scan_skip(expr_scan *s) {
  if (msgpack_walk(&s->at, NULL, NULL, NULL) != RC_OK) s->at.at = s->at.end;
}

bool expr_mentions(plan_bytes expr, const char *variant) {
  for (expr_scan s = expr_scan_of(expr); expr_scan_next(&s);)
    if (plan_text_is(s.name, variant)) return true;
  return false;
}
