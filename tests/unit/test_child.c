/* Unit tests of net/child, with shells as children. SPDX-License-Identifier: Apache-2.0 */
#include "net/child.h"

#include "base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct seen {
  uv_loop_t loop;
  child *child;
  buf frames, output, fault;
  int exits;
  child_exit how;
  bool kill_at_first_frame;
} seen;

static void on_frame(void *arg, const uint8_t *frame, size_t len) {
  seen *s = arg;
  buf_printf(&s->frames, "%.*s|", (int)len, (const char *)frame);
  if (s->kill_at_first_frame) child_kill(s->child);
}

static void on_output(void *arg, const char *text, size_t len) {
  buf_printf(&((seen *)arg)->output, "%.*s", (int)len, text);
}

static void on_exit_of_child(void *arg, const child_exit *how) {
  seen *s = arg;
  s->exits++;
  s->how = *how;
  if (how->fault) buf_puts(&s->fault, how->fault);
}

static rc start(seen *s, const char *script, err *e) {
  *s = (seen){.kill_at_first_frame = s->kill_at_first_frame};
  uv_loop_init(&s->loop);
  char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, (char *)(uintptr_t)script, NULL};
  char *env[] = {(char[]){"PATH=/usr/bin:/bin"}, (char[]){"A=b"}, NULL};
  child_config config = {
      .argv = argv,
      .env = env,
      .max_frame = 1000,
      .arg = s,
      .on_frame = on_frame,
      .on_output = on_output,
      .on_exit = on_exit_of_child,
  };
  return child_spawn(&s->loop, &config, &s->child, e);
}

static void run(seen *s) {
  uv_run(&s->loop, UV_RUN_DEFAULT);
  assert_int_equal(s->exits, 1);
}

static void finish(seen *s) {
  assert_int_equal(uv_loop_close(&s->loop), 0);
  buf_deinit(&s->frames);
  buf_deinit(&s->output);
  buf_deinit(&s->fault);
}

static void it_speaks_and_ends(void **state) {
  (void)state;
  seen s = {0};
  assert_int_equal(start(&s, "printf '\\0\\0\\0\\2hi' >&3; echo $A; echo oops >&2; exit 7", NULL),
                   RC_OK);
  run(&s);
  assert_string_equal(buf_text(&s.frames), "hi|");
  assert_string_equal(buf_text(&s.output), "b\noops\n");
  assert_int_equal(s.how.status, 7);
  assert_int_equal(s.how.signal, 0);
  finish(&s);
}

static void frames_come_back(void **state) {
  (void)state;
  seen s = {0};
  assert_int_equal(start(&s, "head -c 12 <&3 >&3", NULL), RC_OK);
  assert_int_equal(child_send(s.child, (const uint8_t *)"ab", 2, -1, NULL), RC_OK);
  assert_int_equal(child_send(s.child, (const uint8_t *)"cd", 2, STDIN_FILENO, NULL), RC_OK);
  run(&s);
  assert_string_equal(buf_text(&s.frames), "ab|cd|");
  finish(&s);
}

static void sending_is_bounded(void **state) {
  (void)state;
  seen s = {.kill_at_first_frame = true};
  assert_int_equal(start(&s, "sleep 0.3; printf '\\0\\0\\0\\1x' >&3; sleep 60", NULL), RC_OK);
  uint8_t bytes[1001] = {0};
  err e = {0};
  assert_int_equal(child_send(s.child, bytes, sizeof bytes, -1, &e), RC_EXHAUSTED);
  rc r = RC_OK; /* the socket's buffer, then ours, are full at some point */
  for (int i = 0; i < 10000 && r == RC_OK; i++) r = child_send(s.child, bytes, 1000, -1, &e);
  assert_int_equal(r, RC_EXHAUSTED);
  run(&s);
  assert_int_equal(s.how.signal, SIGKILL);
  finish(&s);
}

static void what_it_started_dies_with_it(void **state) {
  (void)state;
  seen s = {0};
  assert_int_equal(start(&s, "sleep 60 & echo $!; exit 0", NULL), RC_OK);
  run(&s);
  pid_t grandchild = atoi(buf_text(&s.output));
  assert_true(grandchild > 1);
  for (int i = 0; i < 200 && !kill(grandchild, 0); i++) { /* dead, or a zombie of init's */
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", grandchild);
    FILE *f = fopen(path, "r");
    if (f && fgets(text, sizeof text, f) && strstr(text, ") Z")) i = 200;
    if (f) fclose(f);
    if (i == 199) fail_msg("%s", text);
    usleep(10000);
  }
  finish(&s);
}

static void a_frame_too_long_is_its_end(void **state) {
  (void)state;
  seen s = {0};
  assert_int_equal(start(&s, "printf '\\0\\0\\4\\0' >&3; sleep 60", NULL), RC_OK);
  run(&s);
  assert_int_equal(s.how.signal, SIGKILL);
  assert_non_null(strstr(buf_text(&s.fault), "found one of 1024"));
  finish(&s);
}

static void a_closed_link_is_its_end(void **state) {
  (void)state;
  seen s = {0};
  assert_int_equal(start(&s, "exec 3>&-; sleep 60", NULL), RC_OK);
  run(&s);
  assert_int_equal(s.how.signal, SIGKILL);
  finish(&s);
}

static void a_program_that_is_not_there(void **state) {
  (void)state;
  seen s = {0};
  uv_loop_init(&s.loop);
  char *argv[] = {(char[]){"/nowhere/python"}, NULL}, *env[] = {NULL};
  child_config config = {.argv = argv, .env = env, .max_frame = 10, .arg = &s};
  err e = {0};
  assert_int_equal(child_spawn(&s.loop, &config, &s.child, &e), RC_NOT_FOUND);
  assert_string_equal(e.text, "starting /nowhere/python: No such file or directory");
  uv_run(&s.loop, UV_RUN_DEFAULT);
  finish(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_speaks_and_ends),          cmocka_unit_test(frames_come_back),
      cmocka_unit_test(sending_is_bounded),          cmocka_unit_test(what_it_started_dies_with_it),
      cmocka_unit_test(a_frame_too_long_is_its_end), cmocka_unit_test(a_closed_link_is_its_end),
      cmocka_unit_test(a_program_that_is_not_there),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
