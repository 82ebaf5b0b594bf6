/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * handover.h - a demoted connection that nobody looks at any more goes to the kernel
 */
#ifndef STANDIN_L3_HANDOVER_H
#define STANDIN_L3_HANDOVER_H

#include "core/compiler.h"

struct ct;
struct flow;

/* Does the kernel take an entry with sequence adjustment? False with *why: a static text. Once, at start. */
bool handover_selftest(struct ct *ct, const char **why);
/* Is <f> translated here for no other reason than its deltas, and could the kernel do it? Or has it none? */
bool handover_wanted(const struct flow *f);
/* Does it: OFFLOADED, or WATCHED; or it stays, and is not tried again. 30 us of ctnetlink. */
void handover_now(struct flow *f);
/* The kernel's entry of a flow with xlate_by KERNEL is gone: it is translated here again. */
void handover_lost(struct flow *f);
/* Is that entry there all the same? (A packet came between while it was made.) */
bool handover_stands(struct flow *f);
/* Takes it back, for a promotion. NULL, or why not. */
const char *handover_back(struct flow *f);

#endif
