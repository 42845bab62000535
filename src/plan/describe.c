/* plan/describe.c: see describe.h. SPDX-License-Identifier: Apache-2.0 */
#include "plan/describe.h"

#include "plan/parts.h"

#include <string.h>

enum { BYTES_OF_A_TEXT_ROW = 64 }; /* a guess, for csv and ndjson */

typedef struct asking {
  described *d;
  arena *a;
  const uint8_t *header;
  Planning__DescribeRequest *out;
  uint64_t bytes; /* of frames and fields so far */
} asking;

/* ---- questions ---- */

ProtobufCBinaryData describe_binary(plan_bytes b) {
  return (ProtobufCBinaryData){b.len, (uint8_t *)(uintptr_t)b.data};
}

ProtobufCBinaryData *describe_binaries(arena *a, const plan_bytes *items, size_t n) {
  ProtobufCBinaryData *out = ARENA_NEW(a, ProtobufCBinaryData, n + 1);
  for (size_t i = 0; i < n; i++) out[i] = describe_binary(items[i]);
  return out;
}

static Planning__Question *ask(asking *q, Planning__Node *to, Planning__Question__Kind kind,
                               const plan_bytes *exprs, size_t n) {
  Planning__Question **more = ARENA_NEW(q->a, Planning__Question *, to->n_questions + 1);
  if (to->n_questions) memcpy(more, to->questions, to->n_questions * sizeof *more);
  Planning__Question *question = ARENA_NEW(q->a, Planning__Question, 1);
  planning__question__init(question);
  question->kind = kind;
  question->exprs = describe_binaries(q->a, exprs, n);
  question->n_exprs = n;
  more[to->n_questions++] = question;
  to->questions = more;
  return question;
}

/* What its selector stands for, and the dtypes that its aggregates depend on. */
static void ask_of_expr(asking *q, Planning__Node *to, plan_bytes expr) {
  expr_facts facts = expr_read(expr);
  if (facts.selector_value.data && expr_selector_expands(expr))
    ask(q, to, PLANNING__QUESTION__KIND__EXPAND, &facts.selector_value, 1);
  if (facts.selector) return;
  if (facts.class == EXPR_WINDOW) {
    plan_bytes *keys;
    size_t n_keys;
    if (plan_value_items(facts.window_keys, q->a, &keys, &n_keys))
      ask(q, to, PLANNING__QUESTION__KIND__HASHABLE, keys, n_keys);
  }
  aggregate_typed *typed = NULL;
  size_t n = 0;
  aggregate_needs(q->a, expr, &typed, &n);
  for (size_t i = 0; i < n; i++) ask(q, to, PLANNING__QUESTION__KIND__DTYPE, &typed[i].expr, 1);
}

static void ask_of_exprs(asking *q, Planning__Node *to, plan_bytes list) {
  plan_bytes *exprs;
  size_t n;
  if (!plan_value_items(list, q->a, &exprs, &n)) return;
  for (size_t i = 0; i < n; i++) ask_of_expr(q, to, exprs[i]);
}

static void ask_dtypes(asking *q, Planning__Node *to, plan_bytes list) {
  plan_bytes *exprs;
  size_t n;
  if (!plan_value_items(list, q->a, &exprs, &n)) return;
  for (size_t i = 0; i < n; i++) ask(q, to, PLANNING__QUESTION__KIND__DTYPE, &exprs[i], 1);
}

static void ask_hashable(asking *q, Planning__Node *to, plan_bytes list) {
  plan_bytes *exprs;
  size_t n;
  if (plan_value_items(list, q->a, &exprs, &n) && n)
    ask(q, to, PLANNING__QUESTION__KIND__HASHABLE, exprs, n);
}

plan_bytes describe_all_columns(void) {
  static const char all[] = "\x81\xa8Selector\xa8Wildcard";
  return (plan_bytes){(const uint8_t *)all, sizeof all - 1};
}

/* Of a nil subset: all columns count. */
static void ask_distinct(asking *q, Planning__Node *to, plan_bytes subset) {
  plan_bytes all = describe_all_columns();
  ask_of_exprs(q, to, subset);
  if (plan_value_nil(subset))
    ask(q, to, PLANNING__QUESTION__KIND__HASHABLE, &all, 1);
  else
    ask_hashable(q, to, subset);
}

static void ask_join_keys(asking *q, Planning__Node *to, const dsl_node *n) {
  plan_bytes *left, *right;
  size_t n_left, n_right;
  if (!plan_value_items(dsl_at(n, "condition", "Equi", "left_on", NULL), q->a, &left, &n_left) ||
      !plan_value_items(dsl_at(n, "condition", "Equi", "right_on", NULL), q->a, &right, &n_right) ||
      !n_left)
    return;
  Planning__Question *question = ask(q, to, PLANNING__QUESTION__KIND__JOIN_KEYS, left, n_left);
  question->other = describe_binaries(q->a, right, n_right);
  question->n_other = n_right;
}

static void ask_of_union(asking *q, Planning__Node *to, const dsl_node *n) {
  for (uint32_t i = 0; i < dsl_n_inputs(n); i++)
    ask(q, to, PLANNING__QUESTION__KIND__CONFORM, NULL, 0)->input = i;
}

static void ask_of_node(asking *q, Planning__Node *to, const dsl_node *n) {
  switch (n->kind) {
  case DSL_FILTER:
    ask_of_expr(q, to, dsl_field(n, "predicate"));
    break;
  case DSL_SELECT:
    ask_of_exprs(q, to, dsl_field(n, "expr"));
    break;
  case DSL_HSTACK:
    ask_of_exprs(q, to, dsl_field(n, "exprs"));
    break;
  case DSL_GROUP_BY:
    ask_of_exprs(q, to, dsl_field(n, "keys"));
    ask_of_exprs(q, to, dsl_field(n, "aggs"));
    ask_of_exprs(q, to, dsl_field(n, "predicates"));
    ask_hashable(q, to, dsl_field(n, "keys"));
    break;
  case DSL_SORT:
    ask_dtypes(q, to, dsl_field(n, "by_column"));
    break;
  case DSL_DISTINCT:
    ask_distinct(q, to, dsl_at(n, "options", "subset", NULL));
    break;
  case DSL_JOIN:
    ask_join_keys(q, to, n);
    break;
  case DSL_UNION:
    ask_of_union(q, to, n);
    break;
  case DSL_SCAN:
  case DSL_FRAME_SCAN:
  case DSL_PYTHON_SCAN:
  case DSL_RESOLVER:
    to->is_source = true;
    break;
  default:
    break;
  }
}

/* ---- the request ---- */

static uint64_t frame_bytes(const dsl_node *n) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < n->n_refs; i++)
    if (n->refs[i].kind == DSL_REF_FRAME) bytes += n->refs[i].frame.len;
  return bytes;
}

rc describe_write(const dsl_node *tree, const uint8_t header[79], arena *a,
                  ProtobufCBinaryData *out, err *e) {
  spool *plan = spool_new("/", SIZE_MAX); /* in memory: frames were counted before */
  rc r = dsl_write(tree, header, NULL, 0, plan, e);
  size_t got = 0;
  if (r == RC_OK) {
    out->len = (size_t)spool_len(plan);
    out->data = ARENA_NEW(a, uint8_t, out->len);
    r = spool_read(plan, 0, out->data, out->len, &got, e);
  }
  spool_free(plan);
  return r;
}

/* The node alone, leaves in place of its inputs. */
static rc write_alone(asking *q, const dsl_node *n, const uint32_t *inputs,
                      ProtobufCBinaryData *out, err *e) {
  size_t n_inputs = dsl_n_inputs(n);
  const dsl_node **leaves = ARENA_NEW(q->a, const dsl_node *, n_inputs + 1);
  for (size_t i = 0; i < n_inputs; i++) leaves[i] = dsl_leaf(q->a, inputs[i]);
  q->bytes += frame_bytes(n) + n->fields.len;
  if (q->bytes > DESCRIBE_MAX_BYTES)
    return ERR(e, RC_EXHAUSTED,
               "the frames inside the plan take more than %d bytes; write them to files that all "
               "workers can read",
               DESCRIBE_MAX_BYTES);
  return describe_write(n_inputs ? dsl_with_inputs(q->a, n, leaves) : n, q->header, q->a, out, e);
}

static uint32_t number_of(const described *d, const dsl_node *n) {
  for (size_t i = d->n; i-- > 0;)
    if (d->nodes[i].node == n) return (uint32_t)i;
  return UINT32_MAX;
}

/* Inputs first. Depth and number of nodes are bounded by dsl_parse. */
static rc describe_node(asking *q, const dsl_node *n, err *e) {
  if (number_of(q->d, n) != UINT32_MAX) return RC_OK;
  size_t n_inputs = dsl_n_inputs(n);
  uint32_t *inputs = ARENA_NEW(q->a, uint32_t, n_inputs + 1);
  for (size_t i = 0; i < n_inputs; i++) {
    TRY(describe_node(q, dsl_input(n, i), e));
    inputs[i] = number_of(q->d, dsl_input(n, i));
  }
  Planning__Node *node = ARENA_NEW(q->a, Planning__Node, 1);
  planning__node__init(node);
  TRY(write_alone(q, n, inputs, &node->plan, e));
  node->inputs = inputs;
  node->n_inputs = n_inputs;
  ask_of_node(q, node, n);
  if (q->d->n == DSL_MAX_NODES)
    return ERR(e, RC_EXHAUSTED, "the plan has more than %d nodes", DSL_MAX_NODES);
  q->out->nodes[q->out->n_nodes++] = node;
  q->d->nodes[q->d->n++] = (described_node){.node = n, .request = node, .counted = -1};
  return RC_OK;
}

rc describe_request(const dsl_node *root, const uint8_t header[79], arena *a, described *d,
                    Planning__DescribeRequest *out, err *e) {
  planning__describe_request__init(out);
  *d = (described){.nodes = ARENA_NEW(a, described_node, DSL_MAX_NODES)};
  out->nodes = ARENA_NEW(a, Planning__Node *, DSL_MAX_NODES);
  asking q = {.d = d, .a = a, .header = header, .out = out};
  return describe_node(&q, root, e);
}

/* ---- the answers ---- */

static void size_up(described_node *n) {
  const Planning__Source *s = n->answer->source;
  if (!s) return;
  for (size_t i = 0; i < s->n_files; i++) n->bytes += s->files[i]->bytes;
  n->rows = s->has_rows ? (double)s->rows : (double)n->bytes / BYTES_OF_A_TEXT_ROW;
  part_rows limit;
  if (n->node->kind != DSL_SCAN || !parts_limit(n->node, &limit)) return;
  if (n->rows <= (double)limit.len) return;
  n->bytes = (uint64_t)((double)n->bytes * ((double)limit.len / n->rows));
  n->rows = (double)limit.len;
}

rc describe_take(described *d, const Planning__DescribeResponse *response, err *e) {
  if (response->n_nodes != d->n)
    return ERR(e, RC_INVALID, "expected a description of %zu nodes, found %zu", d->n,
               response->n_nodes);
  for (size_t i = 0; i < d->n; i++) {
    described_node *n = &d->nodes[i];
    n->answer = response->nodes[i];
    if (n->answer->n_answers != n->request->n_questions ||
        n->answer->n_dtypes != n->answer->n_names)
      return ERR(e, RC_INVALID, "expected %zu answers about a %s, found %zu",
                 n->request->n_questions, dsl_kind_name(n->node->kind), n->answer->n_answers);
    size_up(n);
  }
  return RC_OK;
}

const described_node *describe_find(const described *d, const dsl_node *n) {
  uint32_t i = number_of(d, n);
  return i == UINT32_MAX ? NULL : &d->nodes[i];
}

void describe_count(described *d, const dsl_node *n, double rows) {
  uint32_t i = number_of(d, n);
  if (i != UINT32_MAX) d->nodes[i].counted = rows;
}

static bool is_about(const Planning__Question *q, plan_bytes expr) {
  if (!expr.data) return true;
  return q->n_exprs && plan_bytes_equal((plan_bytes){q->exprs[0].data, q->exprs[0].len}, expr);
}

const Planning__Answer *describe_answer(const described_node *n, Planning__Question__Kind kind,
                                        uint32_t input, plan_bytes expr) {
  for (size_t i = 0; i < n->request->n_questions; i++) {
    const Planning__Question *q = n->request->questions[i];
    if (q->kind == kind && q->input == input && is_about(q, expr)) return n->answer->answers[i];
  }
  return NULL;
}

const char *describe_dtype(const described_node *n, expr_name column) {
  for (size_t i = 0; i < n->answer->n_names; i++)
    if (expr_name_equal((expr_name){n->answer->names[i], strlen(n->answer->names[i])}, column))
      return n->answer->dtypes[i];
  return NULL;
}
