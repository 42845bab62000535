/* scheduler/answer.c: a finished query in the client's words, and how any answer is sent.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The official client panics when query_result, compute_info or a valid status is missing: all
 * three are always set. */
#include "base/arena.h"
#include "scheduler/internal.h"

#include <client.pb-c.h>
#include <stdlib.h>
#include <strings.h>

static Client__FileType file_type_of(const query *q) {
  static const struct {
    const char *format;
    Client__FileType type;
  } TYPES[] = {{"Parquet", CLIENT__FILE_TYPE__FT_PARQUET},
               {"Ipc", CLIENT__FILE_TYPE__FT_IPC},
               {"Csv", CLIENT__FILE_TYPE__FT_CSV},
               {"NDJson", CLIENT__FILE_TYPE__FT_NDJSON}};
  if (query_is_anonymous(q)) return CLIENT__FILE_TYPE__FT_PARQUET;
  for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
    if (!strcasecmp(q->format, TYPES[i].format)) return TYPES[i].type;
  return CLIENT__FILE_TYPE__FT_UNSPECIFIED;
}

/* As this client can open it. */
static char *destination(arena *a, const grpc_call *call, const scheduler *s, const query *q,
                         uint32_t file) {
  char *url = query_is_anonymous(q) ? serving_url(s, q, file, call) : NULL;
  char *text = url ? arena_printf(a, "%s", url) : q->files[file].location;
  free(url);
  return text;
}

static void put_output(arena *a, const grpc_call *call, const scheduler *s,
                       Client__GetQueryResultResponse *r, const query *q) {
  Client__QueryOutput *out = ARENA_NEW(a, Client__QueryOutput, 1);
  client__query_output__init(out);
  Client__Destination *items = ARENA_NEW(a, Client__Destination, q->n_files);
  out->destination = ARENA_NEW(a, Client__Destination *, q->n_files);
  out->n_destination = q->n_files;
  for (uint32_t i = 0; i < q->n_files; i++) {
    client__destination__init(&items[i]);
    items[i].destination = destination(a, call, s, q, i);
    out->destination[i] = &items[i];
  }
  out->file_type = file_type_of(q);
  out->n_rows_result = q->rows;
  r->query_result->opt_output_case = CLIENT__QUERY_RESULT__OPT_OUTPUT_OUTPUT;
  r->query_result->output = out;
}

static void put_errors(arena *a, Client__QueryResult *r, const query *q) {
  Client__Error *items = ARENA_NEW(a, Client__Error, q->n_errors);
  r->errors = ARENA_NEW(a, Client__Error *, q->n_errors);
  r->n_errors = q->n_errors;
  for (size_t i = 0; i < q->n_errors; i++) {
    client__error__init(&items[i]);
    items[i].message = q->errors[i];
    r->errors[i] = &items[i];
  }
}

static Client__QueryStageStatistics *stage_statistics(arena *a, const query *q) {
  Client__QueryStageStatistics *out = ARENA_NEW(a, Client__QueryStageStatistics, 1);
  client__query_stage_statistics__init(out);
  size_t n = out->n_stage_statistics = q->n_workers_used;
  out->stage_statistics = ARENA_NEW(a, Client__QueryStageStatistics__StageStatisticsEntry *, n);
  for (uint32_t i = 0; i < n; i++) {
    Client__QueryStageStatistics__StageStatisticsEntry *entry =
        ARENA_NEW(a, Client__QueryStageStatistics__StageStatisticsEntry, 1);
    client__query_stage_statistics__stage_statistics_entry__init(entry);
    entry->key = i;
    entry->value = ARENA_NEW(a, Client__StageStatistics, 1);
    client__stage_statistics__init(entry->value);
    entry->value->num_workers_used = q->workers_used[i];
    out->stage_statistics[i] = entry;
  }
  return out;
}

static void put_head(Client__ComputeQueryInfo *info, const query *q) {
  if (q->head.len) {
    info->head_case = CLIENT__COMPUTE_QUERY_INFO__HEAD_DATA;
    info->data = (ProtobufCBinaryData){q->head.len, q->head.data};
  } else if (q->head_error) {
    info->head_case = CLIENT__COMPUTE_QUERY_INFO__HEAD_ERROR;
    info->error = q->head_error;
  }
}

void answer_message(grpc_call *call, const ProtobufCMessage *m) {
  size_t len = protobuf_c_message_get_packed_size(m);
  buf packed = {0};
  err e = {0};
  rc code = buf_reserve(&packed, len, &e);
  if (code == RC_OK) grpc_call_send(call, packed.data, protobuf_c_message_pack(m, packed.data));
  grpc_call_finish(call, code, e.text);
  buf_deinit(&packed);
}

void answer_status(grpc_call *call, const scheduler *s, const query *q) {
  Client__GetQueryStatusResponse response;
  client__get_query_status_response__init(&response);
  response.status = (Client__QueryStatus)(scheduler_info(s, q).state + 1);
  answer_message(call, &response.base);
}

void answer_result(grpc_call *call, const scheduler *s, query *q) {
  arena a = {0};
  sched_query_info state = scheduler_info(s, q);
  Client__QueryResult result;
  client__query_result__init(&result);
  result.total_stages = state.total_stages;
  result.finished_stages = state.finished_stages;
  result.failed_stages = state.failed_stages;
  put_errors(&a, &result, q);

  Client__ComputeQueryInfo info;
  client__compute_query_info__init(&info);
  info.stage_statistics = stage_statistics(&a, q);
  info.execute_until = q->only_planned ? (Client__ExecuteUntil)q->settings.until
                                       : CLIENT__EXECUTE_UNTIL__UNTIL_EXECUTE;
  put_head(&info, q);

  Client__GetQueryResultResponse response;
  client__get_query_result_response__init(&response);
  response.query_result = &result;
  response.compute_info = &info;
  response.query_status = (Client__QueryStatus)(state.state + 1);
  bool has_files = !q->only_planned && q->sink != PLAN_SINK_FLIGHT && !q->deleted;
  if (state.state == SCHED_QUERY_SUCCEEDED && has_files) put_output(&a, call, s, &response, q);

  answer_message(call, &response.base);
  arena_deinit(&a);
}
