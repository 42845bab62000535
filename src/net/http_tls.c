/* net/http_tls.c: see http_tls.h. SPDX-License-Identifier: Apache-2.0
 *
 * GnuTLS asks for the certificate at each handshake. What it is given it frees itself, so that a
 * handshake which goes on while the files change keeps its own. The files are judged by the same
 * code as those of the gRPC ports. */
#include "net/http_tls.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/tls.h"

#include <gnutls/abstract.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <uv.h>

enum { MAX_PEM_BYTES = 1024 * 1024, MAX_CHAIN = 16 };

struct http_tls {
  tls_files files;
  uv_mutex_t mutex;
  gnutls_datum_t certificate, key; /* PEM; under the mutex */
  struct MHD_OptionItem options[2];
};

static rc read_pem(const char *path, gnutls_datum_t *out, err *e) {
  FILE *f = fopen(path, "re");
  if (!f) return ERR(e, RC_NOT_FOUND, "cannot read %s", path);
  uint8_t *text = mem_new(MAX_PEM_BYTES);
  size_t n = fread(text, 1, MAX_PEM_BYTES, f);
  fclose(f);
  free(out->data);
  out->data = text;
  out->size = (unsigned)n;
  return RC_OK;
}

static rc load(http_tls *t, err *e) {
  SSL_CTX *proof = NULL;
  TRY(tls_server_context(t->files.cert, t->files.key, NULL, &proof, e));
  SSL_CTX_free(proof);
  TRY(read_pem(t->files.cert, &t->certificate, e));
  return read_pem(t->files.key, &t->key, e);
}

static void renew(http_tls *t) {
  err e = {0};
  if (tls_files_changed(&t->files)) tls_files_say(&t->files, load(t, &e), &e);
}

/* Both are the caller's; 0: well. */
static int import(const http_tls *t, gnutls_pcert_st **certs, unsigned *n, gnutls_privkey_t *key) {
  *certs = gnutls_calloc(MAX_CHAIN, sizeof **certs);
  *n = MAX_CHAIN;
  if (!*certs || gnutls_privkey_init(key)) return -1;
  if (gnutls_pcert_list_import_x509_raw(*certs, n, &t->certificate, GNUTLS_X509_FMT_PEM, 0))
    *n = 0;
  else if (!gnutls_privkey_import_x509_raw(*key, &t->key, GNUTLS_X509_FMT_PEM, NULL, 0))
    return 0;
  for (unsigned i = 0; i < *n; i++) gnutls_pcert_deinit(&(*certs)[i]);
  gnutls_privkey_deinit(*key);
  return -1;
}

static int on_handshake(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                        gnutls_pcert_st **certs, unsigned *n, gnutls_ocsp_data_st **ocsp,
                        unsigned *n_ocsp, gnutls_privkey_t *key, unsigned *flags) {
  (void)info, (void)ocsp;
  struct MHD_Connection *connection = gnutls_session_get_ptr(session);
  http_tls *t =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
  uv_mutex_lock(&t->mutex);
  renew(t);
  int failed = import(t, certs, n, key);
  uv_mutex_unlock(&t->mutex);
  if (failed) gnutls_free(*certs);
  *n_ocsp = 0;
  *flags = GNUTLS_CERT_RETR_DEINIT_ALL;
  return failed;
}

rc http_tls_new(const char *cert_file, const char *key_file, http_tls **out, err *e) {
  http_tls *t = NEW(http_tls);
  tls_files_init(&t->files, cert_file, key_file);
  uv_mutex_init(&t->mutex);
  t->options[0] =
      (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(intptr_t)on_handshake};
  t->options[1] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
  rc r = load(t, e);
  if (r == RC_OK)
    *out = t;
  else
    http_tls_free(t);
  return r;
}

struct MHD_OptionItem *http_tls_options(http_tls *t) {
  static struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
  return t ? t->options : none;
}

void http_tls_free(http_tls *t) {
  if (!t) return;
  tls_files_deinit(&t->files);
  uv_mutex_destroy(&t->mutex);
  free(t->certificate.data);
  free(t->key.data);
  free(t);
}
