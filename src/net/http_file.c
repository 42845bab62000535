/* net/http_file.c: see http_file.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/http_file.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/http_range.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW_BYTES = 256 * 1024 };

typedef struct sending { /* one answer on its way */
  http_file file;
  http_range range;
  const atomic_bool *stop;
} sending;

static void sending_free(void *arg) {
  sending *s = arg;
  s->file.close(s->file.arg);
  free(s);
}

static ssize_t read_piece(void *arg, uint64_t at, char *out, size_t room) {
  sending *s = arg;
  uint64_t left = s->range.len - at;
  size_t len = left < room ? (size_t)left : room;
  err e = {0};
  if (s->file.read(s->file.arg, s->range.first + at, (uint8_t *)out, len, s->stop, &e) == RC_OK)
    return (ssize_t)len;
  LOG_WARN("a result could not be sent to its end", "error", e.text);
  return MHD_CONTENT_READER_END_WITH_ERROR;
}

static const char *header(struct MHD_Connection *connection, const char *name) {
  return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* A client that goes on with a file it has begun to read must find the same one. */
static const char *range_asked_for(struct MHD_Connection *connection, const char *tag) {
  const char *condition = header(connection, "If-Range");
  return condition && strcmp(condition, tag) != 0 ? NULL : header(connection, "Range");
}

static struct MHD_Response *make_text(const char *text) {
  return MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                         MHD_RESPMEM_MUST_COPY);
}

static struct MHD_Response *make_sending(const http_file *file, http_range range,
                                         const atomic_bool *stop) {
  sending *s = NEW(sending);
  *s = (sending){.file = *file, .range = range, .stop = stop};
  struct MHD_Response *response =
      MHD_create_response_from_callback(range.len, WINDOW_BYTES, read_piece, s, sending_free);
  if (!response) sending_free(s);
  return response;
}

static void put_content_range(struct MHD_Response *response, http_range range, uint64_t bytes) {
  char text[80];
  if (range.len)
    snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range.first,
             range.first + range.len - 1, bytes);
  else
    snprintf(text, sizeof text, "bytes */%" PRIu64, bytes);
  MHD_add_response_header(response, "Content-Range", text);
}

static struct MHD_Response *answer(struct MHD_Connection *connection, const http_file *file,
                                   const atomic_bool *stop, unsigned *status) {
  static const unsigned STATUS[] = {[HTTP_RANGE_ALL] = MHD_HTTP_OK,
                                    [HTTP_RANGE_PART] = MHD_HTTP_PARTIAL_CONTENT,
                                    [HTTP_RANGE_OUTSIDE] = MHD_HTTP_RANGE_NOT_SATISFIABLE};
  char tag[sizeof file->tag + 2];
  snprintf(tag, sizeof tag, "\"%s\"", file->tag);
  http_range range;
  http_range_kind kind = http_range_read(range_asked_for(connection, tag), file->bytes, &range);
  *status = STATUS[kind];
  struct MHD_Response *response;
  if (kind == HTTP_RANGE_OUTSIDE) {
    file->close(file->arg);
    response = make_text("the file ends before that range\n");
  } else {
    response = make_sending(file, range, stop);
  }
  if (!response) return NULL;
  MHD_add_response_header(response, "Accept-Ranges", "bytes");
  MHD_add_response_header(response, "ETag", tag);
  if (kind != HTTP_RANGE_ALL) put_content_range(response, range, file->bytes);
  return response;
}

struct MHD_Response *http_file_response(struct MHD_Connection *connection, const http_file *file,
                                        const atomic_bool *stop, unsigned *status) {
  err e = {0};
  rc r = file->open(file->arg, stop, &e);
  if (r == RC_OK) return answer(connection, file, stop, status);
  file->close(file->arg);
  *status = (unsigned)rc_http(r);
  return make_text(e.text);
}
