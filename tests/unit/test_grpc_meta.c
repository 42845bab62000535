/* Unit tests of net/grpc_meta and net/grpc_frame. SPDX-License-Identifier: Apache-2.0 */
#include "net/grpc_frame.h"
#include "net/grpc_meta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void messages_are_percent_encoded(void **state) {
  (void)state;
  static const char *const cases[][2] = {{"", ""},
                                         {"plain ~ text", "plain ~ text"},
                                         {"50%\n\x7F", "50%25%0A%7F"},
                                         {"grün", "gr%C3%BCn"},
                                         {"\xF0\x9F\x8C\xB2", "%F0%9F%8C%B2"},
                                         {"a\xFFz", "a?z"},       /* no UTF-8 at all */
                                         {"a\xC3", "a?"},         /* half a character */
                                         {"\xC0\xAF", "??"},      /* overlong */
                                         {"\xED\xA0\x80", "???"}, /* a surrogate */
                                         {"\xF4\x90\x80\x80", "????"} /* beyond Unicode */};
  char out[GRPC_MESSAGE_MOST + 1];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    grpc_message_encode(cases[i][0], out);
    assert_string_equal(out, cases[i][1]);
  }
}

static void messages_are_cut_between_characters(void **state) {
  (void)state;
  char text[2 * GRPC_MESSAGE_MOST + 1], out[GRPC_MESSAGE_MOST + 1], back[GRPC_MESSAGE_MOST + 1];
  for (size_t shift = 0; shift < 6; shift++) {
    memset(text, 'x', shift);
    size_t len = shift;
    for (; len + 2 < sizeof text; len += 2) memcpy(text + len, "ü", 2);
    text[len] = '\0';
    grpc_message_encode(text, out);
    assert_in_range(strlen(out), GRPC_MESSAGE_MOST - 6, GRPC_MESSAGE_MOST);
    grpc_message_decode((uint8_t *)out, strlen(out), back);
    assert_int_equal((strlen(back) - shift) % 2, 0);
    assert_memory_equal(back, text, strlen(back));
  }
}

static void decoding_takes_anything(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"a%20b", "a b"}, {"%c3%BC", "ü"}, {"100%", "100%"}, {"%4", "%4"}, {"%zz%41", "%zzA"}};
  char out[GRPC_MESSAGE_MOST + 1];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    grpc_message_decode((const uint8_t *)cases[i][0], strlen(cases[i][0]), out);
    assert_string_equal(out, cases[i][1]);
  }
  grpc_message_decode((const uint8_t *)"%00", 3, out); /* our texts end at a NUL */
  assert_string_equal(out, "?");
}

static void details_are_base64_and_fit_a_header_block(void **state) {
  (void)state;
  char out[GRPC_DETAILS_SIZE], text[20001];
  grpc_details_encode("ColumnNotFoundError: zz", out);
  assert_string_equal(out, "Q29sdW1uTm90Rm91bmRFcnJvcjogeno");
  for (size_t i = 0; i < 20000; i += 2) memcpy(text + i, "ü", 2);
  text[20000] = '\0';
  grpc_details_encode(text + 1, out); /* begins in the middle: 8192 is no border */
  assert_in_range(strlen(out), GRPC_DETAILS_MOST * 4 / 3 - 4, GRPC_DETAILS_MOST * 4 / 3 + 4);
  assert_true(strlen(out) + GRPC_MESSAGE_MOST + 300 < 16384);
}

static void timeouts_go_both_ways(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool ok;
    uint64_t ms;
  } cases[] = {{"1H", true, 3600000},
               {"2M", true, 120000},
               {"31535999S", true, 31535999000},
               {"0m", true, 0},
               {"1500u", true, 2},
               {"1n", true, 1},
               {"99999999H", true, 359999996400000},
               {"", false, 0},
               {"5", false, 0},
               {"m", false, 0},
               {"-1m", false, 0},
               {"1x", false, 0},
               {"123456789m", false, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint64_t ms = 0;
    size_t len = strlen(cases[i].text);
    assert_int_equal(grpc_timeout_parse((const uint8_t *)cases[i].text, len, &ms), cases[i].ok);
    assert_int_equal(ms, cases[i].ms);
  }
  const unsigned values[] = {1, 99999999, 100000001, UINT32_MAX};
  for (size_t i = 0; i < 4; i++) {
    char text[GRPC_TIMEOUT_SIZE];
    uint64_t ms = 0;
    grpc_timeout_print(values[i], text);
    assert_true(grpc_timeout_parse((uint8_t *)text, strlen(text), &ms));
    assert_in_range(ms, values[i], (uint64_t)values[i] + 999);
  }
}

static void content_types_are_told_apart(void **state) {
  (void)state;
  const char *yes[] = {"application/grpc", "application/grpc+proto", "application/grpc;x=y"};
  const char *no[] = {"", "application/grp", "application/grpc-web", "text/html"};
  for (size_t i = 0; i < 3; i++)
    assert_true(grpc_is_content_type((const uint8_t *)yes[i], strlen(yes[i])));
  for (size_t i = 0; i < 4; i++)
    assert_false(grpc_is_content_type((const uint8_t *)no[i], strlen(no[i])));
}

/* Three messages ("", "abc", 300 × 'x'), whatever the cut. */
static void frames_are_read_at_any_cut(void **state) {
  (void)state;
  uint8_t in[3 * GRPC_FRAME_HEAD + 303];
  grpc_frame_head(in, 0);
  grpc_frame_head(in + 5, 3);
  memcpy(in + 10, "abc", 3);
  grpc_frame_head(in + 13, 300);
  memset(in + 18, 'x', 300);
  for (size_t piece = 1; piece <= sizeof in; piece++) {
    grpc_frame f = {0};
    size_t opened = 0, closed = 0, bytes = 0;
    for (size_t i = 0; i < sizeof in; i += piece) {
      const uint8_t *data = in + i;
      size_t len = sizeof in - i < piece ? sizeof in - i : piece;
      for (grpc_frame_event ev; (ev = grpc_frame_next(&f, &data, &len));) {
        opened += ev == GRPC_FRAME_OPEN;
        closed += ev == GRPC_FRAME_CLOSE;
        bytes += ev == GRPC_FRAME_BYTES ? f.piece_len : 0;
        assert_int_equal(grpc_frame_between(&f), ev == GRPC_FRAME_CLOSE);
      }
      assert_int_equal(len, 0);
    }
    assert_int_equal(opened, 3);
    assert_int_equal(closed, 3);
    assert_int_equal(bytes, 303);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_are_percent_encoded),
      cmocka_unit_test(messages_are_cut_between_characters),
      cmocka_unit_test(decoding_takes_anything),
      cmocka_unit_test(details_are_base64_and_fit_a_header_block),
      cmocka_unit_test(timeouts_go_both_ways),
      cmocka_unit_test(content_types_are_told_apart),
      cmocka_unit_test(frames_are_read_at_any_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
