/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gateway_rules.c - running a gateway's rules, and the actions that need no L7
 *
 * An action only says what it decides, into the struct gateway_decision behind
 * ctx->owner; decide.c does it. `promote` is border's (border/actions.c).
 */
#include <net/if.h>
#include <string.h>

#include "core/clock.h"
#include "core/worker.h"
#include "l3/l3.h"
#include "policy/ctx.h"

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
		.res_final = true,
		.tmp = &l3->tmp,
		.owner = dec,
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
	return ret == ACT_RET_STOP || ret == ACT_RET_DONE;
}

bool gateway_judge_turn(struct gateway *gw, struct flow *f, struct str payload, struct http_head *head, bool final,
			struct gateway_decision *out)
{
	struct policy_ctx ctx;
	enum act_ret ret;

	*out = (struct gateway_decision){ 0 };
	gateway_ctx(gw, f, &ctx, out);
	ctx.req_payload = payload;
	ctx.req = head;
	ctx.req_final = final;
	ret = rule_set_run(&gw->conf->content, &ctx, NULL, NULL);
	if (ret == ACT_RET_WAIT && !final)
		return false;
	if (ret != ACT_RET_STOP && ret != ACT_RET_DONE)
		*out = gw->conf->dflt;
	return true;
}

static enum act_ret gateway_act(const struct policy_ctx *ctx, enum gateway_act act)
{
	*gateway_decision_of(ctx) = (struct gateway_decision){ .act = act };
	return ACT_RET_STOP;
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

static struct action_kw gateway_actions[] = {
	{ .name = "forward", .sets = RS_GW_CONN | RS_GW_CONTENT, .is_final = true, .exec = gateway_act_forward,
	  .usage = "forward", .help = "the kernel forwards the connection, nothing more is looked at" },
	{ .name = "watch", .sets = RS_GW_CONN | RS_GW_CONTENT, .is_final = true, .exec = gateway_act_watch,
	  .usage = "watch", .help = "forward this turn, look again at the next" },
	{ .name = "reject", .sets = RS_GW_CONN | RS_GW_CONTENT, .is_final = true, .exec = gateway_act_reject,
	  .usage = "reject", .help = "reset both ends" },
	{ .name = "drop", .sets = RS_GW_CONN | RS_GW_CONTENT, .is_final = true, .exec = gateway_act_drop,
	  .usage = "drop", .help = "discard the connection's packets" },
	{ 0 },
};

INITCALL gateway_rules_init(void)
{
	action_register(gateway_actions);
}
