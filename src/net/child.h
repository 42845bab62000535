/* net/child.h: a child process and the link to it. SPDX-License-Identifier: Apache-2.0
 *
 * The child finds a socket on descriptor 3 (frames of net/frame.h, both ways; a descriptor may go
 * along with a frame), its stdout and stderr come to us, its stdin is empty. It leads a process
 * group of its own, and the whole group dies with it. Closing its side of the link, or a frame
 * beyond the bound, is its end: it is killed. All on the loop's thread. */
#ifndef FLOE_NET_CHILD_H
#define FLOE_NET_CHILD_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct child child;

typedef struct child_exit {
  int status;        /* of exit(), when signal is 0 */
  int signal;        /* 0: it ended by itself */
  const char *fault; /* what it did wrong on the link, so that we killed it; NULL: nothing */
} child_exit;

typedef struct child_config {
  char *const *argv; /* argv[0]: path of the program */
  char *const *env;  /* all of its environment */
  bool as_user;      /* become uid and gid, without supplementary groups; needs root */
  uv_uid_t uid;
  uv_gid_t gid;
  uint32_t max_frame;
  void *arg;
  void (*on_frame)(void *arg, const uint8_t *frame, size_t len); /* valid during the call */
  void (*on_output)(void *arg, const char *text, size_t len);    /* stdout and stderr, mixed */
  /* Exactly once, the last call, after all that the child still said. It frees the child. */
  void (*on_exit)(void *arg, const child_exit *how);
} child_config;

/* RC_DENIED, RC_NOT_FOUND …: the program cannot be executed (as that user). */
MUST_CHECK rc child_spawn(uv_loop_t *loop, const child_config *config, child **out, err *e);
/* Queues a frame (copied); `fd` (-1: none) is duplicated and goes along. What does not fit into
 * max_frame, or behind a queue of as much, is refused. */
MUST_CHECK rc child_send(child *c, const uint8_t *frame, size_t len, int fd, err *e);
void child_signal(child *c, int signum); /* to the process alone */
void child_kill(child *c);               /* SIGKILL to its group; on_exit follows */
int child_pid(const child *c);

#endif
