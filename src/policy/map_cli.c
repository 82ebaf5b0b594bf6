/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * map_cli.c - show, get, add, set, del and clear map
 *
 * Lines and messages are HAProxy's (management.txt). A map is named by its file, or by "#" and its place in `show map`;
 * an entry by its key, or by "#" and the number that `show map <map>` begins its line with. A listing goes on after the
 * number that it came to.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli.h"
#include "core/worker.h"
#include "policy/map_priv.h"

/* ---- finding ---- */

/* args[2]; NULL and answered when there is none. */
static struct map *map_cli_find(struct cli_ctx *ctx)
{
	const char *word = ctx->argc > 2 ? ctx->args[2] : "";
	struct map_def *def;
	uint64_t id = 0, at = 0;
	bool by_id = word[0] == '#';

	if (by_id && str_to_uint(str_c(word + 1), &id) < 0)
		by_id = false;
	if (ctx->w->epoch)
		list_for_each(def, map_defs(ctx->w->epoch), node)
			if (by_id ? at++ == id : strcmp(def->obj.name, word) == 0)
				return def->map;
	cli_err(ctx, "Unknown map identifier. Please use #<id> or <file>.");
	return NULL;
}

/* The entry that <word> names, after <after>; NULL: none (more). */
static struct map_entry *map_cli_entry(const struct map *m, const char *word, struct map_entry *after)
{
	uint64_t ref;

	if (word[0] != '#' || str_to_uint(str_c(word + 1), &ref) < 0)
		return map_by_key(m, word, after);
	return after ? NULL : map_by_ref(m, ref);
}

/* ---- show, get ---- */

static enum cli_ret map_cli_list(struct cli_ctx *ctx)
{
	struct map_def *def;
	unsigned at = 0;

	buf_printf_grow(ctx->out, "# id (file) description\n");
	if (ctx->w->epoch)
		list_for_each(def, map_defs(ctx->w->epoch), node)
			buf_printf_grow(ctx->out, "%u (%s) pattern loaded from file '%s'. entry_cnt=%u\n", at++, def->obj.name,
					def->obj.name, def->map->count);
	return CLI_DONE;
}

static enum cli_ret map_cli_show(struct cli_ctx *ctx)
{
	struct map *m;

	if (ctx->argc < 3)
		return map_cli_list(ctx);
	m = map_cli_find(ctx);
	if (!m)
		return CLI_DONE;
	ctx->priv = map_get(m);
	return CLI_MORE;
}

static enum cli_ret map_cli_show_io(struct cli_ctx *ctx)
{
	const struct map *m = ctx->priv;
	const struct map_entry *e;

	list_for_each(e, &m->entries, node) {
		if (e->ref <= ctx->pos)
			continue;
		if (ctx->out->data >= CLI_CHUNK)
			return CLI_MORE;
		buf_printf_grow(ctx->out, "%" PRIu64 " %s %s\n", e->ref, e->key, e->value);
		ctx->pos = e->ref;
	}
	return CLI_DONE;
}

static void map_cli_release(struct cli_ctx *ctx)
{
	struct map *m = ctx->priv;

	map_put(&m);
}

/* <key> as each kind of lookup that the configuration makes in the map sees it. */
static enum cli_ret map_cli_get(struct cli_ctx *ctx)
{
	struct arena tmp;
	struct policy_ctx pc = { .w = ctx->w, .tmp = &tmp, .req_final = true, .res_final = true };
	struct map *m;
	int how;

	if (ctx->argc != 4)
		return cli_err(ctx, "This command expects two parameters: map identifier and key.");
	m = map_cli_find(ctx);
	if (!m)
		return CLI_DONE;
	arena_init(&tmp);
	for (how = 0; how < PAT_COUNT; how++) {
		struct sample s = { .type = SMP_T_STR, .v.str = str_c(ctx->args[3]) };
		const struct map_entry *e;
		enum smp_type want;

		if (!m->index[how])
			continue;
		pat_match_type((enum pat_match)how, &want);
		e = sample_cast(&s, want, &pc) ? map_find(m, (enum pat_match)how, &s, &pc, NULL) : NULL;
		buf_printf_grow(ctx->out, "type=%s, case=sensitive, found=%s", pat_match_name((enum pat_match)how), e ? "yes" : "no");
		if (e)
			buf_printf_grow(ctx->out, ", idx=%s, key=\"%s\", value=\"%s\", type=\"str\"",
					how == PAT_STR || how == PAT_IP ? "tree" : "list", e->key, e->value);
		buf_printf_grow(ctx->out, "\n");
	}
	arena_reset(&tmp);
	return CLI_DONE;
}

/* ---- changes ---- */

static enum cli_ret map_cli_failed(struct cli_ctx *ctx, char *err)
{
	cli_err(ctx, "%s.", err ? err : "Out of memory");
	free(err);
	return CLI_DONE;
}

/* Lines "key value" behind <<; what stands before a bad one stays added. */
static enum cli_ret map_cli_add_lines(struct cli_ctx *ctx, struct map *m)
{
	struct str rest = str_c(ctx->payload);
	char *err = NULL;

	while (rest.p) {
		struct str line = str_cut(&rest, '\n'), value = line, key = str_cut(&value, ' ');
		char *k, *v;
		int rc;

		if (!line.n)
			continue;
		if (!key.n || !value.n)
			return cli_err(ctx, "Missing value for key '%.*s'.", STR_ARG(key));
		k = strndup(key.p, key.n);
		v = strndup(value.p, value.n);
		rc = k && v ? map_add(m, k, v, &err) : -1;
		free(k);
		free(v);
		if (rc < 0)
			return map_cli_failed(ctx, err);
	}
	return CLI_DONE;
}

static enum cli_ret map_cli_add(struct cli_ctx *ctx)
{
	struct map *m;
	char *err = NULL;

	if (ctx->payload ? ctx->argc != 3 : ctx->argc != 5)
		return cli_err(ctx, "'add map' expects three parameters (map identifier, key and value) or one parameter (map "
				    "identifier) and a payload");
	m = map_cli_find(ctx);
	if (!m)
		return CLI_DONE;
	if (ctx->payload)
		return map_cli_add_lines(ctx, m);
	return map_add(m, ctx->args[3], ctx->args[4], &err) < 0 ? map_cli_failed(ctx, err) : CLI_DONE;
}

static enum cli_ret map_cli_set(struct cli_ctx *ctx)
{
	struct map_entry *e = NULL;
	struct map *m;
	char *err = NULL;
	unsigned n = 0;

	if (ctx->argc != 5)
		return cli_err(ctx, "'set map' expects three parameters: map identifier, key and value.");
	m = map_cli_find(ctx);
	if (!m)
		return CLI_DONE;
	while ((e = map_cli_entry(m, ctx->args[3], e))) {
		if (map_set(m, e, ctx->args[4], &err) < 0)
			return map_cli_failed(ctx, err);
		n++;
	}
	return n ? CLI_DONE : cli_err(ctx, "entry not found.");
}

static enum cli_ret map_cli_del(struct cli_ctx *ctx)
{
	struct map_entry *e;
	struct map *m;
	unsigned n = 0;

	if (ctx->argc != 4)
		return cli_err(ctx, "This command expects two parameters: map identifier and key.");
	m = map_cli_find(ctx);
	if (!m)
		return CLI_DONE;
	for (; (e = map_cli_entry(m, ctx->args[3], NULL)); n++)
		map_del(m, e);
	return n ? CLI_DONE : cli_err(ctx, "Key not found.");
}

static enum cli_ret map_cli_clear(struct cli_ctx *ctx)
{
	struct map *m = map_cli_find(ctx);

	if (m)
		map_clear(m);
	return CLI_DONE;
}

static struct cli_kw map_cli_kws[] = {
	{ { "show", "map" }, "[#<id>|<file>]", "maps, or the entries of one", CLI_OPERATOR, map_cli_show, map_cli_show_io,
	  map_cli_release },
	{ { "get", "map" }, "#<id>|<file> <key>", "what a lookup finds in a map", CLI_OPERATOR, map_cli_get },
	{ { "add", "map" }, "#<id>|<file> <key> <value> | #<id>|<file> <<", "add entries to a map", CLI_OPERATOR, map_cli_add },
	{ { "set", "map" }, "#<id>|<file> <key>|#<ref> <value>", "change entries of a map", CLI_OPERATOR, map_cli_set },
	{ { "del", "map" }, "#<id>|<file> <key>|#<ref>", "remove entries of a map", CLI_OPERATOR, map_cli_del },
	{ { "clear", "map" }, "#<id>|<file>", "remove all entries of a map", CLI_OPERATOR, map_cli_clear },
	{ { NULL } },
};

INITCALL map_cli_init(void)
{
	cli_register(map_cli_kws);
}
