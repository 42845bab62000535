/* conf/assign.c: see assign.h. SPDX-License-Identifier: Apache-2.0 */
#include "conf/assign.h"

#include "base/mem.h"
#include "conf/values.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_OPTIONS = 256 };

typedef union scratch { /* where a value goes that this version only checks */
  char *text;
  bool yes;
  int64_t number;
  double cores;
  conf_address address;
  conf_location location;
} scratch;

static void *row_value(conf *c, const setting *row, scratch *s) {
  return row->offset == SETTING_NOWHERE ? (void *)s : (char *)c + row->offset;
}

/* ---- freeing -------------------------------------------------------------------------------- */

static void options_free(conf_option **options, size_t *n) {
  for (size_t i = 0; i < *n; i++) {
    free((*options)[i].key);
    free((*options)[i].value);
  }
  free(*options);
  *options = NULL;
  *n = 0;
}

static void location_clear(conf_location *l) {
  free(l->url);
  free(l->external_endpoint);
  options_free(&l->options, &l->n_options);
  *l = (conf_location){0};
}

static void value_clear(conf *c, setting_type type, void *value) {
  switch (type) {
  case SETTING_TEXT:
  case SETTING_LOG_LEVEL:
  case SETTING_TOKEN:
    free(*(char **)value);
    *(char **)value = NULL;
    break;
  case SETTING_ADDRESS:
    free(((conf_address *)value)->host);
    *(conf_address *)value = (conf_address){0};
    break;
  case SETTING_LOCATION:
    location_clear(value);
    break;
  case SETTING_OPTIONS:
    options_free(&c->worker.env_vars, &c->worker.n_env_vars);
    break;
  default:
    break; /* owns nothing */
  }
}

void assign_free_all(conf *c) {
  settings all = settings_all();
  for (size_t i = 0; i < all.len; i++)
    if (all.rows[i].offset != SETTING_NOWHERE)
      value_clear(c, all.rows[i].type, (char *)c + all.rows[i].offset);
}

/* ---- one value ------------------------------------------------------------------------------ */

static rc check_bounds(const setting *leaf, int64_t n, err *e) {
  if (!leaf->least && !leaf->most) return RC_OK;
  if (n >= leaf->least && n <= leaf->most) return RC_OK;
  const char *unit = leaf->type == SETTING_DURATION ? " ms"
                     : leaf->type == SETTING_BYTES  ? " bytes"
                                                    : "";
  if (leaf->most == INT64_MAX)
    return ERR(e, RC_INVALID, "expected at least %" PRId64 "%s, found %" PRId64, leaf->least, unit,
               n);
  return ERR(e, RC_INVALID, "expected %" PRId64 " to %" PRId64 "%s, found %" PRId64, leaf->least,
             leaf->most, unit, n);
}

static rc assign_number(const setting *leaf, const char *text, int64_t *out, err *e) {
  int64_t n = 0;
  TRY(leaf->type == SETTING_DURATION ? value_duration_ms(text, &n, e)
      : leaf->type == SETTING_BYTES  ? value_bytes(text, &n, e)
                                     : value_integer(text, &n, e));
  TRY(check_bounds(leaf, n, e));
  *out = n;
  return RC_OK;
}

static rc assign_string(const setting *leaf, const char *text, char **out, err *e) {
  char *value = NULL;
  switch (leaf->type) {
  case SETTING_TOKEN:
    TRY(value_token(text, strlen(text), &value, e));
    break;
  case SETTING_LOG_LEVEL:
    TRY(value_log_level(text, &value, e));
    break;
  case SETTING_FOLDER:
    TRY(value_folder(text, &value, e));
    break;
  case SETTING_HOST:
    TRY(value_host(text, &value, e));
    break;
  default:
    TRY(value_text(text, &value, e));
  }
  free(*out);
  *out = value || !leaf->fallback ? value : mem_strdup(leaf->fallback); /* "" means: not set */
  return RC_OK;
}

/* An address is given as a whole: what the text lacks is as by default, not as it was. */
static rc assign_address(const setting *leaf, const char *text, conf_address *out, err *e) {
  conf_address new = {0};
  if (leaf->fallback) TRY(value_address(leaf->fallback, &new, e));
  rc r = value_address(text, &new, e);
  if (r != RC_OK) {
    free(new.host);
    return r;
  }
  free(out->host);
  *out = new;
  return RC_OK;
}

static rc assign_value(const setting *leaf, const char *text, void *out, err *e) {
  switch (leaf->type) {
  case SETTING_BOOL:
    return value_bool(text, out, e);
  case SETTING_CORES:
    return value_cores(text, out, e);
  case SETTING_PORT:
    return value_port(text, out, e);
  case SETTING_INTEGER:
  case SETTING_BYTES:
  case SETTING_DURATION:
    return assign_number(leaf, text, out, e);
  case SETTING_ADDRESS:
    return assign_address(leaf, text, out, e);
  default:
    return assign_string(leaf, text, out, e);
  }
}

/* ---- options and locations ------------------------------------------------------------------ */

static rc options_put(conf_option **options, size_t *n, const char *key, const char *text, err *e) {
  char *value = NULL;
  TRY(value_text(text, &value, e));
  if (!value) value = mem_strdup(""); /* an option may be empty */
  for (size_t i = 0; i < *n; i++)
    if (!strcmp((*options)[i].key, key)) {
      free((*options)[i].value);
      (*options)[i].value = value;
      return RC_OK;
    }
  if (*n == MAX_OPTIONS) {
    free(value);
    return ERR(e, RC_INVALID, "expected at most %d names here", MAX_OPTIONS);
  }
  conf_option *more = mem_new((*n + 1) * sizeof *more);
  if (*n) memcpy(more, *options, *n * sizeof *more);
  more[*n] = (conf_option){mem_strdup(key), value};
  free(*options);
  *options = more;
  ++*n;
  return RC_OK;
}

static rc location_become(conf_location *l, conf_location_kind kind, bool fresh, err *e) {
  if (l->kind == kind) return RC_OK;
  if (l->kind != CONF_LOCATION_NONE && !fresh)
    return ERR(e, RC_INVALID, "expected one kind of location, found %s and %s; remove one",
               settings_kind_name(l->kind), settings_kind_name(kind));
  location_clear(l);
  l->kind = kind;
  settings parts = settings_location_parts(kind);
  for (size_t i = 0; i < parts.len; i++)
    if (parts.rows[i].fallback)
      TRY(assign_value(&parts.rows[i], parts.rows[i].fallback, (char *)l + parts.rows[i].offset,
                       e));
  return RC_OK;
}

static rc assign_part(conf *c, const setting_place *place, const char *text, bool fresh,
                      void *value, err *e) {
  const setting *row = &settings_all().rows[place->row], *leaf = place->leaf;
  if (row->type == SETTING_OPTIONS)
    return options_put(&c->worker.env_vars, &c->worker.n_env_vars, place->option, text, e);
  if (row->type == SETTING_LOCATION) {
    conf_location *l = value;
    TRY(location_become(l, place->kind, fresh, e));
    if (place->option) return options_put(&l->options, &l->n_options, place->option, text, e);
  }
  if (leaf == row) return assign_value(leaf, text, value, e);
  return assign_value(leaf, text, (char *)value + leaf->offset, e);
}

rc assign_text(conf *c, const setting_place *place, const char *text, bool fresh, err *e) {
  scratch s = {0};
  const setting *row = &settings_all().rows[place->row];
  rc r = assign_part(c, place, text, fresh, row_value(c, row, &s), e);
  if (row->offset == SETTING_NOWHERE) value_clear(c, row->type, &s);
  return r;
}

rc assign_kind(conf *c, const setting_place *place, bool fresh, err *e) {
  scratch s = {0};
  const setting *row = &settings_all().rows[place->row];
  rc r = location_become(row_value(c, row, &s), place->kind, fresh, e);
  if (row->offset == SETTING_NOWHERE) value_clear(c, row->type, &s);
  return r;
}

void assign_defaults(conf *c) {
  settings all = settings_all();
  for (size_t i = 0; i < all.len; i++) {
    const setting *row = &all.rows[i];
    if (!row->fallback || row->offset == SETTING_NOWHERE) continue;
    err e = {0};
    if (assign_value(row, row->fallback, (char *)c + row->offset, &e) != RC_OK) abort();
  }
}

const char *conf_location_option(const conf_location *location, const char *key) {
  for (size_t i = 0; i < location->n_options; i++)
    if (!strcasecmp(location->options[i].key, key)) return location->options[i].value;
  return NULL;
}
