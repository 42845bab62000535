/* net/tls.c: see tls.h. Reads certificates; opens no connection. SPDX-License-Identifier:
 * Apache-2.0 */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
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
  if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
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

rc tls_server_context(const char *cert_file, const char *key_file, const char *client_ca,
                      SSL_CTX **out, err *e) {
  SSL_CTX *ctx = NULL;
  TRY(new_context(TLS_server_method(), &ctx, e));
  SSL_CTX_set_alpn_select_cb(ctx, select_h2, NULL);
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
