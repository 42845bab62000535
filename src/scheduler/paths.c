/* scheduler/paths.c: see paths.h. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/paths.h"

#include "plan/paths.h"

#include <string.h>
#include <strings.h>

enum { MOST_SHOWN = 200 };

typedef struct place {
  plan_text scheme; /* empty: a plain path, or a file:// URL */
  plan_text rest;   /* bucket and key, host and path; or a path */
} place;

static plan_text cut_front(plan_text t, size_t n) {
  return (plan_text){t.s + n, t.len - n};
}

static bool same(plan_text a, plan_text b) {
  return a.len == b.len && (!a.len || !memcmp(a.s, b.s, a.len));
}

static place place_of(plan_text path) {
  const char *colon = path.len ? memmem(path.s, path.len, "://", 3) : NULL;
  size_t scheme = colon ? (size_t)(colon - path.s) : 0;
  if (!scheme || memchr(path.s, '/', scheme)) return (place){.rest = path};
  place p = {{path.s, scheme}, cut_front(path, scheme + 3)};
  if (scheme == 4 && !strncasecmp(path.s, "file", 4)) p.scheme = (plan_text){0};
  return p;
}

bool paths_is_local(plan_text path) {
  return place_of(path).scheme.len == 0;
}

/* The next part between slashes. Empty ones and "." say nothing. False: there is no more. */
static bool next_part(plan_text *rest, plan_text *part) {
  while (rest->len) {
    const char *slash = memchr(rest->s, '/', rest->len);
    part->s = rest->s;
    part->len = slash ? (size_t)(slash - rest->s) : rest->len;
    *rest = cut_front(*rest, part->len + (slash ? 1 : 0));
    if (part->len && !(part->len == 1 && *part->s == '.')) return true;
  }
  return false;
}

/* Also where a part is hidden: "%2e", "%2F". */
static bool climbs(plan_text rest) {
  for (size_t i = 0; i + 3 <= rest.len; i++)
    if (!strncasecmp(rest.s + i, "%2e", 3) || !strncasecmp(rest.s + i, "%2f", 3)) return true;
  for (plan_text part; next_part(&rest, &part);)
    if (part.len == 2 && !memcmp(part.s, "..", 2)) return true;
  return false;
}

static bool has_pattern(plan_text part) {
  for (size_t i = 0; i < part.len; i++)
    if (memchr("*?[", part.s[i], 3)) return true;
  return false;
}

static bool is_absolute(plan_text path) {
  return path.len && *path.s == '/';
}

static bool is_below(place p, place prefix) {
  plan_text part, wanted;
  if (!same(p.scheme, prefix.scheme)) return false;
  if (!p.scheme.len && !(is_absolute(p.rest) && is_absolute(prefix.rest))) return false;
  while (next_part(&prefix.rest, &wanted))
    if (!next_part(&p.rest, &part) || has_pattern(part) || !same(part, wanted)) return false;
  return true;
}

bool paths_allowed(plan_text path, const char *prefixes) {
  place p = place_of(path);
  if (climbs(p.rest)) return false;
  plan_text prefix;
  while (conf_list_next(&prefixes, &prefix.s, &prefix.len))
    if (is_below(p, place_of(prefix))) return true;
  return false;
}

/* ---- all paths of a query ---- */

typedef struct rule {
  const char *verb, *local_setting, *list_setting;
  bool local;       /* allowed? */
  const char *list; /* NULL: everywhere */
} rule;

typedef struct rules {
  rule of[2]; /* by plan_path_use */
} rules;

static bool restricts(const rule *r) {
  return !r->local || r->list;
}

static rc check_path(const rule *r, plan_text path, err *e) {
  int shown = path.len < MOST_SHOWN ? (int)path.len : MOST_SHOWN;
  if (!path.s)
    return ERR(e, RC_DENIED,
               "this query %s files in a way of its Polars version that is not known here, and "
               "%s restricts where; use another Polars version",
               r->verb, r->list ? r->list_setting : r->local_setting);
  if (!r->local && paths_is_local(path))
    return ERR(e, RC_DENIED,
               "this query %s %.*s, a path on the workers' disks, and %s is false; use an object "
               "store, such as s3://…",
               r->verb, shown, path.s, r->local_setting);
  if (r->list && !paths_allowed(path, r->list))
    return ERR(e, RC_DENIED,
               "this query %s %.*s, which is not below a place of %s: %s (in full, without .. and "
               "without a pattern in its first parts)",
               r->verb, shown, path.s, r->list_setting, r->list);
  return RC_OK;
}

static bool is_placeholder(plan_text path) {
  static const char *const names[] = {"<in-memory>", "<flight>"};
  for (int i = 0; i < 2; i++)
    if (path.s && same(path, (plan_text){names[i], strlen(names[i])})) return true;
  return false;
}

static rc on_path(void *arg, plan_path_use use, plan_text path, err *e) {
  const rules *all = arg;
  const rule *r = &all->of[use];
  if (!restricts(r) || (use == PLAN_PATH_WRITTEN && is_placeholder(path))) return RC_OK;
  return check_path(r, path, e);
}

rc paths_check(const conf *c, const uint8_t *plan, size_t len, const plan_envelope *envelope,
               err *e) {
  rules all = {{
      [PLAN_PATH_READ] = {"reads", "scheduler.allow_local_scans", "scheduler.allowed_scan_paths",
                          c->scheduler.allow_local_scans, c->scheduler.allowed_scan_paths},
      [PLAN_PATH_WRITTEN] = {"writes", "scheduler.allow_local_sinks",
                             "scheduler.allowed_sink_paths", c->scheduler.allow_local_sinks,
                             c->scheduler.allowed_sink_paths},
  }};
  const rule *written = &all.of[PLAN_PATH_WRITTEN];
  if (!restricts(&all.of[PLAN_PATH_READ]) && !restricts(written)) return RC_OK;
  if (envelope->sink == PLAN_SINK_UNKNOWN && restricts(written))
    return check_path(written, (plan_text){0}, e);
  return plan_each_path(plan, len, on_path, &all, e);
}
