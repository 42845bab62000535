/* base/map.c: see map.h. Linear probing with backward-shift deletion, so there are no tombstones.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct map_slot {
  uint64_t hash;
  void *key; /* owned copy; NULL: empty */
  size_t key_len;
  void *value;
};

static uint64_t hash_of(const void *key, size_t len) {
  return XXH3_64bits(key, len);
}

/* The slot that holds the key, or the empty one where it would go. */
static map_slot *find(const map *m, uint64_t hash, const void *key, size_t len) {
  for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
    map_slot *s = &m->slots[i];
    if (!s->key) return s;
    if (s->hash == hash && s->key_len == len && !memcmp(s->key, key, len)) return s;
  }
}

static void grow(map *m) {
  map bigger = {.cap = m->cap ? m->cap * 2 : 16, .len = m->len};
  bigger.slots = mem_new(bigger.cap * sizeof *bigger.slots);
  for (size_t i = 0; i < m->cap; i++)
    if (m->slots[i].key)
      *find(&bigger, m->slots[i].hash, m->slots[i].key, m->slots[i].key_len) = m->slots[i];
  free(m->slots);
  *m = bigger;
}

void *map_get(const map *m, const void *key, size_t key_len) {
  return m->cap ? find(m, hash_of(key, key_len), key, key_len)->value : NULL;
}

void *map_put(map *m, const void *key, size_t key_len, void *value) {
  if (m->len * 4 >= m->cap * 3) grow(m);
  uint64_t hash = hash_of(key, key_len);
  map_slot *s = find(m, hash, key, key_len);
  void *old = s->value;
  if (!s->key) {
    void *copy = mem_new(key_len + 1);
    memcpy(copy, key, key_len);
    *s = (map_slot){.hash = hash, .key = copy, .key_len = key_len};
    m->len++;
  }
  s->value = value;
  return old;
}

void *map_remove(map *m, const void *key, size_t key_len) {
  if (!m->cap) return NULL;
  map_slot *s = find(m, hash_of(key, key_len), key, key_len);
  if (!s->key) return NULL;
  void *value = s->value;
  free(s->key);
  m->len--;
  size_t mask = m->cap - 1, hole = (size_t)(s - m->slots);
  for (size_t i = (hole + 1) & mask; m->slots[i].key; i = (i + 1) & mask) {
    size_t home = m->slots[i].hash & mask;
    if (((i - home) & mask) >= ((i - hole) & mask)) { /* may move back over the hole */
      m->slots[hole] = m->slots[i];
      hole = i;
    }
  }
  m->slots[hole] = (map_slot){0};
  return value;
}

bool map_each(const map *m, size_t *at, void **value) {
  while (*at < m->cap) {
    map_slot *s = &m->slots[(*at)++];
    if (!s->key) continue;
    *value = s->value;
    return true;
  }
  return false;
}

void map_deinit(map *m) {
  for (size_t i = 0; i < m->cap; i++) free(m->slots[i].key);
  free(m->slots);
  *m = (map){0};
}
