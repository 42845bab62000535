/* conf/lookup.c: from a path to its row in the table, and from a wrong path to the one that was
 * meant. Reads the table, changes nothing. SPDX-License-Identifier: Apache-2.0 */
#include "conf/settings.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* What follows `key` in `path`: "" when nothing does, else what stands after the separator; NULL:
 * the path does not begin with the key. */
static const char *after(const char *path, const char *key, const char *separator) {
  size_t width = strlen(separator);
  for (; *key; key++)
    if (*key == '.') {
      if (strncmp(path, separator, width)) return NULL;
      path += width;
    } else if (*path++ != *key) {
      return NULL;
    }
  if (!*path) return path;
  return strncmp(path, separator, width) ? NULL : path + width;
}

static const setting *find_part(settings parts, const char *name) {
  for (size_t i = 0; i < parts.len; i++)
    if (!strcmp(parts.rows[i].key, name)) return &parts.rows[i];
  return NULL;
}

/* Names of options and variables: no dot, no quote, nothing that an environment cannot hold. */
static bool is_option_name(const char *name) {
  size_t n = 0;
  while (isalnum((unsigned char)name[n]) || name[n] == '_') n++;
  return n > 0 && n < SETTING_MAX_PATH && !name[n];
}

static bool find_in_location(const char *rest, const char *separator, setting_place *out) {
  for (int kind = CONF_LOCATION_LOCAL; settings_kind_name(kind); kind++) {
    const char *name = after(rest, settings_kind_name(kind), separator);
    if (!name) continue;
    out->kind = kind;
    if (!*name) return true; /* [….s3]: a table, no value */
    settings parts = settings_location_parts(kind);
    out->leaf = find_part(parts, name);
    if (out->leaf && out->leaf->type != SETTING_OPTION) return true;
    out->leaf = parts.rows;
    out->option = name;
    return parts.rows->type == SETTING_OPTION && is_option_name(name);
  }
  return false;
}

static bool find_below(const setting *row, const char *rest, const char *separator,
                       setting_place *out) {
  static const setting option = {.type = SETTING_OPTION};
  switch (row->type) {
  case SETTING_ADDRESS:
    out->leaf = find_part(settings_address_parts(), rest);
    return out->leaf;
  case SETTING_LOCATION:
    return find_in_location(rest, separator, out);
  case SETTING_OPTIONS:
    out->leaf = &option;
    out->option = rest;
    return is_option_name(rest);
  default:
    return false;
  }
}

bool settings_find(const char *path, const char *separator, setting_place *out) {
  settings all = settings_all();
  for (size_t i = 0; i < all.len; i++) {
    const setting *row = &all.rows[i];
    const char *rest = row->key ? after(path, row->key, separator) : NULL;
    if (!rest) continue;
    *out = (setting_place){.row = i};
    bool table = row->type == SETTING_LOCATION || row->type == SETTING_OPTIONS;
    if (!*rest) {
      out->leaf = table ? NULL : row;
      return true;
    }
    if (find_below(row, rest, separator, out)) return true;
  }
  return false;
}

bool settings_is_section(const char *path) {
  settings all = settings_all();
  for (size_t i = 0; i < all.len; i++) {
    const char *rest = all.rows[i].key ? after(all.rows[i].key, path, ".") : NULL;
    if (rest && (*rest || all.rows[i].type == SETTING_ADDRESS)) return true;
  }
  setting_place place;
  return settings_find(path, ".", &place) && !place.leaf;
}

const setting *settings_find_variable(const char *name, size_t len) {
  settings all = settings_all();
  for (size_t i = 0; i < all.len; i++) {
    const char *variable = all.rows[i].variable;
    if (variable && strlen(variable) == len && !strncmp(variable, name, len)) return &all.rows[i];
  }
  return NULL;
}

/* ---- the nearest ---------------------------------------------------------------------------- */

typedef struct nearest {
  const char *path;
  bool sections; /* the start of a key counts too: [worker] */
  size_t distance;
  char best[SETTING_MAX_PATH];
} nearest;

/* Changes of one character (add, drop, replace) that make `known` of the path; case does not
 * count. After each character of `known` the row's last cell is the distance to that much of it. */
static void compare(nearest *n, const char *known) {
  size_t row[SETTING_MAX_PATH + 1], width = strlen(n->path);
  for (size_t j = 0; j <= width; j++) row[j] = j;
  for (size_t i = 0; known[i]; i++) {
    size_t diagonal = row[0], least = i + 1;
    row[0] = i + 1;
    for (size_t j = 0; j < width; j++) {
      bool same = tolower((unsigned char)known[i]) == tolower((unsigned char)n->path[j]);
      size_t replaced = diagonal + !same;
      diagonal = row[j + 1];
      size_t best = row[j] < diagonal ? row[j] : diagonal;
      row[j + 1] = best + 1 < replaced ? best + 1 : replaced;
      if (row[j + 1] < least) least = row[j + 1];
    }
    if (least >= n->distance) return; /* a row's least cell never falls again */
    bool whole = !known[i + 1] || (n->sections && known[i + 1] == '.');
    if (!whole || row[width] >= n->distance) continue;
    n->distance = row[width];
    snprintf(n->best, sizeof n->best, "%.*s", (int)(i + 1), known);
  }
}

static void consider(nearest *n, const char *key, const char *middle, const char *part) {
  char path[SETTING_MAX_PATH];
  int len = snprintf(path, sizeof path, "%s%s%s%s%s", key, *middle ? "." : "", middle,
                     *part ? "." : "", part);
  if (len > 0 && (size_t)len < sizeof path) compare(n, path);
}

static void consider_parts(nearest *n, const char *key, const char *middle, settings parts) {
  for (size_t i = 0; i < parts.len; i++)
    if (parts.rows[i].type != SETTING_OPTION) consider(n, key, middle, parts.rows[i].key);
}

static void consider_row(nearest *n, const setting *row) {
  if (row->type == SETTING_LOCATION) {
    for (int kind = CONF_LOCATION_LOCAL; settings_kind_name(kind); kind++)
      consider_parts(n, row->key, settings_kind_name(kind), settings_location_parts(kind));
    return;
  }
  consider(n, row->key, "", row->type == SETTING_OPTIONS ? "NAME" : "");
  if (row->type == SETTING_ADDRESS) consider_parts(n, row->key, "", settings_address_parts());
}

static void put_with(buf *out, const char *path, const char *separator) {
  for (; *path; path++)
    if (*path == '.')
      buf_puts(out, separator);
    else
      buf_printf(out, "%c", *path);
}

void settings_nearest(const char *path, const char *separator, buf *out) {
  char plain[SETTING_MAX_PATH];
  size_t n = 0, width = strlen(separator);
  while (*path && n + 1 < sizeof plain)
    if (!strncmp(path, separator, width)) {
      plain[n++] = '.';
      path += width;
    } else {
      plain[n++] = *path++;
    }
  plain[n] = '\0';
  nearest found = {.path = plain, .sections = *separator == '.', .distance = SIZE_MAX};
  settings all = settings_all();
  for (size_t i = 0; i < all.len; i++)
    if (all.rows[i].key) consider_row(&found, &all.rows[i]);
  buf_clear(out);
  put_with(out, found.best, separator);
}
