/* flight/framing.c: see framing.h. SPDX-License-Identifier: Apache-2.0
 *
 * A FlightData is {2: metadata, 1000: body} in protobuf. */
#include "flight/framing.h"

#include <endian.h>
#include <string.h>

enum { PREFIX = 8, CONTINUES = -1 };

/* ---- the metadata: a flatbuffer whose root is a table Message ---- */

typedef enum message_kind { KIND_SCHEMA = 1, KIND_DICTIONARY = 2, KIND_RECORDS = 3 } message_kind;

typedef struct message {
  unsigned kind;
  uint64_t body; /* bytes */
} message;

enum { FIELD_KIND = 1, FIELD_BODY = 3 };

typedef struct view {
  const uint8_t *data;
  size_t len;
} view;

/* A little-endian number of `size` bytes; false, and 0: not all of it is in the view. */
static bool read_number(view v, size_t at, size_t size, uint64_t *out) {
  uint64_t little = 0;
  *out = 0;
  if (at > v.len || size > v.len - at) return false;
  memcpy(&little, v.data + at, size);
  *out = le64toh(little);
  return true;
}

/* A table begins with the signed distance back to its vtable, which has its own size, the table's,
 * and the place of each field in the table; 0: the field is not there and has its default. */
static bool read_field(view v, size_t table, unsigned field, size_t size, uint64_t *out) {
  uint64_t back, vtable_size, place = 0;
  *out = 0;
  if (!read_number(v, table, 4, &back)) return false;
  int64_t vtable = (int64_t)table - (int32_t)(uint32_t)back;
  if (vtable < 0 || !read_number(v, (size_t)vtable, 2, &vtable_size)) return false;
  size_t entry = 4 + 2 * (size_t)field;
  if (entry + 2 > vtable_size) return true;
  if (!read_number(v, (size_t)vtable + entry, 2, &place)) return false;
  return !place || read_number(v, table + (size_t)place, size, out);
}

static rc read_message(view metadata, message *out, err *e) {
  uint64_t table, kind;
  if (!read_number(metadata, 0, 4, &table) ||
      !read_field(metadata, (size_t)table, FIELD_KIND, 1, &kind) ||
      !read_field(metadata, (size_t)table, FIELD_BODY, 8, &out->body))
    return ERR(e, RC_DATA_LOSS, "the metadata of a message is cut off");
  out->kind = (unsigned)kind;
  return RC_OK;
}

/* ---- as FlightData ---- */

static const uint8_t METADATA_KEY[] = {2 << 3 | 2};
static const uint8_t BODY_KEY[] = {0xc2, 0x3e}; /* 1000 << 3 | 2 */

static size_t put_varint(uint8_t out[10], uint64_t v) {
  size_t n = 0;
  for (; v > 0x7f; v >>= 7) out[n++] = (uint8_t)(v | 0x80);
  out[n++] = (uint8_t)v;
  return n;
}

static rc begin_message(const framing *f, view metadata, uint64_t body, err *e) {
  uint8_t head[sizeof METADATA_KEY + 10], middle[sizeof BODY_KEY + 10];
  memcpy(head, METADATA_KEY, sizeof METADATA_KEY);
  memcpy(middle, BODY_KEY, sizeof BODY_KEY);
  size_t n_head = sizeof METADATA_KEY + put_varint(head + sizeof METADATA_KEY, metadata.len);
  size_t n_middle = body ? sizeof BODY_KEY + put_varint(middle + sizeof BODY_KEY, body) : 0;
  uint64_t small = n_head + metadata.len + n_middle;
  if (small > FRAMING_MOST || body > FRAMING_MOST - small)
    return ERR(e, RC_DATA_LOSS, "a message has %zu + %llu bytes, expected at most %d together",
               metadata.len, (unsigned long long)body, FRAMING_MOST);
  f->out.on_head(f->out.arg, (size_t)(small + body));
  f->out.on_piece(f->out.arg, head, n_head);
  f->out.on_piece(f->out.arg, metadata.data, metadata.len);
  if (body) f->out.on_piece(f->out.arg, middle, n_middle);
  return RC_OK;
}

/* ---- the stream ---- */

static void expect(framing *f, framing_state state, size_t wanted) {
  f->state = state;
  f->wanted = wanted;
}

static rc on_prefix(framing *f, err *e) {
  uint64_t mark = 0, len = 0;
  view prefix = {f->held.data, f->held.len};
  if (!read_number(prefix, 0, 4, &mark) || !read_number(prefix, 4, 4, &len) ||
      (int32_t)(uint32_t)mark != CONTINUES || len > FRAMING_MOST || (!len && !f->seen_schema))
    return ERR(e, RC_DATA_LOSS, "expected the beginning of a message, found 0x%08x and %u",
               (unsigned)mark, (unsigned)len);
  if (len)
    expect(f, FRAMING_METADATA, (size_t)len);
  else
    expect(f, FRAMING_END, 0);
  return RC_OK;
}

static rc check_kind(framing *f, const message *m, err *e) {
  if (!f->seen_schema) {
    f->seen_schema = true;
    if (f->held.len == f->schema_len && !memcmp(f->held.data, f->schema, f->schema_len) && !m->body)
      return RC_OK;
    return ERR(e, RC_DATA_LOSS, "its schema is not that of the result's first part");
  }
  if (m->kind == KIND_DICTIONARY || m->kind == KIND_RECORDS) return RC_OK;
  return ERR(e, RC_DATA_LOSS, "expected rows or a dictionary, found a message of kind %u", m->kind);
}

static rc on_metadata(framing *f, err *e) {
  message m;
  view metadata = {f->held.data + PREFIX, f->held.len - PREFIX};
  TRY(read_message(metadata, &m, e));
  TRY(check_kind(f, &m, e));
  TRY(begin_message(f, metadata, m.body, e));
  buf_clear(&f->held);
  expect(f, m.body ? FRAMING_BODY : FRAMING_PREFIX, (size_t)m.body);
  return RC_OK;
}

/* Prefix or metadata; *taken of the bytes. */
static rc hold(framing *f, const uint8_t *data, size_t len, size_t *taken, err *e) {
  size_t whole = f->state == FRAMING_PREFIX ? PREFIX : PREFIX + f->wanted;
  size_t missing = whole - f->held.len;
  *taken = len < missing ? len : missing;
  TRY(buf_append(&f->held, data, *taken, e));
  if (f->held.len < whole) return RC_OK;
  return f->state == FRAMING_PREFIX ? on_prefix(f, e) : on_metadata(f, e);
}

static void pass(framing *f, const uint8_t *data, size_t len, size_t *taken) {
  *taken = len < f->wanted ? len : f->wanted;
  f->out.on_piece(f->out.arg, data, *taken);
  f->wanted -= *taken;
  if (!f->wanted) expect(f, FRAMING_PREFIX, 0);
}

rc framing_feed(framing *f, const uint8_t *data, size_t len, err *e) {
  while (len) {
    size_t taken = 0;
    if (f->state == FRAMING_END) return ERR(e, RC_DATA_LOSS, "bytes follow the end of the stream");
    if (f->state == FRAMING_BODY)
      pass(f, data, len, &taken);
    else
      TRY(hold(f, data, len, &taken, e));
    data += taken;
    len -= taken;
  }
  return RC_OK;
}

rc framing_end(const framing *f, err *e) {
  if (f->state == FRAMING_END) return RC_OK;
  return ERR(e, RC_DATA_LOSS, "the stream is cut off");
}

void framing_deinit(framing *f) {
  buf_deinit(&f->held);
}

/* ---- the schema alone ---- */

rc framing_check_schema(const uint8_t *data, size_t len, err *e) {
  message m;
  view prefix = {data, len};
  uint64_t mark, size;
  if (!read_number(prefix, 0, 4, &mark) || !read_number(prefix, 4, 4, &size) ||
      (int32_t)(uint32_t)mark != CONTINUES || size != len - PREFIX || len > FRAMING_MOST / 2)
    return ERR(e, RC_DATA_LOSS, "expected the message of a schema, found %zu other bytes", len);
  TRY(read_message((view){data + PREFIX, len - PREFIX}, &m, e));
  if (m.kind == KIND_SCHEMA && !m.body) return RC_OK;
  return ERR(e, RC_DATA_LOSS, "expected the message of a schema, found one of kind %u", m.kind);
}
