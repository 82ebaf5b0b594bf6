/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sticktable_cli.c - show table, set table, clear table
 *
 * Lines and messages are HAProxy's (management.txt). A listing and a clearing keep
 * their place with a cursor that moves on when the entry it stands at goes, and do
 * STK_CLI_ENTRIES at a time. The address that each line begins with is only the
 * entry's name for as long as it lives.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "core/cli.h"
#include "core/worker.h"
#include "policy/sticktable_priv.h"

#define STK_CLI_ENTRIES 1000
#define STK_CLI_FILTERS 4

/* ---- filters: data.<type> <operator> <value> ---- */

enum stk_cmp { STK_CMP_EQ, STK_CMP_NE, STK_CMP_LE, STK_CMP_GE, STK_CMP_LT, STK_CMP_GT, STK_CMP_COUNT };
static const char *const stk_cmp_name[STK_CMP_COUNT] = { "eq", "ne", "le", "ge", "lt", "gt" };

struct stk_filter {
	enum stk_data data;
	unsigned idx;
	enum stk_cmp cmp;
	int64_t value;
};

struct stk_cli {
	struct stk_cursor cursor;
	struct stk_filter filter[STK_CLI_FILTERS];
	unsigned nb_filters;
};

static bool stk_filter_match(const struct stk_cli *c, const struct stk_entry *e)
{
	for (unsigned i = 0; i < c->nb_filters; i++) {
		const struct stk_filter *f = &c->filter[i];
		int64_t v = (int64_t)stk_read(c->cursor.t, e, f->data, f->idx);
		const bool holds[STK_CMP_COUNT] = {
			[STK_CMP_EQ] = v == f->value, [STK_CMP_NE] = v != f->value, [STK_CMP_LE] = v <= f->value,
			[STK_CMP_GE] = v >= f->value, [STK_CMP_LT] = v < f->value,  [STK_CMP_GT] = v > f->value,
		};

		if (!holds[f->cmp])
			return false;
	}
	return true;
}

/* "data.<type>" of a table. NULL when it is, else what is wrong. */
static const char *stk_cli_data(const struct stk_table *t, const char *word, enum stk_data *d, unsigned *idx)
{
	if (strncmp(word, "data.", 5) != 0 || !stk_data_find(str_c(word + 5), d, idx) || *d == STK_SERVER_KEY)
		return "Unknown data type";
	return stk_stores(&t->shape, *d, *idx) ? NULL : "Data type not stored in this table";
}

static int stk_cmp_find(const char *word)
{
	for (int i = 0; i < STK_CMP_COUNT; i++)
		if (strcmp(word, stk_cmp_name[i]) == 0)
			return i;
	return -1;
}

/* False: answered. */
static bool stk_cli_filters(struct cli_ctx *ctx, struct stk_table *t, struct stk_cli *c)
{
	for (int i = 3; i < ctx->argc; i += 3) {
		struct stk_filter *f = &c->filter[c->nb_filters];
		const char *why;
		int cmp;

		if (c->nb_filters == STK_CLI_FILTERS) {
			cli_err(ctx, "More than %d filters.", STK_CLI_FILTERS);
			return false;
		}
		c->nb_filters++;
		why = stk_cli_data(t, ctx->args[i], &f->data, &f->idx);
		if (why) {
			cli_err(ctx, "Filter entry #%u: %s", c->nb_filters, why);
			return false;
		}
		cmp = i + 1 < ctx->argc ? stk_cmp_find(ctx->args[i + 1]) : -1;
		if (cmp < 0) {
			cli_err(ctx, "Filter entry #%u: Require and operator among \"eq\", \"ne\", \"le\", \"ge\", \"lt\", \"gt\"",
				c->nb_filters);
			return false;
		}
		f->cmp = (enum stk_cmp)cmp;
		if (i + 2 >= ctx->argc || str_to_int(str_c(ctx->args[i + 2]), &f->value) < 0) {
			cli_err(ctx, "Filter entry #%u: Require a valid integer value to compare against", c->nb_filters);
			return false;
		}
	}
	return true;
}

/* ---- lines ---- */

static void stk_cli_table(struct cli_ctx *ctx, const struct stk_table *t)
{
	if (!ctx->json) {
		buf_printf_grow(ctx->out, "# table: %s, type: %s, size:%u, used:%u\n", t->name, stk_type_name[t->shape.type],
				t->shape.size, t->used);
		return;
	}
	json_obj_open(&ctx->j, NULL);
	json_str(&ctx->j, "table", str_c(t->name));
	json_str(&ctx->j, "type", str_c(stk_type_name[t->shape.type]));
	json_uint(&ctx->j, "size", t->shape.size);
	json_uint(&ctx->j, "used", t->used);
	json_uint(&ctx->j, "expire_ms", t->expire_ms);
	json_uint(&ctx->j, "purged", t->purged);
	json_uint(&ctx->j, "refused", t->refused);
	json_arr_open(&ctx->j, "store");
	for (int d = 0; d < STK_DATA_COUNT; d++) {
		if (!t->shape.col[d].count)
			continue;
		json_obj_open(&ctx->j, NULL);
		json_str(&ctx->j, "data", str_c(stk_data_name((enum stk_data)d)));
		json_uint(&ctx->j, "elements", t->shape.col[d].count);
		if (stk_data_is_rate((enum stk_data)d))
			json_uint(&ctx->j, "period_ms", t->shape.col[d].period_ms);
		json_obj_close(&ctx->j);
	}
	json_arr_close(&ctx->j);
	json_obj_close(&ctx->j);
}

/* " gpc0=1 conn_rate(10000)=2"; elements of arrays as gpc3, gpc3_rate */
static void stk_cli_data_text(struct buf *out, const struct stk_table *t, const struct stk_entry *e, enum stk_data d)
{
	const struct stk_column *col = &t->shape.col[d];

	if (d == STK_SERVER_KEY && col->count) {
		buf_printf_grow(out, " %s=%s", stk_data_name(d), stk_server(t, e) ? stk_server(t, e) : "-");
		return;
	}
	for (unsigned i = 0; i < col->count; i++) {
		if (!stk_data_is_array(d))
			buf_printf_grow(out, " %s", stk_data_name(d));
		else
			buf_printf_grow(out, " %.3s%u%s", stk_data_name(d), i, stk_data_is_rate(d) ? "_rate" : "");
		if (stk_data_is_rate(d))
			buf_printf_grow(out, "(%u)", col->period_ms);
		buf_printf_grow(out, "=%" PRIu64, stk_read(t, e, d, i));
	}
}

static void stk_cli_data_json(struct json *j, const struct stk_table *t, const struct stk_entry *e, enum stk_data d)
{
	const struct stk_column *col = &t->shape.col[d];
	bool array = stk_data_is_array(d);

	if (d == STK_SERVER_KEY && col->count) {
		json_str(j, stk_data_name(d), str_c(stk_server(t, e) ? stk_server(t, e) : ""));
		return;
	}
	if (array && col->count)
		json_arr_open(j, stk_data_name(d));
	for (unsigned i = 0; i < col->count; i++)
		json_uint(j, array ? NULL : stk_data_name(d), stk_read(t, e, d, i));
	if (array && col->count)
		json_arr_close(j);
}

static void stk_cli_entry_json(struct cli_ctx *ctx, const struct stk_table *t, const struct stk_entry *e)
{
	struct buf key = { 0 };

	stk_key_print(t, e, &key);
	json_obj_open(&ctx->j, NULL);
	json_str(&ctx->j, "key", buf_str(&key));
	json_uint(&ctx->j, "use", e->refs);
	json_uint(&ctx->j, "exp", stk_expires_in(t, e));
	for (int d = 0; d < STK_DATA_COUNT; d++)
		stk_cli_data_json(&ctx->j, t, e, (enum stk_data)d);
	json_obj_close(&ctx->j);
	buf_free(&key);
}

static void stk_cli_entry(struct cli_ctx *ctx, const struct stk_table *t, const struct stk_entry *e)
{
	if (ctx->json) {
		stk_cli_entry_json(ctx, t, e);
		return;
	}
	buf_printf_grow(ctx->out, "%p: key=", (const void *)e);
	stk_key_print(t, e, ctx->out);
	buf_printf_grow(ctx->out, " use=%u exp=%" PRIu64, e->refs, stk_expires_in(t, e));
	for (int d = 0; d < STK_DATA_COUNT; d++)
		stk_cli_data_text(ctx->out, t, e, (enum stk_data)d);
	buf_put_grow(ctx->out, "\n", 1);
}

/* ---- what the commands have in common ---- */

/* The table that is named; NULL: answered. */
static struct stk_table *stk_cli_find(struct cli_ctx *ctx)
{
	struct stk_table *t = stk_table_find(ctx->w, ctx->args[2]);

	if (!t)
		cli_err(ctx, "No such table");
	return t;
}

/* "<verb> table <table> key <key>". False: answered; <what> is what cannot be done with other types. */
static bool stk_cli_key(struct cli_ctx *ctx, const struct stk_table *t, const char *what, struct stk_key *k)
{
	if (ctx->argc < 5 || !*ctx->args[4])
		cli_err(ctx, "Key value expected");
	else if (t->shape.type == STK_BINARY)
		cli_err(ctx, "%s tables of type other than ip, ipv6, string and integer is not supported", what);
	else if (!stk_key_from_text(t, str_c(ctx->args[4]), k))
		cli_err(ctx, "Invalid key");
	else
		return true;
	return false;
}

/* Begins to walk a table, by the filters behind its name. */
static enum cli_ret stk_cli_walk(struct cli_ctx *ctx, struct stk_table *t)
{
	struct stk_cli *c = calloc(1, sizeof(*c));

	if (!c)
		return cli_err(ctx, "Out of memory.");
	if (!stk_cli_filters(ctx, t, c)) {
		free(c);
		return CLI_DONE;
	}
	stk_cursor_start(&c->cursor, t);
	ctx->priv = c;
	return CLI_MORE;
}

static void stk_cli_release(struct cli_ctx *ctx)
{
	struct stk_cli *c = ctx->priv;

	if (!c)
		return;
	stk_cursor_stop(&c->cursor);
	free(c);
	ctx->priv = NULL;
}

/* ---- show table ---- */

static enum cli_ret stk_cli_show_all(struct cli_ctx *ctx)
{
	struct stk_table *t;

	if (ctx->json)
		json_arr_open(&ctx->j, NULL);
	if (ctx->w->tables)
		list_for_each(t, &ctx->w->tables->all, node)
			stk_cli_table(ctx, t);
	if (ctx->json)
		json_arr_close(&ctx->j);
	return CLI_DONE;
}

static void stk_cli_head(struct cli_ctx *ctx, const struct stk_table *t)
{
	if (ctx->json)
		json_arr_open(&ctx->j, NULL);
	else
		stk_cli_table(ctx, t);
}

static enum cli_ret stk_cli_show_key(struct cli_ctx *ctx, struct stk_table *t)
{
	struct stk_entry *e;
	struct stk_key k;

	if (!stk_cli_key(ctx, t, "Showing keys from", &k))
		return CLI_DONE;
	e = stk_lookup(t, &k);
	if (e || ctx->json)
		stk_cli_head(ctx, t);
	if (e)
		stk_cli_entry(ctx, t, e);
	if (ctx->json)
		json_arr_close(&ctx->j);
	return CLI_DONE;
}

static enum cli_ret stk_cli_show(struct cli_ctx *ctx)
{
	struct stk_table *t;

	if (ctx->argc < 3)
		return stk_cli_show_all(ctx);
	t = stk_cli_find(ctx);
	if (!t)
		return CLI_DONE;
	if (ctx->argc > 3 && strcmp(ctx->args[3], "key") == 0)
		return stk_cli_show_key(ctx, t);
	if (ctx->argc > 3 && strncmp(ctx->args[3], "data.", 5) != 0)
		return cli_err(ctx, "Optional argument only supports \"data.<store_data_type>\" <operator> <value> and key <key>");
	if (stk_cli_walk(ctx, t) == CLI_DONE)
		return CLI_DONE;
	stk_cli_head(ctx, t);
	return CLI_MORE;
}

static enum cli_ret stk_cli_show_io(struct cli_ctx *ctx)
{
	struct stk_cli *c = ctx->priv;
	struct stk_entry *e;

	for (unsigned i = 0; i < STK_CLI_ENTRIES && ctx->out->data < CLI_CHUNK; i++) {
		e = stk_cursor_next(&c->cursor);
		if (!e) {
			if (ctx->json)
				json_arr_close(&ctx->j);
			return CLI_DONE;
		}
		if (stk_filter_match(c, e))
			stk_cli_entry(ctx, c->cursor.t, e);
	}
	return CLI_MORE;
}

/* ---- clear table ---- */

static enum cli_ret stk_cli_clear_key(struct cli_ctx *ctx, struct stk_table *t)
{
	struct stk_entry *e;
	struct stk_key k;

	if (!stk_cli_key(ctx, t, "Removing keys from", &k))
		return CLI_DONE;
	e = stk_lookup(t, &k);
	if (e && !stk_remove(t, e))
		return cli_err(ctx, "Entry currently in use, cannot remove");
	return CLI_DONE;
}

static enum cli_ret stk_cli_clear(struct cli_ctx *ctx)
{
	struct stk_table *t;

	if (ctx->argc < 3)
		return cli_err(ctx, "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key>");
	t = stk_cli_find(ctx);
	if (!t)
		return CLI_DONE;
	if (ctx->argc == 3 || strncmp(ctx->args[3], "data.", 5) == 0)
		return stk_cli_walk(ctx, t);
	if (strcmp(ctx->args[3], "key") == 0)
		return stk_cli_clear_key(ctx, t);
	return cli_err(ctx, "Optional argument only supports \"data.<store_data_type>\" <operator> <value> and key <key>");
}

static enum cli_ret stk_cli_clear_io(struct cli_ctx *ctx)
{
	struct stk_cli *c = ctx->priv;
	struct stk_entry *e;

	for (unsigned i = 0; i < STK_CLI_ENTRIES; i++) {
		e = stk_cursor_next(&c->cursor);
		if (!e)
			return CLI_DONE;
		/* what is tracked stays, as in HAProxy */
		if (stk_filter_match(c, e))
			stk_remove(c->cursor.t, e);
	}
	return CLI_MORE;
}

/* ---- set table ---- */

/* "data.<type> <value>" pairs from args[5] on; with an entry they are set, without they are only checked. False:
 * answered. */
static bool stk_cli_values(struct cli_ctx *ctx, struct stk_table *t, struct stk_entry *e)
{
	for (int i = 5; i < ctx->argc; i += 2) {
		enum stk_data d;
		const char *why;
		unsigned idx;
		int64_t v;

		if (strncmp(ctx->args[i], "data.", 5) != 0 || i + 1 >= ctx->argc) {
			cli_err(ctx, "\"data.<type>\" followed by a value expected");
			return false;
		}
		why = stk_cli_data(t, ctx->args[i], &d, &idx);
		if (!why && (str_to_int(str_c(ctx->args[i + 1]), &v) < 0 || v < 0))
			why = "Require a valid integer value to store";
		if (why) {
			cli_err(ctx, "%s", why);
			return false;
		}
		if (e)
			stk_set(t, e, d, idx, (uint64_t)v);
	}
	return true;
}

static enum cli_ret stk_cli_set(struct cli_ctx *ctx)
{
	struct stk_table *t;
	struct stk_entry *e;
	struct stk_key k;

	if (ctx->argc < 3)
		return cli_err(ctx, "Required arguments: <table> key <key> [data.<store_data_type> <value>]*");
	t = stk_cli_find(ctx);
	if (!t)
		return CLI_DONE;
	if (ctx->argc > 3 && strncmp(ctx->args[3], "data.", 5) == 0)
		return cli_err(ctx, "content-based lookup is only supported with the \"show\" and \"clear\" actions");
	if (ctx->argc < 4 || strcmp(ctx->args[3], "key") != 0)
		return cli_err(ctx, "Required arguments: <table> key <key> [data.<store_data_type> <value>]*");
	if (!stk_cli_key(ctx, t, "Inserting keys into", &k) || !stk_cli_values(ctx, t, NULL))
		return CLI_DONE;
	e = stk_obtain(t, &k);
	if (!e)
		return cli_err(ctx, "Unable to allocate a new entry");
	stk_cli_values(ctx, t, e);
	stk_touch(t, e);
	return CLI_DONE;
}

static struct cli_kw stk_cli_kws[] = {
	{ { "show", "table", NULL }, "[<table> [data.<type> <operator> <value>]* | [key <key>]]",
	  "stick tables, or the entries of one", CLI_USER, stk_cli_show, stk_cli_show_io, stk_cli_release },
	{ { "set", "table", NULL }, "<table> key <key> [data.<type> <value>]*", "make or change an entry of a stick table",
	  CLI_OPERATOR, stk_cli_set, NULL, NULL },
	{ { "clear", "table", NULL }, "<table> [data.<type> <operator> <value>]* | [key <key>]",
	  "remove entries of a stick table", CLI_OPERATOR, stk_cli_clear, stk_cli_clear_io, stk_cli_release },
	{ { NULL } },
};

INITCALL stk_cli_init(void)
{
	cli_register(stk_cli_kws);
}
