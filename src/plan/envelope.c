/* plan/envelope.c: see envelope.h. SPDX-License-Identifier: Apache-2.0
 *
 * The plan behind its header is a map {root: {idx}, dataframes: […], dsl_plans: [{value}, …]}; the
 * root node is dsl_plans[root.idx].value, and a sink is {"Sink": {input, payload: {KIND: …}}}. */
#include "plan/envelope.h"

#include "plan/msgpack.h"

#include <string.h>

static const char TAG[] = "DSL_VERSION";
enum { TAG_BYTES = sizeof TAG - 1, VERSION_BYTES = 4 };

static bool is_hex(uint8_t c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static rc check_header(const uint8_t *plan, size_t len, err *e) {
  size_t tag = len < TAG_BYTES ? len : TAG_BYTES;
  if (len == 0 || memcmp(plan, TAG, tag) != 0)
    return ERR(e, RC_INVALID,
               "expected a plan that starts with \"%s\", found %zu bytes that do not; send what "
               "LazyFrame.serialize() of Polars returns",
               TAG, len);
  if (len < PLAN_HEADER_BYTES)
    return ERR(e, RC_INVALID, "the plan is cut off: its header has %d bytes, found %zu",
               PLAN_HEADER_BYTES, len);
  for (size_t i = TAG_BYTES + VERSION_BYTES; i < PLAN_HEADER_BYTES; i++)
    if (!is_hex(plan[i]))
      return ERR(e, RC_INVALID,
                 "the plan's header is damaged: expected a schema hash of 64 hex digits, byte %zu "
                 "is 0x%02x",
                 i, plan[i]);
  return RC_OK;
}

/* A Python function is bytes: a flag (1: pickled by value, with cloudpickle), Python's minor and
 * micro version, the pickle (0x80, protocol). Before it, in expressions, stand "PLPYFN" and one
 * MessagePack value. Pickles by value only load in the Python that made them; a flag of 0 is a
 * name to import, which any Python can. */
static void note_function(plan_envelope *out, const uint8_t *bytes, size_t len) {
  static const char magic[] = "PLPYFN";
  size_t magic_len = sizeof magic - 1;
  if (len > magic_len && memcmp(bytes, magic, magic_len) == 0) {
    msgpack m = {bytes, bytes + magic_len, bytes + len};
    if (msgpack_walk(&m, NULL, NULL, NULL) != RC_OK) return;
    bytes = m.at;
    len = (size_t)(m.end - m.at);
  }
  if (len < 5 || bytes[0] != 1 || bytes[3] != 0x80 || bytes[4] < 2 || bytes[4] > 9) return;
  out->python_minor = bytes[1];
  out->python_micro = bytes[2];
}

/* The same for bytes that are written as an array of integers. */
static void note_function_in_array(plan_envelope *out, msgpack items, uint64_t n) {
  uint8_t first[5];
  if (n < sizeof first) return;
  for (size_t i = 0; i < sizeof first; i++) {
    msgpack_token t;
    if (msgpack_next(&items, &t, NULL) != RC_OK || t.kind != MSGPACK_UINT || t.n > 255) return;
    first[i] = (uint8_t)t.n;
  }
  note_function(out, first, sizeof first);
}

typedef struct function_search {
  plan_envelope *out;
  bool after_binary; /* the last token was "Binary": what follows is a user's literal */
} function_search;

static void find_functions(void *arg, const msgpack_token *t, msgpack after) {
  function_search *search = arg;
  bool literal = search->after_binary;
  search->after_binary = msgpack_is(t, "Binary");
  if (literal || search->out->python_minor >= 0) return;
  if (t->kind == MSGPACK_BIN) note_function(search->out, t->data, t->n);
  if (t->kind == MSGPACK_ARRAY) note_function_in_array(search->out, after, t->n);
}

/* The two of the plan's entries that lead to its root node. */
typedef struct plan_body {
  msgpack root, dsl_plans; /* at the value; start NULL: there is none */
} plan_body;

static rc walk_entries(msgpack *m, plan_body *body, plan_envelope *out, err *e) {
  msgpack_token map, key;
  function_search search = {out, false};
  TRY(msgpack_next(m, &map, e));
  if (map.kind != MSGPACK_MAP)
    return ERR(e, RC_INVALID, "damaged: expected a MessagePack map at byte %d, found 0x%02x",
               PLAN_HEADER_BYTES, m->start[PLAN_HEADER_BYTES]);
  for (uint64_t i = 0; i < map.n; i++) {
    msgpack peek = *m;
    TRY(msgpack_next(&peek, &key, e));
    TRY(msgpack_walk(m, NULL, NULL, e));
    if (msgpack_is(&key, "root")) body->root = *m;
    if (msgpack_is(&key, "dsl_plans")) body->dsl_plans = *m;
    TRY(msgpack_walk(m, find_functions, &search, e));
  }
  if (m->at != m->end)
    return ERR(e, RC_INVALID, "damaged: it ends at byte %zu, and %zu bytes follow",
               (size_t)(m->at - m->start), (size_t)(m->end - m->at));
  return RC_OK;
}

/* dsl_plans[root.idx].value */
static bool find_root_node(plan_body body, msgpack *node) {
  msgpack_token idx;
  if (!body.root.start || !body.dsl_plans.start) return false;
  if (!msgpack_enter(&body.root, "idx") || msgpack_next(&body.root, &idx, NULL) != RC_OK)
    return false;
  *node = body.dsl_plans;
  return idx.kind == MSGPACK_UINT && msgpack_index(node, idx.n) && msgpack_enter(node, "value");
}

static plan_text text_of(const msgpack_token *t) {
  return (plan_text){(const char *)t->data, t->n};
}

/* One of two names: Polars gave this another one after 1.35. */
static bool enter_either(msgpack *m, const char *name, const char *before) {
  return msgpack_enter(m, name) || msgpack_enter(m, before);
}

/* "Parquet" of {"file_format": {"Parquet": {…}}}, or of {"file_format": "Parquet"}. */
static plan_text read_format(msgpack payload) {
  msgpack_token t;
  if (!enter_either(&payload, "file_format", "file_type")) return (plan_text){0};
  if (msgpack_next(&payload, &t, NULL) != RC_OK) return (plan_text){0};
  if (t.kind == MSGPACK_MAP && t.n == 1 && msgpack_next(&payload, &t, NULL) != RC_OK)
    return (plan_text){0};
  return t.kind == MSGPACK_STR ? text_of(&t) : (plan_text){0};
}

/* The string of {KEY: {"inner": string}}; *offset and *len: where it stands, with its head. */
static bool read_path(msgpack payload, const char *key, msgpack_token *out, uint64_t *offset,
                      uint32_t *len) {
  if (!msgpack_enter(&payload, key) || !enter_either(&payload, "inner", "Local")) return false;
  const uint8_t *head = payload.at;
  if (msgpack_next(&payload, out, NULL) != RC_OK || out->kind != MSGPACK_STR) return false;
  *offset = (uint64_t)(head - payload.start);
  *len = (uint32_t)(payload.at - head);
  return true;
}

static bool is_placeholder(const msgpack_token *path) {
  return msgpack_is(path, "<in-memory>") || msgpack_is(path, "<flight>");
}

static void add_sink(plan_envelope *out, msgpack payload, const char *key, bool folder) {
  plan_sink *sink = &out->sinks[out->n_sinks];
  msgpack_token path;
  if (!read_path(payload, key, &path, &sink->offset, &sink->len)) return;
  sink->path = text_of(&path);
  sink->format = read_format(payload);
  sink->folder = folder;
  out->n_sinks++;
}

static void read_file_sink(msgpack payload, plan_envelope *out) {
  msgpack_token path;
  uint64_t offset;
  uint32_t len;
  if (!read_path(payload, "target", &path, &offset, &len)) return;
  out->format = read_format(payload);
  if (is_placeholder(&path)) {
    out->sink = msgpack_is(&path, "<flight>") ? PLAN_SINK_FLIGHT : PLAN_SINK_ANONYMOUS;
    out->placeholder_offset = offset;
    out->placeholder_len = len;
  } else {
    out->sink = PLAN_SINK_FILE;
    add_sink(out, payload, "target", false);
  }
}

/* The bytes of a key, {idx, version}. */
static bool read_key(msgpack at, const uint8_t **key, size_t *len) {
  msgpack idx = at, end = at;
  if (!msgpack_enter(&idx, "idx") || msgpack_walk(&end, NULL, NULL, NULL) != RC_OK) return false;
  *key = at.at;
  *len = (size_t)(end.at - at.at);
  return true;
}

/* Both must be keys: then one may stand where the other stands. */
static void read_sinkless(msgpack root, msgpack sink, plan_sinkless *out) {
  const uint8_t *place, *with;
  size_t len, with_len;
  if (!msgpack_enter(&sink, "Sink") || !msgpack_enter(&sink, "input") ||
      !read_key(root, &place, &len) || !read_key(sink, &with, &with_len) ||
      with_len > sizeof out->with)
    return;
  out->offset = (uint64_t)(place - root.start);
  out->len = (uint32_t)len;
  out->with_len = (uint32_t)with_len;
  memcpy(out->with, with, with_len);
}

/* File sinks and those in parts; *kind: which, or CALLBACK, or UNKNOWN. */
static bool enter_payload(msgpack *node, plan_sink_kind *kind) {
  static const struct {
    const char *key;
    plan_sink_kind kind;
  } kinds[] = {{"File", PLAN_SINK_FILE},
               {"Partitioned", PLAN_SINK_PARTITIONED},
               {"Partition", PLAN_SINK_PARTITIONED}, /* 1.35 */
               {"Callback", PLAN_SINK_CALLBACK}};
  if (!msgpack_enter(node, "Sink") || !msgpack_enter(node, "payload")) return false;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    *kind = kinds[i].kind;
    if (msgpack_enter(node, kinds[i].key)) return true;
  }
  return false;
}

/* All of them, or none. */
static void read_sinks(msgpack inputs, plan_envelope *out) {
  msgpack_token list;
  if (msgpack_next(&inputs, &list, NULL) != RC_OK || list.kind != MSGPACK_ARRAY) return;
  for (uint64_t i = 0; i < list.n; i++) {
    msgpack payload = inputs;
    plan_sink_kind kind;
    bool found = out->n_sinks < PLAN_MAX_SINKS && enter_payload(&payload, &kind);
    if (found && kind == PLAN_SINK_FILE) add_sink(out, payload, "target", false);
    if (found && kind == PLAN_SINK_PARTITIONED) add_sink(out, payload, "base_path", true);
    if (out->n_sinks != i + 1 || msgpack_walk(&inputs, NULL, NULL, NULL) != RC_OK) {
      out->n_sinks = 0;
      return;
    }
  }
}

static void read_sink(msgpack node, plan_envelope *out) {
  msgpack several = node;
  plan_sink_kind kind;
  if (msgpack_enter(&several, "SinkMultiple")) {
    out->sink = PLAN_SINK_MULTIPLE;
    if (msgpack_enter(&several, "inputs")) read_sinks(several, out);
    return;
  }
  if (!enter_payload(&node, &kind)) return;
  if (kind == PLAN_SINK_FILE) {
    read_file_sink(node, out);
    return;
  }
  out->sink = kind;
  if (kind == PLAN_SINK_CALLBACK) return;
  out->format = read_format(node);
  add_sink(out, node, "base_path", true);
}

/* How many bytes the character at s has, at most `left`; 0: it is no UTF-8, or NUL. */
static size_t utf8_length(const uint8_t *s, size_t left) {
  size_t n = s[0] == 0 ? 0 : s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
  if (n > left || (n > 1 && (s[0] < 0xc2 || s[0] > 0xf4))) return 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  bool too_long = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
  bool no_character = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
  return too_long || no_character ? 0 : n;
}

/* What we hand on goes into C strings, protobuf and JSON. */
static rc check_text(plan_text text, const char *what, err *e) {
  for (size_t at = 0; at < text.len;) {
    size_t n = utf8_length((const uint8_t *)text.s + at, text.len - at);
    if (n == 0)
      return ERR(e, RC_INVALID, "the plan is damaged: its %s is not UTF-8 text without NUL", what);
    at += n;
  }
  return RC_OK;
}

rc plan_envelope_read(const uint8_t *plan, size_t len, plan_envelope *out, err *e) {
  TRY(check_header(plan, len, e));
  plan_envelope found = {.header = plan, .python_minor = -1, .python_micro = -1};
  msgpack m = {plan, plan + PLAN_HEADER_BYTES, plan + len}, root_node;
  plan_body body = {0};
  rc r = walk_entries(&m, &body, &found, e);
  if (r != RC_OK) return err_prefix(e, r, "the plan is ");
  if (find_root_node(body, &root_node)) {
    read_sink(root_node, &found);
    if (found.sink == PLAN_SINK_FLIGHT) read_sinkless(body.root, root_node, &found.sinkless);
  }
  for (size_t i = 0; i < found.n_sinks; i++) {
    TRY(check_text(found.sinks[i].path, "sink's path", e));
    TRY(check_text(found.sinks[i].format, "sink's format", e));
  }
  TRY(check_text(found.format, "sink's format", e));
  *out = found;
  return RC_OK;
}
