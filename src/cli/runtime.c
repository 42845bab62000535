/* cli/runtime.c: `floe runtime add VERSION`: a Python environment with one Polars version.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A runtime is a folder of worker.runtimes_dir with bin/python in it, made by python's own venv
 * and pip, so a person can also make one by hand. */
#include "cli/cli.h"

#include "base/mem.h"

#include <getopt.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char USAGE[] =
    "usage: floe runtime add VERSION [--dir DIR] [--python PYTHON] [PACKAGE…]\n"
    "\n"
    "Make the runtime DIR/polars-VERSION: a Python environment with that Polars. Workers find it\n"
    "at their next start when worker.runtimes_dir is DIR. Packages that the users' own functions\n"
    "import can be named too.\n"
    "\n"
    "  --dir DIR        where the runtimes are (default .runtimes)\n"
    "  --python PYTHON  the interpreter; functions run only under the Python that made them\n"
    "                   (default python3)\n";

static bool run(const char *const argv[]) {
  pid_t pid;
  int status;
  if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ)) {
    fprintf(stderr, "floe: cannot run %s; is it installed?\n", argv[0]);
    return false;
  }
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool install(const char *python, const char *version, char **more, int n_more) {
  enum { FIXED = 8, MAX_MORE = 64 };
  if (n_more > MAX_MORE) return false;
  char *polars = mem_printf("polars[rt64]==%s", version);
  const char *argv[FIXED + MAX_MORE + 1] = {python,
                                            "-m",
                                            "pip",
                                            "install",
                                            "--quiet",
                                            polars,
                                            "cloudpickle==" PIN_CLOUDPICKLE,
                                            "protobuf==" PIN_PROTOBUF};
  for (int i = 0; i < n_more; i++) argv[FIXED + i] = more[i];
  bool ok = run(argv);
  free(polars);
  return ok;
}

static int add(const char *dir, const char *python, const char *version, char **more, int n_more) {
  mkdir(dir, 0755); /* when this fails, venv says why */
  char *home = mem_printf("%s/polars-%s", dir, version);
  char *its_python = mem_printf("%s/bin/python", home);
  const char *const make_venv[] = {python, "-m", "venv", home, NULL};
  bool ok = run(make_venv) && install(its_python, version, more, n_more);
  if (ok)
    printf("runtime %s is ready\n", home);
  else
    fprintf(stderr, "floe: could not make the runtime %s; see the messages above\n", home);
  free(its_python);
  free(home);
  return ok ? 0 : 1;
}

int cli_runtime(int argc, char **argv) {
  static const struct option OPTIONS[] = {{"dir", required_argument, NULL, 'd'},
                                          {"python", required_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
  const char *dir = ".runtimes", *python = "python3";
  for (int c; (c = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1;) {
    if (c == 'd')
      dir = optarg;
    else if (c == 'p')
      python = optarg;
    else {
      fputs(USAGE, c == 'h' ? stdout : stderr);
      return c == 'h' ? 0 : 64;
    }
  }
  if (argc - optind < 2 || strcmp(argv[optind], "add") != 0) {
    fputs(USAGE, stderr);
    return 64;
  }
  return add(dir, python, argv[optind + 1], argv + optind + 2, argc - optind - 2);
}
