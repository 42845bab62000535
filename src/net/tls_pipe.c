/* net/tls_pipe.c: see tls_pipe.h. SPDX-License-Identifier: Apache-2.0
 *
 * OpenSSL reads and writes through a BIO of ours: it takes from the bytes being fed and appends to
 * `out`. Its own memory BIOs would each keep the largest size they ever had. */
#include "net/tls_pipe.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct tls_pipe {
  SSL *ssl;
  const uint8_t *in; /* borrowed during a feed */
  size_t in_len;
  buf out;
  bool up;
};

/* ---- the BIO ---- */

static int bio_read(BIO *b, char *out, int len) {
  tls_pipe *p = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  if (len <= 0) return 0;
  if (!p->in_len) {
    BIO_set_retry_read(b);
    return -1;
  }
  size_t n = (size_t)len < p->in_len ? (size_t)len : p->in_len;
  memcpy(out, p->in, n);
  p->in += n;
  p->in_len -= n;
  return (int)n;
}

static int bio_write(BIO *b, const char *data, int len) {
  tls_pipe *p = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  return len > 0 && buf_append(&p->out, data, (size_t)len, NULL) == RC_OK ? len : -1;
}

static long bio_ctrl(BIO *b, int command, long number, void *pointer) {
  (void)b, (void)number, (void)pointer;
  return command == BIO_CTRL_FLUSH;
}

/* Made once, never changed, kept for the life of the process. */
static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;
static void make_bio_method(void) {
  bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "floe tls_pipe");
  if (!bio_method) abort();
  BIO_meth_set_read(bio_method, bio_read);
  BIO_meth_set_write(bio_method, bio_write);
  BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

/* ---- the pipe ---- */

static rc fail(tls_pipe *p, err *e) {
  char why[256] = "the peer broke the protocol";
  unsigned long code = ERR_get_error();
  if (code) ERR_error_string_n(code, why, sizeof why);
  ERR_clear_error();
  long verified = SSL_get_verify_result(p->ssl);
  if (!p->up && verified != X509_V_OK)
    return ERR(e, RC_UNAVAILABLE, "TLS: the peer's certificate was refused: %s",
               X509_verify_cert_error_string(verified));
  return ERR(e, RC_UNAVAILABLE, "TLS: %s", why);
}

static bool is_address(const char *host) {
  struct in6_addr any;
  return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static bool expect_host(SSL *ssl, const char *host) {
  if (is_address(host)) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
  return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
}

rc tls_pipe_new(SSL_CTX *ctx, const char *host, tls_pipe **out, err *e) {
  pthread_once(&bio_once, make_bio_method);
  ERR_clear_error();
  SSL *ssl = SSL_new(ctx);
  BIO *bio = BIO_new(bio_method);
  if (!ssl || !bio || (host && !expect_host(ssl, host))) {
    SSL_free(ssl);
    BIO_free(bio);
    return ERR(e, RC_NO_MEMORY, "TLS: no memory for a connection");
  }
  tls_pipe *p = NEW(tls_pipe);
  p->ssl = ssl;
  BIO_set_data(bio, p);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  if (host)
    SSL_set_connect_state(ssl);
  else
    SSL_set_accept_state(ssl);
  *out = p;
  return RC_OK;
}

static rc check_alpn(tls_pipe *p, err *e) {
  const unsigned char *name = NULL;
  unsigned len = 0;
  SSL_get0_alpn_selected(p->ssl, &name, &len);
  if (len != 2 || memcmp(name, "h2", 2) != 0)
    return ERR(e, RC_UNAVAILABLE, "TLS: expected the peer to agree on ALPN h2, found \"%.*s\"",
               (int)len, name ? (const char *)name : "");
  p->up = true;
  return RC_OK;
}

/* One handshake step or one record. *more: there may be another. */
static rc step(tls_pipe *p, tls_pipe_plain on_plain, void *arg, bool *more, err *e) {
  uint8_t plain[SSL3_RT_MAX_PLAIN_LENGTH];
  ERR_clear_error();
  int n = p->up ? SSL_read(p->ssl, plain, sizeof plain) : SSL_do_handshake(p->ssl);
  *more = n > 0;
  if (n > 0) return p->up ? on_plain(arg, plain, (size_t)n, e) : check_alpn(p, e);
  int why = SSL_get_error(p->ssl, n);
  if (why == SSL_ERROR_WANT_READ) return RC_OK;
  if (why == SSL_ERROR_ZERO_RETURN) return ERR(e, RC_UNAVAILABLE, "the peer closed the connection");
  return fail(p, e);
}

rc tls_pipe_feed(tls_pipe *p, const uint8_t *data, size_t len, tls_pipe_plain on_plain, void *arg,
                 err *e) {
  p->in = data;
  p->in_len = len;
  rc r = RC_OK;
  for (bool more = true; more && r == RC_OK;) r = step(p, on_plain, arg, &more, e);
  p->in_len = 0;
  return r;
}

rc tls_pipe_send(tls_pipe *p, const uint8_t *plain, size_t len, err *e) {
  ERR_clear_error();
  size_t written = 0;
  if (SSL_write_ex(p->ssl, plain, len, &written) != 1 || written != len) return fail(p, e);
  return RC_OK;
}

void tls_pipe_end(tls_pipe *p) {
  ERR_clear_error();
  if (p->up) SSL_shutdown(p->ssl);
  ERR_clear_error();
}

bool tls_pipe_up(const tls_pipe *p) {
  return p->up;
}

buf *tls_pipe_out(tls_pipe *p) {
  return &p->out;
}

void tls_pipe_free(tls_pipe *p) {
  if (!p) return;
  SSL_free(p->ssl); /* frees the BIO too */
  buf_deinit(&p->out);
  free(p);
}
