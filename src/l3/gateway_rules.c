/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gateway_rules.c - running a gateway's rules, and the actions that need no L7
 *
 * An action only says what it decides, into the struct gateway_decision behind
 * ctx->owner; decide.c does it. `promote` is border's (border/actions.c).
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfg/cfg.h"
#include "core/clock.h"
#include "core/worker.h"
#include "gateway_priv.h"
#include "l3/l3.h"
#include "policy/ctx.h"
#include "policy/sticktable.h"

#define IFNAME_TTL_MS 10000

/* The name of interface <idx>, remembered for a while: a look-up is a system call. */
static const char *gateway_ifname(struct l3 *l3, uint32_t idx)
{
	struct l3_ifname *n = &l3->ifname[idx % ARRAY_SIZE(l3->ifname)];
	uint64_t now = clock_ms(l3->w);

	if (!idx)
		return NULL;
	if (n->idx != idx || now - n->at_ms > IFNAME_TTL_MS) {
		n->idx = idx;
		n->at_ms = now;
		if (!if_indextoname(idx, n->name))
			n->name[0] = '\0';
	}
	return n->name[0] ? n->name : NULL;
}

/* ---- match lines ---- */

/* <word> as iptables has it: "eth0", or "eth+" for all that begin so. */
static bool gateway_match_if(struct l3 *l3, const char *word, uint32_t idx)
{
	const char *name;
	size_t n = strlen(word);

	if (!n || !idx)
		return true;
	name = gateway_ifname(l3, idx);
	if (!name)
		return false;
	return word[n - 1] == '+' ? strncmp(word, name, n - 1) == 0 : strcmp(word, name) == 0;
}

static bool gateway_match_net(const struct netmask *m, const struct addr *a)
{
	return m->net.family == AF_UNSPEC || netmask_match(m, a);
}

static bool gateway_match_one(struct l3 *l3, const struct steer_match *m, const struct addr *src, const struct addr *dst,
			      uint32_t in_if, uint32_t out_if)
{
	unsigned i;

	if (!gateway_match_net(&m->src, src) || !gateway_match_net(&m->dst, dst) || !gateway_match_if(l3, m->in, in_if) ||
	    !gateway_match_if(l3, m->out, out_if))
		return false;
	for (i = 0; i < m->nb_ports; i++)
		if (dst->port >= m->ports[i].lo && dst->port <= m->ports[i].hi)
			return true;
	return m->nb_ports == 0;
}

int gateway_matches(struct gateway *gw, const struct addr *src, const struct addr *dst, uint32_t in_if, uint32_t out_if)
{
	const struct gateway_conf *c = gw->conf;
	unsigned i;

	for (i = 0; i < c->nb_match; i++)
		if (gateway_match_one(gw->l3, &c->match[i], src, dst, in_if, out_if))
			return 1;
	for (i = 0; i < c->nb_match; i++)
		if (gateway_match_one(gw->l3, &c->match[i], dst, src, out_if, in_if))
			return -1;
	return 0;
}

/* Rules may track what they like; without memory they track nothing. Followed by gateway_ctx_over(). */
static struct stk_tracks **gateway_tracks(struct gateway *gw, struct flow *f)
{
	if (!gw->l3->w->tables || (!gw->conf->tracks && !flow_tracks(f)))
		return NULL;
	if (flow_ext(f))
		return &f->ext->tracks;
	gateway_count(&gw->unsupported, "no-memory");
	return NULL;
}

static void gateway_ctx_over(struct flow *f)
{
	flow_ext_trim(f);
}

static void gateway_ctx(struct gateway *gw, struct flow *f, struct policy_ctx *ctx, struct gateway_decision *dec)
{
	struct l3 *l3 = gw->l3;

	arena_reset(&l3->tmp);
	*ctx = (struct policy_ctx){
		.w = l3->w,
		.ep = gw->ep,
		.src = &f->side[FLOW_CLIENT],
		.dst = &f->side[FLOW_SERVER],
		.in_if = gateway_ifname(l3, f->in_if),
		.fe_name = gw->name,
		.promotions = flow_promotions(f),
		.res_final = true,
		.tmp = &l3->tmp,
		.owner = dec,
		.tracks = gateway_tracks(gw, f),
	};
}

bool gateway_judge_syn(struct gateway *gw, struct flow *f, struct gateway_decision *out)
{
	struct policy_ctx ctx;
	enum act_ret ret;

	*out = (struct gateway_decision){ 0 };
	if (gw->conf->conn.count == 0)
		return false;
	gateway_ctx(gw, f, &ctx, out);
	ctx.req_final = true;
	ret = rule_set_run(&gw->conf->conn, &ctx, NULL, NULL);
	gateway_ctx_over(f);
	return ret == ACT_RET_STOP || ret == ACT_RET_DONE;
}

static void gateway_default(struct gateway *gw, const struct policy_ctx *ctx)
{
	const struct gateway_decision *dflt = &gw->conf->dflt;

	gateway_decide(ctx, dflt->act, dflt->frontend, dflt->els);
}

bool gateway_judge_blind(struct gateway *gw, struct flow *f, struct gateway_decision *out)
{
	struct policy_ctx ctx;
	enum act_ret ret;

	*out = (struct gateway_decision){ 0 };
	gateway_ctx(gw, f, &ctx, out);
	ctx.repeats = true;
	ret = rule_set_run(&gw->conf->content, &ctx, NULL, NULL);
	gateway_ctx_over(f);
	if (ret == ACT_RET_WAIT)
		return false;
	if (ret != ACT_RET_STOP && ret != ACT_RET_DONE)
		gateway_default(gw, &ctx);
	return true;
}

/* Rules are asked again with every packet: what was counted for this turn is not counted again. */
static void gateway_repeat(const struct gateway *gw, const struct flow *f, struct policy_ctx *ctx)
{
	const struct stk_tracks *tr = flow_tracks(f);

	if (!tr || tr->judged_by != gw->conf || !tr->judged)
		return;
	ctx->repeats = true;
	ctx->repeats_until = tr->judged;
}

bool gateway_judge_turn(struct gateway *gw, struct flow *f, struct str payload, struct http_head *head, bool final,
			struct gateway_decision *out)
{
	const struct rule *from = NULL;
	struct policy_ctx ctx;
	enum act_ret ret;

	*out = (struct gateway_decision){ 0 };
	gateway_ctx(gw, f, &ctx, out);
	gateway_repeat(gw, f, &ctx);
	ctx.req_payload = payload;
	ctx.req = head;
	ctx.req_final = final;
	ret = rule_set_run(&gw->conf->content, &ctx, &from, NULL);
	gateway_ctx_over(f);
	if (ret == ACT_RET_WAIT && !final) {
		struct stk_tracks *tr = flow_tracks(f);

		if (tr) {
			tr->judged = from;
			tr->judged_by = gw->conf;
		}
		return false;
	}
	if (ret != ACT_RET_STOP && ret != ACT_RET_DONE)
		gateway_default(gw, &ctx);
	return true;
}

static enum act_ret gateway_act(const struct policy_ctx *ctx, enum gateway_act act)
{
	return gateway_decide(ctx, act, NULL, GATEWAY_ELSE_FORWARD);
}

static enum act_ret gateway_act_forward(const struct rule *r, struct policy_ctx *ctx)
{
	return gateway_act(ctx, GATEWAY_ACT_FORWARD);
}

static enum act_ret gateway_act_watch(const struct rule *r, struct policy_ctx *ctx)
{
	return gateway_act(ctx, GATEWAY_ACT_WATCH);
}

static enum act_ret gateway_act_reject(const struct rule *r, struct policy_ctx *ctx)
{
	return gateway_act(ctx, GATEWAY_ACT_REJECT);
}

static enum act_ret gateway_act_drop(const struct rule *r, struct policy_ctx *ctx)
{
	return gateway_act(ctx, GATEWAY_ACT_DROP);
}

/* ---- set-mark, set-tos ---- */

/* A number as HAProxy's set-mark and set-tos take it: decimal, or hexadecimal with 0x. */
static int gateway_number(const char *word, unsigned long max, uint32_t *out)
{
	unsigned long v;
	char *end;

	if (*word < '0' || *word > '9')
		return -1;
	errno = 0;
	v = strtoul(word, &end, 0);
	if (errno || *end || v > max)
		return -1;
	*out = (uint32_t)v;
	return 0;
}

static int gateway_parse_mark(struct cfg_line *ln, int *pos, struct rule *r)
{
	const char *word = *pos < ln->argc ? ln->args[*pos] : "", *slash = strchr(word, '/');
	char value[32];
	uint32_t mark, mask = UINT32_MAX;

	snprintf(value, sizeof(value), "%.*s", slash ? (int)(slash - word) : (int)strlen(word), word);
	if (gateway_number(value, UINT32_MAX, &mark) < 0 || (slash && gateway_number(slash + 1, UINT32_MAX, &mask) < 0))
		return cfg_err(ln, "'set-mark' expects <mark>[/<mask>], decimal or hexadecimal numbers");
	if (mask == 0 || mark & ~mask)
		return cfg_err(ln, "'set-mark' : 0x%x has bits that the mask 0x%x has not", mark, mask);
	r->iarg[0] = mark;
	r->iarg[1] = mask;
	(*pos)++;
	return 0;
}

/* Our own bits are nobody else's to set. */
static int gateway_resolve_mark(struct epoch *ep, struct rule *r, struct diag *d)
{
	uint32_t ours = ep->global.mark_mask;

	if ((uint32_t)r->iarg[0] & ours) {
		diag_error(d, r->file, r->line, "'set-mark' : 0x%x has bits of standin's own (mark-mask 0x%x)", (uint32_t)r->iarg[0],
			   ours);
		return -1;
	}
	r->iarg[1] &= ~ours;
	return 0;
}

static enum act_ret gateway_act_mark(const struct rule *r, struct policy_ctx *ctx)
{
	struct gateway_decision *dec = gateway_decision_of(ctx);
	uint32_t mask = (uint32_t)r->iarg[1];

	dec->mark = (dec->mark & ~mask) | (uint32_t)r->iarg[0];
	dec->mark_mask |= mask;
	return ACT_RET_CONT;
}

static int gateway_parse_tos(struct cfg_line *ln, int *pos, struct rule *r)
{
	uint32_t tos;

	if (gateway_number(*pos < ln->argc ? ln->args[*pos] : "", 255, &tos) < 0)
		return cfg_err(ln, "'set-tos' expects a number from 0 to 255, decimal or hexadecimal");
	r->iarg[0] = tos;
	(*pos)++;
	return 0;
}

static enum act_ret gateway_act_tos(const struct rule *r, struct policy_ctx *ctx)
{
	gateway_decision_of(ctx)->tos = (uint8_t)r->iarg[0];
	gateway_decision_of(ctx)->has_tos = true;
	return ACT_RET_CONT;
}

uint32_t gateway_set_mask(const struct rule_set *rs)
{
	const struct rule *r;
	uint32_t mask = 0;

	list_for_each(r, &rs->rules, node)
		if (r->kw->exec == gateway_act_mark)
			mask |= (uint32_t)r->iarg[1];
	return mask;
}

unsigned gateway_kernel_forwards(const struct gateway_conf *c, struct cond_box *out, unsigned max)
{
	const struct rule *r;
	unsigned n = 0;
	int more;

	/* what is past maxflows, or nobody listens for, must be asked about */
	if (c->dry_run || c->block || c->steer_manual || c->maxflows_else != GATEWAY_ELSE_FORWARD)
		return 0;
	list_for_each(r, &c->conn.rules, node) {
		more = r->kw->exec == gateway_act_forward ? cond_boxes(r->cond, out + n, (int)(max - n)) : -1;
		if (more < 0)
			return n;
		n += (unsigned)more;
	}
	more = c->content.count == 0 && c->dflt.act == GATEWAY_ACT_FORWARD ? cond_boxes(NULL, out + n, (int)(max - n)) : 0;
	return more > 0 ? n + (unsigned)more : n;
}

static struct action_kw gateway_actions[] = {
	{ .name = "forward", .sets = RS_GW_CONN | RS_GW_CONTENT, .is_final = true, .exec = gateway_act_forward,
	  .usage = "forward", .help = "the kernel forwards the connection, nothing more is looked at" },
	{ .name = "watch", .sets = RS_GW_CONN | RS_GW_CONTENT, .is_final = true, .exec = gateway_act_watch,
	  .usage = "watch", .help = "forward this turn, look again at the next" },
	{ .name = "reject", .sets = RS_GW_CONN | RS_GW_CONTENT, .is_final = true, .exec = gateway_act_reject,
	  .usage = "reject", .help = "reset both ends" },
	{ .name = "drop", .sets = RS_GW_CONN | RS_GW_CONTENT, .is_final = true, .exec = gateway_act_drop,
	  .usage = "drop", .help = "discard the connection's packets" },
	{ .name = "set-mark", .sets = RS_GW_CONN | RS_GW_CONTENT, .parse = gateway_parse_mark, .resolve = gateway_resolve_mark,
	  .exec = gateway_act_mark, .usage = "set-mark <mark>[/<mask>]", .help = "mark the connection and its packets" },
	{ .name = "set-tos", .sets = RS_GW_CONN | RS_GW_CONTENT, .parse = gateway_parse_tos, .exec = gateway_act_tos,
	  .usage = "set-tos <tos>", .help = "set the DSCP of the connection's packets" },
	{ 0 },
};

INITCALL gateway_rules_init(void)
{
	action_register(gateway_actions);
}
