/* plan/dsl_parse.c: from a client's bytes to a tree; see dsl.h. SPDX-License-Identifier: Apache-2.0
 *
 * Behind its header a plan is
 *   {root: KEY, dataframes: [SLOT, …], dsl_plans: [SLOT, …]}    SLOT {value, version}
 * and a KEY {idx, version} names a slot; slot 0 is empty. A value of dsl_plans is a node, {Kind:
 * {field: value, …}}, with keys of other nodes in fields that are known here; some hold nodes
 * themselves. One pass proves all bytes and finds the slots, a second one reads the nodes that the
 * root reaches. Polars numbers inputs before their consumers, so that a key which names its own or
 * a later slot is refused, and with it every cycle. */
#include "plan/dsl.h"
#include "plan/envelope.h"

#include <string.h>

typedef struct slot {
  plan_bytes value; /* data NULL: empty */
  uint64_t version;
  const dsl_node *node;     /* once it was read; then … */
  unsigned n_nodes, height; /* … the nodes at and below it, and the levels below it */
} slot;

typedef struct slots {
  slot *items; /* NULL: not in the plan */
  size_t n;
} slots;

typedef struct parser {
  arena *arena;
  const uint8_t *plan;
  slots frames, plans;
  unsigned n_nodes; /* of the tree so far: a shared one counts once for each use */
  unsigned deepest; /* level reached since the innermost slot was begun */
} parser;

typedef struct place {
  size_t slot; /* that we are in: keys name smaller ones */
  unsigned depth;
} place;

static size_t offset_of(const msgpack *m) {
  return (size_t)(m->at - m->start);
}

static rc damaged(const msgpack *m, const char *expected, err *e) {
  return ERR(e, RC_INVALID, "damaged: expected %s at byte %zu", expected, offset_of(m));
}

/* ---- keys and slots ---- */

typedef struct slot_key {
  uint64_t idx, version;
} slot_key;

/* The two pairs of a map that is a key? The cursor stands behind the map's head. */
static bool read_key_pairs(msgpack *m, slot_key *out) {
  msgpack_token name, value;
  bool idx = false, version = false;
  for (int i = 0; i < 2; i++) {
    if (msgpack_next(m, &name, NULL) != RC_OK || msgpack_next(m, &value, NULL) != RC_OK ||
        value.kind != MSGPACK_UINT)
      return false;
    if (msgpack_is(&name, "idx")) idx = true, out->idx = value.n;
    if (msgpack_is(&name, "version")) version = true, out->version = value.n;
  }
  return idx && version;
}

/* False, and the cursor as it was: here stands something else. */
static bool read_key(msgpack *m, slot_key *out) {
  msgpack at = *m;
  msgpack_token map;
  if (msgpack_next(&at, &map, NULL) != RC_OK || map.kind != MSGPACK_MAP || map.n != 2) return false;
  if (!read_key_pairs(&at, out)) return false;
  *m = at;
  return true;
}

static rc read_slot(msgpack *m, slot *out, err *e) {
  msgpack_token map, name, version;
  TRY(msgpack_next(m, &map, e));
  if (map.kind != MSGPACK_MAP) return damaged(m, "a slot", e);
  for (uint64_t i = 0; i < map.n; i++) {
    TRY(msgpack_next(m, &name, e));
    if (name.kind != MSGPACK_STR) return damaged(m, "the name of a slot's field", e);
    msgpack value = *m;
    TRY(msgpack_walk(m, NULL, NULL, e));
    if (msgpack_is(&name, "value")) {
      if (*value.at != 0xc0) out->value = (plan_bytes){value.at, (size_t)(m->at - value.at)};
    } else if (msgpack_is(&name, "version")) {
      if (msgpack_next(&value, &version, e) != RC_OK || version.kind != MSGPACK_UINT)
        return damaged(&value, "the version of a slot", e);
      out->version = version.n;
    }
  }
  return RC_OK;
}

static rc read_slots(parser *p, msgpack *m, slots *out, err *e) {
  msgpack_token array;
  if (out->items) return damaged(m, "each list of slots once, found a second one", e);
  TRY(msgpack_next(m, &array, e));
  if (array.kind != MSGPACK_ARRAY) return damaged(m, "a list of slots", e);
  if (array.n > DSL_MAX_NODES + 1) /* and the empty one */
    return ERR(e, RC_EXHAUSTED,
               "too large to be taken apart: expected at most %d slots, found %llu", DSL_MAX_NODES,
               (unsigned long long)array.n - 1);
  out->items = ARENA_NEW(p->arena, slot, array.n);
  out->n = array.n;
  for (size_t i = 0; i < out->n; i++) TRY(read_slot(m, &out->items[i], e));
  return RC_OK;
}

/* The first pass: all bytes are proven, and the slots known. */
static rc read_body(parser *p, msgpack *m, slot_key *root, err *e) {
  msgpack_token map, name;
  bool has_root = false;
  TRY(msgpack_next(m, &map, e));
  if (map.kind != MSGPACK_MAP) return damaged(m, "a map with root, dataframes and dsl_plans", e);
  for (uint64_t i = 0; i < map.n; i++) {
    TRY(msgpack_next(m, &name, e));
    if (name.kind != MSGPACK_STR) return damaged(m, "the name of a part of the plan", e);
    if (msgpack_is(&name, "dataframes")) {
      TRY(read_slots(p, m, &p->frames, e));
    } else if (msgpack_is(&name, "dsl_plans")) {
      TRY(read_slots(p, m, &p->plans, e));
    } else if (msgpack_is(&name, "root")) {
      has_root = read_key(m, root);
      if (!has_root) return damaged(m, "the root's key", e);
    } else {
      TRY(msgpack_walk(m, NULL, NULL, e));
    }
  }
  if (m->at != m->end) return damaged(m, "the end", e);
  if (!has_root || !p->frames.items || !p->plans.items)
    return damaged(m, "root, dataframes and dsl_plans, not all of them found,", e);
  return RC_OK;
}

/* The slot that a key names, one before `end`. */
static rc find_slot(const slots *in, slot_key key, size_t end, const msgpack *m, slot **out,
                    err *e) {
  if (key.idx >= end || !in->items[key.idx].value.data || in->items[key.idx].version != key.version)
    return ERR(e, RC_INVALID,
               "damaged: expected the key of an earlier, used slot before byte %zu, found %llu (of "
               "%zu slots, in slot %zu)",
               offset_of(m), (unsigned long long)key.idx, in->n, end);
  *out = &in->items[key.idx];
  return RC_OK;
}

/* ---- nodes ---- */

static rc count_nodes(parser *p, unsigned n, unsigned depth, err *e) {
  p->n_nodes += n;
  if (p->deepest < depth) p->deepest = depth;
  if (depth > DSL_MAX_DEPTH)
    return ERR(e, RC_EXHAUSTED, "too deep to be taken apart: more than %d levels", DSL_MAX_DEPTH);
  if (p->n_nodes > DSL_MAX_NODES)
    return ERR(e, RC_EXHAUSTED, "too large to be taken apart: more than %d nodes", DSL_MAX_NODES);
  return RC_OK;
}

static rc parse_node(parser *p, msgpack *m, place at, const dsl_node **out, err *e);

/* The node in a slot is read once; the tree shares it. */
static rc parse_slot(parser *p, slot *s, place at, const dsl_node **out, err *e) {
  if (s->node) {
    TRY(count_nodes(p, s->n_nodes, at.depth + s->height, e));
  } else {
    unsigned nodes_before = p->n_nodes, deepest_before = p->deepest;
    msgpack m = {p->plan, s->value.data, s->value.data + s->value.len};
    p->deepest = at.depth;
    TRY(parse_node(p, &m, at, &s->node, e));
    s->n_nodes = p->n_nodes - nodes_before;
    s->height = p->deepest - at.depth;
    if (p->deepest < deepest_before) p->deepest = deepest_before;
  }
  *out = s->node;
  return RC_OK;
}

/* What the cursor moved over since `begin` is a ref of the node. */
static void add_ref(dsl_node *n, dsl_ref ref, const uint8_t *begin, const msgpack *m) {
  ref.offset = (size_t)(begin - n->fields.data);
  ref.len = (size_t)(m->at - begin);
  n->refs[n->n_refs++] = ref;
}

static rc parse_input(parser *p, msgpack *m, place at, dsl_node *n, err *e) {
  const uint8_t *begin = m->at;
  dsl_ref ref = {0};
  slot_key key;
  at.depth++;
  if (read_key(m, &key)) {
    slot *s = NULL;
    TRY(find_slot(&p->plans, key, at.slot, m, &s, e));
    ref.kind = DSL_REF_KEY;
    TRY(parse_slot(p, s, (place){key.idx, at.depth}, &ref.node, e));
  } else {
    ref.kind = DSL_REF_INLINE;
    TRY(parse_node(p, m, at, &ref.node, e));
  }
  add_ref(n, ref, begin, m);
  return RC_OK;
}

static rc parse_frame(parser *p, msgpack *m, dsl_node *n, err *e) {
  const uint8_t *begin = m->at;
  slot_key key;
  slot *s = NULL;
  if (!read_key(m, &key)) return damaged(m, "the key of a data frame", e);
  TRY(find_slot(&p->frames, key, p->frames.n, m, &s, e));
  add_ref(n, (dsl_ref){.kind = DSL_REF_FRAME, .frame = s->value}, begin, m);
  return RC_OK;
}

/* How a field names other things. */
typedef enum ref_form {
  ONE,   /* input */
  MANY,  /* [input, …] */
  NAMED, /* [[name, input], …] */
  FRAME
} ref_form;

/* Those of one kind in the order in which Polars writes them. */
typedef struct ref_field {
  dsl_kind kind;
  const char *name;
  ref_form form;
} ref_field;
static const ref_field REF_FIELDS[] = {
    {DSL_FRAME_SCAN, "df", FRAME},
    {DSL_FILTER, "input", ONE},
    {DSL_SELECT, "input", ONE},
    {DSL_HSTACK, "input", ONE},
    {DSL_GROUP_BY, "input", ONE},
    {DSL_JOIN, "input_left", ONE},
    {DSL_JOIN, "input_right", ONE},
    {DSL_DISTINCT, "input", ONE},
    {DSL_SORT, "input", ONE},
    {DSL_SLICE, "input", ONE},
    {DSL_MAP_FUNCTION, "input", ONE},
    {DSL_UNION, "inputs", MANY},
    {DSL_HCONCAT, "inputs", MANY},
    {DSL_CACHE, "input", ONE},
    {DSL_IR, "dsl", ONE},
    {DSL_SINK, "input", ONE},
    {DSL_SINK_MULTIPLE, "inputs", MANY},
    {DSL_MERGE_SORTED, "input_left", ONE},
    {DSL_MERGE_SORTED, "input_right", ONE},
    {DSL_GATHER, "input", ONE},
    {DSL_GATHER, "idxs", ONE},
    {DSL_MATCH_TO_SCHEMA, "input", ONE},
    {DSL_PIPE_WITH_SCHEMA, "input", MANY},
    {DSL_PIVOT, "input", ONE},
    {DSL_PIVOT, "on_columns", FRAME},
    {DSL_SQL, "relations", NAMED},
};
enum { N_REF_FIELDS = sizeof REF_FIELDS / sizeof *REF_FIELDS };

static void reserve_refs(parser *p, dsl_node *n, size_t more) {
  dsl_ref *refs = ARENA_NEW(p->arena, dsl_ref, n->n_refs + more);
  if (n->n_refs) memcpy(refs, n->refs, n->n_refs * sizeof *refs);
  n->refs = refs;
}

static rc parse_many(parser *p, msgpack *m, place at, dsl_node *n, bool named, err *e) {
  msgpack_token array, pair;
  TRY(msgpack_next(m, &array, e));
  if (array.kind != MSGPACK_ARRAY) return damaged(m, "a list of inputs", e);
  if (array.n > DSL_MAX_NODES - p->n_nodes)
    return ERR(e, RC_EXHAUSTED, "too large to be taken apart: more than %d nodes", DSL_MAX_NODES);
  reserve_refs(p, n, array.n);
  for (uint64_t i = 0; i < array.n; i++) {
    if (named) {
      TRY(msgpack_next(m, &pair, e));
      if (pair.kind != MSGPACK_ARRAY || pair.n != 2) return damaged(m, "a name and an input", e);
      TRY(msgpack_walk(m, NULL, NULL, e));
    }
    TRY(parse_input(p, m, at, n, e));
  }
  return RC_OK;
}

static rc parse_ref_field(parser *p, msgpack *m, place at, dsl_node *n, ref_form form, err *e) {
  if (form == MANY || form == NAMED) return parse_many(p, m, at, n, form == NAMED, e);
  reserve_refs(p, n, 1);
  return form == FRAME ? parse_frame(p, m, n, e) : parse_input(p, m, at, n, e);
}

static void find_key(void *arg, const msgpack_token *t, msgpack after) {
  bool *found = arg;
  slot_key key;
  if (t->kind == MSGPACK_MAP && t->n == 2 && read_key_pairs(&after, &key)) *found = true;
}

/* A field that names nothing else: moved to another plan, a key in it would name another node. */
static rc parse_other_field(msgpack *m, err *e) {
  bool key = false;
  size_t offset = offset_of(m);
  TRY(msgpack_walk(m, find_key, &key, e));
  if (key)
    return ERR(e, RC_EXHAUSTED,
               "not to be taken apart: the field at byte %zu names another node in a way that is "
               "not known",
               offset);
  return RC_OK;
}

static rc parse_fields(parser *p, msgpack *m, place at, dsl_node *n, err *e) {
  msgpack_token map, name;
  size_t next = 0; /* ref field: they come in their order, each once */
  while (next < N_REF_FIELDS && REF_FIELDS[next].kind != n->kind) next++;
  TRY(msgpack_next(m, &map, e));
  if (map.kind != MSGPACK_MAP) return damaged(m, "the fields of a node", e);
  for (uint64_t i = 0; i < map.n; i++) {
    TRY(msgpack_next(m, &name, e));
    if (name.kind != MSGPACK_STR) return damaged(m, "the name of a field", e);
    const ref_field *f = next < N_REF_FIELDS ? &REF_FIELDS[next] : NULL;
    if (f && f->kind == n->kind && msgpack_is(&name, f->name)) {
      TRY(parse_ref_field(p, m, at, n, f->form, e));
      next++;
    } else {
      TRY(parse_other_field(m, e));
    }
  }
  if (next < N_REF_FIELDS && REF_FIELDS[next].kind == n->kind)
    return ERR(e, RC_INVALID, "damaged: a node %s without %s before byte %zu",
               dsl_kind_name(n->kind), REF_FIELDS[next].name, offset_of(m));
  return RC_OK;
}

enum {
#define X(kind, name) +1
  N_KINDS = 0 DSL_KINDS(X)
#undef X
};

static rc parse_node(parser *p, msgpack *m, place at, const dsl_node **out, err *e) {
  msgpack_token map, name;
  TRY(count_nodes(p, 1, at.depth, e));
  TRY(msgpack_next(m, &map, e));
  if (map.kind != MSGPACK_MAP || map.n != 1) return damaged(m, "a node", e);
  TRY(msgpack_next(m, &name, e));
  unsigned kind = 0;
  while (kind < N_KINDS && !msgpack_is(&name, dsl_kind_name(kind))) kind++;
  if (kind == N_KINDS) return damaged(m, "a kind of node that Polars 2.0.0 has", e);
  dsl_node *n = ARENA_NEW(p->arena, dsl_node, 1);
  n->kind = kind;
  n->fields.data = m->at;
  TRY(parse_fields(p, m, at, n, e));
  n->fields.len = (size_t)(m->at - n->fields.data);
  *out = n;
  return RC_OK;
}

rc dsl_parse(const uint8_t *plan, size_t len, arena *a, const dsl_node **root, err *e) {
  static const char tag[] = "DSL_VERSION";
  if (len < PLAN_HEADER_BYTES || memcmp(plan, tag, sizeof tag - 1) != 0)
    return ERR(e, RC_INVALID, "expected a plan that starts with \"%s\", found %zu other bytes", tag,
               len);
  parser p = {.arena = a, .plan = plan};
  msgpack m = {plan, plan + PLAN_HEADER_BYTES, plan + len};
  slot_key key;
  slot *s = NULL;
  rc r = read_body(&p, &m, &key, e);
  if (r == RC_OK) r = find_slot(&p.plans, key, p.plans.n, &m, &s, e);
  if (r == RC_OK) r = parse_slot(&p, s, (place){key.idx, 1}, root, e);
  return r == RC_OK ? RC_OK : err_prefix(e, r, "the plan is ");
}
