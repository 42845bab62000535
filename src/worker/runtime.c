/* worker/runtime.c: see runtime.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/runtime.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_RUNTIMES = 64 }; /* as many as the scheduler takes from one worker */

/* ---- finding ---- */

static int is_candidate(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

static void add(runtime *runtimes, size_t *n, const char *dir, const char *name) {
  char *python = mem_printf("%s/%s/bin/python", dir, name);
  if (*n < MAX_RUNTIMES && access(python, F_OK) == 0)
    runtimes[(*n)++] = (runtime){.name = mem_strdup(name), .python = python};
  else
    free(python);
}

rc runtime_find(const char *dir, runtime **out, size_t *n, err *e) {
  if (!dir)
    return ERR(e, RC_INVALID,
               "worker.runtimes_dir: a worker needs a folder of Python environments");
  struct dirent **names;
  int found = scandir(dir, &names, is_candidate, alphasort);
  if (found < 0)
    return ERR_ERRNO(e, errno, "worker.runtimes_dir: reading %s, a folder of Python environments",
                     dir);
  *n = 0;
  *out = mem_new(MAX_RUNTIMES * sizeof **out);
  for (int i = 0; i < found; i++) {
    add(*out, n, dir, names[i]->d_name);
    free(names[i]);
  }
  free(names);
  if (*n) return RC_OK;
  free(*out);
  *out = NULL;
  return ERR(e, RC_NOT_FOUND,
             "worker.runtimes_dir: no folder in %s holds bin/python; make a Python environment "
             "with Polars there, for example with `floe runtime add`",
             dir);
}

void runtime_deinit(runtime *r) {
  free(r->name);
  free(r->python);
  executor__hello__free_unpacked(r->hello, NULL);
  *r = (runtime){0};
}

/* ---- comparing ---- */

static bool same_bytes(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b) {
  return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

rc runtime_check_same(const runtime *r, const Executor__Hello *hello, err *e) {
  const Executor__Hello *before = r->hello;
  if (!strcmp(before->polars_version, hello->polars_version) &&
      !strcmp(before->python_version, hello->python_version) &&
      !strcmp(before->fingerprint, hello->fingerprint) && before->index_bits == hello->index_bits &&
      same_bytes(&before->plan_header, &hello->plan_header))
    return RC_OK;
  return ERR(e, RC_PRECONDITION,
             "runtime %s changed under the running worker: now Polars %s and Python %s, before "
             "Polars %s and Python %s; restart the worker",
             r->name, hello->polars_version, hello->python_version, before->polars_version,
             before->python_version);
}

/* "1.10.0" is newer than "1.9.3"; what is not a number ("rc1") does not count. */
static int compare_versions(const char *a, const char *b) {
  while (*a || *b) {
    char *end_a, *end_b;
    unsigned long na = strtoul(a, &end_a, 10), nb = strtoul(b, &end_b, 10);
    if (na != nb) return na < nb ? -1 : 1;
    a = end_a + strcspn(end_a, ".");
    b = end_b + strcspn(end_b, ".");
    a += *a == '.';
    b += *b == '.';
  }
  return 0;
}

static bool python_fits(const char *have, const char *want) {
  size_t n = strlen(want);
  return strncmp(have, want, n) == 0 && (n == 0 || !have[n] || have[n] == '.');
}

static bool is_better(const Executor__Hello *a, const Executor__Hello *b, const char *polars) {
  bool a_same = !strcmp(a->polars_version, polars), b_same = !strcmp(b->polars_version, polars);
  if (a_same != b_same) return a_same;
  int order = compare_versions(a->polars_version, b->polars_version);
  return order ? order > 0 : compare_versions(a->python_version, b->python_version) > 0;
}

int runtime_choose(const runtime *runtimes, size_t n, const ProtobufCBinaryData *plan_header,
                   const char *python, const char *polars_version) {
  int best = -1;
  for (size_t i = 0; i < n; i++) {
    const Executor__Hello *hello = runtimes[i].hello;
    if (!hello || !same_bytes(&hello->plan_header, plan_header) ||
        !python_fits(hello->python_version, python))
      continue;
    if (best < 0 || is_better(hello, runtimes[best].hello, polars_version)) best = (int)i;
  }
  return best;
}

void runtime_print(const runtime *runtimes, size_t n, buf *out) {
  const char *between = "";
  for (size_t i = 0; i < n; i++) {
    if (!runtimes[i].hello) continue;
    buf_printf(out, "%spolars %s (Python %s)", between, runtimes[i].hello->polars_version,
               runtimes[i].hello->python_version);
    between = ", ";
  }
  if (!*between) buf_puts(out, "none");
}
