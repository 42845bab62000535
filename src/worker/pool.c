/* worker/pool.c: see pool.h. SPDX-License-Identifier: Apache-2.0
 *
 * `dispatch` runs after everything that may have changed who can start: it gives waiting jobs to
 * idle executors and starts executors for the rest. A member is busy from the start of its job
 * until its executor reports IDLE or GONE: the job's end comes earlier. */
#include "worker/pool.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "net/afterwards.h"

#include <stdlib.h>
#include <string.h>

enum {
  FAILED_STARTS = 3, /* in a row: then a runtime is given up, or not kept warm */
  IDLE_MS = 5 * 60 * 1000,
  REAP_MS = 30 * 1000,
};

typedef struct warm { /* what the pool knows of a runtime, beside its description */
  executor_config config;
  char **argv;
  list members;
  size_t n_members;
  unsigned failed_starts;
  bool settled;
  pool *pool;
} warm;

typedef struct pool_member {
  list link; /* in warm.members */
  warm *warm;
  executor *executor;
  pool_job *job; /* NULL: none, or it has ended already */
  bool ready, busy;
  bool retired; /* idle for too long, and killed */
  uint64_t idle_since_ms;
} pool_member;

struct pool {
  pool_config config;
  executor_user user;
  char *package_dir;
  char **env;
  runtime *runtimes;
  warm *warms; /* one for each runtime */
  size_t n, unsettled;
  list waiting; /* of pool_job */
  size_t running, members;
  uv_timer_t reaper;
  bool stopping, reaper_closed;
  void (*done)(void *);
  void *done_arg;
};

const runtime *pool_runtimes(const pool *p, size_t *n) {
  *n = p->n;
  return p->runtimes;
}
size_t pool_running(const pool *p) {
  return p->running;
}

static runtime *runtime_of(const warm *w) {
  return &w->pool->runtimes[w - w->pool->warms];
}

size_t pool_pids(const pool *p, int *out, size_t room) {
  size_t n = 0;
  for (size_t i = 0; i < p->n; i++)
    LIST_EACH (&p->warms[i].members, it, tmp) {
      if (n < room) out[n] = executor_pid(LIST_ENTRY(it, pool_member, link)->executor);
      n++;
    }
  return n;
}

uint64_t pool_resident_bytes(const pool *p) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < p->n; i++)
    LIST_EACH (&p->warms[i].members, it, tmp)
      bytes += resources_resident_bytes(executor_pid(LIST_ENTRY(it, pool_member, link)->executor));
  return bytes;
}

/* ---- executors ---- */

static void on_change(void *owner, executor *x);

static rc start_executor(warm *w, err *e) {
  pool_member *m = NEW(pool_member);
  m->warm = w;
  executor_config config = w->config;
  config.owner = m;
  rc r = executor_new(&config, &m->executor, e);
  if (r != RC_OK) {
    w->failed_starts++;
    free(m);
    return r;
  }
  list_push_back(&w->members, &m->link);
  w->n_members++;
  w->pool->members++;
  return RC_OK;
}

static void settle(warm *w) {
  pool *p = w->pool;
  if (w->settled) return;
  w->settled = true;
  if (--p->unsettled == 0 && !p->stopping) p->config.on_probed(p->config.owner);
}

static bool is_given_up(const warm *w) {
  return w->failed_starts >= FAILED_STARTS;
}

/* ---- jobs ---- */

static void end_job(pool_job *job, executor_result *result) {
  list_remove(&job->link);
  job->member = NULL;
  job->on_end(job, result);
}

static void on_job_end(void *arg, executor_result *result) {
  pool_member *m = arg;
  pool_job *job = m->job;
  m->job = NULL;
  if (result->end == EXECUTOR_END_DONE) m->warm->failed_starts = 0;
  end_job(job, result);
}

static void on_job_profile(void *owner, const Executor__Profile *profile) {
  const pool_member *m = owner;
  if (m->job) m->job->on_profile(m->job, profile);
}

static void start_job(pool *p, pool_job *job, pool_member *m) {
  list_remove(&job->link);
  job->started_ns = uv_hrtime();
  err e = {0};
  rc r = executor_run(m->executor, &job->run, job->plan_fd, on_job_end, m, &e);
  m->busy = true;
  p->running++;
  if (r == RC_OK) {
    job->member = m;
    m->job = job;
    return;
  }
  executor_kill(m->executor);
  end_job(job, &(executor_result){.end = EXECUTOR_END_LOST, .text = e.text});
}

static pool_member *idle_member(const warm *w) {
  LIST_EACH (&w->members, it, tmp) {
    pool_member *m = LIST_ENTRY(it, pool_member, link);
    if (m->ready && !m->busy && !m->retired && executor_state_of(m->executor) == EXECUTOR_IDLE)
      return m;
  }
  return NULL;
}

static void fail_waiting(pool *p, const warm *w, const char *why) {
  char *text = mem_printf("no executor of runtime %s starts: %s", runtime_of(w)->name, why);
  LOG_ERROR("an executor does not start", "runtime", runtime_of(w)->name, "error", why);
  for (bool found = true; found;) { /* on_end may change the list: look again from its front */
    found = false;
    LIST_EACH (&p->waiting, it, tmp) {
      pool_job *job = LIST_ENTRY(it, pool_job, link);
      if (&p->warms[job->runtime] != w) continue;
      end_job(job, &(executor_result){.end = EXECUTOR_END_LOST, .text = text});
      found = true;
      break;
    }
  }
  free(text);
}

/* ---- dispatch ---- */

static void start_waiting(pool *p) {
  LIST_EACH (&p->waiting, it, tmp) {
    if (p->running == p->config.share.slots) return;
    pool_job *job = LIST_ENTRY(it, pool_job, link);
    pool_member *m = idle_member(&p->warms[job->runtime]);
    if (m) start_job(p, job, m);
  }
}

/* Executors that are on their way, or soon free, are counted before one more is started. */
static void start_needed(pool *p, warm *w) {
  size_t wanted = 0, coming = 0;
  LIST_EACH (&p->waiting, it, tmp)
    wanted += &p->warms[LIST_ENTRY(it, pool_job, link)->runtime] == w;
  LIST_EACH (&w->members, it, tmp) {
    const pool_member *m = LIST_ENTRY(it, pool_member, link);
    coming += !m->busy && !m->retired;
  }
  if (!w->n_members && !is_given_up(w) && !wanted) wanted = 1; /* the warm one */
  while (coming < wanted && w->n_members < p->config.share.slots) {
    err e = {0};
    if (start_executor(w, &e) != RC_OK) {
      fail_waiting(p, w, e.text);
      return;
    }
    coming++;
  }
}

static void dispatch(pool *p) {
  if (p->stopping) return;
  start_waiting(p);
  for (size_t i = 0; i < p->n; i++)
    if (p->warms[i].settled) start_needed(p, &p->warms[i]);
}

/* ---- what executors report ---- */

/* false: it is not what this runtime was, and has been stopped. */
static bool take_hello(pool_member *m) {
  runtime *r = runtime_of(m->warm);
  Executor__Hello *hello = executor_take_hello(m->executor);
  if (!r->hello) {
    r->hello = hello;
    LOG_INFO("runtime found", "runtime", r->name, "polars", hello->polars_version, "python",
             hello->python_version);
    settle(m->warm);
    return true;
  }
  err e = {0};
  rc same = runtime_check_same(r, hello, &e);
  executor__hello__free_unpacked(hello, NULL);
  if (same == RC_OK) return true;
  LOG_ERROR("an executor is stopped", "error", e.text);
  executor_kill(m->executor);
  return false;
}

static void on_idle(pool_member *m) {
  pool *p = m->warm->pool;
  if (!m->ready && !take_hello(m)) return;
  m->ready = true;
  m->idle_since_ms = uv_now(p->config.loop);
  if (m->busy) p->running--;
  m->busy = false;
  dispatch(p);
}

static void check_stopped(pool *p) {
  if (p->stopping && p->reaper_closed && !p->members) p->done(p->done_arg);
}

/* Its runtime never worked, and does not now. */
static void leave_out(warm *w, const char *death, const char *output) {
  LOG_ERROR("a runtime is left out: its executor does not start", "runtime", runtime_of(w)->name,
            "executor", death, "output", output);
  settle(w);
}

static void on_unused_death(warm *w, const executor *x) {
  pool *p = w->pool;
  w->failed_starts++;
  if (is_given_up(w) && !runtime_of(w)->hello) {
    leave_out(w, executor_death(x), executor_output(x));
  } else if (is_given_up(w)) {
    char *why = mem_printf("%s; %s", executor_death(x), executor_output(x));
    fail_waiting(p, w, why);
    free(why);
  } else if (!w->settled) {
    err e = {0};
    if (start_executor(w, &e) != RC_OK) leave_out(w, e.text, "");
  }
}

static void remove_folder(void *path) {
  tree_remove(path);
  free(path);
}

static void on_gone(pool_member *m, const executor *x) {
  warm *w = m->warm;
  pool *p = w->pool;
  bool used = m->busy || m->retired;
  /* it made this folder itself, and may have died with much in it */
  char *folder = mem_printf("%s/%d", p->config.temp_dir, executor_pid(x));
  afterwards(p->config.loop, remove_folder, folder);
  list_remove(&m->link);
  w->n_members--;
  p->members--;
  if (m->busy) p->running--;
  free(m);
  if (!used && !p->stopping) on_unused_death(w, x);
  dispatch(p);
  check_stopped(p);
}

static void on_change(void *owner, executor *x) {
  if (executor_state_of(x) == EXECUTOR_IDLE)
    on_idle(owner);
  else
    on_gone(owner, x);
}

/* ---- the caller's side ---- */

void pool_submit(pool *p, pool_job *job) {
  job->member = NULL;
  job->started_ns = 0;
  if (p->stopping) {
    job->on_end(job, &(executor_result){.end = EXECUTOR_END_CANCELED, .text = ""});
    return;
  }
  warm *w = &p->warms[job->runtime];
  if (is_given_up(w)) w->failed_starts = FAILED_STARTS - 1; /* one more try, for this job */
  list_push_back(&p->waiting, &job->link);
  dispatch(p);
}

void pool_cancel(pool *p, pool_job *job, bool kill) {
  (void)p;
  if (!job->member)
    end_job(job, &(executor_result){.end = EXECUTOR_END_CANCELED, .text = ""});
  else if (kill)
    executor_kill(job->member->executor);
  else
    executor_cancel(job->member->executor);
}

/* ---- life ---- */

static void reap(warm *w, uint64_t now_ms) {
  size_t left = w->n_members;
  LIST_EACH (&w->members, it, tmp) {
    pool_member *m = LIST_ENTRY(it, pool_member, link);
    if (left < 2 || m->busy || !m->ready || now_ms - m->idle_since_ms < IDLE_MS) continue;
    m->retired = true;
    executor_kill(m->executor);
    left--;
  }
}

static void on_reap(uv_timer_t *timer) {
  pool *p = timer->data;
  for (size_t i = 0; i < p->n; i++) reap(&p->warms[i], uv_now(p->config.loop));
}

static rc find_runtimes(pool *p, err *e) {
  TRY(runtime_find(p->config.conf->worker.runtimes_dir, &p->runtimes, &p->n, e));
  for (size_t i = 0; i < p->n; i++) TRY(executor_user_check(&p->user, p->runtimes[i].python, e));
  return executor_package_dir(&p->package_dir, e);
}

static void make_warms(pool *p) {
  p->warms = mem_new(p->n * sizeof *p->warms);
  for (size_t i = 0; i < p->n; i++) {
    warm *w = &p->warms[i];
    w->pool = p;
    w->argv = executor_argv(p->runtimes[i].python, p->package_dir, p->config.conf);
    w->config = (executor_config){
        .loop = p->config.loop,
        .name = p->runtimes[i].name,
        .argv = w->argv,
        .env = p->env,
        .as_user = p->user.other,
        .uid = p->user.uid,
        .gid = p->user.gid,
        .memory_bytes = p->config.share.memory_bytes,
        .on_change = on_change,
        .on_profile = on_job_profile,
    };
    list_init(&w->members);
  }
}

/* A runtime that cannot even be spawned is left out at once; if that is all of them, say so. */
static rc start_all(pool *p, err *e) {
  p->unsettled = p->n;
  for (size_t i = 0; i < p->n; i++) {
    if (start_executor(&p->warms[i], e) == RC_OK) continue;
    LOG_ERROR("a runtime is left out", "runtime", p->runtimes[i].name, "error", e ? e->text : "");
    p->warms[i].settled = true;
    p->warms[i].failed_starts = FAILED_STARTS;
    p->unsettled--;
  }
  return p->unsettled ? RC_OK : e ? e->code : RC_UNAVAILABLE;
}

static rc setup(pool *p, err *e) {
  TRY(find_runtimes(p, e));
  p->env = executor_env_new((const char *const *)environ, p->config.conf, &p->user,
                            &p->config.share, p->config.temp_dir);
  make_warms(p);
  return start_all(p, e);
}

rc pool_new(const pool_config *config, pool **out, err *e) {
  pool *p = NEW(pool);
  p->config = *config;
  p->user = *config->user;
  list_init(&p->waiting);
  rc r = setup(p, e);
  if (r != RC_OK) {
    pool_free(p);
    return r;
  }
  uv_timer_init(config->loop, &p->reaper);
  p->reaper.data = p;
  uv_timer_start(&p->reaper, on_reap, REAP_MS, REAP_MS);
  *out = p;
  return RC_OK;
}

static void on_reaper_closed(uv_handle_t *handle) {
  pool *p = handle->data;
  p->reaper_closed = true;
  check_stopped(p);
}

void pool_shutdown(pool *p, void (*done)(void *), void *arg) {
  p->stopping = true;
  p->done = done;
  p->done_arg = arg;
  while (!list_empty(&p->waiting)) {
    pool_job *job = LIST_ENTRY(p->waiting.next, pool_job, link);
    end_job(job, &(executor_result){.end = EXECUTOR_END_CANCELED, .text = ""});
  }
  for (size_t i = 0; i < p->n; i++)
    LIST_EACH (&p->warms[i].members, it, tmp)
      executor_kill(LIST_ENTRY(it, pool_member, link)->executor);
  uv_close((uv_handle_t *)&p->reaper, on_reaper_closed);
}

void pool_free(pool *p) {
  if (!p) return;
  for (size_t i = 0; i < p->n; i++) {
    runtime_deinit(&p->runtimes[i]);
    if (p->warms) executor_strings_free(p->warms[i].argv);
  }
  free(p->runtimes);
  free(p->warms);
  executor_strings_free(p->env);
  free(p->package_dir);
  free(p);
}
