/* net/child.c: see child.h. SPDX-License-Identifier: Apache-2.0
 *
 * libuv's own pipes pass only libuv's handles, so the link is read and written by sendmsg(2) and
 * recv(2) when uv_poll says so. The end of the process decides, not the end of a pipe: something
 * that the child started may hold the pipe open. */
#include "net/child.h"

#include "base/list.h"
#include "base/mem.h"
#include "net/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  CHUNK = 64 * 1024,
  READS_AT_ONCE = 16, /* for one wake-up: other handles want their turn */
  READS_AT_EXIT = 1024,
};

typedef struct outgoing {
  list link;
  buf bytes; /* head and frame */
  size_t sent;
  int fd; /* owned; -1: none, or gone with the first byte */
} outgoing;

struct child {
  child_config config;
  uv_process_t process;
  uv_poll_t link, output; /* io_fd of each is ours to close */
  int link_fd, output_fd;
  bool link_open, output_open, exited;
  frame_reader reader;
  list queue; /* of outgoing */
  size_t queued;
  err fault;
  int handles; /* not yet closed by the loop */
};

static void kill_group(child *c) {
  kill(-c->process.pid, SIGKILL); /* gone already: nothing to do */
}

void child_kill(child *c) {
  if (!c->exited) kill_group(c);
}

void child_signal(child *c, int signum) {
  if (!c->exited) uv_process_kill(&c->process, signum);
}

int child_pid(const child *c) {
  return c->process.pid;
}

/* ---- sending ---- */

static void outgoing_free(child *c, outgoing *o) {
  c->queued -= o->bytes.len;
  list_remove(&o->link);
  if (o->fd >= 0) close(o->fd);
  buf_deinit(&o->bytes);
  free(o);
}

static ssize_t send_some(child *c, outgoing *o) {
  struct iovec part = {o->bytes.data + o->sent, o->bytes.len - o->sent};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {0};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
  if (o->fd >= 0) {
    m.msg_control = control.bytes;
    m.msg_controllen = sizeof control.bytes;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&m);
    *rights = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(rights), &o->fd, sizeof o->fd);
  }
  return sendmsg(c->link_fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void on_link(uv_poll_t *handle, int status, int events);

static void watch_link(child *c) {
  if (!c->link_open) return;
  int events = UV_READABLE | (list_empty(&c->queue) ? 0 : UV_WRITABLE);
  uv_poll_start(&c->link, events, on_link);
}

/* A link that takes no more is noticed by the reader, which sees its end. */
static void flush(child *c) {
  while (!list_empty(&c->queue)) {
    outgoing *o = LIST_ENTRY(c->queue.next, outgoing, link);
    ssize_t n = send_some(c, o);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    if (o->fd >= 0) close(o->fd);
    o->fd = -1;
    o->sent += (size_t)n;
    if (o->sent == o->bytes.len) outgoing_free(c, o);
  }
}

static rc outgoing_fill(outgoing *o, const uint8_t *frame, size_t len, int fd, err *e) {
  uint8_t head[FRAME_HEAD];
  frame_head(head, (uint32_t)len);
  TRY(buf_reserve(&o->bytes, sizeof head + len, e));
  TRY(buf_append(&o->bytes, head, sizeof head, e));
  TRY(buf_append(&o->bytes, frame, len, e));
  if (fd < 0) return RC_OK;
  o->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return o->fd < 0 ? ERR_ERRNO(e, errno, "duplicating a descriptor for a child process") : RC_OK;
}

rc child_send(child *c, const uint8_t *frame, size_t len, int fd, err *e) {
  if (c->exited) return ERR(e, RC_UNAVAILABLE, "the child process is gone");
  if (len > c->config.max_frame || c->queued > c->config.max_frame)
    return ERR(e, RC_EXHAUSTED,
               "a child process takes frames of %u bytes; %zu wait, found %zu more",
               c->config.max_frame, c->queued, len);
  outgoing *o = NEW(outgoing);
  o->fd = -1;
  list_push_back(&c->queue, &o->link);
  rc r = outgoing_fill(o, frame, len, fd, e);
  c->queued += o->bytes.len;
  if (r != RC_OK) {
    outgoing_free(c, o);
    return r;
  }
  flush(c);
  watch_link(c);
  return RC_OK;
}

/* ---- receiving ---- */

static void close_link(child *c) {
  if (!c->link_open) return;
  c->link_open = false;
  uv_poll_stop(&c->link);
  kill_group(c);
}

static rc take_frames(child *c, const uint8_t *data, size_t len, err *e) {
  while (len && c->link_open) {
    bool complete;
    TRY(frame_next(&c->reader, &data, &len, &complete, e));
    if (complete) c->config.on_frame(c->config.arg, c->reader.body.data, c->reader.body.len);
  }
  return RC_OK;
}

static void read_link(child *c, int reads) {
  uint8_t chunk[CHUNK];
  while (c->link_open && reads--) {
    ssize_t n = recv(c->link_fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || take_frames(c, chunk, (size_t)n, &c->fault) != RC_OK) close_link(c);
  }
}

static void on_link(uv_poll_t *handle, int status, int events) {
  child *c = handle->data;
  if (events & UV_WRITABLE) flush(c);
  if (status < 0 || events & UV_READABLE) read_link(c, READS_AT_ONCE);
  watch_link(c);
}

static void read_output(child *c, int reads) {
  char chunk[CHUNK];
  while (c->output_open && reads--) {
    ssize_t n = read(c->output_fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0) {
      c->config.on_output(c->config.arg, chunk, (size_t)n);
    } else {
      c->output_open = false;
      uv_poll_stop(&c->output);
    }
  }
}

static void on_output(uv_poll_t *handle, int status, int events) {
  (void)status, (void)events;
  read_output(handle->data, READS_AT_ONCE);
}

/* ---- the end ---- */

static void child_free(child *c) {
  LIST_EACH (&c->queue, it, tmp) outgoing_free(c, LIST_ENTRY(it, outgoing, link));
  frame_reader_deinit(&c->reader);
  close(c->link_fd);
  close(c->output_fd);
  free(c);
}

static void on_closed(uv_handle_t *handle) {
  child *c = handle->data;
  if (--c->handles == 0) child_free(c);
}

static void close_handles(child *c) {
  uv_close((uv_handle_t *)&c->process, on_closed);
  uv_close((uv_handle_t *)&c->link, on_closed);
  uv_close((uv_handle_t *)&c->output, on_closed);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signum) {
  child *c = process->data;
  kill_group(c); /* whatever it started */
  c->exited = true;
  read_link(c, READS_AT_EXIT);
  c->link_open = false;
  read_output(c, READS_AT_EXIT);
  child_exit how = {.status = (int)status,
                    .signal = signum,
                    .fault = c->fault.code == RC_OK ? NULL : c->fault.text};
  c->config.on_exit(c->config.arg, &how);
  close_handles(c);
}

/* ---- the beginning ---- */

static rc make_pipes(child *c, int *their_link, int *their_output, err *e) {
  int link[2], output[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link))
    return ERR_ERRNO(e, errno, "making a socketpair");
  if (pipe2(output, O_CLOEXEC)) {
    int number = errno;
    close(link[0]);
    close(link[1]);
    return ERR_ERRNO(e, number, "making a pipe");
  }
  fcntl(output[0], F_SETFL, O_NONBLOCK);
  c->link_fd = link[0];
  c->output_fd = output[0];
  *their_link = link[1];
  *their_output = output[1];
  return RC_OK;
}

static int spawn(uv_loop_t *loop, child *c, int link, int output) {
  uv_stdio_container_t stdio[] = {
      {.flags = UV_IGNORE},
      {.flags = UV_INHERIT_FD, .data.fd = output},
      {.flags = UV_INHERIT_FD, .data.fd = output},
      {.flags = UV_INHERIT_FD, .data.fd = link},
  };
  const child_config *config = &c->config;
  uv_process_options_t options = {
      .file = config->argv[0],
      .args = (char **)(uintptr_t)config->argv,
      .env = (char **)(uintptr_t)config->env,
      .stdio = stdio,
      .stdio_count = sizeof stdio / sizeof *stdio,
      .exit_cb = on_process_exit,
      .flags = UV_PROCESS_DETACHED | (config->as_user ? UV_PROCESS_SETUID | UV_PROCESS_SETGID : 0),
      .uid = config->uid,
      .gid = config->gid,
  };
  return uv_spawn(loop, &c->process, &options);
}

static void start_handles(uv_loop_t *loop, child *c) {
  uv_poll_init(loop, &c->link, c->link_fd);
  uv_poll_init(loop, &c->output, c->output_fd);
  c->process.data = c->link.data = c->output.data = c;
  c->handles = 3;
}

rc child_spawn(uv_loop_t *loop, const child_config *config, child **out, err *e) {
  child *c = NEW(child);
  c->config = *config;
  c->reader.max = config->max_frame;
  list_init(&c->queue);
  int link = -1, output = -1;
  rc r = make_pipes(c, &link, &output, e);
  if (r != RC_OK) {
    free(c);
    return r;
  }
  start_handles(loop, c);
  int failed = spawn(loop, c, link, output);
  close(link);
  close(output);
  if (failed) {
    c->exited = true;
    close_handles(c);
    return ERR_ERRNO(e, -failed, "starting %s", config->argv[0]);
  }
  c->link_open = c->output_open = true;
  watch_link(c);
  uv_poll_start(&c->output, UV_READABLE, on_output);
  *out = c;
  return RC_OK;
}
