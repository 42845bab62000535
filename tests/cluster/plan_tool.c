/* tests/cluster/plan_tool.c: src/plan from a pipe, for local_cluster.py. SPDX-License-Identifier:
 * Apache-2.0
 *
 * One query after the other; a frame is u32 little-endian length and bytes. An empty frame in place
 * of an answer is followed by the text of the error, and the query is over.
 *   → limits as text, the client's plan        ← DescribeRequest
 *   → DescribeResponse                         ← stage graph as text, CaptureRequest
 *   → CaptureResponse (empty: no pushdown)     ← lines of what was decided and how often; number of
 *                                                stages; of each: facts as JSON, partition key,
 *                                                plans of its tasks */
#include "plan/aggregate.h"
#include "plan/stages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY = 1 << 30, TASKS_AT_MOST = 64 };

typedef struct query {
  arena a;
  buf plan, answer, captured;
  described d;
  stage_limits limits;
  stage_graph graph;
  Planning__DescribeResponse *described;
} query;

/* ---- frames ---- */

static bool read_frame(buf *b) {
  uint32_t len;
  buf_clear(b);
  if (fread(&len, sizeof len, 1, stdin) != 1) return false;
  if (buf_reserve(b, len + 1, NULL) != RC_OK) abort();
  b->len = len;
  return fread(b->data, 1, len, stdin) == len;
}

static void write_frame(const void *data, size_t len) {
  uint32_t n = (uint32_t)len;
  fwrite(&n, sizeof n, 1, stdout);
  if (len) fwrite(data, 1, len, stdout);
}

static void write_message(const ProtobufCMessage *m) {
  size_t len = protobuf_c_message_get_packed_size(m);
  uint8_t *packed = malloc(len + 1);
  write_frame(packed, protobuf_c_message_pack(m, packed));
  free(packed);
}

/* ---- steps ---- */

static void read_limits(query *q, const char *text) {
  int pre = 0, one = 0, sort = 0;
  if (sscanf(text, "%u %lf %lf %lf %d %d %d", &q->limits.partitions, &q->limits.small_rows,
             &q->limits.replicate_rows, &q->limits.broadcast_rows, &pre, &one, &sort) != 7)
    abort();
  q->limits.pre_aggregation = pre;
  q->limits.user_sink = one;
  q->limits.partitioned_sort = sort;
  q->limits.lower_expressions = true;
}

static rc ask(query *q, const dsl_node **root, err *e) {
  Planning__DescribeRequest request;
  TRY(dsl_parse(q->plan.data, q->plan.len, &q->a, root, e));
  TRY(describe_request(stages_below_sink(*root), q->plan.data, &q->a, &q->d, &request, e));
  write_message(&request.base);
  return RC_OK;
}

static rc cut(query *q, const dsl_node *root, err *e) {
  Planning__CaptureRequest request;
  q->described = planning__describe_response__unpack(NULL, q->answer.len, q->answer.data);
  if (!q->described) return ERR(e, RC_INVALID, "no DescribeResponse");
  TRY(describe_take(&q->d, q->described, e));
  TRY(stages_cut(root, &q->d, &q->limits, &q->a, &q->graph, e));
  TRY(stages_capture_request(&q->graph, &q->d, q->plan.data, &q->a, &request, e));
  buf text = {0};
  stages_print_text(&q->graph, &text);
  write_frame(text.data, text.len);
  write_message(&request.base);
  buf_deinit(&text);
  return RC_OK;
}

static rc capture(query *q, err *e) {
  if (!q->captured.len) return RC_OK;
  Planning__CaptureResponse *response =
      planning__capture_response__unpack(NULL, q->captured.len, q->captured.data);
  if (!response) return ERR(e, RC_INVALID, "no CaptureResponse");
  rc r = stages_take_capture(&q->graph, response, &q->a, e);
  planning__capture_response__free_unpacked(response, NULL);
  return r;
}

static rc write_task(query *q, const stage *st, spool *plan, const stage_marks *marks, uint32_t i,
                     uint32_t n, err *e) {
  stage_splice splices[STAGE_MAX_SPLICES];
  const uint8_t *data;
  TRY(spool_view(plan, &data, e));
  size_t n_splices = stages_bind(st, marks, i, n, &q->a, splices);
  buf out = {0};
  uint64_t at = 0;
  for (size_t k = 0; k < n_splices; k++) {
    TRY(buf_append(&out, data + at, (size_t)(splices[k].offset - at), e));
    TRY(buf_append(&out, splices[k].with.data, splices[k].with.len, e));
    at = splices[k].offset + splices[k].len;
  }
  TRY(buf_append(&out, data + at, (size_t)(spool_len(plan) - at), e));
  write_frame(out.data, out.len);
  buf_deinit(&out);
  return RC_OK;
}

static void put_hex(buf *b, plan_bytes bytes) {
  buf_puts(b, "\"");
  for (size_t i = 0; i < bytes.len; i++) buf_printf(b, "%02x", bytes.data[i]);
  buf_puts(b, "\"");
}

static void write_facts(const stage *st, uint32_t n_tasks) {
  buf b = {0};
  buf_printf(&b, "{\"tasks\":%u,\"kind\":%d,\"final\":%s,\"ordered\":%s,\"range\":%s,\"leaves\":[",
             n_tasks, st->tasks, st->final ? "true" : "false",
             st->output.ordered ? "true" : "false", st->output.range.data ? "true" : "false");
  for (size_t i = 0; i < st->n_leaves; i++) {
    const stage_leaf *l = st->leaves[i];
    buf_printf(&b, "%s{\"leaf\":%u,\"read\":%d,\"producers\":[", i ? "," : "", l->number, l->read);
    for (size_t p = 0; p < l->n_producers; p++)
      buf_printf(&b, "%s%u", p ? "," : "", l->producers[p]->number);
    buf_puts(&b, "],\"schema\":");
    put_hex(&b, l->schema);
    buf_puts(&b, "}");
  }
  buf_puts(&b, "]}");
  write_frame(b.data, b.len);
  buf_deinit(&b);
}

static rc write_stage(query *q, const stage *st, err *e) {
  spool *plan = spool_new("/tmp", MEMORY);
  stage_marks marks = {0};
  stage plain = *st;
  plain.sink = NULL;
  rc r = stages_write(&plain, q->plan.data, &q->a, plan, &marks, e);
  uint32_t n = st->tasks == STAGE_SOURCE ? stages_source_tasks(st, q->limits.partitions) : 1;
  write_facts(st, n);
  plan_bytes key = st->output.range;
  if (st->output.n_keys)
    key = expr_hash_partition(&q->a, st->output.keys, st->output.n_keys, q->limits.partitions);
  write_frame(key.data, key.len);
  for (uint32_t i = 0; i < n && r == RC_OK; i++) r = write_task(q, st, plan, &marks, i, n, e);
  spool_free(plan);
  return r;
}

static void write_decisions(const stage_graph *g) {
  buf b = {0};
  for (int i = 0; i < N_PLAN_RULES; i++)
    buf_printf(&b, "%u %s\n", g->fired[i], plan_rule_text((plan_rule)i));
  for (unsigned i = 0; aggregate_rule_name(i); i++)
    buf_printf(&b, "%u halves: %s\n", g->halved >> i & 1, aggregate_rule_name(i));
  write_frame(b.data, b.len);
  buf_deinit(&b);
}

static rc write_stages(query *q, err *e) {
  write_decisions(&q->graph);
  uint32_t n = (uint32_t)q->graph.n;
  write_frame(&n, sizeof n);
  for (size_t i = 0; i < q->graph.n; i++) TRY(write_stage(q, q->graph.stages[i], e));
  return RC_OK;
}

static rc run(query *q, err *e) {
  const dsl_node *root;
  TRY(ask(q, &root, e));
  fflush(stdout);
  if (!read_frame(&q->answer)) return ERR(e, RC_INVALID, "expected an answer");
  TRY(cut(q, root, e));
  fflush(stdout);
  if (!read_frame(&q->captured)) return ERR(e, RC_INVALID, "expected an answer");
  TRY(capture(q, e));
  return write_stages(q, e);
}

int main(void) {
  for (;;) {
    query q = {0};
    buf limits = {0};
    bool more = read_frame(&limits) && read_frame(&q.plan);
    err e = {0};
    if (more) {
      limits.data[limits.len] = '\0';
      read_limits(&q, (const char *)limits.data);
      if (run(&q, &e) != RC_OK) {
        write_frame("", 0);
        write_frame(e.text, strlen(e.text));
      }
      fflush(stdout);
    }
    if (q.described) planning__describe_response__free_unpacked(q.described, NULL);
    buf_deinit(&limits);
    buf_deinit(&q.plan);
    buf_deinit(&q.answer);
    buf_deinit(&q.captured);
    arena_deinit(&q.a);
    if (!more) return 0;
  }
}
