/* observatory/observatory.c: see observatory.h. SPDX-License-Identifier: Apache-2.0 */
#include "observatory/observatory.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_server.h"
#include "observatory/assets.h"

#include <stdlib.h>
#include <string.h>

struct observatory {
  observatory_source source;
  auth *auth; /* NULL: everybody may look */
  http_server *server;
  void (*done)(void *);
  void *done_arg;
};

static void reply_json(http_reply *reply, char *json_take) {
  if (!json_take) return; /* stays 404 */
  *reply = (http_reply){.status = 200,
                        .content_type = "application/json",
                        .body = json_take,
                        .body_len = strlen(json_take),
                        .owned = json_take};
}

static void reply_asset(http_reply *reply, const char *path) {
  for (const asset *a = ASSETS; a->path; a++)
    if (!strcmp(a->path, path))
      *reply = (http_reply){
          .status = 200, .content_type = a->content_type, .body = a->data, .body_len = a->len};
}

/* "{id}" or "{id}/stages" */
static void reply_query(http_reply *reply, const observatory_source *from, const char *rest,
                        const char *user) {
  static const char STAGES[] = "/stages";
  size_t len = strcspn(rest, "/");
  char *id = mem_strndup(rest, len);
  if (!rest[len])
    reply_json(reply, from->query(from->arg, id, user));
  else if (!strcmp(rest + len, STAGES))
    reply_json(reply, from->stages(from->arg, id, user));
  free(id);
}

/* `user` as in observatory_source. */
static void reply_path(const observatory *o, const char *path, const char *user,
                       http_reply *reply) {
  const observatory_source *from = &o->source;
  static const char QUERY[] = "/api/v1/query/";
  if (!strcmp(path, "/api/v1/cluster"))
    reply_json(reply, from->cluster(from->arg));
  else if (!strcmp(path, "/api/v1/queries"))
    reply_json(reply, from->queries(from->arg, user));
  else if (!strncmp(path, QUERY, sizeof QUERY - 1))
    reply_query(reply, from, path + sizeof QUERY - 1, user);
  else
    reply_asset(reply, strcmp(path, "/") ? path : "/index.html");
}

static void refuse(http_reply *reply, rc code, const char *why) {
  char *text = mem_printf("%s\n", why);
  *reply = (http_reply){.status = rc_http(code),
                        .content_type = "text/plain; charset=utf-8",
                        .body = text,
                        .body_len = strlen(text),
                        .owned = text};
}

static void on_get(void *arg, const http_request *request, http_reply *reply) {
  const observatory *o = arg;
  const char *path = http_request_path(request);
  err e = {0};
  char *user = NULL;
  static const char RESULT[] = "/results/";
  if (!strncmp(path, RESULT, sizeof RESULT - 1)) {
    o->source.result(o->source.arg, request, reply);
  } else if (!o->auth) {
    reply_path(o, path, NULL, reply);
  } else if (auth_check(o->auth, http_request_header(request, "Authorization"),
                        clock_wall_us() / 1000000, &user, &e) == RC_OK) {
    reply_path(o, path, auth_is_admin(o->auth, user) ? NULL : user, reply);
  } else {
    LOG_INFO("request refused", "path", path, "reason", e.text);
    refuse(reply, e.code, e.text);
  }
  free(user);
}

rc observatory_new(uv_loop_t *loop, const conf *c, auth *a, const observatory_source *source,
                   observatory **out, err *e) {
  observatory *o = NEW(observatory);
  o->source = *source;
  o->auth = a;
  http_server_config config = {.host = c->observatory.rest.host,
                               .port = c->observatory.rest.port,
                               .certificate_file = c->observatory.rest_tls.certificate_key_file,
                               .key_file = c->observatory.rest_tls.private_key_file,
                               .on_get = on_get,
                               .arg = o};
  rc r = http_server_new(loop, &config, &o->server, e);
  if (r != RC_OK) {
    free(o);
    return r;
  }
  LOG_INFO("listening", "address", config.host, "service", "observatory");
  *out = o;
  return RC_OK;
}

static void on_closed(void *arg) {
  observatory *o = arg;
  void (*done)(void *) = o->done;
  void *done_arg = o->done_arg;
  free(o);
  done(done_arg);
}

void observatory_shutdown(observatory *o, void (*done)(void *), void *arg) {
  o->done = done;
  o->done_arg = arg;
  http_server_close(o->server, on_closed, o);
}
