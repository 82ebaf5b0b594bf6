/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gateway_priv.h - what gateway_cfg.c, gateway.c, gateway_queue.c and flow_log.c share
 */
#ifndef STANDIN_L3_GATEWAY_PRIV_H
#define STANDIN_L3_GATEWAY_PRIV_H

#include "l3/gateway.h"
#include "policy/logformat.h"

/* gateway.c: struct cfg_module's */
int gateway_prepare(struct worker *w, struct epoch *ep, struct epoch *old, struct diag *d);
void gateway_commit(struct worker *w, struct epoch *ep, struct epoch *old);
void gateway_abort(struct worker *w, struct epoch *ep);

/* gateway_queue.c */
/* A queue of <c>'s numbers is there, or opened without an owner. 0, or -errno and reported. */
int gateway_queue_prepare(struct l3 *l3, const struct gateway_conf *c, struct diag *d);
/* Closes what prepare opened. */
void gateway_queue_abort(struct l3 *l3);
/* gw->conf's queue is gw's from now on. */
void gateway_queue_commit(struct gateway *gw);
/* Closes the queues that no gateway uses: when no firewall rule fills them any more. */
void gateway_queue_sweep(struct l3 *l3);
/* <gw> is out of l3->gateways and goes away: its queues pass to others, or are closed when there are none. */
void gateway_queue_leave(struct gateway *gw);

/* gateway_rules.c: the bits that <rs>'s set-mark rules set */
uint32_t gateway_set_mask(const struct rule_set *rs);

/* flow_log.c: the fields of a flow's log line */
extern const struct lf_source gateway_lf;

#endif
