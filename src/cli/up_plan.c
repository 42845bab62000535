/* cli/up_plan.c: the parts of a local cluster: ports, configurations, command lines.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Everything binds loopback. The parts get a cluster token and storage keys of their own, made
 * anew each time and kept in files that only the owner can read. */
#include "cli/up.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

typedef struct secrets {
  uuid_text token, access_key, secret_key;
} secrets;

static up_ports choose_ports(int base) {
  if (!base)
    return (up_ports){
        .client = 5051, .membership = 5050, .observatory = 3001, .reports = 5049, .storage = 8333};
  return (up_ports){.client = base + 51,
                    .membership = base + 50,
                    .observatory = base + 1,
                    .reports = base + 49,
                    .storage = base + 33};
}

static int worker_port(const up_options *o, int worker) {
  return (o->port_base ? o->port_base + 100 : 5052) + 2 * worker;
}

/* ---- files ---- */

static rc make_dir(const char *path, err *e) {
  if (mkdir(path, 0755) && errno != EEXIST) return ERR_ERRNO(e, errno, "making %s", path);
  return RC_OK;
}

static rc write_private(const char *path, const buf *text, err *e) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return ERR_ERRNO(e, errno, "writing %s", path);
  ssize_t n = write(fd, text->data, text->len);
  int failed = n == (ssize_t)text->len ? 0 : n < 0 ? errno : ENOSPC;
  close(fd);
  return failed ? ERR_ERRNO(e, failed, "writing %s", path) : RC_OK;
}

/* A TOML string: our values hold no control characters, paths may hold quotes. */
static void put_string(buf *b, const char *key, const char *value) {
  buf_printf(b, "%s = \"", key);
  for (; *value; value++) buf_printf(b, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
  buf_puts(b, "\"\n");
}

/* ---- parts ---- */

static size_t count(const char *const *list) {
  size_t n = 0;
  while (list[n]) n++;
  return n;
}

static char **copy_list(const char *const *list) {
  char **out = mem_new((count(list) + 1) * sizeof *out);
  for (size_t i = 0; list[i]; i++) out[i] = mem_strdup(list[i]);
  return out;
}

/* Settings of addresses and folders were meant for another service; how to plan is for this one. */
static bool is_for_others(const char *variable) {
  static const char SETTING[] = "PC_CUBLET__", PLANNER[] = "PC_CUBLET__scheduler__planner__";
  return !strncmp(variable, SETTING, sizeof SETTING - 1) &&
         strncmp(variable, PLANNER, sizeof PLANNER - 1) != 0;
}

/* Our environment, and `more`. */
static char **environment_with(const char *const *more) {
  const char *const *ours = (const char *const *)environ;
  char **out = mem_new((count(ours) + count(more) + 1) * sizeof *out);
  size_t n = 0;
  for (size_t i = 0; ours[i]; i++)
    if (!is_for_others(ours[i])) out[n++] = mem_strdup(ours[i]);
  for (size_t i = 0; more[i]; i++) out[n++] = mem_strdup(more[i]);
  return out;
}

static void free_strings(char **list) {
  for (char **s = list; s && *s; s++) free(*s);
  free(list);
}

static up_part *add_part(up_plan *p, const char *dir, const char *name, const char *const *argv,
                         const char *const *env) {
  up_part *part = &p->parts[p->n_parts++];
  part->name = mem_strdup(name);
  part->argv = copy_list(argv);
  part->env = environment_with(env);
  part->log_file = mem_printf("%s/logs/%s.log", dir, name);
  return part;
}

static rc add_service(up_plan *p, const up_options *o, const char *dir, const char *name,
                      const buf *toml, int port, err *e) {
  char *file = mem_printf("%s/conf/%s.toml", dir, name);
  char *temp = mem_printf("POLARS_TEMP_DIR=%s/tmp/%s", dir, name);
  const char *const argv[] = {o->self,   "bound",         o->our_pid, o->self,
                              "service", "--config-path", file,       NULL};
  const char *const env[] = {temp, NULL};
  rc r = write_private(file, toml, e);
  if (r == RC_OK) {
    up_part *part = add_part(p, dir, name, argv, env);
    part->probe = UP_PROBE_HEALTH;
    part->probe_port = port;
  }
  free(file);
  free(temp);
  return r;
}

static void put_results(buf *b, const up_options *o, const up_ports *ports, const secrets *s) {
  if (o->results_dir) {
    buf_puts(b, "[scheduler.anonymous_result_location.local]\n");
    put_string(b, "path", o->results_dir);
    return;
  }
  buf_puts(b, "[scheduler.anonymous_result_location.s3]\n");
  put_string(b, "url", "s3://polars/");
  buf_printf(b, "aws_endpoint_url = \"http://127.0.0.1:%d\"\n", ports->storage);
  buf_printf(b, "external_endpoint = \"http://localhost:%d\"\n", ports->storage);
  put_string(b, "aws_region", "us-east-1");
  put_string(b, "aws_access_key_id", s->access_key.s);
  put_string(b, "aws_secret_access_key", s->secret_key.s);
}

static rc add_scheduler(up_plan *p, const up_options *o, const char *dir, const secrets *s,
                        err *e) {
  buf b = {0};
  buf_puts(&b, "cluster_id = \"local\"\ninstance_id = \"scheduler\"\n[cluster]\n");
  put_string(&b, "token", s->token.s);
  buf_printf(&b,
             "[scheduler]\nenabled = true\nallow_local_scans = true\nallow_local_sinks = "
             "true\nn_workers = %d\n",
             o->workers);
  buf_printf(
      &b,
      "client_service.bind_addr = \"127.0.0.1:%d\"\nworker_service.bind_addr = \"127.0.0.1:%d\"\n",
      p->ports.client, p->ports.membership);
  put_results(&b, o, &p->ports, s);
  buf_printf(&b,
             "[observatory]\nenabled = true\nservice.bind_addr = \"127.0.0.1:%d\"\n"
             "rest_api.service.bind_addr = \"127.0.0.1:%d\"\n",
             p->ports.reports, p->ports.observatory);
  char *history = mem_printf("%s/observatory.db", dir);
  put_string(&b, "database_path", history);
  free(history);
  rc r = add_service(p, o, dir, "scheduler", &b, p->ports.client, e);
  buf_deinit(&b);
  return r;
}

static rc add_worker(up_plan *p, const up_options *o, const char *dir, const secrets *s, int number,
                     err *e) {
  int task = worker_port(o, number);
  char name[32];
  snprintf(name, sizeof name, "worker-%d", number);
  buf b = {0};
  buf_puts(&b, "cluster_id = \"local\"\n");
  put_string(&b, "instance_id", name);
  buf_printf(&b, "cpu_reserved = \"%d\"\n", o->threads);
  if (o->memory) put_string(&b, "memory_limit", o->memory);
  buf_puts(&b, "[cluster]\n");
  put_string(&b, "token", s->token.s);
  buf_puts(&b, "[worker]\nenabled = true\n");
  put_string(&b, "runtimes_dir", o->runtimes_dir);
  /* The queries of a local cluster are its owner's: they run as the owner, also when that is root.
   */
  put_string(&b, "executor_user", "root");
  buf_printf(
      &b,
      "task_service.bind_addr = \"127.0.0.1:%d\"\nshuffle_service.bind_addr = \"127.0.0.1:%d\"\n",
      task, task + 1);
  buf_puts(&b, "[worker.shuffle_location.local]\n");
  char *shuffle = mem_printf("%s/shuffle/%s", dir, name);
  put_string(&b, "path", shuffle);
  free(shuffle);
  buf_printf(&b,
             "[static_leader]\nleader_instance_id = \"scheduler\"\nscheduler_service.public_addr = "
             "\"127.0.0.1:%d\"\nobservatory_service.public_addr = \"127.0.0.1:%d\"\n",
             p->ports.membership, p->ports.reports);
  rc r = add_service(p, o, dir, name, &b, task, e);
  buf_deinit(&b);
  return r;
}

/* A configuration owns its strings; this one only borrows them, for one call. */
static char *borrow(const char *text) {
  return (char *)(uintptr_t)text;
}

/* The result location as the scheduler has it, to see when the storage takes a file. */
static rc open_location(up_plan *p, const secrets *s, err *e) {
  char endpoint[64];
  snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", p->ports.storage);
  conf_option options[] = {{borrow("aws_endpoint_url"), endpoint},
                           {borrow("aws_region"), borrow("us-east-1")},
                           {borrow("aws_access_key_id"), borrow(s->access_key.s)},
                           {borrow("aws_secret_access_key"), borrow(s->secret_key.s)}};
  conf_location c = {.kind = CONF_LOCATION_S3,
                     .url = borrow("s3://polars/"),
                     .presign_ms = 60000,
                     .options = options,
                     .n_options = sizeof options / sizeof *options};
  return location_new(&c, &p->results, e);
}

/* Every port the storage opens: none may be a default that another cluster also takes. */
static const char *const STORAGE_PORTS[] = {
    "master.port",      "volume.port",     "filer.port",     "master.port.grpc",
    "volume.port.grpc", "filer.port.grpc", "s3.port.grpc",   "s3.port.iceberg",
    "s3.port.lance",    "admin.port",      "admin.port.grpc"};
enum { N_STORAGE_PORTS = sizeof STORAGE_PORTS / sizeof *STORAGE_PORTS, STORAGE_PORT_BASE = 18360 };

static void add_storage_part(up_plan *p, const up_options *o, const char *dir, const secrets *s,
                             arena *a) {
  const char *argv[18 + N_STORAGE_PORTS] = {o->self,
                                            "bound",
                                            o->our_pid,
                                            o->weed,
                                            "-logtostderr", /* not to files in /tmp as well */
                                            "mini",
                                            "-s3",
                                            "-bucket=polars",
                                            "-ip=127.0.0.1",
                                            "-ip.bind=127.0.0.1",
                                            "-webdav=false",
                                            "-admin.ui=false",
                                            "-master.telemetry=false"};
  int n = 13, first = o->port_base ? o->port_base + 60 : STORAGE_PORT_BASE;
  argv[n++] = arena_printf(a, "-s3.port=%d", p->ports.storage);
  argv[n++] = arena_printf(a, "-dir=%s/storage", dir);
  argv[n++] = arena_printf(a, "-filer.localSocket=%s/filer.sock", dir);
  argv[n++] = arena_printf(a, "-s3.localSocket=%s/s3.sock", dir);
  for (int i = 0; i < N_STORAGE_PORTS; i++)
    argv[n++] = arena_printf(a, "-%s=%d", STORAGE_PORTS[i], first + i);
  p->storage_port_base = first;
  const char *const env[] = {arena_printf(a, "AWS_ACCESS_KEY_ID=%s", s->access_key.s),
                             arena_printf(a, "AWS_SECRET_ACCESS_KEY=%s", s->secret_key.s), NULL};
  up_part *part = add_part(p, dir, "storage", argv, env);
  part->probe = UP_PROBE_STORAGE;
  part->probe_port = p->ports.storage;
}

static rc add_storage(up_plan *p, const up_options *o, const char *dir, const secrets *s, err *e) {
  arena a = {0};
  rc r = make_dir(arena_printf(&a, "%s/storage", dir), e);
  if (r == RC_OK) add_storage_part(p, o, dir, s, &a);
  arena_deinit(&a);
  return r == RC_OK ? open_location(p, s, e) : r;
}

static rc make_dirs(const up_options *o, const char *dir, err *e) {
  static const char *const NAMES[] = {"conf", "logs", "tmp", "shuffle"};
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
    char *path = mem_printf("%s/%s", dir, NAMES[i]);
    rc r = make_dir(path, e);
    free(path);
    TRY(r);
  }
  return o->results_dir ? make_dir(o->results_dir, e) : RC_OK;
}

rc up_plan_make(const up_options *o, const char *dir, up_plan *out, err *e) {
  secrets s = {uuid_print(uuid_random()), uuid_print(uuid_random()), uuid_print(uuid_random())};
  out->ports = choose_ports(o->port_base);
  TRY(make_dirs(o, dir, e));
  if (o->weed) TRY(add_storage(out, o, dir, &s, e));
  TRY(add_scheduler(out, o, dir, &s, e));
  for (int i = 0; i < o->workers; i++) TRY(add_worker(out, o, dir, &s, i, e));
  return RC_OK;
}

/* The storage makes a socket in /tmp for each of its gRPC ports, wherever its own folder is, and
 * leaves it there; what one user left stops the storage of the next. */
void up_plan_remove_sockets(const up_plan *p) {
  static const char *const SERVERS[] = {"master", "volume", "filer", "s3", "admin"};
  for (size_t i = 0; i < sizeof SERVERS / sizeof *SERVERS; i++)
    for (int port = 0; p->storage_port_base && port < N_STORAGE_PORTS; port++) {
      char *path =
          mem_printf("/tmp/seaweedfs-%s-grpc-%d.sock", SERVERS[i], p->storage_port_base + port);
      unlink(path); /* mostly not there */
      free(path);
    }
}

void up_plan_deinit(up_plan *p) {
  for (int i = 0; i < p->n_parts; i++) {
    free(p->parts[i].name);
    free(p->parts[i].log_file);
    free_strings(p->parts[i].argv);
    free_strings(p->parts[i].env);
  }
  location_free(p->results);
  *p = (up_plan){0};
}
