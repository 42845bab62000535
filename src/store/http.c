/* store/http.c: see http.h. SPDX-License-Identifier: Apache-2.0
 *
 * An easy handle of libcurl carries its open connections with it. Handles that are not at work
 * wait in a small pool, so that the next call finds a connection. */
#include "store/http.h"

#include "base/mem.h"
#include "net/file_server.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

enum {
  STALLED_BYTES = 1024, /* fewer a second are no progress */
  RECEIVED_AT_ONCE = 512 << 10,
  PEER_SILENT_MS = 5000,
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

typedef struct patience {
  long connect_ms;
  long stalled_s;   /* without progress for so long: give up */
  int64_t tries_ms; /* no other try when so much time has gone */
  long most_ms;     /* for one try; 0: any */
} patience;

static const patience WITH_STORES = {.connect_ms = 5000, .stalled_s = 60, .tries_ms = INT64_MAX};
static const patience WITH_PEERS = {.connect_ms = 2000, .stalled_s = 20, .tries_ms = 5000};
static const patience ONCE = {
    .connect_ms = 5000, .stalled_s = 10, .tries_ms = -1, .most_ms = 15000};

typedef struct receiving { /* of a GET */
  const store_get *get;
  uint64_t got;
  XXH3_state_t *hash; /* of what we got */
  int failed;         /* errno of a write */
  char range[48];     /* what is asked for of the file, if not all */
} receiving;

typedef struct exchange {
  const char *verb, *url;
  const char *by_tls;            /* the URL for libcurl, if it is another one, … */
  struct curl_slist *connect_to; /* … and the address of what it names */
  patience patience;
  FILE *file; /* PUT: what is sent; else NULL */
  curl_off_t file_bytes;
  receiving *receiving;      /* GET; else NULL */
  const atomic_bool *cancel; /* may be NULL */
  CURL *handle;
  buf answer;         /* the first bytes of the body, … */
  size_t answer_most; /* … so many; 0: for an error's text */
  buf *body;          /* takes them when all went well; may be NULL */
  CURLcode result;
  long status;
  char problem[CURL_ERROR_SIZE];
} exchange;

static bool is_cancelled(const exchange *x) {
  return x->cancel && atomic_load(x->cancel);
}

static size_t on_answer(char *data, size_t one, size_t n, void *arg) {
  exchange *x = arg;
  size_t room = x->answer_most - x->answer.len;
  if (buf_append(&x->answer, data, n < room ? n : room, NULL) != RC_OK) return 0;
  return one * n;
}

static long status_wanted(const store_get *get) {
  return get->memory ? 206 : 200;
}

static bool keep(receiving *r, const char *data, size_t n) {
  if (r->get->memory) memcpy(r->get->memory + r->got, data, n);
  for (size_t done = 0; !r->get->memory && done < n;) {
    ssize_t written = pwrite(r->get->fd, data + done, n - done, (off_t)(r->got + done));
    if (written <= 0) {
      r->failed = written < 0 ? errno : ENOSPC;
      return false;
    }
    done += (size_t)written;
  }
  return true;
}

/* Of a GET: an error's body goes where those of other verbs go. */
static size_t on_file_bytes(char *data, size_t one, size_t n, void *arg) {
  exchange *x = arg;
  receiving *r = x->receiving;
  long status = 0;
  curl_easy_getinfo(x->handle, CURLINFO_RESPONSE_CODE, &status);
  if (status != status_wanted(r->get)) return on_answer(data, one, n, arg);
  if (n > r->get->bytes - r->got) return 0; /* judged by judge() */
  if (!keep(r, data, n)) return 0;
  XXH3_64bits_update(r->hash, data, n);
  r->got += n;
  return n;
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

static void set_put_options(exchange *x) {
  CURL *h = x->handle;
  curl_easy_setopt(h, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(h, CURLOPT_READDATA, x->file);
  curl_easy_setopt(h, CURLOPT_INFILESIZE_LARGE, x->file_bytes);
  curl_easy_setopt(h, CURLOPT_SEEKFUNCTION, on_rewind);
  curl_easy_setopt(h, CURLOPT_SEEKDATA, x);
}

/* A peer that is slow is alive; one whose machine does not acknowledge is not. */
static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose) {
  (void)arg, (void)purpose;
  unsigned silent_ms = PEER_SILENT_MS;
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof silent_ms);
  return CURL_SOCKOPT_OK;
}

static void set_get_options(exchange *x) {
  CURL *h = x->handle;
  curl_easy_setopt(h, CURLOPT_SOCKOPTFUNCTION, on_socket);
  curl_easy_setopt(h, CURLOPT_TCP_KEEPIDLE, 1L);
  curl_easy_setopt(h, CURLOPT_TCP_KEEPINTVL, 1L);
  curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_file_bytes);
  curl_easy_setopt(h, CURLOPT_BUFFERSIZE, (long)RECEIVED_AT_ONCE);
  curl_easy_setopt(h, CURLOPT_PROXY, ""); /* whatever the environment says */
  if (x->receiving->get->memory) curl_easy_setopt(h, CURLOPT_RANGE, x->receiving->range);
  const peer_access *access = x->receiving->get->access;
  if (x->by_tls) {
    curl_easy_setopt(h, CURLOPT_CAINFO, access->ca_file);
    curl_easy_setopt(h, CURLOPT_CAPATH, NULL); /* nobody else's word */
    curl_easy_setopt(h, CURLOPT_CONNECT_TO, x->connect_to);
  }
  if (!access || !access->token) return;
  curl_easy_setopt(h, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
  curl_easy_setopt(h, CURLOPT_XOAUTH2_BEARER, access->token);
}

static void set_options(exchange *x) {
  CURL *h = x->handle;
  curl_easy_setopt(h, CURLOPT_URL, x->by_tls ? x->by_tls : x->url);
  curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, x->verb);
  curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L); /* the path is signed as it is */
  curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);   /* threads */
  curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, x->patience.connect_ms);
  curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, x->patience.most_ms);
  curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, x->patience.stalled_s);
  curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, (long)STALLED_BYTES);
  curl_easy_setopt(h, CURLOPT_ERRORBUFFER, x->problem);
  curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_answer);
  curl_easy_setopt(h, CURLOPT_WRITEDATA, x);
  curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(h, CURLOPT_XFERINFODATA, x);
  if (x->file) set_put_options(x);
  if (x->receiving) set_get_options(x);
}

/* ---- what came of it ---- */

/* Busy, or broken for the moment. */
static bool may_pass(long status) {
  return status >= 500 || status == 429 || status == 408;
}

/* The bytes that the peer said, and as many as they must be. */
static bool is_whole(const exchange *x) {
  const receiving *r = x->receiving;
  struct curl_header *said;
  char checksum[17];
  snprintf(checksum, sizeof checksum, "%016llx", (unsigned long long)XXH3_64bits_digest(r->hash));
  return r->got == r->get->bytes &&
         curl_easy_header(x->handle, FILE_SERVER_CHECKSUM, 0, CURLH_TRAILER, -1, &said) ==
             CURLHE_OK &&
         !strcmp(said->value, checksum);
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
  if (x->receiving && x->status == status_wanted(x->receiving->get))
    return is_whole(x) ? VERDICT_DONE : VERDICT_AGAIN;
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

/* All went well, but for what we got. */
static rc explain_received(const exchange *x, err *e) {
  const receiving *r = x->receiving;
  if (r->failed) {
    (void)ERR_ERRNO(e, r->failed, "writing what was fetched");
    return err_prefix(e, RC_INTERNAL, "GET %s: ", x->url);
  }
  return ERR(e, RC_DATA_LOSS,
             "GET %s: expected %llu bytes with the checksum that is sent along, "
             "found %s",
             x->url, (unsigned long long)r->get->bytes,
             x->result != CURLE_OK    ? "more"
             : r->got < r->get->bytes ? "fewer"
                                      : "other bytes");
}

static rc explain(const exchange *x, int tries, err *e) {
  int shown = (int)strcspn(x->url, "?");
  if (is_cancelled(x)) return ERR(e, RC_CANCELLED, "%s %.*s: cancelled", x->verb, shown, x->url);
  bool received = x->receiving && x->status == status_wanted(x->receiving->get);
  if (received && (x->result == CURLE_OK || x->result == CURLE_WRITE_ERROR))
    return explain_received(x, e);
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

static rc try_once(exchange *x, int64_t *spent_ms, err *e) {
  buf_clear(&x->answer);
  if (x->receiving) {
    x->receiving->got = 0;
    XXH3_64bits_reset(x->receiving->hash);
  }
  x->status = 0;
  x->problem[0] = '\0';
  if (x->file && fseeko(x->file, 0, SEEK_SET) != 0)
    return ERR_ERRNO(e, errno, "reading the file again");
  x->result = curl_easy_perform(x->handle);
  curl_easy_getinfo(x->handle, CURLINFO_RESPONSE_CODE, &x->status);
  curl_off_t took_us = 0;
  curl_easy_getinfo(x->handle, CURLINFO_TOTAL_TIME_T, &took_us);
  *spent_ms += took_us / 1000;
  return RC_OK;
}

static rc exchange_run(exchange *x, err *e) {
  int pause = FIRST_PAUSE_MS;
  int64_t spent_ms = 0;
  for (int tries = 1;; tries++) {
    if (is_cancelled(x)) return explain(x, tries, e);
    TRY(try_once(x, &spent_ms, e));
    verdict v = judge(x);
    if (v == VERDICT_DONE) return RC_OK;
    bool is_last = tries == MAX_TRIES || spent_ms > x->patience.tries_ms;
    if (v == VERDICT_FAILED || is_last) return explain(x, tries, e);
    pause_ms(x, pause);
    spent_ms += pause;
    pause *= 2;
  }
}

static rc perform(exchange *x, err *e) {
  x->handle = take_handle();
  if (!x->handle) return ERR(e, RC_NO_MEMORY, "out of memory for a connection to the store");
  set_options(x);
  if (!x->answer_most) x->answer_most = MAX_ANSWER;
  rc r = exchange_run(x, e);
  give_back(x->handle);
  if (r == RC_OK && x->body) {
    *x->body = x->answer;
    x->answer = (buf){0};
  }
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
  exchange x = {.verb = "PUT",
                .url = url,
                .patience = WITH_STORES,
                .file = file,
                .file_bytes = st.st_size,
                .cancel = cancel};
  rc r = perform(&x, e);
  fclose(file);
  return r;
}

/* http://address/path → https://address/path, or the same of the name that the certificate bears.
 */
static char *put_tls(exchange *x, const store_get *get) {
  const char *address = get->url + strlen("http://");
  size_t len = strcspn(address, "/");
  const char *port = memrchr(address, ':', len);
  if (!get->access->name || !port) return mem_printf("https://%s", address);
  char *to = mem_printf("::%.*s", (int)len, address);
  x->connect_to = curl_slist_append(NULL, to);
  free(to);
  return mem_printf("https://%s%s", get->access->name, port);
}

rc store_get_file(const store_get *get, const atomic_bool *cancel, err *e) {
  receiving r = {.get = get, .hash = XXH3_createState()};
  if (!r.hash) return ERR(e, RC_NO_MEMORY, "out of memory for a checksum");
  snprintf(r.range, sizeof r.range, "%" PRIu64 "-%" PRIu64, get->first,
           get->first + get->bytes - 1);
  exchange x = {
      .verb = "GET", .url = get->url, .patience = WITH_PEERS, .receiving = &r, .cancel = cancel};
  char *by_tls = get->access && get->access->ca_file ? put_tls(&x, get) : NULL;
  x.by_tls = by_tls;
  rc code = perform(&x, e);
  curl_slist_free_all(x.connect_to);
  free(by_tls);
  XXH3_freeState(r.hash);
  return code;
}

rc store_fetch(const char *url, size_t most, const atomic_bool *cancel, buf *out, err *e) {
  *out = (buf){0};
  exchange x = {.verb = "GET",
                .url = url,
                .patience = ONCE,
                .cancel = cancel,
                .answer_most = most + 1,
                .body = out};
  TRY(perform(&x, e));
  if (out->len <= most) return RC_OK;
  buf_deinit(out);
  return ERR(e, RC_EXHAUSTED, "GET %.*s: expected at most %zu bytes, found more",
             (int)strcspn(url, "?"), url, most);
}

rc store_delete(const char *url, const atomic_bool *cancel, err *e) {
  exchange x = {.verb = "DELETE", .url = url, .patience = WITH_STORES, .cancel = cancel};
  rc r = perform(&x, e);
  return r == RC_NOT_FOUND ? RC_OK : r;
}
