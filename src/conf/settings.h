/* conf/settings.h: the table of settings and how a row is found. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A row's key is its path in TOML; as a variable it is PC_CUBLET__ and the path with "__" for each
 * dot. Rows of three types have keys of their own below them: an address has parts, a location has
 * kinds and parts, the workers' variables have names. The table holds no code. */
#ifndef FLOE_CONF_SETTINGS_H
#define FLOE_CONF_SETTINGS_H

#include "conf/conf.h"
#include "conf/toml.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETTING_PREFIX "PC_CUBLET__"
#define SETTING_NOWHERE ((size_t)-1) /* checked, then dropped */
#define SETTING_MAX_PATH 256         /* a path that is longer is no setting */

/* name, what a value is (for people), the TOML types it may have */
#define SETTING_TYPE_TABLE(X)                                                                      \
  X(TEXT, "text", T(STRING))                                                                       \
  X(BOOL, "true or false", T(BOOLEAN))                                                             \
  X(INTEGER, "whole number", T(INTEGER) | T(FLOAT))                                                \
  X(BYTES, "size", T(INTEGER) | T(FLOAT) | T(STRING))                                              \
  X(DURATION, "duration", T(STRING))                                                               \
  X(CORES, "cores", T(STRING) | T(INTEGER) | T(FLOAT))                                             \
  X(LOG_LEVEL, "log level", T(STRING))                                                             \
  X(TOKEN, "token", T(STRING))                                                                     \
  X(FOLDER, "absolute path", T(STRING))                                                            \
  X(HOST, "IP address or host name", T(STRING))                                                    \
  X(PORT, "port", T(INTEGER))                                                                      \
  X(ADDRESS, "address", T(STRING))                                                                 \
  X(LOCATION, "location", 0)                                                                       \
  X(OPTION, "text", T(STRING) | T(INTEGER) | T(FLOAT) | T(BOOLEAN))                                \
  X(OPTIONS, "table of texts", 0)

typedef enum setting_type {
#define X(name, words, types) SETTING_##name,
  SETTING_TYPE_TABLE(X)
#undef X
} setting_type;

typedef enum setting_use {
  SETTING_USED,
  SETTING_LATER,  /* checked; when given, named in a notice */
  SETTING_IGNORED /* accepted whatever it says */
} setting_use;

typedef struct setting {
  const char *key;
  const char *variable; /* a plain variable instead of a key; NULL: the row has a key */
  setting_type type;
  setting_use use;
  size_t offset;        /* in conf, or in the address or location that the part belongs to */
  int64_t least, most;  /* INTEGER, BYTES, DURATION; 0, 0: any */
  const char *fallback; /* the default, as a text of the row's type; NULL: not set, 0, false */
  const char *help;     /* Markdown */
} setting;

typedef struct settings { /* a view of rows */
  const setting *rows;
  size_t len;
} settings;

settings settings_all(void);
settings settings_address_parts(void);
settings settings_location_parts(conf_location_kind kind);
const char *settings_kind_name(conf_location_kind kind); /* "s3"; NULL past the last */
const char *settings_type_words(setting_type type);
bool settings_type_takes(setting_type type, toml_type found);

/* Where a path leads. `separator` is what stands for a dot: "." in TOML, "__" in a variable. */
typedef struct setting_place {
  size_t row;              /* in settings_all */
  conf_location_kind kind; /* of a location's key, else NONE */
  const setting *leaf;     /* what the value is: the row, or a part; NULL: none, a table */
  const char *option;      /* leaf is an OPTION: its name, a view into `path` */
} setting_place;

bool settings_find(const char *path, const char *separator, setting_place *out);
bool settings_is_section(const char *path); /* keys start with it: a table may stand there */
const setting *settings_find_variable(const char *name, size_t len); /* the plain ones */
/* The known path that looks most like `path`, in its notation; out is cleared first. In TOML also
 * a section. */
void settings_nearest(const char *path, const char *separator, buf *out);

#endif
