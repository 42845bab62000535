/* tests/fuzz/fuzz_values.c: one text through every parser of values, and as a variable: lines of
 * NAME=value make an environment. SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "conf/values.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_VARIABLES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void numbers(const char *text) {
  int64_t n = -1;
  bool b;
  double d = -1;
  int port = 1;
  if (value_duration_ms(text, &n, NULL) == RC_OK && n < 0) abort();
  if (value_integer(text, &n, NULL) == RC_OK && value_bytes(text, &n, NULL) != RC_OK) abort();
  if (value_cores(text, &d, NULL) == RC_OK && !(d >= 0)) abort();
  if (value_port(text, &port, NULL) == RC_OK && (port < 1 || port > 65535)) abort();
  if (value_bool(text, &b, NULL) == RC_OK && strlen(value_show(text).s) == 0) abort();
}

static void texts(const char *text, size_t len) {
  static rc (*const parsers[])(const char *, char **, err *) = {value_log_level, value_text,
                                                                value_folder, value_host};
  for (size_t i = 0; i < sizeof parsers / sizeof *parsers; i++) {
    char *s = NULL;
    if (parsers[i](text, &s, NULL) != RC_OK && s) abort();
    free(s);
  }
  char *token = NULL;
  if (value_token(text, len, &token, NULL) == RC_OK && !*token) abort();
  free(token);
  conf_address address = {0};
  if (value_address(text, &address, NULL) == RC_OK && !address.host && !address.port) abort();
  free(address.host);
}

static void environment(char *text) {
  const char *variables[MAX_VARIABLES + 1] = {0};
  size_t n = 0;
  for (char *rest = text, *line; n < MAX_VARIABLES && (line = strsep(&rest, "\n"));)
    variables[n++] = line;
  conf *c;
  err e = {0};
  buf notices = {0};
  rc r = conf_load(NULL, variables, &c, &notices, &e);
  if ((r == RC_OK) != (c != NULL) || (r != RC_OK && !*e.text)) abort();
  conf_free(c);
  buf_deinit(&notices);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  char *text = mem_strndup((const char *)data, len);
  numbers(text);
  texts(text, strlen(text));
  environment(text);
  free(text);
  return 0;
}
