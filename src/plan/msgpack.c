/* plan/msgpack.c: see msgpack.h. SPDX-License-Identifier: Apache-2.0 */
#include "plan/msgpack.h"

#include <endian.h>
#include <string.h>

/* What a head byte says: the kind, the bytes of big-endian number that follow it, and the bytes
 * of data that come on top of what the number (or the head itself) says. */
typedef struct form {
  uint8_t kind, number_bytes, more_data;
} form;

static const form FORMS[32] = {/* 0xc0 … 0xdf */
                               {MSGPACK_NIL, 0, 0},  {MSGPACK_NEVER, 0, 0}, {MSGPACK_BOOL, 0, 0},
                               {MSGPACK_BOOL, 0, 0}, {MSGPACK_BIN, 1, 0},   {MSGPACK_BIN, 2, 0},
                               {MSGPACK_BIN, 4, 0},  {MSGPACK_EXT, 1, 1},   {MSGPACK_EXT, 2, 1},
                               {MSGPACK_EXT, 4, 1},  {MSGPACK_FLOAT, 0, 4}, {MSGPACK_FLOAT, 0, 8},
                               {MSGPACK_UINT, 1, 0}, {MSGPACK_UINT, 2, 0},  {MSGPACK_UINT, 4, 0},
                               {MSGPACK_UINT, 8, 0}, {MSGPACK_INT, 1, 0},   {MSGPACK_INT, 2, 0},
                               {MSGPACK_INT, 4, 0},  {MSGPACK_INT, 8, 0},   {MSGPACK_EXT, 0, 2},
                               {MSGPACK_EXT, 0, 3},  {MSGPACK_EXT, 0, 5},   {MSGPACK_EXT, 0, 9},
                               {MSGPACK_EXT, 0, 17}, {MSGPACK_STR, 1, 0},   {MSGPACK_STR, 2, 0},
                               {MSGPACK_STR, 4, 0},  {MSGPACK_ARRAY, 2, 0}, {MSGPACK_ARRAY, 4, 0},
                               {MSGPACK_MAP, 2, 0},  {MSGPACK_MAP, 4, 0}};

static form head_form(uint8_t head, uint64_t *n) {
  if (head < 0x80) return *n = head, (form){MSGPACK_UINT, 0, 0};
  if (head < 0x90) return *n = head & 15, (form){MSGPACK_MAP, 0, 0};
  if (head < 0xa0) return *n = head & 15, (form){MSGPACK_ARRAY, 0, 0};
  if (head < 0xc0) return *n = head & 31, (form){MSGPACK_STR, 0, 0};
  if (head >= 0xe0) return *n = (uint64_t)(int8_t)head, (form){MSGPACK_INT, 0, 0};
  form f = FORMS[head - 0xc0];
  *n = f.kind == MSGPACK_BOOL ? head & 1 : 0;
  return f;
}

static uint64_t big_endian(const uint8_t *p, unsigned bytes) {
  uint64_t n = 0;
  for (unsigned i = 0; i < bytes; i++) n = n << 8 | p[i];
  return n;
}

static int64_t sign_extend(uint64_t n, unsigned bytes) {
  unsigned unused = 64 - 8 * bytes;
  return (int64_t)(n << unused) >> unused;
}

static bool has_data(msgpack_kind kind) {
  return kind == MSGPACK_FLOAT || kind == MSGPACK_STR || kind == MSGPACK_BIN || kind == MSGPACK_EXT;
}

static uint64_t children(const msgpack_token *t) {
  return t->kind == MSGPACK_ARRAY ? t->n : t->kind == MSGPACK_MAP ? 2 * t->n : 0;
}

static rc cut_off(const msgpack *m, uint64_t needed, err *e) {
  return ERR(e, RC_INVALID,
             "cut off: the value at byte %zu needs %llu more bytes, the plan ends after %zu",
             (size_t)(m->at - m->start), (unsigned long long)needed, (size_t)(m->end - m->at));
}

rc msgpack_next(msgpack *m, msgpack_token *out, err *e) {
  size_t left = (size_t)(m->end - m->at);
  if (left == 0) return cut_off(m, 1, e);
  msgpack_token t = {0};
  form f = head_form(*m->at, &t.n);
  t.kind = f.kind;
  if (t.kind == MSGPACK_NEVER)
    return ERR(e, RC_INVALID, "damaged: byte %zu is 0x%02x, which starts no MessagePack value",
               (size_t)(m->at - m->start), *m->at);
  size_t used = 1u + f.number_bytes;
  if (left < used) return cut_off(m, used, e);
  if (f.number_bytes) t.n = big_endian(m->at + 1, f.number_bytes);
  if (t.kind == MSGPACK_INT && f.number_bytes) t.n = (uint64_t)sign_extend(t.n, f.number_bytes);
  t.n += f.more_data;
  /* Each child is at least one byte: a count beyond what is left can be refused here. */
  uint64_t follow = has_data(t.kind) ? t.n : children(&t);
  if (follow > left - used) return cut_off(m, used + follow, e);
  if (has_data(t.kind)) {
    t.data = m->at + used;
    used += t.n;
  }
  m->at += used;
  *out = t;
  return RC_OK;
}

/* One bit for each of 64 bytes, the first one lowest. */
typedef struct marks {
  uint64_t head; /* the byte is 0xcc, the head of an integer whose value is the next byte */
  uint64_t high; /* the byte is 0x80 or more */
} marks;

#define EACH(byte) (0x0101010101010101u * (byte))

static marks mark_bytes(const uint8_t *p) {
  const uint64_t gather = 0x0002040810204081u, top = 0xffull << 56; /* 8 high bits into the top */
  marks m = {0};
  for (unsigned i = 0; i < 64; i += 8) {
    uint64_t bytes;
    memcpy(&bytes, p + i, 8);
    bytes = le64toh(bytes);
    uint64_t other = bytes ^ EACH(0xcc); /* zero where it is 0xcc: then this sets the high bit */
    uint64_t equal = ~(((other & EACH(0x7f)) + EACH(0x7f)) | other | EACH(0x7f));
    m.head = m.head >> 8 | (equal * gather & top);
    m.high = m.high >> 8 | ((bytes & EACH(0x80)) * gather & top);
  }
  return m;
}

/* Walks over items that are integers 0 … 255 in their shortest form (one byte, or 0xcc and one
 * byte), 64 bytes at a time, and returns how many items that were. The caller knows that each item
 * has a byte. Real data is random, and a branch for each item would be ten times slower.
 *
 * Whether a 0xcc is a head or a value depends on the one before it: in a run of them heads and
 * values alternate. Subtracting the run's start carries through the run, so that `codes` has the
 * heads of each run and the byte that ends it (the way simdjson finds escaped quotes). */
static uint64_t skip_small_ints(msgpack *m, uint64_t items) {
  uint64_t done = 0;
  while (items - done >= 64 && m->end - m->at > 64) {
    marks in = mark_bytes(m->at);
    uint64_t codes = ((in.head << 1 | EACH(0xaa)) - in.head) ^ EACH(0xaa);
    uint64_t values = codes ^ in.head, heads = codes & in.head;
    if (in.high & ~(values | heads)) break; /* something else */
    m->at += 64 + (heads >> 63);            /* the last head may have its value just behind */
    done += 64 - (uint64_t)__builtin_popcountll(values);
  }
  return done;
}

rc msgpack_walk(msgpack *m, msgpack_on_token *on_token, void *arg, err *e) {
  for (uint64_t pending = 1; pending > 0;) {
    msgpack_token t;
    TRY(msgpack_next(m, &t, e));
    if (on_token) on_token(arg, &t, *m);
    pending += children(&t) - 1;
    if (t.kind == MSGPACK_ARRAY) pending -= skip_small_ints(m, t.n);
    if (pending > (uint64_t)(m->end - m->at)) return cut_off(m, pending, e);
  }
  return RC_OK;
}

bool msgpack_is(const msgpack_token *token, const char *text) {
  size_t len = strlen(text);
  return token->kind == MSGPACK_STR && token->n == len && memcmp(token->data, text, len) == 0;
}

bool msgpack_enter(msgpack *m, const char *key) {
  msgpack at = *m;
  msgpack_token map, found;
  if (msgpack_next(&at, &map, NULL) != RC_OK || map.kind != MSGPACK_MAP) return false;
  for (uint64_t i = 0; i < map.n; i++) {
    msgpack peek = at;
    if (msgpack_next(&peek, &found, NULL) != RC_OK) return false;
    if (msgpack_is(&found, key)) {
      *m = peek;
      return true;
    }
    if (msgpack_walk(&at, NULL, NULL, NULL) != RC_OK) return false; /* the key */
    if (msgpack_walk(&at, NULL, NULL, NULL) != RC_OK) return false; /* its value */
  }
  return false;
}

bool msgpack_index(msgpack *m, uint64_t i) {
  msgpack at = *m;
  msgpack_token array;
  if (msgpack_next(&at, &array, NULL) != RC_OK || array.kind != MSGPACK_ARRAY) return false;
  if (i >= array.n) return false;
  for (; i > 0; i--)
    if (msgpack_walk(&at, NULL, NULL, NULL) != RC_OK) return false;
  *m = at;
  return true;
}
