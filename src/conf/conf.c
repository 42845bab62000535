/* conf/conf.c: one conf from its sources: the table's defaults, then the file, then the variables,
 * then what must hold between settings. SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include "base/mem.h"
#include "conf/assign.h"
#include "conf/check.h"
#include "conf/toml.h"
#include "conf/values.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_VARIABLES } source;

typedef struct loader {
  conf *c;
  const char *file_name;
  buf *notices;  /* may be NULL */
  source *given; /* for each row: the last source that said something about it */
} loader;

/* Says where the error is: "a.toml:3: worker.slots: " or "PC_CUBLET__worker__slots: ". */
typedef struct origin {
  source from;
  const char *name; /* the path, or the variable */
  int line;
} origin;

static void put_origin(const loader *l, const origin *o, buf *out) {
  if (o->from == SOURCE_FILE) buf_printf(out, "%s:%d: ", l->file_name, o->line);
  buf_puts(out, value_show(o->name).s);
}

static rc at_origin(const loader *l, const origin *o, rc r, err *e) {
  if (r == RC_OK) return RC_OK;
  buf where = {0};
  put_origin(l, o, &where);
  err_prefix(e, r, "%s: ", buf_text(&where));
  buf_deinit(&where);
  return r;
}

static rc unknown(const loader *l, const origin *o, const char *path, const char *separator,
                  err *e) {
  buf best = {0};
  settings_nearest(path, separator, &best);
  rc r = ERR(e, RC_INVALID, "unknown %s; the nearest known one is %s%s",
             o->from == SOURCE_FILE ? "key" : "variable",
             o->from == SOURCE_FILE ? "" : SETTING_PREFIX, buf_text(&best));
  buf_deinit(&best);
  return at_origin(l, o, r, e);
}

static bool is_fresh(const loader *l, const setting_place *place, source from) {
  return l->given[place->row] != from;
}

static void remember(loader *l, const setting_place *place, const origin *o) {
  bool fresh = is_fresh(l, place, o->from);
  l->given[place->row] = o->from;
  if (!fresh || !l->notices || settings_all().rows[place->row].use != SETTING_LATER) return;
  put_origin(l, o, l->notices);
  buf_puts(l->notices, " is not used by this version yet\n");
}

static rc set(loader *l, const origin *o, const setting_place *place, const char *text, err *e) {
  rc r = assign_text(l->c, place, text, is_fresh(l, place, o->from), e);
  if (r == RC_OK) remember(l, place, o);
  return at_origin(l, o, r, e);
}

/* ---- the file ------------------------------------------------------------------------------- */

static const char *toml_words(toml_type type) {
  static const char *const words[] = {
#define X(name, tag, words) words,
      TOML_TYPE_TABLE(X)
#undef X
  };
  return words[type];
}

static rc set_table(loader *l, const origin *o, const char *path, bool known,
                    const setting_place *place, err *e) {
  if (settings_is_section(path)) {
    if (!known || place->kind == CONF_LOCATION_NONE) return RC_OK;
    rc r = assign_kind(l->c, place, is_fresh(l, place, o->from), e);
    if (r == RC_OK) remember(l, place, o);
    return at_origin(l, o, r, e);
  }
  if (!known) return unknown(l, o, path, ".", e);
  rc r = ERR(e, RC_INVALID, "expected %s, found a table", settings_type_words(place->leaf->type));
  return at_origin(l, o, r, e);
}

static rc set_node(loader *l, const origin *o, const char *path, const toml_node *node, err *e) {
  setting_place place;
  bool known = settings_find(path, ".", &place);
  if (node->type == TOML_TABLE) return set_table(l, o, path, known, &place, e);
  if (!known && !settings_is_section(path)) return unknown(l, o, path, ".", e);
  const char *wanted = known && place.leaf ? settings_type_words(place.leaf->type) : "a table";
  if (!known || !place.leaf || !settings_type_takes(place.leaf->type, node->type))
    return at_origin(
        l, o, ERR(e, RC_INVALID, "expected %s, found %s", wanted, toml_words(node->type)), e);
  if (strlen(node->text.bytes) != node->text.len)
    return at_origin(l, o, ERR(e, RC_INVALID, "expected a text without NUL characters"), e);
  return set(l, o, &place, node->text.bytes, e);
}

/* Only bare keys are known, and only they may be joined by dots without a doubt. */
static bool is_bare(toml_text key) {
  static const char bare[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  return key.len > 0 && strspn(key.bytes, bare) == key.len;
}

enum { MAX_DEPTH = 16 }; /* the table's deepest key has seven */

static rc set_document(loader *l, const toml_document *doc, err *e) {
  char path[SETTING_MAX_PATH];
  size_t ends[MAX_DEPTH] = {0}; /* where the path of the last node of each depth ends */
  for (size_t i = 1; i < doc->len; i++) {
    const toml_node *node = &doc->nodes[i];
    if (!node->key.bytes) continue; /* in an array: refused as a whole before */
    origin o = {SOURCE_FILE, node->key.bytes, node->line};
    if (!is_bare(node->key))
      return at_origin(l, &o, ERR(e, RC_INVALID, "expected a key of letters, digits, _ and -"), e);
    size_t at = node->depth < MAX_DEPTH ? ends[node->depth - 1] : sizeof path;
    if (at + node->key.len + 2 > sizeof path) return unknown(l, &o, node->key.bytes, ".", e);
    if (at) path[at++] = '.';
    memcpy(path + at, node->key.bytes, node->key.len + 1);
    ends[node->depth] = at + node->key.len;
    o.name = path;
    TRY(set_node(l, &o, path, node, e));
  }
  return RC_OK;
}

static rc load_document(loader *l, const char *bytes, size_t len, err *e) {
  toml_document doc;
  rc r = toml_parse(bytes, len, &doc, e);
  if (r != RC_OK) return err_prefix(e, r, "%s:", l->file_name);
  r = set_document(l, &doc, e);
  toml_deinit(&doc);
  return r;
}

/* ---- the variables -------------------------------------------------------------------------- */

static rc set_variable(loader *l, const char *variable, err *e) {
  const char *equals = strchr(variable, '=');
  if (!equals) return RC_OK;
  size_t len = (size_t)(equals - variable);
  const setting *row = settings_find_variable(variable, len);
  bool prefixed = !strncmp(variable, SETTING_PREFIX, sizeof SETTING_PREFIX - 1);
  if (!row && !prefixed) return RC_OK; /* not ours */
  if (row && (row->use == SETTING_IGNORED)) return RC_OK;

  char *name = mem_strndup(variable, len);
  origin o = {SOURCE_VARIABLES, name, 0};
  const char *path = prefixed ? name + sizeof SETTING_PREFIX - 1 : "";
  setting_place place = {.leaf = row};
  if (row) place.row = (size_t)(row - settings_all().rows);
  rc r = row || (settings_find(path, "__", &place) && place.leaf)
             ? set(l, &o, &place, equals + 1, e)
             : unknown(l, &o, path, "__", e);
  free(name);
  return r;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In order of their names, so that the environment's order means nothing. */
static rc load_variables(loader *l, const char *const *environment, err *e) {
  size_t n = 0;
  while (environment && environment[n]) n++;
  if (!n) return RC_OK;
  const char **sorted = mem_new(n * sizeof *sorted);
  memcpy(sorted, environment, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, by_name);
  rc r = RC_OK;
  for (size_t i = 0; i < n && r == RC_OK; i++) r = set_variable(l, sorted[i], e);
  free(sorted);
  return r;
}

/* ---- all of it ------------------------------------------------------------------------------ */

rc conf_load_bytes(const char *name, const char *bytes, size_t len, const char *const *environment,
                   conf **out, buf *notices, err *e) {
  *out = NULL;
  loader l = {.c = NEW(conf), .file_name = name, .notices = notices};
  l.given = mem_new(settings_all().len * sizeof *l.given);
  assign_defaults(l.c);
  rc r = load_document(&l, bytes, len, e);
  if (r == RC_OK) r = load_variables(&l, environment, e);
  if (r == RC_OK) r = check_conf(l.c, notices, e);
  free(l.given);
  if (r == RC_OK)
    *out = l.c;
  else
    conf_free(l.c);
  return r;
}

static rc read_all(int fd, buf *out, err *e) {
  for (;;) {
    TRY(buf_reserve(out, 65536, e));
    ssize_t n = read(fd, out->data + out->len, 65536);
    if (n < 0) return ERR_ERRNO(e, errno, "read");
    if (n == 0) return RC_OK;
    out->len += (size_t)n;
    if (out->len > TOML_MAX_BYTES)
      return ERR(e, RC_INVALID, "expected at most %d bytes, found more", TOML_MAX_BYTES);
  }
}

static rc read_file(const char *file, buf *out, err *e) {
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ERR_ERRNO(e, errno, "open");
  rc r = read_all(fd, out, e);
  close(fd);
  return r;
}

rc conf_load(const char *file, const char *const *environment, conf **out, buf *notices, err *e) {
  *out = NULL;
  if (!file) return conf_load_bytes("", "", 0, environment, out, notices, e);
  buf bytes = {0};
  rc r = read_file(file, &bytes, e);
  if (r != RC_OK)
    err_prefix(e, r, "configuration %s: ", file);
  else
    r = conf_load_bytes(file, (const char *)bytes.data, bytes.len, environment, out, notices, e);
  buf_deinit(&bytes);
  return r;
}

void conf_free(conf *c) {
  if (!c) return;
  assign_free_all(c);
  free(c);
}

/* ---- lists ---------------------------------------------------------------------------------- */

bool conf_list_next(const char **at, const char **word, size_t *len) {
  *len = 0;
  while (*at && **at && !*len) {
    *at += strspn(*at, ", \t");
    *word = *at;
    *at += strcspn(*at, ",");
    *len = (size_t)(*at - *word);
    while (*len && strchr(" \t", (*word)[*len - 1])) --*len;
  }
  return *len > 0;
}

bool conf_list_has(const char *words, const char *word) {
  const char *found;
  for (size_t len; conf_list_next(&words, &found, &len);)
    if (strlen(word) == len && !memcmp(found, word, len)) return true;
  return false;
}
