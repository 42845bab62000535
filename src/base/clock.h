/* base/clock.h: the two clocks. SPDX-License-Identifier: Apache-2.0
 *
 * Only the programs' outer loops read them; everything below takes `now` as an argument. */
#ifndef FLOE_BASE_CLOCK_H
#define FLOE_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void); /* for durations and deadlines; never jumps */
int64_t clock_wall_us(void); /* microseconds since 1970-01-01 UTC; for people and signatures */

#endif
