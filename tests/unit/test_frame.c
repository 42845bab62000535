/* Unit tests of net/frame. SPDX-License-Identifier: Apache-2.0 */
#include "net/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void put(buf *out, const char *text) {
  uint8_t head[FRAME_HEAD];
  frame_head(head, (uint32_t)strlen(text));
  assert_int_equal(buf_append(out, head, sizeof head, NULL), RC_OK);
  assert_int_equal(buf_append(out, text, strlen(text), NULL), RC_OK);
}

/* The frames of a stream, each ended by '|', when it comes in pieces of `piece` bytes. */
static void read_in_pieces(const buf *stream, size_t piece, buf *out) {
  frame_reader r = {.max = 1000};
  for (size_t at = 0; at < stream->len; at += piece) {
    const uint8_t *data = stream->data + at;
    size_t len = stream->len - at < piece ? stream->len - at : piece;
    while (len) {
      bool complete;
      assert_int_equal(frame_next(&r, &data, &len, &complete, NULL), RC_OK);
      if (complete) buf_printf(out, "%.*s|", (int)r.body.len, (const char *)r.body.data);
    }
  }
  frame_reader_deinit(&r);
}

static void frames_are_whole_however_they_come(void **state) {
  (void)state;
  buf stream = {0};
  put(&stream, "one");
  put(&stream, "");
  put(&stream, "three and more");
  put(&stream, "");
  for (size_t piece = 1; piece <= stream.len; piece++) {
    buf out = {0};
    read_in_pieces(&stream, piece, &out);
    assert_string_equal(buf_text(&out), "one||three and more||");
    buf_deinit(&out);
  }
  buf_deinit(&stream);
}

static void a_frame_beyond_the_bound_is_refused_at_its_head(void **state) {
  (void)state;
  frame_reader r = {.max = 8};
  const uint8_t head[] = {0, 0, 0, 9}, *data = head;
  size_t len = sizeof head;
  bool complete;
  err e = {0};
  assert_int_equal(frame_next(&r, &data, &len, &complete, &e), RC_INVALID);
  assert_string_equal(e.text, "expected a frame of at most 8 bytes, found one of 9");
  frame_reader_deinit(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(frames_are_whole_however_they_come),
      cmocka_unit_test(a_frame_beyond_the_bound_is_refused_at_its_head),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
