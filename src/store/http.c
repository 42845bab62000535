/* store/http.c: see http.h. SPDX-License-Identifier: Apache-2.0
 *
 * An easy handle of libcurl carries its open connections with it. Handles that are not at work
 * wait in a small pool, so that the next call finds a connection. */
#include "store/http.h"

#include "base/buf.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
  CONNECT_MS = 5000,
  STALLED_S = 60, /* fewer than STALLED_BYTES a second for so long: give up */
  STALLED_BYTES = 1024,
  FIRST_PAUSE_MS = 200, /* doubled each time: 3 s in all */
  MAX_TRIES = 5,
  PAUSE_STEP_MS = 100, /* how often a pause looks at `cancel` */
  MAX_ANSWER = 4096,   /* bytes of an error's body that are looked at */
  MAX_SHOWN = 300,     /* … and shown */
  POOL = 16
};

/* ---- the pool ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static CURL *idle[POOL];
static size_t n_idle;

static void start_curl(void) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
}

static CURL *take_handle(void) {
  pthread_once(&once, start_curl);
  pthread_mutex_lock(&mutex);
  CURL *h = n_idle ? idle[--n_idle] : NULL;
  pthread_mutex_unlock(&mutex);
  return h ? h : curl_easy_init();
}

static void give_back(CURL *h) {
  curl_easy_reset(h); /* options go, connections stay */
  pthread_mutex_lock(&mutex);
  bool kept = n_idle < POOL;
  if (kept) idle[n_idle++] = h;
  pthread_mutex_unlock(&mutex);
  if (!kept) curl_easy_cleanup(h);
}

/* ---- one exchange ---- */

typedef struct exchange {
  const char *verb, *url;
  FILE *file; /* PUT: what is sent; else NULL */
  curl_off_t file_bytes;
  const atomic_bool *cancel; /* may be NULL */
  CURL *handle;
  buf answer; /* the first bytes of the body */
  CURLcode result;
  long status;
  char problem[CURL_ERROR_SIZE];
} exchange;

static bool is_cancelled(const exchange *x) {
  return x->cancel && atomic_load(x->cancel);
}

static size_t on_answer(char *data, size_t one, size_t n, void *arg) {
  exchange *x = arg;
  size_t room = MAX_ANSWER - x->answer.len;
  if (buf_append(&x->answer, data, n < room ? n : room, NULL) != RC_OK) return 0;
  return one * n;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
  (void)a, (void)b, (void)c, (void)d;
  return is_cancelled(arg);
}

/* An answer that comes early, or a connection that was closed, makes libcurl send again. */
static int on_rewind(void *arg, curl_off_t offset, int origin) {
  exchange *x = arg;
  return fseeko(x->file, offset, origin) == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

static void set_options(exchange *x) {
  CURL *h = x->handle;
  curl_easy_setopt(h, CURLOPT_URL, x->url);
  curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, x->verb);
  curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L); /* the path is signed as it is */
  curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);   /* threads */
  curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
  curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)STALLED_S);
  curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, (long)STALLED_BYTES);
  curl_easy_setopt(h, CURLOPT_ERRORBUFFER, x->problem);
  curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_answer);
  curl_easy_setopt(h, CURLOPT_WRITEDATA, x);
  curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(h, CURLOPT_XFERINFODATA, x);
  if (!x->file) return;
  curl_easy_setopt(h, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(h, CURLOPT_READDATA, x->file);
  curl_easy_setopt(h, CURLOPT_INFILESIZE_LARGE, x->file_bytes);
  curl_easy_setopt(h, CURLOPT_SEEKFUNCTION, on_rewind);
  curl_easy_setopt(h, CURLOPT_SEEKDATA, x);
}

/* ---- what came of it ---- */

/* Busy, or broken for the moment. */
static bool may_pass(long status) {
  return status >= 500 || status == 429 || status == 408;
}

typedef enum verdict { VERDICT_DONE, VERDICT_AGAIN, VERDICT_FAILED } verdict;

static verdict judge(const exchange *x) {
  switch (x->result) {
  case CURLE_OK:
    break;
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_CONNECT:
  case CURLE_OPERATION_TIMEDOUT:
  case CURLE_GOT_NOTHING:
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
  case CURLE_PARTIAL_FILE:
    return VERDICT_AGAIN;
  default:
    return VERDICT_FAILED;
  }
  if (x->status >= 200 && x->status < 300) return VERDICT_DONE;
  return may_pass(x->status) ? VERDICT_AGAIN : VERDICT_FAILED;
}

/* The text inside <name>…</name>; empty when there is none. */
static int xml_text(const char *xml, const char *name, const char **out) {
  char open[32], close[32];
  snprintf(open, sizeof open, "<%s>", name);
  snprintf(close, sizeof close, "</%s>", name);
  const char *from = strstr(xml, open);
  const char *to = from ? strstr(from, close) : NULL;
  *out = to ? from + strlen(open) : "";
  return to ? (int)(to - *out) : 0;
}

/* S3 says <Error><Code>…</Code><Message>…</Message>, and after that repeats the signature, which
 * must not be shown. Anything else, a proxy's page for example, is shown as it begins. */
static void describe_answer(const exchange *x, buf *out) {
  const char *body = buf_text(&x->answer), *code, *message;
  int code_len = xml_text(body, "Code", &code), message_len = xml_text(body, "Message", &message);
  if (code_len > 0)
    buf_printf(out, ": %.*s: %.*s", code_len, code, message_len, message);
  else if (!strstr(body, "X-Amz-") && *body)
    buf_printf(out, ": %.*s", MAX_SHOWN, body);
  for (size_t i = 0; i < out->len; i++)
    if (out->data[i] < ' ' || out->data[i] > '~') out->data[i] = ' ';
}

static rc code_of_status(long status) {
  if (status == 401 || status == 403) return RC_DENIED;
  if (status == 404) return RC_NOT_FOUND;
  return may_pass(status) ? RC_UNAVAILABLE : RC_IO;
}

static rc explain(const exchange *x, int tries, err *e) {
  int shown = (int)strcspn(x->url, "?");
  if (is_cancelled(x)) return ERR(e, RC_CANCELLED, "%s %.*s: cancelled", x->verb, shown, x->url);
  if (x->result != CURLE_OK)
    return ERR(e, judge(x) == VERDICT_AGAIN ? RC_UNAVAILABLE : RC_IO, "%s %.*s: %s (%d tries)",
               x->verb, shown, x->url, *x->problem ? x->problem : curl_easy_strerror(x->result),
               tries);
  buf detail = {0};
  describe_answer(x, &detail);
  if (x->status >= 300 && x->status < 400)
    buf_puts(&detail, "; redirects are not followed, check the endpoint and the region");
  rc r = ERR(e, code_of_status(x->status), "%s %.*s: status %ld%s (%d tries)", x->verb, shown,
             x->url, x->status, buf_text(&detail), tries);
  buf_deinit(&detail);
  return r;
}

/* ---- trying again ---- */

static void pause_ms(const exchange *x, int ms) {
  for (; ms > 0 && !is_cancelled(x); ms -= PAUSE_STEP_MS) {
    struct timespec step = {.tv_nsec = PAUSE_STEP_MS * 1000000L};
    nanosleep(&step, NULL);
  }
}

static rc try_once(exchange *x, err *e) {
  buf_clear(&x->answer);
  x->status = 0;
  x->problem[0] = '\0';
  if (x->file && fseeko(x->file, 0, SEEK_SET) != 0)
    return ERR_ERRNO(e, errno, "reading the file again");
  x->result = curl_easy_perform(x->handle);
  curl_easy_getinfo(x->handle, CURLINFO_RESPONSE_CODE, &x->status);
  return RC_OK;
}

static rc exchange_run(exchange *x, err *e) {
  int pause = FIRST_PAUSE_MS;
  for (int tries = 1;; tries++) {
    if (is_cancelled(x)) return explain(x, tries, e);
    TRY(try_once(x, e));
    verdict v = judge(x);
    if (v == VERDICT_DONE) return RC_OK;
    if (v == VERDICT_FAILED || tries == MAX_TRIES) return explain(x, tries, e);
    pause_ms(x, pause);
    pause *= 2;
  }
}

static rc perform(exchange *x, err *e) {
  x->handle = take_handle();
  if (!x->handle) return ERR(e, RC_NO_MEMORY, "out of memory for a connection to the store");
  set_options(x);
  rc r = exchange_run(x, e);
  give_back(x->handle);
  buf_deinit(&x->answer);
  return r;
}

/* ---- the verbs ---- */

rc store_put_file(const char *url, const char *path, const atomic_bool *cancel, err *e) {
  FILE *file = fopen(path, "rbe");
  if (!file) return ERR_ERRNO(e, errno, "opening %s to upload it", path);
  struct stat st;
  if (fstat(fileno(file), &st) != 0) {
    rc r = ERR_ERRNO(e, errno, "the size of %s", path);
    fclose(file);
    return r;
  }
  exchange x = {
      .verb = "PUT", .url = url, .file = file, .file_bytes = st.st_size, .cancel = cancel};
  rc r = perform(&x, e);
  fclose(file);
  return r;
}

rc store_delete(const char *url, const atomic_bool *cancel, err *e) {
  exchange x = {.verb = "DELETE", .url = url, .cancel = cancel};
  rc r = perform(&x, e);
  return r == RC_NOT_FOUND ? RC_OK : r;
}
