/* worker/splice.c: see splice.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/splice.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static uint64_t end_of(const splice_range *r) {
  return r->offset + r->len;
}

/* ---- what to replace ---- */

static rc check_range(const splice_range *r, err *e) {
  if (!r->len)
    return ERR(e, RC_INVALID, "a splice of the plan at byte %llu replaces nothing",
               (unsigned long long)r->offset);
  if (r->offset > UINT64_MAX - r->len)
    return ERR(e, RC_INVALID, "a splice begins at byte %llu, beyond any plan",
               (unsigned long long)r->offset);
  return RC_OK;
}

static void make_room(plan_splice *s) {
  if (s->n < s->cap) return;
  s->cap = s->cap ? s->cap * 2 : 4;
  splice_range *more = mem_new(s->cap * sizeof *more);
  if (s->n) memcpy(more, s->ranges, s->n * sizeof *more);
  free(s->ranges);
  s->ranges = more;
}

rc splice_add(plan_splice *s, const splice_range *range, err *e) {
  TRY(check_range(range, e));
  size_t at = s->n;
  while (at && s->ranges[at - 1].offset > range->offset) at--;
  if ((at && end_of(&s->ranges[at - 1]) > range->offset) ||
      (at < s->n && end_of(range) > s->ranges[at].offset))
    return ERR(e, RC_INVALID, "two splices of the plan overlap at byte %llu",
               (unsigned long long)range->offset);
  make_room(s);
  memmove(s->ranges + at + 1, s->ranges + at, (s->n - at) * sizeof *range);
  s->ranges[at] = *range;
  s->n++;
  return RC_OK;
}

static rc put_string(buf *out, const char *text, err *e) {
  size_t n = strlen(text);
  if (n > UINT16_MAX) return ERR(e, RC_INVALID, "a path of %zu bytes is too long for a plan", n);
  const uint8_t fix[] = {(uint8_t)(0xA0 | (n & 31))}, str8[] = {0xD9, (uint8_t)n},
                str16[] = {0xDA, (uint8_t)(n >> 8), (uint8_t)n};
  if (n < 32)
    TRY(buf_append(out, fix, sizeof fix, e));
  else if (n < 256)
    TRY(buf_append(out, str8, sizeof str8, e));
  else
    TRY(buf_append(out, str16, sizeof str16, e));
  return buf_append(out, text, n, e);
}

rc splice_add_text(plan_splice *s, uint64_t offset, uint32_t len, const char *text, err *e) {
  buf_clear(&s->text);
  TRY(put_string(&s->text, text, e));
  splice_range range = {
      .offset = offset, .len = len, .with = s->text.data, .with_len = s->text.len};
  return splice_add(s, &range, e);
}

/* ---- replacing ---- */

rc splice_feed(plan_splice *s, const uint8_t *data, size_t len, spool *out, err *e) {
  while (len) {
    const splice_range *r = s->next < s->n ? &s->ranges[s->next] : NULL;
    bool inside = r && s->at >= r->offset;
    uint64_t n = len; /* bytes up to the next border: begin or end of the range */
    if (r) n = least(n, (inside ? end_of(r) : r->offset) - s->at);
    if (inside && s->at == r->offset && r->with_len)
      TRY(spool_append(out, r->with, r->with_len, e));
    if (!inside) TRY(spool_append(out, data, (size_t)n, e));
    s->at += n;
    data += n;
    len -= (size_t)n;
    if (inside && s->at == end_of(r)) s->next++;
  }
  return RC_OK;
}

rc splice_end(const plan_splice *s, err *e) {
  if (s->next == s->n) return RC_OK;
  return ERR(e, RC_INVALID, "a splice ends at byte %llu of the plan, which has only %llu bytes",
             (unsigned long long)end_of(&s->ranges[s->next]), (unsigned long long)s->at);
}

void splice_deinit(plan_splice *s) {
  free(s->ranges);
  buf_deinit(&s->text);
  *s = (plan_splice){0};
}
