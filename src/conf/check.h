/* conf/check.h: what must hold between settings. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOE_CONF_CHECK_H
#define FLOE_CONF_CHECK_H

#include "conf/conf.h"

/* Reads cluster.token_file, fills in the addresses that follow from others, refuses what does not
 * fit together. The error names the keys. */
MUST_CHECK rc check_conf(conf *c, buf *notices, err *e);

#endif
