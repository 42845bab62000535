/* worker/inputs.c: see inputs.h. SPDX-License-Identifier: Apache-2.0 */
#include "worker/inputs.h"

#include "base/map.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- validating ---- */

/* "<attempt_id>/<file>" */
static bool is_name(const char *name) {
  char attempt[ID_TEXT_LEN + 1];
  uuid id;
  snprintf(attempt, sizeof attempt, "%s", name);
  return uuid_parse(attempt, &id) && name[ID_TEXT_LEN] == '/' && tree_is_plain(name);
}

/* "host:port", and nothing that would make another URL of it. */
static bool is_address(const char *text) {
  return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") ==
         strlen(text);
}

static rc validate_file(const Cluster__ShuffleFile *f, err *e) {
  uuid id;
  if (!uuid_parse(f->incarnation, &id))
    return ERR(e, RC_INVALID, "incarnation of worker \"%s\": expected a UUID, found \"%s\"",
               f->worker, f->incarnation);
  if (!is_address(f->address))
    return ERR(e, RC_INVALID, "address of worker \"%s\": expected host:port, found \"%s\"",
               f->worker, f->address);
  if (!is_name(f->name))
    return ERR(e, RC_INVALID,
               "a shuffle file of worker \"%s\": expected a plain name below an "
               "attempt's id, found \"%s\"",
               f->worker, f->name);
  return RC_OK;
}

rc inputs_validate(const Cluster__RunTaskRequest *r, err *e) {
  uuid id;
  if (r->n_inputs && !uuid_parse(r->query_id, &id))
    return ERR(e, RC_INVALID, "query_id: expected a UUID, found \"%s\"", r->query_id);
  for (size_t i = 0; i < r->n_inputs; i++)
    for (size_t k = 0; k < r->inputs[i]->n_files; k++)
      TRY(validate_file(r->inputs[i]->files[k], e));
  return RC_OK;
}

/* ---- finding ---- */

typedef struct locating {
  inputs *in;
  const Cluster__RunTaskRequest *request;
  const shuffle *shuffle;
  map seen; /* incarnation → SEEN or UNSEEN: one look for each worker */
} locating;

static char SEEN, UNSEEN;

/* The folder under which we see the worker's files; NULL: we do not. */
static const char *folder_of(locating *l, const Cluster__ShuffleFile *f) {
  if (!strcmp(f->incarnation, l->shuffle->incarnation.s)) return l->shuffle->dir;
  void *known = map_get(&l->seen, f->incarnation, ID_TEXT_LEN);
  if (!known) {
    known = shuffle_sees(l->shuffle, f->folder, f->incarnation) ? &SEEN : &UNSEEN;
    map_put(&l->seen, f->incarnation, ID_TEXT_LEN, known);
  }
  return known == &SEEN ? f->folder : NULL;
}

static const char *extension_of(const char *name) {
  const char *file = strrchr(name, '/'), *dot = strrchr(file ? file : name, '.');
  return dot ? dot : "";
}

static char *locate_file(locating *l, const Cluster__ShuffleFile *f) {
  inputs *in = l->in;
  input_file *out = &in->files[in->n_files++];
  const char *folder = folder_of(l, f);
  out->file = f;
  out->is_fetched = !folder;
  if (folder)
    out->path = arena_printf(&in->memory, "%s/%s/%s", folder, l->request->query_id, f->name);
  else
    out->path = arena_printf(&in->memory, "%s/%zu%s", in->fetch_dir, in->n_fetched++,
                             extension_of(f->name));
  return out->path;
}

static Executor__Input *locate_leaf(locating *l, const Cluster__TaskInput *from) {
  inputs *in = l->in;
  Executor__Input *to = ARENA_NEW(&in->memory, Executor__Input, 1);
  executor__input__init(to);
  to->leaf = from->leaf;
  to->schema = from->schema;
  to->broadcast = from->broadcast;
  to->paths = ARENA_NEW(&in->memory, char *, from->n_files + 1);
  for (size_t i = 0; i < from->n_files; i++)
    to->paths[to->n_paths++] = locate_file(l, from->files[i]);
  to->parquet = from->n_files && !strcmp(extension_of(from->files[0]->name), ".parquet");
  return to;
}

void inputs_locate(inputs *in, const Cluster__RunTaskRequest *r, const shuffle *s,
                   const char *fetch_dir) {
  size_t n_files = 0;
  for (size_t i = 0; i < r->n_inputs; i++) n_files += r->inputs[i]->n_files;
  *in = (inputs){0};
  in->fetch_dir = arena_printf(&in->memory, "%s", fetch_dir);
  in->files = ARENA_NEW(&in->memory, input_file, n_files + 1);
  in->leaves = ARENA_NEW(&in->memory, Executor__Input *, r->n_inputs + 1);
  locating l = {.in = in, .request = r, .shuffle = s};
  for (; in->n_leaves < r->n_inputs; in->n_leaves++)
    in->leaves[in->n_leaves] = locate_leaf(&l, r->inputs[in->n_leaves]);
  map_deinit(&l.seen);
}

/* ---- checking ---- */

rc inputs_lost(const Cluster__ShuffleFile *file, const char *why, err *e) {
  return ERR(e, RC_NOT_FOUND, "shuffle file %s of worker %s is lost: %s", file->name, file->worker,
             why);
}

rc inputs_check(const inputs *in, err *e) {
  for (size_t i = 0; i < in->n_files; i++) {
    const input_file *f = &in->files[i];
    struct stat st;
    if (f->is_fetched) continue;
    err why = {0};
    if (lstat(f->path, &st))
      ERR_ERRNO(&why, errno, "%s", f->path);
    else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->file->bytes)
      ERR(&why, RC_DATA_LOSS, "expected %llu bytes, found %llu", (unsigned long long)f->file->bytes,
          (unsigned long long)st.st_size);
    if (why.code != RC_OK) return inputs_lost(f->file, why.text, e);
  }
  return RC_OK;
}

void inputs_deinit(inputs *in) {
  arena_deinit(&in->memory);
  *in = (inputs){0};
}
