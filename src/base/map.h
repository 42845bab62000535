/* base/map.h: bytes → pointer, by hash. SPDX-License-Identifier: Apache-2.0
 *
 * Keys are copied, values are borrowed: the map never frees a value. A zeroed map is valid. */
#ifndef FLOE_BASE_MAP_H
#define FLOE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct map_slot map_slot;
typedef struct map {
  map_slot *slots; /* owned; power of two, linear probing */
  size_t len, cap;
} map;

void *map_get(const map *m, const void *key, size_t key_len);        /* NULL: not there */
void *map_put(map *m, const void *key, size_t key_len, void *value); /* returns the old value */
void *map_remove(map *m, const void *key, size_t key_len);           /* returns the value */
/* Walk: *at starts at 0; returns false at the end. The map must not change meanwhile. */
bool map_each(const map *m, size_t *at, void **value);
void map_deinit(map *m);

#endif
