/* plan/paths.c: see paths.h. SPDX-License-Identifier: Apache-2.0
 *
 * A scan is {"Scan": {sources: {"Paths": [PATH, …]} or {"Buffers": …}, …}}, a sink {"Sink": {…,
 * payload: {"File": {target: PATH, …}}}} or {"Partitioned": {base_path: PATH, …}}, and a PATH a
 * text within maps of one entry, such as {"inner": "/a/b"}. Only the first entry of a map is looked
 * at, so that the time grows with the plan alone; one that begins otherwise is of an unknown form.
 */
#include "plan/paths.h"

#include "plan/msgpack.h"

typedef struct search {
  plan_on_path *on_path;
  void *arg;
  rc code; /* the first failure, … */
  err *e;  /* … and why */
} search;

static void report(search *s, plan_path_use use, plan_text path) {
  if (s->code == RC_OK) s->code = s->on_path(s->arg, use, path, s->e);
}

/* The value of the first entry of the map at `m`, which must have this key. */
static bool enter_first(msgpack *m, const char *key) {
  msgpack at = *m;
  msgpack_token map, first;
  if (msgpack_next(&at, &map, NULL) != RC_OK || map.kind != MSGPACK_MAP || !map.n) return false;
  if (msgpack_next(&at, &first, NULL) != RC_OK || !msgpack_is(&first, key)) return false;
  *m = at;
  return true;
}

/* Polars 1.35: {"Cloud": {"scheme": "S3", "uri": PATH}} */
static void enter_cloud(msgpack *m) {
  msgpack at = *m;
  msgpack_token t;
  if (enter_first(&at, "Cloud") && enter_first(&at, "scheme") &&
      msgpack_next(&at, &t, NULL) == RC_OK && t.kind == MSGPACK_STR &&
      msgpack_next(&at, &t, NULL) == RC_OK && msgpack_is(&t, "uri"))
    *m = at;
}

enum { MOST_WRAPPERS = 4 };

/* At a PATH; s NULL: it is something else. */
static plan_text read_path(msgpack m) {
  msgpack_token t;
  enter_cloud(&m);
  for (int i = 0; i <= MOST_WRAPPERS && msgpack_next(&m, &t, NULL) == RC_OK; i++) {
    if (t.kind == MSGPACK_STR) return (plan_text){(const char *)t.data, t.n};
    if (t.kind != MSGPACK_MAP || t.n != 1 || msgpack_next(&m, &t, NULL) != RC_OK) break;
  }
  return (plan_text){0};
}

/* One that is no node has one entry: the dtype of a column of this name. */
static bool has_fields(msgpack m) {
  msgpack_token map;
  return msgpack_next(&m, &map, NULL) == RC_OK && map.kind == MSGPACK_MAP && map.n > 1;
}

static void read_scan(search *s, msgpack scan) {
  msgpack_token array;
  msgpack buffers;
  if (!has_fields(scan)) return;
  bool known = enter_first(&scan, "sources");
  buffers = scan;
  if (known && enter_first(&buffers, "Buffers")) return; /* the rows are in the plan */
  known = known && enter_first(&scan, "Paths") && msgpack_next(&scan, &array, NULL) == RC_OK &&
          array.kind == MSGPACK_ARRAY;
  if (!known) report(s, PLAN_PATH_READ, (plan_text){0});
  for (uint64_t i = 0; known && i < array.n && s->code == RC_OK; i++) {
    plan_text path = read_path(scan);
    report(s, PLAN_PATH_READ, path);
    if (!path.s || msgpack_walk(&scan, NULL, NULL, NULL) != RC_OK) return;
  }
}

static void read_payload(search *s, msgpack payload) {
  static const char *const forms[][2] = {
      {"File", "target"}, {"Partitioned", "base_path"}, {"Partition", "base_path"}}; /* 1.35 */
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    msgpack at = payload;
    if (!enter_first(&at, forms[i][0])) continue;
    bool known = enter_first(&at, forms[i][1]);
    report(s, PLAN_PATH_WRITTEN, known ? read_path(at) : (plan_text){0});
  }
}

static void on_token(void *arg, const msgpack_token *t, msgpack after) {
  search *s = arg;
  if (s->code != RC_OK) return;
  if (msgpack_is(t, "Scan")) read_scan(s, after);
  if (msgpack_is(t, "payload")) read_payload(s, after);
}

rc plan_each_path(const uint8_t *plan, size_t len, plan_on_path *on_path, void *arg, err *e) {
  search s = {.on_path = on_path, .arg = arg, .e = e};
  msgpack m = {plan, plan + PLAN_HEADER_BYTES, plan + len};
  TRY(msgpack_walk(&m, on_token, &s, e));
  return s.code;
}
