/* flight/sending.c: DoGet: one part on its way to the client. SPDX-License-Identifier: Apache-2.0
 *
 * The part is read from its worker in windows, each when the call's queue has run empty, that is
 * when the client has taken the one before. A read is a request of its own: while a client does
 * not take anything, no thread, no connection and no memory but what is queued waits for it. */
#include "flight/framing.h"
#include "flight/internal.h"

#include "base/mem.h"
#include "store/http.h"

#include <client.pb-c.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
  MOST_READING = 2, /* of the pool's four threads: plans are read there, too */
  MOST_SENDING = 512,
  LEAST_WINDOW = 128 << 10,
  MOST_WINDOW = 1 << 20,
  ALL_WINDOWS = 64 << 20,
};

typedef struct sending {
  list link; /* in result.sendings */
  list turn; /* in flight.reads, while it waits for a thread */
  flight *flight;
  flight_result *result; /* NULL: gone, nothing is sent any more */
  uint32_t part;
  char *url;
  const peer_access *access;
  uint64_t bytes, at; /* of the part; those that were read */
  grpc_call *call;    /* a reference */
  framing framing;
  bool call_over;
  bool finished, sent; /* the call has its answer; all was sent, and well */
  /* one window */
  uv_work_t work;
  bool reading; /* on the pool */
  uint8_t *window;
  size_t window_len;
  atomic_bool give_up;
  rc read_rc;
  err error;
} sending;

static void sending_free(sending *s) {
  s->flight->n_sending--;
  grpc_call_unref(s->call);
  framing_deinit(&s->framing);
  free(s->window);
  free(s->url);
  free(s);
}

static void free_if_over(sending *s) {
  if (s->call_over && !s->reading) sending_free(s);
}

/* ---- what is sent ---- */

static void on_head(void *arg, size_t len) {
  grpc_call_send_head(((sending *)arg)->call, len);
}

static void on_piece(void *arg, const uint8_t *data, size_t len) {
  grpc_call_send_piece(((sending *)arg)->call, data, len);
}

static rc forward(sending *s, err *e) {
  if (s->read_rc != RC_OK) {
    *e = s->error;
    return s->read_rc;
  }
  TRY(framing_feed(&s->framing, s->window, s->window_len, e));
  s->at += s->window_len;
  return s->at == s->bytes ? framing_end(&s->framing, e) : RC_OK;
}

static void fail(sending *s, const err *e) {
  char *text = mem_printf("part %u of the result cannot be read any more, run the query again: %s",
                          s->part, e->text);
  s->finished = true;
  grpc_call_finish(s->call, RC_DATA_LOSS,
                   text); /* the client would repeat an UNAVAILABLE in vain */
  free(text);
}

/* ---- reading ---- */

static void start_reads(flight *f);

static void ask(sending *s) {
  list_push_back(&s->flight->reads, &s->turn);
  start_reads(s->flight);
}

static void on_drain(grpc_call *call, void *arg) {
  (void)call;
  sending *s = arg;
  if (s->result && !s->reading && !s->turn.next && s->at < s->bytes) ask(s);
}

static void read_window(uv_work_t *work) {
  sending *s = work->data;
  store_get get = {.url = s->url,
                   .access = s->access,
                   .bytes = s->window_len,
                   .memory = s->window,
                   .first = s->at};
  s->read_rc = store_get_file(&get, &s->give_up, &s->error);
}

static void take_window(sending *s) {
  err e = {0};
  if (forward(s, &e) != RC_OK) {
    fail(s, &e);
  } else if (s->at == s->bytes) {
    s->finished = s->sent = true;
    grpc_call_finish(s->call, RC_OK, "");
  } else if (!grpc_call_queued(s->call)) { /* all of it was the beginning of a message */
    ask(s);
  }
}

static void after_window(uv_work_t *work, int status) {
  (void)status;
  sending *s = work->data;
  flight *f = s->flight;
  s->reading = false;
  f->n_reading--;
  if (s->result && !s->call_over) {
    flight_note_use(s->result);
    take_window(s);
  }
  free(s->window);
  s->window = NULL;
  free_if_over(s);
  start_reads(f);
  f->config.on_read_ended(f->config.arg);
}

static size_t window_of(const sending *s) {
  uint64_t window = ALL_WINDOWS / s->flight->n_sending, left = s->bytes - s->at;
  if (window > MOST_WINDOW) window = MOST_WINDOW;
  if (window < LEAST_WINDOW) window = LEAST_WINDOW;
  return (size_t)(window < left ? window : left);
}

static void start_reads(flight *f) {
  while (f->n_reading < MOST_READING && !list_empty(&f->reads)) {
    sending *s = LIST_ENTRY(f->reads.next, sending, turn);
    list_remove(&s->turn);
    s->turn = (list){0};
    s->window_len = window_of(s);
    s->window = mem_new(s->window_len);
    s->reading = true;
    f->n_reading++;
    uv_queue_work(f->config.loop, &s->work, read_window, after_window);
  }
}

/* ---- the end ---- */

static void detach(sending *s) {
  atomic_store(&s->give_up, true);
  list_remove(&s->link);
  list_remove(&s->turn);
  s->turn = (list){0};
  s->result = NULL;
}

void sending_stop_all(flight_result *r, rc code, const char *text) {
  LIST_EACH (&r->sendings, it, next) {
    sending *s = LIST_ENTRY(it, sending, link);
    detach(s);
    if (!s->sent) grpc_call_finish(s->call, code, text);
  }
}

static void on_end_of_call(grpc_call *call, void *data) {
  (void)call;
  sending *s = data;
  flight_result *r = s->result;
  if (r) detach(s);
  s->call_over = true;
  if (r && s->sent)
    flight_note_read(r, s->part);
  else if (r && !s->finished)
    flight_note_left(r);
  free_if_over(s);
}

/* ---- DoGet ---- */

static void begin(flight_result *r, uint32_t part, grpc_call *call) {
  sending *s = NEW(sending);
  s->flight = r->flight;
  s->result = r;
  s->part = part;
  s->url = mem_strdup(r->parts[part].url);
  s->access = r->flight->config.access;
  s->bytes = r->parts[part].bytes;
  s->call = grpc_call_ref(call);
  s->framing.schema = r->schema.data;
  s->framing.schema_len = r->schema.len;
  s->framing.out = (framing_out){.arg = s, .on_head = on_head, .on_piece = on_piece};
  s->work.data = s;
  list_push_back(&r->sendings, &s->link);
  r->flight->n_sending++;
  flight_note_use(r);
  grpc_call_set_data(call, s, on_end_of_call);
  grpc_call_on_drain(call, on_drain, s);
}

/* "<query id>/<part>" */
static bool read_ticket(const Client__Ticket *t, char id[ID_TEXT_LEN + 1], uint32_t *part) {
  char text[ID_TEXT_LEN + 12], *end;
  if (!t || t->ticket.len <= ID_TEXT_LEN + 1 || t->ticket.len >= sizeof text) return false;
  memcpy(text, t->ticket.data, t->ticket.len);
  text[t->ticket.len] = '\0';
  if (text[ID_TEXT_LEN] != '/' || strlen(text) != t->ticket.len) return false;
  text[ID_TEXT_LEN] = '\0';
  memcpy(id, text, ID_TEXT_LEN + 1);
  *part = (uint32_t)strtoul(text + ID_TEXT_LEN + 1, &end, 10);
  return !*end;
}

void flight_get(flight *f, grpc_call *call, const uint8_t *message, size_t len) {
  Client__Ticket *t = client__ticket__unpack(NULL, len, message);
  char id[ID_TEXT_LEN + 1];
  uint32_t part = 0;
  bool ok = read_ticket(t, id, &part);
  client__ticket__free_unpacked(t, NULL);
  if (!ok) {
    grpc_call_finish(call, RC_INVALID, "expected a ticket of PollFlightInfo, found another one");
    return;
  }
  flight_result *r = flight_find(f, call, id);
  if (!r) return;
  if (part >= r->n_parts || r->parts[part].read)
    grpc_call_finish(call, RC_NOT_FOUND,
                     "this part of the result is not there: rows are read once");
  else if (f->n_sending >= MOST_SENDING)
    grpc_call_finish(call, RC_EXHAUSTED, "too many results are being read; try again later");
  else
    begin(r, part, call);
}
