/* net/peer_access.h: what the processes of a cluster show each other. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A token says who may call; a certificate, if there is one, who answers, and nobody else reads
 * along. All ports that only the cluster uses (5050, 5049, 5052, 5053) are served with the same
 * certificate; whoever connects proves it with the CA of the cluster. */
#ifndef FLOE_NET_PEER_ACCESS_H
#define FLOE_NET_PEER_ACCESS_H

#include "base/err.h"
#include "net/grpc_client.h"
#include "net/grpc_server.h"

typedef struct peer_access { /* zeroed: everybody may call, in the clear; texts are borrowed */
  const char *token;
  const char *certificate_file, *key_file, *ca_file; /* PEM; all, or none: no TLS */
  const char *name;         /* that certificates bear; NULL: the address that was connected to */
  SSL_CTX *server, *client; /* of peer_access_open */
} peer_access;

/* Reads the files that are named. peer_access_close also after a failure. */
MUST_CHECK rc peer_access_open(peer_access *a, err *e);
void peer_access_close(peer_access *a);

/* `a` NULL: as if zeroed. It must outlive the server or the channel. */
void peer_access_serve(const peer_access *a, grpc_server_config *config);
void peer_access_call(const peer_access *a, grpc_channel_config *config);

#endif
