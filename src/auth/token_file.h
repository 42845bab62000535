/* auth/token_file.h: users and their tokens, in a file of the operator. SPDX-License-Identifier:
 * Apache-2.0
 *
 *   # one user and one token a line; a user may have several
 *   alice  f2b8…
 *   bob    sha256:<64 hex digits: the hash of the token>
 *
 * Only hashes are kept, and each question looks at all of them: the time it takes tells nothing. */
#ifndef FLOE_AUTH_TOKEN_FILE_H
#define FLOE_AUTH_TOKEN_FILE_H

#include "base/err.h"

#include <stddef.h>

enum {
  TOKEN_FILE_MAX_BYTES = 1 << 20,
  TOKEN_FILE_MAX_TOKENS = 4096,
  TOKEN_FILE_LEAST_CHARACTERS = 16
};

typedef struct token_file token_file;

/* Texts name the line, never a token. */
MUST_CHECK rc token_file_parse(const char *text, size_t len, token_file **out, err *e);
const char *token_file_user(const token_file *f, const char *token); /* NULL: nobody's */
void token_file_free(token_file *f);                                 /* NULL is fine */

#endif
