/* conf/values.c: see values.h. SPDX-License-Identifier: Apache-2.0 */
#include "conf/values.h"

#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

__extension__ typedef __int128 wide; /* a count of 18 digits times any unit fits */

typedef struct span { /* a view into the caller's text, without the white space around it */
  const char *at, *end;
} span;

static span trimmed(const char *text, size_t len) {
  span s = {text, text + len};
  while (s.at < s.end && isspace((unsigned char)*s.at)) s.at++;
  while (s.end > s.at && isspace((unsigned char)s.end[-1])) s.end--;
  return s;
}

static size_t span_len(span s) {
  return (size_t)(s.end - s.at);
}

static bool span_is(span s, const char *word) {
  return strlen(word) == span_len(s) && !strncasecmp(s.at, word, span_len(s));
}

static span skip_space(span s) {
  while (s.at < s.end && isspace((unsigned char)*s.at)) s.at++;
  return s;
}

value_shown value_show(const char *text) {
  value_shown shown;
  size_t most = sizeof shown.s - sizeof "...", n = 0;
  for (; text[n] && n < most; n++) shown.s[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
  strcpy(shown.s + n, text[n] ? "..." : "");
  return shown;
}

#define FOUND(text) value_show(text).s

/* ---- numbers -------------------------------------------------------------------------------- */

typedef struct number {
  int64_t whole;
  int64_t nano; /* the fraction, in 1e-9 */
  bool fraction;
} number;

static bool take_digits(span *s, int most, int64_t *out, int *count) {
  *out = 0;
  *count = 0;
  for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++) {
    if (++*count > most) return false;
    *out = *out * 10 + (*s->at - '0');
  }
  return *count > 0;
}

/* Digits, and if a point follows (for ISO 8601 a comma as well) one to nine more. */
static bool take_number(span *s, const char *points, number *out) {
  int count;
  *out = (number){0};
  if (!take_digits(s, 18, &out->whole, &count)) return false;
  if (s->at == s->end || !strchr(points, *s->at) || !*s->at) return true;
  s->at++;
  out->fraction = true;
  if (!take_digits(s, 9, &out->nano, &count)) return false;
  for (; count < 9; count++) out->nano *= 10;
  return true;
}

static wide times(number n, int64_t unit) {
  return (wide)n.whole * unit + (wide)n.nano * unit / 1000000000;
}

rc value_bool(const char *text, bool *out, err *e) {
  static const struct {
    const char *word;
    bool value;
  } words[] = {{"true", true},   {"1", true},  {"yes", true},
               {"false", false}, {"0", false}, {"no", false}};
  span s = trimmed(text, strlen(text));
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (span_is(s, words[i].word)) {
      *out = words[i].value;
      return RC_OK;
    }
  return ERR(e, RC_INVALID, "expected true or false, found \"%s\"", FOUND(text));
}

/* Helm prints large integers as 1.048576e+08. Beyond 2^53 such a text no longer says which. */
static bool whole_float(const char *text, int64_t *out) {
  if (strspn(text, "0123456789+-.eE") != strlen(text)) return false;
  char *end;
  double d = strtod(text, &end);
  if (*end || end == text || !(fabs(d) <= 9007199254740992.0) || d != floor(d)) return false;
  *out = (int64_t)d;
  return true;
}

rc value_integer(const char *text, int64_t *out, err *e) {
  span s = trimmed(text, strlen(text));
  char digits[32], *end;
  if (s.at < s.end && span_len(s) < sizeof digits) {
    memcpy(digits, s.at, span_len(s));
    digits[span_len(s)] = '\0';
    errno = 0;
    long long n = strtoll(digits, &end, 10);
    if (!*end && !errno) {
      *out = n;
      return RC_OK;
    }
    if (whole_float(digits, out)) return RC_OK;
  }
  return ERR(e, RC_INVALID, "expected a whole number, found \"%s\"", FOUND(text));
}

/* k, Ki, kB, KiB …: a power of 1000 or of 1024. */
static bool bytes_unit(span s, int64_t *out) {
  static const char letters[] = "KMGTP";
  *out = 1;
  if (s.at == s.end || span_is(s, "B")) return true;
  const char *letter = strchr(letters, *s.at == 'k' ? 'K' : *s.at);
  if (!letter || !*letter) return false;
  s.at++;
  bool binary = s.at < s.end && *s.at == 'i';
  if (binary) s.at++;
  for (const char *l = letters; l <= letter; l++) *out *= binary ? 1024 : 1000;
  return s.at == s.end || (s.end - s.at == 1 && *s.at == 'B');
}

rc value_bytes(const char *text, int64_t *out, err *e) {
  if (value_integer(text, out, NULL) == RC_OK) return RC_OK;
  span s = trimmed(text, strlen(text));
  number n;
  int64_t unit;
  if (take_number(&s, ".", &n) && bytes_unit(skip_space(s), &unit) && times(n, unit) <= INT64_MAX) {
    *out = (int64_t)times(n, unit);
    return RC_OK;
  }
  return ERR(e, RC_INVALID,
             "expected a size such as 4GiB, \"512 MB\" or a number of bytes, found \"%s\"",
             FOUND(text));
}

rc value_cores(const char *text, double *out, err *e) {
  span s = trimmed(text, strlen(text));
  number n;
  if (take_number(&s, ".", &n)) {
    double cores = (double)n.whole + (double)n.nano / 1e9;
    if (s.at == s.end || span_is(s, "m")) {
      *out = s.at == s.end ? cores : cores / 1000;
      return RC_OK;
    }
  }
  return ERR(e, RC_INVALID, "expected cores such as \"2\", \"1.5\" or \"500m\", found \"%s\"",
             FOUND(text));
}

/* ---- durations ------------------------------------------------------------------------------ */

enum { LARGEST_WITH_FRACTION = 2 }; /* hours: half a day is written 12h */

static const struct {
  int64_t ns;
  char iso;          /* 0: ISO 8601 has none */
  const char *words; /* between blanks */
} UNITS[] = {
    {604800000000000, 'W', " weeks week wks wk w "},
    {86400000000000, 'D', " days day d "},
    {3600000000000, 'H', " hours hour hrs hr h "},
    {60000000000, 'M', " minutes minute mins min m "},
    {1000000000, 'S', " seconds second secs sec s "},
    {1000000, 0, " milliseconds millisecond millis milli msecs msec ms "},
    {1000, 0, " microseconds microsecond micros micro usecs usec us µs μs "},
    {1, 0, " nanoseconds nanosecond nanos nano nsecs nsec ns "},
};
enum { N_UNITS = sizeof UNITS / sizeof *UNITS };

static int find_word(span s) {
  char word[16];
  if (s.at == s.end || span_len(s) + 3 > sizeof word) return N_UNITS;
  snprintf(word, sizeof word, " %.*s ", (int)span_len(s), s.at);
  int i = 0;
  while (i < N_UNITS && !strstr(UNITS[i].words, word)) i++;
  return i;
}

/* From `from` on: units come from large to small, each once. A fraction ends the duration. */
static bool add(wide *total, number n, int unit, int from, bool last) {
  if (unit >= N_UNITS || unit < from) return false;
  if (n.fraction && (!last || unit < LARGEST_WITH_FRACTION)) return false;
  *total += times(n, UNITS[unit].ns);
  return true;
}

/* 8h0m0s, 5 secs, "1 hour, 30 minutes" */
static bool friendly_duration(span s, wide *total) {
  int from = 0;
  do {
    number n;
    if (!take_number(&s, ".", &n)) return false;
    s = skip_space(s);
    span word = s;
    while (s.at < s.end && (isalpha((unsigned char)*s.at) || (*s.at & 0x80))) s.at++;
    word.end = s.at;
    s = skip_space(s);
    int unit = find_word(word);
    if (!add(total, n, unit, from, s.at == s.end)) return false;
    from = unit + 1;
    bool comma = s.at < s.end && *s.at == ',';
    if (comma) s.at++;
    s = skip_space(s);
    if (comma && s.at == s.end) return false;
  } while (s.at < s.end);
  return true;
}

/* P1DT2H, PT5S, pt1.5s. Years and months have no fixed length. */
static bool iso_duration(span s, wide *total) {
  int from = 0;
  bool time = false;
  s.at++;
  if (s.at == s.end) return false;
  while (s.at < s.end) {
    if (!time && toupper((unsigned char)*s.at) == 'T') {
      time = true;
      from = LARGEST_WITH_FRACTION;
      if (++s.at == s.end) return false;
    }
    number n;
    if (!take_number(&s, ".,", &n) || s.at == s.end) return false;
    int unit = 0, upper = toupper((unsigned char)*s.at++);
    while (unit < N_UNITS && UNITS[unit].iso != upper) unit++;
    if (!time && unit >= LARGEST_WITH_FRACTION) return false;
    if (!add(total, n, unit, from, s.at == s.end)) return false;
    from = unit + 1;
  }
  return true;
}

rc value_duration_ms(const char *text, int64_t *out, err *e) {
  span s = trimmed(text, strlen(text));
  wide ns = 0;
  bool iso = s.at < s.end && toupper((unsigned char)*s.at) == 'P';
  if ((iso ? iso_duration(s, &ns) : friendly_duration(s, &ns)) && ns / 1000000 <= INT64_MAX) {
    *out = (int64_t)(ns / 1000000);
    return RC_OK;
  }
  return ERR(e, RC_INVALID,
             "expected a duration such as \"5s\", \"1 hour 30 minutes\" or \"PT5S\" "
             "(weeks to nanoseconds, large to small), found \"%s\"",
             FOUND(text));
}

/* ---- texts ---------------------------------------------------------------------------------- */

rc value_text(const char *text, char **out, err *e) {
  span s = trimmed(text, strlen(text));
  if (span_len(s) > VALUE_MAX_BYTES)
    return ERR(e, RC_INVALID, "expected at most %d bytes, found %zu", VALUE_MAX_BYTES, span_len(s));
  *out = s.at == s.end ? NULL : mem_strndup(s.at, span_len(s));
  return RC_OK;
}

rc value_folder(const char *text, char **out, err *e) {
  span s = trimmed(text, strlen(text));
  if (s.at == s.end || *s.at != '/')
    return ERR(e, RC_INVALID, "expected an absolute path such as /var/lib/floe, found \"%s\"",
               FOUND(text));
  return value_text(text, out, e);
}

rc value_token(const char *text, size_t len, char **out, err *e) {
  span s = trimmed(text, len);
  if (s.at == s.end) return ERR(e, RC_INVALID, "expected a token, found nothing");
  if (span_len(s) > VALUE_MAX_TOKEN_BYTES)
    return ERR(e, RC_INVALID, "expected a token of at most %d bytes, found %zu",
               VALUE_MAX_TOKEN_BYTES, span_len(s));
  for (const char *c = s.at; c < s.end; c++)
    if (*c <= ' ' || *c > '~')
      return ERR(e, RC_INVALID,
                 "expected a token of visible ASCII characters, found another one at byte %td",
                 c - s.at + 1);
  *out = mem_strndup(s.at, span_len(s));
  return RC_OK;
}

rc value_log_level(const char *text, char **out, err *e) {
  span s = trimmed(text, strlen(text));
  char word[8] = "";
  if (span_len(s) < sizeof word) memcpy(word, s.at, span_len(s));
  if (!strcasecmp(word, "off")) strcpy(word, "error"); /* errors are always logged */
  log_level ignored;
  if (!log_level_parse(word, &ignored))
    return ERR(e, RC_INVALID, "expected off, error, warn, info, debug or trace, found \"%s\"",
               FOUND(text));
  *out = mem_strdup(word);
  return RC_OK;
}

/* ---- addresses ------------------------------------------------------------------------------ */

static bool is_name_char(char c) {
  return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.';
}

/* A literal or a name. What is made of digits and points only is meant as a literal. */
static bool take_host(span s, char **out) {
  char host[254];
  unsigned char binary[sizeof(struct in6_addr)];
  if (s.at == s.end || span_len(s) >= sizeof host) return false;
  memcpy(host, s.at, span_len(s));
  host[span_len(s)] = '\0';
  bool literal = inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1;
  bool name = strspn(host, "0123456789.") != strlen(host) && *host != '.' && *host != '-';
  for (const char *c = host; *c; c++) name &= is_name_char(*c);
  if (!literal && !name) return false;
  *out = mem_strdup(host);
  return true;
}

static bool take_port(span s, int *out) {
  int64_t port;
  int count;
  if (!take_digits(&s, 5, &port, &count) || s.at != s.end || port < 1 || port > 65535) return false;
  *out = (int)port;
  return true;
}

rc value_host(const char *text, char **out, err *e) {
  if (take_host(trimmed(text, strlen(text)), out)) return RC_OK;
  return ERR(e, RC_INVALID, "expected an IP address or a host name, found \"%s\"", FOUND(text));
}

rc value_port(const char *text, int *out, err *e) {
  if (take_port(trimmed(text, strlen(text)), out)) return RC_OK;
  return ERR(e, RC_INVALID, "expected a port from 1 to 65535, found \"%s\"", FOUND(text));
}

/* Cuts "host:port" into its parts; empty: the part is not there. False: the form is wrong. */
static bool cut_address(span s, span *host, span *port) {
  *host = s;
  *port = (span){s.end, s.end};
  if (s.at < s.end && *s.at == '[') {
    const char *close = memchr(s.at, ']', span_len(s));
    if (!close || close == s.at + 1) return false;
    *host = (span){s.at + 1, close};
    if (!memchr(host->at, ':', span_len(*host))) return false;
    if (close + 1 == s.end) return true;
    *port = (span){close + 2, s.end};
    return close[1] == ':' && close + 2 < s.end;
  }
  const char *colon = memchr(s.at, ':', span_len(s));
  if (!colon || memchr(colon + 1, ':', (size_t)(s.end - colon - 1))) return s.at < s.end;
  host->end = colon;
  port->at = colon + 1;
  return port->at < s.end;
}

rc value_address(const char *text, conf_address *out, err *e) {
  span host, port;
  char *new_host = NULL;
  int new_port = 0;
  bool ok = cut_address(trimmed(text, strlen(text)), &host, &port);
  ok = ok && (port.at == port.end || take_port(port, &new_port));
  ok = ok && (host.at == host.end || take_host(host, &new_host));
  if (!ok)
    return ERR(e, RC_INVALID,
               "expected ip, ip:port, :port, [ipv6]:port or hostname:port, with a port from 1 to "
               "65535, found \"%s\"",
               FOUND(text));
  if (new_port) out->port = new_port;
  if (new_host) {
    free(out->host);
    out->host = new_host;
  }
  return RC_OK;
}
