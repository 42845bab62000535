/* base/err.h: errors as values. SPDX-License-Identifier: Apache-2.0
 *
 * A function that can fail returns an `rc` and takes an `err *` as its last argument. The rc
 * decides policy (which status a peer sees, whether to retry); the text is for the person who
 * must act: what was expected, what was found, which object, what to do. `err` may be NULL.
 * The mapping to gRPC and HTTP status stands here and nowhere else. */
#ifndef FLOE_BASE_ERR_H
#define FLOE_BASE_ERR_H

#include <stdbool.h>

/* name, gRPC status, HTTP status, may the same call succeed when repeated? */
#define RC_TABLE(X)                                                                                \
  X(OK, 0, 200, false)                                                                             \
  X(CANCELLED, 1, 499, false)                                                                      \
  X(INVALID, 3, 400, false)                                                                        \
  X(DEADLINE, 4, 504, true)                                                                        \
  X(NOT_FOUND, 5, 404, false)                                                                      \
  X(EXISTS, 6, 409, false)                                                                         \
  X(DENIED, 7, 403, false)                                                                         \
  X(EXHAUSTED, 8, 429, true)                                                                       \
  X(PRECONDITION, 9, 412, false)                                                                   \
  X(UNIMPLEMENTED, 12, 501, false)                                                                 \
  X(INTERNAL, 13, 500, false)                                                                      \
  X(UNAVAILABLE, 14, 503, true)                                                                    \
  X(DATA_LOSS, 15, 500, false)                                                                     \
  X(UNAUTHENTICATED, 16, 401, false)                                                               \
  X(IO, 13, 500, false)                                                                            \
  X(NO_MEMORY, 8, 503, true)

typedef enum rc {
#define X(name, grpc, http, retry) RC_##name,
  RC_TABLE(X)
#undef X
} rc;

/* Storage is the caller's; a zeroed err is valid and means "no error yet". */
typedef struct err {
  rc code;
  const char *file; /* where it was made; for the log, never for a peer */
  int line;
  char text[1024]; /* UTF-8, cut at a character's border when it is too long */
} err;

#define MUST_CHECK __attribute__((warn_unused_result))

/* Fill `e` (may be NULL) and return `code`, so that a failure is one statement:
 *   return ERR(e, RC_INVALID, "worker.slots: expected 1..1024, found %d", n); */
#define ERR(e, code, ...) err_set((e), (code), __FILE__, __LINE__, __VA_ARGS__)
rc err_set(err *e, rc code, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* The same with ": strerror(errno_value)" at the end; ENOENT, EACCES, ENOSPC … choose the code. */
#define ERR_ERRNO(e, errno_value, ...)                                                             \
  err_errno((e), (errno_value), __FILE__, __LINE__, __VA_ARGS__)
rc err_errno(err *e, int errno_value, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Put words before the text of an error that came from below: "reading a.toml: " + text. */
rc err_prefix(err *e, rc code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define TRY(expr)                                                                                  \
  do {                                                                                             \
    rc try_rc_ = (expr);                                                                           \
    if (try_rc_ != RC_OK) return try_rc_;                                                          \
  } while (0)

const char *rc_name(rc code);
int rc_grpc(rc code);
int rc_http(rc code);
bool rc_retryable(rc code);
rc rc_from_grpc(int status); /* unknown numbers are RC_INTERNAL */

#endif
