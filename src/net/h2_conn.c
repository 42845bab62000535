/* net/h2_conn.c: see h2_conn.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/h2_conn.h"

#include "base/buf.h"
#include "base/mem.h"
#include "net/tls_pipe.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
  READ_SIZE = 64 << 10,
  GATHER_SIZE = 128 << 10, /* frames that leave in one write */
  CHUNK_MOST = 17 << 10,   /* what nghttp2 hands out at once: a frame of 16 KiB and its head */
  READS_AT_ONCE = 2,       /* then others have their turn */
  FLUSH_ROUNDS = 4,        /* likewise */
  LINGER_MS = 500,         /* for the peer to read our last words and close */
  BACKLOG_FRAMES = 1000,   /* control frames a peer may cause without reading them */
};

struct h2_conn {
  h2_conn_config cfg;
  nghttp2_session *session;
  tls_pipe *tls;
  uv_tcp_t *tcp; /* NULL until h2_conn_start */
  uv_timer_t timer;
  uv_idle_t flusher; /* active: a flush is due; idle handles keep the loop from sleeping */
  uv_write_t write;
  uv_shutdown_t shutdown;
  buf unsent;                  /* what the socket did not take; libuv's while `writing` */
  uint64_t last_read, ping_at; /* loop time, ms; ping_at 0: none is out */
  unsigned depth;              /* inside the session: it must not be entered or deleted */
  unsigned reads;              /* in this turn of the loop */
  unsigned handles;            /* open, of the three above */
  char *closing;               /* h2_conn_close was called inside the session: why */
  bool settled, writing, paused;
  bool down; /* the owner was told; perhaps lingering */
};

static void take_down(h2_conn *c, const char *why);
static void end_orderly(h2_conn *c, const char *why);
static void close_handles(h2_conn *c);
static void start_reading(h2_conn *c);

/* ---- sending ---- */

static rc gather(h2_conn *c, uint8_t *out, size_t *len, bool *more, err *e) {
  *more = false;
  while (*len <= GATHER_SIZE - CHUNK_MOST) {
    const uint8_t *frame;
    ssize_t n = nghttp2_session_mem_send(c->session, &frame);
    if (n == 0) return RC_OK;
    if (n < 0 || n > CHUNK_MOST)
      return ERR(e, RC_INTERNAL, "HTTP/2: %s", n < 0 ? nghttp2_strerror((int)n) : "a giant frame");
    memcpy(out + *len, frame, (size_t)n);
    *len += (size_t)n;
  }
  *more = true;
  return RC_OK;
}

static void on_written(uv_write_t *write, int status) {
  h2_conn *c = write->data;
  c->writing = false;
  buf_deinit(&c->unsent);
  if (c->down) return;
  if (status < 0)
    take_down(c, uv_strerror(status));
  else
    h2_conn_flush(c);
}

/* Gives the bytes to the socket; keeps a copy of those it does not take. */
static rc put(h2_conn *c, const uint8_t *data, size_t len, err *e) {
  if (!len) return RC_OK;
  uv_buf_t all = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
  int n = uv_try_write((uv_stream_t *)c->tcp, &all, 1);
  if (n == UV_EAGAIN) n = 0;
  if (n >= 0 && (size_t)n < len) {
    TRY(buf_append(&c->unsent, data + n, len - (size_t)n, e));
    uv_buf_t rest = uv_buf_init((char *)c->unsent.data, (unsigned)c->unsent.len);
    c->writing = true;
    n = uv_write(&c->write, (uv_stream_t *)c->tcp, &rest, 1, on_written);
    if (n < 0) c->writing = false;
  }
  return n < 0 ? ERR(e, RC_UNAVAILABLE, "writing: %s", uv_strerror(n)) : RC_OK;
}

static rc flush_round(h2_conn *c, bool *more, err *e) {
  uint8_t plain[GATHER_SIZE];
  size_t len = 0;
  *more = false;
  if (!c->tls || tls_pipe_up(c->tls)) TRY(gather(c, plain, &len, more, e));
  if (!c->tls) return put(c, plain, len, e);
  if (len) TRY(tls_pipe_send(c->tls, plain, len, e));
  buf *out = tls_pipe_out(c->tls);
  rc r = put(c, out->data, out->len, e);
  buf_clear(out);
  return r;
}

static bool is_over(const h2_conn *c) {
  return !c->writing && !nghttp2_session_want_read(c->session) &&
         !nghttp2_session_want_write(c->session);
}

/* After anything that ran inside the session. */
static void settle_accounts(h2_conn *c, rc r, const err *e) {
  if (r != RC_OK)
    take_down(c, e->text);
  else if (c->closing)
    take_down(c, c->closing);
  else if (c->tcp && is_over(c))
    end_orderly(c, "the connection was closed");
}

void h2_conn_flush(h2_conn *c) {
  if (c->down || !c->tcp || c->writing || c->depth) return;
  uv_idle_stop(&c->flusher);
  err e = {0};
  rc r = RC_OK;
  bool more = true;
  c->depth++;
  for (int i = 0; i < FLUSH_ROUNDS && more && !c->writing && r == RC_OK; i++)
    r = flush_round(c, &more, &e);
  c->depth--;
  if (c->tls) buf_deinit(tls_pipe_out(c->tls));
  if (more && !c->writing) h2_conn_flush_soon(c);
  if (c->paused && !c->writing) {
    c->paused = false;
    start_reading(c);
  }
  settle_accounts(c, r, &e);
}

static void on_idle(uv_idle_t *flusher) {
  uv_idle_stop(flusher);
  h2_conn_flush(flusher->data);
}

void h2_conn_flush_soon(h2_conn *c) {
  /* inside the session: whoever entered it flushes; while writing: on_written does */
  if (!c->down && c->tcp && !c->writing && !c->depth) uv_idle_start(&c->flusher, on_idle);
}

/* ---- receiving ---- */

/* libuv hands every read over before the next one begins, so a thread needs one buffer. It reads
 * one socket 32 times before it looks at the next; a buffer of nothing ends that (UV_ENOBUFS), and
 * the loop comes back to the socket. */
static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *out) {
  (void)hint;
  static _Thread_local char scratch[READ_SIZE];
  h2_conn *c = handle->data;
  bool enough = c->reads == READS_AT_ONCE;
  c->reads = enough ? 0 : c->reads + 1;
  *out = uv_buf_init(scratch, enough ? 0 : sizeof scratch);
}

static rc feed_session(void *arg, const uint8_t *data, size_t len, err *e) {
  h2_conn *c = arg;
  ssize_t n = nghttp2_session_mem_recv(c->session, data, len);
  if (n == (ssize_t)len) return RC_OK;
  return ERR(e, RC_UNAVAILABLE, "HTTP/2: %s", n < 0 ? nghttp2_strerror((int)n) : "unread bytes");
}

static rc feed(h2_conn *c, const uint8_t *data, size_t len, err *e) {
  c->depth++;
  rc r =
      c->tls ? tls_pipe_feed(c->tls, data, len, feed_session, c, e) : feed_session(c, data, len, e);
  c->depth--;
  return r;
}

/* A peer that makes us answer but does not read the answers is not read either. */
static void pause_if_backlogged(h2_conn *c) {
  if (c->down || !c->writing || c->paused) return;
  if (nghttp2_session_get_outbound_queue_size(c->session) < BACKLOG_FRAMES) return;
  uv_read_stop((uv_stream_t *)c->tcp);
  c->paused = true;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b) {
  h2_conn *c = stream->data;
  if (n == UV_ENOBUFS) return;            /* enough for this turn */
  if (n < READ_SIZE) c->reads = 0;        /* the socket is empty: the turn ends by itself */
  if (c->down && n < 0) close_handles(c); /* lingered long enough */
  if (n == 0 || c->down) return;
  if (n < 0) {
    take_down(c, n == UV_EOF ? "the peer closed the connection" : uv_strerror((int)n));
    return;
  }
  c->last_read = uv_now(c->cfg.loop);
  err e = {0};
  rc r = feed(c, (const uint8_t *)b->base, (size_t)n, &e);
  h2_conn_flush(c); /* also when feeding failed: an alert or GOAWAY says why */
  if (c->down) return;
  settle_accounts(c, r, &e);
  pause_if_backlogged(c);
}

static void start_reading(h2_conn *c) {
  uv_read_start((uv_stream_t *)c->tcp, on_alloc, on_read);
}

/* ---- the timer: first the handshake's, then keepalive's ---- */

static void on_timer(uv_timer_t *timer);
static void set_timer(h2_conn *c, uint64_t ms) {
  uv_timer_start(&c->timer, on_timer, ms, 0);
}

static void on_timer(uv_timer_t *timer) {
  h2_conn *c = timer->data;
  uint64_t now = uv_now(c->cfg.loop), quiet = now - c->last_read;
  if (c->down) {
    close_handles(c);
    return;
  }
  if (!c->settled) {
    take_down(c, "the handshake took too long");
    return;
  }
  if (c->ping_at && c->last_read < c->ping_at) {
    take_down(c, "the peer does not answer PINGs");
    return;
  }
  c->ping_at = 0;
  if (quiet < c->cfg.keepalive_ms) {
    set_timer(c, c->cfg.keepalive_ms - quiet);
    return;
  }
  if (c->cfg.is_idle && c->cfg.is_idle(c->cfg.owner)) {
    set_timer(c, c->cfg.keepalive_ms);
    return;
  }
  c->ping_at = now;
  set_timer(c, c->cfg.keepalive_timeout);
  nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
  h2_conn_flush(c);
}

void h2_conn_settled(h2_conn *c) {
  if (c->settled || c->down) return;
  c->settled = true;
  set_timer(c, c->cfg.keepalive_ms);
}

/* ---- life ---- */

/* libuv writes with write(2): without this, a peer that is gone would kill the process. A handler
 * the program has set stays; children get the default back from libuv. */
static void ignore_sigpipe(void) {
  struct sigaction now;
  if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

static rc new_session(h2_conn *c, err *e) {
  nghttp2_option *option;
  if (nghttp2_option_new(&option) != 0) return ERR(e, RC_NO_MEMORY, "no memory for a connection");
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_peer_max_concurrent_streams(option, 0); /* none before its SETTINGS came */
  int r = c->cfg.server
              ? nghttp2_session_server_new2(&c->session, c->cfg.callbacks, c->cfg.owner, option)
              : nghttp2_session_client_new2(&c->session, c->cfg.callbacks, c->cfg.owner, option);
  nghttp2_option_del(option);
  if (r != 0) return ERR(e, RC_NO_MEMORY, "HTTP/2: %s", nghttp2_strerror(r));
  nghttp2_settings_entry entries[] = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, c->cfg.max_header_bytes},
      c->cfg.server
          ? (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->cfg.max_streams}
          : (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
  };
  r = nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, entries,
                              sizeof entries / sizeof *entries);
  if (r == 0)
    r = nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW);
  return r == 0 ? RC_OK : ERR(e, RC_NO_MEMORY, "HTTP/2: %s", nghttp2_strerror(r));
}

rc h2_conn_new(const h2_conn_config *config, h2_conn **out, err *e) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, ignore_sigpipe);
  h2_conn *c = NEW(h2_conn);
  c->cfg = *config;
  rc r = new_session(c, e);
  if (r == RC_OK && c->cfg.tls)
    r = tls_pipe_new(c->cfg.tls, c->cfg.server ? NULL : c->cfg.host, &c->tls, e);
  if (r != RC_OK) {
    nghttp2_session_del(c->session);
    free(c);
    return r;
  }
  uv_timer_init(c->cfg.loop, &c->timer);
  uv_idle_init(c->cfg.loop, &c->flusher);
  c->handles = 2;
  c->timer.data = c->flusher.data = c->write.data = c;
  set_timer(c, c->cfg.handshake_ms);
  *out = c;
  return RC_OK;
}

void h2_conn_start(h2_conn *c, uv_tcp_t *tcp) {
  c->tcp = tcp;
  c->handles++;
  tcp->data = c;
  uv_tcp_nodelay(tcp, 1);
  start_reading(c);
  err e = {0};
  rc r = c->tls ? feed(c, NULL, 0, &e) : RC_OK; /* a TLS client speaks first */
  if (r != RC_OK)
    h2_conn_close(c, e.text);
  else
    h2_conn_flush_soon(c);
}

nghttp2_session *h2_conn_session(const h2_conn *c) {
  return c->session;
}

static void on_handle_closed(uv_handle_t *handle) {
  h2_conn *c = handle->data;
  if (handle == (uv_handle_t *)c->tcp) free(c->tcp);
  if (--c->handles) return;
  void (*on_gone)(void *) = c->cfg.on_gone;
  void *owner = c->cfg.owner;
  buf_deinit(&c->unsent);
  free(c->closing);
  free(c);
  on_gone(owner);
}

/* Best effort: whoever reads on is told that this end was meant. */
static void say_goodbye(h2_conn *c) {
  if (!c->tls || !c->tcp || c->writing) return;
  tls_pipe_end(c->tls);
  buf *out = tls_pipe_out(c->tls);
  uv_buf_t b = uv_buf_init((char *)out->data, (unsigned)out->len);
  if (out->len) uv_try_write((uv_stream_t *)c->tcp, &b, 1);
}

static void tell_owner(h2_conn *c, const char *why) {
  c->down = true;
  c->cfg.on_down(c->cfg.owner, why);
  say_goodbye(c);
  nghttp2_session_del(c->session);
  c->session = NULL;
  tls_pipe_free(c->tls);
  c->tls = NULL;
}

static void close_handles(h2_conn *c) {
  if (uv_is_closing((uv_handle_t *)&c->timer)) return;
  uv_close((uv_handle_t *)&c->timer, on_handle_closed);
  uv_close((uv_handle_t *)&c->flusher, on_handle_closed);
  if (c->tcp) uv_close((uv_handle_t *)c->tcp, on_handle_closed);
}

static void take_down(h2_conn *c, const char *why) {
  if (c->down) return;
  tell_owner(c, why);
  close_handles(c);
}

static void on_shutdown(uv_shutdown_t *request, int status) {
  (void)request, (void)status;
}

/* All is said. Closing a socket while bytes of the peer are under way would reset the connection
 * and with it what the peer has not read yet: so FIN, then wait a little for the peer's. */
static void end_orderly(h2_conn *c, const char *why) {
  tell_owner(c, why);
  uv_idle_stop(&c->flusher);
  start_reading(c);
  set_timer(c, LINGER_MS);
  if (uv_shutdown(&c->shutdown, (uv_stream_t *)c->tcp, on_shutdown) != 0) close_handles(c);
}

void h2_conn_close(h2_conn *c, const char *why) {
  if (c->down)
    close_handles(c); /* without lingering */
  else if (c->closing)
    return;
  else if (c->depth)
    c->closing = mem_strdup(why);
  else
    take_down(c, why);
}
