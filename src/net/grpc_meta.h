/* net/grpc_meta.h: what gRPC writes into HTTP/2 headers. SPDX-License-Identifier: Apache-2.0
 *
 * Private to net/. Pure functions on text. The sizes keep a header block, all three status
 * headers included, under the 16 KiB that the official client accepts. */
#ifndef FLOE_NET_GRPC_META_H
#define FLOE_NET_GRPC_META_H

#include "base/err.h"

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  GRPC_MESSAGE_MOST = 4096, /* grpc-message, encoded */
  GRPC_DETAILS_MOST = 8192, /* details, before base64 */
  GRPC_DETAILS_SIZE = GRPC_DETAILS_MOST / 3 * 4 + 8,
  GRPC_TIMEOUT_SIZE = 16
};

/* A header whose strings nghttp2 copies when it is submitted. */
nghttp2_nv grpc_header(const char *name, const char *value);

/* Percent-encoding. What does not fit is cut between characters; bytes that are not UTF-8 become
 * '?', because a client may refuse the whole status for one of them. */
void grpc_message_encode(const char *text, char out[GRPC_MESSAGE_MOST + 1]);
void grpc_message_decode(const uint8_t *text, size_t len, char out[GRPC_MESSAGE_MOST + 1]);

/* Base64 without padding; cut between characters. */
void grpc_details_encode(const char *text, char out[GRPC_DETAILS_SIZE]);

void grpc_timeout_print(unsigned ms, char out[GRPC_TIMEOUT_SIZE]); /* rounded up */
bool grpc_timeout_parse(const uint8_t *text, size_t len, uint64_t *ms);

/* "application/grpc", with or without "+proto" or parameters. */
bool grpc_is_content_type(const uint8_t *text, size_t len);

/* What a response without a gRPC status means. */
rc grpc_rc_from_http(int http_status);
rc grpc_rc_from_h2(uint32_t error_code);

#endif
