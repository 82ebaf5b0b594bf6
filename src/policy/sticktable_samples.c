/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sticktable_samples.c - what expressions may ask of stick tables
 *
 *   src_<data>([<table>])              the entry of the client's address
 *   sc_<data>(<sc>[,<table>])          the entry that a slot tracks, or, with a table, the one that has its key there
 *   sc0_ sc1_ sc2_<data>([<table>])    the same
 *   table_<data>(<table>)              converters: the entry of the value
 *
 * They are one function for each way to find an entry and one that reads it; which data
 * and what is done with it stands in the keyword's variant. An address or a value
 * without an entry has 0 of everything, a slot that tracks nothing has no value.
 * Asking does not keep an entry alive; changing it does.
 *
 * Where the rules only repeat what they were asked before (ctx->repeats), what
 * would change an entry tells what it would be and leaves it alone.
 */
#include <stdlib.h>

#include "policy/policy_priv.h"
#include "policy/sticktable_priv.h"

static enum stk_op stk_op_of(const struct smp_arg *args)
{
	return (enum stk_op)(args[SMP_ARG_SELF].i >> 16);
}

static unsigned stk_ctr_of(const struct smp_arg *args)
{
	return args[SMP_ARG_SELF].i >> 8 & 0xff;
}

static enum stk_data stk_data_of(const struct smp_arg *args)
{
	return (enum stk_data)(args[SMP_ARG_SELF].i & 0xff);
}

/* ---- arguments: [<idx>,] [<ctr>,] [<table>] ---- */

#define STK_CTR_ARG 3 /* instead of a slot: it is an argument */
#define STK_CTR_SRC 4 /* no slot: the client's address */

static bool stk_has_idx(const struct smp_arg *args)
{
	enum stk_data d = stk_data_of(args);

	return d != STK_NOTHING && stk_data_is_array(d);
}

static int stk_table_at(const struct smp_arg *args)
{
	return stk_has_idx(args) + (stk_ctr_of(args) == STK_CTR_ARG);
}

static int stk_check_idx(const struct smp_arg *args, char **err)
{
	if (stk_has_idx(args) && (args[0].i < 0 || args[0].i >= STK_ARRAY_MAX))
		return pol_err(err, "index %lld is not between 0 and %d", (long long)args[0].i, STK_ARRAY_MAX - 1);
	return 0;
}

/* The table that the argument names, or <by_default> the section's own. */
static int stk_check_table(struct smp_arg *args, int nb_args, int at, bool by_default, struct arena *a, char **err)
{
	const struct smp_arg *self = &args[SMP_ARG_SELF];
	char *by = arena_printf(a, "'%.*s'", STR_ARG(self->str));
	struct stk_want want = { .by = by, .data = stk_data_of(args), .key = SMP_T_COUNT };

	if (!by)
		return pol_err(err, "out of memory");
	if (at >= nb_args && !by_default)
		return 0;
	want.name = at < nb_args ? args[at].str.p : NULL;
	want.idx = stk_has_idx(args) ? (unsigned)args[0].i : 0;
	/* a counter may be kept by its rate alone */
	if (stk_op_of(args) == STK_OP_INC)
		want.data = STK_NOTHING;
	args[at].ptr = stk_ref(a, &want, err);
	return args[at].ptr ? 0 : -1;
}

static int stk_check_src(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	return stk_check_idx(args, err) < 0 ? -1 : stk_check_table(args, nb_args, stk_table_at(args), true, a, err);
}

static int stk_check_sc(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	int at = stk_table_at(args);

	if (stk_check_idx(args, err) < 0)
		return -1;
	if (stk_ctr_of(args) == STK_CTR_ARG && (args[at - 1].i < 0 || args[at - 1].i >= STK_SLOTS))
		return pol_err(err, "%lld is no track id, a number from 0 to %d is", (long long)args[at - 1].i, STK_SLOTS - 1);
	return stk_check_table(args, nb_args, at, false, a, err);
}

static int stk_check_conv(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	return stk_check_idx(args, err) < 0 ? -1 : stk_check_table(args, nb_args, stk_has_idx(args), true, a, err);
}

static struct stk_table *stk_arg_table(const struct smp_arg *args, int at)
{
	return args[at].ptr ? stk_ref_table(args[at].ptr) : NULL;
}

/* ---- reading and changing one entry ---- */

static bool stk_inc(const struct policy_ctx *ctx, struct stk_table *t, struct stk_entry *e, enum stk_data d, unsigned idx,
		    int64_t *v)
{
	enum stk_data rate = d == STK_GPC ? STK_GPC_RATE : d == STK_GPC0 ? STK_GPC0_RATE : STK_GPC1_RATE;
	bool counts = stk_stores(&t->shape, d, idx);

	if (!counts && !stk_stores(&t->shape, rate, idx))
		return false;
	if (ctx->repeats)
		*v = (int64_t)stk_read(t, e, counts ? d : rate, idx) + 1;
	else
		*v = (int64_t)stk_inc_gpc(t, e, d == STK_GPC ? idx : d == STK_GPC1, d != STK_GPC);
	return true;
}

static int64_t stk_clear(const struct policy_ctx *ctx, struct stk_table *t, struct stk_entry *e, enum stk_data d, unsigned idx)
{
	int64_t was = (int64_t)stk_read(t, e, d, idx);

	if (!ctx->repeats)
		stk_set(t, e, d, idx, 0);
	return was;
}

static bool stk_op_changes(enum stk_op op)
{
	return op == STK_OP_INC || op == STK_OP_CLR || op == STK_OP_UPDT;
}

/* False: the table does not store it. */
static bool stk_answer(const struct policy_ctx *ctx, struct stk_table *t, struct stk_entry *e, const struct smp_arg *args,
		       int64_t *v)
{
	enum stk_data d = stk_data_of(args);
	unsigned idx = stk_has_idx(args) ? (unsigned)args[0].i : 0;
	enum stk_op op = stk_op_of(args);

	if (op == STK_OP_TRACKERS) {
		*v = e->refs;
		return true;
	}
	if (op == STK_OP_INC ? !stk_inc(ctx, t, e, d, idx, v) : !stk_stores(&t->shape, d, idx))
		return false;
	switch (op) {
	case STK_OP_INC: break;
	case STK_OP_CLR: *v = stk_clear(ctx, t, e, d, idx); break;
	case STK_OP_UPDT:
		if (!ctx->repeats)
			stk_add(t, e, d, idx, 1);
		*v = (int64_t)stk_read(t, e, d, idx) + ctx->repeats;
		break;
	case STK_OP_KBYTES: *v = (int64_t)(stk_read(t, e, d, idx) >> 10); break;
	default: *v = (int64_t)stk_read(t, e, d, idx); break;
	}
	if (stk_op_changes(op))
		stk_touch(t, e);
	return true;
}

/* ---- fetches ---- */

#define FETCH(fn)                                                                               \
	static enum smp_ret fn(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, \
			       struct smp_iter *it, struct sample *out)

FETCH(stk_fetch_src)
{
	struct stk_table *t = stk_arg_table(args, stk_table_at(args));
	struct stk_entry *e;
	struct sample key;
	struct stk_key k;

	if (!t || !ctx->src || !addr_is_set(ctx->src))
		return SMP_ABSENT;
	key = (struct sample){ .type = SMP_T_ADDR, .v.addr = *ctx->src };
	if (!stk_key_from_sample(t, &key, ctx, &k))
		return SMP_ABSENT;
	e = stk_op_changes(stk_op_of(args)) ? stk_obtain(t, &k) : stk_lookup(t, &k);
	return !e || stk_answer(ctx, t, e, args, &out->v.i) ? SMP_FOUND : SMP_ABSENT;
}

/* What the slot tracks, or the entry with the same key in the named table, which must be of the same type. */
static struct stk_entry *stk_sc_entry(const struct policy_ctx *ctx, const struct smp_arg *args, struct stk_table **t)
{
	int at = stk_table_at(args);
	unsigned ctr = stk_ctr_of(args) == STK_CTR_ARG ? (unsigned)args[at - 1].i : stk_ctr_of(args);
	const struct stk_tracks *tr = ctx->tracks ? *ctx->tracks : NULL;
	const struct stk_slot *s = tr ? &tr->slot[ctr] : NULL;
	struct stk_key k;

	if (!s || !s->t)
		return NULL;
	*t = s->t;
	if (!args[at].ptr)
		return s->e;
	*t = stk_arg_table(args, at);
	if (!*t || *t == s->t)
		return *t ? s->e : NULL;
	if ((*t)->shape.type != s->t->shape.type || (*t)->shape.key_len != s->t->shape.key_len)
		return NULL;
	stk_key_of(s->t, s->e, &k);
	return stk_op_changes(stk_op_of(args)) ? stk_obtain(*t, &k) : stk_lookup(*t, &k);
}

FETCH(stk_fetch_sc)
{
	struct stk_table *t;
	struct stk_entry *e = stk_sc_entry(ctx, args, &t);

	return e && stk_answer(ctx, t, e, args, &out->v.i) ? SMP_FOUND : SMP_ABSENT;
}

FETCH(stk_fetch_tracked)
{
	struct stk_table *t;

	out->v.b = stk_sc_entry(ctx, args, &t) != NULL;
	return SMP_FOUND;
}

FETCH(stk_fetch_table_cnt)
{
	const struct stk_table *t = stk_arg_table(args, 0);

	if (!t)
		return SMP_ABSENT;
	out->v.i = t->used;
	return SMP_FOUND;
}

FETCH(stk_fetch_table_avl)
{
	const struct stk_table *t = stk_arg_table(args, 0);

	if (!t)
		return SMP_ABSENT;
	out->v.i = (int64_t)t->shape.size - t->used;
	return SMP_FOUND;
}

/* ---- converters ---- */

static struct stk_entry *stk_conv_entry(struct policy_ctx *ctx, struct stk_table *t, struct sample *smp)
{
	struct stk_key k;

	return t && stk_key_from_sample(t, smp, ctx, &k) ? stk_lookup(t, &k) : NULL;
}

static bool stk_conv_read(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, struct sample *smp)
{
	struct stk_table *t = stk_arg_table(args, stk_has_idx(args));
	struct stk_entry *e = stk_conv_entry(ctx, t, smp);

	smp->v.i = 0;
	return !e || stk_answer(ctx, t, e, args, &smp->v.i);
}

static bool stk_conv_in_table(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, struct sample *smp)
{
	smp->v.b = stk_conv_entry(ctx, stk_arg_table(args, 0), smp) != NULL;
	return true;
}

/* table_expire, table_idle: (<table>[,<default>]) */
static bool stk_conv_time(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, struct sample *smp)
{
	struct stk_table *t = stk_arg_table(args, 0);
	struct stk_entry *e = stk_conv_entry(ctx, t, smp);

	if (!e && nb_args < 2)
		return false;
	if (!e)
		smp->v.i = args[1].i;
	else
		smp->v.i = (int64_t)(stk_op_of(args) == STK_OP_IDLE ? stk_idle_for(t, e) : stk_expires_in(t, e));
	return true;
}

/* ---- keywords ---- */

#define SRC(name, data, op, args, help)                                                              \
	{ "src_" name, SMP_T_SINT, SMP_AT_L4, args "S", stk_fetch_src, help " of the client's address", stk_check_src, 0, \
	  STK_VARIANT(op, data, STK_CTR_SRC) }
#define SC(name, data, op, args, help)                                                               \
	{ "sc_" name, SMP_T_SINT, 0, args "iS", stk_fetch_sc, help " of what the slot tracks", stk_check_sc, 0, \
	  STK_VARIANT(op, data, STK_CTR_ARG) }
#define SCN(n, name, data, op, help)                                                                 \
	{ "sc" #n "_" name, SMP_T_SINT, 0, "S", stk_fetch_sc, help " of what slot " #n " tracks", stk_check_sc, 0, \
	  STK_VARIANT(op, data, n) }
#define SLOTS(name, data, op, help)                                                                  \
	SC(name, data, op, "", help), SCN(0, name, data, op, help), SCN(1, name, data, op, help), SCN(2, name, data, op, help)
#define ALL(name, data, op, help) SRC(name, data, op, "", help), SLOTS(name, data, op, help)
#define ARRAY(name, data, op, help) SRC(name, data, op, "i", help), SC(name, data, op, "i", help)
#define TRACKED(n) { "sc" #n "_tracked", SMP_T_BOOL, 0, "S", stk_fetch_tracked, "does slot " #n " track something", \
		     stk_check_sc, 0, STK_VARIANT(STK_OP_TRACKED, STK_NOTHING, n) }

static struct smp_fetch_kw stk_fetches[] = {
	ALL("bytes_in_rate", STK_BYTES_IN_RATE, STK_OP_READ, "bytes from the client in the last period,"),
	ALL("bytes_out_rate", STK_BYTES_OUT_RATE, STK_OP_READ, "bytes to the client in the last period,"),
	ALL("clr_gpc0", STK_GPC0, STK_OP_CLR, "what the first general purpose counter was, which is cleared,"),
	ALL("clr_gpc1", STK_GPC1, STK_OP_CLR, "what the second general purpose counter was, which is cleared,"),
	ARRAY("clr_gpc", STK_GPC, STK_OP_CLR, "what a general purpose counter was, which is cleared,"),
	ALL("conn_cnt", STK_CONN_CNT, STK_OP_READ, "connections"),
	ALL("conn_cur", STK_CONN_CUR, STK_OP_READ, "current connections"),
	ALL("conn_rate", STK_CONN_RATE, STK_OP_READ, "connections in the last period,"),
	ALL("get_gpc0", STK_GPC0, STK_OP_READ, "the first general purpose counter"),
	ALL("get_gpc1", STK_GPC1, STK_OP_READ, "the second general purpose counter"),
	ARRAY("get_gpc", STK_GPC, STK_OP_READ, "a general purpose counter"),
	ALL("get_gpt0", STK_GPT0, STK_OP_READ, "the first general purpose tag"),
	ARRAY("get_gpt", STK_GPT, STK_OP_READ, "a general purpose tag"),
	ALL("gpc0_rate", STK_GPC0_RATE, STK_OP_READ, "increments of the first general purpose counter in the last period,"),
	ALL("gpc1_rate", STK_GPC1_RATE, STK_OP_READ, "increments of the second general purpose counter in the last period,"),
	ARRAY("gpc_rate", STK_GPC_RATE, STK_OP_READ, "increments of a general purpose counter in the last period,"),
	ALL("http_err_cnt", STK_HTTP_ERR_CNT, STK_OP_READ, "HTTP errors that clients caused,"),
	ALL("http_err_rate", STK_HTTP_ERR_RATE, STK_OP_READ, "HTTP errors that clients caused in the last period,"),
	ALL("http_fail_cnt", STK_HTTP_FAIL_CNT, STK_OP_READ, "HTTP failures of servers,"),
	ALL("http_fail_rate", STK_HTTP_FAIL_RATE, STK_OP_READ, "HTTP failures of servers in the last period,"),
	ALL("http_req_cnt", STK_HTTP_REQ_CNT, STK_OP_READ, "HTTP requests"),
	ALL("http_req_rate", STK_HTTP_REQ_RATE, STK_OP_READ, "HTTP requests in the last period,"),
	ALL("inc_gpc0", STK_GPC0, STK_OP_INC, "the first general purpose counter, after adding one,"),
	ALL("inc_gpc1", STK_GPC1, STK_OP_INC, "the second general purpose counter, after adding one,"),
	ARRAY("inc_gpc", STK_GPC, STK_OP_INC, "a general purpose counter, after adding one,"),
	ALL("kbytes_in", STK_BYTES_IN_CNT, STK_OP_KBYTES, "kilobytes from the client"),
	ALL("kbytes_out", STK_BYTES_OUT_CNT, STK_OP_KBYTES, "kilobytes to the client"),
	ALL("sess_cnt", STK_SESS_CNT, STK_OP_READ, "connections that were accepted"),
	ALL("sess_rate", STK_SESS_RATE, STK_OP_READ, "connections that were accepted in the last period,"),
	SLOTS("trackers", STK_NOTHING, STK_OP_TRACKERS, "those who track the entry"),
	SRC("updt_conn_cnt", STK_CONN_CNT, STK_OP_UPDT, "", "connections, after adding one,"),
	{ "sc_tracked", SMP_T_BOOL, 0, "iS", stk_fetch_tracked, "does the slot track something", stk_check_sc, 0,
	  STK_VARIANT(STK_OP_TRACKED, STK_NOTHING, STK_CTR_ARG) },
	TRACKED(0),
	TRACKED(1),
	TRACKED(2),
	{ "table_cnt", SMP_T_SINT, 0, "S", stk_fetch_table_cnt, "entries in use of a table", stk_check_src, 0,
	  STK_VARIANT(STK_OP_READ, STK_NOTHING, STK_CTR_SRC) },
	{ "table_avl", SMP_T_SINT, 0, "S", stk_fetch_table_avl, "entries that a table has room for", stk_check_src, 0,
	  STK_VARIANT(STK_OP_READ, STK_NOTHING, STK_CTR_SRC) },
	{ 0 },
};

/* A key is what the table's type makes of the value: `in` is any, and the cast is stk_key_from_sample()'s. */
#define CONV(name, data, op, args, help)                                                          \
	{ "table_" name, SMP_T_ANY, SMP_T_SINT, args "S", stk_check_conv, stk_conv_read, help, STK_VARIANT(op, data, 0) }

static struct smp_conv_kw stk_convs[] = {
	{ "in_table", SMP_T_ANY, SMP_T_BOOL, "S", stk_check_conv, stk_conv_in_table, "is it a key of the table",
	  STK_VARIANT(STK_OP_IN_TABLE, STK_NOTHING, 0) },
	{ "table_expire", SMP_T_ANY, SMP_T_SINT, "sI", stk_check_conv, stk_conv_time, "how long its entry still lives, ms",
	  STK_VARIANT(STK_OP_EXPIRE, STK_NOTHING, 0) },
	{ "table_idle", SMP_T_ANY, SMP_T_SINT, "sI", stk_check_conv, stk_conv_time, "since when its entry was not touched, ms",
	  STK_VARIANT(STK_OP_IDLE, STK_NOTHING, 0) },
	CONV("bytes_in_rate", STK_BYTES_IN_RATE, STK_OP_READ, "", "bytes from the client in the last period"),
	CONV("bytes_out_rate", STK_BYTES_OUT_RATE, STK_OP_READ, "", "bytes to the client in the last period"),
	CONV("conn_cnt", STK_CONN_CNT, STK_OP_READ, "", "connections"),
	CONV("conn_cur", STK_CONN_CUR, STK_OP_READ, "", "current connections"),
	CONV("conn_rate", STK_CONN_RATE, STK_OP_READ, "", "connections in the last period"),
	CONV("gpc", STK_GPC, STK_OP_READ, "i", "a general purpose counter"),
	CONV("gpc0", STK_GPC0, STK_OP_READ, "", "the first general purpose counter"),
	CONV("gpc1", STK_GPC1, STK_OP_READ, "", "the second general purpose counter"),
	CONV("gpc_rate", STK_GPC_RATE, STK_OP_READ, "i", "its increments in the last period"),
	CONV("gpc0_rate", STK_GPC0_RATE, STK_OP_READ, "", "increments of the first one in the last period"),
	CONV("gpc1_rate", STK_GPC1_RATE, STK_OP_READ, "", "increments of the second one in the last period"),
	CONV("gpt", STK_GPT, STK_OP_READ, "i", "a general purpose tag"),
	CONV("gpt0", STK_GPT0, STK_OP_READ, "", "the first general purpose tag"),
	CONV("http_err_cnt", STK_HTTP_ERR_CNT, STK_OP_READ, "", "HTTP errors that clients caused"),
	CONV("http_err_rate", STK_HTTP_ERR_RATE, STK_OP_READ, "", "the same in the last period"),
	CONV("http_fail_cnt", STK_HTTP_FAIL_CNT, STK_OP_READ, "", "HTTP failures of servers"),
	CONV("http_fail_rate", STK_HTTP_FAIL_RATE, STK_OP_READ, "", "the same in the last period"),
	CONV("http_req_cnt", STK_HTTP_REQ_CNT, STK_OP_READ, "", "HTTP requests"),
	CONV("http_req_rate", STK_HTTP_REQ_RATE, STK_OP_READ, "", "HTTP requests in the last period"),
	CONV("kbytes_in", STK_BYTES_IN_CNT, STK_OP_KBYTES, "", "kilobytes from the client"),
	CONV("kbytes_out", STK_BYTES_OUT_CNT, STK_OP_KBYTES, "", "kilobytes to the client"),
	CONV("server_id", STK_SERVER_ID, STK_OP_READ, "", "the number of the server that it sticks to"),
	CONV("sess_cnt", STK_SESS_CNT, STK_OP_READ, "", "connections that were accepted"),
	CONV("sess_rate", STK_SESS_RATE, STK_OP_READ, "", "the same in the last period"),
	CONV("trackers", STK_NOTHING, STK_OP_TRACKERS, "", "how many track its entry"),
	{ 0 },
};

INITCALL stk_samples_register(void)
{
	smp_register_fetches(stk_fetches);
	smp_register_convs(stk_convs);
}
