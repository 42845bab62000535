/* net/file_server.c: see file_server.h. SPDX-License-Identifier: Apache-2.0
 *
 * A request whose file is large is suspended, goes through `waiting` to one of the hashers, and is
 * answered when the library calls on_request for it again. While it is suspended no thread of the
 * library touches it. */
#include "net/file_server.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/tree.h"
#include "net/bearer.h"
#include "net/http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>
#include <xxhash.h>

enum {
  SERVERS = 4,
  HASHERS = 2,
  MAX_CONNECTIONS = 4096,
  CONNECTION_BYTES = 8 * 1024,
  BACKLOG = 1024,
  IDLE_SECONDS = 60,
  PIECE = 256 * 1024,      /* that is read at once to compute a checksum */
  SMALL_FILE = 256 * 1024, /* its checksum takes less than to hand it over */
};

struct file_server {
  struct MHD_Daemon *daemon;
  char *prefix, *token; /* owned; token NULL: none */
  int folder;
  uv_mutex_t mutex; /* of all below */
  uv_cond_t more;
  list waiting;         /* of request */
  atomic_bool stopping; /* changes under the mutex */
  uv_thread_t hashers[HASHERS];
  unsigned n_hashers;
};

typedef struct request {
  list link;
  struct MHD_Connection *connection;
  int fd; /* -1: none, or the response has it */
  uint64_t bytes;
  bool hashed; /* or tried */
  bool whole;  /* the file had as many bytes as it should have */
  uint64_t checksum;
} request;

/* ---- checksums ---- */

static bool hash_pieces(const file_server *s, const request *r, XXH3_state_t *state,
                        uint8_t *piece) {
  uint64_t at = 0;
  while (at < r->bytes) {
    if (atomic_load(&s->stopping)) return false;
    ssize_t n = pread(r->fd, piece, PIECE, (off_t)at);
    if (n <= 0) return false; /* it became shorter, or the disk fails */
    XXH3_64bits_update(state, piece, (size_t)n);
    at += (uint64_t)n;
  }
  return true;
}

static void hash_file(const file_server *s, request *r) {
  uint8_t *piece = mem_new(PIECE);
  XXH3_state_t *state = XXH3_createState();
  if (state) {
    XXH3_64bits_reset(state);
    r->whole = hash_pieces(s, r, state, piece);
    r->checksum = XXH3_64bits_digest(state);
  }
  XXH3_freeState(state);
  free(piece);
  r->hashed = true;
}

static request *take_waiting(file_server *s) {
  while (list_empty(&s->waiting) && !atomic_load(&s->stopping)) uv_cond_wait(&s->more, &s->mutex);
  if (list_empty(&s->waiting)) return NULL;
  request *r = LIST_ENTRY(s->waiting.next, request, link);
  list_remove(&r->link);
  return r;
}

static void hash_waiting(void *arg) {
  file_server *s = arg;
  uv_mutex_lock(&s->mutex);
  for (request *r; (r = take_waiting(s)) != NULL;) {
    uv_mutex_unlock(&s->mutex);
    hash_file(s, r);
    MHD_resume_connection(r->connection);
    uv_mutex_lock(&s->mutex);
  }
  uv_mutex_unlock(&s->mutex);
}

/* False: the server stops, no hasher would come. */
static bool hand_over(file_server *s, request *r) {
  uv_mutex_lock(&s->mutex);
  bool taken = !atomic_load(&s->stopping);
  if (taken) {
    MHD_suspend_connection(r->connection);
    list_push_back(&s->waiting, &r->link);
    uv_cond_signal(&s->more);
  }
  uv_mutex_unlock(&s->mutex);
  return taken;
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
  return queue(connection, status,
               MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                               MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result send_file(request *r) {
  if (!r->whole)
    return refuse(r->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the file cannot be read\n");
  struct MHD_Response *response = MHD_create_response_from_fd64(r->bytes, r->fd);
  if (!response) return MHD_NO;
  r->fd = -1; /* the response closes it */
  char checksum[17];
  snprintf(checksum, sizeof checksum, "%016llx", (unsigned long long)r->checksum);
  MHD_add_response_header(response, FILE_SERVER_CHECKSUM, checksum);
  return queue(r->connection, MHD_HTTP_OK, response);
}

/* ---- requests ---- */

static bool is_allowed(const file_server *s, struct MHD_Connection *connection) {
  return !s->token ||
         bearer_matches(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization"),
                        s->token);
}

static bool open_file(const file_server *s, const char *url, request *r) {
  size_t n = strlen(s->prefix);
  struct stat st;
  if (strncmp(url, s->prefix, n) != 0 || tree_open(s->folder, url + n, &r->fd, NULL) != RC_OK ||
      fstat(r->fd, &st) != 0)
    return false;
  r->bytes = (uint64_t)st.st_size;
  return true;
}

static enum MHD_Result begin(file_server *s, const char *url, const char *method, request *r) {
  struct MHD_Connection *c = r->connection;
  if (!is_allowed(s, c)) return refuse(c, MHD_HTTP_UNAUTHORIZED, "the cluster token is missing\n");
  if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
    return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is answered here\n");
  if (!open_file(s, url, r)) return refuse(c, MHD_HTTP_NOT_FOUND, "no such file\n");
  if (r->bytes > SMALL_FILE && hand_over(s, r)) return MHD_YES;
  hash_file(s, r);
  return send_file(r);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state) {
  (void)version, (void)upload;
  if (!*state) { /* first call: headers only */
    request *r = NEW(request);
    *r = (request){.connection = connection, .fd = -1};
    *state = r;
    return MHD_YES;
  }
  if (*upload_len) { /* nothing here takes a body */
    *upload_len = 0;
    return MHD_YES;
  }
  request *r = *state;
  return r->hashed ? send_file(r) : begin(arg, url, method, r);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why) {
  (void)arg, (void)connection, (void)why;
  request *r = *state;
  if (r && r->fd >= 0) close(r->fd);
  free(r);
  *state = NULL;
}

/* ---- start and stop ---- */

static rc listen_on(file_server *s, const file_server_config *c, err *e) {
  struct sockaddr_storage at = {0};
  TRY(http_address(c->host, c->port, &at, e));
  unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                   (at.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
  s->daemon = MHD_start_daemon(
      flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_THREAD_POOL_SIZE,
      (unsigned)SERVERS, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
      (unsigned)IDLE_SECONDS, MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)BACKLOG,
      MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_END);
  if (s->daemon) return RC_OK;
  return ERR(e, RC_UNAVAILABLE, "cannot listen on http %s:%d; is another program using the port?",
             c->host, c->port);
}

static rc start_hashers(file_server *s, err *e) {
  for (; s->n_hashers < HASHERS; s->n_hashers++) {
    int failed = uv_thread_create(&s->hashers[s->n_hashers], hash_waiting, s);
    if (failed) return ERR(e, RC_EXHAUSTED, "starting a thread: %s", uv_strerror(failed));
  }
  return RC_OK;
}

static rc start(file_server *s, const file_server_config *c, err *e) {
  s->folder = open(c->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (s->folder < 0) return ERR_ERRNO(e, errno, "opening %s", c->folder);
  TRY(start_hashers(s, e));
  return listen_on(s, c, e);
}

rc file_server_new(const file_server_config *config, file_server **out, err *e) {
  file_server *s = NEW(file_server);
  s->prefix = mem_strdup(config->prefix);
  s->token = config->token ? mem_strdup(config->token) : NULL;
  s->folder = -1;
  list_init(&s->waiting);
  uv_mutex_init(&s->mutex);
  uv_cond_init(&s->more);
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
  uv_mutex_lock(&s->mutex);
  atomic_store(&s->stopping, true);
  uv_cond_broadcast(&s->more);
  uv_mutex_unlock(&s->mutex);
  /* Nothing may be suspended when the daemon stops: the hashers resume what waits. */
  while (s->n_hashers) uv_thread_join(&s->hashers[--s->n_hashers]);
  if (s->daemon) MHD_stop_daemon(s->daemon);
  if (s->folder >= 0) close(s->folder);
  uv_cond_destroy(&s->more);
  uv_mutex_destroy(&s->mutex);
  free(s->prefix);
  free(s->token);
  free(s);
}
