/* scheduler/failures.c: see failures.h. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/failures.h"

#include "base/mem.h"

#include <ctype.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The client looks the name up among Python's builtins: it must not find `exit`, nor SystemExit. */
static bool is_exception(const char *type) {
  size_t len = strlen(type);
  for (size_t i = 0; i < len; i++)
    if (!isalnum((unsigned char)type[i]) && type[i] != '_') return false;
  return (len > 5 && !strcmp(type + len - 5, "Error")) ||
         (len > 9 && !strcmp(type + len - 9, "Exception"));
}

/* Moves what the worker said before, or else the oldest, to the front. */
static worker_failure *slot_for(failures *f, const char *worker) {
  size_t at = 0;
  while (at < f->n && strcmp(f->items[at].worker, worker) != 0) at++;
  if (at == f->n && f->n < FAILURES_MOST) f->n++;
  if (at == FAILURES_MOST) at--;
  worker_failure found = f->items[at];
  memmove(&f->items[1], &f->items[0], at * sizeof found);
  f->items[0] = found;
  return &f->items[0];
}

void failures_add(failures *f, const char *worker, const char *type, const char *message) {
  worker_failure *to = slot_for(f, worker ? worker : "");
  free(to->text);
  to->text = mem_printf(is_exception(type) ? "%s: %s" : "RuntimeError: %s: %s", type, message);
  snprintf(to->worker, sizeof to->worker, "%s", worker ? worker : "");
}

const char *failures_newest(const failures *f) {
  return f->n ? f->items[0].text : NULL;
}

static void put(json_t *object, const char *who, const char *text) {
  json_t *value = json_string(text); /* NULL: not UTF-8 */
  json_object_set_new(object, who,
                      value ? value : json_string("RuntimeError: the error's text is not UTF-8"));
}

static size_t count_workers(const failures *f) {
  size_t n = 0;
  for (size_t i = 0; i < f->n; i++) n += *f->items[i].worker != '\0';
  return n;
}

char *failures_json(const failures *f) {
  const char *newest = failures_newest(f);
  json_t *object = json_object();
  for (size_t i = 0; i < f->n && count_workers(f) > 1; i++)
    if (*f->items[i].worker) put(object, f->items[i].worker, f->items[i].text);
  put(object, "scheduler", newest ? newest : "RuntimeError: the query failed without a reason");
  char *text = json_dumps(object, JSON_COMPACT);
  json_decref(object);
  return text;
}

void failures_deinit(failures *f) {
  for (size_t i = 0; i < f->n; i++) free(f->items[i].text);
  *f = (failures){0};
}
