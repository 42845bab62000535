/* net/peer_access.c: see peer_access.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/peer_access.h"

#include "net/tls.h"

#include <openssl/ssl.h>

rc peer_access_open(peer_access *a, err *e) {
  if (!a->certificate_file) return RC_OK;
  TRY(tls_server_context(a->certificate_file, a->key_file, NULL, &a->server, e));
  return tls_client_context(a->ca_file, &a->client, e);
}

void peer_access_close(peer_access *a) {
  SSL_CTX_free(a->server);
  SSL_CTX_free(a->client);
  a->server = a->client = NULL;
}

void peer_access_serve(const peer_access *a, grpc_server_config *config) {
  if (!a) return;
  config->token = a->token;
  config->tls = a->server;
}

void peer_access_call(const peer_access *a, grpc_channel_config *config) {
  if (!a) return;
  config->token = a->token;
  config->tls = a->client;
  config->tls_name = a->name;
}
