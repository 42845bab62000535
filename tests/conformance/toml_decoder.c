/* tests/conformance/toml_decoder.c: TOML on standard input → the tagged JSON of toml-test on
 * standard output; exit 1 when the document is refused. SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "conf/toml.h"

#include <stdio.h>
#include <unistd.h>

static const char *tag(toml_type type) {
  static const char *const tags[] = {
#define X(name, tag, words) tag,
      TOML_TYPE_TABLE(X)
#undef X
  };
  return tags[type];
}

static void put_string(toml_text t) {
  putchar('"');
  for (size_t i = 0; i < t.len; i++) {
    unsigned char c = (unsigned char)t.bytes[i];
    if (c < ' ' || c == '"' || c == '\\')
      printf("\\u%04x", c);
    else
      putchar(c);
  }
  putchar('"');
}

/* Prints node `at` and what is in it; returns the index of the node after that. */
static size_t put_node(const toml_document *doc, size_t at) {
  const toml_node *node = &doc->nodes[at++];
  if (node->text.bytes) {
    printf("{\"type\":\"%s\",\"value\":", tag(node->type));
    put_string(node->text);
    putchar('}');
    return at;
  }
  putchar(node->type == TOML_TABLE ? '{' : '[');
  for (size_t first = at; at < doc->len && doc->nodes[at].depth > node->depth;) {
    if (at > first) putchar(',');
    if (doc->nodes[at].key.bytes) {
      put_string(doc->nodes[at].key);
      putchar(':');
    }
    at = put_node(doc, at);
  }
  putchar(node->type == TOML_TABLE ? '}' : ']');
  return at;
}

static rc decode(buf *in, err *e) {
  ssize_t n = 1;
  while (n > 0) {
    TRY(buf_reserve(in, 65536, e));
    n = read(STDIN_FILENO, in->data + in->len, 65536);
    if (n > 0) in->len += (size_t)n;
  }
  toml_document doc;
  TRY(toml_parse((const char *)in->data, in->len, &doc, e));
  put_node(&doc, 0);
  toml_deinit(&doc);
  return RC_OK;
}

int main(void) {
  buf in = {0};
  err e = {0};
  rc r = decode(&in, &e);
  if (r != RC_OK) fprintf(stderr, "%s\n", e.text);
  buf_deinit(&in);
  return r != RC_OK;
}
