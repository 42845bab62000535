/* Unit tests of conf/: conf.c, assign.c, check.c, lookup.c and the table. SPDX-License-Identifier:
 * Apache-2.0 */
#include "base/mem.h"
#include "conf/settings.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ENV(...) ((const char *const[]){__VA_ARGS__, NULL})

static rc load(const char *toml, const char *const *environment, conf **out, buf *notices, err *e) {
  return conf_load_bytes("a.toml", toml, strlen(toml), environment, out, notices, e);
}

static conf *loaded(const char *toml, const char *const *environment) {
  conf *c;
  err e = {0};
  if (load(toml, environment, &c, NULL, &e) != RC_OK) fail_msg("%s", e.text);
  return c;
}

static void refused(const char *toml, const char *const *environment, const char *text) {
  conf *c;
  err e = {0};
  assert_int_equal(load(toml, environment, &c, NULL, &e), RC_INVALID);
  assert_null(c);
  if (!strstr(e.text, text)) fail_msg("expected \"%s\" in \"%s\"", text, e.text);
}

/* ---- every key, both ways ------------------------------------------------------------------- */

static void print_location(const conf_location *l, buf *out) {
  buf_printf(out, "%d %s %" PRId64 " %s %d %d", l->kind, l->url, l->presign_ms,
             l->external_endpoint, l->allow_deletes, l->mounted_by_clients);
  for (size_t i = 0; i < l->n_options; i++)
    buf_printf(out, " %s=%s", l->options[i].key, l->options[i].value);
}

static void print_row(const conf *c, const setting *row, buf *out) {
  const void *value = (const char *)c + row->offset;
  switch (row->type) {
  case SETTING_BOOL:
    buf_printf(out, "%d", *(const bool *)value);
    break;
  case SETTING_INTEGER:
  case SETTING_BYTES:
  case SETTING_DURATION:
    buf_printf(out, "%" PRId64, *(const int64_t *)value);
    break;
  case SETTING_CORES:
    buf_printf(out, "%g", *(const double *)value);
    break;
  case SETTING_ADDRESS:
    buf_printf(out, "%s %d", ((const conf_address *)value)->host,
               ((const conf_address *)value)->port);
    break;
  case SETTING_LOCATION:
    print_location(value, out);
    break;
  case SETTING_OPTIONS:
    for (size_t i = 0; i < c->worker.n_env_vars; i++)
      buf_printf(out, "%s=%s ", c->worker.env_vars[i].key, c->worker.env_vars[i].value);
    break;
  default:
    buf_puts(out, *(char *const *)value ? *(char *const *)value : "-");
  }
}

static void print_conf(const conf *c, buf *out) {
  settings all = settings_all();
  for (size_t i = 0; i < all.len; i++)
    if (all.rows[i].offset != SETTING_NOWHERE) {
      print_row(c, &all.rows[i], out);
      buf_puts(out, "\n");
    }
}

/* What no default is, as TOML and as a variable. */
static const char *sample(const setting *leaf, const char **variable) {
  switch (leaf->type) {
  case SETTING_BOOL: {
    bool yes = leaf->fallback && !strcmp(leaf->fallback, "true");
    *variable = yes ? "no\n" : "1";
    return yes ? "false" : "true";
  }
  case SETTING_INTEGER:
    *variable = "7.0e+00";
    return "7";
  case SETTING_BYTES:
    *variable = "1.048576e+08";
    return "\"100MiB\"";
  case SETTING_DURATION:
    *variable = "PT17M";
    return "\"17 mins\"";
  case SETTING_CORES:
    *variable = " 1.5\n";
    return "\"1500m\"";
  case SETTING_PORT:
    *variable = "7777";
    return "7777";
  case SETTING_ADDRESS:
    *variable = "10.1.2.3:7777";
    return "\"10.1.2.3:7777\"";
  case SETTING_HOST:
    *variable = "h.example";
    return "\"h.example\"";
  case SETTING_LOG_LEVEL:
    *variable = "debug";
    return "\"debug\"";
  default:
    *variable = "/sample";
    return "\"/sample\"";
  }
}

static char *variable_for(const char *key, const char *value) {
  buf b = {0};
  buf_puts(&b, SETTING_PREFIX);
  for (; *key; key++)
    if (*key == '.')
      buf_puts(&b, "__");
    else
      buf_printf(&b, "%c", *key);
  buf_printf(&b, "=%s", value);
  return buf_take_text(&b);
}

/* A location needs its url or path to be whole; it is given in the file in both ways. */
static void check_key(const char *key, const setting *row, const setting *leaf, const char *base) {
  const char *variable_value, *toml_value = sample(leaf, &variable_value);
  if (leaf->type == SETTING_TEXT && !strcmp(leaf->key, "url"))
    toml_value = "\"s3://b/other\"", variable_value = "s3://b/other";
  if (!strcmp(leaf->key, "external_endpoint"))
    toml_value = "\"https://h.example\"", variable_value = "https://h.example";
  bool is_base = base && !strncmp(base, key, strlen(key)) && base[strlen(key)] == ' ';
  buf toml = {0}, by_file = {0}, by_variable = {0}, before = {0}, notices = {0};
  buf_printf(&toml, "%s\n%s = %s\n", is_base || !base ? "" : base, key, toml_value);
  char *variable = variable_for(key, variable_value);

  conf *a, *b = loaded(base ? base : "", ENV(variable)), *d = loaded(base ? base : "", NULL);
  err e = {0};
  if (load(buf_text(&toml), NULL, &a, &notices, &e) != RC_OK) fail_msg("%s: %s", key, e.text);
  print_conf(a, &by_file);
  print_conf(b, &by_variable);
  print_conf(d, &before);
  assert_string_equal(buf_text(&by_file), buf_text(&by_variable));
  if ((row->offset != SETTING_NOWHERE) != (strcmp(buf_text(&by_file), buf_text(&before)) != 0))
    fail_msg("%s: set or not set, against the table", key);
  bool noticed = strstr(buf_text(&notices), "is not used by this version yet");
  if (noticed != (row->use == SETTING_LATER)) fail_msg("%s: %s", key, buf_text(&notices));

  conf_free(a), conf_free(b), conf_free(d);
  free(variable);
  buf_deinit(&toml), buf_deinit(&by_file), buf_deinit(&by_variable), buf_deinit(&before);
  buf_deinit(&notices);
}

static void check_parts(const setting *row, const char *middle, settings parts, const char *base) {
  for (size_t i = 0; i < parts.len; i++) {
    const char *name = parts.rows[i].type == SETTING_OPTION ? "aws_region" : parts.rows[i].key;
    char *key = mem_printf("%s.%s%s", row->key, middle, name);
    check_key(key, row, &parts.rows[i], base);
    free(key);
  }
}

static void check_location_row(const setting *row) {
  static const char *const url[] = {"", "/base", "/base", "s3://b", "gs://b", "az://b"};
  for (int kind = CONF_LOCATION_LOCAL; settings_kind_name(kind); kind++) {
    char *middle = mem_printf("%s.", settings_kind_name(kind));
    bool folder = kind == CONF_LOCATION_LOCAL || kind == CONF_LOCATION_SHARED;
    char *base =
        mem_printf("%s.%s%s = \"%s\"", row->key, middle, folder ? "path" : "url", url[kind]);
    settings parts = settings_location_parts(kind);
    if (kind == CONF_LOCATION_S3 || folder) check_parts(row, middle, parts, base);
    conf_free(loaded(base, NULL));
    free(base);
    free(middle);
  }
}

static void every_key_is_the_same_from_file_and_variable(void **state) {
  (void)state;
  settings all = settings_all();
  for (size_t i = 0; i < all.len; i++) {
    const setting *row = &all.rows[i];
    if (!row->key) continue;
    /* what may not stand alone */
    if (!strcmp(row->key, "cluster.require_token") || !strcmp(row->key, "cluster.token_file") ||
        !strcmp(row->key, "worker.enabled") || strstr(row->key, ".tls."))
      continue;
    if (row->type == SETTING_LOCATION)
      check_location_row(row);
    else if (row->type != SETTING_OPTIONS)
      check_key(row->key, row, row, NULL);
    if (row->type == SETTING_ADDRESS) check_parts(row, "", settings_address_parts(), NULL);
  }
}

static void keys_are_found_by_nothing_but_themselves(void **state) {
  (void)state;
  settings all = settings_all();
  setting_place place;
  for (size_t i = 0; i < all.len; i++) {
    assert_true(!all.rows[i].key != !all.rows[i].variable);
    if (!all.rows[i].key) continue;
    assert_true(settings_find(all.rows[i].key, ".", &place));
    assert_int_equal(place.row, i);
    char *longer = mem_printf("%sx", all.rows[i].key);
    assert_false(settings_find(longer, ".", &place));
    free(longer);
    if (!strchr(all.rows[i].key, '_')) continue;
    buf nearest = {0};
    char *shorter = mem_strdup(all.rows[i].key);
    char *at = strchr(shorter, '_');
    memmove(at, at + 1, strlen(at)); /* one letter is missing */
    settings_nearest(shorter, ".", &nearest);
    assert_string_equal(buf_text(&nearest), all.rows[i].key);
    free(shorter);
    buf_deinit(&nearest);
  }
}

/* ---- sources -------------------------------------------------------------------------------- */

static void defaults(void **state) {
  (void)state;
  conf *c = loaded("", NULL);
  assert_false(c->scheduler.enabled || c->worker.enabled || c->observatory.enabled);
  assert_string_equal(c->log_level, "info");
  assert_string_equal(c->temp_dir, "/tmp/floe");
  assert_string_equal(c->scheduler.client_service.host, "0.0.0.0");
  assert_int_equal(c->scheduler.client_service.port, 5051);
  assert_int_equal(c->scheduler.worker_service.port, 5050);
  assert_int_equal(c->worker.task_bind.port, 5052);
  assert_int_equal(c->worker.shuffle_bind.port, 5053);
  assert_int_equal(c->observatory.service.port, 5049);
  assert_int_equal(c->observatory.rest.port, 3001);
  assert_true(c->observatory.rest_enabled);
  assert_int_equal(c->worker.heartbeat_ms, 5000);
  assert_int_equal(c->worker.slots, 1);
  assert_string_equal(c->worker.executor_user, "nobody");
  assert_int_equal(c->scheduler.max_finished_queries, 1000);
  assert_null(c->static_leader.scheduler.host);
  conf_free(c);
  conf_free(NULL);
}

static void a_variable_wins_over_the_file(void **state) {
  (void)state;
  conf *c =
      loaded("[worker]\nslots = 2\nheartbeat_period = \"1s\"\n[worker.env_vars]\nA = \"1\"\n"
             "[scheduler.client_service]\nbind_addr = \"127.0.0.1:6000\"\n"
             "[scheduler.worker_service]\nbind_addr = \"127.0.0.1:6001\"\n"
             "[worker.shuffle_location.local]\npath = \"/from/file\"\n"
             "[scheduler.anonymous_result_location.s3]\nurl = \"s3://b\"\naws_region = \"x\"\n",
             ENV("PC_CUBLET__worker__slots=\n3 ", "PC_CUBLET__worker__env_vars__B__C=2",
                 "PC_CUBLET__worker__env_vars__A=",
                 "PC_CUBLET__scheduler__client_service__bind_addr__port=7000",
                 "PC_CUBLET__scheduler__worker_service__bind_addr=:7001",
                 "PC_CUBLET__worker__shuffle_location__s3__url=s3://shuffle",
                 "PC_CUBLET__worker__shuffle_location__s3__aws_region=y",
                 "PC_CUBLET__scheduler__anonymous_result_location__s3__aws_region=z",
                 "PLC_LOG_LEVEL=trace", "POLARS_TEMP_DIR=/t",
                 "POLARS_EULA_ACCEPTED=", "UNRELATED=1", "nonsense"));
  assert_int_equal(c->worker.slots, 3);
  assert_int_equal(c->worker.heartbeat_ms, 1000);
  assert_int_equal(c->worker.n_env_vars, 2);
  assert_string_equal(c->worker.env_vars[0].value, "");
  assert_string_equal(c->worker.env_vars[1].key, "B__C");
  assert_string_equal(c->scheduler.client_service.host, "127.0.0.1");
  assert_int_equal(c->scheduler.client_service.port, 7000);
  assert_string_equal(c->scheduler.worker_service.host, "0.0.0.0");
  assert_int_equal(c->worker.shuffle_location.kind, CONF_LOCATION_S3);
  assert_string_equal(c->worker.shuffle_location.url, "s3://shuffle");
  assert_int_equal(c->worker.shuffle_location.presign_ms, 8 * 3600 * 1000);
  assert_true(c->worker.shuffle_location.allow_deletes);
  assert_string_equal(c->scheduler.anonymous_results.url, "s3://b");
  assert_string_equal(conf_location_option(&c->scheduler.anonymous_results, "AWS_REGION"), "z");
  assert_null(conf_location_option(&c->scheduler.anonymous_results, "aws_endpoint_url"));
  assert_string_equal(c->log_level, "trace");
  assert_string_equal(c->temp_dir, "/t");
  conf_free(c);
}

static void the_environments_order_means_nothing(void **state) {
  (void)state;
  const char *whole = "PC_CUBLET__worker__task_service__bind_addr=10.0.0.1:1";
  const char *port = "PC_CUBLET__worker__task_service__bind_addr__port=2";
  for (int swap = 0; swap < 2; swap++) {
    conf *c = loaded("", ENV(swap ? port : whole, swap ? whole : port));
    assert_int_equal(c->worker.task_bind.port, 2);
    conf_free(c);
  }
}

/* The variables of the published chart's scheduler and worker. */
static void the_charts_variables_load(void **state) {
  (void)state;
  conf *c;
  err e = {0};
  buf notices = {0};
  const char *const *scheduler = ENV(
      "PC_CUBLET__license__on_prem__client_id=id",
      "PC_CUBLET__license__on_prem__client_secret=s3cret",
      "PC_CUBLET__license__on_prem__workspace_id=w", "PC_CUBLET__license__on_prem__cert_dir=/mnt/l",
      "PC_CUBLET__license__on_prem_enterprise__license_path=/mnt/license/license.json",
      "PC_CUBLET__static_leader__leader_instance_id=uid", "PC_CUBLET__instance_id=uid",
      "PC_CUBLET__static_leader__scheduler_service__public_addr__ip=127.0.0.1",
      "PC_CUBLET__static_leader__scheduler_service__public_addr__port=5050",
      "PC_CUBLET__static_leader__observatory_service__public_addr__ip=127.0.0.1",
      "PC_CUBLET__static_leader__observatory_service__public_addr__port=5049",
      "PC_CUBLET__cluster_id=default/polars", "PC_CUBLET__observatory__enabled=true",
      "PC_CUBLET__observatory__max_metrics_bytes_total=1.048576e+08",
      "PC_CUBLET__observatory__database_path=/app/observatory_data/observatory.db",
      "PC_CUBLET__observatory__cluster_mode=kubernetes",
      "PC_CUBLET__observatory__rest_api__enabled=true", "PC_CUBLET__monitoring__enabled=true",
      "PC_CUBLET__monitoring__host_metrics__enabled=false", "PC_CUBLET__scheduler__enabled=true",
      "PC_CUBLET__scheduler__allow_local_sinks=true", "PC_CUBLET__scheduler__n_workers=2",
      "PC_CUBLET__scheduler__allow_local_scans=false",
      "PC_CUBLET__scheduler__deny_anonymous_users=false",
      "PC_CUBLET__scheduler__anonymous_result_location__s3__url=s3://polars/",
      "PC_CUBLET__scheduler__anonymous_result_location__s3__presign_duration=8h",
      "PC_CUBLET__scheduler__anonymous_result_location__s3__aws_endpoint_url=http://s:8333",
      "PC_CUBLET__scheduler__anonymous_result_location__s3__aws_region=us-east-1",
      "PC_CUBLET__scheduler__anonymous_result_location__s3__aws_access_key_id=k",
      "PC_CUBLET__scheduler__anonymous_result_location__s3__aws_secret_access_key=s3cret",
      "PC_CUBLET__scheduler__anonymous_result_location__s3__external_endpoint=http://"
      "localhost:8333",
      "PC_CUBLET__scheduler__checkpoint__enabled=true",
      "PC_CUBLET__scheduler__checkpoint__period=20m", "PC_CUBLET__lineage__enabled=true",
      "PC_CUBLET__lineage__transport__http__endpoint=http://m", "PLC_LOG_LEVEL=info",
      "RUST_BACKTRACE=full", "POLARS_EULA_ACCEPTED=yes",
      "OTLP_ENDPOINT=", "POLARS_EXTRAS=\nasync,cloudpickle", "UV_PATH=/emptydir/bin/uv");
  if (load("", scheduler, &c, &notices, &e) != RC_OK) fail_msg("%s", e.text);
  assert_int_equal(c->scheduler.n_workers, 2);
  assert_int_equal(c->scheduler.anonymous_results.n_options, 4);
  assert_string_equal(c->scheduler.anonymous_results.external_endpoint, "http://localhost:8333");
  assert_null(strstr(buf_text(&notices), "s3cret"));
  assert_non_null(strstr(buf_text(&notices), "PC_CUBLET__license__on_prem__client_secret is not"));
  conf_free(c);
  buf_deinit(&notices);
  c = loaded("",
             ENV("PC_CUBLET__license__on_prem__enabled=true", "PC_CUBLET__instance_id=w1",
                 "PC_CUBLET__static_leader__leader_instance_id=polars-worker-0",
                 "PC_CUBLET__static_leader__scheduler_service__public_addr__hostname=s.ns.svc",
                 "PC_CUBLET__static_leader__scheduler_service__public_addr__port=5050",
                 "PC_CUBLET__worker__enabled=true", "PC_CUBLET__worker__heartbeat_period=5s",
                 "PC_CUBLET__worker__task_service__public_addr__ip=10.244.0.7",
                 "PC_CUBLET__worker__shuffle_service__public_addr__ip=10.244.0.7",
                 "PC_CUBLET__worker__shuffle_location__local__path=/app/shuffle_data/shuffle_data",
                 "PC_CUBLET__worker__checkpoint_location__shared_filesystem__path=/c",
                 "PC_CUBLET__worker__extras__hdfs__enabled=true", "PC_CUBLET__cpu_reserved=500m",
                 "POLARS_TEMP_DIR=/app/temporary_data/temporary_data", "OTEL_SERVICE_NAME=worker"));
  assert_string_equal(c->worker.task_public.host, "10.244.0.7");
  assert_int_equal(c->worker.task_public.port, 5052);
  assert_int_equal(c->worker.shuffle_public.port, 5053);
  assert_string_equal(c->static_leader.scheduler.host, "s.ns.svc");
  assert_true(c->cpu_reserved > 0.49 && c->cpu_reserved < 0.51);
  conf_free(c);
}

static void license_is_a_path_or_a_table(void **state) {
  (void)state;
  conf_free(loaded("license = \"/license.json\"", NULL));
  conf_free(loaded("[license.on_prem]\nenabled = true\n", NULL));
  conf_free(loaded("[license]\n", NULL));
  conf_free(loaded("", ENV("PC_CUBLET__license=/license.json")));
  refused("license = 3", NULL, "a.toml:1: license: expected text, found an integer");
}

/* ---- errors --------------------------------------------------------------------------------- */

static void errors_say_where_and_what(void **state) {
  (void)state;
  static const struct {
    const char *toml, *error;
  } cases[] = {
      {"\n[worker]\nslot = 2", "a.toml:3: worker.slot: unknown key; the nearest known one is "
                               "worker.slots"},
      {"\n[worker]\nslots = 0", "a.toml:3: worker.slots: expected 1 to 1024, found 0"},
      {"[worker]\nslots = 1.5", "a.toml:2: worker.slots: expected a whole number, found \"1.5\""},
      {"[worker]\nslots = \"2\"", "a.toml:2: worker.slots: expected whole number, found a text"},
      {"worker.slots = [2]", "a.toml:1: worker.slots: expected whole number, found an array"},
      {"[worker.slots]", "a.toml:1: worker.slots: expected whole number, found a table"},
      {"worker = 1", "a.toml:1: worker: expected a table, found an integer"},
      {"[[worker]]", "a.toml:1: worker: expected a table, found an array"},
      {"worker.heartbeat_period = 5", "heartbeat_period: expected duration, found an integer"},
      {"worker.heartbeat_period = \"5\"", "expected a duration such as \"5s\""},
      {"worker.heartbeat_period = \"1us\"", "expected 10 to 3600000 ms, found 0"},
      {"memory_limit = 1024", "memory_limit: expected at least 67108864 bytes, found 1024"},
      {"scheduler.enabled = \"true\"", "scheduler.enabled: expected true or false, found a text"},
      {"cluster_id = 1979-05-27", "cluster_id: expected text, found a date"},
      {"cluster_id = \"a\\u0000b\"", "cluster_id: expected a text without NUL"},
      {"\"cluster.token\" = \"x\"", "a.toml:1: cluster.token: expected a key of letters"},
      {"\"\" = 1", "expected a key of letters"},
      {"[shceduler]\nenabled = true", "a.toml:1: shceduler: unknown key; the nearest known one is "
                                      "scheduler"},
      {"scheduler.client_service.bind_adr.port = 1",
       "nearest known one is scheduler.client_service.bind_addr"},
      {"scheduler.client_service.bind_addr.prot = 1",
       "nearest known one is scheduler.client_service.bind_addr.port"},
      {"scheduler.client_service.bind_addr.port = 0", "expected a port from 1 to 65535, found"},
      {"scheduler.client_service.bind_addr = \"x:y\"", "expected ip, ip:port, :port"},
      {"worker.shuffle_location = \"/x\"",
       "worker.shuffle_location: expected a table, found a text"},
      {"worker.shuffle_location.lokal.path = \"/x\"",
       "nearest known one is worker.shuffle_location.local"},
      {"worker.shuffle_location.local.path = \"x\"", "expected an absolute path"},
      {"worker.shuffle_location.local.aws_region = \"x\"", "unknown key"},
      {"worker.shuffle_location.local = {}", "shuffle_location.local.path: expected a value"},
      {"worker.shuffle_location.s3.aws_region = \"x\"",
       "shuffle_location.s3.url: expected a value"},
      {"worker.shuffle_location.s3.url = \"gs://x\"", "expected a URL of this kind"},
      {"worker.shuffle_location.s3 = {url = \"s3://x\", nested = {a = 1}}", "found a table"},
      {"worker.shuffle_location.s3.url = \"s3://x\"\nworker.shuffle_location.local.path = \"/x\"",
       "expected one kind of location, found local and s3; remove one"},
      {"worker.env_vars = 1", "worker.env_vars: expected a table, found an integer"},
      {"worker.env_vars.a = {b = 1}", "worker.env_vars.a: expected text, found a table"},
      {"scheduler.client_service.connection.tls.private_key_file = \"/k\"",
       "scheduler.client_service.connection.tls: expected certificate_key_file and"},
      {"cluster.tls.ca_file = \"/ca.pem\"",
       "cluster.tls: expected certificate_key_file, private_key_file and ca_file, found 1"},
      {"a = 1\nb = = 2", "a.toml:2: "},
      {"worker.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u = 1", "a.toml:1: worker.a: unknown key"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    refused(cases[i].toml, NULL, cases[i].error);
  refused("", ENV("PC_CUBLET__worker__slot=1"),
          "PC_CUBLET__worker__slot: unknown variable; the nearest known one is "
          "PC_CUBLET__worker__slots");
  refused("", ENV("PC_CUBLET__WORKER__SLOTS=1"), "nearest known one is PC_CUBLET__worker__slots");
  refused("", ENV("PC_CUBLET__worker__slots=many"),
          "PC_CUBLET__worker__slots: expected a whole number, found \"many\"");
  refused("", ENV("PC_CUBLET__worker__env_vars=1"), "unknown variable");
  refused("", ENV("PC_CUBLET__=1"), "unknown variable");
  refused("", ENV("PLC_LOG_LEVEL=loud"), "PLC_LOG_LEVEL: expected off, error, warn");
}

static void no_error_text_has_a_secret(void **state) {
  (void)state;
  static const char *const bad[] = {
      "cluster.token = \"s3cret with blanks\"",
      "cluster.token = s3cret",
      "cluster.token = \"s3cret",
      "cluster.token = [\"s3cret\"]",
      "license.on_prem.client_secret = [\"s3cret\"]",
      "worker.shuffle_location.s3.url = \"https://user:s3cret@host\"",
      "worker.shuffle_location.s3.aws_secret_access_key = [\"s3cret\"]",
      "worker.shuffle_location.s3.aws_secret_access_key = \"s3cret",
      "cluster.token = \"s3cret\"\ncluster.token_file = \"/nonexistent\"",
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    conf *c;
    err e = {0};
    assert_int_not_equal(load(bad[i], NULL, &c, NULL, &e), RC_OK);
    if (strstr(e.text, "s3cret")) fail_msg("%s", e.text);
  }
}

/* ---- what must hold between settings -------------------------------------------------------- */

static void public_addresses_follow_or_are_asked_for(void **state) {
  (void)state;
  static const char worker[] = "worker.enabled = true\n";
  refused(worker, NULL, "static_leader.scheduler_service.public_addr: expected the address");
  conf *c =
      loaded(worker, ENV("PC_CUBLET__static_leader__scheduler_service__public_addr=localhost"));
  assert_string_equal(c->worker.task_public.host, "127.0.0.1");
  assert_int_equal(c->worker.task_public.port, 5052);
  assert_int_equal(c->static_leader.scheduler.port, 5050);
  conf_free(c);
  const char *leader = "PC_CUBLET__static_leader__scheduler_service__public_addr=10.0.0.1:5050";
  refused(worker, ENV(leader), "worker.task_service.public_addr: expected the address");
  refused(worker,
          ENV(leader, "PC_CUBLET__worker__task_service__bind_addr=10.0.0.2",
              "PC_CUBLET__worker__shuffle_service__bind_addr=[::]"),
          "worker.shuffle_service.public_addr: expected the address");
  c = loaded(worker, ENV(leader, "PC_CUBLET__worker__task_service__bind_addr=10.0.0.2:1",
                         "PC_CUBLET__worker__shuffle_service__public_addr=h:2"));
  assert_string_equal(c->worker.task_public.host, "10.0.0.2");
  assert_int_equal(c->worker.task_public.port, 1);
  assert_string_equal(c->worker.shuffle_public.host, "h");
  conf_free(c);
  c = loaded("worker.enabled = true\nscheduler.enabled = true\n"
             "scheduler.worker_service.bind_addr = \":7000\"",
             NULL);
  assert_string_equal(c->static_leader.scheduler.host, "127.0.0.1");
  assert_int_equal(c->static_leader.scheduler.port, 7000);
  conf_free(c);
}

static char *token_file(const char *content, size_t len, mode_t mode) {
  char *path = mem_strdup("/tmp/floe-test-token-XXXXXX");
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, content, len), len);
  assert_int_equal(fchmod(fd, mode), 0);
  close(fd);
  return path;
}

static rc load_token(const char *content, size_t len, mode_t mode, conf **c, buf *notices, err *e) {
  char *path = token_file(content, len, mode);
  char *toml = mem_printf("cluster.require_token = true\ncluster.token_file = \"%s\"", path);
  rc r = load(toml, NULL, c, notices, e);
  unlink(path);
  free(toml);
  free(path);
  return r;
}

static void token_file_is_read_and_checked(void **state) {
  (void)state;
  char big[5000];
  memset(big, 's', sizeof big);
  conf *c;
  err e = {0};
  buf notices = {0};
  assert_int_equal(load_token(" s3cret\n", 8, 0600, &c, &notices, &e), RC_OK);
  assert_string_equal(c->cluster.token, "s3cret");
  assert_string_equal(buf_text(&notices), "");
  conf_free(c);
  assert_int_equal(load_token("s3cret", 6, 0644, &c, &notices, &e), RC_OK);
  assert_non_null(strstr(buf_text(&notices), "can be read by everybody"));
  conf_free(c);
  buf_deinit(&notices);
  assert_int_equal(load_token("\n", 1, 0600, &c, NULL, &e), RC_INVALID);
  assert_non_null(strstr(e.text, "expected a token, found nothing"));
  assert_int_equal(load_token("", 0, 0600, &c, NULL, &e), RC_INVALID);
  assert_int_equal(load_token("s3\0t", 4, 0600, &c, NULL, &e), RC_INVALID);
  assert_int_equal(load_token(big, sizeof big, 0600, &c, NULL, &e), RC_INVALID);
  assert_non_null(strstr(e.text, "expected at most 4096 bytes"));
  assert_int_equal(load("cluster.token_file = \"/nonexistent\"", NULL, &c, NULL, &e), RC_NOT_FOUND);
  assert_non_null(strstr(e.text, "cluster.token_file /nonexistent"));
  refused("cluster.token_file = \"/tmp\"", NULL, "expected a regular file");
  refused("cluster.require_token = true", NULL, "cluster.require_token is true and there is no");
  refused("cluster.token = \"\"", NULL, "cluster.token: expected a token, found nothing");
  conf_free(loaded("cluster.require_token = true", ENV("PC_CUBLET__cluster__token=\nx\n")));
}

static void files_are_read(void **state) {
  (void)state;
  conf *c;
  err e = {0};
  char *path = token_file("worker.slots = 2", 16, 0600);
  assert_int_equal(conf_load(path, NULL, &c, NULL, &e), RC_OK);
  assert_int_equal(c->worker.slots, 2);
  conf_free(c);
  unlink(path);
  assert_int_equal(conf_load(path, NULL, &c, NULL, &e), RC_NOT_FOUND);
  assert_non_null(strstr(e.text, path));
  free(path);
  assert_int_equal(conf_load(NULL, ENV("PC_CUBLET__worker__slots=3"), &c, NULL, &e), RC_OK);
  assert_int_equal(c->worker.slots, 3);
  conf_free(c);
  assert_int_equal(conf_load("/tmp", NULL, &c, NULL, &e), RC_IO);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_key_is_the_same_from_file_and_variable),
      cmocka_unit_test(keys_are_found_by_nothing_but_themselves),
      cmocka_unit_test(defaults),
      cmocka_unit_test(a_variable_wins_over_the_file),
      cmocka_unit_test(the_environments_order_means_nothing),
      cmocka_unit_test(the_charts_variables_load),
      cmocka_unit_test(license_is_a_path_or_a_table),
      cmocka_unit_test(errors_say_where_and_what),
      cmocka_unit_test(no_error_text_has_a_secret),
      cmocka_unit_test(public_addresses_follow_or_are_asked_for),
      cmocka_unit_test(token_file_is_read_and_checked),
      cmocka_unit_test(files_are_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
