/* worker/executor.c: see executor.h. SPDX-License-Identifier: Apache-2.0
 *
 * Everything that happens becomes an event of the table in executor_state.c; `change` is the one
 * place where the state moves. An event that the table does not allow is the child's fault and its
 * end. */
#include "worker/executor.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/child.h"
#include "worker/resources.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  HELLO_MS = 60 * 1000,
  CANCEL_MS = 500,
  MEMORY_LOOK_MS = 200,
  MAX_FRAME = 64 << 20,
  OUTPUT_KEPT = 8 * 1024,
  OUTPUT_TOLD = 2 * 1024,
};

struct executor {
  executor_config config;
  executor_state state;
  child *child; /* owned; frees itself at its exit */
  int pid;
  uv_timer_t timer; /* for Hello, for the end of a cancelled task, or to look at its memory */
  Executor__Hello *hello;
  char output[OUTPUT_KEPT + 1];
  size_t output_len;
  buf death;
  bool canceled;    /* the task was cancelled, however it ends */
  bool over_memory; /* and was stopped for that */
  uint64_t task;    /* the last number given */
  executor_on_end on_end;
  void *arg;
};

executor_state executor_state_of(const executor *x) {
  return x->state;
}
Executor__Hello *executor_take_hello(executor *x) {
  Executor__Hello *hello = x->hello;
  x->hello = NULL;
  return hello;
}
int executor_pid(const executor *x) {
  return x->pid;
}
const char *executor_output(const executor *x) {
  return x->output;
}
const char *executor_death(const executor *x) {
  return buf_text(&x->death);
}

/* ---- state ---- */

static void on_timer(uv_timer_t *timer);

static void set_timer(executor *x) {
  switch (x->state) {
  case EXECUTOR_STARTING:
    uv_timer_start(&x->timer, on_timer, HELLO_MS, 0);
    break;
  case EXECUTOR_CANCELING:
    uv_timer_start(&x->timer, on_timer, CANCEL_MS, 0);
    break;
  case EXECUTOR_RUNNING:
    uv_timer_start(&x->timer, on_timer, MEMORY_LOOK_MS, MEMORY_LOOK_MS);
    break;
  case EXECUTOR_DRAINING: /* the time of the Cancel goes on */
    break;
  default:
    uv_timer_stop(&x->timer);
  }
}

static void change(executor *x, executor_event event) {
  executor_state before = x->state;
  if (!executor_state_next(&x->state, event)) {
    LOG_WARN("an executor broke the protocol and is stopped", "runtime", x->config.name, "state",
             executor_state_name(before), "event", executor_event_name(event));
    executor_state_next(&x->state, EXECUTOR_KILL);
  }
  if (x->state == before) return;
  set_timer(x);
  if (x->state == EXECUTOR_ENDING) child_kill(x->child);
}

static void tell(executor *x) {
  if (x->state == EXECUTOR_IDLE || x->state == EXECUTOR_GONE)
    x->config.on_change(x->config.owner, x);
}

/* Polars keeps its own limit; what Python and its libraries take, only we see. */
static bool is_over_memory(const executor *x) {
  return resources_anonymous_bytes(x->pid) > x->config.memory_bytes;
}

static void on_timer(uv_timer_t *timer) {
  executor *x = timer->data;
  if (x->state == EXECUTOR_RUNNING && !(x->over_memory = is_over_memory(x))) return;
  if (x->state == EXECUTOR_STARTING)
    LOG_WARN("an executor did not start within 60 s and is stopped", "runtime", x->config.name);
  change(x, EXECUTOR_KILL);
}

/* Returns the Done, unless it was kept. */
static Executor__Done *end_task(executor *x, executor_end end, Executor__Done *done,
                                const char *text) {
  executor_on_end on_end = x->on_end;
  if (!on_end) return done;
  x->on_end = NULL;
  executor_result result = {
      .end = x->canceled ? EXECUTOR_END_CANCELED : end,
      .done = done,
      .text = text,
      .peak_rss_bytes = done ? resources_peak_bytes(x->pid) : 0,
  };
  on_end(x->arg, &result);
  return result.done;
}

/* ---- frames ---- */

static void on_hello(executor *x, Executor__Frame *frame) {
  executor__hello__free_unpacked(x->hello, NULL);
  x->hello = frame->hello;
  frame->hello = NULL; /* ours now */
}

/* One that comes late, behind its Done, is of no use. */
static void on_profile(executor *x, const Executor__Profile *profile) {
  if (profile->task == x->task && x->on_end) x->config.on_profile(x->config.owner, profile);
}

static bool is_current(const executor *x, const Executor__Frame *frame) {
  if (frame->body_case == EXECUTOR__FRAME__BODY_DONE) return frame->done->task == x->task;
  return frame->canceled->task == x->task;
}

static void on_frame(void *arg, const uint8_t *data, size_t len) {
  executor *x = arg;
  Executor__Frame *frame = executor__frame__unpack(NULL, len, data);
  int kind = frame ? (int)frame->body_case : (int)EXECUTOR__FRAME__BODY__NOT_SET;
  if (kind == EXECUTOR__FRAME__BODY_HELLO) {
    on_hello(x, frame);
    change(x, EXECUTOR_HELLO);
  } else if (kind == EXECUTOR__FRAME__BODY_DONE && is_current(x, frame)) {
    change(x, EXECUTOR_DONE);
    if (x->state != EXECUTOR_ENDING) frame->done = end_task(x, EXECUTOR_END_DONE, frame->done, "");
  } else if (kind == EXECUTOR__FRAME__BODY_CANCELED && is_current(x, frame)) {
    change(x, EXECUTOR_CANCELED);
  } else if (kind == EXECUTOR__FRAME__BODY_PROFILE) {
    on_profile(x, frame->profile);
    executor__frame__free_unpacked(frame, NULL);
    return;
  } else {
    LOG_WARN("an executor sent a frame that means nothing and is stopped", "runtime",
             x->config.name);
    change(x, EXECUTOR_KILL);
  }
  executor__frame__free_unpacked(frame, NULL);
  tell(x);
}

static rc send_frame(executor *x, const Executor__Frame *frame, int fd, err *e) {
  buf packed = {0};
  TRY(buf_reserve(&packed, executor__frame__get_packed_size(frame), e));
  packed.len = executor__frame__pack(frame, packed.data);
  rc r = child_send(x->child, packed.data, packed.len, fd, e);
  buf_deinit(&packed);
  return r;
}

/* ---- what it prints ---- */

static void keep_output(executor *x, const char *text, size_t len) {
  if (len > OUTPUT_KEPT) {
    text += len - OUTPUT_KEPT;
    len = OUTPUT_KEPT;
  }
  size_t room = OUTPUT_KEPT - x->output_len;
  if (len > room) {
    size_t drop = len - room;
    memmove(x->output, x->output + drop, x->output_len - drop);
    x->output_len -= drop;
  }
  memcpy(x->output + x->output_len, text, len);
  x->output_len += len;
  x->output[x->output_len] = '\0';
}

static void log_lines(const executor *x, const char *text, size_t len) {
  while (len) {
    const char *end = memchr(text, '\n', len);
    size_t n = end ? (size_t)(end - text) : len;
    char *line = mem_strndup(text, n);
    LOG_DEBUG("executor", "runtime", x->config.name, "line", line);
    free(line);
    n += end != NULL;
    text += n;
    len -= n;
  }
}

static void on_output(void *arg, const char *text, size_t len) {
  executor *x = arg;
  keep_output(x, text, len);
  if (log_enabled(LOG_LEVEL_DEBUG)) log_lines(x, text, len);
}

/* ---- its end ---- */

static void put_death(buf *out, const child_exit *how) {
  if (how->fault)
    buf_printf(out, "was stopped because of what it sent: %s", how->fault);
  else if (how->signal == SIGKILL)
    buf_puts(out, "was killed by signal 9 (SIGKILL), often the kernel's out-of-memory killer");
  else if (how->signal)
    buf_printf(out, "was killed by signal %d (%s)", how->signal, strsignal(how->signal));
  else
    buf_printf(out, "exited with status %d", how->status);
}

/* Polars' own limit and Rust's allocator both say so and abort. */
static bool is_out_of_memory(const executor *x, const child_exit *how) {
  if (x->over_memory) return true;
  return how->signal == SIGABRT && (strstr(x->output, "POLARS_OOMKILL_THRESHOLD_MB") ||
                                    strstr(x->output, "memory allocation of "));
}

/* It goes into a protobuf string: what is not ASCII text becomes '?'. */
static void put_last_words(buf *out, const executor *x) {
  size_t n = x->output_len < OUTPUT_TOLD ? x->output_len : OUTPUT_TOLD;
  if (!n) return;
  buf_puts(out, "; its last words: ");
  for (const char *s = x->output + x->output_len - n; n--; s++) {
    bool plain = (*s >= ' ' && *s < 0x7F) || *s == '\n' || *s == '\t';
    buf_printf(out, "%c", plain ? *s : '?');
  }
}

static void on_timer_closed(uv_handle_t *handle) {
  executor *x = handle->data;
  executor__hello__free_unpacked(x->hello, NULL);
  buf_deinit(&x->death);
  free(x);
}

static void on_exit_of_child(void *arg, const child_exit *how) {
  executor *x = arg;
  put_death(&x->death, how);
  bool memory = is_out_of_memory(x, how);
  buf text = {0};
  if (memory)
    buf_printf(&text,
               "the query needed more memory than its slot's %llu MiB and was stopped; give the "
               "worker more memory or fewer slots",
               (unsigned long long)(x->config.memory_bytes >> 20));
  else
    buf_printf(&text, "the query's executor %s", buf_text(&x->death));
  put_last_words(&text, x);
  change(x, EXECUTOR_EXIT);
  end_task(x, memory ? EXECUTOR_END_OUT_OF_MEMORY : EXECUTOR_END_LOST, NULL, buf_text(&text));
  buf_deinit(&text);
  tell(x);
  uv_close((uv_handle_t *)&x->timer, on_timer_closed);
}

/* ---- its life ---- */

rc executor_new(const executor_config *config, executor **out, err *e) {
  executor *x = NEW(executor);
  x->config = *config;
  child_config spec = {
      .argv = config->argv,
      .env = config->env,
      .as_user = config->as_user,
      .uid = config->uid,
      .gid = config->gid,
      .max_frame = MAX_FRAME,
      .arg = x,
      .on_frame = on_frame,
      .on_output = on_output,
      .on_exit = on_exit_of_child,
  };
  rc r = child_spawn(config->loop, &spec, &x->child, e);
  if (r != RC_OK) {
    free(x);
    return r;
  }
  x->pid = child_pid(x->child);
  uv_timer_init(config->loop, &x->timer);
  x->timer.data = x;
  set_timer(x);
  *out = x;
  return RC_OK;
}

rc executor_run(executor *x, Executor__Run *run, int plan_fd, executor_on_end on_end, void *arg,
                err *e) {
  Executor__Frame frame;
  executor__frame__init(&frame);
  run->task = ++x->task;
  frame.body_case = EXECUTOR__FRAME__BODY_RUN;
  frame.run = run;
  resources_reset_peak(x->pid);
  TRY(send_frame(x, &frame, plan_fd, e));
  x->output[x->output_len = 0] = '\0'; /* from here on it is this task's output */
  x->canceled = false;
  x->on_end = on_end;
  x->arg = arg;
  change(x, EXECUTOR_RUN);
  return RC_OK;
}

void executor_cancel(executor *x) {
  bool begins = x->state == EXECUTOR_RUNNING;
  x->canceled = true;
  change(x, EXECUTOR_CANCEL);
  if (!begins) return;
  Executor__Frame frame;
  Executor__Cancel cancel;
  executor__frame__init(&frame);
  executor__cancel__init(&cancel);
  cancel.task = x->task;
  frame.body_case = EXECUTOR__FRAME__BODY_CANCEL;
  frame.cancel = &cancel;
  err e = {0};
  if (send_frame(x, &frame, -1, &e) == RC_OK)
    child_signal(x->child, SIGINT);
  else
    change(x, EXECUTOR_KILL);
}

void executor_kill(executor *x) {
  change(x, EXECUTOR_KILL);
}
