/* plan/dsl.h: a client's plan as a tree of nodes. SPDX-License-Identifier: Apache-2.0
 *
 * A node is its kind, the bytes of its fields, and its inputs; expressions stay bytes until someone
 * asks. Parsing proves the whole plan first and copies nothing: a plan of 300 MB with an inlined
 * frame costs its nodes. Nodes are never changed: another tree is made that shares their bytes, and
 * written again as a plan of its own under the client's header.
 *
 * Knows one dialect, that of Polars 2.0.0 (dsl_is_known). A tree is valid as long as its plan's
 * bytes and its arena. Pure. Depth and number of nodes are bounded (DSL_MAX_…): a deeper plan is
 * not taken apart. */
#ifndef FLOE_PLAN_DSL_H
#define FLOE_PLAN_DSL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/spool.h"
#include "plan/msgpack.h"
#include "plan/pack.h"

enum { DSL_MAX_DEPTH = 400, DSL_MAX_NODES = 4000, PLAN_MAX_ITEMS = 1 << 20 };

/* enumerator, name in the plan */
#define DSL_KINDS(X)                                                                               \
  X(SCAN, "Scan")                                                                                  \
  X(FRAME_SCAN, "DataFrameScan")                                                                   \
  X(PYTHON_SCAN, "PythonScan")                                                                     \
  X(RESOLVER, "Resolver")                                                                          \
  X(FILTER, "Filter")                                                                              \
  X(SELECT, "Select")                                                                              \
  X(HSTACK, "HStack")                                                                              \
  X(GROUP_BY, "GroupBy")                                                                           \
  X(JOIN, "Join")                                                                                  \
  X(DISTINCT, "Distinct")                                                                          \
  X(SORT, "Sort")                                                                                  \
  X(SLICE, "Slice")                                                                                \
  X(MAP_FUNCTION, "MapFunction")                                                                   \
  X(UNION, "Union")                                                                                \
  X(HCONCAT, "HConcat")                                                                            \
  X(CACHE, "Cache")                                                                                \
  X(IR, "IR")                                                                                      \
  X(SINK, "Sink")                                                                                  \
  X(SINK_MULTIPLE, "SinkMultiple")                                                                 \
  X(MERGE_SORTED, "MergeSorted")                                                                   \
  X(GATHER, "Gather")                                                                              \
  X(MATCH_TO_SCHEMA, "MatchToSchema")                                                              \
  X(PIPE_WITH_SCHEMA, "PipeWithSchema")                                                            \
  X(PIVOT, "Pivot")                                                                                \
  X(SQL, "SQL")

typedef enum dsl_kind {
#define X(kind, name) DSL_##kind,
  DSL_KINDS(X)
#undef X
} dsl_kind;

typedef struct dsl_node dsl_node;

/* Where in a node's fields something else of the plan is named. */
typedef enum dsl_ref_kind {
  DSL_REF_KEY,    /* an input: {"idx": …, "version": 1} */
  DSL_REF_INLINE, /* an input that stands there itself: {"Filter": {…}} */
  DSL_REF_FRAME   /* a data frame, by its key; `frame` */
} dsl_ref_kind;
typedef struct dsl_ref {
  size_t offset, len; /* in `fields` */
  dsl_ref_kind kind;
  union {
    const dsl_node *node;
    plan_bytes frame; /* an Arrow IPC stream as MessagePack: an array of bytes, or a bin */
  };
} dsl_ref;

struct dsl_node {
  dsl_kind kind;
  plan_bytes fields; /* a map: field → value */
  dsl_ref *refs;     /* in the order of their offsets */
  size_t n_refs;
};

/* The tag, version and schema hash are those of the dialect that this planner knows? */
bool dsl_is_known(const uint8_t header[79]);

/* `plan` with its header. RC_INVALID: not a plan, or not whole; RC_EXHAUSTED: whole, but not to be
 * taken apart: deeper or larger than the bounds (what several nodes share counts for each of them),
 * or a field names another node where none is expected. */
MUST_CHECK rc dsl_parse(const uint8_t *plan, size_t len, arena *a, const dsl_node **root, err *e);
typedef struct dsl_mark { /* where a piece of the tree's bytes came to stand in the written plan */
  plan_bytes piece;       /* in: part of the fields of a node (compared by address), no ref in it */
  uint64_t offset;        /* out: from the plan's beginning; UINT64_MAX: it is not in the tree;
                             RC_INTERNAL: it is there more than once */
} dsl_mark;
/* Appends header and tree as one plan. What several nodes share, by address, is written once, and
 * Polars reads it once, too. Equal trees give equal bytes. `marks` may be NULL. RC_EXHAUSTED: twice
 * the depth, or four times the nodes, that a parsed plan can have. */
MUST_CHECK rc dsl_write(const dsl_node *root, const uint8_t header[79], dsl_mark *marks,
                        size_t n_marks, spool *out, err *e);

/* ---- looking ---- */

const char *dsl_kind_name(dsl_kind kind);
size_t dsl_n_inputs(const dsl_node *n);
const dsl_node *dsl_input(const dsl_node *n, size_t i); /* in the order of the fields */
/* The value of a field; data NULL: no such field. */
plan_bytes dsl_field(const dsl_node *n, const char *name);
/* The same, deeper, for fields that are maps: dsl_at(n, "options", "args", "how", NULL). */
plan_bytes dsl_at(const dsl_node *n, ...) __attribute__((sentinel));
/* A value's name: a string, or the only key of a map: "Inner" of "Inner", "AsOf" of {"AsOf": …}.
 * {NULL, 0} for anything else. */
plan_bytes plan_value_name(plan_bytes value);
bool plan_value_is(plan_bytes value, const char *name); /* plan_value_name(value) equals name? */
bool plan_value_true(plan_bytes value);                 /* the boolean true? */
bool plan_value_nil(plan_bytes value);                  /* nil, or not there? */
bool plan_value_int(plan_bytes value, int64_t *out);
/* Items of an array value into the arena; false: no array, or of more than PLAN_MAX_ITEMS. */
bool plan_value_items(plan_bytes value, arena *a, plan_bytes **items, size_t *n);

/* ---- making ---- */

/* A copy of `n` with other inputs, as many as it has. */
const dsl_node *dsl_with_inputs(arena *a, const dsl_node *n, const dsl_node *const *inputs);
/* A copy of `n` with another value in a field. NULL: there is no such field, or it holds a ref. */
const dsl_node *dsl_with_field(arena *a, const dsl_node *n, const char *field, plan_bytes value);
/* The same for `old`, a part of its fields as dsl_at gives it. */
const dsl_node *dsl_with_value(arena *a, const dsl_node *n, plan_bytes old, plan_bytes value);

/* The tree with other nodes in place of those for which `with` gives one; below them, and below
 * what `with` made, nothing is looked at. What does not change is shared. */
typedef const dsl_node *dsl_replacement(void *arg, const dsl_node *n); /* NULL: as it is */
const dsl_node *dsl_replace(arena *a, const dsl_node *n, dsl_replacement *with, void *arg);

const dsl_node *dsl_select(arena *a, const plan_bytes *exprs, size_t n, const dsl_node *input);
const dsl_node *dsl_filter(arena *a, plan_bytes predicate, const dsl_node *input);
const dsl_node *dsl_slice(arena *a, int64_t offset, uint64_t len, const dsl_node *input);
/* keys and aggregates, no HAVING, no maintain_order */
const dsl_node *dsl_group_by(arena *a, const plan_bytes *keys, size_t n_keys,
                             const plan_bytes *aggs, size_t n_aggs, const dsl_node *input);
/* Stands where an input was cut off (proto/planning.proto). */
const dsl_node *dsl_leaf(arena *a, uint32_t number);
bool dsl_is_leaf(const dsl_node *n, uint32_t *number); /* one that dsl_leaf made? */

#endif
