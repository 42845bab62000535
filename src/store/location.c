/* store/location.c: see location.h. SPDX-License-Identifier: Apache-2.0 */
#include "store/location.h"

#include "base/mem.h"
#include "base/tree.h"
#include "store/http.h"
#include "store/sigv4.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A query may run for days before its worker uploads; deletion happens at once. */
enum { UPLOAD_VALID_S = SIGV4_MAX_EXPIRES_S, DELETE_VALID_S = 600 };
enum { PASSES = 3 }; /* over a folder that is being removed */

struct location {
  char *directory; /* local: absolute, without a slash at its end; NULL: S3, and all below is set */
  char *bucket, *prefix;     /* prefix: "" or "a/b" */
  char *endpoint, *external; /* as this process and workers, and as clients reach the store */
  bool bucket_in_host;       /* else it is the path's first segment */
  char *region, *key, *secret, *token; /* token may be NULL */
  uint32_t read_valid_s;
};

/* ---- options ---- */

/* Names as in Polars' storage_options; the first one is the one we speak of. */
static const char *const ENDPOINT[] = {"aws_endpoint_url", "aws_endpoint", "endpoint_url",
                                       "endpoint", NULL};
static const char *const REGION[] = {"aws_region", "region", "aws_default_region", "default_region",
                                     NULL};
static const char *const KEY[] = {"aws_access_key_id", "access_key_id", NULL};
static const char *const SECRET[] = {"aws_secret_access_key", "secret_access_key", NULL};
static const char *const TOKEN[] = {"aws_session_token", "aws_token", "session_token", "token",
                                    NULL};
static const char *const VIRTUAL_HOST[] = {"aws_virtual_hosted_style_request",
                                           "virtual_hosted_style_request", NULL};

/* NULL: absent. A value left empty, as templates do, counts as absent. */
static const char *given_option(const conf_location *c, const char *const *names) {
  for (; *names; names++)
    for (size_t i = 0; i < c->n_options; i++)
      if (strcasecmp(c->options[i].key, *names) == 0 && *c->options[i].value)
        return c->options[i].value;
  return NULL;
}

static const char *environment(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

static const char *first_of(const char *a, const char *b, const char *c) {
  return a ? a : b ? b : c;
}

static char *copy_or_null(const char *text) {
  return text ? mem_strdup(text) : NULL;
}

/* Key, secret and token are of one kind and come from one place. */
static rc read_credentials(const conf_location *c, location *l, err *e) {
  const char *key = given_option(c, KEY), *secret = given_option(c, SECRET);
  const char *token = given_option(c, TOKEN);
  if (!key && !secret && !token) {
    key = environment("AWS_ACCESS_KEY_ID");
    secret = environment("AWS_SECRET_ACCESS_KEY");
    token = environment("AWS_SESSION_TOKEN");
  }
  if (!key || !secret)
    return ERR(e, RC_INVALID,
               "no credentials for %s: %s; set aws_access_key_id and aws_secret_access_key of the "
               "location, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
               c->url, key ? "the secret key is missing" : "the access key is missing");
  l->key = mem_strdup(key);
  l->secret = mem_strdup(secret);
  l->token = copy_or_null(token);
  return RC_OK;
}

static rc read_bool(const conf_location *c, const char *const *names, bool *out, err *e) {
  const char *text = given_option(c, names);
  *out = text && (strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0);
  if (text && !*out && strcasecmp(text, "false") != 0 && strcmp(text, "0") != 0)
    return ERR(e, RC_INVALID, "%s: expected true or false, found \"%s\"", names[0], text);
  return RC_OK;
}

static rc read_endpoints(const conf_location *c, location *l, err *e) {
  const char *endpoint = first_of(given_option(c, ENDPOINT), environment("AWS_ENDPOINT_URL_S3"),
                                  environment("AWS_ENDPOINT_URL"));
  TRY(read_bool(c, VIRTUAL_HOST, &l->bucket_in_host, e));
  if (endpoint)
    l->endpoint = mem_strdup(endpoint);
  else if (l->bucket_in_host)
    l->endpoint = mem_printf("https://%s.s3.%s.amazonaws.com", l->bucket, l->region);
  else
    l->endpoint = mem_printf("https://s3.%s.amazonaws.com", l->region);
  l->external = mem_strdup(c->external_endpoint ? c->external_endpoint : l->endpoint);
  return RC_OK;
}

/* ---- making one ---- */

/* "." and ".." are walked by HTTP clients before they send, and the signature would not fit. */
static bool has_dot_segment(const char *path) {
  for (const char *at = path; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL) {
    size_t len = strcspn(at, "/");
    if ((len == 1 || len == 2) && strncmp(at, "..", len) == 0) return true;
  }
  return false;
}

static rc read_bucket(const char *url, location *l, err *e) {
  static const char scheme[] = "s3://";
  if (strncmp(url, scheme, sizeof scheme - 1) != 0)
    return ERR(e, RC_INVALID, "expected \"s3://bucket/prefix\", found \"%s\"", url);
  const char *bucket = url + sizeof scheme - 1;
  size_t len = strcspn(bucket, "/");
  const char *prefix = bucket + len + strspn(bucket + len, "/");
  size_t prefix_len = strlen(prefix);
  while (prefix_len > 0 && prefix[prefix_len - 1] == '/') prefix_len--;
  l->bucket = mem_strndup(bucket, len);
  l->prefix = mem_strndup(prefix, prefix_len);
  if (len == 0 || strpbrk(l->bucket, "?#%@: ") || has_dot_segment(l->bucket))
    return ERR(e, RC_INVALID,
               "expected the name of a bucket in \"s3://bucket/prefix\", found \"%s\"", url);
  if (has_dot_segment(l->prefix))
    return ERR(e, RC_INVALID, "%s: a prefix cannot have \".\" or \"..\" between slashes", url);
  return RC_OK;
}

static rc read_presign(int64_t presign_ms, location *l, err *e) {
  int64_t seconds = presign_ms / 1000;
  if (seconds < 1 || seconds > SIGV4_MAX_EXPIRES_S)
    return ERR(e, RC_INVALID,
               "presign_duration: expected 1 second … 7 days, which is the most that S3 accepts, "
               "found %lld s",
               (long long)seconds);
  l->read_valid_s = (uint32_t)seconds;
  return RC_OK;
}

/* Signs nothing that matters: what is wrong with the two endpoints is said now, not at a query. */
static rc try_endpoint(const location *l, const char *endpoint, err *e);

static rc read_s3(const conf_location *c, location *l, err *e) {
  TRY(read_bucket(c->url, l, e));
  TRY(read_presign(c->presign_ms, l, e));
  TRY(read_credentials(c, l, e));
  const char *region = first_of(given_option(c, REGION), environment("AWS_REGION"),
                                environment("AWS_DEFAULT_REGION"));
  l->region = mem_strdup(region ? region : "us-east-1");
  TRY(read_endpoints(c, l, e));
  rc r = try_endpoint(l, l->endpoint, e);
  if (r != RC_OK) return err_prefix(e, r, "%s: ", ENDPOINT[0]);
  r = try_endpoint(l, l->external, e);
  return r == RC_OK ? r : err_prefix(e, r, "external_endpoint: ");
}

static rc read_directory(const char *url, location *l, err *e) {
  static const char scheme[] = "file://";
  const char *path = strncmp(url, scheme, sizeof scheme - 1) == 0 ? url + sizeof scheme - 1 : url;
  if (*path != '/')
    return ERR(e, RC_INVALID, "expected an absolute path such as /srv/results, found \"%s\"", url);
  size_t len = strlen(path);
  while (len > 1 && path[len - 1] == '/') len--;
  l->directory = mem_strndup(path, len == 1 ? 0 : len);
  return RC_OK;
}

static rc read_location(const conf_location *c, location *l, err *e) {
  switch (c->kind) {
  case CONF_LOCATION_LOCAL:
  case CONF_LOCATION_SHARED:
    return read_directory(c->url, l, e);
  case CONF_LOCATION_S3:
    return read_s3(c, l, e);
  case CONF_LOCATION_GCS:
  case CONF_LOCATION_ABS:
    return ERR(e, RC_UNIMPLEMENTED,
               "%s: Google Cloud Storage and Azure Blob Storage are not supported yet; use a local "
               "or shared directory, or an S3 bucket (any S3-compatible store)",
               c->url);
  case CONF_LOCATION_NONE:
    break;
  }
  return ERR(e, RC_INVALID, "no location is set; give a local directory or an S3 bucket");
}

rc location_new(const conf_location *c, location **out, err *e) {
  location *l = NEW(location);
  rc r = read_location(c, l, e);
  if (r != RC_OK) {
    location_free(l);
    return r;
  }
  *out = l;
  return RC_OK;
}

void location_free(location *l) {
  if (!l) return;
  char *owned[] = {l->directory, l->bucket, l->prefix, l->endpoint, l->external,
                   l->region,    l->key,    l->secret, l->token};
  for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
  free(l);
}

bool location_is_local(const location *l) {
  return l->directory != NULL;
}

const char *location_folder(const location *l) {
  return l->directory && !*l->directory ? "/" : l->directory;
}

/* ---- one query's result ---- */

location_part_name location_part(uint32_t part) {
  location_part_name name;
  snprintf(name.s, sizeof name.s, "part-%05u.parquet", part);
  return name;
}

static char *result_directory(const location *l, query_id q) {
  return mem_printf("%s/%s", l->directory, uuid_print(q.u).s);
}

/* "a/b/<query id>/part-00000.parquet" */
static char *result_key(const location *l, query_id q, uint32_t part) {
  return mem_printf("%s%s%s/%s", l->prefix, *l->prefix ? "/" : "", uuid_print(q.u).s,
                    location_part(part).s);
}

typedef struct permit {
  const char *method, *endpoint;
  uint32_t valid_s;
} permit;

static rc presign(const location *l, permit p, const char *key, int64_t wall_us, buf *out, err *e) {
  sigv4_credentials who = {l->key, l->secret, l->token};
  char *path = l->bucket_in_host ? mem_printf("/%s", key) : mem_printf("/%s/%s", l->bucket, key);
  sigv4_request request = {.method = p.method,
                           .endpoint = p.endpoint,
                           .path = path,
                           .region = l->region,
                           .wall_us = wall_us,
                           .expires_s = p.valid_s};
  rc r = sigv4_presign(&who, &request, out, e);
  free(path);
  return r;
}

static rc try_endpoint(const location *l, const char *endpoint, err *e) {
  buf url = {0};
  rc r = presign(l, (permit){"GET", endpoint, l->read_valid_s}, "", 0, &url, e);
  buf_deinit(&url);
  return r;
}

rc location_result_target(const location *l, query_id q, uint32_t part, int64_t wall_us,
                          location_target *out, err *e) {
  *out = (location_target){0};
  if (l->directory) {
    out->directory = result_directory(l, q);
    return RC_OK;
  }
  buf url = {0};
  char *key = result_key(l, q, part);
  rc r = presign(l, (permit){"PUT", l->endpoint, UPLOAD_VALID_S}, key, wall_us, &url, e);
  if (r == RC_OK) {
    out->put_url = buf_take_text(&url);
    out->location = mem_printf("s3://%s/%s", l->bucket, key);
  }
  buf_deinit(&url);
  free(key);
  return r;
}

void location_target_deinit(location_target *t) {
  free(t->directory);
  free(t->put_url);
  free(t->location);
  *t = (location_target){0};
}

rc location_result_url(const location *l, query_id q, uint32_t part, int64_t wall_us, buf *out,
                       err *e) {
  if (l->directory) {
    buf_printf(out, "%s/%s/%s", l->directory, uuid_print(q.u).s, location_part(part).s);
    return RC_OK;
  }
  char *key = result_key(l, q, part);
  rc r = presign(l, (permit){"GET", l->external, l->read_valid_s}, key, wall_us, out, e);
  free(key);
  return r;
}

rc location_result_open(const location *l, query_id q, uint32_t part, int *fd, err *e) {
  char *name = mem_printf("%s/%s", uuid_print(q.u).s, location_part(part).s);
  rc r = tree_open_in(location_folder(l), name, fd, e);
  free(name);
  return r;
}

/* ---- deleting ---- */

/* A result's directory has files only; a directory in it is not ours and stays. */
static rc remove_files(DIR *dir, const char *path, err *e) {
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (!entry && errno) return ERR_ERRNO(e, errno, "reading %s", path);
    if (!entry) return RC_OK;
    if (has_dot_segment(entry->d_name)) continue;
    if (unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT)
      return ERR_ERRNO(e, errno, "removing %s/%s", path, entry->d_name);
  }
}

/* A task that was just told to stop may still put its file into it. */
static rc remove_directory(const char *path, err *e) {
  for (int pass = 1;; pass++) {
    DIR *dir = opendir(path);
    if (!dir) return errno == ENOENT ? RC_OK : ERR_ERRNO(e, errno, "opening %s", path);
    rc r = remove_files(dir, path, e);
    closedir(dir);
    if (r != RC_OK || rmdir(path) == 0 || errno == ENOENT) return r;
    if (errno != ENOTEMPTY || pass == PASSES) return ERR_ERRNO(e, errno, "removing %s", path);
  }
}

static rc remove_object(const location *l, query_id q, uint32_t part, int64_t wall_us,
                        const atomic_bool *cancel, err *e) {
  buf url = {0};
  char *key = result_key(l, q, part);
  rc r = presign(l, (permit){"DELETE", l->endpoint, DELETE_VALID_S}, key, wall_us, &url, e);
  if (r == RC_OK) r = store_delete(buf_text(&url), cancel, e);
  buf_deinit(&url);
  free(key);
  return r;
}

rc location_result_delete(const location *l, query_id q, uint32_t n_parts, int64_t wall_us,
                          const atomic_bool *cancel, err *e) {
  if (l->directory) {
    char *path = result_directory(l, q);
    rc removed = remove_directory(path, e);
    free(path);
    return removed;
  }
  rc r = RC_OK;
  for (uint32_t part = 0; r == RC_OK && part < n_parts; part++)
    r = remove_object(l, q, part, wall_us, cancel, e);
  return r;
}
