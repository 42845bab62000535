/* story/story.c: see story.h. SPDX-License-Identifier: Apache-2.0 */
#include "story.h"

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "sched/sched_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct story {
  sched *sched;
  int64_t now;
  uint32_t n_attempts;
  map attempts; /* "a#1" → attempt_id, owned */
  map names;    /* attempt_id → "a#1", owned */
  map lives;    /* worker → its latest incarnation, owned */
  map shaped;   /* queries that have several tasks */
};

static attempt_id count_attempt(void *arg) {
  story *s = arg;
  attempt_id id = {0};
  s->n_attempts++;
  memcpy(id.u.bytes, &s->n_attempts, sizeof s->n_attempts);
  return id;
}

story *story_begin_(story_config c) {
  story *s = NEW(story);
  s->now = 1;
  s->sched = sched_new(&(sched_config){.min_workers = c.min_workers,
                                       .max_losses = c.max_losses ? c.max_losses : 2,
                                       .lease_ms = STORY_LEASE_MS,
                                       .max_queued = c.max_queued ? c.max_queued : 100,
                                       .max_finished = c.max_finished ? c.max_finished : 100,
                                       .new_attempt = count_attempt,
                                       .arg = s});
  return s;
}

static void free_values(map *m) {
  size_t at = 0;
  for (void *value; map_each(m, &at, &value);) free(value);
  map_deinit(m);
}

void story_end(story *s) {
  sched_free(s->sched);
  free_values(&s->attempts);
  free_values(&s->names);
  free_values(&s->lives);
  map_deinit(&s->shaped);
  free(s);
}

/* ---- names -------------------------------------------------------------------------------- */

static query_id query_named(const char *name) {
  query_id id = {0};
  memcpy(id.u.bytes, name, strnlen(name, sizeof id.u.bytes));
  return id;
}

static attempt_id attempt_named(const story *s, const char *name) {
  const attempt_id *id = map_get(&s->attempts, name, strlen(name));
  if (!id) fail_msg("no attempt %s was ever started", name);
  return *id;
}

sched_runtime story_runtime(const char *polars, const char *python) {
  sched_runtime r = {.index_bits = 32};
  unsigned long hash = 5381;
  for (const char *c = polars; *c; c++) hash = hash * 33 + (unsigned char)*c;
  char header[PLAN_HEADER_BYTES + 1];
  snprintf(header, sizeof header, "DSL_VERSION....%016lx%048d", hash, 0);
  memcpy(r.plan_header, header, sizeof r.plan_header);
  snprintf(r.polars_version, sizeof r.polars_version, "%s", polars);
  snprintf(r.python_version, sizeof r.python_version, "%s", python);
  return r;
}

/* ---- what happened ------------------------------------------------------------------------ */

static void name_attempt(story *s, const sched_action *a) {
  const char *query = (const char *)a->query.u.bytes;
  char *name = map_get(&s->shaped, &a->query, sizeof a->query)
                   ? mem_printf("%.16s.%u.%u#%u", query, a->stage, a->task, a->number)
                   : mem_printf("%.16s#%u", query, a->number);
  attempt_id *id = NEW(attempt_id);
  *id = a->attempt;
  assert_null(map_put(&s->attempts, name, strlen(name), id));
  assert_null(map_put(&s->names, id, sizeof *id, name));
}

static void print_action(story *s, const sched_action *a, buf *out) {
  static const char *const ends[] = {"queued", "running", "succeeded", "failed", "canceled"};
  const char *query = (const char *)a->query.u.bytes;
  if (a->kind == SCHED_START) name_attempt(s, a);
  const char *attempt = map_get(&s->names, &a->attempt, sizeof a->attempt);
  if (out->len) buf_puts(out, "; ");
  if (a->kind == SCHED_START) buf_printf(out, "start %s on %s", attempt, a->worker);
  if (a->kind == SCHED_STOP) buf_printf(out, "stop %s on %s", attempt, a->worker);
  if (a->kind == SCHED_STAGE_FINISHED) buf_printf(out, "%.16s.%u finished", query, a->stage);
  if (a->kind == SCHED_STAGES_GIVEN_UP) buf_printf(out, "%.16s given up", query);
  if (a->kind == SCHED_QUERY_ENDED)
    buf_printf(out, "%.16s %s%s", query, ends[a->state], a->lost_too_often ? ", lost" : "");
  if (a->kind == SCHED_QUERY_FORGOTTEN) buf_printf(out, "%.16s forgotten", query);
}

static void expect(story *s, const char *expected) {
  const char *wrong = sched_validate(s->sched);
  if (wrong) fail_msg("%s", wrong);
  buf happened = {0};
  for (sched_action a; sched_next_action(s->sched, &a);) print_action(s, &a, &happened);
  assert_string_equal(buf_text(&happened), expected);
  buf_deinit(&happened);
}

/* ---- sentences ---------------------------------------------------------------------------- */

void join_(story *s, const char *name, const char *expected, story_worker w) {
  sched_runtime runtimes[8];
  size_t n = 0;
  char *versions = mem_strdup(w.polars ? w.polars : "2.0.0"), *rest = versions;
  for (char *v; n < 8 && (v = strsep(&rest, " "));)
    if (*v) runtimes[n++] = story_runtime(v, w.python ? w.python : "3.11.2");
  free(versions);
  if (!w.life) w.life = "1";
  free(map_put(&s->lives, name, strlen(name), mem_strdup(w.life)));
  sched_worker_join(s->sched,
                    &(sched_worker_spec){.instance_id = name,
                                         .incarnation = w.life,
                                         .slots = w.slots ? w.slots : 1,
                                         .runtimes = runtimes,
                                         .n_runtimes = n},
                    s->now);
  expect(s, expected);
}

static rc try_submit(story *s, const char *name, story_query q, err *e) {
  if (!q.polars) q.polars = "2.0.0";
  sched_runtime r = story_runtime(q.polars, "");
  sched_query_spec spec = {.id = query_named(name),
                           .priority = q.priority,
                           .n_retries = q.retries,
                           .polars_version = q.polars,
                           .plan_header = r.plan_header,
                           .python_minor = q.python_minor ? q.python_minor : -1,
                           .python_micro = q.python_micro ? q.python_micro : -1,
                           .max_workers = q.max_workers,
                           .min_workers = q.min_workers};
  sched_stage_spec stage = {
      .n_tasks = q.n_stages ? q.tasks[0] : 1, .final = !q.more, .writes_destination = q.writes};
  if (q.n_stages || q.more) map_put(&s->shaped, &spec.id, sizeof spec.id, s);
  rc code = sched_submit(s->sched, &spec, &stage, s->now, e);
  for (uint32_t i = 1, number; code == RC_OK && i < q.n_stages; i++) {
    stage.n_tasks = q.tasks[i];
    code = sched_open_stage(s->sched, spec.id, &stage, s->now, &number, e);
  }
  return code;
}

void submit_(story *s, const char *name, const char *expected, story_query q) {
  err e = {0};
  if (try_submit(s, name, q, &e) != RC_OK) fail_msg("%s", e.text);
  expect(s, expected);
}

void refused_(story *s, const char *name, rc code, const char *text, story_query q) {
  err e = {0};
  assert_int_equal(try_submit(s, name, q, &e), code);
  if (!strstr(e.text, text)) fail_msg("expected: %s\nfound: %s", text, e.text);
  expect(s, "");
}

void open_stage_(story *s, const char *query, const char *expected, story_stage st) {
  uint32_t number;
  err e = {0};
  sched_stage_spec spec = {.n_tasks = st.tasks ? st.tasks : 1,
                           .final = st.final,
                           .writes_destination = st.writes,
                           .prefer = st.prefer,
                           .pinned = st.pinned};
  if (sched_open_stage(s->sched, query_named(query), &spec, s->now, &number, &e) != RC_OK)
    fail_msg("%s", e.text);
  expect(s, expected);
}

void give_up(story *s, const char *query, rc code, const char *expected) {
  assert_int_equal(sched_give_up_stages(s->sched, query_named(query), true, s->now, NULL), code);
  expect(s, expected);
}

void end_query(story *s, const char *query, sched_query_state end, rc code, const char *expected) {
  assert_int_equal(sched_end_query(s->sched, query_named(query), end, s->now, NULL), code);
  expect(s, expected);
}

void hold(story *s, const char *query, bool held, const char *expected) {
  assert_int_equal(sched_hold_query(s->sched, query_named(query), held, s->now, NULL), RC_OK);
  expect(s, expected);
}

void cancel(story *s, const char *query, const char *expected) {
  assert_int_equal(sched_cancel(s->sched, query_named(query), s->now, NULL), RC_OK);
  expect(s, expected);
}

static void ended(story *s, const char *attempt, sched_outcome outcome, const char *expected) {
  sched_attempt_ended(s->sched, attempt_named(s, attempt), outcome, s->now);
  expect(s, expected);
}
void done(story *s, const char *attempt, const char *expected) {
  ended(s, attempt, SCHED_DONE, expected);
}
void err_in_query(story *s, const char *attempt, const char *expected) {
  ended(s, attempt, SCHED_QUERY_ERROR, expected);
}
void lost(story *s, const char *attempt, const char *expected) {
  ended(s, attempt, SCHED_LOST, expected);
}
void not_begun(story *s, const char *attempt, const char *expected) {
  ended(s, attempt, SCHED_NOT_BEGUN, expected);
}
void unreachable(story *s, const char *attempt, const char *expected) {
  ended(s, attempt, SCHED_UNREACHABLE, expected);
}
void input_lost(story *s, const char *attempt, const char *expected) {
  ended(s, attempt, SCHED_INPUT_LOST, expected);
}
void stopped(story *s, const char *attempt, const char *expected) {
  ended(s, attempt, SCHED_STOPPED, expected);
}

static const char *life_of(const story *s, const char *worker) {
  const char *life = map_get(&s->lives, worker, strlen(worker));
  if (!life) fail_msg("no worker %s has ever joined", worker);
  return life;
}

void heartbeat(story *s, const char *worker, const char *expected) {
  assert_true(sched_worker_heartbeat(s->sched, worker, life_of(s, worker), s->now));
  expect(s, expected);
}

void heartbeat_unknown(story *s, const char *worker, const char *life) {
  assert_false(sched_worker_heartbeat(s->sched, worker, life, s->now));
  expect(s, "");
}

void leave(story *s, const char *worker, const char *expected) {
  sched_worker_leave(s->sched, worker, life_of(s, worker), s->now);
  expect(s, expected);
}

void pass(story *s, int64_t ms, const char *expected) {
  s->now += ms;
  sched_tick(s->sched, s->now);
  expect(s, expected);
}

/* ---- questions ---------------------------------------------------------------------------- */

sched_query_info query_info(story *s, const char *query) {
  sched_query_info info;
  if (!sched_query_info_get(s->sched, query_named(query), &info)) fail_msg("no query %s", query);
  return info;
}

sched_worker_info worker_info(story *s, const char *worker) {
  size_t at = 0;
  for (sched_worker_info info; sched_workers_each(s->sched, &at, &info);)
    if (!strcmp(info.instance_id, worker)) return info;
  fail_msg("no worker %s", worker);
  return (sched_worker_info){0};
}

sched *story_sched(story *s) {
  return s->sched;
}
