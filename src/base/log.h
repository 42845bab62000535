/* base/log.h: one JSON line for each record, on stderr. SPDX-License-Identifier: Apache-2.0
 *
 *   LOG_INFO("worker registered", "worker", name, "slots", "2");
 *
 * Keys and values are C strings in pairs; values are escaped. Secrets never go in. */
#ifndef FLOE_BASE_LOG_H
#define FLOE_BASE_LOG_H

#include "base/err.h"

typedef enum log_level {
  LOG_LEVEL_ERROR,
  LOG_LEVEL_WARN,
  LOG_LEVEL_INFO,
  LOG_LEVEL_DEBUG
} log_level;

/* `component` is put on every line ("scheduler", "worker-0"); borrowed for the process's life. */
void log_init(log_level most, const char *component);
bool log_level_parse(const char *text, log_level *out); /* error warn info debug trace, any case */
bool log_enabled(log_level level);
void log_write(log_level level, const char *message, ...) __attribute__((sentinel));

#define LOG_ERROR(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__, (const char *)0)
#define LOG_WARN(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__, (const char *)0)
#define LOG_INFO(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__, (const char *)0)
#define LOG_DEBUG(...)                                                                             \
  do {                                                                                             \
    if (log_enabled(LOG_LEVEL_DEBUG)) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__, (const char *)0);    \
  } while (0)

#endif
