/* conf/check.c: see check.h. May read the token's file and nothing else. SPDX-License-Identifier:
 * Apache-2.0 */
#include "conf/check.h"

#include "base/mem.h"
#include "conf/settings.h"
#include "conf/values.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the token ------------------------------------------------------------------------------ */

static rc read_token(int fd, conf *c, buf *notices, err *e) {
  const char *file = c->cluster.token_file;
  struct stat st;
  if (fstat(fd, &st)) return ERR_ERRNO(e, errno, "cluster.token_file %s", file);
  if (!S_ISREG(st.st_mode))
    return ERR(e, RC_INVALID, "cluster.token_file %s: expected a regular file", file);
  char text[VALUE_MAX_TOKEN_BYTES + 1]; /* one more, to see that there is more */
  ssize_t n = read(fd, text, sizeof text);
  if (n < 0) return ERR_ERRNO(e, errno, "cluster.token_file %s", file);
  if (n > VALUE_MAX_TOKEN_BYTES)
    return ERR(e, RC_INVALID, "cluster.token_file %s: expected at most %d bytes, found more", file,
               VALUE_MAX_TOKEN_BYTES);
  rc r = value_token(text, (size_t)n, &c->cluster.token, e);
  explicit_bzero(text, sizeof text);
  if (r != RC_OK) return err_prefix(e, r, "cluster.token_file %s: ", file);
  if (notices && st.st_mode & S_IROTH)
    buf_printf(notices,
               "cluster.token_file %s can be read by everybody on this host; do chmod o-r\n", file);
  return RC_OK;
}

static rc check_token(conf *c, buf *notices, err *e) {
  if (c->cluster.token_file) {
    if (c->cluster.token)
      return ERR(e, RC_INVALID,
                 "expected cluster.token or cluster.token_file, found both; remove one");
    int fd = open(c->cluster.token_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return ERR_ERRNO(e, errno, "cluster.token_file %s", c->cluster.token_file);
    rc r = read_token(fd, c, notices, e);
    close(fd);
    if (r != RC_OK) return r;
  }
  if (c->cluster.require_token && !c->cluster.token)
    return ERR(e, RC_INVALID,
               "cluster.require_token is true and there is no token; set cluster.token or "
               "cluster.token_file");
  return RC_OK;
}

/* ---- addresses ------------------------------------------------------------------------------ */

static bool is_any(const char *host) {
  struct in6_addr v6;
  return !strcmp(host, "0.0.0.0") ||
         (inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6));
}

static bool is_loopback(const char *host) {
  struct in_addr v4;
  struct in6_addr v6;
  if (inet_pton(AF_INET, host, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  if (inet_pton(AF_INET6, host, &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return !strcasecmp(host, "localhost");
}

/* How this process reaches a service that it runs itself. */
static void default_to_own(conf_address *address, const conf_address *bind, bool runs_it) {
  if (address->host || !runs_it) return;
  address->host = mem_strdup(is_any(bind->host) ? "127.0.0.1" : bind->host);
  address->port = bind->port;
}

/* The machine's name is not guessed: what it resolves to elsewhere is not known here. */
static rc default_public(conf_address *public, const conf_address *bind, const char *service,
                         const char *leader, err *e) {
  if (!public->port) public->port = bind->port;
  if (public->host) return RC_OK;
  if (is_any(bind->host) && !(leader && is_loopback(leader)))
    return ERR(e, RC_INVALID,
               "worker.%s.public_addr: expected the address at which the cluster reaches this "
               "worker, found nothing, and bind_addr is %s; set it to this host's address or name",
               service, bind->host);
  public->host = mem_strdup(is_any(bind->host) ? "127.0.0.1" : bind->host);
  return RC_OK;
}

static rc check_addresses(conf *c, err *e) {
  default_to_own(&c->static_leader.scheduler, &c->scheduler.worker_service, c->scheduler.enabled);
  default_to_own(&c->static_leader.observatory, &c->observatory.service, c->observatory.enabled);
  if (!c->worker.enabled) return RC_OK;
  const char *leader = c->static_leader.scheduler.host;
  if (!leader)
    return ERR(e, RC_INVALID,
               "static_leader.scheduler_service.public_addr: expected the address at which this "
               "worker reaches the scheduler, found nothing");
  TRY(default_public(&c->worker.task_public, &c->worker.task_bind, "task_service", leader, e));
  return default_public(&c->worker.shuffle_public, &c->worker.shuffle_bind, "shuffle_service",
                        leader, e);
}

/* ---- files and locations -------------------------------------------------------------------- */

static rc check_tls(const conf_tls *tls, const char *service, err *e) {
  if (!tls->certificate_key_file == !tls->private_key_file) return RC_OK;
  return ERR(e, RC_INVALID,
             "%s.connection.tls: expected certificate_key_file and private_key_file, found only %s",
             service, tls->private_key_file ? "private_key_file" : "certificate_key_file");
}

static rc check_cluster_tls(const conf *c, err *e) {
  const conf_tls *tls = &c->cluster.tls;
  int n = !!tls->certificate_key_file + !!tls->private_key_file + !!c->cluster.ca_file;
  if (n == 3 || (n == 0 && !c->cluster.server_name)) return RC_OK;
  return ERR(
      e, RC_INVALID,
      "cluster.tls: expected certificate_key_file, private_key_file and ca_file, found %d of "
      "them",
      n);
}

static bool scheme_fits(const conf_location *l) {
  static const char *const schemes[][6] = {
      [CONF_LOCATION_S3] = {"s3://", "s3a://"},
      [CONF_LOCATION_GCS] = {"gs://", "gcs://"},
      [CONF_LOCATION_ABS] = {"az://", "azure://", "abfs://", "abfss://", "adl://", "https://"},
  };
  for (size_t i = 0; i < 6 && schemes[l->kind][i]; i++)
    if (!strncmp(l->url, schemes[l->kind][i], strlen(schemes[l->kind][i]))) return true;
  return false;
}

/* The URL is not quoted: it may have a password in it. */
static rc check_location(const conf_location *l, const char *key, err *e) {
  if (l->kind == CONF_LOCATION_NONE) return RC_OK;
  const char *kind = settings_kind_name(l->kind);
  bool folder = l->kind == CONF_LOCATION_LOCAL || l->kind == CONF_LOCATION_SHARED;
  if (!l->url)
    return ERR(e, RC_INVALID, "%s.%s.%s: expected a value, found nothing", key, kind,
               folder ? "path" : "url");
  const char *endpoint = folder ? l->external_endpoint : NULL;
  if (endpoint && strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0)
    return ERR(e, RC_INVALID,
               "%s.%s.external_endpoint: expected \"http(s)://host:port\", found \"%s\"", key, kind,
               endpoint);
  if (!folder && !scheme_fits(l))
    return ERR(e, RC_INVALID, "%s.%s.url: expected a URL of this kind, such as %s", key, kind,
               l->kind == CONF_LOCATION_S3    ? "s3://bucket/prefix"
               : l->kind == CONF_LOCATION_GCS ? "gs://bucket/prefix"
                                              : "az://container/prefix");
  return RC_OK;
}

rc check_conf(conf *c, buf *notices, err *e) {
  TRY(check_token(c, notices, e));
  TRY(check_addresses(c, e));
  TRY(check_cluster_tls(c, e));
  TRY(check_tls(&c->scheduler.client_tls, "scheduler.client_service", e));
  TRY(check_tls(&c->observatory.rest_tls, "observatory.rest_api.service", e));
  TRY(check_location(&c->scheduler.anonymous_results, "scheduler.anonymous_result_location", e));
  return check_location(&c->worker.shuffle_location, "worker.shuffle_location", e);
}
