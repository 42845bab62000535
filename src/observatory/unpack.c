/* observatory/unpack.c: see unpack.h. SPDX-License-Identifier: Apache-2.0 */
#include "observatory/unpack.h"

#include "plan/msgpack.h"

#include <endian.h>
#include <math.h>
#include <string.h>

enum { MOST_DEPTH = 64 };

static rc value(msgpack *m, unsigned depth, json_t **out, err *e);

static json_t *unsigned_number(uint64_t n) {
  return n <= INT64_MAX ? json_integer((json_int_t)n) : json_real((double)n);
}

static json_t *number(double d) {
  return isfinite(d) ? json_real(d) : json_null();
}

static json_t *floating(const msgpack_token *t) {
  if (t->n == sizeof(float)) {
    uint32_t bits;
    float f;
    memcpy(&bits, t->data, sizeof bits);
    bits = be32toh(bits);
    memcpy(&f, &bits, sizeof f);
    return number((double)f);
  }
  uint64_t bits;
  double d;
  memcpy(&bits, t->data, sizeof bits);
  bits = be64toh(bits);
  memcpy(&d, &bits, sizeof d);
  return number(d);
}

static rc array(msgpack *m, uint64_t n, unsigned depth, json_t *out, err *e) {
  for (; n; n--) {
    json_t *item = NULL;
    TRY(value(m, depth, &item, e));
    json_array_append_new(out, item);
  }
  return RC_OK;
}

static rc map(msgpack *m, uint64_t n, unsigned depth, json_t *out, err *e) {
  for (; n; n--) {
    msgpack_token key;
    json_t *item = NULL;
    TRY(msgpack_next(m, &key, e));
    if (key.kind != MSGPACK_STR) return ERR(e, RC_INVALID, "expected text as a map's key");
    TRY(value(m, depth, &item, e));
    if (json_object_setn_new(out, (const char *)key.data, (size_t)key.n, item))
      return ERR(e, RC_INVALID, "a map's key is not UTF-8");
  }
  return RC_OK;
}

static json_t *scalar(const msgpack_token *t) {
  switch (t->kind) {
  case MSGPACK_BOOL:
    return json_boolean(t->n);
  case MSGPACK_UINT:
    return unsigned_number(t->n);
  case MSGPACK_INT:
    return json_integer((json_int_t)t->n);
  case MSGPACK_FLOAT:
    return floating(t);
  case MSGPACK_STR:
    return json_stringn((const char *)t->data, (size_t)t->n);
  default:
    return json_null();
  }
}

static rc value(msgpack *m, unsigned depth, json_t **out, err *e) {
  msgpack_token t;
  if (!depth) return ERR(e, RC_INVALID, "nested more than %d deep", MOST_DEPTH);
  TRY(msgpack_next(m, &t, e));
  bool is_array = t.kind == MSGPACK_ARRAY, is_map = t.kind == MSGPACK_MAP;
  *out = is_array ? json_array() : is_map ? json_object() : scalar(&t);
  if (!*out) return ERR(e, RC_INVALID, "text that is not UTF-8");
  rc r = is_array ? array(m, t.n, depth - 1, *out, e)
         : is_map ? map(m, t.n, depth - 1, *out, e)
                  : RC_OK;
  if (r != RC_OK) json_decref(*out);
  return r;
}

rc unpack_json(const uint8_t *data, size_t len, json_t **out, err *e) {
  msgpack m = {data, data, data + len};
  TRY(value(&m, MOST_DEPTH, out, e));
  if (m.at == m.end) return RC_OK;
  json_decref(*out);
  return ERR(e, RC_INVALID, "%zu bytes behind the value", (size_t)(m.end - m.at));
}
