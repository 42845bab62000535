/* net/http_log.c: see http_log.h. SPDX-License-Identifier: Apache-2.0 */
#include "net/http_log.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

void http_log_answer(unsigned status) {
  if (status < 400 || !log_enabled(LOG_LEVEL_DEBUG)) return;
  char text[16];
  snprintf(text, sizeof text, "%u", status);
  LOG_DEBUG("request refused", "status", text);
}

void http_log_peer(void *arg, const char *format, va_list args) {
  (void)arg;
  if (!log_enabled(LOG_LEVEL_DEBUG)) return;
  char text[256];
  vsnprintf(text, sizeof text, format, args);
  text[strcspn(text, "\r\n")] = '\0';
  LOG_DEBUG("request refused", "why", text);
}
