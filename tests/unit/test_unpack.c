/* Unit tests of observatory/unpack. SPDX-License-Identifier: Apache-2.0 */
#include "observatory/unpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void becomes(const char *bytes, size_t len, const char *expected) {
  json_t *value;
  assert_int_equal(unpack_json((const uint8_t *)bytes, len, &value, NULL), RC_OK);
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
  assert_string_equal(text, expected);
  free(text);
  json_decref(value);
}
#define BECOMES(bytes, text) becomes(bytes, sizeof(bytes) - 1, text)

static void is_refused(const char *bytes, size_t len) {
  json_t *value;
  err e = {0};
  assert_int_equal(unpack_json((const uint8_t *)bytes, len, &value, &e), RC_INVALID);
  assert_true(*e.text);
}
#define IS_REFUSED(bytes) is_refused(bytes, sizeof(bytes) - 1)

static void values_of_every_kind(void **state) {
  (void)state;
  BECOMES("\xc0", "null");
  BECOMES("\xc3", "true");
  BECOMES("\x07", "7");
  BECOMES("\xff", "-1");
  BECOMES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", "9223372036854775807");
  BECOMES("\xcf\x80\x00\x00\x00\x00\x00\x00\x00", "9.2233720368547758e18");
  BECOMES("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", "1.5");
  BECOMES("\xca\x3f\xc0\x00\x00", "1.5");
  BECOMES("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "null"); /* NaN */
  BECOMES("\xa2"
          "ab",
          "\"ab\"");
  BECOMES("\xc4\x01x", "null"); /* binary */
  BECOMES("\x92\x01\x90", "[1,[]]");
  BECOMES("\x82\xa1"
          "a\x01\xa1"
          "b\x80",
          "{\"a\":1,\"b\":{}}");
}

static void what_is_wrong_is_refused(void **state) {
  (void)state;
  IS_REFUSED("");
  IS_REFUSED("\x92\x01"); /* cut off */
  IS_REFUSED("\xdd\xff\xff\xff\xff\x01");
  IS_REFUSED("\x01\x02");     /* two values */
  IS_REFUSED("\x81\x01\x02"); /* a key that is no text */
  IS_REFUSED("\xa1\xff");     /* no UTF-8 */
  IS_REFUSED("\x81\xa1\xff\x01");
  char deep[200];
  memset(deep, '\x91', sizeof deep);
  is_refused(deep, sizeof deep);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_of_every_kind),
      cmocka_unit_test(what_is_wrong_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
