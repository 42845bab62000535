/* observatory/assets.h: the dashboard's files, embedded by tools/embed. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef FLOE_OBSERVATORY_ASSETS_H
#define FLOE_OBSERVATORY_ASSETS_H

#include <stddef.h>

typedef struct asset {
  const char *path, *content_type, *data; /* path NULL: the end of the list */
  size_t len;
} asset;

extern const asset ASSETS[];

#endif
