/* observatory/store.h: the database and the thread that alone uses it. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Reports wait in a bounded queue: the oldest are dropped, and counted.
 * Questions are answered in the order of everything: what was reported before is seen. */
#ifndef FLOE_OBSERVATORY_STORE_H
#define FLOE_OBSERVATORY_STORE_H

#include "base/list.h"
#include "observatory/database.h"

#include <uv.h>

typedef struct store store;

typedef struct store_question {
  void (*work)(struct store_question *q, database *d); /* on the store's thread */
  void (*done)(struct store_question *q);              /* then, on the loop */
  list link;                                           /* private */
} store_question;

typedef struct store_health {
  char file[256], lacks[512]; /* file "": in memory */
  uint64_t lost, dropped;     /* reports: could not be written; came too fast */
} store_health;

store *store_new(uv_loop_t *loop, const database_config *config);
void store_report(store *s, Profile__Report *report_take, size_t bytes);
void store_ask(store *s, store_question *q); /* whose memory is the caller's until done */
store_health store_get_health(store *s);
uint64_t store_version(const store *s); /* grows with every report */
/* What waits is written and answered first. `closed` is called from the loop; the memory goes. */
void store_close(store *s, void (*closed)(void *), void *arg);

#endif
