/* tests/golden/print_settings.c: what docs/reference/settings.md must be. SPDX-License-Identifier:
 * Apache-2.0 */
#include "conf/conf.h"

#include <stdio.h>

int main(void) {
  buf page = {0};
  conf_print_reference(&page);
  fputs(buf_text(&page), stdout);
  buf_deinit(&page);
  return 0;
}
