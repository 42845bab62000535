/* base/err.c: see err.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  int grpc, http;
  bool retry;
} RC_INFO[] = {
#define X(name, grpc, http, retry) {#name, grpc, http, retry},
    RC_TABLE(X)
#undef X
};

/* Never leave half a UTF-8 character at the end of a text that was cut. */
static void trim_broken_tail(char *text, size_t len) {
  size_t start = len;
  while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80) start--;
  if (start == 0) return;
  unsigned char lead = (unsigned char)text[start - 1];
  size_t want = lead < 0x80 ? 0 : lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  if (len - start < want) text[start - 1] = '\0';
}

__attribute__((format(printf, 5, 0))) static void fill(err *e, rc code, const char *file, int line,
                                                       const char *fmt, va_list ap) {
  e->code = code;
  e->file = file;
  e->line = line;
  int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
  if (n >= (int)sizeof e->text) trim_broken_tail(e->text, sizeof e->text - 1);
}

rc err_set(err *e, rc code, const char *file, int line, const char *fmt, ...) {
  if (e) {
    va_list ap;
    va_start(ap, fmt);
    fill(e, code, file, line, fmt, ap);
    va_end(ap);
  }
  return code;
}

static rc rc_from_errno(int n) {
  switch (n) {
  case ENOENT:
  case ENOTDIR:
    return RC_NOT_FOUND;
  case EEXIST:
    return RC_EXISTS;
  case EACCES:
  case EPERM:
  case EROFS:
    return RC_DENIED;
  case ENOSPC:
  case EDQUOT:
  case EMFILE:
  case ENFILE:
    return RC_EXHAUSTED;
  case ENOMEM:
    return RC_NO_MEMORY;
  case ECONNREFUSED:
  case ECONNRESET:
  case EPIPE:
    return RC_UNAVAILABLE;
  default:
    return RC_IO;
  }
}

rc err_errno(err *e, int errno_value, const char *file, int line, const char *fmt, ...) {
  rc code = rc_from_errno(errno_value);
  if (e) {
    va_list ap;
    va_start(ap, fmt);
    fill(e, code, file, line, fmt, ap);
    va_end(ap);
    size_t n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, ": %s", strerror(errno_value));
  }
  return code;
}

rc err_prefix(err *e, rc code, const char *fmt, ...) {
  if (e) {
    char below[sizeof e->text];
    memcpy(below, e->text, sizeof below);
    va_list ap;
    va_start(ap, fmt);
    fill(e, code, e->file, e->line, fmt, ap);
    va_end(ap);
    size_t n = strlen(e->text);
    int r = snprintf(e->text + n, sizeof e->text - n, "%s", below);
    if (r >= (int)(sizeof e->text - n)) trim_broken_tail(e->text, sizeof e->text - 1);
  }
  return code;
}

const char *rc_name(rc code) {
  return RC_INFO[code].name;
}
int rc_grpc(rc code) {
  return RC_INFO[code].grpc;
}
int rc_http(rc code) {
  return RC_INFO[code].http;
}
bool rc_retryable(rc code) {
  return RC_INFO[code].retry;
}

rc rc_from_grpc(int status) {
  for (unsigned i = 0; i < sizeof RC_INFO / sizeof *RC_INFO; i++)
    if (RC_INFO[i].grpc == status) return (rc)i;
  return RC_INTERNAL;
}
