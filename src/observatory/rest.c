/* observatory/rest.c: the routes of 3001. SPDX-License-Identifier: Apache-2.0
 *
 * What the loop knows is answered at once; what stands in the database, by the store's thread. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "observatory/assets.h"
#include "observatory/history.h"
#include "observatory/internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
  MOST_QUERIES = 1000,
  USUAL_QUERIES = 100,
  MOST_SECONDS = 30 * 24 * 3600,
  USUAL_SECONDS = 600,
  MOST_POINTS = 2000,
  USUAL_POINTS = 300,
};

void rest_reply(http_reply *reply, const char *content_type, char *text_take) {
  if (!text_take) return;
  *reply = (http_reply){.status = 200,
                        .content_type = content_type,
                        .body = text_take,
                        .body_len = strlen(text_take),
                        .owned = text_take};
}

void rest_refuse(http_reply *reply, rc code, const char *why) {
  rest_reply(reply, "text/plain; charset=utf-8", mem_printf("%s\n", why));
  reply->status = rc_http(code);
}

static void reply_json(http_reply *reply, char *json_take) {
  rest_reply(reply, "application/json", json_take);
}

/* ---- from the loop ---- */

static void on_report(void *arg, const char *id, const uint8_t *report, size_t len) {
  (void)id;
  (void)!intake_take(arg, report, len, NULL); /* our own scheduler's */
}

void rest_ask_scheduler(observatory *o) {
  if (o->source.tell) o->source.tell(o->source.arg, on_report, o);
}

static json_t *health_json(const observatory *o) {
  store_health h = store_get_health(o->store);
  return json_pack("{s:s, s:s, s:I, s:I}", "database", *h.file ? h.file : "(memory)", "lacks",
                   h.lacks, "reports_lost", (json_int_t)h.lost, "reports_dropped",
                   (json_int_t)h.dropped);
}

static void get_cluster(const rest_get *g) {
  const observatory *o = g->o;
  char *text = o->source.cluster ? o->source.cluster(o->source.arg) : NULL;
  json_t *cluster = text ? json_loads(text, 0, NULL) : NULL;
  free(text);
  if (!cluster)
    cluster = json_pack("{s:s, s:s, s:b, s:[]}", "cluster_id",
                        o->conf->cluster_id ? o->conf->cluster_id : "", "version", FLOE_VERSION,
                        "has_token", o->conf->cluster.token != NULL, "workers");
  json_object_set_new(cluster, "observatory", health_json(o));
  reply_json(g->reply, json_dumps(cluster, JSON_COMPACT));
  json_decref(cluster);
}

static void get_workers(const rest_get *g) {
  reply_json(g->reply, hosts_json(g->o->hosts, clock_mono_ms()));
}

static int64_t number_of(const rest_get *g, const char *name, int64_t usual, int64_t most) {
  const char *text = http_request_argument(g->request, name);
  int64_t n = text ? strtoll(text, NULL, 10) : usual;
  return n < 1 ? 1 : n > most ? most : n;
}

static void get_worker_metrics(const rest_get *g) {
  int64_t seconds = number_of(g, "seconds", USUAL_SECONDS, MOST_SECONDS);
  int64_t points = number_of(g, "points", USUAL_POINTS, MOST_POINTS);
  reply_json(g->reply, hosts_series_json(g->o->hosts, g->id, clock_mono_ms(), seconds, points));
}

static void get_metrics(const rest_get *g) {
  buf text = {0};
  observatory_print_metrics(g->o, &text);
  rest_reply(g->reply, "text/plain; version=0.0.4", buf_take_text(&text));
}

/* ---- from the database ---- */

typedef struct reading { /* of one request */
  store_question question;
  const http_request *request;
  http_reply *reply;
  char *id, *user; /* owned */
  char *json;      /* owned; NULL: unknown */
  history_filter filter;
  char *(*read)(database *d, const char *id, const char *user); /* NULL: the list of queries */
} reading;

static void work(store_question *q, database *d) {
  reading *r = LIST_ENTRY(q, reading, question);
  r->json = r->read ? r->read(d, r->id, r->user) : history_queries(d, &r->filter, r->user);
}

static void done(store_question *q) {
  reading *r = LIST_ENTRY(q, reading, question);
  reply_json(r->reply, r->json);
  http_request_answer(r->request);
  free(r->id);
  free(r->user);
  free(r);
}

static void ask(const rest_get *g, history_filter filter,
                char *(*read)(database *, const char *, const char *)) {
  rest_ask_scheduler(g->o);
  reading *r = NEW(reading);
  *r = (reading){.question = {.work = work, .done = done},
                 .request = g->request,
                 .reply = g->reply,
                 .id = g->id ? mem_strdup(g->id) : NULL,
                 .user = g->user ? mem_strdup(g->user) : NULL,
                 .filter = filter,
                 .read = read};
  g->reply->later = true;
  store_ask(g->o->store, &r->question);
}

static void get_queries(const rest_get *g) {
  /* the request, and with it these, stays until it is answered */
  history_filter filter = {
      .status = http_request_argument(g->request, "status"),
      .user = http_request_argument(g->request, "user"),
      .label = http_request_argument(g->request, "label"),
      .search = http_request_argument(g->request, "search"),
      .before = http_request_argument(g->request, "before"),
      .limit = (int)number_of(g, "limit", USUAL_QUERIES, MOST_QUERIES),
  };
  ask(g, filter, NULL);
}

#define READS(name)                                                                                \
  static void get_##name(const rest_get *g) {                                                      \
    ask(g, (history_filter){0}, history_##name);                                                   \
  }
READS(query)
READS(stages)
READS(tasks)
READS(nodes)

/* ---- routes ---- */

#define API "/api/v1"
const rest_route REST_ROUTES[] = {
    {API "/cluster", get_cluster},
    {API "/workers", get_workers},
    {API "/workers/{id}/metrics", get_worker_metrics},
    {API "/queries", get_queries},
    {API "/query/{id}", get_query},
    {API "/query/{id}/stages", get_stages},
    {API "/query/{id}/tasks", get_tasks},
    {API "/query/{id}/nodes", get_nodes},
    {API "/events", events_get},
    {API "/export", export_get},
    {"/metrics", get_metrics},
    {NULL, NULL},
};

/* Does the path fit? *id is then what stands for {id}, the caller's; or NULL. */
static bool fits(const char *pattern, const char *path, char **id) {
  const char *hole = strstr(pattern, "{id}");
  *id = NULL;
  if (!hole) return !strcmp(pattern, path);
  size_t before = (size_t)(hole - pattern);
  if (strncmp(pattern, path, before) != 0) return false;
  size_t len = strcspn(path + before, "/");
  if (!len || strcmp(hole + 4, path + before + len) != 0) return false;
  *id = mem_strndup(path + before, len);
  return true;
}

static void reply_asset(http_reply *reply, const char *path) {
  for (const asset *a = ASSETS; a->path; a++)
    if (!strcmp(a->path, path))
      *reply = (http_reply){
          .status = 200, .content_type = a->content_type, .body = a->data, .body_len = a->len};
}

/* `user` as in rest_get. */
static void get(observatory *o, const http_request *request, const char *user, http_reply *reply) {
  const char *path = http_request_path(request);
  char *id = NULL;
  for (const rest_route *r = REST_ROUTES; r->path; r++) {
    if (!fits(r->path, path, &id)) continue;
    rest_get g = {.o = o, .request = request, .id = id, .user = user, .reply = reply};
    r->get(&g);
    free(id);
    return;
  }
  reply_asset(reply, strcmp(path, "/") ? path : "/index.html");
}

void rest_on_get(void *arg, const http_request *request, http_reply *reply) {
  observatory *o = arg;
  err e = {0};
  char *user = NULL;
  static const char RESULT[] = "/results/";
  if (o->stopping) {
    rest_refuse(reply, RC_UNAVAILABLE, "the observatory is shutting down");
  } else if (o->source.result && !strncmp(http_request_path(request), RESULT, sizeof RESULT - 1)) {
    o->source.result(o->source.arg, request, reply);
  } else if (!o->auth) {
    get(o, request, NULL, reply);
  } else if (auth_check(o->auth, http_request_header(request, "Authorization"),
                        clock_wall_us() / 1000000, &user, &e) == RC_OK) {
    get(o, request, auth_is_admin(o->auth, user) ? NULL : user, reply);
  } else {
    LOG_INFO("request refused", "path", http_request_path(request), "reason", e.text);
    rest_refuse(reply, e.code, e.text);
  }
  free(user);
}
