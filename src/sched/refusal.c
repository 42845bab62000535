/* sched/refusal.c: why a query cannot run here, in words. SPDX-License-Identifier: Apache-2.0
 *
 * The texts say what the query needs, what the workers have, and what to do. */
#include "base/buf.h"
#include "sched/sched_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LISTED_MAX = 8 }; /* runtimes in one text */

typedef struct runtime_list {
  const sched_runtime *items[LISTED_MAX]; /* the newest first */
  size_t len;
  bool more;
} runtime_list;

static int compare(const sched_runtime *a, const sched_runtime *b) {
  int by_polars = strverscmp(b->polars_version, a->polars_version);
  if (by_polars) return by_polars;
  int by_plan = memcmp(a->plan_header, b->plan_header, sizeof a->plan_header);
  return by_plan ? by_plan : strverscmp(b->python_version, a->python_version);
}

/* Once for all that look the same, in order; what does not fit is cut at the old end. */
static void list_add(runtime_list *l, const sched_runtime *r) {
  size_t at = 0;
  while (at < l->len && compare(l->items[at], r) < 0) at++;
  if (at < l->len && compare(l->items[at], r) == 0) return;
  if (l->len == LISTED_MAX) l->more = true;
  if (at == LISTED_MAX) return;
  if (l->len < LISTED_MAX) l->len++;
  memmove(&l->items[at + 1], &l->items[at], (l->len - 1 - at) * sizeof l->items[0]);
  l->items[at] = r;
}

/* All runtimes of all workers; with `key`, those that have its plan header. */
static runtime_list runtimes_of(const sched *s, const sched_need_key *key) {
  runtime_list l = {0};
  LIST_EACH (&s->seen, it, tmp) {
    const sched_worker *w = LIST_ENTRY(it, sched_worker, on_seen);
    for (size_t i = 0; i < w->n_runtimes; i++)
      if (!key || sched_need_fits(key, &w->runtimes[i])) list_add(&l, &w->runtimes[i]);
  }
  return l;
}

typedef struct schema_text {
  char s[12];
} schema_text;

/* The first digits of the plan's schema hash, which ends the header. */
static schema_text schema_of(const uint8_t *plan_header) {
  schema_text t = {"????????…"};
  const uint8_t *hash = plan_header + PLAN_HEADER_BYTES - 64;
  for (size_t i = 0; i < 8; i++)
    if (isxdigit(hash[i])) t.s[i] = (char)hash[i];
  return t;
}

/* "polars 2.0.0 (Python 3.11.2), 1.41.2 (Python 3.11.2)". A version that the client has too is
 * told apart by its schema. */
static void print_list(const runtime_list *l, const char *client_version, buf *out) {
  if (!l->len) buf_puts(out, "no polars at all");
  for (size_t i = 0; i < l->len; i++) {
    const sched_runtime *r = l->items[i];
    buf_printf(out, "%s%s (Python %s", i ? ", " : "polars ", r->polars_version, r->python_version);
    if (!strcmp(r->polars_version, client_version))
      buf_printf(out, ", plan schema %s", schema_of(r->plan_header).s);
    buf_puts(out, ")");
  }
  if (l->more) buf_puts(out, ", …");
}

static rc refuse_python(const sched_query_spec *spec, const runtime_list *same_polars, err *e) {
  buf have = {0};
  print_list(same_polars, "", &have);
  char micro[16] = "";
  if (spec->python_micro >= 0) snprintf(micro, sizeof micro, ".%d", spec->python_micro);
  rc code = ERR(e, RC_INVALID,
                "the functions in this query were pickled by Python 3.%d%s and run under no other; "
                "the workers have %s; use one of these on the client, or add that Python on the "
                "workers with `floe runtime add %s --python python3.%d` and restart them",
                spec->python_minor, micro, buf_text(&have), same_polars->items[0]->polars_version,
                spec->python_minor);
  buf_deinit(&have);
  return code;
}

typedef struct version_text {
  char s[24];
} version_text;

/* A client's word that will stand in a command to copy: cut at the first odd character. */
static version_text version_of(const sched_query_spec *spec) {
  version_text t = {""};
  const char *from = spec->polars_version ? spec->polars_version : "";
  for (size_t i = 0; i + 1 < sizeof t.s && (isalnum((unsigned char)from[i]) || from[i] == '.'); i++)
    t.s[i] = from[i];
  if (!*t.s) t.s[0] = '?';
  return t;
}

static rc refuse_polars(const sched *s, const sched_query_spec *spec, err *e) {
  version_text version = version_of(spec);
  runtime_list all = runtimes_of(s, NULL);
  bool same_version = false;
  for (size_t i = 0; i < all.len; i++)
    same_version = same_version || !strcmp(all.items[i]->polars_version, version.s);
  buf have = {0}, todo = {0};
  print_list(&all, version.s, &have);
  if (same_version)
    buf_printf(&todo, "the client's polars is another build than theirs, use the same on both");
  else
    buf_printf(&todo, "install it on the workers with `floe runtime add %s` and restart them",
               version.s);
  rc code =
      ERR(e, RC_INVALID, "polars %s (plan schema %s) cannot run here: the workers have %s; %s",
          version.s, schema_of(spec->plan_header).s, buf_text(&have), buf_text(&todo));
  buf_deinit(&have);
  buf_deinit(&todo);
  return code;
}

rc placement_refuse(const sched *s, const sched_query_spec *spec, err *e) {
  sched_need_key any_python = sched_need_key_of(spec);
  any_python.python_minor = any_python.python_micro = -1;
  runtime_list same_polars = runtimes_of(s, &any_python);
  return same_polars.len ? refuse_python(spec, &same_polars, e) : refuse_polars(s, spec, e);
}
