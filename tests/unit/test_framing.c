/* Unit tests of flight/framing, on streams that Polars wrote. SPDX-License-Identifier: Apache-2.0
 *
 * STREAMS is the folder that tests/fuzz/make_streams.py fills. */
#include "flight/framing.h"

#include <client.pb-c.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PREFIX = 8 };

static buf read_stream(const char *name) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", STREAMS, name);
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  uint8_t piece[4096];
  buf out = {0};
  assert_int_not_equal(fgetc(f), EOF); /* how the fuzzer cuts it */
  for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
    assert_int_equal(buf_append(&out, piece, n, NULL), RC_OK);
  fclose(f);
  return out;
}

static uint32_t number_at(const buf *b, size_t at) {
  uint32_t n;
  memcpy(&n, b->data + at, sizeof n);
  return n;
}

static size_t schema_len(const buf *stream) {
  return PREFIX + number_at(stream, 4);
}

/* What was sent: one FlightData after the other. */
typedef struct sent {
  buf current, stream; /* stream: put together again from their fields */
  size_t owed, n;
} sent;

static void on_head(void *arg, size_t len) {
  sent *s = arg;
  assert_int_equal(s->owed, 0);
  buf_clear(&s->current);
  s->owed = len;
}

static void put_together(sent *s) {
  Client__FlightData *m = client__flight_data__unpack(NULL, s->current.len, s->current.data);
  assert_non_null(m);
  uint32_t prefix[] = {UINT32_MAX, (uint32_t)m->data_header.len};
  assert_int_equal(buf_append(&s->stream, prefix, sizeof prefix, NULL), RC_OK);
  assert_int_equal(buf_append(&s->stream, m->data_header.data, m->data_header.len, NULL), RC_OK);
  assert_int_equal(buf_append(&s->stream, m->data_body.data, m->data_body.len, NULL), RC_OK);
  client__flight_data__free_unpacked(m, NULL);
  s->n++;
}

static void on_piece(void *arg, const uint8_t *data, size_t len) {
  sent *s = arg;
  assert_true(len <= s->owed);
  assert_int_equal(buf_append(&s->current, data, len, NULL), RC_OK);
  s->owed -= len;
  if (!s->owed) put_together(s);
}

static rc send_stream(const buf *stream, size_t schema, size_t piece, sent *out, err *e) {
  framing f = {.schema = stream->data,
               .schema_len = schema,
               .out = {.arg = out, .on_head = on_head, .on_piece = on_piece}};
  rc r = RC_OK;
  for (size_t at = 0; at < stream->len && r == RC_OK; at += piece)
    r = framing_feed(&f, stream->data + at, stream->len - at < piece ? stream->len - at : piece, e);
  if (r == RC_OK) r = framing_end(&f, e);
  framing_deinit(&f);
  return r;
}

static void sent_deinit(sent *s) {
  buf_deinit(&s->current);
  buf_deinit(&s->stream);
}

static void messages_are_those_of_the_stream(void **state) {
  (void)state;
  static const struct {
    const char *name;
    size_t messages;
  } cases[] = {{"numbers", 3}, {"dictionary", 5}, {"no-rows", 2}, {"no-columns", 1}, {"nested", 2}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    buf stream = read_stream(cases[i].name);
    for (size_t piece = 1; piece <= stream.len; piece += piece < 70 ? 1 : 97) {
      sent s = {0};
      err e = {0};
      if (send_stream(&stream, schema_len(&stream), piece, &s, &e) != RC_OK) fail_msg("%s", e.text);
      assert_int_equal(s.n, cases[i].messages);
      assert_int_equal(s.stream.len, stream.len - PREFIX); /* all but the end */
      assert_memory_equal(s.stream.data, stream.data, s.stream.len);
      sent_deinit(&s);
    }
    buf_deinit(&stream);
  }
}

static void assert_refused(const buf *stream, size_t schema, const char *why) {
  sent s = {0};
  err e = {0};
  assert_int_equal(send_stream(stream, schema, stream->len, &s, &e), RC_DATA_LOSS);
  if (!strstr(e.text, why)) fail_msg("%s", e.text);
  sent_deinit(&s);
}

static void damaged_streams_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *name, *why;
  } cases[] = {
      {"cut", "the stream is cut off"},
      {"no-end", "the stream is cut off"},
      {"more", "bytes follow the end of the stream"},
      {"other-schema", "bytes follow the end of the stream"},
      {"only-end", "expected the beginning of a message"},
      {"long", "expected the beginning of a message"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    buf stream = read_stream(cases[i].name), good = read_stream("numbers");
    assert_refused(&stream, schema_len(&good), cases[i].why);
    buf_deinit(&stream);
    buf_deinit(&good);
  }
}

/* The client would crash. */
static void another_schema_is_refused(void **state) {
  (void)state;
  buf stream = read_stream("numbers");
  size_t len = schema_len(&stream);
  assert_refused(&stream, len - 8, "its schema is not that of the result's first part");
  framing f = {.schema = (const uint8_t *)"", .schema_len = 0};
  err e = {0};
  assert_int_equal(framing_feed(&f, stream.data, stream.len, &e), RC_DATA_LOSS);
  framing_deinit(&f);
  buf_deinit(&stream);
}

static void a_schema_twice_is_refused(void **state) {
  (void)state;
  buf stream = read_stream("no-columns"), twice = {0};
  size_t len = schema_len(&stream);
  for (int i = 0; i < 2; i++) assert_int_equal(buf_append(&twice, stream.data, len, NULL), RC_OK);
  assert_refused(&twice, len, "expected rows or a dictionary, found a message of kind 1");
  buf_deinit(&twice);
  buf_deinit(&stream);
}

/* Where the metadata of the second message says how long its body is. */
static size_t place_of_body_len(const buf *stream, uint64_t body) {
  size_t at = schema_len(stream), end = at + PREFIX + number_at(stream, at + 4);
  for (; at + 8 <= end; at++)
    if (!memcmp(stream->data + at, &body, sizeof body)) return at;
  fail_msg("the length is not there");
  return 0;
}

static void a_message_that_is_too_large_is_refused(void **state) {
  (void)state;
  buf stream = read_stream("no-rows");
  size_t second = schema_len(&stream), rows = PREFIX + number_at(&stream, second + 4);
  assert_int_equal(second + rows + PREFIX, stream.len); /* no body */
  buf_deinit(&stream);
  stream = read_stream("numbers");
  uint64_t large = FRAMING_MOST, body = 0;
  sent s = {0};
  assert_int_equal(send_stream(&stream, schema_len(&stream), stream.len, &s, NULL), RC_OK);
  sent_deinit(&s);
  for (body = 64; body <= 512; body += 64) { /* of three rows */
    size_t end = schema_len(&stream) + PREFIX + number_at(&stream, schema_len(&stream) + 4) + body;
    if (end + 4 <= stream.len && number_at(&stream, end) == UINT32_MAX) break;
  }
  memcpy(stream.data + place_of_body_len(&stream, body), &large, sizeof large);
  assert_refused(&stream, schema_len(&stream), "expected at most 4194304 together");
  buf_deinit(&stream);
}

static void a_schema_is_looked_at(void **state) {
  (void)state;
  buf stream = read_stream("numbers");
  size_t len = schema_len(&stream);
  assert_int_equal(framing_check_schema(stream.data, len, NULL), RC_OK);
  for (size_t less = 0; less < len; less++)
    assert_int_equal(framing_check_schema(stream.data, less, NULL), RC_DATA_LOSS);
  assert_int_equal(framing_check_schema(stream.data, len + 1, NULL), RC_DATA_LOSS);
  size_t rows = PREFIX + number_at(&stream, len + 4);
  err e = {0};
  assert_int_equal(framing_check_schema(stream.data + len, rows, &e), RC_DATA_LOSS);
  assert_non_null(strstr(e.text, "found one of kind 3"));
  buf_deinit(&stream);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_are_those_of_the_stream),
      cmocka_unit_test(damaged_streams_are_refused),
      cmocka_unit_test(another_schema_is_refused),
      cmocka_unit_test(a_schema_twice_is_refused),
      cmocka_unit_test(a_message_that_is_too_large_is_refused),
      cmocka_unit_test(a_schema_is_looked_at),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
