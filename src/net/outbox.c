/* net/outbox.c: see outbox.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/outbox.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "net/grpc_client.h"

#include <stdlib.h>
#include <string.h>

enum {
  BATCH_BYTES = OUTBOX_MOST_ITEM, /* of a call; with one item more within gRPC's usual 4 MiB */
  CALL_MS = 5000,
  PAUSE_MS = 5000, /* after a call that failed */
};

typedef struct item {
  list link; /* in outbox.items */
  char *key;
  uint8_t *data;
  size_t len;
  bool sent; /* by the call that is out */
} item;

struct outbox {
  outbox_config config;
  grpc_channel *channel;
  grpc_request *call; /* NULL: none is out */
  uv_timer_t timer;
  list items; /* the oldest first */
  map by_key;
  size_t bytes;
  uint64_t dropped, not_before_ms;
  bool failing; /* and the log says so */
  void (*closed)(void *);
  void *closed_arg;
};

static void item_remove(outbox *o, item *it) {
  map_remove(&o->by_key, it->key, strlen(it->key));
  list_remove(&it->link);
  o->bytes -= it->len;
  free(it->key);
  free(it->data);
  free(it);
}

void outbox_put(outbox *o, const char *key, const uint8_t *data, size_t len) {
  item *old = map_get(&o->by_key, key, strlen(key));
  if (old) item_remove(o, old);
  if (len > OUTBOX_MOST_ITEM) {
    o->dropped++;
    return;
  }
  item *it = NEW(item);
  it->key = mem_strdup(key);
  it->data = mem_new(len + 1);
  it->len = len;
  memcpy(it->data, data, len);
  list_push_back(&o->items, &it->link);
  map_put(&o->by_key, key, strlen(key), it);
  o->bytes += len;
  while (o->bytes > o->config.most_bytes) {
    item_remove(o, LIST_ENTRY(o->items.next, item, link));
    o->dropped++;
  }
}

uint64_t outbox_dropped(const outbox *o) {
  return o->dropped;
}

/* ---- sending ---- */

static void note(outbox *o, bool failing, const char *text) {
  if (failing == o->failing) return;
  o->failing = failing;
  if (failing)
    LOG_WARN("reports do not arrive; the oldest are dropped, nothing else waits for them", "to",
             o->config.what, "error", text);
  else
    LOG_INFO("reports arrive again", "to", o->config.what);
}

static void on_done(void *arg, rc code, const char *text) {
  outbox *o = arg;
  o->call = NULL;
  if (code == RC_CANCELLED) return; /* closing */
  note(o, code != RC_OK, text);
  bool refused = code == RC_INVALID; /* it would be the next time, too */
  LIST_EACH (&o->items, at, next) {
    item *it = LIST_ENTRY(at, item, link);
    if (!it->sent) continue;
    if (code == RC_OK || refused)
      item_remove(o, it);
    else
      it->sent = false;
    o->dropped += refused;
  }
  if (code != RC_OK) o->not_before_ms = uv_now(o->config.loop) + PAUSE_MS;
}

static void send_items(outbox *o) {
  buf batch = {0};
  for (list *at = o->items.prev; at != &o->items && batch.len < BATCH_BYTES; at = at->prev) {
    item *it = LIST_ENTRY(at, item, link);
    if (buf_append(&batch, it->data, it->len, NULL) != RC_OK) break;
    it->sent = true;
  }
  grpc_request_spec spec = {
      .path = o->config.path,
      .deadline_ms = CALL_MS,
      .head = batch.data,
      .head_len = batch.len,
      .arg = o,
      .on_done = on_done,
  };
  if (batch.len) o->call = grpc_channel_call(o->channel, &spec);
  buf_deinit(&batch);
}

static void on_timer(uv_timer_t *timer) {
  outbox *o = timer->data;
  if (o->config.before) o->config.before(o->config.arg);
  if (!o->call && uv_now(o->config.loop) >= o->not_before_ms) send_items(o);
}

/* ---- life ---- */

outbox *outbox_new(const outbox_config *config) {
  outbox *o = NEW(outbox);
  o->config = *config;
  list_init(&o->items);
  grpc_channel_config channel = {.host = config->host, .port = config->port};
  peer_access_call(config->access, &channel);
  o->channel = grpc_channel_new(config->loop, &channel);
  uv_timer_init(config->loop, &o->timer);
  o->timer.data = o;
  uv_timer_start(&o->timer, on_timer, config->period_ms, config->period_ms);
  return o;
}

static void on_closed(uv_handle_t *handle) {
  outbox *o = handle->data;
  void (*closed)(void *) = o->closed;
  void *arg = o->closed_arg;
  free(o);
  closed(arg);
}

void outbox_close(outbox *o, void (*closed)(void *), void *arg) {
  o->closed = closed;
  o->closed_arg = arg;
  grpc_channel_free(o->channel);
  while (!list_empty(&o->items)) item_remove(o, LIST_ENTRY(o->items.next, item, link));
  map_deinit(&o->by_key);
  uv_close((uv_handle_t *)&o->timer, on_closed);
}
