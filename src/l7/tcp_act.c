/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tcp_act.c - accept, reject and close in tcp-request and tcp-response rules
 *
 * Who runs the rules does what follows: these only say how it went.
 */
#include "policy/rule.h"

static enum act_ret act_tcp_accept(const struct rule *r, struct policy_ctx *ctx)
{
	return ACT_RET_STOP;
}

static enum act_ret act_tcp_reject(const struct rule *r, struct policy_ctx *ctx)
{
	return ACT_RET_DONE;
}

static struct action_kw tcp_actions[] = {
	{ .name = "accept", .sets = RS_TCP_CONN | RS_TCP_SESS | RS_TCP_CONTENT | RS_TCP_RES, .is_final = true,
	  .exec = act_tcp_accept,
	  .usage = "accept", .help = "ends the rules of this set" },
	{ .name = "reject", .sets = RS_TCP_CONN | RS_TCP_SESS | RS_TCP_CONTENT | RS_TCP_RES, .is_final = true,
	  .exec = act_tcp_reject,
	  .usage = "reject", .help = "closes without an answer" },
	{ .name = "close", .sets = RS_TCP_RES, .is_final = true, .exec = act_tcp_reject,
	  .usage = "close", .help = "closes both sides" },
	{ 0 },
};

INITCALL tcp_act_register(void)
{
	action_register(tcp_actions);
}
