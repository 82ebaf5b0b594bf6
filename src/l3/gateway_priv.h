/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gateway_priv.h - what gateway_cfg.c, gateway.c and flow_log.c share
 */
#ifndef STANDIN_L3_GATEWAY_PRIV_H
#define STANDIN_L3_GATEWAY_PRIV_H

#include "l3/gateway.h"
#include "policy/logformat.h"

/* gateway.c: struct cfg_module's */
int gateway_prepare(struct worker *w, struct epoch *ep, struct epoch *old, struct diag *d);
void gateway_commit(struct worker *w, struct epoch *ep, struct epoch *old);
void gateway_abort(struct worker *w, struct epoch *ep);

/* flow_log.c: the fields of a flow's log line */
extern const struct lf_source gateway_lf;

#endif
