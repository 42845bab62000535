/* auth/auth.c: see auth.h. SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"

#include "auth/base64.h"
#include "auth/jwt.h"
#include "auth/token_file.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "store/http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
  TICK_MS = 1000,
  REFRESH_MS = 300000, /* keys are this old at most, while their URL answers */
  HURRY_MS = 10000     /* between two fetches when keys are missing */
};

struct auth {
  const conf_auth *conf;
  uv_loop_t *loop;
  uv_timer_t tick;
  token_file *tokens;
  stamp tokens_stamp;
  jwk_set *keys; /* NULL: none yet */
  const char *keys_file;
  stamp keys_stamp;
  /* of a URL */
  uv_work_t fetch;
  bool fetching, wanted; /* wanted: a key is missing */
  int64_t fetched_ms;    /* when the last fetch began; 0: never */
  atomic_bool cancel;
  jwk_set *fetched; /* by the pool, … */
  err problem;      /* … or why not; OK: it went well */
};

/* ---- files ---- */

static rc read_file(const char *path, size_t most, buf *out, err *e) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ERR_ERRNO(e, errno, "open");
  rc r = buf_reserve(out, most + 1, e);
  ssize_t n = 1;
  while (r == RC_OK && n > 0 && out->len <= most) {
    n = read(fd, out->data + out->len, most + 1 - out->len);
    if (n < 0) r = ERR_ERRNO(e, errno, "read");
    if (n > 0) out->len += (size_t)n;
  }
  close(fd);
  return r;
}

static rc load_tokens(auth *a, err *e) {
  const char *path = a->conf->token_file;
  buf text = {0};
  token_file *f = NULL;
  rc r = read_file(path, TOKEN_FILE_MAX_BYTES, &text, e);
  if (r == RC_OK) r = token_file_parse((const char *)text.data, text.len, &f, e);
  buf_deinit(&text);
  if (r != RC_OK) return err_prefix(e, r, "the tokens in %s: ", path);
  token_file_free(a->tokens);
  a->tokens = f;
  return RC_OK;
}

static rc load_keys(auth *a, err *e) {
  buf text = {0};
  jwk_set *keys = NULL;
  rc r = read_file(a->keys_file, JWK_MAX_SET_BYTES, &text, e);
  if (r == RC_OK) r = jwk_set_parse((const char *)text.data, text.len, &keys, e);
  buf_deinit(&text);
  if (r != RC_OK) return err_prefix(e, r, "the keys in %s: ", a->keys_file);
  jwk_set_free(a->keys);
  a->keys = keys;
  return RC_OK;
}

static void say_reloaded(const char *path, rc r, const err *e) {
  if (r == RC_OK)
    LOG_INFO("read again", "file", path);
  else
    LOG_WARN("what was read before stays in use", "error", e->text);
}

static void renew_files(auth *a) {
  err e = {0};
  if (a->conf->token_file && stamp_renew(&a->tokens_stamp, a->conf->token_file))
    say_reloaded(a->conf->token_file, load_tokens(a, &e), &e);
  if (a->keys_file && stamp_renew(&a->keys_stamp, a->keys_file))
    say_reloaded(a->keys_file, load_keys(a, &e), &e);
}

/* ---- a URL ---- */

static void fetch_on_pool(uv_work_t *w) {
  auth *a = w->data;
  buf text = {0};
  const char *url = a->conf->jwks.url;
  a->problem = (err){0};
  if (store_fetch(url, JWK_MAX_SET_BYTES, &a->cancel, &text, &a->problem) == RC_OK &&
      jwk_set_parse((const char *)text.data, text.len, &a->fetched, &a->problem) != RC_OK)
    err_prefix(&a->problem, a->problem.code, "GET %.*s: ", (int)strcspn(url, "?"), url);
  buf_deinit(&text);
}

static void after_fetch(uv_work_t *w, int status) {
  (void)status;
  auth *a = w->data;
  a->fetching = false;
  if (a->fetched) {
    jwk_set_free(a->keys);
    a->keys = a->fetched;
    a->fetched = NULL;
    LOG_DEBUG("keys fetched", "url", a->conf->jwks.url);
  } else if (!atomic_load(&a->cancel)) {
    LOG_WARN("the keys of users' tokens cannot be fetched", "error", a->problem.text);
  }
}

static void on_tick(uv_timer_t *t) {
  auth *a = t->data;
  if (a->fetching) return; /* `problem` is the pool's */
  int64_t now = clock_mono_ms();
  bool missing = a->wanted || !a->keys || a->problem.code != RC_OK;
  if (a->fetched_ms && now - a->fetched_ms < (missing ? HURRY_MS : REFRESH_MS)) return;
  a->wanted = false;
  a->fetching = true;
  a->fetched_ms = now;
  a->fetch.data = a;
  uv_queue_work(a->loop, &a->fetch, fetch_on_pool, after_fetch);
}

/* ---- what a header says ---- */

/* The token behind `scheme`, or NULL. */
static const char *behind(const char *authorization, const char *scheme) {
  size_t len = strlen(scheme);
  return strncasecmp(authorization, scheme, len) ? NULL : authorization + len;
}

/* base64("user:token") → a copy of the token; NULL: it is something else. */
static char *basic_token(const char *credentials) {
  size_t len = strlen(credentials), got;
  if (len > 2 * JWT_MAX_BYTES) return NULL;
  char *plain = mem_new(BASE64_BYTES(len) + 1), *token = NULL;
  if (base64_decode(credentials, len, (uint8_t *)plain, &got)) {
    const char *colon = strchr(plain, ':');
    if (colon) token = mem_strdup(colon + 1);
  }
  free(plain);
  return token;
}

static char *read_token(const char *authorization) {
  const char *bearer = behind(authorization, "Bearer "), *basic = behind(authorization, "Basic ");
  return bearer ? mem_strdup(bearer) : basic ? basic_token(basic) : NULL;
}

static rc check_signed(auth *a, const char *token, int64_t now_s, char **user, err *e) {
  if (!a->keys)
    return ERR(
        e, RC_UNAVAILABLE,
        "the keys that tokens are checked with could not be fetched yet; try again soon, the "
        "scheduler's log says more");
  jwt_rules rules = {.issuers = a->conf->jwks.issuers,
                     .audience = a->conf->jwks.audience,
                     .user_claim = a->conf->jwks.user_claim};
  rc r = jwt_verify(a->keys, token, &rules, now_s, user, e);
  if (r != RC_NOT_FOUND) return r;
  a->wanted = true;
  return ERR(e, RC_UNAUTHENTICATED,
             "the token is signed with a key that is not among those known here; they are fetched "
             "again, at most every %d s",
             HURRY_MS / 1000);
}

static rc check_token(auth *a, const char *token, int64_t now_s, char **user, err *e) {
  const char *known = a->tokens ? token_file_user(a->tokens, token) : NULL;
  if (known) {
    *user = mem_strdup(known);
    return RC_OK;
  }
  if (a->conf->jwks.url && (!a->tokens || strchr(token, '.')))
    return check_signed(a, token, now_s, user, e);
  return ERR(e, RC_UNAUTHENTICATED, "this token is nobody's here");
}

rc auth_check(auth *a, const char *authorization, int64_t now_s, char **user, err *e) {
  *user = NULL;
  renew_files(a);
  char *token = authorization ? read_token(authorization) : NULL;
  if (!token)
    return ERR(e, RC_UNAUTHENTICATED,
               "this cluster wants to know who asks: expected the header `authorization: Bearer "
               "TOKEN`; give ClusterContext extra_headers={\"authorization\": \"Bearer …\"}");
  rc r = check_token(a, token, now_s, user, e);
  free(token);
  return r;
}

bool auth_is_admin(const auth *a, const char *user) {
  return conf_list_has(a->conf->admins, user);
}

/* ---- start and stop ---- */

static rc open_tokens(auth *a, err *e) {
  stamp_renew(&a->tokens_stamp, a->conf->token_file);
  return load_tokens(a, e);
}

static rc open_keys(auth *a, err *e) {
  static const char FILE_SCHEME[] = "file://";
  const char *url = a->conf->jwks.url;
  if (!a->conf->jwks.audience)
    LOG_WARN("auth.jwks.audience is not set: tokens made for other services are accepted", "url",
             url);
  if (!strncmp(url, "https://", 8) || !strncmp(url, "http://", 7)) {
    uv_timer_start(&a->tick, on_tick, 0, TICK_MS);
    return RC_OK;
  }
  if (strncmp(url, FILE_SCHEME, sizeof FILE_SCHEME - 1))
    return ERR(e, RC_INVALID,
               "auth.jwks.url: expected https://…, http://… or file:///…, found \"%s\"", url);
  a->keys_file = url + sizeof FILE_SCHEME - 1;
  stamp_renew(&a->keys_stamp, a->keys_file);
  return load_keys(a, e);
}

rc auth_new(uv_loop_t *loop, const conf_auth *c, auth **out, err *e) {
  *out = NULL;
  if (!c->token_file && !c->jwks.url) {
    if (!c->admins && !c->jwks.issuers && !c->jwks.audience) return RC_OK;
    return ERR(e, RC_INVALID,
               "auth: expected token_file or jwks.url beside admins, issuers and audience; without "
               "them nobody knows who asks");
  }
  auth *a = NEW(auth);
  a->conf = c;
  a->loop = loop;
  uv_timer_init(loop, &a->tick);
  a->tick.data = a;
  *out = a; /* also on failure: auth_stop, auth_free */
  if (c->token_file) TRY(open_tokens(a, e));
  return c->jwks.url ? open_keys(a, e) : RC_OK;
}

void auth_stop(auth *a) {
  if (!a) return;
  atomic_store(&a->cancel, true);
  uv_close((uv_handle_t *)&a->tick, NULL);
}

void auth_free(auth *a) {
  if (!a) return;
  token_file_free(a->tokens);
  jwk_set_free(a->keys);
  free(a);
}
