/* conf/toml.cpp: see toml.h. The only C++ file: toml++ behind a C interface, compiled in here (its
 * header-only form), so that no shared library is needed and its bounds are ours. No exception
 * leaves this file. SPDX-License-Identifier: Apache-2.0 */
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
/* Some of its assertions do not hold for bad input ("[!]"), where the code after them reports the
 * error properly. Without NDEBUG, so that no build turns them into promises to the compiler. */
#undef NDEBUG
#define TOML_ASSERT(expr) static_assert(true)

extern "C" {
#include "conf/toml.h"
}
#define TOML_MAX_NESTED_VALUES TOML_MAX_NESTED
/* toml++ 3.3.0 takes it that no space is near "§" and calls the place where it gets to unreachable,
 * which is undefined behaviour; the answer there is "not a space". */
#include <toml++/impl/forward_declarations.h>
#undef TOML_UNREACHABLE
#define TOML_UNREACHABLE return false
#include <toml++/impl/unicode.h>
#undef TOML_UNREACHABLE
#define TOML_UNREACHABLE __builtin_unreachable()
#include <toml++/toml.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace {

/* Where the string that starts at `at` ends: past its last quote, or at the line's or text's
 * end. */
size_t skip_string(std::string_view s, size_t at) {
  const char quote = s[at];
  const bool many_lines = s.substr(at, 3) == std::string(3, quote);
  const std::string_view end = many_lines ? s.substr(at, 3) : s.substr(at, 1);
  for (at += end.size(); at < s.size(); at++) {
    if (quote == '"' && s[at] == '\\')
      at++;
    else if (!many_lines && s[at] == '\n')
      return at;
    else if (s.substr(at, end.size()) == end) {
      at += end.size();
      /* one or two quotes may stand right before the three that close */
      for (int i = 0; many_lines && i < 2 && at < s.size() && s[at] == quote; i++) at++;
      return at;
    }
  }
  return s.size();
}

/* toml++ bounds the nesting of values but not the dots of a key, and it frees what it made by
 * recursion: a key of 100,000 dots would overflow the stack. 0: none, else the line of such a key.
 * Dots are counted from the last character that cannot stand in a dotted key. */
int line_of_long_key(std::string_view s) {
  int line = 1, dots = 0;
  for (size_t at = 0; at < s.size();) {
    const char c = s[at];
    if (c == '"' || c == '\'') {
      const size_t end = skip_string(s, at);
      for (; at < end && at < s.size(); at++) line += s[at] == '\n';
      continue;
    }
    if (c == '#') {
      at = s.find('\n', at);
      if (at == s.npos) return 0;
      continue;
    }
    if (std::strchr("\n=,[]{}", c)) dots = 0;
    line += c == '\n';
    if (c == '.' && ++dots > TOML_MAX_DOTS) return line;
    at++;
  }
  return 0;
}

toml_text copy(std::string_view text) {
  char *bytes = static_cast<char *>(std::malloc(text.size() + 1));
  if (!bytes) throw std::bad_alloc();
  if (!text.empty()) std::memcpy(bytes, text.data(), text.size());
  bytes[text.size()] = '\0';
  return {bytes, text.size()};
}

template <typename... T> std::string print(const char *format, T... values) {
  char text[64];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string print(const toml::date &d) {
  return print("%04u-%02u-%02u", unsigned(d.year), unsigned(d.month), unsigned(d.day));
}

std::string print(const toml::time &t) {
  std::string text =
      print("%02u:%02u:%02u", unsigned(t.hour), unsigned(t.minute), unsigned(t.second));
  if (!t.nanosecond) return text;
  text += print(".%09u", unsigned(t.nanosecond));
  return text.erase(text.find_last_not_of('0') + 1);
}

std::string print(const toml::date_time &t) {
  std::string text = print(t.date) + "T" + print(t.time);
  if (!t.offset) return text;
  const int minutes = t.offset->minutes;
  if (!minutes) return text + "Z";
  return text + print("%c%02d:%02d", minutes < 0 ? '-' : '+', std::abs(minutes) / 60,
                      std::abs(minutes) % 60);
}

std::string print(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  return print("%.17g", d);
}

std::string print(bool b) {
  return b ? "true" : "false";
}
std::string print(int64_t i) {
  return std::to_string(i);
}
std::string print(const std::string &s) {
  return s;
}

toml_type type_of(const toml::node &node) {
  switch (node.type()) {
  case toml::node_type::table:
    return TOML_TABLE;
  case toml::node_type::array:
    return TOML_ARRAY;
  case toml::node_type::integer:
    return TOML_INTEGER;
  case toml::node_type::floating_point:
    return TOML_FLOAT;
  case toml::node_type::boolean:
    return TOML_BOOLEAN;
  case toml::node_type::date:
    return TOML_LOCAL_DATE;
  case toml::node_type::time:
    return TOML_LOCAL_TIME;
  case toml::node_type::date_time:
    return node.as_date_time()->get().offset ? TOML_DATE_TIME : TOML_LOCAL_DATE_TIME;
  default:
    return TOML_STRING;
  }
}

/* Recursion is bounded: (TOML_MAX_DOTS + 1) * (TOML_MAX_NESTED + 1), by line_of_long_key and
 * toml++. */
void flatten(const toml::node &node, const toml_text &key, unsigned depth, int parent_line,
             std::vector<toml_node> &out) {
  const int begin = static_cast<int>(node.source().begin.line);
  const int line = begin ? begin : parent_line;
  out.push_back({type_of(node), depth, line, key, {nullptr, 0}});
  const size_t self = out.size() - 1;
  node.visit([&](const auto &value) {
    using T = std::decay_t<decltype(value)>;
    if constexpr (toml::is_table<T>)
      for (const auto &[name, child] : value)
        flatten(child, copy(name.str()), depth + 1, line, out);
    else if constexpr (toml::is_array<T>)
      for (const auto &child : value) flatten(child, {nullptr, 0}, depth + 1, line, out);
    else
      out[self].text = copy(print(value.get()));
  });
}

/* toml++ quotes one character it stumbled on, or a key, or a number. Only numbers can be (part of)
 * a secret that lacks its quotes. */
std::string without_values(std::string_view description) {
  const size_t quote = description.find('\'');
  if (description.find("64 bits") != description.npos)
    return "a number is not representable in 64 bits";
  if (quote != description.npos && description.find("interpret") != description.npos)
    return "a number could not be read";
  return std::string(description);
}

rc parse(std::string_view bytes, toml_document *out, err *e) {
  if (const int line = line_of_long_key(bytes))
    return ERR(e, RC_INVALID, "%d: expected at most %d dots in a key", line, TOML_MAX_DOTS);
  const toml::parse_result result = toml::parse(bytes);
  if (!result) {
    const std::string text = without_values(result.error().description());
    return ERR(e, RC_INVALID, "%d: %s", static_cast<int>(result.error().source().begin.line),
               text.c_str());
  }
  std::vector<toml_node> nodes;
  flatten(result.table(), {nullptr, 0}, 0, 1, nodes);
  out->nodes = static_cast<toml_node *>(std::malloc(nodes.size() * sizeof(toml_node)));
  if (!out->nodes) throw std::bad_alloc();
  std::memcpy(out->nodes, nodes.data(), nodes.size() * sizeof(toml_node));
  out->len = nodes.size();
  return RC_OK;
}

} // namespace

extern "C" rc toml_parse(const char *bytes, size_t len, toml_document *out, err *e) {
  *out = {nullptr, 0};
  if (len > TOML_MAX_BYTES)
    return ERR(e, RC_INVALID, "1: expected at most %d bytes, found %zu", TOML_MAX_BYTES, len);
  try {
    return parse({bytes, len}, out, e);
  } catch (...) { /* std::bad_alloc: nothing else is thrown here */
    return ERR(e, RC_NO_MEMORY, "1: out of memory for a document of %zu bytes", len);
  }
}

extern "C" void toml_deinit(toml_document *document) {
  for (size_t i = 0; i < document->len; i++) {
    std::free(document->nodes[i].key.bytes);
    std::free(document->nodes[i].text.bytes);
  }
  std::free(document->nodes);
  *document = {nullptr, 0};
}
