/* net/tls.c: see tls.h. Reads certificates; opens no connection. SPDX-License-Identifier:
 * Apache-2.0
 *
 * What a context keeps beside itself goes with it: its place there is the one thing in net/ that
 * the process has once. */
#include "net/tls.h"

#include "base/log.h"
#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char ALPN_H2[] = "\x02h2";

/* The oldest entry of OpenSSL's queue is the cause; later ones are its consequences. */
static const char *reason(char *out, size_t size) {
  unsigned long code = ERR_get_error();
  ERR_error_string_n(code, out, size);
  ERR_clear_error();
  return code ? out : "no reason given";
}

static int select_h2(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned in_len, void *arg) {
  (void)ssl, (void)arg;
  for (unsigned i = 0; i < in_len; i += 1u + in[i])
    if (in_len - i >= 3 && !memcmp(in + i, ALPN_H2, 3)) {
      *out = in + i + 1;
      *out_len = 2;
      return SSL_TLSEXT_ERR_OK;
    }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static rc new_context(const SSL_METHOD *method, SSL_CTX **out, err *e) {
  char why[256];
  ERR_clear_error();
  SSL_CTX *ctx = SSL_CTX_new(method);
  if (!ctx) return ERR(e, RC_INTERNAL, "making a TLS context: %s", reason(why, sizeof why));
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS); /* an idle connection keeps no record buffer */
  *out = ctx;
  return RC_OK;
}

static rc load_identity(SSL_CTX *ctx, const char *cert_file, const char *key_file, err *e) {
  char why[256];
  if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
    return ERR(e, RC_INVALID, "%s: expected a certificate chain in PEM: %s", cert_file,
               reason(why, sizeof why));
  if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(ctx) != 1) /* one of another kind has a place of its own */
    return ERR(e, RC_INVALID, "%s: expected the private key of %s in PEM: %s", key_file, cert_file,
               reason(why, sizeof why));
  return RC_OK;
}

static rc require_client_certificate(SSL_CTX *ctx, const char *ca_file, err *e) {
  char why[256];
  STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca_file);
  if (!names || SSL_CTX_load_verify_locations(ctx, ca_file, NULL) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return ERR(e, RC_INVALID, "%s: expected CA certificates in PEM: %s", ca_file,
               reason(why, sizeof why));
  }
  SSL_CTX_set_client_CA_list(ctx, names);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  return RC_OK;
}

/* ---- files that change ---- */

void tls_files_init(tls_files *f, const char *cert, const char *key) {
  *f = (tls_files){.cert = mem_strdup(cert), .key = mem_strdup(key)};
  tls_files_changed(f);
}

bool tls_files_changed(tls_files *f) {
  bool cert = stamp_renew(&f->cert_stamp, f->cert), key = stamp_renew(&f->key_stamp, f->key);
  return cert || key;
}

void tls_files_say(const tls_files *f, rc reloaded, const err *e) {
  if (reloaded == RC_OK)
    LOG_INFO("certificate read again", "file", f->cert);
  else
    LOG_WARN("the certificate read before stays in use", "error", e->text);
}

void tls_files_deinit(tls_files *f) {
  free(f->cert);
  free(f->key);
}

/* Of a server's context. */
typedef struct identity {
  tls_files files;
  SSL_CTX *newest; /* with what was read last; NULL: the files are as at the start */
} identity;

static void free_identity(void *identity_of_context) {
  identity *id = identity_of_context;
  tls_files_deinit(&id->files);
  SSL_CTX_free(id->newest);
  free(id);
}

static void reload(identity *id) {
  err e = {0};
  SSL_CTX *ctx = NULL;
  rc r = new_context(TLS_server_method(), &ctx, &e);
  if (r == RC_OK) r = load_identity(ctx, id->files.cert, id->files.key, &e);
  tls_files_say(&id->files, r, &e);
  SSL_CTX_free(r == RC_OK ? id->newest : ctx);
  if (r == RC_OK) id->newest = ctx;
}

/* Called when a handshake needs the certificate. */
static int on_handshake(SSL *ssl, void *arg) {
  identity *id = arg;
  if (tls_files_changed(&id->files)) reload(id);
  if (!id->newest) return 1;
  STACK_OF(X509) *chain = NULL;
  SSL_CTX_get0_chain_certs(id->newest, &chain);
  SSL_certs_clear(ssl); /* else one of another kind would stay beside it */
  return SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(id->newest),
                              SSL_CTX_get0_privatekey(id->newest), chain, 1);
}

static void on_context_freed(void *parent, void *data, CRYPTO_EX_DATA *all, int index, long argl,
                             void *argp) {
  (void)parent, (void)all, (void)index, (void)argl, (void)argp;
  if (data) free_identity(data);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int identity_index;

static void make_index(void) {
  identity_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_context_freed);
}

static void follow_files(SSL_CTX *ctx, const char *cert_file, const char *key_file) {
  identity *id = NEW(identity);
  tls_files_init(&id->files, cert_file, key_file);
  pthread_once(&once, make_index);
  SSL_CTX_set_ex_data(ctx, identity_index, id);
  SSL_CTX_set_cert_cb(ctx, on_handshake, id);
}

rc tls_server_context(const char *cert_file, const char *key_file, const char *client_ca,
                      SSL_CTX **out, err *e) {
  SSL_CTX *ctx = NULL;
  TRY(new_context(TLS_server_method(), &ctx, e));
  SSL_CTX_set_alpn_select_cb(ctx, select_h2, NULL);
  follow_files(ctx, cert_file, key_file);
  rc r = load_identity(ctx, cert_file, key_file, e);
  if (r == RC_OK && client_ca) r = require_client_certificate(ctx, client_ca, e);
  if (r != RC_OK) {
    SSL_CTX_free(ctx);
    return r;
  }
  *out = ctx;
  return RC_OK;
}

rc tls_client_context(const char *ca_file, SSL_CTX **out, err *e) {
  char why[256];
  SSL_CTX *ctx = NULL;
  TRY(new_context(TLS_client_method(), &ctx, e));
  int ok = ca_file ? SSL_CTX_load_verify_locations(ctx, ca_file, NULL)
                   : SSL_CTX_set_default_verify_paths(ctx);
  if (ok != 1) {
    SSL_CTX_free(ctx);
    return ERR(e, RC_INVALID, "%s: expected CA certificates in PEM: %s",
               ca_file ? ca_file : "the system's roots", reason(why, sizeof why));
  }
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_alpn_protos(ctx, ALPN_H2, 3);
  *out = ctx;
  return RC_OK;
}
