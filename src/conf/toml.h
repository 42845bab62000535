/* conf/toml.h: TOML 1.0 as a list of nodes. SPDX-License-Identifier: Apache-2.0
 *
 * A document comes as one array in pre-order: a table or array stands right before what is in it,
 * which is one deeper. Keys of a table are sorted. Scalars keep their canonical text and are
 * interpreted by who reads them. Knows nothing of settings. */
#ifndef FLOE_CONF_TOML_H
#define FLOE_CONF_TOML_H

#include "base/err.h"

#include <stddef.h>

#define TOML_MAX_BYTES (1 << 20)
#define TOML_MAX_DOTS 32   /* in one key: a.b.c has two */
#define TOML_MAX_NESTED 32 /* arrays and inline tables in each other */

/* name, as toml-test calls it (NULL: not a scalar), as an error text does */
#define TOML_TYPE_TABLE(X)                                                                         \
  X(TABLE, NULL, "a table")                                                                        \
  X(ARRAY, NULL, "an array")                                                                       \
  X(STRING, "string", "a text")                                                                    \
  X(INTEGER, "integer", "an integer")                                                              \
  X(FLOAT, "float", "a float")                                                                     \
  X(BOOLEAN, "bool", "a boolean")                                                                  \
  X(DATE_TIME, "datetime", "a date and time")                                                      \
  X(LOCAL_DATE_TIME, "datetime-local", "a date and time")                                          \
  X(LOCAL_DATE, "date-local", "a date")                                                            \
  X(LOCAL_TIME, "time-local", "a time")

typedef enum toml_type {
#define X(name, tag, words) TOML_##name,
  TOML_TYPE_TABLE(X)
#undef X
} toml_type;

typedef struct toml_text { /* bytes[len] is NUL; a NUL may also stand inside */
  char *bytes;
  size_t len;
} toml_text;

typedef struct toml_node {
  toml_type type;
  unsigned depth; /* 0: the document itself, always the first node */
  int line;       /* 1 is the first */
  toml_text key;  /* bytes NULL: an array's element, or the document */
  toml_text text; /* bytes NULL: a table or an array */
} toml_node;

typedef struct toml_document {
  toml_node *nodes; /* owned */
  size_t len;
} toml_document;

/* The error begins with the line ("3: expected …") and quotes nothing of the values: they may be
 * secrets. */
MUST_CHECK rc toml_parse(const char *bytes, size_t len, toml_document *out, err *e);
void toml_deinit(toml_document *document);

#endif
