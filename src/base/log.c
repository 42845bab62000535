/* base/log.c: see log.h. A record is written with one write(2), so lines of processes that share a
 * terminal do not mix. SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static const char *const LEVEL_NAMES[] = {"error", "warn", "info", "debug"};
static log_level most_shown = LOG_LEVEL_INFO;
static const char *component_name = "floe";

void log_init(log_level most, const char *component) {
  most_shown = most;
  component_name = component;
}

bool log_level_parse(const char *text, log_level *out) {
  if (!strcasecmp(text, "trace")) {
    *out = LOG_LEVEL_DEBUG;
    return true;
  }
  if (!strcasecmp(text, "warning")) text = "warn";
  for (unsigned i = 0; i < sizeof LEVEL_NAMES / sizeof *LEVEL_NAMES; i++)
    if (!strcasecmp(text, LEVEL_NAMES[i])) {
      *out = (log_level)i;
      return true;
    }
  return false;
}

bool log_enabled(log_level level) {
  return level <= most_shown;
}

static void put_string(buf *b, const char *s) {
  buf_puts(b, "\"");
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\')
      buf_printf(b, "\\%c", c);
    else if (c < 0x20)
      buf_printf(b, "\\u%04x", c);
    else
      buf_printf(b, "%c", c);
  }
  buf_puts(b, "\"");
}

static void put_time(buf *b) {
  int64_t us = clock_wall_us();
  time_t s = (time_t)(us / 1000000);
  struct tm tm;
  gmtime_r(&s, &tm);
  char text[32];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
  buf_printf(b, "{\"time\":\"%s.%06dZ\"", text, (int)(us % 1000000));
}

void log_write(log_level level, const char *message, ...) {
  if (!log_enabled(level)) return;
  buf b = {0};
  put_time(&b);
  buf_printf(&b, ",\"level\":\"%s\",\"component\":", LEVEL_NAMES[level]);
  put_string(&b, component_name);
  buf_puts(&b, ",\"message\":");
  put_string(&b, message);
  va_list ap;
  va_start(ap, message);
  for (const char *key; (key = va_arg(ap, const char *)) != NULL;) {
    const char *value = va_arg(ap, const char *);
    buf_puts(&b, ",");
    put_string(&b, key);
    buf_puts(&b, ":");
    put_string(&b, value ? value : "");
    if (!value) break; /* an odd count, or a NULL value: the list ends here */
  }
  va_end(ap);
  buf_puts(&b, "}\n");
  ssize_t ignored = write(STDERR_FILENO, b.data, b.len);
  (void)ignored;
  buf_deinit(&b);
}
