/* Unit tests of net/file_server with its client, store_get_file. SPDX-License-Identifier:
 * Apache-2.0 */
#include "net/file_server.h"
#include "store/http.h"

#include "base/tree.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKEN "a-token-of-the-tests"
static const peer_access OURS = {.token = TOKEN};
enum { LARGE = 20 << 20, SMALL = 5, CLIENTS = 50 };

static char top[64];
static file_server *server;
static int port; /* of the server that runs, or ran */

static const char *at(const char *name, char out[256]) {
  snprintf(out, 256, "%s/%s", top, name);
  return out;
}

static void put_file(const char *name, size_t bytes) {
  char path[256];
  int fd = open(at(name, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  uint32_t piece[4096];
  for (size_t i = 0; i < bytes; i += sizeof piece) {
    for (uint32_t k = 0; k < 4096; k++) piece[k] = (uint32_t)i * 2654435761u + k;
    size_t n = bytes - i < sizeof piece ? bytes - i : sizeof piece;
    assert_int_equal(write(fd, piece, n), n);
  }
  close(fd);
}

static void start_server(const char *host) {
  file_server_config config = {.host = host, .prefix = "/files/", .folder = top, .access = &OURS};
  assert_int_equal(file_server_new(&config, &server, NULL), RC_OK);
  port = file_server_port(server);
}

static int begin(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  snprintf(top, sizeof top, "/tmp/floe-test-files-XXXXXX");
  if (!mkdtemp(top)) return -1;
  put_file("large", LARGE);
  put_file("small", SMALL);
  put_file("empty", 0);
  start_server("127.0.0.1");
  return 0;
}

static int end(void **state) {
  (void)state;
  file_server_free(server);
  server = NULL;
  tree_remove(top);
  return 0;
}

/* ---- asking ---- */

static rc get_with(const char *name, uint64_t bytes, const char *token, const atomic_bool *cancel,
                   err *e) {
  char url[256], path[256], local[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/files/%s", port, name);
  snprintf(local, sizeof local, "got-%lx-%s", (unsigned long)pthread_self(), name);
  int fd = open(at(local, path), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  peer_access access = {.token = token};
  store_get get = {.url = url, .access = &access, .bytes = bytes, .fd = fd};
  rc r = store_get_file(&get, cancel, e);
  if (r == RC_OK && lseek(fd, 0, SEEK_END) != (off_t)bytes) r = RC_INTERNAL;
  close(fd);
  if (r == RC_OK) { /* cmp: their own words for it are no use here */
    char *command, original[256];
    if (asprintf(&command, "cmp -s %s %s", path, at(name, original)) < 0) abort();
    if (system(command) != 0) r = RC_INTERNAL;
    free(command);
  }
  unlink(path);
  return r;
}

static rc get(const char *name, uint64_t bytes, err *e) {
  return get_with(name, bytes, TOKEN, NULL, e);
}

/* ---- what is served ---- */

static void files_of_every_size(void **state) {
  (void)state;
  for (int again = 0; again < 2; again++) {
    assert_int_equal(get("small", SMALL, NULL), RC_OK);
    assert_int_equal(get("large", LARGE, NULL), RC_OK);
    assert_int_equal(get("empty", 0, NULL), RC_OK);
  }
}

static void what_is_not_as_it_should_be(void **state) {
  (void)state;
  err e = {0};
  assert_int_equal(get("small", SMALL - 1, &e), RC_DATA_LOSS);
  assert_non_null(
      strstr(e.text, "expected 4 bytes with the checksum that is sent along, found more"));
  assert_int_equal(get("small", SMALL + 1, &e), RC_DATA_LOSS);
  assert_non_null(strstr(e.text, "found fewer"));
  assert_int_equal(get("none", 1, &e), RC_NOT_FOUND);
  assert_int_equal(get_with("small", SMALL, "wrong", NULL, &e), RC_DENIED);
  assert_int_equal(get_with("small", SMALL, NULL, NULL, &e), RC_DENIED);
  assert_null(strstr(e.text, TOKEN));
}

static void a_file_here_that_cannot_be_written(void **state) {
  (void)state;
  char url[256];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/files/small", port);
  store_get full = {.url = url, .access = &OURS, .bytes = SMALL, .fd = open("/dev/full", O_WRONLY)};
  err e = {0};
  assert_int_equal(store_get_file(&full, NULL, &e), RC_INTERNAL);
  assert_non_null(strstr(e.text, "No space left"));
  close(full.fd);
}

static void another_folder(void **state) {
  (void)state;
  char other[256], path[256];
  snprintf(other, sizeof other, "%s/other", top);
  file_server_add(server, "/results/", other); /* it comes later */
  char url[256];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/results/x", port);
  uint8_t byte;
  store_get one = {.url = url, .access = &OURS, .bytes = 1, .memory = &byte};
  assert_int_equal(store_get_file(&one, NULL, NULL), RC_NOT_FOUND);
  assert_int_equal(mkdir(other, 0700), 0);
  put_file("other/x", SMALL);
  assert_int_equal(store_get_file(&one, NULL, NULL), RC_OK);
  assert_int_equal(get("small", SMALL, NULL), RC_OK); /* the first is as it was */
  unlink(at("other/x", path));
  file_server_add(server, "/results/", top);
  snprintf(url, sizeof url, "http://127.0.0.1:%d/results/small", port);
  assert_int_equal(store_get_file(&one, NULL, NULL), RC_OK);
}

static void ipv6_too(void **state) {
  (void)state;
  file_server_free(server);
  start_server("::1");
  char url[256], path[256];
  snprintf(url, sizeof url, "http://[::1]:%d/files/small", port);
  int fd = open(at("got", path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  store_get v6 = {.url = url, .access = &OURS, .bytes = SMALL, .fd = fd};
  assert_int_equal(store_get_file(&v6, NULL, NULL), RC_OK);
  close(fd);
}

/* ---- parts of files ---- */

static rc get_part(const char *name, uint64_t first, uint64_t bytes, uint8_t *out, err *e) {
  char url[256];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/files/%s", port, name);
  store_get part = {.url = url, .access = &OURS, .bytes = bytes, .memory = out, .first = first};
  return store_get_file(&part, NULL, e);
}

static void parts_of_files(void **state) {
  (void)state;
  static const uint64_t cases[][2] = {{0, 1},           {0, LARGE},
                                      {LARGE - 1, 1},   {1, LARGE - 1},
                                      {12345, 1 << 20}, {LARGE - (1 << 17), 1 << 17}};
  char path[256];
  uint8_t *whole = malloc(LARGE), *part = malloc(LARGE);
  int fd = open(at("large", path), O_RDONLY | O_CLOEXEC);
  assert_int_equal(read(fd, whole, LARGE), LARGE);
  close(fd);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(get_part("large", cases[i][0], cases[i][1], part, NULL), RC_OK);
    assert_memory_equal(part, whole + cases[i][0], cases[i][1]);
  }
  free(whole);
  free(part);
}

static void parts_that_are_not_there(void **state) {
  (void)state;
  uint8_t part[16];
  err e = {0};
  assert_int_equal(get_part("small", 0, SMALL + 1, part, &e), RC_IO);
  assert_non_null(strstr(e.text, "status 416"));
  assert_int_equal(get_part("small", SMALL, 1, part, NULL), RC_IO);
  assert_int_equal(get_part("empty", 0, 1, part, NULL), RC_IO);
  assert_int_equal(get_part("small", UINT64_MAX / 2, 1, part, NULL), RC_IO);
  assert_int_equal(get_part("none", 0, 1, part, NULL), RC_NOT_FOUND);
}

/* ---- many at once, and the end ---- */

static atomic_uint n_good, n_bad;

static void *ask_often(void *arg) {
  const atomic_bool *stop = arg;
  do {
    err e = {0};
    rc r = get_with("large", LARGE, TOKEN, stop, &e);
    if (r == RC_OK) r = get_with("small", SMALL, TOKEN, stop, &e);
    if (r != RC_OK && !stop) print_error("%s\n", e.text);
    atomic_fetch_add(r == RC_OK ? &n_good : &n_bad, 1);
  } while (stop && !atomic_load(stop));
  return NULL;
}

static void run_clients(pthread_t *threads, unsigned n, atomic_bool *stop) {
  atomic_store(&n_good, 0);
  atomic_store(&n_bad, 0);
  for (unsigned i = 0; i < n; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, ask_often, stop), 0);
}

static void many_at_once(void **state) {
  (void)state;
  pthread_t threads[CLIENTS];
  run_clients(threads, CLIENTS, NULL);
  for (unsigned i = 0; i < CLIENTS; i++) pthread_join(threads[i], NULL);
  assert_int_equal(atomic_load(&n_good), CLIENTS);
}

static void it_may_end_in_the_middle(void **state) {
  (void)state;
  enum { FEW = 8, ROUNDS = 5 };
  for (int round = 0; round < ROUNDS; round++) {
    pthread_t threads[FEW];
    atomic_bool stop = false;
    run_clients(threads, FEW, &stop);
    usleep(20000 + 17000 * (useconds_t)round);
    atomic_store(&stop, true);
    file_server_free(server); /* while it serves and hashes */
    for (unsigned i = 0; i < FEW; i++) pthread_join(threads[i], NULL);
    start_server("127.0.0.1");
  }
  assert_int_equal(get("small", SMALL, NULL), RC_OK);
}

static void a_client_that_goes_away(void **state) {
  (void)state;
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  static const char ask[] =
      "GET /files/large HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " TOKEN "\r\n\r\n";
  for (int i = 0; i < 200; i++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(write(fd, ask, sizeof ask - 1), sizeof ask - 1);
    if (i % 2) usleep(500);
    close(fd);
  }
  assert_int_equal(get("large", LARGE, NULL), RC_OK);
}

static void it_says_why_it_does_not_start(void **state) {
  (void)state;
  file_server *other = NULL;
  file_server_config config = {.host = "127.0.0.1", .port = port, .prefix = "/", .folder = top};
  err e = {0};
  assert_int_equal(file_server_new(&config, &other, &e), RC_UNAVAILABLE);
  assert_non_null(strstr(e.text, "another program"));
  config.port = 0;
  config.folder = "/nonexistent";
  assert_int_equal(file_server_new(&config, &other, &e), RC_NOT_FOUND);
  config.folder = top;
  config.host = "localhost";
  assert_int_equal(file_server_new(&config, &other, &e), RC_INVALID);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
  const struct CMUnitTest tests[] = {
      CASE(files_of_every_size),
      CASE(what_is_not_as_it_should_be),
      CASE(a_file_here_that_cannot_be_written),
      CASE(parts_of_files),
      CASE(parts_that_are_not_there),
      CASE(another_folder),
      CASE(ipv6_too),
      CASE(many_at_once),
      CASE(it_may_end_in_the_middle),
      CASE(a_client_that_goes_away),
      CASE(it_says_why_it_does_not_start),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
