/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * clock.h - time: monotonic, in whole milliseconds or microseconds
 *
 * clock_ms(w) is the loop's cached time (no system call). clock_us() asks the
 * kernel (vDSO) and is for measuring. A test that defines clock_us() and clock_wall_ms()
 * itself has a fake clock: ours are weak.
 */
#ifndef STANDIN_CORE_CLOCK_H
#define STANDIN_CORE_CLOCK_H

#include <time.h>

#include "core/compiler.h"

struct worker;

uint64_t clock_ms(const struct worker *w);
uint64_t clock_us(void);
uint64_t clock_wall_ms(void); /* since the Unix epoch; may jump */

#endif
