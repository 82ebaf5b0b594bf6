/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * map_cfg.c - the map converters, and the maps of a configuration
 *
 *   map[_<match>[_<output>]](<file>[,<default>])     HAProxy's (its manual, 7.3.1)
 *
 * A file is read once for all that name it, when the first expression does: while the configuration is read, so that
 * what is wrong with it is told beside the line. Expressions outside of a configuration (tests) have maps of their own.
 */
#include <stdlib.h>
#include <string.h>

#include "core/worker.h"
#include "policy/map_priv.h"

struct map_cfg {
	struct list defs; /* struct map_def */
};

static struct cfg_module map_cfg_module;

/* ---- the epoch's part ---- */

static void *map_cfg_create(struct epoch *ep)
{
	struct map_cfg *c = arena_alloc(&ep->arena, sizeof(*c));

	if (c)
		list_init(&c->defs);
	return c;
}

static void map_cfg_destroy(void *part)
{
	struct map_cfg *c = part;
	struct map_def *def;

	list_for_each(def, &c->defs, node)
		map_put(&def->map);
}

struct list *map_defs(const struct epoch *ep)
{
	return &((struct map_cfg *)epoch_part(ep, &map_cfg_module))->defs;
}

static struct map_def *map_def_find(const struct epoch *ep, const char *file)
{
	struct map_def *def;

	list_for_each(def, map_defs(ep), node)
		if (strcmp(def->obj.name, file) == 0)
			return def;
	return NULL;
}

/* What was changed at run time stays, as long as the file says what it said. */
static int map_cfg_prepare(struct worker *w, struct epoch *ep, struct epoch *old, struct diag *d)
{
	struct map_def *def, *was;
	char *err = NULL;

	list_for_each(def, map_defs(ep), node) {
		was = old ? map_def_find(old, def->obj.name) : NULL;
		if (!was || was->map == def->map || was->map->source != def->map->source)
			continue;
		if (map_match_as(was->map, def->map, &err) < 0) {
			diag_warn(d, NULL, 0, "map '%s' is read anew, for what was added to it does not fit: %s", def->obj.name, err);
			free(err);
			err = NULL;
			continue;
		}
		map_put(&def->map);
		def->map = map_get(was->map);
	}
	return 0;
}

static struct cfg_module map_cfg_module = {
	.name = "maps",
	.order = 91,
	.create = map_cfg_create,
	.destroy = map_cfg_destroy,
	.prepare = map_cfg_prepare,
};

/* ---- converters ---- */

#define MAP_HOW(variant) ((enum pat_match)((variant) & 0xff))
#define MAP_OUT(variant) ((enum smp_type)((variant) >> 8 & 0xff))
#define MAP_GROUPS       0x10000 /* regm: the value has groups of the expression put in */

static void map_drop(void *arg)
{
	map_put(&((struct map_def *)arg)->map);
}

/* <file>'s, read now where it was not. NULL with *err. */
static struct map_def *map_def_of(struct arena *a, const char *file, char **err)
{
	struct epoch *ep = a->owner;
	struct map_def *def = ep ? map_def_find(ep, file) : NULL;

	if (def)
		return def;
	def = arena_alloc(a, sizeof(*def));
	if (!def || (!ep && !arena_on_reset(a, map_drop, def))) {
		pol_err(err, "out of memory");
		return NULL;
	}
	def->obj.kind = "map";
	def->obj.name = file;
	def->map = map_load(file, err);
	if (!def->map)
		return NULL;
	if (ep)
		list_add_tail(map_defs(ep), &def->node);
	return def;
}

static int map_check_default(const struct smp_arg *arg, enum smp_type out, char **err)
{
	struct addr a;
	int64_t v;

	if (out == SMP_T_SINT && str_to_int(arg->str, &v) < 0)
		return pol_err(err, "the default '%.*s' is not a number", STR_ARG(arg->str));
	if (out == SMP_T_ADDR && addr_parse_ip(&a, arg->str) != 0)
		return pol_err(err, "the default '%.*s' is not an address", STR_ARG(arg->str));
	return 0;
}

static int check_map(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	int64_t variant = args[SMP_ARG_SELF].i;
	struct map_def *def = map_def_of(a, args[0].str.p, err);

	if (!def)
		return -1;
	if (map_match_by(def->map, MAP_HOW(variant), err) < 0 || map_give(def->map, MAP_OUT(variant), err) < 0)
		return pol_err(err, "map '%s': %s", def->obj.name, *err);
	args[0].ptr = def;
	return nb_args > 1 ? map_check_default(&args[1], MAP_OUT(variant), err) : 0;
}

/* <value> with \0 to \9 replaced by the groups; in the context's scratch. */
static bool map_expand(struct policy_ctx *ctx, const char *value, const struct regex_groups *g, struct str *out)
{
	size_t n = 0, max = strlen(value), i;
	const char *v;
	char *text;

	for (i = 0; i < REGEX_GROUPS; i++)
		max += g->g[i].n * 2;
	/* a group may stand in it more often */
	for (v = value; *v; v++)
		if (v[0] == '\\' && v[1] >= '0' && v[1] <= '9')
			max += g->g[v[1] - '0'].n;
	text = pol_tmp(ctx, max + 1);
	if (!text)
		return false;
	for (v = value; *v; v++) {
		if (v[0] == '\\' && v[1] >= '0' && v[1] <= '9') {
			const struct str *s = &g->g[*++v - '0'];

			if (s->n)
				memcpy(text + n, s->p, s->n);
			n += s->n;
		} else {
			if (v[0] == '\\' && v[1])
				v++;
			text[n++] = *v;
		}
	}
	*out = str_n(text, n);
	return true;
}

/* The text of the result as the converter's type. */
static bool map_result(struct sample *smp, enum smp_type out, struct str text)
{
	smp->type = out;
	smp->may_change = false;
	if (out == SMP_T_SINT)
		return str_to_int(text, &smp->v.i) == 0;
	if (out == SMP_T_ADDR)
		return addr_parse_ip(&smp->v.addr, text) == 0;
	smp->v.str = text;
	return true;
}

static bool conv_map(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, struct sample *smp)
{
	int64_t variant = args[SMP_ARG_SELF].i;
	const struct map_def *def = args[0].ptr;
	struct regex_groups groups;
	bool subst = variant & MAP_GROUPS;
	const struct map_entry *e = map_find(def->map, MAP_HOW(variant), smp, ctx, subst ? &groups : NULL);
	struct str text;

	if (!e)
		return nb_args > 1 && map_result(smp, MAP_OUT(variant), args[1].str);
	text = str_c(e->value);
	if (subst && !map_expand(ctx, e->value, &groups, &text))
		return false;
	return map_result(smp, MAP_OUT(variant), text);
}

#define MAP_KW(name, in, how, out, more, help) \
	{ name, in, out, "sS", check_map, conv_map, help, .variant = (how) | (out) << 8 | (more) }
#define MAP_KWS(word, in, how, help)                               \
	MAP_KW("map_" word, in, how, SMP_T_STR, 0, help),          \
	MAP_KW("map_" word "_int", in, how, SMP_T_SINT, 0, help ", a number"), \
	MAP_KW("map_" word "_ip", in, how, SMP_T_ADDR, 0, help ", an address")

static struct smp_conv_kw convs_map[] = {
	MAP_KW("map", SMP_T_STR, PAT_STR, SMP_T_STR, 0, "the file's value for this key"),
	MAP_KWS("str", SMP_T_STR, PAT_STR, "the file's value for this key"),
	MAP_KWS("beg", SMP_T_STR, PAT_BEG, "the value of the longest key that this begins with"),
	MAP_KWS("sub", SMP_T_STR, PAT_SUB, "the value of the first key that this contains"),
	MAP_KWS("dir", SMP_T_STR, PAT_DIR, "the value of the first key that is a part of this path"),
	MAP_KWS("dom", SMP_T_STR, PAT_DOM, "the value of the first key that is a part of this domain"),
	MAP_KWS("end", SMP_T_STR, PAT_END, "the value of the first key that this ends with"),
	MAP_KWS("reg", SMP_T_STR, PAT_REG, "the value of the first regular expression that matches"),
	MAP_KWS("int", SMP_T_SINT, PAT_INT, "the value of the first number or range that fits"),
	MAP_KWS("ip", SMP_T_ADDR, PAT_IP, "the value of the smallest network that it is in"),
	MAP_KW("map_regm", SMP_T_STR, PAT_REG, SMP_T_STR, MAP_GROUPS,
	       "as map_reg, with \\0 to \\9 in the value replaced by what matched"),
	{ NULL }
};

INITCALL map_cfg_register(void)
{
	cfg_module_register(&map_cfg_module);
	smp_register_convs(convs_map);
}
