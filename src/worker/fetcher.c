/* worker/fetcher.c: see fetcher.h. SPDX-License-Identifier: Apache-2.0
 *
 * A fetch is in `waiting` while it has files that nobody has taken, then in none while the last
 * ones are under way, then in `over` until the loop has told its owner. */
#include "worker/fetcher.h"

#include "base/mem.h"
#include "store/http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 8 };

struct fetcher {
  const peer_access *access;
  tree_owner readers; /* of what is fetched */
  uv_mutex_t mutex;   /* of all below, and of every fetch */
  uv_cond_t more;
  list waiting, over; /* of fetch */
  bool stopping;
  uv_thread_t threads[THREADS];
  unsigned n_threads;
  uv_async_t async; /* something is over */
  void (*done)(void *);
  void *done_arg;
};

/* ---- one file ---- */

static rc make_file(const fetcher *f, const char *path, int *out, err *e) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return ERR_ERRNO(e, errno, "making %s", path);
  if (fchown(fd, (uid_t)-1, f->readers.group) || fchmod(fd, f->readers.files)) {
    rc r = ERR_ERRNO(e, errno, "opening %s to the executors", path);
    close(fd);
    return r;
  }
  *out = fd;
  return RC_OK;
}

static bool is_own_fault(rc r) {
  return r == RC_OK || r == RC_CANCELLED || r == RC_INTERNAL || r == RC_NO_MEMORY;
}

static rc fetch_file(const fetcher *f, const fetch *job, const input_file *file, err *e) {
  store_get get = {.access = f->access, .bytes = file->file->bytes};
  if (make_file(f, file->path, &get.fd, e) != RC_OK) return RC_INTERNAL;
  char *url =
      mem_printf("http://%s/shuffle/%s/%s", file->file->address, job->query, file->file->name);
  get.url = url;
  err why = {0};
  rc r = store_get_file(&get, &job->ended, &why);
  if (close(get.fd) && r == RC_OK) r = ERR_ERRNO(&why, errno, "writing %s", file->path);
  free(url);
  if (is_own_fault(r)) {
    *e = why;
    return r;
  }
  return inputs_lost(file->file, why.text, e);
}

/* ---- the threads ---- */

static bool is_left(const fetch *job) {
  return job->next < job->inputs->n_files && !atomic_load(&job->ended);
}

/* The next file that is to be fetched; NULL: there is none. */
static const input_file *next_file(fetch *job) {
  while (is_left(job)) {
    const input_file *file = &job->inputs->files[job->next++];
    if (file->is_fetched) return file;
  }
  return NULL;
}

/* Under the mutex, whenever a file was taken or ended. */
static void settle(fetcher *f, fetch *job) {
  list_remove(&job->link);
  if (is_left(job)) {
    list_push_back(&f->waiting, &job->link); /* behind the others */
    uv_cond_signal(&f->more);
  } else if (!job->n_taken) {
    list_push_back(&f->over, &job->link);
    uv_async_send(&f->async);
  }
}

static void end_early(fetch *job, rc code, const err *e) {
  if (atomic_exchange(&job->ended, true)) return;
  job->code = code;
  if (e) job->error = *e;
}

static void serve(fetcher *f, fetch *job) {
  const input_file *file = next_file(job);
  job->n_taken++;
  settle(f, job);
  if (file) {
    uv_mutex_unlock(&f->mutex);
    err e = {0};
    rc r = fetch_file(f, job, file, &e);
    uv_mutex_lock(&f->mutex);
    if (r != RC_OK) end_early(job, r, &e);
  }
  job->n_taken--;
  settle(f, job);
}

static void run(void *arg) {
  fetcher *f = arg;
  uv_mutex_lock(&f->mutex);
  while (!f->stopping) {
    if (list_empty(&f->waiting))
      uv_cond_wait(&f->more, &f->mutex);
    else
      serve(f, LIST_ENTRY(f->waiting.next, fetch, link));
  }
  uv_mutex_unlock(&f->mutex);
}

/* ---- the loop's side ---- */

static fetch *take_over(fetcher *f) {
  uv_mutex_lock(&f->mutex);
  fetch *job = list_empty(&f->over) ? NULL : LIST_ENTRY(f->over.next, fetch, link);
  if (job) list_remove(&job->link);
  uv_mutex_unlock(&f->mutex);
  return job;
}

static void on_async(uv_async_t *async) {
  for (fetch *job; (job = take_over(async->data)) != NULL;) job->on_end(job);
}

void fetcher_start(fetcher *f, fetch *job) {
  uv_mutex_lock(&f->mutex);
  settle(f, job);
  uv_mutex_unlock(&f->mutex);
}

void fetcher_cancel(fetcher *f, fetch *job) {
  uv_mutex_lock(&f->mutex);
  end_early(job, RC_CANCELLED, NULL);
  if (!job->n_taken) settle(f, job);
  uv_mutex_unlock(&f->mutex);
}

/* ---- life ---- */

static void join_all(fetcher *f) {
  uv_mutex_lock(&f->mutex);
  f->stopping = true;
  uv_cond_broadcast(&f->more);
  uv_mutex_unlock(&f->mutex);
  while (f->n_threads) uv_thread_join(&f->threads[--f->n_threads]);
}

static void on_closed(uv_handle_t *handle) {
  fetcher *f = handle->data;
  void (*done)(void *) = f->done;
  void *arg = f->done_arg;
  uv_cond_destroy(&f->more);
  uv_mutex_destroy(&f->mutex);
  free(f);
  done(arg);
}

void fetcher_close(fetcher *f, void (*done)(void *), void *arg) {
  f->done = done;
  f->done_arg = arg;
  join_all(f);
  uv_close((uv_handle_t *)&f->async, on_closed);
}

rc fetcher_new(uv_loop_t *loop, const peer_access *access, const executor_user *user, fetcher **out,
               err *e) {
  fetcher *f = NEW(fetcher);
  f->access = access;
  f->readers = executor_user_readers(user);
  list_init(&f->waiting);
  list_init(&f->over);
  uv_mutex_init(&f->mutex);
  uv_cond_init(&f->more);
  uv_async_init(loop, &f->async, on_async);
  f->async.data = f;
  *out = f;
  for (; f->n_threads < THREADS; f->n_threads++) {
    int failed = uv_thread_create(&f->threads[f->n_threads], run, f);
    if (failed) return ERR(e, RC_EXHAUSTED, "starting a thread: %s", uv_strerror(failed));
  }
  return RC_OK;
}
