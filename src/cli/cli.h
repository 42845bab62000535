/* cli/cli.h: the verbs for people. SPDX-License-Identifier: Apache-2.0
 *
 * Each takes its own argv (argv[0] is the verb) and returns the exit status: 0 fine, 1 failed,
 * 64 wrong usage. */
#ifndef FLOE_CLI_CLI_H
#define FLOE_CLI_CLI_H

int cli_up(int argc, char **argv);      /* up.c: a whole cluster on this machine */
int cli_runtime(int argc, char **argv); /* runtime.c: add a Polars version */
int cli_bound(int argc, char **argv);   /* bound.c: run a program that dies with its parent */

#endif
