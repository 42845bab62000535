/* net/tls.h: TLS contexts for servers and channels. SPDX-License-Identifier: Apache-2.0
 *
 * ALPN is always `h2`: the official client drops a connection without it. TLS 1.2 is the least. */
#ifndef FLOE_NET_TLS_H
#define FLOE_NET_TLS_H

#include "base/err.h"
#include "base/stamp.h"

#include <openssl/types.h>

/* A certificate chain and its key, in PEM files. */
typedef struct tls_files {
  char *cert, *key;
  stamp cert_stamp, key_stamp;
} tls_files;

void tls_files_init(tls_files *f, const char *cert, const char *key);
bool tls_files_changed(tls_files *f); /* since the last time, or since the start */
void tls_files_say(const tls_files *f, rc reloaded, const err *e); /* to the log */
void tls_files_deinit(tls_files *f);

/* PEM paths; client_ca NULL: clients need no certificate. Free with SSL_CTX_free. Certificate and
 * key are read again when a handshake finds them changed; a pair that is wrong then changes nothing
 * but the log. */
MUST_CHECK rc tls_server_context(const char *cert_file, const char *key_file, const char *client_ca,
                                 SSL_CTX **out, err *e);
/* ca_file NULL: the system's roots. */
MUST_CHECK rc tls_client_context(const char *ca_file, SSL_CTX **out, err *e);

#endif
