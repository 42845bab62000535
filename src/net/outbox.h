/* net/outbox.h: what a process tells another one that it does not wait for.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Items are packed messages of one type whose bytes, one after the other, are one such message
 * (protobuf's). An item takes the place of an older one under its key. What waits is bounded: the
 * oldest goes first, and is counted. Every period what waits is sent, newest first, by one call at
 * a time; what did not arrive waits on. All on the loop's thread. */
#ifndef FLOE_NET_OUTBOX_H
#define FLOE_NET_OUTBOX_H

#include "net/peer_access.h"

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

typedef struct outbox outbox;

typedef struct outbox_config {
  uv_loop_t *loop;
  const char *host; /* copied */
  int port;
  const peer_access *access; /* borrowed */
  const char *path;          /* of a unary method; borrowed */
  const char *what;          /* who is reached there, for the log; borrowed */
  unsigned period_ms;
  size_t most_bytes;         /* that wait; an item has at most OUTBOX_MOST_ITEM */
  void (*before)(void *arg); /* each period, to put what is worth it; may be NULL */
  void *arg;
} outbox_config;

enum { OUTBOX_MOST_ITEM = 2 << 20 };

outbox *outbox_new(const outbox_config *config);
void outbox_put(outbox *o, const char *key, const uint8_t *item, size_t len); /* copies */
uint64_t outbox_dropped(const outbox *o); /* items, from the beginning */
/* What waits is lost; `closed` is called from the loop, and the memory goes. */
void outbox_close(outbox *o, void (*closed)(void *), void *arg);

#endif
