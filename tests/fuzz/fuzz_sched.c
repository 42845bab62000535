/* Fuzz target of sched/: bytes are events. SPDX-License-Identifier: Apache-2.0
 *
 * Four bytes are one event: a letter of `letters` (any other byte is taken modulo), and three
 * arguments, digits in the corpus. So a corpus file can be read: "j011" worker 0 joins in life 1
 * with 1 slot, "s100" submits query 1, "w140" opens a final stage in it, "g100" gives it up, "k110"
 * holds it, "d000" the latest attempt is done, "t900" time passes. After each event every invariant
 * must hold, and every query must end once. */
#include "plan/envelope.h"
#include "sched/sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { N_QUERIES = 16, N_WORKERS = 4, LEASE_MS = 1000, STEP_MS = 100 };

static const char letters[] = "jhlscdeounpitwgfk";

typedef struct play {
  sched *sched;
  int64_t now;
  uint32_t n_attempts;
  enum { UNKNOWN, ALIVE, ENDED } queries[N_QUERIES];
} play;

static void must(bool true_after_every_event) {
  if (!true_after_every_event) abort();
}

static attempt_id next_attempt(void *arg) {
  play *p = arg;
  attempt_id id = {0};
  p->n_attempts++;
  memcpy(id.u.bytes, &p->n_attempts, sizeof p->n_attempts);
  return id;
}

static void act(play *p) {
  for (sched_action a; sched_next_action(p->sched, &a);) {
    unsigned q = a.query.u.bytes[0];
    must(p->queries[q] == (a.kind == SCHED_QUERY_FORGOTTEN ? ENDED : ALIVE));
    if (a.kind == SCHED_QUERY_ENDED) p->queries[q] = ENDED;
    if (a.kind == SCHED_QUERY_FORGOTTEN) p->queries[q] = UNKNOWN;
  }
}

static void header_of(unsigned version, uint8_t header[PLAN_HEADER_BYTES]) {
  memset(header, 'a' + (int)version, PLAN_HEADER_BYTES);
}

static void join(play *p, const char *name, const char *life, unsigned c) {
  sched_runtime runtimes[2] = {{.polars_version = "2.0.0", .python_version = "3.11.2"},
                               {.polars_version = "1.41.2", .python_version = "3.12"}};
  header_of(0, runtimes[0].plan_header);
  header_of(1, runtimes[1].plan_header);
  sched_worker_spec spec = {.instance_id = name,
                            .incarnation = life,
                            .slots = c % 4,
                            .runtimes = &runtimes[c / 4 % 2],
                            .n_runtimes = c / 8 % 2 ? 2 - c / 4 % 2 : 1};
  sched_worker_join(p->sched, &spec, p->now);
}

static void submit(play *p, unsigned q, unsigned b, unsigned c) {
  uint8_t header[PLAN_HEADER_BYTES];
  header_of(b % 4 % 3, header);
  sched_query_spec spec = {.id.u.bytes[0] = (uint8_t)q,
                           .priority = (int32_t)(b / 4 % 4) - 1,
                           .n_retries = c % 2,
                           .polars_version = "2.0.0",
                           .plan_header = header,
                           .python_minor = c / 4 % 4 ? 10 + (int)(c / 4 % 4) : -1,
                           .python_micro = c / 16 % 2 ? 2 : -1,
                           .max_workers = c / 64 % 4,
                           .min_workers = b / 64 % 4};
  sched_stage_spec stage = {
      .n_tasks = 1 + b / 16 % 4, .final = c / 32 % 2 == 0, .writes_destination = c / 2 % 2};
  err e = {0};
  rc code = sched_submit(p->sched, &spec, &stage, p->now, &e);
  must(code == RC_OK || *e.text);
  must(code != RC_EXISTS || p->queries[q] != UNKNOWN);
  if (code == RC_OK) p->queries[q] = ALIVE;
}

static void open_stage(play *p, unsigned q, unsigned b, unsigned c) {
  static const char *const workers[] = {"w0", "w1", "w2", "w3", "w4", NULL};
  const char *prefer[4];
  for (size_t i = 0; i < 4; i++) prefer[i] = workers[(c + i) % 6];
  sched_stage_spec stage = {.n_tasks = b % 4 + (b / 16 % 8 != 7),
                            .final = b / 4 % 2,
                            .writes_destination = b / 8 % 2,
                            .prefer = c / 8 % 2 ? prefer : NULL,
                            .pinned = c / 16 % 2};
  query_id id = {.u.bytes[0] = (uint8_t)q};
  uint32_t number;
  err e = {0};
  rc code = sched_open_stage(p->sched, id, &stage, p->now, &number, &e);
  must(code == RC_OK ? p->queries[q] == ALIVE : *e.text);
  must(code != RC_NOT_FOUND || p->queries[q] != ALIVE);
}

static void give_up(play *p, unsigned q) {
  query_id id = {.u.bytes[0] = (uint8_t)q};
  rc code = sched_give_up_stages(p->sched, id, q & 1, p->now, NULL);
  must((code == RC_NOT_FOUND) == (p->queries[q] != ALIVE));
}

static void hold(play *p, unsigned q, bool held) {
  query_id id = {.u.bytes[0] = (uint8_t)q};
  rc code = sched_hold_query(p->sched, id, held, p->now, NULL);
  must((code == RC_NOT_FOUND) == (p->queries[q] != ALIVE));
}

static void end_query(play *p, unsigned q, bool well) {
  query_id id = {.u.bytes[0] = (uint8_t)q};
  sched_query_state state = well ? SCHED_QUERY_SUCCEEDED : SCHED_QUERY_FAILED;
  rc code = sched_end_query(p->sched, id, state, p->now, NULL);
  must((code == RC_NOT_FOUND) == (p->queries[q] != ALIVE));
}

static void ask(const play *p, unsigned q) {
  query_id id = {.u.bytes[0] = (uint8_t)q};
  uint32_t workers, slots;
  sched_capacity(p->sched, id, &workers, &slots);
  must(workers <= N_WORKERS && slots <= 3 * workers);
}

static void end(play *p, unsigned ago, sched_outcome outcome) {
  uint32_t number = p->n_attempts - ago;
  attempt_id id = {0};
  memcpy(id.u.bytes, &number, sizeof number);
  sched_attempt_ended(p->sched, id, outcome, p->now);
}

static void happen(play *p, uint8_t what, unsigned a, unsigned b, unsigned c) {
  const char *known = what ? strchr(letters, what) : NULL;
  char name[8], life[8];
  snprintf(name, sizeof name, "w%u", a % N_WORKERS);
  snprintf(life, sizeof life, "%u", b % 4);
  switch (known ? *known : letters[what % (sizeof letters - 1)]) {
  case 'j':
    join(p, name, life, c);
    break;
  case 'h':
    sched_worker_heartbeat(p->sched, name, life, p->now);
    break;
  case 'l':
    sched_worker_leave(p->sched, name, life, p->now);
    break;
  case 's':
    submit(p, a % N_QUERIES, b, c);
    break;
  case 'c': {
    query_id id = {.u.bytes[0] = (uint8_t)(a % N_QUERIES)};
    must((sched_cancel(p->sched, id, p->now, NULL) == RC_OK) == (p->queries[a % N_QUERIES] > 0));
    break;
  }
  case 'd':
    end(p, a, SCHED_DONE);
    break;
  case 'e':
    end(p, a, SCHED_QUERY_ERROR);
    break;
  case 'o':
    end(p, a, SCHED_LOST);
    break;
  case 'u':
    end(p, a, SCHED_UNREACHABLE);
    break;
  case 'n':
    end(p, a, SCHED_NOT_BEGUN);
    break;
  case 'p':
    end(p, a, SCHED_STOPPED);
    break;
  case 'i':
    end(p, a, SCHED_INPUT_LOST);
    break;
  case 'w':
    open_stage(p, a % N_QUERIES, b, c);
    break;
  case 'g':
    give_up(p, a % N_QUERIES);
    break;
  case 'k':
    hold(p, a % N_QUERIES, b % 2);
    break;
  case 'f':
    end_query(p, a % N_QUERIES, b % 2);
    break;
  case 't':
    p->now += (a % 64) * STEP_MS;
    sched_tick(p->sched, p->now);
    must(sched_next_tick(p->sched) > p->now);
    break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  if (len < 4) return 0;
  play p = {.now = 1};
  p.sched = sched_new(&(sched_config){.min_workers = data[0] % 4,
                                      .max_losses = data[1] % 4,
                                      .lease_ms = LEASE_MS,
                                      .max_queued = 1 + data[2] % 16,
                                      .max_finished = data[3] % 16,
                                      .new_attempt = next_attempt,
                                      .arg = &p});
  for (size_t at = 4; at + 4 <= len; at += 4) {
    const uint8_t *v = data + at;
    happen(&p, v[0], v[1] - (unsigned)'0', v[2] - (unsigned)'0', v[3] - (unsigned)'0');
    must(!sched_validate(p.sched));
    ask(&p, (v[1] - (unsigned)'0') % N_QUERIES);
    act(&p);
  }
  sched_free(p.sched);
  return 0;
}
