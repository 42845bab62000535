/* net/http_server.c: see http_server.h. SPDX-License-Identifier: Apache-2.0
 *
 * A connection's thread hands its request to the loop and sleeps until it is answered. */
#include "net/http_server.h"

#include "base/list.h"
#include "base/mem.h"
#include "net/http_log.h"
#include "net/http_tls.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
  MAX_CONNECTIONS = 256, /* and threads */
  STACK_BYTES = 512 * 1024,
  IDLE_SECONDS = 60,
  NICE = 5, /* heartbeats go first */
};

struct http_request {
  const char *path;
  struct MHD_Connection *connection;
  uv_sem_t *answered;
};

typedef struct question { /* on the stack of the thread that waits */
  list link;
  http_request request;
  http_reply *reply;
  uv_sem_t answered;
} question;

struct http_server {
  struct MHD_Daemon *daemon;
  uv_loop_t *loop;
  uv_async_t asked;
  uv_mutex_t mutex;
  list questions;   /* under the mutex, as is … */
  bool closing;     /* … no more are taken */
  atomic_bool stop; /* files on their way are given up */
  uv_work_t ending;
  void (*on_get)(void *, const http_request *, http_reply *);
  void *arg;
  http_tls *tls; /* NULL: plaintext */
  void (*closed)(void *);
  void *closed_arg;
};

static const char *const HEADERS[][2] = {
    {"Cache-Control", "no-store"},
    {"Content-Security-Policy", "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
};

static struct MHD_Response *respond(http_server *s, struct MHD_Connection *connection,
                                    const http_reply *reply, unsigned *status) {
  if (reply->file.open) {
    setpriority(PRIO_PROCESS, 0, NICE); /* of this thread alone, on Linux */
    return http_file_response(connection, &reply->file, &s->stop, status);
  }
  *status = (unsigned)reply->status;
  struct MHD_Response *response = MHD_create_response_from_buffer(
      reply->body_len, (void *)(uintptr_t)reply->body, MHD_RESPMEM_MUST_COPY);
  if (response) MHD_add_response_header(response, "Content-Type", reply->content_type);
  return response;
}

static enum MHD_Result send_reply(http_server *s, struct MHD_Connection *connection,
                                  const http_reply *reply) {
  unsigned status;
  struct MHD_Response *response = respond(s, connection, reply, &status);
  if (!response) return MHD_NO;
  http_log_answer(status);
  for (size_t i = 0; i < sizeof HEADERS / sizeof *HEADERS; i++)
    MHD_add_response_header(response, HEADERS[i][0], HEADERS[i][1]);
  if (status == MHD_HTTP_UNAUTHORIZED)
    MHD_add_response_header(response, "WWW-Authenticate", "Basic realm=\"floe\"");
  enum MHD_Result sent = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return sent;
}

static void set_text(http_reply *reply, int status, const char *text) {
  *reply = (http_reply){.status = status,
                        .content_type = "text/plain; charset=utf-8",
                        .body = text,
                        .body_len = strlen(text)};
}

/* ---- from a connection's thread to the loop ---- */

const char *http_request_path(const http_request *r) {
  return r->path;
}

const char *http_request_header(const http_request *r, const char *name) {
  return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *http_request_argument(const http_request *r, const char *name) {
  return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

void http_request_answer(const http_request *r) {
  uv_sem_post(r->answered);
}

static bool put_question(http_server *s, question *q) {
  uv_mutex_lock(&s->mutex);
  bool taken = !s->closing;
  if (taken) {
    list_push_back(&s->questions, &q->link);
    uv_async_send(&s->asked);
  }
  uv_mutex_unlock(&s->mutex);
  return taken;
}

static question *take_question(http_server *s) {
  question *q = NULL;
  uv_mutex_lock(&s->mutex);
  if (!list_empty(&s->questions)) {
    q = LIST_ENTRY(s->questions.next, question, link);
    list_remove(&q->link);
  }
  uv_mutex_unlock(&s->mutex);
  return q;
}

static void ask(http_server *s, struct MHD_Connection *connection, const char *path,
                http_reply *reply) {
  question q = {.request = {path, connection, &q.answered}, .reply = reply};
  set_text(reply, 503, "the server is shutting down\n");
  uv_sem_init(&q.answered, 0);
  if (put_question(s, &q)) uv_sem_wait(&q.answered);
  uv_sem_destroy(&q.answered);
}

static void on_asked(uv_async_t *asked) {
  http_server *s = asked->data;
  for (question *q; (q = take_question(s)) != NULL;) {
    if (!s->closing) {
      set_text(q->reply, 404, "not found\n");
      s->on_get(s->arg, &q->request, q->reply);
    }
    if (!q->reply->later) uv_sem_post(&q->answered);
  }
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state) {
  (void)version, (void)upload;
  http_server *s = cls;
  static int seen;
  if (!*state) { /* first call: headers only */
    *state = &seen;
    return MHD_YES;
  }
  if (*upload_len) { /* nothing here takes a body */
    *upload_len = 0;
    return MHD_YES;
  }
  http_reply reply;
  bool is_get = !strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD);
  set_text(&reply, 405, "only GET is answered here\n");
  if (is_get) ask(s, connection, url, &reply);
  enum MHD_Result sent = send_reply(s, connection, &reply);
  free(reply.owned);
  return sent;
}

/* ---- start and stop ---- */

rc http_address(const char *host, int port, struct sockaddr_storage *out, err *e) {
  if (!uv_ip4_addr(host, port, (struct sockaddr_in *)out)) return RC_OK;
  if (!uv_ip6_addr(host, port, (struct sockaddr_in6 *)out)) return RC_OK;
  return ERR(e, RC_INVALID, "http: expected a literal address to listen on, found \"%s\"", host);
}

static void on_connection(void *tls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what) {
  (void)connection;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) *context = tls;
}

static rc start(http_server *s, const http_server_config *c, err *e) {
  struct sockaddr_storage at = {0};
  TRY(http_address(c->host, c->port, &at, e));
  unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC |
                   MHD_USE_ERROR_LOG | (at.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
  if (c->certificate_file) {
    TRY(http_tls_new(c->certificate_file, c->key_file, &s->tls, e));
    flags |= MHD_USE_TLS;
  }
  s->daemon = MHD_start_daemon(
      flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, http_log_peer, NULL,
      MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
      MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_THREAD_STACK_SIZE,
      (size_t)STACK_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s->tls, MHD_OPTION_ARRAY,
      http_tls_options(s->tls), MHD_OPTION_END);
  if (!s->daemon)
    return ERR(e, RC_UNAVAILABLE, "cannot listen on http %s:%d; is another program using the port?",
               c->host, c->port);
  return RC_OK;
}

static void free_server(uv_handle_t *h) {
  http_server *s = h->data;
  uv_mutex_destroy(&s->mutex);
  http_tls_free(s->tls);
  free(s);
}

rc http_server_new(uv_loop_t *loop, const http_server_config *config, http_server **out, err *e) {
  http_server *s = NEW(http_server);
  s->loop = loop;
  s->on_get = config->on_get;
  s->arg = config->arg;
  list_init(&s->questions);
  uv_mutex_init(&s->mutex);
  uv_async_init(loop, &s->asked, on_asked);
  s->asked.data = s;
  rc r = start(s, config, e);
  if (r == RC_OK)
    *out = s;
  else
    uv_close((uv_handle_t *)&s->asked, free_server);
  return r;
}

static void on_async_closed(uv_handle_t *h) {
  http_server *s = h->data;
  void (*closed)(void *) = s->closed;
  void *arg = s->closed_arg;
  free_server(h);
  closed(arg);
}

/* Waits for every connection's thread. */
static void end_daemon(uv_work_t *work) {
  MHD_stop_daemon(((http_server *)work->data)->daemon);
}

static void daemon_ended(uv_work_t *work, int status) {
  (void)status;
  http_server *s = work->data;
  uv_close((uv_handle_t *)&s->asked, on_async_closed);
}

void http_server_close(http_server *s, void (*closed)(void *), void *arg) {
  s->closed = closed;
  s->closed_arg = arg;
  uv_mutex_lock(&s->mutex);
  s->closing = true;
  uv_mutex_unlock(&s->mutex);
  atomic_store(&s->stop, true);
  on_asked(&s->asked);
  s->ending.data = s;
  uv_queue_work(s->loop, &s->ending, end_daemon, daemon_ended);
}
