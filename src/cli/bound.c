/* cli/bound.c: `floe bound PID PROGRAM ARG…`: become PROGRAM, but die when the parent PID dies.
 * SPDX-License-Identifier: Apache-2.0
 *
 * `floe up` starts its parts through this, also those that are not ours: whatever kills `up`, even
 * SIGKILL, the kernel then ends them too. Not for the command line of people. */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int cli_bound(int argc, char **argv) {
  if (argc < 3) return 64;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL)) return 1;
  if (getppid() != atoi(argv[1])) return 1; /* it died before we could ask */
  execvp(argv[2], argv + 2);
  fprintf(stderr, "floe: cannot run %s: %s\n", argv[2], strerror(errno));
  return 1;
}
