/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * border.h - the layer that joins L3 and L7: promotion and demotion
 *
 * It registers itself (core/layer.h), its actions (promote, demote) and its
 * commands. Nobody calls it: l3 reaches it through l3->border, l7 through struct
 * promoted_ops.
 */
#ifndef STANDIN_BORDER_BORDER_H
#define STANDIN_BORDER_BORDER_H

struct worker;

int border_worker_init(struct worker *w); /* after l3's; 0 or -errno */
void border_worker_destroy(struct worker *w);

#endif
