/* service.c: `floe service`: the components that the configuration enables, in one process.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The only place that knows scheduler, worker and observatory at once: it connects them, starts
 * them, and on SIGTERM stops them in the reverse order. */
#include "service.h"

#include "auth/auth.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "metrics.h"
#include "net/loop_watch.h"
#include "net/peer_access.h"
#include "observatory/observatory.h"
#include "scheduler/scheduler.h"
#include "worker/worker.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

extern char **environ;

typedef struct service {
  uv_loop_t loop;
  conf *conf;
  peer_access access;
  auth *client_auth, *rest_auth; /* NULL: everybody may ask; rest_auth: nothing of its own */
  scheduler *scheduler;
  worker *worker;
  observatory *observatory;
  metrics *metrics; /* NULL: not served */
  uv_signal_t signals[2];
  loop_watch watch;
  unsigned stopping; /* components that still close */
  bool stop_begun;
} service;

static const char USAGE[] =
    "usage: floe service [--config-path FILE]\n"
    "\n"
    "Run the components that the configuration enables: scheduler, worker, observatory. Settings\n"
    "come from the TOML file, from PC_CUBLET__section__key variables, or from both.\n";

/* ---- the process ---- */

/* Queries run user code in our children: nobody may look into this process. Executors need many
 * descriptors, clients many connections. */
static void harden(void) {
  prctl(PR_SET_DUMPABLE, 0);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk */
  struct rlimit files;
  if (!getrlimit(RLIMIT_NOFILE, &files)) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
}

static rc make_dirs(const char *path, err *e) {
  char *copy = mem_strdup(path);
  for (char *p = copy + 1;; p++) {
    char c = *p;
    if (c != '/' && c != '\0') continue;
    *p = '\0';
    int failed = mkdir(copy, 0755) && errno != EEXIST ? errno : 0;
    *p = c;
    if (failed || c == '\0') {
      free(copy);
      return failed ? ERR_ERRNO(e, failed, "making the folder %s for temporary files", path)
                    : RC_OK;
    }
  }
}

static rc load(const char *file, service *s, err *e) {
  buf notices = {0};
  rc r = conf_load(file, (const char *const *)environ, &s->conf, &notices, e);
  if (r == RC_OK) {
    log_level level = LOG_LEVEL_INFO;
    log_level_parse(s->conf->log_level, &level);
    log_init(level, s->conf->instance_id ? s->conf->instance_id : "floe");
    char *rest = notices.len ? (char *)notices.data : NULL;
    for (char *line; rest && (line = strsep(&rest, "\n")) != NULL;)
      if (*line) LOG_WARN("configuration", "notice", line);
    r = make_dirs(s->conf->temp_dir, e);
  }
  buf_deinit(&notices);
  return r;
}

/* ---- the components ---- */

static char *cluster_json(const void *s) {
  return scheduler_cluster_json(s);
}
static void tell(void *s, observatory_on_report *take, void *arg) {
  scheduler_tell(s, take, arg);
}

static rc start_scheduler(service *s, err *e) {
  TRY(auth_new(&s->loop, &s->conf->scheduler.client_auth, &s->client_auth, e));
  if (s->client_auth && !s->conf->scheduler.client_tls.certificate_key_file)
    LOG_WARN("users' tokens reach 5051 in the clear; set scheduler.client_service.connection.tls");
  return scheduler_new(&s->loop, s->conf, &s->access, s->client_auth, &s->scheduler, e);
}

static void serve_result(const void *s, const http_request *request, http_reply *reply) {
  scheduler_serve_result(s, request, reply);
}

static rc start_observatory(service *s, err *e) {
  observatory_source source = {0};
  if (s->scheduler) source = (observatory_source){cluster_json, tell, serve_result, s->scheduler};
  TRY(auth_new(&s->loop, &s->conf->observatory.rest_auth, &s->rest_auth, e));
  return observatory_new(&s->loop, s->conf, &s->access,
                         s->rest_auth ? s->rest_auth : s->client_auth, &source, &s->observatory, e);
}

static rc open_access(service *s, err *e) {
  const conf *c = s->conf;
  s->access = (peer_access){.token = c->cluster.token,
                            .certificate_file = c->cluster.tls.certificate_key_file,
                            .key_file = c->cluster.tls.private_key_file,
                            .ca_file = c->cluster.ca_file,
                            .name = c->cluster.server_name};
  rc r = peer_access_open(&s->access, e);
  return r == RC_OK ? r : err_prefix(e, r, "cluster.tls: ");
}

static rc start(service *s, err *e) {
  const conf *c = s->conf;
  if (!c->scheduler.enabled && !c->worker.enabled && !c->observatory.enabled)
    return ERR(e, RC_INVALID,
               "nothing is enabled; set scheduler.enabled, worker.enabled or observatory.enabled");
  if (!c->cluster.token)
    LOG_WARN("no cluster.token: every program that reaches 5050 and 5052 can join or run tasks");
  TRY(open_access(s, e));
  if (c->scheduler.enabled) TRY(start_scheduler(s, e));
  if (c->observatory.enabled) TRY(start_observatory(s, e));
  if (c->worker.enabled) TRY(worker_new(&s->loop, c, &s->access, &s->worker, e));
  metrics_parts parts = {s->scheduler, s->worker, s->observatory};
  return metrics_new(&s->loop, c, parts, &s->metrics, e);
}

static void on_component_done(void *arg) {
  service *s = arg;
  s->stopping--;
}

static void stop(service *s) {
  if (s->stop_begun) return;
  s->stop_begun = true;
  LOG_INFO("stopping");
  for (int i = 0; i < 2; i++) uv_close((uv_handle_t *)&s->signals[i], NULL);
  loop_watch_stop(&s->watch);
  s->stopping = (s->worker != NULL) + (s->observatory != NULL) + (s->scheduler != NULL) +
                (s->metrics != NULL);
  if (s->metrics) metrics_close(s->metrics, on_component_done, s);
  if (s->worker) worker_shutdown(s->worker, on_component_done, s);
  if (s->observatory) observatory_shutdown(s->observatory, on_component_done, s);
  if (s->scheduler) scheduler_shutdown(s->scheduler, on_component_done, s);
  auth_stop(s->client_auth);
  auth_stop(s->rest_auth);
}

static void on_signal(uv_signal_t *h, int number) {
  (void)number;
  stop(h->data);
}

static void watch_signals(service *s) {
  static const int NUMBERS[2] = {SIGTERM, SIGINT};
  for (int i = 0; i < 2; i++) {
    uv_signal_init(&s->loop, &s->signals[i]);
    s->signals[i].data = s;
    uv_signal_start(&s->signals[i], on_signal, NUMBERS[i]);
  }
}

static int run(service *s) {
  err e = {0};
  uv_loop_init(&s->loop);
  watch_signals(s);
  loop_watch_start(&s->watch, &s->loop);
  rc r = start(s, &e);
  if (r != RC_OK) {
    LOG_ERROR("cannot start", "error", e.text);
    stop(s);
  }
  uv_run(&s->loop, UV_RUN_DEFAULT);
  worker_free(s->worker);
  scheduler_free(s->scheduler);
  auth_free(s->client_auth);
  auth_free(s->rest_auth);
  peer_access_close(&s->access);
  uv_loop_close(&s->loop);
  return r == RC_OK && !s->stopping ? 0 : 1;
}

int service_main(int argc, char **argv) {
  static const struct option OPTIONS[] = {
      {"config-path", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
  const char *file = NULL;
  for (int c; (c = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1;) {
    if (c == 'c')
      file = optarg;
    else {
      fputs(USAGE, c == 'h' ? stdout : stderr);
      return c == 'h' ? 0 : 64;
    }
  }
  if (optind < argc) {
    fprintf(stderr, "floe service: unexpected \"%s\"\n%s", argv[optind], USAGE);
    return 64;
  }
  harden();
  service s = {0};
  err e = {0};
  int status = 1;
  if (load(file, &s, &e) == RC_OK)
    status = run(&s);
  else
    fprintf(stderr, "floe service: %s\n", e.text);
  conf_free(s.conf);
  return status;
}
