/* plan/dsl_write.c: from a tree to a plan of its own; see dsl.h. SPDX-License-Identifier:
 * Apache-2.0
 *
 * First every node that is an input by key, and every frame, gets a slot of its own: inputs before
 * their consumers, as Polars numbers them. What several nodes share (the same address) has one
 * slot; Polars accepts that, and reads such a node once. Then the slots are written. Small pieces
 * are gathered before they go to the spool, large ones go straight. */
#include "base/map.h"
#include "plan/dsl.h"
#include "plan/envelope.h"

#include <string.h>

enum {
  MAX_DEPTH = 2 * DSL_MAX_DEPTH, /* the planner adds to what it parsed */
  MAX_NODES = 4 * DSL_MAX_NODES,
  GATHER_BYTES = 1 << 16
};

typedef struct writer {
  buf nodes, frames;           /* of const dsl_node *, of plan_bytes: item i has slot i + 1 */
  map node_slots, frame_slots; /* address → slot */
  size_t n_nodes;              /* nodes seen: those of `nodes`, and those that stand inline */
  dsl_mark *marks;
  size_t n_marks;
  spool *out;
  uint64_t begin; /* of the plan in `out` */
  buf gathered;   /* comes behind `out` */
} writer;

/* ---- slots ---- */

static uintptr_t slot_of(const map *slots, const void *address) {
  return (uintptr_t)map_get(slots, &address, sizeof address);
}

static rc add_slot(map *slots, const void *address, buf *items, const void *item, size_t size,
                   err *e) {
  TRY(buf_append(items, item, size, e));
  map_put(slots, &address, sizeof address, (void *)(uintptr_t)(items->len / size));
  return RC_OK;
}

static rc give_slot(writer *w, const dsl_node *n, unsigned depth, err *e);

static rc give_slots_below(writer *w, const dsl_node *n, unsigned depth, err *e) {
  if (depth > MAX_DEPTH || ++w->n_nodes > MAX_NODES)
    return ERR(e, RC_EXHAUSTED, "a tree to be written has more than %d levels or %d nodes",
               MAX_DEPTH, MAX_NODES);
  for (size_t i = 0; i < n->n_refs; i++) {
    const dsl_ref *ref = &n->refs[i];
    if (ref->kind == DSL_REF_KEY)
      TRY(give_slot(w, ref->node, depth + 1, e));
    else if (ref->kind == DSL_REF_INLINE)
      TRY(give_slots_below(w, ref->node, depth + 1, e));
    else if (!slot_of(&w->frame_slots, ref->frame.data))
      TRY(add_slot(&w->frame_slots, ref->frame.data, &w->frames, &ref->frame, sizeof ref->frame,
                   e));
  }
  return RC_OK;
}

static rc give_slot(writer *w, const dsl_node *n, unsigned depth, err *e) {
  if (slot_of(&w->node_slots, n)) return RC_OK;
  TRY(give_slots_below(w, n, depth, e));
  return add_slot(&w->node_slots, n, &w->nodes, &n, sizeof(const dsl_node *), e);
}

/* ---- bytes ---- */

static rc flush(writer *w, err *e) {
  TRY(spool_append(w->out, w->gathered.data, w->gathered.len, e));
  buf_clear(&w->gathered);
  return RC_OK;
}

static rc put(writer *w, plan_bytes piece, err *e) {
  if (w->gathered.len + piece.len > GATHER_BYTES) TRY(flush(w, e));
  if (piece.len > GATHER_BYTES) return spool_append(w->out, piece.data, piece.len, e);
  pack_raw(&w->gathered, piece);
  return RC_OK;
}

static rc note_marks(writer *w, plan_bytes piece, err *e) {
  uint64_t offset = spool_len(w->out) - w->begin + w->gathered.len;
  for (size_t i = 0; i < w->n_marks; i++) {
    dsl_mark *mark = &w->marks[i];
    if (mark->piece.data < piece.data ||
        mark->piece.data + mark->piece.len > piece.data + piece.len)
      continue;
    if (mark->offset != UINT64_MAX)
      return ERR(e, RC_INTERNAL, "a marked piece of a tree stands in its plan more than once");
    mark->offset = offset + (uint64_t)(mark->piece.data - piece.data);
  }
  return RC_OK;
}

static void put_key(writer *w, uintptr_t slot) {
  pack_map(&w->gathered, 2);
  pack_text(&w->gathered, "idx");
  pack_uint(&w->gathered, slot);
  pack_text(&w->gathered, "version");
  pack_uint(&w->gathered, 1);
}

static rc put_node(writer *w, const dsl_node *n, err *e);

static rc put_ref(writer *w, const dsl_ref *ref, err *e) {
  if (ref->kind == DSL_REF_INLINE) return put_node(w, ref->node, e);
  put_key(w, ref->kind == DSL_REF_KEY ? slot_of(&w->node_slots, ref->node)
                                      : slot_of(&w->frame_slots, ref->frame.data));
  return RC_OK;
}

static rc put_node(writer *w, const dsl_node *n, err *e) {
  pack_map(&w->gathered, 1);
  pack_text(&w->gathered, dsl_kind_name(n->kind));
  size_t at = 0;
  for (size_t i = 0; i <= n->n_refs; i++) {
    size_t end = i < n->n_refs ? n->refs[i].offset : n->fields.len;
    plan_bytes between = {n->fields.data + at, end - at};
    TRY(note_marks(w, between, e));
    TRY(put(w, between, e));
    if (i == n->n_refs) break;
    TRY(put_ref(w, &n->refs[i], e));
    at = end + n->refs[i].len;
  }
  return RC_OK;
}

static void begin_slot(writer *w) {
  pack_map(&w->gathered, 2);
  pack_text(&w->gathered, "value");
}

static void end_slot(writer *w, unsigned version) {
  pack_text(&w->gathered, "version");
  pack_uint(&w->gathered, version);
}

static void begin_slots(writer *w, const char *name, size_t used) {
  pack_text(&w->gathered, name);
  pack_array(&w->gathered, used + 1);
  begin_slot(w);
  pack_nil(&w->gathered);
  end_slot(w, 0);
}

static rc put_frames(writer *w, err *e) {
  const plan_bytes *frames = (const plan_bytes *)(const void *)w->frames.data;
  size_t n = w->frames.len / sizeof *frames;
  begin_slots(w, "dataframes", n);
  for (size_t i = 0; i < n; i++) {
    begin_slot(w);
    TRY(put(w, frames[i], e));
    end_slot(w, 1);
  }
  return RC_OK;
}

static rc put_nodes(writer *w, err *e) {
  const dsl_node *const *nodes = (const dsl_node *const *)(const void *)w->nodes.data;
  size_t n = w->nodes.len / sizeof *nodes;
  begin_slots(w, "dsl_plans", n);
  for (size_t i = 0; i < n; i++) {
    begin_slot(w);
    TRY(put_node(w, nodes[i], e));
    end_slot(w, 1);
  }
  return RC_OK;
}

static rc write_plan(writer *w, const dsl_node *root, const uint8_t *header, err *e) {
  TRY(give_slot(w, root, 1, e));
  TRY(put(w, (plan_bytes){header, PLAN_HEADER_BYTES}, e));
  pack_map(&w->gathered, 3);
  pack_text(&w->gathered, "root");
  put_key(w, slot_of(&w->node_slots, root));
  TRY(put_frames(w, e));
  TRY(put_nodes(w, e));
  return flush(w, e);
}

rc dsl_write(const dsl_node *root, const uint8_t header[PLAN_HEADER_BYTES], dsl_mark *marks,
             size_t n_marks, spool *out, err *e) {
  writer w = {.marks = marks, .n_marks = n_marks, .out = out, .begin = spool_len(out)};
  for (size_t i = 0; i < n_marks; i++) marks[i].offset = UINT64_MAX;
  rc r = write_plan(&w, root, header, e);
  buf_deinit(&w.nodes);
  buf_deinit(&w.frames);
  buf_deinit(&w.gathered);
  map_deinit(&w.node_slots);
  map_deinit(&w.frame_slots);
  return r;
}
