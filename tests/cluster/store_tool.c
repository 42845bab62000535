/* tests/cluster/store_tool.c: src/store from a command line. SPDX-License-Identifier: Apache-2.0
 *
 *   store_tool VERB … LOCATION [KEY=VALUE …]
 *     put ID FILE     upload FILE as the result of query ID
 *     url ID          print what a client opens
 *     delete ID       remove the result
 *     put-to URL FILE upload to any URL (no LOCATION)
 *
 * KEY=VALUE are options of the location; besides: external_endpoint, presign_ms, and age_s, which
 * signs as if it were so many seconds ago. A failure is "RC_NAME: text" on stderr, exit code 1. */
#include "base/clock.h"
#include "store/http.h"
#include "store/location.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 16 };

typedef struct command {
  conf_location conf;
  conf_option options[MAX_OPTIONS];
  int64_t wall_us;
  query_id id;
} command;

static void take_option(command *c, char *text) {
  char *value = strchr(text, '=');
  if (!value || c->conf.n_options == MAX_OPTIONS) {
    fprintf(stderr, "expected KEY=VALUE, found %s\n", text);
    exit(2);
  }
  *value++ = '\0';
  if (strcmp(text, "external_endpoint") == 0)
    c->conf.external_endpoint = value;
  else if (strcmp(text, "presign_ms") == 0)
    c->conf.presign_ms = strtoll(value, NULL, 10);
  else if (strcmp(text, "age_s") == 0)
    c->wall_us -= strtoll(value, NULL, 10) * 1000000;
  else
    c->options[c->conf.n_options++] = (conf_option){text, value};
}

static rc put(const location *l, const command *c, const char *file, err *e) {
  location_target target = {0};
  TRY(location_result_target(l, c->id, 0, c->wall_us, &target, e));
  rc r = store_put_file(target.put_url, file, NULL, e);
  if (r == RC_OK) puts(target.location);
  location_target_deinit(&target);
  return r;
}

static rc print_url(const location *l, const command *c, err *e) {
  buf url = {0};
  rc r = location_result_url(l, c->id, 0, c->wall_us, &url, e);
  if (r == RC_OK) puts(buf_text(&url));
  buf_deinit(&url);
  return r;
}

static rc run(command *c, const char *verb, const char *file, err *e) {
  location *l = NULL;
  TRY(location_new(&c->conf, &l, e));
  rc r = strcmp(verb, "put") == 0   ? put(l, c, file, e)
         : strcmp(verb, "url") == 0 ? print_url(l, c, e)
                                    : location_result_delete(l, c->id, 1, c->wall_us, NULL, e);
  location_free(l);
  return r;
}

static rc run_on_location(int argc, char **argv, err *e) {
  bool has_file = strcmp(argv[1], "put") == 0;
  int at = has_file ? 4 : 3;
  command c = {.wall_us = clock_wall_us()};
  if (at >= argc || !uuid_parse(argv[2], &c.id.u))
    return ERR(e, RC_INVALID, "expected: VERB ID … LOCATION");
  c.conf = (conf_location){.kind = CONF_LOCATION_S3, .presign_ms = 60000, .options = c.options};
  c.conf.url = argv[at++];
  for (; at < argc; at++) take_option(&c, argv[at]);
  return run(&c, argv[1], has_file ? argv[3] : NULL, e);
}

int main(int argc, char **argv) {
  if (argc < 4) return fprintf(stderr, "see the top of store_tool.c\n"), 2;
  err e = {0};
  rc r = strcmp(argv[1], "put-to") == 0 ? store_put_file(argv[2], argv[3], NULL, &e)
                                        : run_on_location(argc, argv, &e);
  if (r != RC_OK) fprintf(stderr, "%s: %s\n", rc_name(r), e.text);
  return r == RC_OK ? 0 : 1;
}
