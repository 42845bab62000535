/* golden/print_distribution.c: prints docs/reference/distribution.md. SPDX-License-Identifier:
 * Apache-2.0 */
#include "plan/aggregate.h"
#include "plan/expr.h"
#include "plan/stages.h"

#include <stdio.h>

int main(void) {
  buf page = {0};
  buf_puts(&page,
           "# Distribution\n\n"
           "Made from the tables in `src/plan`; do not edit. What a distributed query computes on "
           "parts of the rows, and what only on all of them.\n\n"
           "## Nodes\n\n");
  stages_print_reference(&page);
  buf_puts(
      &page,
      "\n## Expressions\n\n"
      "*Row-wise*: row i of the value needs row i of the input. *Aggregate*: one value from all "
      "rows. *Window*: `over`, computed where whole groups are. *Other*: computed where all rows "
      "are; so is what stands in no table.\n\n");
  expr_print_reference(&page);
  buf_puts(
      &page,
      "\n## Aggregates in halves\n\n"
      "Computed for each part of the rows first; only these values move. Others move the rows: "
      "those of a group meet on one task. `len()` is a count.\n\n");
  aggregate_print_reference(&page);
  fputs(buf_text(&page), stdout);
  buf_deinit(&page);
  return 0;
}
