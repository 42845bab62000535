/* worker/reports.c: see reports.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/reports.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/outbox.h"
#include "worker/host.h"
#include "worker/resources.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PERIOD_MS = 500, HOST_MS = 2000, MOST_BYTES = 16 << 20 };

struct reports {
  reports_config config;
  outbox *outbox;
  double cores;
  uint64_t host_due_ms;
  /* one look at the machine, on libuv's pool */
  uv_work_t work;
  bool looking, outbox_open;
  host_process *processes; /* the worker, then its executors */
  size_t n_processes;
  host_sample sample;
  void (*done)(void *);
  void *done_arg;
};

static char *borrow(const char *text) {
  return (char *)(uintptr_t)text; /* packing reads only */
}

static void put(reports *r, const char *kind, const char *id, const Profile__Report *report) {
  size_t n = profile__report__get_packed_size(report);
  uint8_t *packed = mem_new(n + 1);
  char *key = mem_printf("%s %s", kind, id);
  profile__report__pack(report, packed);
  outbox_put(r->outbox, key, packed, n);
  free(key);
  free(packed);
}

/* ---- tasks ---- */

static void put_plans(reports *r, const Cluster__RunTaskRequest *task, const Executor__Profile *p) {
  Profile__TaskPlans plans, *one = &plans;
  Profile__Report report;
  profile__report__init(&report);
  profile__task_plans__init(&plans);
  plans.query_id = task->query_id;
  plans.attempt_id = task->attempt_id;
  plans.step = task->stage;
  plans.logical = p->logical;
  plans.physical = p->physical;
  report.plans = &one;
  report.n_plans = 1;
  put(r, "plans", task->attempt_id, &report);
}

void reports_task(reports *r, const Cluster__RunTaskRequest *task, const Executor__Profile *profile,
                  const Profile__TaskEnd *end) {
  if (!r) return;
  if (profile && profile->logical.len + profile->physical.len) put_plans(r, task, profile);
  Profile__TaskProgress progress, *one = &progress;
  Profile__Report report;
  profile__report__init(&report);
  profile__task_progress__init(&progress);
  progress.query_id = task->query_id;
  progress.attempt_id = task->attempt_id;
  progress.step = task->stage;
  progress.task = task->task;
  progress.worker = r->config.conf->instance_id;
  progress.time_us = clock_wall_us();
  if (profile) progress.metrics = profile->metrics;
  progress.end = (Profile__TaskEnd *)(uintptr_t)end;
  report.tasks = &one;
  report.n_tasks = 1;
  put(r, end ? "end" : "progress", task->attempt_id, &report);
}

/* ---- the machine ---- */

static void put_host(reports *r) {
  const host_sample *s = &r->sample;
  Profile__HostSample host, *one = &host;
  Profile__Report report;
  profile__report__init(&report);
  profile__host_sample__init(&host);
  host.worker = r->config.conf->instance_id;
  host.incarnation = borrow(r->config.incarnation);
  host.time_us = clock_wall_us();
  host.cpu_us_total = s->cpu_us;
  host.resident_bytes = s->resident_bytes;
  host.host_cpu_us_total = s->group_cpu_us;
  host.host_memory_bytes = s->group_bytes;
  host.host_memory_limit = s->group_limit;
  host.source = borrow(s->source);
  host.cores = r->cores;
  host.received_bytes_total = s->received_bytes;
  host.sent_bytes_total = s->sent_bytes;
  host.disk_bytes = s->disk_bytes;
  host.disk_free_bytes = s->disk_free_bytes;
  host.slots = r->config.share.slots;
  host.running_tasks = (uint32_t)pool_running(r->config.pool);
  host.dropped_total = outbox_dropped(r->outbox);
  host.n_executors = r->n_processes - 1;
  Profile__ExecutorSample *executors = mem_new(r->n_processes * sizeof *executors);
  host.executors = mem_new(r->n_processes * sizeof *host.executors);
  for (size_t i = 0; i < host.n_executors; i++) {
    const host_process *p = &r->processes[i + 1];
    profile__executor_sample__init(&executors[i]);
    executors[i].pid = (uint32_t)p->pid;
    executors[i].cpu_us_total = p->cpu_us;
    executors[i].resident_bytes = p->resident_bytes;
    executors[i].peak_bytes = p->peak_bytes;
    host.executors[i] = &executors[i];
  }
  report.hosts = &one;
  report.n_hosts = 1;
  char id[32]; /* each sample is kept */
  snprintf(id, sizeof id, "%lld", (long long)host.time_us);
  put(r, "host", id, &report);
  free(host.executors);
  free(executors);
}

static void look(uv_work_t *work) {
  reports *r = work->data;
  host_read("", r->config.shuffle_folder, r->processes, r->n_processes, &r->sample);
}

static void end_if_closed(reports *r) {
  if (r->outbox_open || r->looking) return;
  void (*done)(void *) = r->done;
  void *arg = r->done_arg;
  free(r);
  done(arg);
}

static void looked(uv_work_t *work, int status) {
  (void)status;
  reports *r = work->data;
  r->looking = false;
  if (!r->done) put_host(r);
  free(r->processes);
  r->processes = NULL;
  if (r->done) end_if_closed(r);
}

static void before(void *arg) {
  reports *r = arg;
  uint64_t now = uv_now(r->config.loop);
  if (r->looking || now < r->host_due_ms || !r->config.conf->monitoring.host_metrics) return;
  r->host_due_ms = now + HOST_MS;
  size_t n = pool_pids(r->config.pool, NULL, 0);
  int *pids = mem_new((n + 1) * sizeof *pids);
  pool_pids(r->config.pool, pids, n);
  r->n_processes = n + 1;
  r->processes = mem_new(r->n_processes * sizeof *r->processes);
  r->processes[0].pid = getpid();
  for (size_t i = 0; i < n; i++) r->processes[i + 1].pid = pids[i];
  free(pids);
  r->looking = true;
  r->work.data = r;
  uv_queue_work(r->config.loop, &r->work, look, looked);
}

/* ---- life ---- */

reports *reports_new(const reports_config *config) {
  const conf *c = config->conf;
  if (!c->static_leader.observatory.host || !c->monitoring.enabled) return NULL;
  reports *r = NEW(reports);
  r->config = *config;
  r->cores = (double)config->share.slots * config->share.threads;
  outbox_config outgoing = {.loop = config->loop,
                            .host = c->static_leader.observatory.host,
                            .port = c->static_leader.observatory.port,
                            .access = config->access,
                            .path = "/profile.Observatory/Send",
                            .what = "observatory",
                            .period_ms = PERIOD_MS,
                            .most_bytes = MOST_BYTES,
                            .before = before,
                            .arg = r};
  r->outbox = outbox_new(&outgoing);
  r->outbox_open = true;
  return r;
}

uint64_t reports_dropped(const reports *r) {
  return r ? outbox_dropped(r->outbox) : 0;
}

static void on_outbox_closed(void *arg) {
  reports *r = arg;
  r->outbox_open = false;
  end_if_closed(r);
}

void reports_close(reports *r, void (*done)(void *), void *arg) {
  r->done = done;
  r->done_arg = arg;
  outbox_close(r->outbox, on_outbox_closed, r);
}
