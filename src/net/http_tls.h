/* net/http_tls.h: the certificate of an HTTP server, as libmicrohttpd's GnuTLS wants it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Private to net/. Read again when its files change; a pair that is wrong changes nothing but the
 * log. From any thread. */
#ifndef FLOE_NET_HTTP_TLS_H
#define FLOE_NET_HTTP_TLS_H

#include "base/err.h"

#include <microhttpd.h>

typedef struct http_tls http_tls;

MUST_CHECK rc http_tls_new(const char *cert_file, const char *key_file, http_tls **out, err *e);
/* Options of a daemon, none for NULL; the array lives as long as `t`. The daemon must make `t` the
 * socket context of each of its connections (MHD_OPTION_NOTIFY_CONNECTION). */
struct MHD_OptionItem *http_tls_options(http_tls *t);
void http_tls_free(http_tls *t); /* NULL is fine; when the daemon has stopped */

#endif
