/* auth/token_file.c: see token_file.h. SPDX-License-Identifier: Apache-2.0 */
#include "auth/token_file.h"

#include "base/mem.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
  char *user;
  uint8_t hash[SHA256_DIGEST_LENGTH];
} entry;

struct token_file {
  entry *entries;
  size_t n, cap;
};

static const char HASHED[] = "sha256:";

static bool read_hash(const char *hex, size_t len, uint8_t *out) {
  static const char digits[] = "0123456789abcdef";
  if (len != 2 * SHA256_DIGEST_LENGTH) return false;
  for (size_t i = 0; i < len; i++) {
    const char *digit = memchr(digits, tolower((unsigned char)hex[i]), sizeof digits - 1);
    if (!digit) return false;
    out[i / 2] = (uint8_t)(out[i / 2] << 4 | (digit - digits));
  }
  return true;
}

static rc take_token(const char *token, size_t len, unsigned line, uint8_t *hash, err *e) {
  size_t head = sizeof HASHED - 1;
  if (len >= head && !memcmp(token, HASHED, head)) {
    if (read_hash(token + head, len - head, hash)) return RC_OK;
    return ERR(e, RC_INVALID, "line %u: expected 64 hex digits behind %s", line, HASHED);
  }
  if (len < TOKEN_FILE_LEAST_CHARACTERS)
    return ERR(e, RC_INVALID,
               "line %u: expected a token of at least %d characters; make one with "
               "`openssl rand -hex 32`",
               line, TOKEN_FILE_LEAST_CHARACTERS);
  for (size_t i = 0; i < len; i++)
    if (token[i] <= ' ' || token[i] > '~')
      return ERR(e, RC_INVALID, "line %u: expected a token of visible ASCII characters", line);
  EVP_Digest(token, len, hash, NULL, EVP_sha256(), NULL);
  return RC_OK;
}

static entry *find(const token_file *f, const uint8_t *hash) {
  entry *found = NULL;
  for (size_t i = 0; i < f->n; i++)
    if (!CRYPTO_memcmp(f->entries[i].hash, hash, sizeof f->entries[i].hash)) found = &f->entries[i];
  return found;
}

static void add(token_file *f, const entry *take) {
  if (f->n == f->cap) {
    f->cap = f->cap ? 2 * f->cap : 16;
    entry *more = mem_new(f->cap * sizeof *more);
    if (f->n) memcpy(more, f->entries, f->n * sizeof *more);
    free(f->entries);
    f->entries = more;
  }
  f->entries[f->n++] = *take;
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

static size_t word(const char *at, const char *end) {
  size_t n = 0;
  while (at + n < end && !is_blank(at[n])) n++;
  return n;
}

static const char *skip_blanks(const char *at, const char *end) {
  while (at < end && is_blank(*at)) at++;
  return at;
}

static rc take_line(token_file *f, const char *at, const char *end, unsigned line, err *e) {
  at = skip_blanks(at, end);
  if (at == end || *at == '#') return RC_OK;
  const char *user = at;
  size_t user_len = word(user, end);
  const char *token = skip_blanks(user + user_len, end);
  size_t token_len = word(token, end);
  if (!token_len || skip_blanks(token + token_len, end) != end || memchr(user, 0, user_len))
    return ERR(e, RC_INVALID, "line %u: expected a user and a token, with a space between them",
               line);
  if (f->n == TOKEN_FILE_MAX_TOKENS)
    return ERR(e, RC_INVALID, "line %u: expected at most %d tokens, found more", line,
               TOKEN_FILE_MAX_TOKENS);
  entry new = {0};
  TRY(take_token(token, token_len, line, new.hash, e));
  if (find(f, new.hash)) return ERR(e, RC_INVALID, "line %u: this token was given before", line);
  new.user = mem_strndup(user, user_len);
  add(f, &new);
  return RC_OK;
}

rc token_file_parse(const char *text, size_t len, token_file **out, err *e) {
  *out = NULL;
  if (len > TOKEN_FILE_MAX_BYTES)
    return ERR(e, RC_INVALID, "expected at most %d bytes, found more", TOKEN_FILE_MAX_BYTES);
  token_file *f = NEW(token_file);
  rc r = RC_OK;
  unsigned line = 1;
  for (const char *at = text, *end = text + len; at < end && r == RC_OK; line++) {
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    const char *stop = newline ? newline : end;
    r = take_line(f, at, stop, line, e);
    at = newline ? newline + 1 : end;
  }
  if (r == RC_OK)
    *out = f;
  else
    token_file_free(f);
  return r;
}

const char *token_file_user(const token_file *f, const char *token) {
  uint8_t hash[SHA256_DIGEST_LENGTH];
  EVP_Digest(token, strlen(token), hash, NULL, EVP_sha256(), NULL);
  const entry *found = find(f, hash);
  return found ? found->user : NULL;
}

void token_file_free(token_file *f) {
  if (!f) return;
  for (size_t i = 0; i < f->n; i++) free(f->entries[i].user);
  free(f->entries);
  free(f);
}
