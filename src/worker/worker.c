/* worker/worker.c: see worker.h. The wiring; what the parts do stands in them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/file_server.h"
#include "worker/membership.h"
#include "worker/reports.h"
#include "worker/task_service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

struct worker {
  const conf *conf;
  const peer_access *access;
  uv_loop_t *loop;
  executor_user user;
  uuid_text incarnation;
  scratch scratch;
  shuffle shuffle;
  uv_work_t drop; /* of all shuffle files */
  leftovers leftovers;
  slot_share share;
  pool *pool;
  file_server *files; /* for other workers */
  fetcher *fetcher;
  reports *reports; /* NULL: there is no observatory */
  task_service *tasks;
  membership *membership;
  int parts; /* that still run and must end before the worker does */
  void (*done)(void *);
  void *done_arg;
};

static void on_probed(void *owner) {
  worker *w = owner;
  size_t n, known = 0;
  const runtime *runtimes = pool_runtimes(w->pool, &n);
  for (size_t i = 0; i < n; i++) known += runtimes[i].hello != NULL;
  if (!known) LOG_ERROR("this worker has no runtime that works and will get no tasks");
  task_service_set_ready(w->tasks);
  membership_join(w->membership);
}

/* Clients of other machines read them through the scheduler. */
static void on_joined(void *owner, const char *result_folder) {
  worker *w = owner;
  if (!*result_folder) return;
  file_server_add(w->files, "/results/", result_folder);
  task_service_set_result_folder(w->tasks, result_folder);
}

static void on_lease_lost(void *owner) {
  worker *w = owner;
  task_service_kill_all(w->tasks, "the worker lost contact with the scheduler");
}

static void drop_work(uv_work_t *work) {
  shuffle_drop_all(&((worker *)work->data)->shuffle);
}

static void on_part_done(void *arg);

static void dropped(uv_work_t *work, int status) {
  (void)status;
  worker *w = work->data;
  membership_join(w->membership);
  on_part_done(w);
}

/* Whoever else holds shares of a query with us has been told that our files are lost. */
static void on_forgotten(void *owner) {
  worker *w = owner;
  w->parts++;
  w->drop.data = w;
  uv_queue_work(w->loop, &w->drop, drop_work, dropped);
}

static void log_share(const worker *w) {
  char slots[16], threads[16], memory[32];
  snprintf(slots, sizeof slots, "%u", w->share.slots);
  snprintf(threads, sizeof threads, "%u", w->share.threads);
  snprintf(memory, sizeof memory, "%llu", (unsigned long long)(w->share.memory_bytes >> 20));
  LOG_INFO("worker starts", "instance", w->conf->instance_id, "slots", slots, "threads_per_slot",
           threads, "memory_mib_per_slot", memory, "executor_user",
           w->user.other ? w->user.name : "(its own)");
}

static rc start_pool(worker *w, err *e) {
  pool_config config = {
      .loop = w->loop,
      .conf = w->conf,
      .user = &w->user,
      .share = w->share,
      .temp_dir = w->scratch.executor_dir,
      .owner = w,
      .on_probed = on_probed,
  };
  return pool_new(&config, &w->pool, e);
}

static void start_membership(worker *w) {
  w->leftovers = (leftovers){.loop = w->loop, .shuffle = &w->shuffle};
  membership_config config = {
      .loop = w->loop,
      .conf = w->conf,
      .access = w->access,
      .pool = w->pool,
      .leftovers = &w->leftovers,
      .share = w->share,
      .incarnation = w->incarnation.s,
      .shuffle_folder = w->shuffle.dir,
      .task_port = task_service_port(w->tasks),
      .shuffle_port = file_server_port(w->files),
      .owner = w,
      .on_joined = on_joined,
      .on_lease_lost = on_lease_lost,
      .on_forgotten = on_forgotten,
  };
  w->membership = membership_new(&config);
}

static rc start_files(worker *w, err *e) {
  const conf_address *bind = &w->conf->worker.shuffle_bind;
  file_server_config config = {
      .host = bind->host,
      .port = bind->port,
      .prefix = "/shuffle/",
      .folder = w->shuffle.dir,
      .access = w->access,
  };
  rc r = file_server_new(&config, &w->files, e);
  return r == RC_OK ? r : err_prefix(e, r, "worker.shuffle_service.bind_addr: ");
}

static void start_reports(worker *w) {
  reports_config config = {.loop = w->loop,
                           .conf = w->conf,
                           .access = w->access,
                           .pool = w->pool,
                           .share = w->share,
                           .incarnation = w->incarnation.s,
                           .shuffle_folder = w->shuffle.dir};
  w->reports = reports_new(&config);
}

static rc start_tasks(worker *w, err *e) {
  task_service_config config = {
      .loop = w->loop,
      .conf = w->conf,
      .access = w->access,
      .pool = w->pool,
      .scratch = &w->scratch,
      .shuffle = &w->shuffle,
      .fetcher = w->fetcher,
      .reports = w->reports,
      .slots = w->share.slots,
  };
  return task_service_new(&config, &w->tasks, e);
}

static rc start(worker *w, err *e) {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
    return ERR_ERRNO(e, errno, "making the process undumpable");
  w->share = resources_divide(resources_read(""), w->conf);
  TRY(executor_user_find(w->conf, &w->user, e));
  TRY(scratch_open(&w->scratch, w->conf->temp_dir, w->conf->instance_id, &w->user, e));
  uuid incarnation = uuid_random();
  w->incarnation = uuid_print(incarnation);
  TRY(shuffle_open(&w->shuffle, w->conf, w->scratch.dir, &w->user, incarnation, e));
  TRY(start_files(w, e));
  TRY(start_pool(w, e));
  TRY(fetcher_new(w->loop, w->access, &w->user, &w->fetcher, e));
  start_reports(w);
  TRY(start_tasks(w, e));
  start_membership(w);
  log_share(w);
  return RC_OK;
}

static void free_unfinished(void *arg) {
  worker_free(arg);
}

rc worker_new(uv_loop_t *loop, const conf *c, const peer_access *access, worker **out, err *e) {
  worker *w = NEW(worker);
  w->loop = loop;
  w->conf = c;
  w->access = access;
  rc r = start(w, e);
  if (r == RC_OK)
    *out = w;
  else
    worker_shutdown(w, free_unfinished, w);
  return r;
}

static void on_part_done(void *arg) {
  worker *w = arg;
  if (--w->parts == 0 && w->done) w->done(w->done_arg);
}

static void close_reports(worker *w) {
  if (w->reports) w->parts++, reports_close(w->reports, on_part_done, w);
}

static void close_fetcher(void *arg) {
  worker *w = arg;
  close_reports(w);
  if (w->fetcher)
    fetcher_close(w->fetcher, on_part_done, w);
  else
    on_part_done(w);
}

void worker_shutdown(worker *w, void (*done)(void *), void *arg) {
  w->done = done;
  w->done_arg = arg;
  w->parts++; /* this function itself */
  if (w->membership) w->parts++, membership_leave(w->membership, on_part_done, w);
  /* Calls are answered before their executors die: "shutting down", not "killed". */
  w->parts++; /* tasks, and then what they need */
  if (w->tasks)
    task_service_shutdown(w->tasks, close_fetcher, w);
  else
    close_fetcher(w);
  if (w->pool) w->parts++, pool_shutdown(w->pool, on_part_done, w);
  on_part_done(w);
}

void worker_print_metrics(const worker *w, buf *out) {
  buf_printf(out,
             "# TYPE floe_worker_slots gauge\nfloe_worker_slots %u\n"
             "# TYPE floe_worker_running_tasks gauge\nfloe_worker_running_tasks %zu\n"
             "# TYPE floe_worker_executors gauge\nfloe_worker_executors %zu\n"
             "# TYPE floe_worker_executors_resident_bytes gauge\n"
             "floe_worker_executors_resident_bytes %llu\n"
             "# TYPE floe_reports_dropped_total counter\nfloe_reports_dropped_total %llu\n",
             w->share.slots, pool_running(w->pool), pool_pids(w->pool, NULL, 0),
             (unsigned long long)pool_resident_bytes(w->pool),
             (unsigned long long)reports_dropped(w->reports));
}

void worker_free(worker *w) {
  if (!w) return;
  membership_free(w->membership);
  task_service_free(w->tasks);
  pool_free(w->pool);
  file_server_free(w->files);
  shuffle_close(&w->shuffle);
  scratch_close(&w->scratch);
  executor_user_deinit(&w->user);
  free(w);
}
