/* net/dial.c: see dial.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/dial.h"

#include "base/mem.h"
#include "net/oneshot.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct dial {
  uv_loop_t *loop;
  char *host;
  int port;
  uv_timer_t *start; /* so that nothing is called back from inside dial_start */
  uv_getaddrinfo_t resolve;
  uv_connect_t connect;
  struct addrinfo *all;                              /* owned; `next` is the one to try */
  const struct addrinfo *next;                       /* NULL: none is left */
  uv_tcp_t *tcp;                                     /* being connected */
  int error;                                         /* of the last address */
  void (*on_done)(void *, uv_tcp_t *, const char *); /* NULL: cancelled */
  void *arg;
};

static void free_handle(uv_handle_t *handle) {
  free(handle);
}

static void drop_tcp(dial *d) {
  if (d->tcp) uv_close((uv_handle_t *)d->tcp, free_handle);
  d->tcp = NULL;
}

static void end(dial *d) {
  void (*on_done)(void *, uv_tcp_t *, const char *) = d->on_done;
  void *arg = d->arg;
  uv_tcp_t *tcp = d->tcp;
  int error = d->error;
  if (d->all) uv_freeaddrinfo(d->all);
  free(d->host);
  free(d);
  if (on_done) on_done(arg, tcp, tcp ? NULL : uv_strerror(error));
}

static void try_next(dial *d);

static void on_connected(uv_connect_t *request, int status) {
  dial *d = request->data;
  if (status == 0 && d->on_done) {
    end(d);
    return;
  }
  d->error = status;
  drop_tcp(d);
  if (d->on_done)
    try_next(d);
  else
    end(d);
}

static void try_next(dial *d) {
  while (d->next) {
    const struct addrinfo *a = d->next;
    d->next = a->ai_next;
    d->tcp = NEW(uv_tcp_t);
    uv_tcp_init(d->loop, d->tcp);
    d->error = uv_tcp_connect(&d->connect, d->tcp, a->ai_addr, on_connected);
    if (d->error == 0) return;
    drop_tcp(d);
  }
  end(d);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found) {
  dial *d = request->data;
  d->all = found;
  d->error = status;
  d->next = d->on_done && status == 0 ? found : NULL;
  try_next(d);
}

/* A literal address never blocks, so it does without libuv's threads. */
static bool resolve_literal(dial *d, const char *service, const struct addrinfo *hints) {
  struct addrinfo literal = *hints;
  literal.ai_flags |= AI_NUMERICHOST;
  if (getaddrinfo(d->host, service, &literal, &d->all) != 0) return false;
  d->next = d->all;
  return true;
}

static void begin(void *arg) {
  dial *d = arg;
  char service[16];
  snprintf(service, sizeof service, "%d", d->port);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
  if (!resolve_literal(d, service, &hints)) {
    d->error = uv_getaddrinfo(d->loop, &d->resolve, on_resolved, d->host, service, &hints);
    if (d->error == 0) return;
  }
  try_next(d);
}

dial *dial_start(uv_loop_t *loop, const char *host, int port,
                 void (*on_done)(void *, uv_tcp_t *, const char *), void *arg) {
  dial *d = NEW(dial);
  d->loop = loop;
  d->host = mem_strdup(host);
  d->port = port;
  d->on_done = on_done;
  d->arg = arg;
  d->resolve.data = d->connect.data = d;
  oneshot_start(&d->start, loop, 0, begin, d);
  return d;
}

void dial_cancel(dial *d) {
  d->on_done = NULL;
  if (d->start) {
    oneshot_cancel(&d->start);
    end(d);
  } else if (d->tcp) {
    drop_tcp(d); /* on_connected comes with UV_ECANCELED */
  } else {
    uv_cancel((uv_req_t *)&d->resolve); /* on_resolved comes in any case */
  }
}
