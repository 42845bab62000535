/* main.c: the verbs of `floe`. SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "service.h"

#include <stdio.h>
#include <string.h>

static int version_main(int argc, char **argv) {
  (void)argc, (void)argv;
  puts("floe " FLOE_VERSION);
  return 0;
}

static int help_main(int argc, char **argv);

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *help; /* NULL: not for people */
} VERBS[] = {
    {"up", cli_up, "run a whole cluster on this machine"},
    {"service", service_main, "run what a configuration enables: scheduler, worker, observatory"},
    {"runtime", cli_runtime, "add a Polars version that workers can run"},
    {"version", version_main, "print the version"},
    {"help", help_main, "print this"},
    {"bound", cli_bound, NULL},
};
enum { N_VERBS = sizeof VERBS / sizeof *VERBS };

static int help_main(int argc, char **argv) {
  (void)argc, (void)argv;
  puts("Floe runs Polars queries on a cluster you own.\n\nusage: floe VERB [OPTION…]\n");
  for (int i = 0; i < N_VERBS; i++)
    if (VERBS[i].help) printf("  %-8s  %s\n", VERBS[i].name, VERBS[i].help);
  puts("\nfloe VERB --help says more.");
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    help_main(argc, argv);
    return 64;
  }
  const char *verb = argv[1];
  if (!strcmp(verb, "--help") || !strcmp(verb, "-h")) verb = "help";
  if (!strcmp(verb, "--version")) verb = "version";
  for (int i = 0; i < N_VERBS; i++)
    if (!strcmp(verb, VERBS[i].name)) return VERBS[i].run(argc - 1, argv + 1);
  fprintf(stderr, "floe: no verb \"%s\"; floe help lists them\n", verb);
  return 64;
}
