/* plan/cut_sink.c: how many tasks write a destination of the user's. SPDX-License-Identifier:
 * Apache-2.0
 *
 * One task writes one file. Into folders named by keys several can: when all rows of a folder come
 * to one task, in their order, its files have the names that local Polars gives them. */
#include "plan/cut.h"

#include <string.h>

/* Whose rows hash alike wherever they have the same folder. Texts of dtypes as Polars prints them.
 */
static bool is_sure(const char *dtype) {
  static const char *const sure[] = {"Int", "UInt", "String", "Boolean", "Date", "Time"};
  for (size_t i = 0; i < sizeof sure / sizeof *sure; i++)
    if (!strncmp(dtype, sure[i], strlen(sure[i]))) return true;
  return false;
}

static bool is_sure_column(const described_node *dn, expr_name name) {
  for (size_t i = 0; i < dn->answer->n_names; i++)
    if (strlen(dn->answer->names[i]) == name.len && !memcmp(dn->answer->names[i], name.s, name.len))
      return i < dn->answer->n_dtypes && is_sure(dn->answer->dtypes[i]);
  return false;
}

/* False: not in folders by plain keys, or the user names the files. */
static bool folder_keys(cut *c, const dsl_node *sink, plan_bytes **keys, key_set *names) {
  plan_bytes list =
      dsl_at(sink, "payload", "Partitioned", "partition_strategy", "Keyed", "keys", NULL);
  plan_bytes provider = dsl_at(sink, "payload", "Partitioned", "file_path_provider", NULL);
  size_t n;
  if (!list.data || !plan_value_nil(provider) || !plan_value_items(list, c->a, keys, &n))
    return false;
  if (!n || !cut_plain_keys(c, *keys, n, names)) return false;
  const described_node *dn = describe_find(c->d, dsl_input(sink, 0));
  bool sure = true;
  for (size_t i = 0; i < n; i++) sure = sure && is_sure_column(dn, names->names[i]);
  return sure;
}

fragment cut_sink(cut *c, const dsl_node *sink, fragment f) {
  plan_bytes *keys;
  key_set names;
  if (sink && f.spread == SPREAD_PARTS && folder_keys(c, sink, &keys, &names)) {
    if (f.order != ORDER_FREE || !fragment_is_hashed_by(&f, &names))
      f = exchange_hash(c, f, keys, names.n, true, "a folder of the destination has one writer");
    f.divisible = 0;
    return f;
  }
  return exchange_gather(c, f, "the user's destination has one writer");
}
