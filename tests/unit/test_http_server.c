/* Unit tests of net/http_server and net/http_file: what goes over the wire.
 * SPDX-License-Identifier: Apache-2.0 */
#include "net/http_server.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILE_BYTES = 1000000, FROM = 20000, TO = 20200 };

static uv_loop_t loop;
static uv_thread_t thread;
static uv_async_t stop_asked;
static http_server *server;
static int port;
static atomic_int n_open;

/* ---- a server on a loop of its own ---- */

static uint8_t byte_at(uint64_t at) {
  return (uint8_t)(at * 31 + at / 256);
}

static rc open_file(void *arg, const atomic_bool *stop, err *e) {
  (void)arg, (void)stop, (void)e;
  atomic_fetch_add(&n_open, 1);
  return RC_OK;
}

static rc open_nothing(void *arg, const atomic_bool *stop, err *e) {
  (void)open_file(arg, stop, e);
  return ERR(e, RC_NOT_FOUND, "the file has gone");
}

static rc read_file(void *arg, uint64_t at, uint8_t *out, size_t len, const atomic_bool *stop,
                    err *e) {
  (void)arg, (void)e;
  if (atomic_load(stop)) return RC_CANCELLED;
  for (size_t i = 0; i < len; i++) out[i] = byte_at(at + i);
  return RC_OK;
}

static rc read_and_fail(void *arg, uint64_t at, uint8_t *out, size_t len, const atomic_bool *stop,
                        err *e) {
  if (at < FILE_BYTES / 2) return read_file(arg, at, out, len, stop, e);
  return ERR(e, RC_IO, "the disk is broken");
}

static rc read_slowly(void *arg, uint64_t at, uint8_t *out, size_t len, const atomic_bool *stop,
                      err *e) {
  for (int i = 0; i < 500 && !atomic_load(stop); i++) usleep(10000);
  return read_file(arg, at, out, len, stop, e);
}

static void close_file(void *arg) {
  (void)arg;
  atomic_fetch_sub(&n_open, 1);
}

static void on_get(void *arg, const http_request *request, http_reply *reply) {
  (void)arg;
  const char *path = http_request_path(request), *said = http_request_argument(request, "say");
  http_file file = {
      .bytes = FILE_BYTES, .tag = "tag", .open = open_file, .read = read_file, .close = close_file};
  if (!strcmp(path, "/broken")) file.read = read_and_fail;
  if (!strcmp(path, "/slow")) file.read = read_slowly;
  if (!strcmp(path, "/gone")) file.open = open_nothing;
  if (!strcmp(path, "/empty")) file.bytes = 0;
  if (!strcmp(path, "/say") && said)
    *reply = (http_reply){.status = 200,
                          .content_type = "text/plain",
                          .body_len = strlen(said),
                          .owned = strdup(said)};
  else if (strcmp(path, "/nothing") != 0)
    reply->file = file;
  if (reply->owned) reply->body = reply->owned;
}

static void on_closed(void *arg) {
  (void)arg;
  uv_close((uv_handle_t *)&stop_asked, NULL);
}

static void on_stop(uv_async_t *h) {
  (void)h;
  http_server_close(server, on_closed, NULL);
}

static void run_loop(void *arg) {
  (void)arg;
  uv_run(&loop, UV_RUN_DEFAULT);
}

static int begin(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  uv_loop_init(&loop);
  uv_async_init(&loop, &stop_asked, on_stop);
  rc r = RC_UNAVAILABLE;
  for (port = FROM + getpid() % 5000; r != RC_OK && port < FROM + 5000 + TO; port += 7) {
    http_server_config config = {.host = "127.0.0.1", .port = port, .on_get = on_get};
    r = http_server_new(&loop, &config, &server, NULL);
    if (r == RC_OK) break;
  }
  return r == RC_OK && uv_thread_create(&thread, run_loop, NULL) == 0 ? 0 : -1;
}

static int end(void **state) {
  (void)state;
  uv_async_send(&stop_asked);
  uv_thread_join(&thread);
  bool clean = atomic_load(&n_open) == 0;
  return uv_loop_close(&loop) == 0 && clean ? 0 : -1;
}

/* ---- a client ---- */

typedef struct answer {
  char *bytes; /* all that came, ended by NUL */
  size_t len;
  int status;
  const char *body;
  size_t body_len;
} answer;

static int dial(void) {
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
  return fd;
}

static answer ask(const char *verb, const char *path, const char *headers) {
  answer a = {.bytes = malloc(FILE_BYTES + 4096)};
  int fd = dial();
  dprintf(fd, "%s %s HTTP/1.1\r\nHost: x\r\n%sConnection: close\r\n\r\n", verb, path, headers);
  for (ssize_t n; (n = read(fd, a.bytes + a.len, FILE_BYTES + 4095 - a.len)) > 0;)
    a.len += (size_t)n;
  close(fd);
  a.bytes[a.len] = '\0';
  if (a.len > 12) a.status = atoi(a.bytes + 9);
  const char *border = strstr(a.bytes, "\r\n\r\n");
  a.body = border ? border + 4 : a.bytes;
  a.body_len = a.len - (size_t)(a.body - a.bytes);
  return a;
}

static void expect_part(const char *headers, int status, uint64_t first, size_t len,
                        const char *must_say) {
  answer a = ask("GET", "/file", headers);
  assert_int_equal(a.status, status);
  assert_int_equal(a.body_len, len);
  for (size_t i = 0; i < len; i++) assert_int_equal((uint8_t)a.body[i], byte_at(first + i));
  assert_non_null(strstr(a.bytes, must_say));
  assert_non_null(strstr(a.bytes, "ETag: \"tag\"\r\n"));
  assert_non_null(strstr(a.bytes, "Accept-Ranges: bytes\r\n"));
  assert_non_null(strstr(a.bytes, "nosniff"));
  free(a.bytes);
}

/* ---- */

static void a_file_and_its_parts(void **state) {
  (void)state;
  expect_part("", 200, 0, FILE_BYTES, "Content-Length: 1000000\r\n");
  expect_part("Range: bytes=10-19\r\n", 206, 10, 10, "Content-Range: bytes 10-19/1000000\r\n");
  expect_part("Range: bytes=999000-\r\n", 206, 999000, 1000, "bytes 999000-999999/1000000\r\n");
  expect_part("Range: bytes=-500000\r\n", 206, 500000, 500000, "bytes 500000-999999/1000000\r\n");
  expect_part("Range: bytes=-2000000\r\n", 206, 0, FILE_BYTES, "bytes 0-999999/1000000\r\n");
  expect_part("Range: bytes=1-2,5-6\r\n", 200, 0, FILE_BYTES, "Content-Length: 1000000\r\n");
}

static void a_range_outside(void **state) {
  (void)state;
  answer a = ask("GET", "/file", "Range: bytes=1000000-\r\n");
  assert_int_equal(a.status, 416);
  assert_non_null(strstr(a.bytes, "Content-Range: bytes */1000000\r\n"));
  free(a.bytes);
}

static void a_file_that_has_changed_is_sent_whole(void **state) {
  (void)state;
  expect_part("Range: bytes=0-9\r\nIf-Range: \"tag\"\r\n", 206, 0, 10, "bytes 0-9/1000000");
  expect_part("Range: bytes=0-9\r\nIf-Range: \"other\"\r\n", 200, 0, FILE_BYTES, "1000000");
}

static void its_size_alone(void **state) {
  (void)state;
  answer a = ask("HEAD", "/file", "");
  assert_int_equal(a.status, 200);
  assert_non_null(strstr(a.bytes, "Content-Length: 1000000\r\n"));
  assert_int_equal(a.body_len, 0);
  free(a.bytes);
  a = ask("GET", "/empty", "");
  assert_int_equal(a.status, 200);
  assert_int_equal(a.body_len, 0);
  free(a.bytes);
}

static void what_there_is_no_more(void **state) {
  (void)state;
  answer a = ask("GET", "/gone", "Range: bytes=0-9\r\n");
  assert_int_equal(a.status, 404);
  assert_string_equal(a.body, "the file has gone");
  free(a.bytes);
  a = ask("GET", "/broken", ""); /* shorter than it was said to be: the client sees it */
  assert_int_equal(a.status, 200);
  assert_in_range(a.body_len, 1, FILE_BYTES - 1);
  free(a.bytes);
}

static void small_answers(void **state) {
  (void)state;
  answer a = ask("GET", "/say?say=a%20b%2F", "");
  assert_int_equal(a.status, 200);
  assert_string_equal(a.body, "a b/");
  free(a.bytes);
  a = ask("GET", "/nothing", "");
  assert_int_equal(a.status, 404);
  free(a.bytes);
  a = ask("POST", "/file", "Content-Length: 0\r\n");
  assert_int_equal(a.status, 405);
  free(a.bytes);
}

static void clients_that_go_away(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++) {
    int fd = dial();
    dprintf(fd, "GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
    if (i % 2) usleep(300);
    close(fd);
  }
  expect_part("Range: bytes=0-0\r\n", 206, 0, 1, "bytes 0-0/1000000");
}

/* The group's end stops the server: this answer is on its way then. */
static void it_may_end_in_the_middle(void **state) {
  (void)state;
  int fd = dial(); /* stays open */
  dprintf(fd, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
  while (!atomic_load(&n_open)) usleep(1000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_and_its_parts),
      cmocka_unit_test(a_range_outside),
      cmocka_unit_test(a_file_that_has_changed_is_sent_whole),
      cmocka_unit_test(its_size_alone),
      cmocka_unit_test(what_there_is_no_more),
      cmocka_unit_test(small_answers),
      cmocka_unit_test(clients_that_go_away),
      cmocka_unit_test(it_may_end_in_the_middle),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
