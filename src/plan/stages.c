/* plan/stages.c: the plan that the tasks of a stage share. SPDX-License-Identifier: Apache-2.0 */
#include "plan/stages.h"
#include "plan/parts.h"

#include <string.h>

rc stages_write(const stage *st, const uint8_t header[79], arena *a, spool *out, stage_marks *marks,
                err *e) {
  plan_bytes placeholder = marks->placeholder.piece;
  *marks = (stage_marks){.placeholder = {placeholder, UINT64_MAX}};
  if (st->tasks == STAGE_SOURCE) parts_mark(st, marks);
  dsl_mark all[STAGE_MAX_SPLICES + 1];
  memcpy(all, marks->marks, sizeof marks->marks);
  all[marks->n] = marks->placeholder;
  const dsl_node *root = st->tree;
  if (st->final && st->sink) root = dsl_with_inputs(a, st->sink, &root);
  TRY(dsl_write(root, header, all, marks->n + (placeholder.data != NULL), out, e));
  marks->placeholder = all[marks->n];
  memcpy(marks->marks, all, sizeof marks->marks);
  for (size_t i = 0; i < marks->n; i++)
    if (marks->marks[i].offset == UINT64_MAX)
      return ERR(e, RC_INTERNAL, "stage %u: its source does not stand in its plan", st->number);
  return RC_OK;
}
