/* net/http_log.h: what the log says of requests that the HTTP servers refuse.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Private to net/. No paths and no headers: they may hold secrets. */
#ifndef FLOE_NET_HTTP_LOG_H
#define FLOE_NET_HTTP_LOG_H

#include <stdarg.h>

/* Ours: a status from 400 on. */
void http_log_answer(unsigned status);
/* The library's, of what is no HTTP; with MHD_USE_ERROR_LOG its MHD_OPTION_EXTERNAL_LOGGER, which
 * stands before all other options. */
void http_log_peer(void *arg, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif
