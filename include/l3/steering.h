/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * steering.h - an epoch's gateways as steering: at start, at a reload, at the end
 */
#ifndef STANDIN_L3_STEERING_H
#define STANDIN_L3_STEERING_H

#include "cfg/epoch.h"
#include "core/buf.h"

struct l3;

/* Compiles <ep>'s plan and puts it in force; waits for it. 0, or -errno and reported. */
int steering_start(struct l3 *l3, struct epoch *ep, struct diag *d);
/* Can <ep>'s plan be made? Reports. */
int steering_check(struct l3 *l3, struct epoch *ep, struct diag *d);
/* Puts <ep>'s plan in force on the helper thread when it differs from what is. */
void steering_change(struct l3 *l3, struct epoch *ep);
/* Takes everything out; but, where <adjusted> connections are left to the tracker's sequence adjustment, for what keeps the
 * tracker at work, which the next start replaces. */
void steering_end(struct l3 *l3, unsigned adjusted);

enum steering_format { STEERING_IPTABLES, STEERING_NFT, STEERING_FORMATS };
extern const char *const steering_format_name[];

/* --print-steering: all gateways of <ep>, as a shell script. 0, or -errno with *err (malloc'd, or NULL). */
int steering_print(const struct epoch *ep, enum steering_format format, struct buf *out, char **err);

#endif
