/* conf/settings.c: the table of settings, and nothing but it. A new setting is a row here and a
 * field in conf.h; docs/reference/settings.md is generated from the rows, in their order.
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf/settings.h"

#include <string.h>

#define LEN(array) (sizeof(array) / sizeof *(array))
#define AT(field) SETTING_USED, offsetof(conf, field)
#define LATER SETTING_LATER, SETTING_NOWHERE
#define MS_SECOND 1000LL
#define MS_HOUR (3600 * MS_SECOND)
#define MS_DAY (24 * MS_HOUR)
#define MIB (1LL << 20)
#define ANY 0, 0, NULL /* no bounds, no default */

/* clang-format off */
static const setting ROWS[] = {
    {"cluster_id", 0, SETTING_TEXT, AT(cluster_id), ANY,
     "Names the cluster; the same text in all its processes."},
    {"instance_id", 0, SETTING_TEXT, AT(instance_id), ANY,
     "Names this process; no other of the cluster has it."},
    {"memory_limit", 0, SETTING_BYTES, AT(memory_limit_bytes), 64 * MIB, INT64_MAX, NULL,
     "Memory that queries may use here. Not set: what the cgroup or the machine allows."},
    {"cpu_reserved", 0, SETTING_CORES, AT(cpu_reserved), ANY,
     "Cores that queries may use here. Not set: what the cgroup or the machine allows."},
    {0, "PLC_LOG_LEVEL", SETTING_LOG_LEVEL, AT(log_level), 0, 0, "info",
     "`error`, `warn`, `info`, `debug` or `trace`; `off` still logs errors."},
    {0, "POLARS_TEMP_DIR", SETTING_TEXT, AT(temp_dir), 0, 0, "/tmp/floe",
     "Folder for temporary files."},
    {0, "OTLP_ENDPOINT", SETTING_TEXT, LATER, ANY, "Where telemetry is sent."},
    {0, "OTEL_SERVICE_NAME", SETTING_TEXT, LATER, ANY, "The service's name in telemetry."},
    {0, "OTEL_SERVICE_INSTANCE_ID", SETTING_TEXT, LATER, ANY, "This process's name in telemetry."},
    {0, "POLARS_EULA_ACCEPTED", SETTING_TEXT, SETTING_IGNORED, SETTING_NOWHERE, ANY,
     "Accepted and ignored: Floe has no EULA."},

    {"cluster.token", 0, SETTING_TOKEN, AT(cluster.token), ANY,
     "What the cluster's processes show each other. Up to 4096 visible ASCII characters."},
    {"cluster.token_file", 0, SETTING_TEXT, AT(cluster.token_file), ANY,
     "A file that holds the token, instead of `cluster.token`."},
    {"cluster.require_token", 0, SETTING_BOOL, AT(cluster.require_token), 0, 0, "false",
     "Refuse to start without a token."},
    {"cluster.tls.certificate_key_file", 0, SETTING_TEXT, AT(cluster.tls.certificate_key_file), ANY,
     "PEM file with the certificate chain of this process; with `private_key_file` and `ca_file`, all "
     "ports that only the cluster uses (5050, 5049, 5052, 5053) speak TLS."},
    {"cluster.tls.private_key_file", 0, SETTING_TEXT, AT(cluster.tls.private_key_file), ANY,
     "PEM file with the private key."},
    {"cluster.tls.ca_file", 0, SETTING_TEXT, AT(cluster.ca_file), ANY,
     "PEM file with the certificates of the authority that certificates of this cluster are of."},
    {"cluster.tls.server_name", 0, SETTING_TEXT, AT(cluster.server_name), ANY,
     "The name that all certificates of the cluster bear. Not set: each must bear the address by which "
     "its process is reached."},

    {"scheduler.enabled", 0, SETTING_BOOL, AT(scheduler.enabled), 0, 0, "false",
     "Run the scheduler in this process."},
    {"scheduler.n_workers", 0, SETTING_INTEGER, AT(scheduler.n_workers), 0, 100000, "0",
     "Queries wait until so many workers have joined."},
    {"scheduler.max_finished_queries", 0, SETTING_INTEGER, AT(scheduler.max_finished_queries),
     1, 1000000, "1000", "Queries that are remembered after their end."},
    {"scheduler.deny_anonymous_users", 0, SETTING_BOOL, AT(scheduler.deny_anonymous_users),
     0, 0, "false", "Refuse queries that name no user."},
    {"scheduler.allow_local_scans", 0, SETTING_BOOL, AT(scheduler.allow_local_scans), 0, 0, "true",
     "Queries may read the workers' own disks."},
    {"scheduler.allow_local_sinks", 0, SETTING_BOOL, AT(scheduler.allow_local_sinks), 0, 0, "true",
     "Queries may write to the workers' own disks."},
    {"scheduler.allowed_scan_paths", 0, SETTING_TEXT, AT(scheduler.allowed_scan_paths), ANY,
     "Where queries may read, with commas between them: `/data/lake, s3://lake/sales`. Not set: "
     "everywhere."},
    {"scheduler.allowed_sink_paths", 0, SETTING_TEXT, AT(scheduler.allowed_sink_paths), ANY,
     "Where queries may write, likewise."},
    {"scheduler.client_service.bind_addr", 0, SETTING_ADDRESS, AT(scheduler.client_service),
     0, 0, "0.0.0.0:5051", "Where clients connect."},
    {"scheduler.client_service.connection.tls.certificate_key_file", 0, SETTING_TEXT,
     AT(scheduler.client_tls.certificate_key_file), ANY,
     "PEM file with the certificate chain; with `private_key_file` it turns TLS on."},
    {"scheduler.client_service.connection.tls.private_key_file", 0, SETTING_TEXT,
     AT(scheduler.client_tls.private_key_file), ANY, "PEM file with the private key."},
    {"scheduler.client_service.auth.token_file", 0, SETTING_TEXT,
     AT(scheduler.client_auth.token_file), ANY,
     "A file of users and their tokens, `USER TOKEN` in each line; callers must show one."},
    {"scheduler.client_service.auth.jwks.url", 0, SETTING_TEXT, AT(scheduler.client_auth.jwks.url), ANY,
     "Where the keys are that signed tokens (JWT) are checked with: `https://…`, `http://…` or "
     "`file:///…`; callers must show one."},
    {"scheduler.client_service.auth.jwks.issuers", 0, SETTING_TEXT,
     AT(scheduler.client_auth.jwks.issuers), ANY,
     "Who may have issued a signed token (`iss`), with commas between them. Not set: anybody who "
     "has the keys."},
    {"scheduler.client_service.auth.jwks.audience", 0, SETTING_TEXT,
     AT(scheduler.client_auth.jwks.audience), ANY,
     "Whom a signed token must be for (`aud`). Not set: whomever."},
    {"scheduler.client_service.auth.jwks.user_claim", 0, SETTING_TEXT,
     AT(scheduler.client_auth.jwks.user_claim), 0, 0, "sub",
     "The claim of a signed token that names the user."},
    {"scheduler.client_service.auth.admins", 0, SETTING_TEXT, AT(scheduler.client_auth.admins), ANY,
     "Users, with commas between them, who may see and end the queries of others."},
    {"scheduler.worker_service.bind_addr", 0, SETTING_ADDRESS, AT(scheduler.worker_service),
     0, 0, "0.0.0.0:5050", "Where workers connect."},
    {"scheduler.anonymous_result_location", 0, SETTING_LOCATION, AT(scheduler.anonymous_results),
     ANY, "Where results go whose query names no destination. Not set: queries need a sink."},
    {"scheduler.default_partitions_per_worker", 0, SETTING_INTEGER,
     AT(scheduler.partitions_per_worker), 1, 100000, "1",
     "Partitions for each worker when a query does not say; at least its slots."},
    {"scheduler.abandon_after", 0, SETTING_DURATION, AT(scheduler.abandon_ms),
     MS_SECOND, INT64_MAX, NULL,
     "A query whose client neither waits for it nor has asked for it in so long is cancelled. Not "
     "set: it goes on. (Of rows that are streamed: `scheduler.streaming.ttl`.)"},
    {"scheduler.streaming.ttl", 0, SETTING_DURATION, AT(scheduler.streaming.ttl_ms),
     MS_SECOND, INT64_MAX, "1h",
     "How long rows that a client collects are kept when it does not read them, if the query does "
     "not say."},
    {"scheduler.streaming.quota", 0, SETTING_BYTES, AT(scheduler.streaming.quota_bytes),
     1, INT64_MAX, "10 GiB",
     "A query with so many finished bytes that its client has not read starts no task until it "
     "reads on. They lie on the workers' disks."},
    {"scheduler.planner.small_rows", 0, SETTING_INTEGER, AT(scheduler.planner.small_rows),
     0, INT64_MAX, "500000", "A query whose sources have fewer rows runs on one worker."},
    {"scheduler.planner.replicate_rows", 0, SETTING_INTEGER, AT(scheduler.planner.replicate_rows),
     0, INT64_MAX, "50000", "A source of fewer rows is read by every task that needs it."},
    {"scheduler.planner.broadcast_rows", 0, SETTING_INTEGER, AT(scheduler.planner.broadcast_rows),
     0, INT64_MAX, "2000000",
     "A join's side of fewer rows goes to every task whole, if the query's own limit allows it; "
     "0: never."},
    {"scheduler.planner.task_bytes", 0, SETTING_BYTES, AT(scheduler.planner.task_bytes),
     1, INT64_MAX, "4 MiB", "A task gets at least so much to read, as far as there is so much."},
    {"scheduler.planner.partitions", 0, SETTING_INTEGER, AT(scheduler.planner.partitions),
     0, 1024, "0", "Partitions of every exchange, whatever workers there are; 0: automatic."},
    {"scheduler.planner.pushdown", 0, SETTING_BOOL, AT(scheduler.planner.pushdown), 0, 0, "true",
     "Columns, filters and limits are applied before rows go from stage to stage."},
    {"scheduler.default_workers_per_query", 0, SETTING_INTEGER, LATER, 1, 100000, NULL,
     "Workers for a query that does not say."},
    {"scheduler.max_workers_per_query", 0, SETTING_INTEGER, LATER, 1, 100000, NULL,
     "Most workers that a query may use."},
    {"scheduler.checkpoint.enabled", 0, SETTING_BOOL, LATER, ANY,
     "Keep finished stages in `worker.checkpoint_location`."},
    {"scheduler.checkpoint.period", 0, SETTING_DURATION, LATER, 1, INT64_MAX, NULL,
     "Shortest time between two checkpoints."},

    {"worker.enabled", 0, SETTING_BOOL, AT(worker.enabled), 0, 0, "false",
     "Run a worker in this process."},
    {"worker.heartbeat_period", 0, SETTING_DURATION, AT(worker.heartbeat_ms), 10, MS_HOUR, "5s",
     "How often the worker tells the scheduler that it lives."},
    {"worker.slots", 0, SETTING_INTEGER, AT(worker.slots), 1, 1024, "1",
     "Tasks that run at once; cores and memory are divided among them."},
    {"worker.task_service.bind_addr", 0, SETTING_ADDRESS, AT(worker.task_bind),
     0, 0, "0.0.0.0:5052", "Where the scheduler brings tasks."},
    {"worker.task_service.public_addr", 0, SETTING_ADDRESS, AT(worker.task_public), ANY,
     "The same as the scheduler reaches it. Not set: the bind address if it names one host, "
     "127.0.0.1 if the scheduler is on this host too."},
    {"worker.shuffle_service.bind_addr", 0, SETTING_ADDRESS, AT(worker.shuffle_bind),
     0, 0, "0.0.0.0:5053", "Where other workers fetch partitions."},
    {"worker.shuffle_service.public_addr", 0, SETTING_ADDRESS, AT(worker.shuffle_public), ANY,
     "The same as other workers reach it. Not set: as for `worker.task_service.public_addr`."},
    {"worker.shuffle_location", 0, SETTING_LOCATION, AT(worker.shuffle_location), ANY,
     "A folder for what goes between stages; the executors must reach it. Not set: in the "
     "temporary folder."},
    {"worker.runtimes_dir", 0, SETTING_TEXT, AT(worker.runtimes_dir), ANY,
     "A folder of Python environments, one for each runtime."},
    {"worker.executor_user", 0, SETTING_TEXT, AT(worker.executor_user), 0, 0, "nobody",
     "Who the executors run as when the worker runs as root."},
    {"worker.executor_nice", 0, SETTING_INTEGER, AT(worker.executor_nice), 0, 19, "10",
     "How much the executors step back when cores are scarce: heartbeats, status calls and other "
     "programs go first. 0: not at all."},
    {"worker.env_vars", 0, SETTING_OPTIONS, AT(worker.env_vars), ANY,
     "Variables for Polars and for users' code: `worker.env_vars.NAME`."},
    {"worker.checkpoint_location", 0, SETTING_LOCATION, LATER, ANY, "Where checkpoints go."},
    {"worker.extras.hdfs.enabled", 0, SETTING_BOOL, LATER, ANY, "Read from HDFS."},
    {"worker.extras.pyiceberg.enabled", 0, SETTING_BOOL, LATER, ANY,
     "Read Iceberg tables by PyIceberg."},

    {"observatory.enabled", 0, SETTING_BOOL, AT(observatory.enabled), 0, 0, "false",
     "Run the observatory in this process."},
    {"observatory.service.bind_addr", 0, SETTING_ADDRESS, AT(observatory.service),
     0, 0, "0.0.0.0:5049", "Where the cluster's processes send what they observe."},
    {"observatory.rest_api.enabled", 0, SETTING_BOOL, AT(observatory.rest_enabled), 0, 0, "true",
     "Serve the REST API and the dashboard."},
    {"observatory.rest_api.service.bind_addr", 0, SETTING_ADDRESS, AT(observatory.rest),
     0, 0, "0.0.0.0:3001", "Where browsers connect."},
    {"observatory.rest_api.service.connection.tls.certificate_key_file", 0, SETTING_TEXT,
     AT(observatory.rest_tls.certificate_key_file), ANY,
     "PEM file with the certificate chain; with `private_key_file` it turns TLS on."},
    {"observatory.rest_api.service.connection.tls.private_key_file", 0, SETTING_TEXT,
     AT(observatory.rest_tls.private_key_file), ANY, "PEM file with the private key."},
    {"observatory.rest_api.service.auth.token_file", 0, SETTING_TEXT,
     AT(observatory.rest_auth.token_file), ANY,
     "A file of users and their tokens, `USER TOKEN` in each line; callers must show one. "
     "With neither this nor `jwks.url`, "
     "what `scheduler.client_service.auth` says holds here too."},
    {"observatory.rest_api.service.auth.jwks.url", 0, SETTING_TEXT, AT(observatory.rest_auth.jwks.url), ANY,
     "Where the keys are that signed tokens (JWT) are checked with: `https://…`, `http://…` or "
     "`file:///…`; callers must show one."},
    {"observatory.rest_api.service.auth.jwks.issuers", 0, SETTING_TEXT,
     AT(observatory.rest_auth.jwks.issuers), ANY,
     "Who may have issued a signed token (`iss`), with commas between them. Not set: anybody who "
     "has the keys."},
    {"observatory.rest_api.service.auth.jwks.audience", 0, SETTING_TEXT,
     AT(observatory.rest_auth.jwks.audience), ANY,
     "Whom a signed token must be for (`aud`). Not set: whomever."},
    {"observatory.rest_api.service.auth.jwks.user_claim", 0, SETTING_TEXT,
     AT(observatory.rest_auth.jwks.user_claim), 0, 0, "sub",
     "The claim of a signed token that names the user."},
    {"observatory.rest_api.service.auth.admins", 0, SETTING_TEXT, AT(observatory.rest_auth.admins), ANY,
     "Users, with commas between them, who may see and end the queries of others."},
    {"observatory.max_metrics_bytes_total", 0, SETTING_BYTES, AT(observatory.metrics_bytes),
     MIB, INT64_MAX, "128 MiB",
     "Memory for host metrics; the newest take the place of the oldest."},
    {"observatory.database_path", 0, SETTING_TEXT, AT(observatory.database_path), ANY,
     "The database of past queries, or a folder for it. Not set: in memory."},
    {"observatory.database_retention", 0, SETTING_DURATION, AT(observatory.keep_ms),
     MS_SECOND, INT64_MAX, "30d", "How long past queries are kept."},
    {"observatory.database_max_bytes", 0, SETTING_BYTES, AT(observatory.database_bytes),
     MIB, INT64_MAX, "1 GiB", "What they may weigh; the oldest go first."},
    {"observatory.database_export", 0, SETTING_TEXT, LATER, ANY, "Where metrics are exported to."},
    {"observatory.cluster_mode", 0, SETTING_TEXT, LATER, ANY,
     "What runs the cluster's processes, for example `kubernetes`."},

    {"static_leader.leader_instance_id", 0, SETTING_TEXT, AT(static_leader.leader_instance_id),
     ANY, "The `instance_id` of the process that runs the scheduler."},
    {"static_leader.scheduler_service.public_addr", 0, SETTING_ADDRESS,
     AT(static_leader.scheduler), 0, 0, ":5050",
     "`scheduler.worker_service` as a worker reaches it."},
    {"static_leader.observatory_service.public_addr", 0, SETTING_ADDRESS,
     AT(static_leader.observatory), 0, 0, ":5049",
     "`observatory.service` as a worker reaches it."},

    {"monitoring.enabled", 0, SETTING_BOOL, AT(monitoring.enabled), 0, 0, "true",
     "Tell the observatory of tasks and plans, and of this process and its host."},
    {"monitoring.metrics.bind_addr", 0, SETTING_ADDRESS, AT(monitoring.metrics), ANY,
     "Where Prometheus reads `/metrics` of this process. Not set: nowhere; the observatory's are on "
     "its REST API, too."},
    {"monitoring.host_metrics.enabled", 0, SETTING_BOOL, AT(monitoring.host_metrics), 0, 0, "true",
     "Observe the host: CPU, memory, network, disk."},
    {"monitoring.host_metrics.disk_usage_metrics", 0, SETTING_BOOL, LATER, ANY,
     "Observe how full its disks are."},
    {"monitoring.host_metrics.disk_io_metrics", 0, SETTING_BOOL, LATER, ANY,
     "Observe what its disks read and write."},

    {"scaling.enabled", 0, SETTING_BOOL, LATER, ANY, "Ask for workers as the load needs them."},
    {"scaling.rest.uri", 0, SETTING_TEXT, LATER, ANY, "Who is asked."},

    {"lineage.enabled", 0, SETTING_BOOL, LATER, ANY, "Send OpenLineage events."},
    {"lineage.transport.http.endpoint", 0, SETTING_TEXT, LATER, ANY, "Where they are sent."},
    {"lineage.transport.stdio.output_stream", 0, SETTING_TEXT, LATER, ANY,
     "The stream they are written to: `stdout` or `stderr`."},

    {"license", 0, SETTING_TEXT, LATER, ANY, "Short for `license.on_prem_enterprise.license_path`."},
    {"license.on_prem.enabled", 0, SETTING_BOOL, LATER, ANY, "Have a license of a control plane."},
    {"license.on_prem.cert_dir", 0, SETTING_TEXT, LATER, ANY, "Folder for its certificates."},
    {"license.on_prem.workspace_id", 0, SETTING_TEXT, LATER, ANY, "The workspace there."},
    {"license.on_prem.client_id", 0, SETTING_TEXT, LATER, ANY, "The service account there."},
    {"license.on_prem.client_secret", 0, SETTING_TEXT, LATER, ANY, "Its secret."},
    {"license.on_prem_enterprise.license_path", 0, SETTING_TEXT, LATER, ANY, "A license file."},
    {"license.license_server.uri", 0, SETTING_TEXT, LATER, ANY, "A license server."},
};

static const setting ADDRESS_PARTS[] = {
    {"ip", 0, SETTING_HOST, SETTING_USED, offsetof(conf_address, host), ANY, "The host."},
    {"hostname", 0, SETTING_HOST, SETTING_USED, offsetof(conf_address, host), ANY,
     "The host; `ip` counts if both are given."},
    {"port", 0, SETTING_PORT, SETTING_USED, offsetof(conf_address, port), ANY, "The port."},
};

#define PART(field) SETTING_USED, offsetof(conf_location, field)
#define COMMON_PARTS                                                                               \
    {"presign_duration", 0, SETTING_DURATION, PART(presign_ms), MS_SECOND, 7 * MS_DAY, "8h",       \
     "How long the URL of a result is valid."},                                                    \
    {"allow_deletes", 0, SETTING_BOOL, PART(allow_deletes), 0, 0, "true",                          \
     "Files there may be deleted."}

static const setting FOLDER_PARTS[] = {
    {"path", 0, SETTING_FOLDER, PART(url), ANY, "The folder. Required."},
    {"external_endpoint", 0, SETTING_TEXT, PART(external_endpoint), ANY,
     "`http(s)://host:port` of the REST API as clients reach it: all of them are given URLs of "
     "results that begin so. Not set: clients who do not see the file are, with the host by which "
     "they reached the scheduler."},
    {"mounted_by_clients", 0, SETTING_BOOL, PART(mounted_by_clients), 0, 0, "false",
     "Clients see the folder under the same path: they are given paths of results, no URLs."},
    COMMON_PARTS,
};

/* the first takes every name that the others are not */
static const setting STORE_PARTS[] = {
    {"OPTION", 0, SETTING_OPTION, PART(options), ANY,
     "Any other name is a storage option, as for `scan_parquet`: `aws_region` …"},
    {"url", 0, SETTING_TEXT, PART(url), ANY,
     "`s3://bucket/prefix`, `gs://…`, `az://…`. Required."},
    {"external_endpoint", 0, SETTING_TEXT, PART(external_endpoint), ANY,
     "The endpoint as clients see it. Not set: the endpoint among the options."},
    COMMON_PARTS,
};
/* clang-format on */

static const char *const KIND_NAMES[] = {
    [CONF_LOCATION_LOCAL] = "local", [CONF_LOCATION_SHARED] = "shared_filesystem",
    [CONF_LOCATION_S3] = "s3",       [CONF_LOCATION_GCS] = "gcs",
    [CONF_LOCATION_ABS] = "abs",
};

#define T(type) (1u << TOML_##type)
static const struct {
  const char *words;
  unsigned toml_types;
} TYPES[] = {
#define X(name, words, types) {words, types},
    SETTING_TYPE_TABLE(X)
#undef X
};

settings settings_all(void) {
  return (settings){ROWS, LEN(ROWS)};
}

settings settings_address_parts(void) {
  return (settings){ADDRESS_PARTS, LEN(ADDRESS_PARTS)};
}

settings settings_location_parts(conf_location_kind kind) {
  if (kind == CONF_LOCATION_LOCAL || kind == CONF_LOCATION_SHARED)
    return (settings){FOLDER_PARTS, LEN(FOLDER_PARTS)};
  return (settings){STORE_PARTS, LEN(STORE_PARTS)};
}

const char *settings_kind_name(conf_location_kind kind) {
  return (size_t)kind < LEN(KIND_NAMES) ? KIND_NAMES[kind] : NULL;
}

const char *settings_type_words(setting_type type) {
  return TYPES[type].words;
}

bool settings_type_takes(setting_type type, toml_type found) {
  return TYPES[type].toml_types >> found & 1;
}
