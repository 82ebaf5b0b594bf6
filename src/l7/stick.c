/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stick.c - stick on, match, store-request, store-response: the server that served a key before
 *
 *   request    each rule in order: its key is extracted while the request is here. A match looks it up; the
 *              first one that knows a server of this backend decides, unless that server takes no requests
 *              (down, or in maintenance: then the request is balanced as any other). A store notes it.
 *   response   the response's rules note their keys, too. Then every noted key is made to stick to the server that
 *              answered: in mode http when the response's head is here, in mode tcp when the connection is
 *              made, or, where response rules look at bytes, with the server's first ones.
 *
 * At most STICK_STORES keys are noted, one for each table: the first that has one. A server with `non-stick` is
 * never remembered. What is found and noted lives in the transaction's arena.
 *
 * A server is known by its name (or address, `srvkey addr`), and by its number where the name is not known.
 */
#include <stdlib.h>

#include "l7/stream_priv.h"
#include "policy/sticktable.h"

#define STICK_STORES 8

#define STICK_MATCH 0x1
#define STICK_STORE 0x2

struct stick_rule {
	struct list node;          /* in px_cfg->sticks or sticks_res */
	unsigned does;             /* STICK_ */
	struct sample_expr *key;
	const struct stk_ref *ref;
	struct cond *cond;
};

struct stick_work {
	struct server *to;         /* counted; NULL: none was found */
	unsigned nb;
	bool done;                 /* the server was remembered */
	struct {
		struct stk_table *t; /* counted */
		struct str key;      /* in the arena */
	} store[STICK_STORES];
};

/* ---- rules as they are written ---- */

#define STICK_AT_REQ (SMP_AT_L4 | SMP_AT_REQ | SMP_AT_HREQ | SMP_AT_HREQP)
#define STICK_AT_RES (SMP_AT_L4 | SMP_AT_RES | SMP_AT_HRES | SMP_AT_HREQP)

static int stick_parse_cond(struct cfg_line *ln, int pos, struct stick_rule *r)
{
	struct px_cfg *px = ln->obj;
	char *err = NULL;

	if (pos >= ln->argc)
		return 0;
	if (strcmp(ln->args[pos], "if") != 0 && strcmp(ln->args[pos], "unless") != 0)
		return cfg_err(ln, "'stick' : unexpected '%s', only 'table', 'if' and 'unless' may follow.", ln->args[pos]);
	r->cond = cond_parse(&px->acls, &ln->ep->arena, ln->argc - pos, ln->args + pos, &err);
	return r->cond ? 0 : cfg_err_take(ln, "error detected while parsing a 'stick' condition", &err);
}

static int stick_parse_rule(struct cfg_line *ln, struct stick_rule *r, unsigned at)
{
	struct stk_want want = { .by = "'stick'", .data = STK_NOTHING, .server = true };
	char *err = NULL;
	int pos = 3;

	if (!*ln->args[2])
		return cfg_err(ln, "'stick' expects a fetch method.");
	r->key = sample_parse(ln->args[2], NULL, at, &ln->ep->arena, &err);
	if (!r->key)
		return cfg_err_take(ln, "'stick'", &err);
	want.key = sample_type(r->key);
	if (strcmp(ln->args[pos], "table") == 0) {
		want.name = ln->args[pos + 1];
		if (!*want.name)
			return cfg_err(ln, "'stick' : 'table' expects a name.");
		pos += 2;
	}
	r->ref = stk_ref(&ln->ep->arena, &want, &err);
	return r->ref ? stick_parse_cond(ln, pos, r) : cfg_err_take(ln, "'stick'", &err);
}

static int stick_parse(struct cfg_line *ln, const struct cfg_kw *kw)
{
	static const struct {
		const char *word;
		unsigned does;
		bool response;
	} forms[] = {
		{ "on", STICK_MATCH | STICK_STORE, false }, { "match", STICK_MATCH, false }, { "store", STICK_STORE, false },
		{ "store-request", STICK_STORE, false },    { "store-response", STICK_STORE, true },
	};
	struct px_cfg *px = ln->obj;
	struct stick_rule *r;

	px_no_effect(ln, kw, PX_CAP_BE);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (strcmp(ln->args[1], forms[i].word) != 0)
			continue;
		r = cfg_zalloc(ln, sizeof(*r));
		if (!r || stick_parse_rule(ln, r, forms[i].response ? STICK_AT_RES : STICK_AT_REQ) < 0)
			return -1;
		r->does = forms[i].does;
		list_add_tail(forms[i].response ? &px->sticks_res : &px->sticks, &r->node);
		return 0;
	}
	return cfg_err(ln, "'stick' expects 'on', 'match', 'store-request' or 'store-response' (got '%s').", ln->args[1]);
}

/* ---- servers ---- */

static const char *stick_server_key(const struct stk_table *t, const struct server *srv, char text[ADDR_STRLEN])
{
	return t->key_is_addr ? addr_print(&srv->addr, text) : srv->name;
}

static struct server *stick_find_server(const struct stream *s, const struct stk_table *t, const struct stk_entry *e)
{
	const char *key = stk_server(t, e);
	uint64_t id = stk_read(t, e, STK_SERVER_ID, 0);
	char text[ADDR_STRLEN];
	struct server *srv;

	list_for_each(srv, &s->be->servers, node)
		if (key && strcmp(stick_server_key(t, srv, text), key) == 0)
			return srv;
	list_for_each(srv, &s->be->servers, node)
		if (srv->id == id)
			return srv;
	return NULL;
}

/* ---- keys ---- */

static struct stick_work *stick_work(struct stream *s)
{
	if (!s->stick)
		s->stick = arena_alloc(&s->arena, sizeof(*s->stick));
	return s->stick;
}

static bool stick_has(const struct stick_work *w, const struct stk_table *t)
{
	for (unsigned i = 0; i < w->nb; i++)
		if (w->store[i].t == t)
			return true;
	return false;
}

static void stick_note(struct stream *s, struct stick_work *w, struct stk_table *t, const struct stk_key *k)
{
	char *copy;

	if (w->nb == STICK_STORES)
		return;
	copy = arena_strdup(&s->arena, str_n(k->p, k->n));
	if (!copy)
		return;
	w->store[w->nb].t = stk_table_get(t);
	w->store[w->nb++].key = str_n(copy, k->n);
}

static void stick_match(struct stream *s, struct stick_work *w, struct stk_table *t, const struct stk_key *k)
{
	struct stk_entry *e = stk_lookup(t, k);
	struct server *srv;

	if (!e)
		return;
	stk_touch(t, e);
	srv = w->to ? NULL : stick_find_server(s, t, e);
	if (srv && server_accepts(srv))
		w->to = server_get(srv);
}

static void stick_run_rule(struct stream *s, struct stick_work *w, const struct stick_rule *r)
{
	struct policy_ctx *ctx = stream_ctx(s);
	struct stk_table *t = stk_ref_table(r->ref);
	struct sample smp;
	struct stk_key k;

	ctx->req_final = true;
	if (!t || stick_has(w, t) || cond_eval(r->cond, ctx) != COND_TRUE ||
	    sample_eval(r->key, ctx, NULL, &smp) != SMP_FOUND || !stk_key_from_sample(t, &smp, ctx, &k))
		return;
	if (r->does & STICK_MATCH)
		stick_match(s, w, t, &k);
	if (r->does & STICK_STORE)
		stick_note(s, w, t, &k);
}

static void stick_run(struct stream *s, const struct list *rules)
{
	const struct stick_rule *r;
	struct stick_work *w;

	if (list_empty(rules) || !s->l7->w->tables || !(w = stick_work(s)))
		return;
	list_for_each(r, rules, node)
		stick_run_rule(s, w, r);
}

/* ---- for streams ---- */

void stick_request(struct stream *s)
{
	stick_run(s, &s->be_cfg->sticks);
}

struct server *stick_server(const struct stream *s)
{
	struct server *to = s->stick ? s->stick->to : NULL;

	/* a reload may have taken the server, or the backend, away */
	return to && to->px == s->be && server_accepts(to) ? to : NULL;
}

void stick_forget(struct stream *s)
{
	if (!s->stick)
		return;
	server_put(s->stick->to);
	s->stick->to = NULL;
}

bool stick_waits(const struct stream *s)
{
	return !list_empty(&s->be_cfg->sticks_res);
}

void stick_response(struct stream *s)
{
	const struct server *srv = s->srv;
	struct stick_work *w;
	char text[ADDR_STRLEN];

	if (!s->be_cfg || (s->stick && s->stick->done))
		return;
	stick_run(s, &s->be_cfg->sticks_res);
	w = s->stick;
	if (!w)
		return;
	w->done = true;
	if (!srv || !srv->cfg || srv->cfg->non_stick)
		return;
	for (unsigned i = 0; i < w->nb; i++) {
		struct stk_table *t = w->store[i].t;
		struct stk_key k = { .p = w->store[i].key.p, .n = w->store[i].key.n };
		struct stk_entry *e = stk_obtain(t, &k);

		if (!e)
			continue;
		stk_set_server(t, e, srv->id, stick_server_key(t, srv, text));
		stk_touch(t, e);
	}
}

void stick_end(struct stream *s)
{
	struct stick_work *w = s->stick;

	s->stick = NULL;
	if (!w)
		return;
	for (unsigned i = 0; i < w->nb; i++)
		stk_table_put(w->store[i].t);
	server_put(w->to);
}

static struct cfg_kw stick_kws[] = {
	{ .word = "stick", .sections = CFG_FRONTEND | CFG_BACKEND | CFG_LISTEN, .parse = stick_parse,
	  .usage = "stick on|match|store-request|store-response <key> [table <table>] [if|unless <cond>]",
	  .help = "to the server that served this key before" },
	{ 0 },
};

INITCALL stick_register(void)
{
	cfg_register_keywords(stick_kws);
}
