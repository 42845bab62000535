/* conf/conf.h: the configuration of one `floe service`, as values. SPDX-License-Identifier:
 * Apache-2.0
 *
 * One table (conf/settings.c) names every setting: its key, type, bounds, default and help. TOML
 * keys, PC_CUBLET__section__key variables, error texts with line numbers and the generated page
 * docs/reference/settings.md all come from it. A variable wins over the file. Everything here is
 * owned by the conf and read-only after loading. */
#ifndef FLOE_CONF_CONF_H
#define FLOE_CONF_CONF_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct conf_address { /* "ip", "ip:port", ":port", "[v6]:port", or .ip/.hostname/.port */
  char *host;                 /* literal or name; NULL: not set */
  int port;                   /* 0: not set */
} conf_address;

typedef struct conf_option {
  char *key, *value;
} conf_option;

typedef enum conf_location_kind {
  CONF_LOCATION_NONE,
  CONF_LOCATION_LOCAL,
  CONF_LOCATION_SHARED,
  CONF_LOCATION_S3,
  CONF_LOCATION_GCS,
  CONF_LOCATION_ABS
} conf_location_kind;

typedef struct conf_location { /* where results, shuffle files or checkpoints go */
  conf_location_kind kind;
  char *url;               /* a path for LOCAL and SHARED, "s3://bucket/prefix" … */
  int64_t presign_ms;      /* how long a result's URL is valid; default 8 h */
  char *external_endpoint; /* the endpoint as clients see it; NULL: the options' endpoint, or for
                              LOCAL and SHARED: not said */
  bool allow_deletes;      /* default true */
  bool mounted_by_clients; /* LOCAL, SHARED; default false */
  conf_option *options;    /* every other key, as given: aws_region, aws_access_key_id … */
  size_t n_options;
} conf_location;

const char *conf_location_option(const conf_location *location, const char *key); /* NULL: absent */

typedef struct conf_tls { /* both NULL: plaintext */
  char *certificate_key_file, *private_key_file;
} conf_tls;

typedef struct conf_auth { /* all NULL: everybody may ask */
  char *token_file, *admins;
  struct {
    char *url, *issuers, *audience; /* url also "file:///…" */
    char *user_claim;               /* default "sub" */
  } jwks;
} conf_auth;

typedef struct conf {
  char *cluster_id, *instance_id;
  int64_t memory_limit_bytes; /* 0: what the cgroup or the machine allows */
  double cpu_reserved;        /* cores; 0: what the cgroup or the machine allows */
  char *log_level;            /* PLC_LOG_LEVEL; default "info" */
  char *temp_dir;             /* POLARS_TEMP_DIR; default "/tmp/floe" */

  struct {
    char *token; /* from cluster.token or the file at cluster.token_file; NULL: none */
    char *token_file;
    bool require_token;
    conf_tls tls; /* of 5050, 5049, 5052 and 5053; with … */
    char *ca_file, *server_name;
  } cluster;

  struct {
    bool enabled, allow_local_scans, allow_local_sinks, deny_anonymous_users;
    char *allowed_scan_paths, *allowed_sink_paths; /* prefixes; NULL: everywhere */
    int64_t n_workers;            /* queries wait until so many have joined; default 0 */
    int64_t max_finished_queries; /* remembered after their end; default 1000 */
    conf_address client_service, worker_service; /* 0.0.0.0:5051, 0.0.0.0:5050 */
    conf_tls client_tls;
    conf_auth client_auth;
    conf_location anonymous_results;
    int64_t partitions_per_worker; /* default 1 */
    int64_t abandon_ms;    /* a query that nobody has asked for in so long is cancelled; 0: not */
    struct {               /* results that the client streams */
      int64_t ttl_ms;      /* unread ones are kept so long; default 1 h */
      int64_t quota_bytes; /* a query with so many unread waits for its reader; default 10 GiB */
    } streaming;
    struct {
      int64_t small_rows;     /* of a query: fewer are not distributed; default 500,000 */
      int64_t replicate_rows; /* of a source: fewer are read by every task; default 50,000 */
      int64_t broadcast_rows; /* of a join's side: fewer are broadcast; 0: never; default 2 M */
      int64_t task_bytes;     /* least to read for one task; default 4 MiB */
      int64_t partitions;     /* of every exchange; 0, the default: by workers and slots */
      bool pushdown;          /* default true */
    } planner;
  } scheduler;

  struct {
    bool enabled;
    int64_t heartbeat_ms; /* default 5 s */
    int64_t slots;        /* default 1; cores and memory are divided among them */
    conf_address task_bind, task_public, shuffle_bind, shuffle_public; /* 0.0.0.0:5052, :5053 */
    conf_location shuffle_location;
    char *runtimes_dir;    /* a folder of Python environments, one for each runtime */
    char *executor_user;   /* as root: who the executors run as; default "nobody" */
    int64_t executor_nice; /* default 10 */
    conf_option *env_vars;
    size_t n_env_vars;
  } worker;

  struct {
    bool enabled, rest_enabled;
    conf_address service, rest; /* 0.0.0.0:5049, 0.0.0.0:3001 */
    conf_tls rest_tls;
    conf_auth rest_auth;             /* all NULL: scheduler.client_auth holds here too */
    int64_t metrics_bytes;           /* memory for host metrics; default 128 MiB */
    char *database_path;             /* NULL: in memory */
    int64_t keep_ms, database_bytes; /* of history; default 30 d, 1 GiB */
  } observatory;

  struct {
    bool enabled, host_metrics; /* default true */
    conf_address metrics;       /* host NULL: not served */
  } monitoring;

  struct {
    char *leader_instance_id;
    conf_address scheduler, observatory; /* as a worker reaches them */
  } static_leader;
} conf;

/* file NULL: variables only. `environment` is a NULL-terminated list of "NAME=value" (environ).
 * On success *out is owned by the caller. Settings that are known but that this version does not
 * use yet, and were given, are named in `notices` (one line each; may be NULL). */
MUST_CHECK rc conf_load(const char *file, const char *const *environment, conf **out, buf *notices,
                        err *e);
/* The same from the bytes of a file; `name` is what error texts call it. */
MUST_CHECK rc conf_load_bytes(const char *name, const char *bytes, size_t len,
                              const char *const *environment, conf **out, buf *notices, err *e);
void conf_free(conf *c); /* NULL is fine */

/* Words with commas between them. *at starts at the text (NULL: empty); false: there is no more. */
bool conf_list_next(const char **at, const char **word, size_t *len);
bool conf_list_has(const char *words, const char *word);

/* docs/reference/settings.md, from the table. */
void conf_print_reference(buf *out);

#endif
