/* Unit tests of observatory/rest. SPDX-License-Identifier: Apache-2.0 */
#include "observatory/assets.h"
#include "observatory/internal.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *described(void) {
  for (const asset *a = ASSETS; a->path; a++)
    if (!strcmp(a->path, "/openapi.json"))
      return json_loadb(a->data, a->len, JSON_REJECT_DUPLICATES, NULL);
  return NULL;
}

static void the_description_has_every_route_and_no_other(void **state) {
  (void)state;
  json_t *all = described(), *paths = json_object_get(all, "paths");
  assert_true(json_is_object(paths));
  size_t n = 0;
  for (const rest_route *r = REST_ROUTES; r->path; r++, n++) {
    json_t *get = json_object_get(json_object_get(paths, r->path), "get");
    if (!get) fail_msg("openapi.json does not describe %s", r->path);
    assert_true(json_is_string(json_object_get(get, "summary")));
    bool has_hole = strstr(r->path, "{id}") != NULL;
    assert_true(!has_hole || json_array_size(json_object_get(get, "parameters")));
  }
  assert_int_equal(json_object_size(paths), n);
  json_decref(all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_description_has_every_route_and_no_other),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
