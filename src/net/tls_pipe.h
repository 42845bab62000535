/* net/tls_pipe.h: plain bytes ⇄ TLS records, without a socket. SPDX-License-Identifier: Apache-2.0
 *
 * Private to net/. Cipher bytes go in with tls_pipe_feed, cipher bytes to send collect in
 * tls_pipe_out. Keeps no buffer of its own while nothing is under way. */
#ifndef FLOE_NET_TLS_PIPE_H
#define FLOE_NET_TLS_PIPE_H

#include "base/buf.h"
#include "base/err.h"

#include <openssl/types.h>
#include <stdbool.h>

typedef struct tls_pipe tls_pipe;
typedef rc (*tls_pipe_plain)(void *arg, const uint8_t *data, size_t len, err *e);

/* `host` NULL: the server's side. Else a name or literal address the certificate must be for. */
MUST_CHECK rc tls_pipe_new(SSL_CTX *ctx, const char *host, tls_pipe **out, err *e);
/* Gives all plain bytes that `data` completes to on_plain. With no data it starts a handshake. */
MUST_CHECK rc tls_pipe_feed(tls_pipe *p, const uint8_t *data, size_t len, tls_pipe_plain on_plain,
                            void *arg, err *e);
MUST_CHECK rc tls_pipe_send(tls_pipe *p, const uint8_t *plain, size_t len, err *e); /* when up */
void tls_pipe_end(tls_pipe *p);      /* close_notify, if the handshake was done */
bool tls_pipe_up(const tls_pipe *p); /* the handshake is done, and both sides speak h2 */
buf *tls_pipe_out(tls_pipe *p);      /* the caller sends it and empties it */
void tls_pipe_free(tls_pipe *p);     /* NULL is fine */

#endif
