/* conf/assign.h: puts a text where it belongs in a conf. SPDX-License-Identifier: Apache-2.0
 *
 * Interprets by the row's type, holds to the row's bounds. Does not know where the text came from,
 * and no error text quotes what may be a secret. */
#ifndef FLOE_CONF_ASSIGN_H
#define FLOE_CONF_ASSIGN_H

#include "conf/settings.h"

void assign_defaults(conf *c);
/* `fresh`: the source of this text has said nothing about the row yet; a location that another
 * source gave may be of another kind, and is then dropped as a whole. */
MUST_CHECK rc assign_text(conf *c, const setting_place *place, const char *text, bool fresh,
                          err *e);
/* A table [….s3] was met: the location has this kind, whatever else is said about it. */
MUST_CHECK rc assign_kind(conf *c, const setting_place *place, bool fresh, err *e);
void assign_free_all(conf *c); /* every value; c is as zeroed */

#endif
