/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sticktable_cfg.c - the `stick-table` line, who names a table, and what a new configuration keeps
 *
 * A table may be named before its section is read. So whoever names one (a rule, a
 * fetch, a converter) gets a struct stk_ref at once, and what it asks of the table
 * is noted with the place; when all sections are read every note is looked at, and
 * what is wrong is told with file and line.
 *
 * Applying: prepare() finds the table that runs under the same name with the same
 * shape, or makes one; commit() makes these the worker's tables. The others leave
 * the list and live until their last user, an old configuration or a connection
 * that tracks, is gone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cfg/cfg.h"
#include "core/clock.h"
#include "policy/policy_priv.h"
#include "policy/sticktable_priv.h"

#define STK_KEY_LEN 32      /* of strings and blocks, where the line does not say */
#define STK_KEY_MAX 16384

/* What some line asks of a table. */
struct stk_note {
	struct list node;
	struct stk_ref ref;
	struct stk_want want;
	struct cfg_place at;
};

/* policy's part of an epoch */
struct stk_cfg {
	struct list defs;  /* struct stk_def, in order */
	struct list notes; /* struct stk_note */
};

static void *stk_cfg_create(struct epoch *ep)
{
	struct stk_cfg *c = arena_alloc(&ep->arena, sizeof(*c));

	if (!c)
		return NULL;
	list_init(&c->defs);
	list_init(&c->notes);
	return c;
}

static void stk_cfg_destroy(void *part)
{
	struct stk_cfg *c = part;
	struct stk_def *def;

	list_for_each(def, &c->defs, node)
		stk_table_put(def->rt);
}

/* ---- stick-table ---- */

static int stk_err_argument(struct cfg_line *ln, int rc, const char *word, const char *arg)
{
	size_t digits = strspn(arg, "0123456789");

	if (rc == -ERANGE)
		return cfg_err(ln, "stick-table: argument '%s' of '%s' is out of range.", arg, word);
	return cfg_err(ln, "stick-table: unexpected character '%c' in argument of '%s'.", arg[digits], word);
}

static int stk_word_type(struct cfg_line *ln, struct stk_def *def, int *pos)
{
	static const uint32_t lens[STK_TYPE_COUNT] = { [STK_IP] = 4, [STK_IPV6] = 16, [STK_INTEGER] = 4,
						       [STK_STRING] = STK_KEY_LEN, [STK_BINARY] = STK_KEY_LEN };
	int type = cfg_word_index(stk_type_name, STK_TYPE_COUNT, ln->args[*pos]);
	const char *near;
	uint64_t len;

	if (type < 0) {
		near = diag_nearest_of(ln->args[*pos], stk_type_name, STK_TYPE_COUNT);
		return cfg_err(ln, "stick-table: unknown type '%s'" DIAG_MAYBE ".", ln->args[*pos], DIAG_MAYBE_ARG(near));
	}
	def->shape.type = (enum stk_type)type;
	def->shape.key_len = lens[type];
	if ((type != STK_STRING && type != STK_BINARY) || strcmp(ln->args[*pos + 1], "len") != 0)
		return 0;
	*pos += 2;
	if (cfg_parse_uint(ln->args[*pos], &len) || !len || len > STK_KEY_MAX)
		return cfg_err(ln, "stick-table: 'len' expects a number from 1 to %d (got '%s').", STK_KEY_MAX, ln->args[*pos]);
	def->shape.key_len = (uint32_t)len;
	return 0;
}

static int stk_word_size(struct cfg_line *ln, struct stk_def *def, int *pos)
{
	uint64_t size = 0;
	int rc = cfg_parse_size(ln->args[*pos], &size);

	if (rc || size > UINT32_MAX)
		return stk_err_argument(ln, rc ? rc : -ERANGE, "size", ln->args[*pos]);
	def->shape.size = (uint32_t)size;
	return 0;
}

static int stk_word_expire(struct cfg_line *ln, struct stk_def *def, int *pos)
{
	int rc = cfg_parse_time(ln->args[*pos], &def->expire_ms);

	return rc ? stk_err_argument(ln, rc, "expire", ln->args[*pos]) : 0;
}

static int stk_word_peers(struct cfg_line *ln, struct stk_def *def, int *pos)
{
	return cfg_err(ln, "stick-table: 'peers' is not supported: tables are not replicated.");
}

/* By what servers are found again. */
static int stk_word_srvkey(struct cfg_line *ln, struct stk_def *def, int *pos)
{
	static const char *const keys[] = { "name", "addr" };
	int i = cfg_word_index(keys, ARRAY_SIZE(keys), ln->args[*pos]);

	if (i < 0)
		return cfg_err(ln, "stick-table : unknown server key type '%s'.", ln->args[*pos]);
	def->key_is_addr = i == 1;
	return 0;
}

/* The comma-separated item at *p, without what stands in brackets, which is *arg ("" when empty, p NULL without). */
static int stk_store_item(struct cfg_line *ln, const char **p, struct str *name, struct str *arg)
{
	const char *end;

	*name = str_n(*p, strcspn(*p, ",("));
	*arg = STR_NULL;
	*p += name->n;
	if (**p == '(') {
		end = strchr(*p, ')');
		if (!end || (end[1] && end[1] != ','))
			return cfg_err(ln, "stick-table: missing closing parenthesis after store option '%.*s'.",
				       STR_ARG(*name));
		*arg = str_n(*p + 1, (size_t)(end - *p - 1));
		*p = end + 1;
	}
	if (**p == ',')
		++*p;
	return 0;
}

static int stk_store_period(struct cfg_line *ln, const char *what, struct str arg, struct stk_column *col)
{
	char text[32];
	unsigned ms;

	if (!arg.p)
		return cfg_err(ln, "stick-table: missing argument to store option '%s'.", what);
	snprintf(text, sizeof(text), "%.*s", STR_ARG(arg));
	if (cfg_parse_time(text, &ms) || !ms)
		return cfg_err(ln, "stick-table: store option '%s' expects a period above 0, not '%s'.", what, text);
	col->period_ms = ms;
	return 0;
}

/* "(<nb>)", "(<period>)", "(<nb>,<period>)" or nothing, by what the data is. */
static int stk_store_args(struct cfg_line *ln, enum stk_data d, struct str arg, struct stk_column *col)
{
	const char *what = stk_data_name(d);
	struct str nb;
	uint64_t n;

	col->count = 1;
	if (stk_data_is_array(d)) {
		if (!arg.p)
			return cfg_err(ln, "stick-table: missing argument to store option '%s'.", what);
		nb = str_cut(&arg, ',');
		if (str_to_uint(nb, &n) < 0 || n < 1 || n > STK_ARRAY_MAX)
			return cfg_err(ln, "stick-table: array size is out of allowed range (1-%d) for store option '%s'.",
				       STK_ARRAY_MAX, what);
		col->count = (uint16_t)n;
	}
	if (stk_data_is_rate(d))
		return stk_store_period(ln, what, arg, col);
	if (arg.p)
		return cfg_err(ln, "stick-table: unexpected argument to store option '%s'.", what);
	return 0;
}

static const char *stk_data_near(struct str name)
{
	const char *names[STK_DATA_COUNT];
	char word[32];

	for (int i = 0; i < STK_DATA_COUNT; i++)
		names[i] = stk_data_name(i == STK_SERVER_KEY ? STK_SERVER_ID : (enum stk_data)i);
	snprintf(word, sizeof(word), "%.*s", STR_ARG(name));
	return diag_nearest_of(word, names, STK_DATA_COUNT);
}

static int stk_store_one(struct cfg_line *ln, struct stk_def *def, struct str name, struct str arg)
{
	struct stk_column col = { 0 };
	enum stk_data d;
	const char *near;
	unsigned idx;

	/* "gpc7" names an element, which is not stored alone */
	if (!stk_data_find(name, &d, &idx) || d == STK_SERVER_KEY || !str_eq(name, str_c(stk_data_name(d)))) {
		near = stk_data_near(name);
		return cfg_err(ln, "stick-table: unknown store option '%.*s'" DIAG_MAYBE ".", STR_ARG(name), DIAG_MAYBE_ARG(near));
	}
	if (stk_store_args(ln, d, arg, &col) < 0)
		return -1;
	if (def->shape.col[d].count)
		return cfg_warn(ln, "stick-table: store option '%s' already enabled, ignored.", stk_data_name(d));
	def->shape.col[d] = col;
	return 0;
}

static int stk_word_store(struct cfg_line *ln, struct stk_def *def, int *pos)
{
	const char *p = ln->args[*pos];
	struct str name, arg;

	while (*p)
		if (stk_store_item(ln, &p, &name, &arg) < 0 || stk_store_one(ln, def, name, arg) < 0)
			return -1;
	return 0;
}

/* An array is stored instead of the counters that were there before arrays. */
static int stk_check_arrays(struct cfg_line *ln, const struct stk_def *def)
{
	static const struct {
		enum stk_data array, old[2];
	} both[] = { { STK_GPT, { STK_GPT0, STK_GPT0 } },
		     { STK_GPC, { STK_GPC0, STK_GPC1 } },
		     { STK_GPC_RATE, { STK_GPC0_RATE, STK_GPC1_RATE } } };
	const struct stk_column *col = def->shape.col;

	for (size_t i = 0; i < ARRAY_SIZE(both); i++)
		for (int k = 0; k < 2; k++)
			if (col[both[i].array].count && col[both[i].old[k]].count)
				return cfg_err(ln, "stick-table: simultaneous usage of '%s' and '%s' in a same table is not "
					       "permitted as '%s' overrides '%s'.", stk_data_name(both[i].array),
					       stk_data_name(both[i].old[k]), stk_data_name(both[i].array),
					       stk_data_name(both[i].old[k]));
	return 0;
}

static const struct stk_word {
	const char *word;
	int (*parse)(struct cfg_line *ln, struct stk_def *def, int *pos); /* NULL: nopurge, without argument */
} stk_words[] = {
	{ "type", stk_word_type },     { "size", stk_word_size },   { "expire", stk_word_expire },
	{ "store", stk_word_store },   { "peers", stk_word_peers }, { "srvkey", stk_word_srvkey },
	{ "nopurge", NULL },
};

static int stk_parse_word(struct cfg_line *ln, struct stk_def *def, int *pos)
{
	const char *names[ARRAY_SIZE(stk_words)], *word = ln->args[*pos], *near;
	const struct stk_word *w = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(stk_words); i++) {
		names[i] = stk_words[i].word;
		if (strcmp(word, names[i]) == 0)
			w = &stk_words[i];
	}
	if (!w) {
		near = diag_nearest_of(word, names, ARRAY_SIZE(names));
		return cfg_err(ln, "stick-table: unknown argument '%s'" DIAG_MAYBE ".", word, DIAG_MAYBE_ARG(near));
	}
	if (!w->parse) {
		def->nopurge = true;
		return 0;
	}
	if (++*pos >= ln->argc || !*ln->args[*pos])
		return cfg_err(ln, "stick-table: missing argument after '%s'.", word);
	return w->parse(ln, def, pos);
}

static int stk_parse(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct stk_cfg *c = epoch_part(ln->ep, &stk_cfg_module);
	const struct cfg_object *owner = ln->obj;
	struct stk_def *def = cfg_zalloc(ln, sizeof(*def));

	if (!def)
		return -1;
	def->obj = (struct cfg_object){ .kind = "stick-table", .name = owner->name, .file = ln->file, .line = ln->line };
	def->section = owner->kind;
	def->shape.type = STK_TYPE_COUNT;
	for (int pos = 1; pos < ln->argc; pos++)
		if (stk_parse_word(ln, def, &pos) < 0)
			return -1;
	if (!def->shape.size)
		return cfg_err(ln, "stick-table: missing size.");
	if (def->shape.type == STK_TYPE_COUNT)
		return cfg_err(ln, "stick-table: missing type.");
	if (stk_check_arrays(ln, def) < 0)
		return -1;
	if (def->nopurge && !def->expire_ms)
		cfg_warn(ln, "stick-table: 'nopurge' without 'expire': once full, the table takes no key any more.");
	list_add_tail(&c->defs, &def->node);
	epoch_add_object(ln->ep, &def->obj, ln->d);
	return 0;
}

/* ---- who names a table ---- */

struct stk_ref *stk_ref(struct arena *a, const struct stk_want *want, char **err)
{
	struct epoch *ep = a->owner;
	struct stk_note *n;

	if (!ep) {
		pol_err(err, "there are no stick tables here");
		return NULL;
	}
	n = arena_alloc(a, sizeof(*n));
	if (!n) {
		pol_err(err, "out of memory");
		return NULL;
	}
	n->want = *want;
	n->want.by = arena_strdup(a, str_c(want->by));
	n->at = ep->at;
	if (want->name && *want->name)
		n->ref.name = arena_strdup(a, str_c(want->name));
	else if (ep->at.obj)
		n->ref.name = ep->at.obj->name;
	if (!n->ref.name || !n->want.by) {
		pol_err(err, "the name of a stick table is needed here");
		return NULL;
	}
	list_add_tail(&((struct stk_cfg *)epoch_part(ep, &stk_cfg_module))->notes, &n->node);
	return &n->ref;
}

static void stk_note_error(struct diag *d, const struct stk_note *n, const char *what)
{
	const struct cfg_object *o = n->at.obj;

	diag_error(d, n->at.file, n->at.line, "%s, referenced by %s%s%s%s%s%s.", what, n->want.by, o ? " in " : "",
		   o ? o->kind : "", o ? " '" : "", o ? o->name : "", o ? "'" : "");
}

static void stk_note_resolve(struct epoch *ep, struct stk_note *n, struct diag *d)
{
	struct cfg_object *o = epoch_find(ep, "stick-table", n->ref.name);
	const char *near = o ? NULL : epoch_nearest(ep, "stick-table", n->ref.name);
	struct stk_def *def = o ? container_of(o, struct stk_def, obj) : NULL;
	char what[256];

	n->ref.def = def;
	if (!def) {
		snprintf(what, sizeof(what), "unable to find table '%s'" DIAG_MAYBE, n->ref.name, DIAG_MAYBE_ARG(near));
		stk_note_error(d, n, what);
		return;
	}
	if (n->want.server)
		def->shape.col[STK_SERVER_ID].count = def->shape.col[STK_SERVER_KEY].count = 1;
	if (n->want.data != STK_NOTHING && !stk_stores(&def->shape, n->want.data, n->want.idx)) {
		snprintf(what, sizeof(what), "table '%s' (%s:%d) does not store '%s'%s", n->ref.name, o->file, o->line,
			 stk_data_name(n->want.data), stk_data_is_array(n->want.data) ? " with so many elements" : "");
		stk_note_error(d, n, what);
	}
	if (n->want.key != SMP_T_COUNT && !stk_type_takes(def->shape.type, n->want.key)) {
		snprintf(what, sizeof(what), "table '%s' of type '%s' has no key for a sample of type '%s'", n->ref.name,
			 stk_type_name[def->shape.type], smp_type_name[n->want.key]);
		stk_note_error(d, n, what);
	}
}

static void stk_cfg_resolve(struct epoch *ep, struct diag *d)
{
	struct stk_cfg *c = epoch_part(ep, &stk_cfg_module);
	struct stk_note *n;
	struct stk_def *def;

	list_for_each(n, &c->notes, node)
		stk_note_resolve(ep, n, d);
	list_for_each(def, &c->defs, node)
		stk_shape_lay_out(&def->shape);
}

/* ---- applying ---- */

static int stk_cfg_prepare(struct worker *w, struct epoch *ep, struct epoch *old, struct diag *d)
{
	struct stk_cfg *c = epoch_part(ep, &stk_cfg_module);
	struct stk_def *def;

	if (!w->tables)
		return 0;
	list_for_each(def, &c->defs, node) {
		struct stk_table *t = stk_table_find(w, def->obj.name);

		if (t && memcmp(&t->shape, &def->shape, sizeof(t->shape)) == 0)
			def->rt = stk_table_get(t);
		else if (!def->rt && !(def->rt = stk_table_new(w, def)))
			return -ENOMEM;
	}
	return 0;
}

static void stk_cfg_commit(struct worker *w, struct epoch *ep, struct epoch *old)
{
	struct stk_cfg *c = epoch_part(ep, &stk_cfg_module);
	struct stk_table *t, *next;
	struct stk_def *def;
	struct list former;

	if (!w->tables)
		return;
	list_init(&former);
	list_splice_tail(&former, &w->tables->all);
	list_for_each(def, &c->defs, node) {
		t = def->rt;
		t->expire_ms = def->expire_ms;
		t->nopurge = def->nopurge;
		t->key_is_addr = def->key_is_addr;
		if (list_empty(&t->node))
			stk_table_get(t); /* the list's */
		list_del(&t->node);
		list_add_tail(&w->tables->all, &t->node);
	}
	list_for_each_safe(t, next, &former, node)
		stk_table_unlink(t);
	stk_expire_soon(w);
}

/* After all who may name a table. */
struct cfg_module stk_cfg_module = {
	.name = "stick tables",
	.order = 90,
	.create = stk_cfg_create,
	.resolve = stk_cfg_resolve,
	.destroy = stk_cfg_destroy,
	.prepare = stk_cfg_prepare,
	.commit = stk_cfg_commit,
};

static struct cfg_kw stk_kws[] = {
	{ .word = "stick-table", .sections = CFG_FRONTEND | CFG_BACKEND | CFG_LISTEN | CFG_GATEWAY, .parse = stk_parse,
	  .usage = "stick-table type {ip|ipv6|integer|string [len <n>]|binary [len <n>]} size <n> [expire <time>] [nopurge] "
		   "[store <data>[(<args>)][,...]]...",
	  .help = "counters and servers by key: addresses, users, ..." },
	{ 0 },
};

INITCALL stk_cfg_register(void)
{
	cfg_module_register(&stk_cfg_module);
	cfg_register_keywords(stk_kws);
}
