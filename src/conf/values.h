/* conf/values.h: one text → one value. SPDX-License-Identifier: Apache-2.0
 *
 * The texts come from a TOML file or from a variable and may be anything. On failure `out` is as it
 * was; the error says what was expected and what was found, and not where: the caller knows. What
 * may be a secret (value_text, value_token) is never quoted. White space around a text is not part
 * of it. Strings that come out are the caller's to free. */
#ifndef FLOE_CONF_VALUES_H
#define FLOE_CONF_VALUES_H

#include "base/err.h"
#include "conf/conf.h"

#include <stddef.h>
#include <stdint.h>

#define VALUE_MAX_BYTES 65536      /* a text of the configuration */
#define VALUE_MAX_TOKEN_BYTES 4096 /* a token: it must fit into a request's headers */

MUST_CHECK rc value_bool(const char *text, bool *out, err *e);       /* true 1 yes, false 0 no */
MUST_CHECK rc value_integer(const char *text, int64_t *out, err *e); /* 104857600, 1.048576e+08 */
MUST_CHECK rc value_bytes(const char *text, int64_t *out, err *e);   /* 4GiB, 512 MB, 1.5Gi, 4096 */
MUST_CHECK rc value_duration_ms(const char *text, int64_t *out, err *e); /* 5 secs, 8h0m, PT5S */
MUST_CHECK rc value_cores(const char *text, double *out, err *e);        /* 500m, 2, 1.5 */
MUST_CHECK rc value_log_level(const char *text, char **out, err *e);
MUST_CHECK rc value_text(const char *text, char **out, err *e);   /* "" gives NULL: not set */
MUST_CHECK rc value_folder(const char *text, char **out, err *e); /* an absolute path */
MUST_CHECK rc value_token(const char *text, size_t len, char **out, err *e);
MUST_CHECK rc value_host(const char *text, char **out, err *e);
MUST_CHECK rc value_port(const char *text, int *out, err *e);
/* Sets the parts that the text has; a part that it lacks stays as it is. */
MUST_CHECK rc value_address(const char *text, conf_address *out, err *e);

/* A value as an error text may show it: one line of ASCII, not long. */
typedef struct value_shown {
  char s[64];
} value_shown;
value_shown value_show(const char *text);

#endif
