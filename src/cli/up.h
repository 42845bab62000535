/* cli/up.h: what the files of `floe up` share. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_CLI_UP_H
#define FLOE_CLI_UP_H

#include "base/err.h"
#include "store/location.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum { UP_MAX_WORKERS = 64, UP_MAX_PARTS = UP_MAX_WORKERS + 2 };

typedef struct up_options {
  int workers, threads; /* threads of each worker */
  const char *memory;   /* of each worker, as a size setting; NULL: not limited */
  int port_base;        /* 0: the official ports */
  const char *runtimes_dir;
  const char *results_dir; /* NULL: temporary storage */
  const char *data_dir;    /* NULL: a temporary folder that goes with us */
  const char *self;        /* our own program file */
  char our_pid[16];
  char *weed; /* the storage server's program; owned; NULL with results_dir */
} up_options;

typedef struct up_ports {
  int client, membership, observatory, reports, storage;
} up_ports;

typedef enum up_probe { UP_PROBE_HEALTH, UP_PROBE_STORAGE } up_probe;

/* One process of the cluster. */
typedef struct up_part {
  char *name;
  char **argv; /* NULL-terminated, all owned */
  char **env;  /* likewise */
  char *log_file;
  up_probe probe;
  int probe_port;
} up_part;

typedef struct up_plan {
  up_ports ports;
  up_part parts[UP_MAX_PARTS];
  int n_parts;
  int storage_port_base; /* first of the ports for its own use; 0: no storage */
  location *results; /* of the storage, for its probe; NULL: a local folder */
} up_plan;

/* up_plan.c: decide ports, write configurations and passwords below `dir`. */
MUST_CHECK rc up_plan_make(const up_options *o, const char *dir, up_plan *out, err *e);
void up_plan_remove_sockets(const up_plan *p); /* while no storage of ours runs */
void up_plan_deinit(up_plan *p);

/* up_probe.c: is the part ready? At most one probe of a part at a time. */
typedef struct up_prober up_prober;
up_prober *up_prober_new(uv_loop_t *loop, const up_plan *plan, int part,
                         void (*ready)(void *arg, int part), void *arg);
void up_prober_poll(up_prober *p); /* ask, unless it was ready or is being asked */
void up_prober_free(up_prober *p);
bool up_port_listens(int port); /* somebody takes connections there, on loopback */

#endif
