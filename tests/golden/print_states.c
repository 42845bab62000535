/* golden/print_states.c: prints docs/reference/states.md. SPDX-License-Identifier: Apache-2.0 */
#include "sched/states.h"

#include <stdio.h>

int main(void) {
  buf page = {0};
  states_print(&page);
  fputs(buf_text(&page), stdout);
  buf_deinit(&page);
  return 0;
}
