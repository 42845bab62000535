/* Unit tests of base/tree. SPDX-License-Identifier: Apache-2.0 */
#include "base/tree.h"

#include "base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64];

static const char *at(const char *name) {
  static char paths[4][256];
  static unsigned next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", top, name);
  return path;
}

static void put_file(const char *name) {
  int fd = open(at(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, "text", 4), 4);
  close(fd);
}

static void put_folder(const char *name) {
  assert_int_equal(mkdir(at(name), 0777), 0);
}

static void put_link(const char *target, const char *name) {
  assert_int_equal(symlink(target, at(name)), 0);
}

static mode_t mode_of(const char *name) {
  struct stat st;
  assert_int_equal(lstat(at(name), &st), 0);
  return st.st_mode & 07777;
}

static bool is_there(const char *name) {
  struct stat st;
  return lstat(at(name), &st) == 0;
}

static int begin(void **state) {
  (void)state;
  snprintf(top, sizeof top, "/tmp/floe-test-tree-XXXXXX");
  return mkdtemp(top) ? 0 : -1;
}

static int end(void **state) {
  (void)state;
  tree_remove(top);
  return access(top, F_OK) == 0; /* it is gone */
}

/* ---- names ---- */

static void plain_names(void **state) {
  (void)state;
  const char *const plain[] = {"a", "a/b", "__p=3/00000000.ipc", "A-Z_0.9/x", "a..b"};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) assert_true(tree_is_plain(plain[i]));
  const char *const other[] = {"",     "/",        "/a",     "a/",  "a//b", ".",    "..",
                               "../a", "a/..",     "a/.b",   "a b", "a\nb", "a%2e", "a\\b",
                               "a:b",  "\xc3\xa4", "a/../b", "./a", "a?b",  "*"};
  for (size_t i = 0; i < sizeof other / sizeof *other; i++) assert_false(tree_is_plain(other[i]));
}

/* ---- opening ---- */

static void links_are_not_followed(void **state) {
  (void)state;
  put_folder("in");
  put_folder("in/deep");
  put_file("in/deep/file");
  put_file("secret");
  put_link("../secret", "in/link");
  put_link("deep", "in/linked");
  assert_int_equal(mkfifo(at("in/fifo"), 0666), 0);
  int dir = open(at("in"), O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
  assert_int_equal(tree_open(dir, "deep/file", &fd, NULL), RC_OK);
  char text[8];
  assert_int_equal(read(fd, text, sizeof text), 4);
  close(fd);
  const char *const refused[] = {"link", "linked/file", "deep",      "fifo", "../secret",
                                 "none", "deep/none",   "file/file", "",     "/etc/passwd"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    assert_int_not_equal(tree_open(dir, refused[i], &fd, NULL), RC_OK);
  close(dir);
}

/* ---- making ---- */

static void a_folder_and_what_is_above_it(void **state) {
  (void)state;
  bool made;
  mode_t before = umask(077);
  assert_int_equal(tree_make(at("a/b/c"), &made, NULL), RC_OK);
  assert_true(made);
  assert_int_equal(mode_of("a/b/c"), 0755);
  assert_int_equal(mode_of("a"), 0755);
  assert_int_equal(tree_make(at("a/b/c"), &made, NULL), RC_OK);
  assert_false(made);
  umask(before);
  put_file("file");
  assert_int_not_equal(tree_make(at("file/x"), NULL, NULL), RC_OK);
  assert_int_equal(tree_check_ours(at("a"), "setting", NULL), RC_OK);
  put_link("a", "link");
  err e = {0};
  assert_int_equal(tree_check_ours(at("link"), "setting", &e), RC_DENIED);
  assert_non_null(strstr(e.text, "set setting"));
}

/* ---- removing ---- */

static void what_links_lead_to_stays(void **state) {
  (void)state;
  put_folder("keep");
  put_file("keep/file");
  put_folder("gone");
  put_folder("gone/a");
  put_folder("gone/a/b");
  put_file("gone/a/b/file");
  put_link("../keep", "gone/link");
  put_link("../../keep/file", "gone/a/link");
  assert_int_equal(mkfifo(at("gone/fifo"), 0666), 0);
  assert_int_equal(chmod(at("gone/a/b"), 0500), 0);
  tree_remove(at("gone"));
  assert_false(is_there("gone"));
  assert_true(is_there("keep/file"));
  put_link("keep", "link");
  tree_remove(at("link"));
  assert_false(is_there("link"));
  assert_true(is_there("keep/file"));
  tree_remove(at("keep/file"));
  assert_false(is_there("keep/file"));
  tree_remove(at("never/was"));
}

/* ---- taking over ---- */

static const tree_owner OURS = {.group = (gid_t)-1, .folders = 0710, .files = 0640};

static void everything_is_taken(void **state) {
  (void)state;
  put_folder("in");
  put_folder("in/a");
  put_folder("in/a/empty");
  put_file("in/file");
  put_file("in/a/file");
  assert_int_equal(chmod(at("in/a/file"), 0777), 0);
  assert_int_equal(tree_take(at("in"), geteuid(), &OURS, NULL), RC_OK);
  const char *const folders[] = {"in", "in/a", "in/a/empty"};
  for (size_t i = 0; i < 3; i++) assert_int_equal(mode_of(folders[i]), 0710);
  assert_int_equal(mode_of("in/file"), 0640);
  assert_int_equal(mode_of("in/a/file"), 0640);
}

static void only_files_and_folders_are_taken(void **state) {
  (void)state;
  put_file("secret");
  mode_t before = mode_of("secret");
  put_folder("in");
  put_folder("in/a");
  put_link("../../secret", "in/a/bad");
  assert_int_not_equal(tree_take(at("in"), geteuid(), &OURS, NULL), RC_OK);
  assert_int_equal(unlink(at("in/a/bad")), 0);
  assert_int_equal(link(at("secret"), at("in/a/bad")), 0); /* a second name */
  err e = {0};
  assert_int_equal(tree_take(at("in"), geteuid(), &OURS, &e), RC_DATA_LOSS);
  assert_non_null(strstr(e.text, "found bad"));
  assert_int_equal(unlink(at("in/a/bad")), 0);
  assert_int_equal(mkfifo(at("in/a/bad"), 0666), 0);
  assert_int_equal(tree_take(at("in"), geteuid(), &OURS, NULL), RC_DATA_LOSS);
  assert_int_equal(unlink(at("in/a/bad")), 0);
  put_file("in/a/bad"); /* of another user */
  assert_int_equal(tree_take(at("in"), geteuid() + 1, &OURS, NULL), RC_DATA_LOSS);
  assert_int_equal(tree_take(at("in"), geteuid(), &OURS, NULL), RC_OK);
  assert_int_equal(mode_of("secret"), before);
  put_link("in", "link");
  assert_int_not_equal(tree_take(at("link"), geteuid(), &OURS, NULL), RC_OK);
}

static void depth_is_bounded(void **state) {
  (void)state;
  put_folder("in");
  char path[1024] = "in";
  for (int i = 0; i < 70; i++) {
    strcat(path, "/d");
    char *whole = mem_printf("%s/%s", top, path);
    assert_int_equal(mkdir(whole, 0777), 0);
    free(whole);
  }
  assert_int_equal(tree_take(at("in"), geteuid(), &OURS, NULL), RC_DATA_LOSS);
  for (int depth = 70; depth > 40; depth--) { /* what is too deep is not removed either */
    char *whole = mem_printf("%s/%s", top, path);
    assert_int_equal(rmdir(whole), 0);
    free(whole);
    path[strlen(path) - 2] = '\0';
  }
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plain_names),
      CASE(links_are_not_followed),
      CASE(a_folder_and_what_is_above_it),
      CASE(what_links_lead_to_stays),
      CASE(everything_is_taken),
      CASE(only_files_and_folders_are_taken),
      CASE(depth_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
