/* observatory/store.c: see store.h. SPDX-License-Identifier: Apache-2.0 */
#include "observatory/store.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_BYTES = 64 << 20, PRUNE_MS = 60 * 1000 };
#define NS_IN_MS 1000000U

typedef struct job {
  list link;
  Profile__Report *report; /* owned; NULL: a question */
  size_t bytes;
  store_question *question;
} job;

struct store {
  uv_loop_t *loop;
  database_config config;
  uv_thread_t thread;
  uv_mutex_t mutex;
  uv_cond_t wake;
  uv_async_t answered_signal;
  /* under the mutex: */
  list jobs, answered; /* of job, oldest first; of store_question */
  size_t bytes;
  store_health health;
  bool stopping;
  /* the loop's: */
  uint64_t version;
  void (*closed)(void *);
  void *closed_arg;
};

/* ---- the thread ---- */

static void note_health(store *s, const database *d) {
  uv_mutex_lock(&s->mutex);
  snprintf(s->health.file, sizeof s->health.file, "%s", d->file ? d->file : "");
  snprintf(s->health.lacks, sizeof s->health.lacks, "%s", d->lacks);
  s->health.lost = d->lost;
  uv_mutex_unlock(&s->mutex);
}

/* NULL: nothing to do for now; *stop: nor ever again. */
static job *next_job(store *s, bool *stop) {
  job *j = NULL;
  uv_mutex_lock(&s->mutex);
  if (list_empty(&s->jobs) && !s->stopping)
    uv_cond_timedwait(&s->wake, &s->mutex, (uint64_t)PRUNE_MS * NS_IN_MS);
  if (!list_empty(&s->jobs)) {
    j = LIST_ENTRY(s->jobs.next, job, link);
    list_remove(&j->link);
    s->bytes -= j->bytes;
  }
  *stop = !j && s->stopping;
  uv_mutex_unlock(&s->mutex);
  return j;
}

static void answer(store *s, store_question *q) {
  uv_mutex_lock(&s->mutex);
  list_push_back(&s->answered, &q->link);
  uv_mutex_unlock(&s->mutex);
  uv_async_send(&s->answered_signal);
}

static void do_job(store *s, job *j, database *d) {
  if (j->report)
    database_write(d, j->report);
  else
    j->question->work(j->question, d);
  note_health(s, d);
  if (j->question) answer(s, j->question);
  profile__report__free_unpacked(j->report, NULL);
  free(j);
}

static void serve(void *arg) {
  store *s = arg;
  database d;
  database_open(&d, &s->config);
  note_health(s, &d);
  int64_t prune_ms = clock_mono_ms();
  for (bool stop = false; !stop;) {
    job *j = next_job(s, &stop);
    if (j) do_job(s, j, &d);
    if (clock_mono_ms() < prune_ms) continue;
    database_prune(&d, clock_wall_us(), clock_mono_ms());
    prune_ms = clock_mono_ms() + PRUNE_MS;
  }
  database_close(&d);
  uv_async_send(&s->answered_signal);
}

/* ---- the loop's side ---- */

static void push(store *s, job *j) {
  uv_mutex_lock(&s->mutex);
  list_push_back(&s->jobs, &j->link);
  s->bytes += j->bytes;
  LIST_EACH (&s->jobs, it, next) {
    job *oldest = LIST_ENTRY(it, job, link);
    if (s->bytes <= MOST_BYTES) break;
    if (!oldest->report) continue;
    s->bytes -= oldest->bytes;
    s->health.dropped++;
    list_remove(&oldest->link);
    profile__report__free_unpacked(oldest->report, NULL);
    free(oldest);
  }
  uv_cond_signal(&s->wake);
  uv_mutex_unlock(&s->mutex);
}

void store_report(store *s, Profile__Report *report_take, size_t bytes) {
  job *j = NEW(job);
  *j = (job){.report = report_take, .bytes = bytes};
  s->version++;
  push(s, j);
}

void store_ask(store *s, store_question *q) {
  job *j = NEW(job);
  j->question = q;
  push(s, j);
}

uint64_t store_version(const store *s) {
  return s->version;
}

store_health store_get_health(store *s) {
  uv_mutex_lock(&s->mutex);
  store_health health = s->health;
  uv_mutex_unlock(&s->mutex);
  return health;
}

static store_question *take_answered(store *s) {
  store_question *q = NULL;
  uv_mutex_lock(&s->mutex);
  if (!list_empty(&s->answered)) {
    q = LIST_ENTRY(s->answered.next, store_question, link);
    list_remove(&q->link);
  }
  uv_mutex_unlock(&s->mutex);
  return q;
}

static void on_async_closed(uv_handle_t *handle) {
  store *s = handle->data;
  void (*closed)(void *) = s->closed;
  void *arg = s->closed_arg;
  uv_cond_destroy(&s->wake);
  uv_mutex_destroy(&s->mutex);
  free(s);
  closed(arg);
}

static void join_thread(uv_work_t *work) {
  uv_thread_join(&((store *)work->data)->thread);
}

static void on_answered(uv_async_t *async) {
  store *s = async->data;
  for (store_question *q; (q = take_answered(s)) != NULL;) q->done(q);
}

static void joined(uv_work_t *work, int status) {
  (void)status;
  store *s = work->data;
  free(work);
  on_answered(&s->answered_signal);
  uv_close((uv_handle_t *)&s->answered_signal, on_async_closed);
}

store *store_new(uv_loop_t *loop, const database_config *config) {
  store *s = NEW(store);
  s->loop = loop;
  s->config = *config;
  list_init(&s->jobs);
  list_init(&s->answered);
  uv_mutex_init(&s->mutex);
  uv_cond_init(&s->wake);
  uv_async_init(loop, &s->answered_signal, on_answered);
  s->answered_signal.data = s;
  if (uv_thread_create(&s->thread, serve, s)) abort();
  return s;
}

void store_close(store *s, void (*closed)(void *), void *arg) {
  s->closed = closed;
  s->closed_arg = arg;
  uv_mutex_lock(&s->mutex);
  s->stopping = true;
  uv_cond_signal(&s->wake);
  uv_mutex_unlock(&s->mutex);
  uv_work_t *work = NEW(uv_work_t);
  work->data = s;
  uv_queue_work(s->loop, work, join_thread, joined);
}
