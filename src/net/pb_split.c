/* net/pb_split.c: see pb_split.h. SPDX-License-Identifier: Apache-2.0
 *
 * Every byte of the message is either handed to on_long or appended to `rest`; a field's key is
 * appended before it is known whose it is, and taken back when it was the long field's. */
#include "net/pb_split.h"

enum { AT_KEY, AT_VALUE, AT_LENGTH, AT_PAYLOAD };           /* pb_split.state */
enum { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_32 = 5 };     /* protobuf's wire types */
enum { FIELD_MOST = (1 << 29) - 1, VARINT_BITS_MOST = 63 }; /* the tenth byte holds bit 63 */

void pb_split_init(pb_split *s, uint32_t long_field, size_t max_rest,
                   rc (*on_long)(void *, const uint8_t *, size_t, err *), void *arg) {
  *s = (pb_split){.long_field = long_field, .max_rest = max_rest, .on_long = on_long, .arg = arg};
}

static rc keep(pb_split *s, const uint8_t *data, size_t len, err *e) {
  if (len > s->max_rest - s->rest.len)
    return ERR(e, RC_EXHAUSTED,
               "expected at most %zu bytes of fields beside field %u, found more; shorten them",
               s->max_rest, s->long_field);
  return buf_append(&s->rest, data, len, e);
}

static void enter(pb_split *s, uint8_t state) {
  s->state = state;
  s->varint = 0;
  s->shift = 0;
}

static rc enter_payload(pb_split *s, uint64_t len, err *e) {
  if (!s->in_long && len > s->max_rest - s->rest.len)
    return ERR(e, RC_EXHAUSTED,
               "expected at most %zu bytes of fields beside field %u, found one of %llu",
               s->max_rest, s->long_field, (unsigned long long)len);
  enter(s, len ? AT_PAYLOAD : AT_KEY);
  s->left = len;
  return RC_OK;
}

static rc enter_long(pb_split *s, size_t key_len, unsigned wire, err *e) {
  if (wire != WIRE_BYTES)
    return ERR(e, RC_INVALID, "field %u: expected bytes, found wire type %u", s->long_field, wire);
  if (s->has_long) return ERR(e, RC_INVALID, "field %u: expected once, found twice", s->long_field);
  s->rest.len -= key_len;
  s->has_long = true;
  s->in_long = true;
  enter(s, AT_LENGTH);
  return RC_OK;
}

static rc on_key(pb_split *s, err *e) {
  uint64_t field = s->varint >> 3;
  unsigned wire = s->varint & 7;
  size_t key_len = s->shift / 7 + 1;
  if (field == 0 || field > FIELD_MOST)
    return ERR(e, RC_INVALID, "expected a field number 1..%d, found %llu; is this protobuf?",
               FIELD_MOST, (unsigned long long)field);
  s->in_long = false;
  if (field == s->long_field) return enter_long(s, key_len, wire, e);
  switch (wire) {
  case WIRE_VARINT:
    enter(s, AT_VALUE);
    return RC_OK;
  case WIRE_BYTES:
    enter(s, AT_LENGTH);
    return RC_OK;
  case WIRE_64:
    return enter_payload(s, 8, e);
  case WIRE_32:
    return enter_payload(s, 4, e);
  default:
    return ERR(e, RC_INVALID, "field %llu: wire type %u (a group?) is not supported",
               (unsigned long long)field, wire);
  }
}

static rc on_varint_byte(pb_split *s, uint8_t byte, err *e) {
  if (s->shift > VARINT_BITS_MOST || (s->shift == VARINT_BITS_MOST && byte > 1))
    return ERR(e, RC_INVALID, "expected a varint of at most 64 bits, found a longer one");
  if (!(s->in_long && s->state == AT_LENGTH)) TRY(keep(s, &byte, 1, e));
  s->varint |= (uint64_t)(byte & 0x7F) << s->shift;
  if (byte & 0x80) {
    s->shift += 7;
    return RC_OK;
  }
  if (s->state == AT_KEY) return on_key(s, e);
  if (s->state == AT_LENGTH) return enter_payload(s, s->varint, e);
  enter(s, AT_KEY);
  return RC_OK;
}

static rc on_payload(pb_split *s, const uint8_t *data, size_t len, err *e) {
  TRY(s->in_long ? s->on_long(s->arg, data, len, e) : keep(s, data, len, e));
  s->left -= len;
  if (!s->left) enter(s, AT_KEY);
  return RC_OK;
}

rc pb_split_feed(pb_split *s, const uint8_t *data, size_t len, err *e) {
  while (len) {
    size_t n = 1;
    if (s->state == AT_PAYLOAD) {
      n = len < s->left ? len : (size_t)s->left;
      TRY(on_payload(s, data, n, e));
    } else {
      TRY(on_varint_byte(s, *data, e));
    }
    data += n;
    len -= n;
  }
  return RC_OK;
}

rc pb_split_end(const pb_split *s, err *e) {
  if (s->state != AT_KEY || s->shift)
    return ERR(e, RC_INVALID,
               "the message is cut off: expected the rest of a field, found its end");
  return RC_OK;
}

void pb_split_deinit(pb_split *s) {
  buf_deinit(&s->rest);
}
