/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * border_cli.c - promote flow, demote flow
 *
 * Both answer when it is done or refused, with the reason. The command waits on
 * the flow's border record; when the connection of the command goes away first,
 * what it asked for goes on.
 */
#include <stdlib.h>
#include <string.h>

#include "border_priv.h"
#include "core/cli.h"

static enum cli_ret border_cli_result(struct cli_ctx *ctx)
{
	struct border_waiter *wt = ctx->priv;

	if (!wt->done)
		return CLI_WAIT;
	return wt->why ? cli_err(ctx, "Flow %s: refused: %s.", ctx->args[2], wt->why) : CLI_DONE;
}

static void border_cli_release(struct cli_ctx *ctx)
{
	struct border_waiter *wt = ctx->priv;

	if (!wt)
		return;
	list_del(&wt->node);
	free(wt);
	ctx->priv = NULL;
}

static enum cli_ret border_cli_wait(struct cli_ctx *ctx, struct border_flow *bf)
{
	struct border_waiter *wt = calloc(1, sizeof(*wt));

	if (!wt)
		return cli_err(ctx, "Out of memory.");
	wt->ctx = ctx;
	list_add_tail(&bf->waiters, &wt->node);
	ctx->priv = wt;
	return CLI_WAIT;
}

static enum cli_ret border_cli_promote(struct cli_ctx *ctx)
{
	uint32_t promotions;
	struct flow *f;
	const char *why;

	if (ctx->argc != 4)
		return cli_err(ctx, "'promote flow' expects the id of a flow and a frontend.");
	f = l3_cli_find(ctx, ctx->args[2]);
	if (!f)
		return CLI_DONE;
	if (f->policy == FLOW_POL_DROP) {
		l3_promote_refused(f, "dropped");
		return cli_err(ctx, "Flow %s: refused: dropped.", ctx->args[2]);
	}
	if (f->state == FLOW_ST_OFFLOADED || f->seen == FLOW_SEEN_CLIENT_DATA) {
		why = border_recall(f, ctx->args[3]);
		if (!why)
			return border_cli_wait(ctx, flow_border(f));
		l3_promote_refused(f, why);
		return cli_err(ctx, "Flow %s: refused: %s.", ctx->args[2], why);
	}
	if (f->state != FLOW_ST_WATCHED && f->state != FLOW_ST_TRANSLATED && f->state != FLOW_ST_HELD) {
		l3_promote_refused(f, flow_state_name[f->state]);
		return cli_err(ctx, "Flow %s: refused: it is %s.", ctx->args[2], flow_state_name[f->state]);
	}
	promotions = flow_promotions(f);
	why = border_promote(f, ctx->args[3], GATEWAY_ELSE_FORWARD);
	if (why)
		l3_promote_refused(f, why);
	else if (flow_promotions(f) == promotions && flow_border(f))
		return border_cli_wait(ctx, flow_border(f));
	else if (flow_promotions(f) == promotions)
		why = flow_refused(f);
	return why ? cli_err(ctx, "Flow %s: refused: %s.", ctx->args[2], why) : CLI_DONE;
}

static enum cli_ret border_cli_demote(struct cli_ctx *ctx)
{
	struct border_flow *bf;
	struct flow *f;
	int rc;

	if (ctx->argc != 3)
		return cli_err(ctx, "'demote flow' expects the id of a flow.");
	f = l3_cli_find(ctx, ctx->args[2]);
	if (!f)
		return CLI_DONE;
	bf = flow_border(f);
	if (!bf || !bf->s)
		return cli_err(ctx, "Flow %s: refused: it is %s.", ctx->args[2], flow_state_name[f->state]);
	if (bf->state == BORDER_ST_CARRYING) {
		rc = stream_leave_ask(bf->s, LEAVE_NOW);
		if (rc < 0) {
			const char *why = stream_leave_why(bf->s);

			return cli_err(ctx, "Flow %s: refused: %s.", ctx->args[2], why ? why : strerror(-rc));
		}
	}
	return border_cli_wait(ctx, bf);
}

static struct cli_kw border_cli_kws[] = {
	{ .words = { "promote", "flow" }, .args = "<id> <frontend>", .help = "put L7 into a live connection",
	  .level = CLI_ADMIN, .parse = border_cli_promote, .io = border_cli_result, .release = border_cli_release },
	{ .words = { "demote", "flow" }, .args = "<id>", .help = "take L7 out of a connection", .level = CLI_ADMIN,
	  .parse = border_cli_demote, .io = border_cli_result, .release = border_cli_release },
	{ .words = { NULL } },
};

INITCALL border_cli_init(void)
{
	cli_register(border_cli_kws);
}
