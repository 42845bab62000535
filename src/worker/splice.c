/* worker/splice.c: see splice.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/splice.h"

#include <string.h>

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
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

rc splice_init(plan_splice *s, uint64_t offset, uint32_t len, const char *text, err *e) {
  *s = (plan_splice){.offset = offset, .len = len};
  if (offset > UINT64_MAX - len)
    return ERR(e, RC_INVALID, "the placeholder begins at byte %llu, beyond any plan",
               (unsigned long long)offset);
  return len ? put_string(&s->with, text, e) : RC_OK;
}

rc splice_feed(plan_splice *s, const uint8_t *data, size_t len, spool *out, err *e) {
  uint64_t end = s->offset + s->len;
  while (len) {
    uint64_t n = len; /* bytes up to the next border: begin or end of the placeholder */
    if (s->len && s->at < s->offset)
      n = least(n, s->offset - s->at);
    else if (s->len && s->at < end)
      n = least(n, end - s->at);
    if (s->len && s->at == s->offset) TRY(spool_append(out, s->with.data, s->with.len, e));
    bool inside = s->len && s->at >= s->offset && s->at < end;
    if (!inside) TRY(spool_append(out, data, (size_t)n, e));
    s->at += n;
    data += n;
    len -= (size_t)n;
  }
  return RC_OK;
}

rc splice_end(const plan_splice *s, err *e) {
  if (s->len && s->at < s->offset + s->len)
    return ERR(e, RC_INVALID,
               "the placeholder ends at byte %llu of the plan, which has only %llu bytes",
               (unsigned long long)(s->offset + s->len), (unsigned long long)s->at);
  return RC_OK;
}

void splice_deinit(plan_splice *s) {
  buf_deinit(&s->with);
}
