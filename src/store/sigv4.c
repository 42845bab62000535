/* store/sigv4.c: see sigv4.h. SPDX-License-Identifier: Apache-2.0
 *
 * The recipe: a canonical form of the request is hashed, the hash goes into a "string to sign",
 * and that is signed with a key derived from the secret, the day, the region and the service. */
#include "store/sigv4.h"

#include "store/signing.h"

#include <ctype.h>
#include <openssl/sha.h>
#include <string.h>
#include <time.h>

#define SCHEME_HTTP "http://"
#define SCHEME_HTTPS "https://"

typedef struct endpoint {
  buf origin; /* "https://host:9000": lower case, the scheme's own port left out */
  const char *host;
  const char *prefix; /* "" or "/prefix"; points into the caller's text */
} endpoint;

/* As every HTTP client writes the Host header: that is what the server checks. */
static rc split_endpoint(const char *text, endpoint *out, err *e) {
  bool tls = strncasecmp(text, SCHEME_HTTPS, sizeof SCHEME_HTTPS - 1) == 0;
  const char *scheme = tls ? SCHEME_HTTPS : SCHEME_HTTP;
  if (strncasecmp(text, scheme, strlen(scheme)) != 0)
    return ERR(e, RC_INVALID, "expected an endpoint \"http(s)://host[:port]\", found \"%s\"", text);
  const char *host = text + strlen(scheme);
  size_t host_len = strcspn(host, "/");
  if (host_len == 0 || strcspn(text, "?#@ ") != strlen(text))
    return ERR(e, RC_INVALID,
               "expected an endpoint \"http(s)://host[:port]\", found one with no host, or with a "
               "user, a query or a blank");
  out->prefix = host + host_len;
  const char *port = tls ? ":443" : ":80";
  size_t port_len = strlen(port);
  if (host_len > port_len && strncmp(out->prefix - port_len, port, port_len) == 0)
    host_len -= port_len;
  buf_puts(&out->origin, scheme);
  for (size_t i = 0; i < host_len; i++)
    buf_printf(&out->origin, "%c", tolower((unsigned char)host[i]));
  out->host = buf_text(&out->origin) + strlen(scheme);
  return RC_OK;
}

typedef struct signing {
  char time[17], day[9]; /* "20130524T000000Z", "20130524" */
  buf scope, path, query, canonical, to_sign;
} signing;

static void signing_deinit(signing *s) {
  buf_deinit(&s->scope);
  buf_deinit(&s->path);
  buf_deinit(&s->query);
  buf_deinit(&s->canonical);
  buf_deinit(&s->to_sign);
}

static void put_path(signing *s, const endpoint *at, const char *path) {
  size_t prefix_len = strlen(at->prefix);
  while (prefix_len > 0 && at->prefix[prefix_len - 1] == '/') prefix_len--;
  buf raw = {0};
  buf_printf(&raw, "%.*s%s", (int)prefix_len, at->prefix, path);
  signing_put_encoded(&s->path, buf_text(&raw), true);
  buf_deinit(&raw);
}

/* The parameters stand in the order of their names, as the canonical form wants them. */
static void put_query(signing *s, const sigv4_credentials *c, uint32_t expires_s) {
  buf credential = {0};
  buf_printf(&credential, "%s/%s", c->access_key_id, buf_text(&s->scope));
  buf_puts(&s->query, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=");
  signing_put_encoded(&s->query, buf_text(&credential), false);
  buf_printf(&s->query, "&X-Amz-Date=%s&X-Amz-Expires=%u", s->time, expires_s);
  if (c->session_token) {
    buf_puts(&s->query, "&X-Amz-Security-Token=");
    signing_put_encoded(&s->query, c->session_token, false);
  }
  buf_puts(&s->query, "&X-Amz-SignedHeaders=host");
  buf_deinit(&credential);
}

static void put_string_to_sign(signing *s, const char *method, const char *host) {
  signing_digest hash;
  buf_printf(&s->canonical, "%s\n%s\n%s\nhost:%s\n\nhost\nUNSIGNED-PAYLOAD", method,
             buf_text(&s->path), buf_text(&s->query), host);
  SHA256(s->canonical.data, s->canonical.len, hash.bytes);
  buf_printf(&s->to_sign, "AWS4-HMAC-SHA256\n%s\n%s\n", s->time, buf_text(&s->scope));
  signing_put_hex(&s->to_sign, &hash);
}

static rc sign(const signing *s, const sigv4_credentials *c, const char *region,
               signing_digest *out, err *e) {
  buf secret = {0};
  buf_printf(&secret, "AWS4%s", c->secret_access_key);
  rc r = signing_hmac(secret.data, secret.len, s->day, out, e);
  buf_deinit(&secret);
  TRY(r);
  TRY(signing_hmac(out->bytes, sizeof out->bytes, region, out, e));
  TRY(signing_hmac(out->bytes, sizeof out->bytes, "s3", out, e));
  TRY(signing_hmac(out->bytes, sizeof out->bytes, "aws4_request", out, e));
  return signing_hmac(out->bytes, sizeof out->bytes, buf_text(&s->to_sign), out, e);
}

rc sigv4_presign(const sigv4_credentials *c, const sigv4_request *r, buf *out, err *e) {
  if (r->expires_s == 0 || r->expires_s > SIGV4_MAX_EXPIRES_S)
    return ERR(e, RC_INVALID, "expected a URL to be valid for 1 … %d s (7 days), found %u s",
               SIGV4_MAX_EXPIRES_S, r->expires_s);
  endpoint at = {0};
  signing s = {0};
  signing_digest signature;
  time_t seconds = (time_t)(r->wall_us / 1000000);
  struct tm utc;
  gmtime_r(&seconds, &utc);
  strftime(s.time, sizeof s.time, "%Y%m%dT%H%M%SZ", &utc);
  strftime(s.day, sizeof s.day, "%Y%m%d", &utc);

  rc result = split_endpoint(r->endpoint, &at, e);
  if (result == RC_OK) {
    buf_printf(&s.scope, "%s/%s/s3/aws4_request", s.day, r->region);
    put_path(&s, &at, r->path);
    put_query(&s, c, r->expires_s);
    put_string_to_sign(&s, r->method, at.host);
    result = sign(&s, c, r->region, &signature, e);
  }
  if (result == RC_OK) {
    buf_printf(out, "%s%s?%s&X-Amz-Signature=", buf_text(&at.origin), buf_text(&s.path),
               buf_text(&s.query));
    signing_put_hex(out, &signature);
  }
  signing_deinit(&s);
  buf_deinit(&at.origin);
  return result;
}
