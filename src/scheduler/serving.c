/* scheduler/serving.c: see serving.h. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/serving.h"

#include "base/clock.h"
#include "base/mem.h"
#include "scheduler/internal.h"
#include "store/http.h"
#include "store/result_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECOND_US = 1000000 };

rc serving_start(scheduler *s, err *e) {
  return result_url_key(s->conf->cluster.token, &s->url_key, e);
}

const char *serving_workers_folder(const scheduler *s) {
  bool own = s->conf->scheduler.anonymous_results.kind == CONF_LOCATION_LOCAL;
  return own ? location_folder(s->results) : NULL;
}

/* ---- who is given a URL ---- */

static bool can_serve(const scheduler *s) {
  return s->results && location_is_local(s->results) && s->conf->observatory.enabled &&
         s->conf->observatory.rest_enabled;
}

/* "host", "host:5051", "[v6]:5051": without the port; 0: there is none. Of the client's own making,
 * so nothing but what a name or an address has. */
static size_t host_len(const char *authority) {
  size_t len = *authority == '[' ? strcspn(authority, "]") + 1 : strcspn(authority, ":");
  static const char HOST[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_[]:";
  return len <= strlen(authority) && strspn(authority, HOST) == strlen(authority) ? len : 0;
}

/* On this host: a part may lie on another one's disk all the same. */
static bool sees(const scheduler *s, const grpc_call *call, const char *path) {
  const conf_location *c = &s->conf->scheduler.anonymous_results;
  if (c->mounted_by_clients) return true;
  if (c->external_endpoint || !grpc_call_is_from_here(call)) return false;
  return c->kind == CONF_LOCATION_SHARED || access(path, F_OK) == 0;
}

/* Where the client reaches 3001: as it says, or at the host where it has found 5051. The caller's
 * to free; NULL: it does not say. */
static char *base_for(const scheduler *s, const grpc_call *call) {
  const char *external = s->conf->scheduler.anonymous_results.external_endpoint;
  if (external) {
    size_t len = strlen(external);
    while (len && external[len - 1] == '/') len--;
    return mem_strndup(external, len);
  }
  const char *authority = grpc_call_header(call, ":authority");
  size_t len = authority ? host_len(authority) : 0;
  if (!len) return NULL;
  return mem_printf("%s://%.*s:%d",
                    s->conf->observatory.rest_tls.certificate_key_file ? "https" : "http", (int)len,
                    authority, s->conf->observatory.rest.port);
}

char *serving_url(const scheduler *s, const query *q, uint32_t part, const grpc_call *call) {
  if (!can_serve(s) || sees(s, call, q->files[part].location)) return NULL;
  char *base = base_for(s, call);
  if (!base) return NULL;
  int64_t valid_us = s->conf->scheduler.anonymous_results.presign_ms * 1000;
  result_part_id id = {.query = q->id,
                       .part = part,
                       .bytes = q->files[part].bytes,
                       .worker = q->files[part].worker,
                       .expires_s = (clock_wall_us() + valid_us) / SECOND_US};
  buf url = {0};
  rc r = result_url_print(&s->url_key, base, &id, &url, NULL);
  char *text = r == RC_OK ? buf_take_text(&url) : NULL;
  buf_deinit(&url);
  free(base);
  return text;
}

/* ---- a request ---- */

typedef struct served { /* a part on its way to a client */
  const location *results;
  query_id query;
  uint32_t part;
  uint64_t bytes;
  int fd;    /* −1: it is not here, … */
  char *url; /* … but perhaps there, at the worker that wrote it; NULL: that has gone */
  const peer_access *access; /* to the worker */
} served;

static rc get_part(const served *f, uint64_t at, uint8_t *out, size_t len, const atomic_bool *stop,
                   err *e) {
  store_get get = {.url = f->url, .access = f->access, .bytes = len, .memory = out, .first = at};
  return store_get_file(&get, stop, e);
}

static bool has_its_size(const served *f) {
  struct stat st;
  return fstat(f->fd, &st) == 0 && (uint64_t)st.st_size == f->bytes;
}

/* A file of the worker's is asked for one byte: whether it is there must be known before the answer
 * begins. */
static rc open_part(void *arg, const atomic_bool *stop, err *e) {
  served *f = arg;
  uint8_t first;
  rc r = location_result_open(f->results, f->query, f->part, &f->fd, NULL);
  if (r == RC_OK)
    r = has_its_size(f) ? RC_OK : RC_NOT_FOUND;
  else
    r = f->url ? get_part(f, 0, &first, 1, stop, NULL) : RC_NOT_FOUND;
  if (r == RC_OK) return RC_OK;
  if (r == RC_NOT_FOUND) return ERR(e, r, "this result is no longer there");
  return ERR(e, RC_UNAVAILABLE, "the worker that has this result cannot be reached; try again");
}

static rc read_part(void *arg, uint64_t at, uint8_t *out, size_t len, const atomic_bool *stop,
                    err *e) {
  const served *f = arg;
  if (f->fd < 0) return get_part(f, at, out, len, stop, e);
  for (size_t done = 0; done < len;) {
    ssize_t n = pread(f->fd, out + done, len - done, (off_t)(at + done));
    if (n <= 0) return ERR(e, RC_IO, "a result's file became shorter, or its disk fails");
    done += (size_t)n;
  }
  return RC_OK;
}

static void close_part(void *arg) {
  served *f = arg;
  if (f->fd >= 0) close(f->fd);
  free(f->url);
  free(f);
}

static char *worker_url(const scheduler *s, const result_part_id *id) {
  const peer *p = map_get(&s->peers, id->worker, strlen(id->worker));
  if (!p) return NULL;
  return mem_printf("http://%s" RESULT_URL_PATH "%s/%s", p->shuffle_address,
                    uuid_print(id->query.u).s, location_part(id->part).s);
}

static void fill_file(const scheduler *s, const result_part_id *id, http_file *out) {
  served *f = NEW(served);
  *f = (served){.results = s->results,
                .query = id->query,
                .part = id->part,
                .bytes = id->bytes,
                .fd = -1,
                .url = worker_url(s, id),
                .access = s->peer_access};
  *out = (http_file){
      .bytes = id->bytes, .arg = f, .open = open_part, .read = read_part, .close = close_part};
  snprintf(out->tag, sizeof out->tag, "%s-%u", uuid_print(id->query.u).s, id->part);
}

static rc find_part(const scheduler *s, const http_request *request, result_part_id *id, err *e) {
  result_url_request said = {.path = http_request_path(request),
                             .bytes = http_request_argument(request, "bytes"),
                             .worker = http_request_argument(request, "worker"),
                             .expires = http_request_argument(request, "expires"),
                             .signature = http_request_argument(request, "signature")};
  if (!can_serve(s)) return ERR(e, RC_NOT_FOUND, "no results are served here");
  TRY(result_url_check(&s->url_key, &said, clock_wall_us() / SECOND_US, id, e));
  const query *q = map_get(&s->queries, &id->query, sizeof id->query);
  return q && q->deleted ? ERR(e, RC_NOT_FOUND, "this result was deleted") : RC_OK;
}

void scheduler_serve_result(const scheduler *s, const http_request *request, http_reply *reply) {
  result_part_id id;
  err e = {0};
  rc r = find_part(s, request, &id, &e);
  if (r == RC_OK) {
    fill_file(s, &id, &reply->file);
    return;
  }
  reply->status = rc_http(r);
  reply->owned = mem_strdup(e.text);
  reply->body = reply->owned;
  reply->body_len = strlen(e.text);
}
