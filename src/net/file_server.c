/* net/file_server.c: see file_server.h. SPDX-License-Identifier: Apache-2.0
 *
 * The checksum is made of each piece while it is in the processor's cache on its way out, so it
 * can only come last. No sendfile: it would need a pass over the file before, and after a short
 * one (a page that was not in memory) the library's epoll loop waits for an event that does not
 * come. */
#include "net/file_server.h"

#include "base/mem.h"
#include "base/tree.h"
#include "net/bearer.h"
#include "net/http_log.h"
#include "net/http_tls.h"
#include "net/http_server.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>
#include <xxhash.h>

enum {
  MOST_ROOTS = 2,
  THREADS = 4,
  MAX_CONNECTIONS = 4096,
  CONNECTION_BYTES = 64 * 1024, /* half of it is a chunk of a file */
  BACKLOG = 1024,
  IDLE_SECONDS = 60,
  NICE = 5, /* heartbeats go first, and executors (10) after their rows */
};

typedef struct root {
  char *prefix, *folder; /* owned */
} root;

struct file_server {
  struct MHD_Daemon *daemon;
  char *token;   /* owned; NULL: none */
  http_tls *tls; /* NULL: none */
  uv_mutex_t mutex;
  root roots[MOST_ROOTS]; /* under the mutex, as is … */
  size_t n_roots;
};

typedef struct sending { /* one file on its way */
  int fd;
  uint64_t first, bytes; /* of the file */
  XXH3_state_t *hash;
  struct MHD_Response *response;
} sending;

/* ---- a file ---- */

static void sending_free(void *arg) {
  sending *f = arg;
  if (f->fd >= 0) close(f->fd);
  XXH3_freeState(f->hash);
  free(f);
}

static ssize_t end_with_checksum(sending *f) {
  char text[17];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)XXH3_64bits_digest(f->hash));
  MHD_add_response_footer(f->response, FILE_SERVER_CHECKSUM, text);
  return MHD_CONTENT_READER_END_OF_STREAM;
}

static ssize_t read_piece(void *arg, uint64_t at, char *out, size_t room) {
  sending *f = arg;
  if (at == f->bytes) return end_with_checksum(f);
  size_t want = f->bytes - at < room ? (size_t)(f->bytes - at) : room;
  ssize_t n = pread(f->fd, out, want, (off_t)(f->first + at));
  if (n <= 0) return MHD_CONTENT_READER_END_WITH_ERROR; /* it became shorter, or the disk fails */
  XXH3_64bits_update(f->hash, out, (size_t)n);
  return n;
}

static bool starts_with(const char *text, const char *prefix) {
  return !strncmp(text, prefix, strlen(prefix));
}

/* The folder that the URL is below of, the caller's to free, and the path in it; NULL: none. */
static char *find_folder(file_server *s, const char *url, const char **path) {
  char *found = NULL;
  uv_mutex_lock(&s->mutex);
  for (size_t i = 0; i < s->n_roots && !found; i++) {
    if (!starts_with(url, s->roots[i].prefix)) continue;
    found = mem_strdup(s->roots[i].folder);
    *path = url + strlen(s->roots[i].prefix);
  }
  uv_mutex_unlock(&s->mutex);
  return found;
}

static bool sending_open(sending *f, file_server *s, const char *url) {
  const char *path;
  char *folder = find_folder(s, url, &path);
  rc r = folder ? tree_open_in(folder, path, &f->fd, NULL) : RC_NOT_FOUND;
  free(folder);
  struct stat st;
  if (r != RC_OK || fstat(f->fd, &st) != 0) return false;
  f->bytes = (uint64_t)st.st_size;
  f->hash = XXH3_createState();
  return f->hash && XXH3_64bits_reset(f->hash) == XXH_OK;
}

/* Other forms of the header are passed over: then the whole file is the answer. */
static bool read_range(struct MHD_Connection *connection, uint64_t *first, uint64_t *last) {
  const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Range");
  int end = 0;
  return text && sscanf(text, "bytes=%19" SCNu64 "-%19" SCNu64 "%n", first, last, &end) == 2 &&
         !text[end] && *first <= *last;
}

/* False: the file ends before. */
static bool sending_cut(sending *f, uint64_t first, uint64_t last) {
  if (last >= f->bytes) return false;
  f->first = first;
  f->bytes = last - first + 1;
  return true;
}

/* ---- answers ---- */

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned status,
                             struct MHD_Response *response) {
  if (!response) return MHD_NO;
  enum MHD_Result queued = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return queued;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status,
                              const char *text) {
  http_log_answer(status);
  return queue(connection, status,
               MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                               MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result send_file(file_server *s, struct MHD_Connection *connection,
                                 const char *url) {
  sending *f = NEW(sending);
  f->fd = -1;
  uint64_t first, last;
  bool found = sending_open(f, s, url), part = read_range(connection, &first, &last);
  unsigned otherwise = !found                                 ? MHD_HTTP_NOT_FOUND
                       : part && !sending_cut(f, first, last) ? MHD_HTTP_RANGE_NOT_SATISFIABLE
                                                              : 0;
  if (!otherwise)
    f->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CONNECTION_BYTES, read_piece,
                                                    f, sending_free);
  if (f->response) /* it owns f */
    return queue(connection, part ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, f->response);
  sending_free(f);
  return otherwise ? refuse(connection, otherwise, "no such file, or not so long\n") : MHD_NO;
}

/* ---- requests ---- */

static bool is_allowed(const file_server *s, struct MHD_Connection *connection) {
  return !s->token ||
         bearer_matches(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization"),
                        s->token);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state) {
  (void)version, (void)upload;
  file_server *s = arg;
  static int seen;
  if (!*state) { /* first call: headers only */
    *state = &seen;
    return MHD_YES;
  }
  if (*upload_len) { /* nothing here takes a body */
    *upload_len = 0;
    return MHD_YES;
  }
  if (!is_allowed(s, connection))
    return refuse(connection, MHD_HTTP_UNAUTHORIZED, "the cluster token is missing\n");
  if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
    return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is answered here\n");
  return send_file(s, connection, url);
}

/* ---- start and stop ---- */

/* On one of the library's threads, which it makes itself; Linux counts a thread's niceness alone.
 */
static void on_connection(void *arg, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode what) {
  (void)connection;
  if (what != MHD_CONNECTION_NOTIFY_STARTED) return;
  setpriority(PRIO_PROCESS, 0, NICE);
  *state = arg;
}

static rc listen_on(file_server *s, const file_server_config *c, err *e) {
  struct sockaddr_storage at = {0};
  TRY(http_address(c->host, c->port, &at, e));
  unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG |
                   (at.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
  const peer_access *access = c->access;
  if (access && access->certificate_file) {
    TRY(http_tls_new(access->certificate_file, access->key_file, &s->tls, e));
    flags |= MHD_USE_TLS;
  }
  s->daemon = MHD_start_daemon(
      flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, http_log_peer, NULL,
      MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
      (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
      MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)BACKLOG, MHD_OPTION_NOTIFY_CONNECTION,
      on_connection, s->tls, MHD_OPTION_ARRAY, http_tls_options(s->tls), MHD_OPTION_END);
  if (s->daemon) return RC_OK;
  return ERR(e, RC_UNAVAILABLE, "cannot listen on http %s:%d; is another program using the port?",
             c->host, c->port);
}

void file_server_add(file_server *s, const char *prefix, const char *folder) {
  uv_mutex_lock(&s->mutex);
  size_t i = 0;
  while (i < s->n_roots && strcmp(s->roots[i].prefix, prefix) != 0) i++;
  if (i < MOST_ROOTS) {
    free(s->roots[i].prefix);
    free(s->roots[i].folder);
    s->roots[i] = (root){mem_strdup(prefix), mem_strdup(folder)};
    if (i == s->n_roots) s->n_roots++;
  }
  uv_mutex_unlock(&s->mutex);
}

static rc start(file_server *s, const file_server_config *c, err *e) {
  if (access(c->folder, X_OK)) return ERR_ERRNO(e, errno, "opening %s", c->folder);
  file_server_add(s, c->prefix, c->folder);
  return listen_on(s, c, e);
}

rc file_server_new(const file_server_config *config, file_server **out, err *e) {
  file_server *s = NEW(file_server);
  uv_mutex_init(&s->mutex);
  const char *token = config->access ? config->access->token : NULL;
  s->token = token ? mem_strdup(token) : NULL;
  rc r = start(s, config, e);
  if (r == RC_OK)
    *out = s;
  else
    file_server_free(s);
  return r;
}

int file_server_port(const file_server *s) {
  return MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void file_server_free(file_server *s) {
  if (!s) return;
  if (s->daemon) MHD_stop_daemon(s->daemon);
  for (size_t i = 0; i < s->n_roots; i++) {
    free(s->roots[i].prefix);
    free(s->roots[i].folder);
  }
  uv_mutex_destroy(&s->mutex);
  http_tls_free(s->tls);
  free(s->token);
  free(s);
}
