/* store/result_url.c: see result_url.h. SPDX-License-Identifier: Apache-2.0 */
#include "store/result_url.h"

#include "store/location.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

rc result_url_key(const char *token, signing_digest *out, err *e) {
  if (token) return signing_hmac(token, strlen(token), "floe: URLs of results", out, e);
  if (RAND_bytes(out->bytes, sizeof out->bytes) == 1) return RC_OK;
  return ERR(e, RC_INTERNAL, "OpenSSL has no random bytes for the key of the URLs of results");
}

/* The worker's name comes last: whatever is in it, the other parts are what they are. */
static rc sign(const signing_digest *key, const result_part_id *p, buf *out, err *e) {
  buf text = {0};
  signing_digest signature;
  buf_printf(&text, "%s %" PRIu32 " %" PRIu64 " %" PRId64 " %s", uuid_print(p->query.u).s, p->part,
             p->bytes, p->expires_s, p->worker);
  rc r = signing_hmac(key->bytes, sizeof key->bytes, buf_text(&text), &signature, e);
  if (r == RC_OK) signing_put_hex(out, &signature);
  buf_deinit(&text);
  return r;
}

rc result_url_print(const signing_digest *key, const char *base, const result_part_id *p, buf *out,
                    err *e) {
  buf_printf(out, "%s" RESULT_URL_PATH "%s/%s?bytes=%" PRIu64 "&worker=", base,
             uuid_print(p->query.u).s, location_part(p->part).s, p->bytes);
  signing_put_encoded(out, p->worker, false);
  buf_printf(out, "&expires=%" PRId64 "&signature=", p->expires_s);
  return sign(key, p, out, e);
}

/* ---- checking ---- */

/* What is printed again as it was. */
static bool read_number(const char *text, uint64_t most, uint64_t *out) {
  char again[24], *end;
  if (!text) return false;
  *out = strtoull(text, &end, 10);
  snprintf(again, sizeof again, "%" PRIu64, *out);
  return *out <= most && !strcmp(again, text);
}

/* "/results/<query id>/part-00000.parquet" */
static bool read_path(const char *path, result_part_id *out) {
  static const char PREFIX[] = RESULT_URL_PATH, NAME[] = "/part-";
  size_t prefix = sizeof PREFIX - 1, name = prefix + ID_TEXT_LEN;
  char id[ID_TEXT_LEN + 1];
  if (strncmp(path, PREFIX, prefix) != 0 || strlen(path) < name ||
      strncmp(path + name, NAME, sizeof NAME - 1) != 0)
    return false;
  snprintf(id, sizeof id, "%s", path + prefix);
  unsigned long part = strtoul(path + name + sizeof NAME - 1, NULL, 10);
  if (!uuid_parse(id, &out->query.u) || part > UINT32_MAX) return false;
  out->part = (uint32_t)part;
  return !strcmp(uuid_print(out->query.u).s, id) &&
         !strcmp(location_part(out->part).s, path + name + 1);
}

static rc check_signature(const signing_digest *key, const char *found, const result_part_id *p,
                          err *e) {
  buf right = {0};
  rc r = sign(key, p, &right, e);
  if (r == RC_OK && (strlen(found) != right.len || CRYPTO_memcmp(found, right.data, right.len)))
    r = ERR(e, RC_DENIED, "the signature of this URL is not right");
  buf_deinit(&right);
  return r;
}

rc result_url_check(const signing_digest *key, const result_url_request *request, int64_t now_s,
                    result_part_id *out, err *e) {
  uint64_t expires;
  *out = (result_part_id){.worker = request->worker};
  if (!read_path(request->path, out)) return ERR(e, RC_NOT_FOUND, "not found");
  if (!request->worker || !request->signature ||
      !read_number(request->bytes, UINT64_MAX, &out->bytes) ||
      !read_number(request->expires, INT64_MAX, &expires))
    return ERR(e, RC_DENIED, "this URL has no signature");
  out->expires_s = (int64_t)expires;
  TRY(check_signature(key, request->signature, out, e));
  if (out->expires_s >= now_s) return RC_OK;
  return ERR(e, RC_DENIED, "this URL has expired; ask for the query's result again");
}
