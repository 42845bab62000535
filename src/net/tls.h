/* net/tls.h: TLS contexts for servers and channels. SPDX-License-Identifier: Apache-2.0
 *
 * ALPN is always `h2`: the official client drops a connection without it. TLS 1.2 is the least. */
#ifndef FLOE_NET_TLS_H
#define FLOE_NET_TLS_H

#include "base/err.h"

#include <openssl/types.h>

/* PEM paths; client_ca NULL: clients need no certificate. Free with SSL_CTX_free. */
MUST_CHECK rc tls_server_context(const char *cert_file, const char *key_file, const char *client_ca,
                                 SSL_CTX **out, err *e);
/* ca_file NULL: the system's roots. */
MUST_CHECK rc tls_client_context(const char *ca_file, SSL_CTX **out, err *e);

#endif
