/* base/spool.c: see spool.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/spool.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct spool {
  char *dir;
  size_t memory_bytes;
  buf head; /* everything, while fd < 0 */
  int fd;
  uint64_t len;
  void *mapped; /* of mapped_len bytes; NULL: not mapped */
  size_t mapped_len;
};

spool *spool_new(const char *dir, size_t memory_bytes) {
  spool *s = NEW(spool);
  s->dir = mem_strdup(dir);
  s->memory_bytes = memory_bytes;
  s->fd = -1;
  return s;
}

static rc write_all(int fd, const uint8_t *data, size_t len, const char *dir, err *e) {
  while (len) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) /* zero progress is an error too: a disk that takes nothing is full */
      return ERR_ERRNO(e, n < 0 ? errno : ENOSPC, "writing %zu bytes to a temporary file in %s",
                       len, dir);
    data += n;
    len -= (size_t)n;
  }
  return RC_OK;
}

/* An unnamed file; where the file system cannot do that, one that is unlinked at once. */
static int open_unnamed(const char *dir) {
  int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return fd;
  char *path = mem_printf("%s/spool-XXXXXX", dir);
  fd = mkostemp(path, O_CLOEXEC);
  if (fd >= 0) unlink(path);
  free(path);
  return fd;
}

static rc move_to_file(spool *s, err *e) {
  int fd = open_unnamed(s->dir);
  if (fd < 0) return ERR_ERRNO(e, errno, "making a temporary file in %s", s->dir);
  rc r = write_all(fd, s->head.data, s->head.len, s->dir, e);
  if (r != RC_OK) {
    close(fd);
    return r;
  }
  s->fd = fd;
  buf_deinit(&s->head);
  return RC_OK;
}

void spool_drop_view(spool *s) {
  if (s->mapped) munmap(s->mapped, s->mapped_len);
  s->mapped = NULL;
}

rc spool_append(spool *s, const void *data, size_t len, err *e) {
  spool_drop_view(s);
  if (s->fd < 0 && s->head.len + len > s->memory_bytes) TRY(move_to_file(s, e));
  if (s->fd < 0)
    TRY(buf_append(&s->head, data, len, e));
  else
    TRY(write_all(s->fd, data, len, s->dir, e));
  s->len += len;
  return RC_OK;
}

uint64_t spool_len(const spool *s) {
  return s->len;
}
int spool_fd(const spool *s) {
  return s->fd;
}

rc spool_read(const spool *s, uint64_t offset, void *out, size_t len, size_t *got, err *e) {
  *got = 0;
  if (offset >= s->len) return RC_OK;
  if (len > s->len - offset) len = (size_t)(s->len - offset);
  if (s->fd < 0) {
    memcpy(out, s->head.data + offset, len);
    *got = len;
    return RC_OK;
  }
  while (*got < len) {
    ssize_t n = pread(s->fd, (char *)out + *got, len - *got, (off_t)(offset + *got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ERR_ERRNO(e, n < 0 ? errno : EIO, "reading a temporary file in %s", s->dir);
    *got += (size_t)n;
  }
  return RC_OK;
}

rc spool_view(spool *s, const uint8_t **data, err *e) {
  if (s->fd < 0 || s->len == 0) {
    *data = (const uint8_t *)buf_text(&s->head);
    return RC_OK;
  }
  if (!s->mapped) {
    void *p = mmap(NULL, (size_t)s->len, PROT_READ, MAP_PRIVATE, s->fd, 0);
    if (p == MAP_FAILED) return ERR_ERRNO(e, errno, "mapping a temporary file in %s", s->dir);
    s->mapped = p;
    s->mapped_len = (size_t)s->len;
  }
  *data = s->mapped;
  return RC_OK;
}

void spool_free(spool *s) {
  if (!s) return;
  spool_drop_view(s);
  if (s->fd >= 0) close(s->fd);
  buf_deinit(&s->head);
  free(s->dir);
  free(s);
}
