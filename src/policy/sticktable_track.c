/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sticktable_track.c - what a connection tracks, and the rules that say so
 *
 * track-sc0 to track-sc2 fill a slot: the key is looked up, or made, and its entry
 * counted for as long as the slot is held. The first rule that fills a slot has it;
 * later ones for the same slot do nothing. Slots filled by a rule that saw a request
 * are given back when the request is over, the others when the connection is.
 *
 * A connection is counted when its slot is filled: connections, the current ones
 * and, where the rule saw a request, that request, with what a response's status
 * tells. What happens later is told by the slots' owner (stk_tracks_event() and its
 * kin).
 *
 * Rules may be run twice for the same bytes (ctx->repeats). A filled slot is not
 * filled again, and sc-inc-gpc and its kin then do nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cfg/cfg.h"
#include "core/bug.h"
#include "policy/policy_priv.h"
#include "policy/rule.h"
#include "policy/sticktable_priv.h"

/* ---- slots ---- */

struct stk_tracks *stk_tracks_get(struct stk_tracks *tr)
{
	if (tr)
		tr->refs++;
	return tr;
}

static void stk_slot_end(struct stk_slot *s)
{
	if (!s->t)
		return;
	stk_dec(s->t, s->e, STK_CONN_CUR);
	stk_entry_put(s->t, s->e);
	stk_table_put(s->t);
	*s = (struct stk_slot){ 0 };
}

void stk_tracks_put(struct stk_tracks **tr)
{
	struct stk_tracks *t = *tr;

	*tr = NULL;
	if (!t || --t->refs)
		return;
	for (int i = 0; i < STK_SLOTS; i++)
		stk_slot_end(&t->slot[i]);
	pool_free(t->tables->p_tracks, t);
}

void stk_tracks_end_request(struct stk_tracks *tr)
{
	for (int i = 0; tr && i < STK_SLOTS; i++)
		if (tr->slot[i].request)
			stk_slot_end(&tr->slot[i]);
}

static void stk_count(const struct stk_slot *s, enum stk_data cnt, enum stk_data rate, uint64_t n)
{
	stk_add(s->t, s->e, cnt, 0, n);
	stk_add(s->t, s->e, rate, 0, n);
}

static void stk_slot_event(const struct stk_slot *s, enum stk_event ev)
{
	static const struct {
		enum stk_data cnt, rate;
	} data[] = {
		[STK_EV_SESSION] = { STK_SESS_CNT, STK_SESS_RATE },
		[STK_EV_REQUEST] = { STK_HTTP_REQ_CNT, STK_HTTP_REQ_RATE },
		[STK_EV_ERROR] = { STK_HTTP_ERR_CNT, STK_HTTP_ERR_RATE },
		[STK_EV_FAILURE] = { STK_HTTP_FAIL_CNT, STK_HTTP_FAIL_RATE },
	};

	stk_count(s, data[ev].cnt, data[ev].rate, 1);
	stk_touch(s->t, s->e);
}

void stk_tracks_event(struct stk_tracks *tr, enum stk_event ev)
{
	for (int i = 0; tr && i < STK_SLOTS; i++)
		if (tr->slot[i].t && !(ev == STK_EV_SESSION && tr->slot[i].request))
			stk_slot_event(&tr->slot[i], ev);
}

void stk_tracks_request(struct stk_tracks *tr)
{
	for (int i = 0; tr && i < STK_SLOTS; i++)
		if (tr->slot[i].t && !tr->slot[i].counted)
			stk_slot_event(&tr->slot[i], STK_EV_REQUEST);
	stk_tracks_counted(tr, false);
}

bool stk_tracks_count_requests(const struct stk_tracks *tr)
{
	for (int i = 0; tr && i < STK_SLOTS; i++) {
		const struct stk_table *t = tr->slot[i].t;

		if (t && (stk_stores(&t->shape, STK_HTTP_REQ_CNT, 0) || stk_stores(&t->shape, STK_HTTP_REQ_RATE, 0)))
			return true;
	}
	return false;
}

void stk_tracks_counted(struct stk_tracks *tr, bool yes)
{
	if (!tr)
		return;
	tr->req_counted = yes;
	for (int i = 0; i < STK_SLOTS; i++)
		tr->slot[i].counted = yes && tr->slot[i].t;
}

/* What the status of a server's response tells of the client, or of the server. */
static void stk_slot_status(const struct stk_slot *s, unsigned status)
{
	if (status / 100 == 4)
		stk_slot_event(s, STK_EV_ERROR);
	else if (status / 100 == 5 && status != 501 && status != 505)
		stk_slot_event(s, STK_EV_FAILURE);
}

void stk_tracks_status(struct stk_tracks *tr, unsigned status)
{
	for (int i = 0; tr && i < STK_SLOTS; i++)
		if (tr->slot[i].t)
			stk_slot_status(&tr->slot[i], status);
}

void stk_tracks_bytes(struct stk_tracks *tr, uint64_t in, uint64_t out, bool of_request)
{
	for (int i = 0; tr && i < STK_SLOTS; i++) {
		if (!tr->slot[i].t || (of_request && !tr->slot[i].request))
			continue;
		stk_count(&tr->slot[i], STK_BYTES_IN_CNT, STK_BYTES_IN_RATE, in);
		stk_count(&tr->slot[i], STK_BYTES_OUT_CNT, STK_BYTES_OUT_RATE, out);
	}
}

static struct stk_slot *stk_slot_of(const struct policy_ctx *ctx, int64_t idx)
{
	struct stk_tracks *tr = ctx->tracks ? *ctx->tracks : NULL;

	return tr && tr->slot[idx].t ? &tr->slot[idx] : NULL;
}

/* The context's tracks, made when there are none. NULL on no memory. */
static struct stk_tracks *stk_tracks_of(struct policy_ctx *ctx)
{
	struct stktables *ts = ctx->w->tables;
	struct stk_tracks *tr = *ctx->tracks;

	if (tr)
		return tr;
	tr = pool_zalloc(ts->p_tracks);
	if (!tr)
		return NULL;
	tr->tables = ts;
	tr->refs = 1;
	*ctx->tracks = tr;
	return tr;
}

/* ---- track-sc ---- */

struct stk_track_rule {
	int slot;
	struct sample_expr *key;
	const struct stk_ref *ref;
};

static int stk_parse_track(struct cfg_line *ln, int *pos, struct rule *r)
{
	struct stk_track_rule *tr = cfg_zalloc(ln, sizeof(*tr));
	struct stk_want want = { .by = r->kw->name, .data = STK_NOTHING };
	char *err = NULL;

	if (!tr)
		return -1;
	r->arg[0] = tr;
	tr->slot = r->kw->name[strlen("track-sc")] - '0';
	tr->key = sample_parse(ln->args[*pos], NULL, rule_set_supplies(r->set), &ln->ep->arena, &err);
	if (!tr->key)
		return cfg_err_take(ln, r->kw->name, &err);
	want.key = sample_type(tr->key);
	++*pos;
	if (*pos < ln->argc && strcmp(ln->args[*pos], "table") == 0) {
		want.name = ln->args[*pos + 1];
		if (!*want.name)
			return cfg_err(ln, "'%s' : 'table' expects a name.", r->kw->name);
		*pos += 2;
	}
	tr->ref = stk_ref(&ln->ep->arena, &want, &err);
	return tr->ref ? 0 : cfg_err_take(ln, r->kw->name, &err);
}

static void stk_track(struct stk_slot *s, struct stk_table *t, struct stk_entry *e, const struct policy_ctx *ctx)
{
	*s = (struct stk_slot){ .t = stk_table_get(t), .e = e, .request = ctx->req || ctx->sent.known };
	stk_entry_get(t, e);
	stk_count(s, STK_CONN_CNT, STK_CONN_RATE, 1);
	stk_add(t, e, STK_CONN_CUR, 0, 1);
	if (!s->request)
		return;
	/* what was counted before there was this slot */
	stk_slot_event(s, STK_EV_REQUEST);
	if (ctx->res)
		stk_slot_status(s, ctx->res->status);
}

static enum act_ret stk_act_track(const struct rule *r, struct policy_ctx *ctx)
{
	const struct stk_track_rule *rule = r->arg[0];
	struct stk_table *t = stk_ref_table(rule->ref);
	struct stk_tracks *tr;
	struct stk_entry *e;
	struct sample smp;
	struct stk_key k;
	enum smp_ret ret;

	if (!ctx->tracks || !t || stk_slot_of(ctx, rule->slot))
		return ACT_RET_CONT;
	ret = sample_eval(rule->key, ctx, NULL, &smp);
	if (ret == SMP_WAIT || (ret == SMP_FOUND && smp.may_change))
		return ACT_RET_WAIT;
	if (ret != SMP_FOUND || !stk_key_from_sample(t, &smp, ctx, &k))
		return ACT_RET_CONT;
	tr = stk_tracks_of(ctx);
	e = tr ? stk_obtain(t, &k) : NULL;
	if (e)
		stk_track(&tr->slot[rule->slot], t, e, ctx);
	return ACT_RET_CONT;
}

bool stk_rules_track(const struct rule_set *rs)
{
	const struct rule *r;

	list_for_each(r, &rs->rules, node)
		if (r->kw->exec == stk_act_track)
			return true;
	return false;
}

/* ---- sc-inc-gpc, sc-set-gpt ---- */

struct stk_sc_rule {
	int64_t idx, slot;         /* of the array; of the slot */
	bool legacy;               /* gpc0, gpc1, gpt0 */
	struct sample_expr *expr;  /* what a gpt is set to, or NULL: */
	uint32_t value;
};

/* "<name>(<idx>,<slot>)", or "<name>(<slot>)" where the name says the element; without brackets slot 0. */
static int stk_parse_sc(struct cfg_line *ln, int *pos, struct rule *r)
{
	struct stk_sc_rule *sc = cfg_zalloc(ln, sizeof(*sc));
	const char *name = r->kw->name, *word = ln->args[*pos - 1];
	struct str args = str_c(word + strlen(name)), idx;

	if (!sc)
		return -1;
	r->arg[0] = sc;
	if (name[strlen(name) - 1] >= '0' && name[strlen(name) - 1] <= '9') {
		sc->legacy = true;
		sc->idx = name[strlen(name) - 1] - '0';
	}
	if (!args.n && sc->legacy)
		return 0;
	if (args.n < 3 || args.p[args.n - 1] != ')')
		return cfg_err(ln, "'%s' : expects %s(%s<track id>).", word, name, sc->legacy ? "" : "<index>,");
	args = str_n(args.p + 1, args.n - 2);
	if (!sc->legacy) {
		idx = str_cut(&args, ',');
		if (str_to_int(idx, &sc->idx) < 0 || sc->idx < 0 || sc->idx >= STK_ARRAY_MAX)
			return cfg_err(ln, "'%s' : invalid index '%.*s', expects a number from 0 to %d.", word, STR_ARG(idx),
				       STK_ARRAY_MAX - 1);
	}
	if (!args.p || str_to_int(args, &sc->slot) < 0 || sc->slot < 0 || sc->slot >= STK_SLOTS)
		return cfg_err(ln, "'%s' : invalid stick table track ID, expects a number from 0 to %d.", word, STK_SLOTS - 1);
	return 0;
}

static int stk_parse_sc_set(struct cfg_line *ln, int *pos, struct rule *r)
{
	struct stk_sc_rule *sc;
	char *err = NULL;
	uint64_t v;

	if (stk_parse_sc(ln, pos, r) < 0)
		return -1;
	sc = r->arg[0];
	if (str_to_uint(str_c(ln->args[*pos]), &v) == 0) {
		if (v > UINT32_MAX)
			return cfg_err(ln, "'%s' : %s does not fit in 32 bits.", r->kw->name, ln->args[*pos]);
		sc->value = (uint32_t)v;
	} else {
		sc->expr = sample_parse(ln->args[*pos], NULL, rule_set_supplies(r->set), &ln->ep->arena, &err);
		if (!sc->expr)
			return cfg_err_take(ln, r->kw->name, &err);
		if (!smp_cast_exists(sample_type(sc->expr), SMP_T_SINT))
			return cfg_err(ln, "'%s' : '%s' gives no integer.", r->kw->name, ln->args[*pos]);
	}
	++*pos;
	return 0;
}

static enum act_ret stk_act_inc(const struct rule *r, struct policy_ctx *ctx)
{
	const struct stk_sc_rule *sc = r->arg[0];
	struct stk_slot *s = stk_slot_of(ctx, sc->slot);

	if (s && !ctx->repeats) {
		stk_inc_gpc(s->t, s->e, (unsigned)sc->idx, sc->legacy);
		stk_touch(s->t, s->e);
	}
	return ACT_RET_CONT;
}

static enum act_ret stk_act_set(const struct rule *r, struct policy_ctx *ctx)
{
	const struct stk_sc_rule *sc = r->arg[0];
	struct stk_slot *s = stk_slot_of(ctx, sc->slot);
	struct sample smp = { .type = SMP_T_SINT, .v.i = sc->value };

	if (!s || ctx->repeats)
		return ACT_RET_CONT;
	if (sc->expr) {
		enum smp_ret ret = sample_eval(sc->expr, ctx, NULL, &smp);

		if (ret == SMP_WAIT)
			return ACT_RET_WAIT;
		if (ret != SMP_FOUND || !sample_cast(&smp, SMP_T_SINT, ctx))
			return ACT_RET_CONT;
	}
	stk_set(s->t, s->e, sc->legacy ? STK_GPT0 : STK_GPT, sc->legacy ? 0 : (unsigned)sc->idx, (uint32_t)smp.v.i);
	stk_touch(s->t, s->e);
	return ACT_RET_CONT;
}

#define STK_TRACK(n)                                                                                         \
	{ .name = "track-sc" #n, .sets = RS_ALL & ~(RS_TCP_RES), .parse = stk_parse_track, .exec = stk_act_track, \
	  .usage = "track-sc" #n " <key> [table <table>]", .help = "count the connection or request under this key" }

static struct action_kw stk_actions[] = {
	STK_TRACK(0),
	STK_TRACK(1),
	STK_TRACK(2),
	{ .name = "sc-inc-gpc", .sets = RS_ALL, .parse = stk_parse_sc, .exec = stk_act_inc, .in_brackets = true,
	  .usage = "sc-inc-gpc(<idx>,<sc>)", .help = "add one to a general purpose counter of what is tracked" },
	{ .name = "sc-inc-gpc0", .sets = RS_ALL, .parse = stk_parse_sc, .exec = stk_act_inc, .in_brackets = true,
	  .usage = "sc-inc-gpc0(<sc>)", .help = "add one to the first of them" },
	{ .name = "sc-inc-gpc1", .sets = RS_ALL, .parse = stk_parse_sc, .exec = stk_act_inc, .in_brackets = true,
	  .usage = "sc-inc-gpc1(<sc>)", .help = "add one to the second" },
	{ .name = "sc-set-gpt", .sets = RS_ALL, .parse = stk_parse_sc_set, .exec = stk_act_set, .in_brackets = true,
	  .usage = "sc-set-gpt(<idx>,<sc>) { <int> | <expr> }", .help = "set a general purpose tag of what is tracked" },
	{ .name = "sc-set-gpt0", .sets = RS_ALL, .parse = stk_parse_sc_set, .exec = stk_act_set, .in_brackets = true,
	  .usage = "sc-set-gpt0(<sc>) { <int> | <expr> }", .help = "set the first of them" },
	{ 0 },
};

INITCALL stk_actions_register(void)
{
	action_register(stk_actions);
}
