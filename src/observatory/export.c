/* observatory/export.c: GET /api/v1/export: the database as a file. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A copy as of now, made by SQLite in the temporary folder, that is gone when it has been sent. */
#include "base/id.h"
#include "base/mem.h"
#include "observatory/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct copy {
  store_question question;
  const http_request *request;
  http_reply *reply;
  char *path;
  int fd;
  uint64_t bytes;
} copy;

static rc open_copy(void *arg, const atomic_bool *stop, err *e) {
  (void)arg, (void)stop, (void)e;
  return RC_OK;
}

static rc read_copy(void *arg, uint64_t at, uint8_t *out, size_t len, const atomic_bool *stop,
                    err *e) {
  const copy *c = arg;
  (void)stop;
  for (size_t got = 0; got < len;) {
    ssize_t n = pread(c->fd, out + got, len - got, (off_t)(at + got));
    if (n <= 0) return ERR_ERRNO(e, n ? errno : EIO, "reading the copy of the database");
    got += (size_t)n;
  }
  return RC_OK;
}

static void free_copy(void *arg) {
  copy *c = arg;
  if (c->fd >= 0) close(c->fd);
  free(c->path);
  free(c);
}

static uint64_t bytes_of(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* On the store's thread. Without a name from the beginning to be read: nothing can be left. */
static void make(store_question *q, database *d) {
  copy *c = LIST_ENTRY(q, copy, question);
  sqlite3_stmt *s = database_prepare(d, "VACUUM INTO ?");
  if (!s) return;
  sqlite3_bind_text(s, 1, c->path, -1, SQLITE_STATIC);
  bool made = sqlite3_step(s) == SQLITE_DONE;
  sqlite3_finalize(s);
  c->fd = made ? open(c->path, O_RDONLY | O_CLOEXEC) : -1;
  if (c->fd >= 0) c->bytes = bytes_of(c->fd);
  unlink(c->path);
}

static void made(store_question *q) {
  copy *c = LIST_ENTRY(q, copy, question);
  const http_request *request = c->request;
  if (c->fd >= 0) {
    *c->reply = (http_reply){
        .file = {
            .bytes = c->bytes, .arg = c, .open = open_copy, .read = read_copy, .close = free_copy}};
    strcpy(c->reply->file.tag, uuid_print(uuid_random()).s);
  } else {
    rest_refuse(c->reply, RC_UNAVAILABLE,
                "the database could not be copied; is the temporary folder full?");
    free_copy(c);
  }
  http_request_answer(request);
}

void export_get(const rest_get *g) {
  if (g->user) {
    rest_refuse(g->reply, RC_DENIED,
                "it holds the queries of all users, and is for administrators");
    return;
  }
  rest_ask_scheduler(g->o);
  copy *c = NEW(copy);
  *c = (copy){.question = {.work = make, .done = made}, .request = g->request, .reply = g->reply};
  c->fd = -1;
  c->path = mem_printf("%s/export-%s.db", g->o->conf->temp_dir, uuid_print(uuid_random()).s);
  g->reply->later = true;
  store_ask(g->o->store, &c->question);
}
