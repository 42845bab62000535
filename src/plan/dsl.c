/* plan/dsl.c: looking at nodes and making new ones; see dsl.h. Parsing is dsl_parse.c, writing is
 * dsl_write.c. SPDX-License-Identifier: Apache-2.0 */
#include "plan/dsl.h"

#include "plan/envelope.h"

#include <stdarg.h>
#include <string.h>

bool dsl_is_known(const uint8_t header[PLAN_HEADER_BYTES]) {
  static const char polars_2_0_0[PLAN_HEADER_BYTES + 1] =
      "DSL_VERSION\x18\0\0\0"
      "dd13fd0271a06799ac92d2b87b196660f19f2ff5d3ca3e16edb09eed5c51de68";
  return memcmp(header, polars_2_0_0, PLAN_HEADER_BYTES) == 0;
}

/* ---- looking ---- */

const char *dsl_kind_name(dsl_kind kind) {
  static const char *const names[] = {
#define X(kind, name) [DSL_##kind] = name,
      DSL_KINDS(X)
#undef X
  };
  return names[kind];
}

size_t dsl_n_inputs(const dsl_node *n) {
  size_t inputs = 0;
  for (size_t i = 0; i < n->n_refs; i++) inputs += n->refs[i].kind != DSL_REF_FRAME;
  return inputs;
}

const dsl_node *dsl_input(const dsl_node *n, size_t i) {
  for (size_t r = 0; r < n->n_refs; r++)
    if (n->refs[r].kind != DSL_REF_FRAME && i-- == 0) return n->refs[r].node;
  return NULL;
}

static msgpack cursor(plan_bytes value) {
  return (msgpack){value.data, value.data, value.data + value.len};
}

static bool first_token(plan_bytes value, msgpack_token *t) {
  if (!value.data) return false;
  msgpack m = cursor(value);
  return msgpack_next(&m, t, NULL) == RC_OK;
}

/* The one value that begins at the cursor, which moves behind it. */
static plan_bytes take_value(msgpack *m) {
  const uint8_t *data = m->at;
  if (msgpack_walk(m, NULL, NULL, NULL) != RC_OK) return (plan_bytes){0};
  return (plan_bytes){data, (size_t)(m->at - data)};
}

static plan_bytes value_in(plan_bytes map, const char *key) {
  if (!map.data) return (plan_bytes){0};
  msgpack m = cursor(map);
  return msgpack_enter(&m, key) ? take_value(&m) : (plan_bytes){0};
}

plan_bytes dsl_field(const dsl_node *n, const char *name) {
  return value_in(n->fields, name);
}

plan_bytes dsl_at(const dsl_node *n, ...) {
  va_list names;
  va_start(names, n);
  plan_bytes value = n->fields;
  for (const char *name; (name = va_arg(names, const char *));) value = value_in(value, name);
  va_end(names);
  return value;
}

plan_bytes plan_value_name(plan_bytes value) {
  msgpack_token t;
  if (!value.data) return (plan_bytes){0};
  msgpack m = cursor(value);
  if (msgpack_next(&m, &t, NULL) != RC_OK) return (plan_bytes){0};
  if (t.kind == MSGPACK_MAP && t.n == 1 && msgpack_next(&m, &t, NULL) != RC_OK)
    return (plan_bytes){0};
  return t.kind == MSGPACK_STR ? (plan_bytes){t.data, t.n} : (plan_bytes){0};
}

bool plan_value_is(plan_bytes value, const char *name) {
  plan_bytes found = plan_value_name(value);
  return found.data && plan_bytes_equal(found, (plan_bytes){(const uint8_t *)name, strlen(name)});
}

bool plan_value_true(plan_bytes value) {
  msgpack_token t;
  return first_token(value, &t) && t.kind == MSGPACK_BOOL && t.n == 1;
}

bool plan_value_nil(plan_bytes value) {
  msgpack_token t;
  return !value.data || (first_token(value, &t) && t.kind == MSGPACK_NIL);
}

bool plan_value_int(plan_bytes value, int64_t *out) {
  msgpack_token t;
  if (!first_token(value, &t)) return false;
  if (t.kind != MSGPACK_INT && (t.kind != MSGPACK_UINT || t.n > INT64_MAX)) return false;
  *out = (int64_t)t.n;
  return true;
}

bool plan_value_items(plan_bytes value, arena *a, plan_bytes **items, size_t *n) {
  msgpack_token array;
  if (!value.data) return false;
  msgpack m = cursor(value);
  if (msgpack_next(&m, &array, NULL) != RC_OK) return false;
  if (array.kind != MSGPACK_ARRAY || array.n > PLAN_MAX_ITEMS) return false;
  plan_bytes *out = ARENA_NEW(a, plan_bytes, array.n);
  for (size_t i = 0; i < array.n; i++) {
    out[i] = take_value(&m);
    if (!out[i].data) return false;
  }
  *items = out;
  *n = array.n;
  return true;
}

/* ---- making from a node ---- */

static dsl_node *copy_node(arena *a, const dsl_node *n) {
  dsl_node *copy = ARENA_NEW(a, dsl_node, 1);
  *copy = *n;
  if (n->n_refs == 0) return copy;
  copy->refs = ARENA_NEW(a, dsl_ref, n->n_refs);
  memcpy(copy->refs, n->refs, n->n_refs * sizeof *n->refs);
  return copy;
}

const dsl_node *dsl_with_inputs(arena *a, const dsl_node *n, const dsl_node *const *inputs) {
  dsl_node *copy = copy_node(a, n);
  for (size_t r = 0; r < copy->n_refs; r++)
    if (copy->refs[r].kind != DSL_REF_FRAME) copy->refs[r].node = *inputs++;
  return copy;
}

const dsl_node *dsl_replace(arena *a, const dsl_node *n, dsl_replacement *with, void *arg) {
  const dsl_node *other = with(arg, n);
  if (other) return other;
  size_t n_inputs = dsl_n_inputs(n);
  const dsl_node **inputs = ARENA_NEW(a, const dsl_node *, n_inputs + 1);
  bool changed = false;
  for (size_t i = 0; i < n_inputs; i++) {
    inputs[i] = dsl_replace(a, dsl_input(n, i), with, arg);
    changed |= inputs[i] != dsl_input(n, i);
  }
  return changed ? dsl_with_inputs(a, n, inputs) : n;
}

const dsl_node *dsl_with_value(arena *a, const dsl_node *n, plan_bytes old, plan_bytes value) {
  if (!old.data) return NULL;
  size_t begin = (size_t)(old.data - n->fields.data), end = begin + old.len;
  dsl_node *copy = copy_node(a, n);
  for (size_t r = 0; r < copy->n_refs; r++) {
    dsl_ref *ref = &copy->refs[r];
    if (ref->offset >= end)
      ref->offset = ref->offset - old.len + value.len;
    else if (ref->offset + ref->len > begin)
      return NULL;
  }
  buf b = {0};
  pack_raw(&b, (plan_bytes){n->fields.data, begin});
  pack_raw(&b, value);
  pack_raw(&b, (plan_bytes){n->fields.data + end, n->fields.len - end});
  copy->fields = pack_done(&b, a);
  return copy;
}

const dsl_node *dsl_with_field(arena *a, const dsl_node *n, const char *field, plan_bytes value) {
  return dsl_with_value(a, n, dsl_field(n, field), value);
}

/* ---- making from nothing ---- */

/* Fields and options stand in the order, and have the values, that Polars writes by default. A nil
 * stands at the input's place until the node is written. */

typedef struct maker {
  buf fields;
  dsl_ref input;
} maker;

static maker make_begin(size_t n_fields) {
  maker m = {0};
  pack_map(&m.fields, n_fields);
  return m;
}

static void make_input(maker *m, const dsl_node *input) {
  pack_text(&m->fields, "input");
  m->input = (dsl_ref){.offset = m->fields.len, .len = 1, .kind = DSL_REF_KEY, .node = input};
  pack_nil(&m->fields);
}

static void make_array(maker *m, const char *name, const plan_bytes *items, size_t n) {
  pack_text(&m->fields, name);
  pack_array(&m->fields, n);
  for (size_t i = 0; i < n; i++) pack_raw(&m->fields, items[i]);
}

static void make_bool(maker *m, const char *name, bool value) {
  pack_text(&m->fields, name);
  pack_bool(&m->fields, value);
}

static void make_nil(maker *m, const char *name) {
  pack_text(&m->fields, name);
  pack_nil(&m->fields);
}

static const dsl_node *make_done(maker *m, arena *a, dsl_kind kind) {
  dsl_node *n = ARENA_NEW(a, dsl_node, 1);
  n->kind = kind;
  n->refs = ARENA_NEW(a, dsl_ref, 1);
  n->refs[0] = m->input;
  n->n_refs = 1;
  n->fields = pack_done(&m->fields, a);
  return n;
}

const dsl_node *dsl_select(arena *a, const plan_bytes *exprs, size_t n, const dsl_node *input) {
  maker m = make_begin(3);
  make_array(&m, "expr", exprs, n);
  make_input(&m, input);
  pack_text(&m.fields, "options");
  pack_map(&m.fields, 4);
  make_bool(&m, "run_parallel", true);
  make_bool(&m, "duplicate_check", true);
  make_bool(&m, "should_broadcast", true);
  make_bool(&m, "maintain_dataframe_height", false);
  return make_done(&m, a, DSL_SELECT);
}

const dsl_node *dsl_filter(arena *a, plan_bytes predicate, const dsl_node *input) {
  maker m = make_begin(2);
  make_input(&m, input);
  pack_text(&m.fields, "predicate");
  pack_raw(&m.fields, predicate);
  return make_done(&m, a, DSL_FILTER);
}

const dsl_node *dsl_slice(arena *a, int64_t offset, uint64_t len, const dsl_node *input) {
  maker m = make_begin(3);
  make_input(&m, input);
  pack_text(&m.fields, "offset");
  pack_int(&m.fields, offset);
  pack_text(&m.fields, "len");
  pack_uint(&m.fields, len);
  return make_done(&m, a, DSL_SLICE);
}

const dsl_node *dsl_group_by(arena *a, const plan_bytes *keys, size_t n_keys,
                             const plan_bytes *aggs, size_t n_aggs, const dsl_node *input) {
  maker m = make_begin(7);
  make_input(&m, input);
  make_array(&m, "keys", keys, n_keys);
  make_array(&m, "aggs", aggs, n_aggs);
  make_array(&m, "predicates", NULL, 0);
  make_bool(&m, "maintain_order", false);
  pack_text(&m.fields, "options");
  pack_map(&m.fields, 3);
  make_nil(&m, "dynamic");
  make_nil(&m, "rolling");
  make_nil(&m, "slice");
  make_nil(&m, "apply");
  return make_done(&m, a, DSL_GROUP_BY);
}

/* ---- leaves ---- */

/* A Resolver whose object is floe_executor.leaf.Leaf with the attribute `number`. The number's 4
 * bytes, the lowest first, stand between the halves. The pickle is of protocol 2, behind Polars'
 * own three bytes: 0 (not pickled by value, so that any Python may load it), a Python version. */
static const char LEAF_HEAD[] =
    "\x82\xa8resolver\x81\xa7variant\x81\xa6Python\x81\xa8resolver\xc4\x34\x00\x0b\x07"
    "\x80\x02"                        /* protocol */
    "cfloe_executor.leaf\nLeaf\n"     /* the class, … */
    ")\x81"                           /* … made of () */
    "}X\x06\0\0\0numberJ";            /* {"number": int32 … */
static const char LEAF_TAIL[] = "sb." /* … } as its state, end */
                                "\xafresolver_schema\xc0";
enum {
  LEAF_HEAD_BYTES = sizeof LEAF_HEAD - 1,
  LEAF_TAIL_BYTES = sizeof LEAF_TAIL - 1,
  LEAF_BYTES = LEAF_HEAD_BYTES + 4 + LEAF_TAIL_BYTES
};

const dsl_node *dsl_leaf(arena *a, uint32_t number) {
  dsl_node *n = ARENA_NEW(a, dsl_node, 1);
  uint8_t *fields = arena_take(a, LEAF_BYTES);
  memcpy(fields, LEAF_HEAD, LEAF_HEAD_BYTES);
  for (unsigned i = 0; i < 4; i++) fields[LEAF_HEAD_BYTES + i] = (uint8_t)(number >> 8 * i);
  memcpy(fields + LEAF_HEAD_BYTES + 4, LEAF_TAIL, LEAF_TAIL_BYTES);
  n->kind = DSL_RESOLVER;
  n->fields = (plan_bytes){fields, LEAF_BYTES};
  return n;
}

bool dsl_is_leaf(const dsl_node *n, uint32_t *number) {
  const uint8_t *fields = n->fields.data;
  if (n->kind != DSL_RESOLVER || n->fields.len != LEAF_BYTES) return false;
  if (memcmp(fields, LEAF_HEAD, LEAF_HEAD_BYTES) != 0) return false;
  if (memcmp(fields + LEAF_HEAD_BYTES + 4, LEAF_TAIL, LEAF_TAIL_BYTES) != 0) return false;
  *number = 0;
  for (unsigned i = 0; i < 4; i++) *number |= (uint32_t)fields[LEAF_HEAD_BYTES + i] << 8 * i;
  return true;
}
