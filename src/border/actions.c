/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * actions.c - the rules' words that cross the border: promote and demote
 *
 * `promote` stands in gateways' rules and says where to; r->arg[0] is the
 * frontend's name, r->iarg[0] what to do where that fails (l3/gateway_cfg.c reads
 * both). `demote` stands in l7's rules and is a wish: the stream leaves when it
 * can, and goes on when it cannot.
 */
#include <string.h>

#include "border/border.h"
#include "cfg/cfg.h"
#include "l3/gateway.h"
#include "l7/promoted.h"
#include "policy/rule.h"

/* ---- promote ---- */

static int action_promote_parse(struct cfg_line *ln, int *pos, struct rule *r)
{
	enum gateway_else els;

	if (*pos >= ln->argc || strcmp(ln->args[*pos], "if") == 0 || strcmp(ln->args[*pos], "unless") == 0)
		return cfg_err(ln, "'promote' expects the name of a frontend");
	r->arg[0] = cfg_strdup(ln, ln->args[(*pos)++]);
	if (!r->arg[0] || gateway_parse_else(ln, pos, &els) < 0)
		return -1;
	r->iarg[0] = els;
	return 0;
}

static int action_promote_resolve(struct epoch *ep, struct rule *r, struct diag *d)
{
	const char *name = r->arg[0], *near;

	if (epoch_find(ep, "frontend", name) || epoch_find(ep, "listen", name))
		return 0;
	near = epoch_nearest(ep, "frontend", name);
	diag_error(d, r->file, r->line, "'promote' : no frontend '%s'%s%s%s", name, near ? "; did you mean '" : "",
		   near ? near : "", near ? "'?" : "");
	return -1;
}

static enum act_ret action_promote_exec(const struct rule *r, struct policy_ctx *ctx)
{
	return gateway_decide(ctx, GATEWAY_ACT_PROMOTE, r->arg[0], (enum gateway_else)r->iarg[0]);
}

/* ---- demote ---- */

static enum act_ret action_demote(struct policy_ctx *ctx, enum stream_leave_when when)
{
	/* what cannot leave stays a stream: a configuration where that is always so was warned about */
	stream_leave_ask(ctx->owner, when);
	return ACT_RET_CONT;
}

static enum act_ret action_demote_req(const struct rule *r, struct policy_ctx *ctx)
{
	return action_demote(ctx, LEAVE_AFTER_REQUEST);
}

static enum act_ret action_demote_res(const struct rule *r, struct policy_ctx *ctx)
{
	return action_demote(ctx, LEAVE_AFTER_RESPONSE_HEAD);
}

static enum act_ret action_demote_now(const struct rule *r, struct policy_ctx *ctx)
{
	return action_demote(ctx, LEAVE_NOW);
}

static struct action_kw border_actions[] = {
	{ .name = "promote", .sets = RS_GW_CONN | RS_GW_CONTENT, .is_final = true, .parse = action_promote_parse,
	  .resolve = action_promote_resolve, .exec = action_promote_exec,
	  .usage = "promote <frontend> [else forward|reject|drop]",
	  .help = "put L7 into the connection, from this payload on" },
	{ .name = "demote", .sets = RS_HTTP_REQ, .exec = action_demote_req, .usage = "demote",
	  .help = "back to L3 when this request is sent on" },
	{ .name = "demote", .sets = RS_HTTP_RES, .exec = action_demote_res, .usage = "demote",
	  .help = "back to L3 when this response's head is sent on" },
	{ .name = "demote", .sets = RS_TCP_CONTENT | RS_TCP_RES, .exec = action_demote_now, .usage = "demote",
	  .help = "back to L3 as soon as nothing is under way" },
	{ 0 },
};

INITCALL border_actions_init(void)
{
	action_register(border_actions);
}
