/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rule.c - rules in order; the first final one ends
 *
 * Layers register their actions; this file knows how a rule is written, where
 * each action is allowed, and how a set of rules is walked. Walking stops at the
 * first rule that cannot be decided yet and takes up there again. A rule's
 * condition may look at things that its place never has (a response's status at
 * a SYN): that is a warning when the rule is read, and never true when it runs,
 * because the contexts of such places are final from the start.
 */
#include "policy/rule.h"

#include <stdio.h>
#include <stdlib.h>

#include "cfg/cfg.h"
#include "policy/policy_priv.h"

static struct action_kw *actions; /* facts of the program, written before main() */

void action_register(struct action_kw *kws)
{
	for (; kws->name; kws++) {
		kws->next = actions;
		actions = kws;
	}
}

unsigned rule_set_supplies(uint32_t set)
{
	static const struct {
		uint32_t set;
		unsigned at;
	} supplies[] = {
		{ RS_GW_CONN, SMP_AT_L4 },
		{ RS_GW_CONTENT, SMP_AT_L4 | SMP_AT_REQ | SMP_AT_HREQ | SMP_AT_HREQP },
		{ RS_TCP_CONN, SMP_AT_L4 },
		{ RS_TCP_SESS, SMP_AT_L4 },
		{ RS_TCP_CONTENT, SMP_AT_L4 | SMP_AT_REQ | SMP_AT_HREQ | SMP_AT_HREQP },
		{ RS_TCP_RES, SMP_AT_L4 | SMP_AT_RES | SMP_AT_HRES | SMP_AT_HREQP },
		{ RS_HTTP_REQ, SMP_AT_L4 | SMP_AT_REQ | SMP_AT_HREQ | SMP_AT_HREQP },
		{ RS_HTTP_RES, SMP_AT_L4 | SMP_AT_RES | SMP_AT_HRES | SMP_AT_HREQP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(supplies); i++)
		if (supplies[i].set == set)
			return supplies[i].at;
	return 0;
}

void rule_set_init(struct rule_set *rs)
{
	list_init(&rs->rules);
	rs->count = 0;
}

void rule_set_release(struct rule_set *rs)
{
	struct rule *r;

	list_for_each (r, &rs->rules, node)
		if (r->kw->release)
			r->kw->release(r);
	rule_set_init(rs);
}

/* ---- parsing ---- */

struct action_names {
	const struct action_kw *at;
	uint32_t set;
};

static const char *action_next_name(void *arg)
{
	struct action_names *n = arg;

	while (n->at) {
		const struct action_kw *kw = n->at;

		n->at = kw->next;
		if (kw->sets & n->set)
			return kw->name;
	}
	return NULL;
}

/* <name> may have arguments in brackets behind it. */
static const struct action_kw *action_find(const char *name, uint32_t set)
{
	size_t n = strcspn(name, "(");

	for (const struct action_kw *kw = actions; kw; kw = kw->next)
		if ((kw->sets & set) && strncmp(kw->name, name, n) == 0 && !kw->name[n] && (!name[n] || kw->in_brackets))
			return kw;
	return NULL;
}

/* "'accept', 'reject', ..." of one set; malloc'd, NULL on no memory. */
static char *action_list(uint32_t set)
{
	struct action_names names = { .at = actions, .set = set };
	char *text = NULL;
	const char *name;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	while ((name = action_next_name(&names)))
		fprintf(f, "%s'%s'", ftell(f) > 0 ? ", " : "", name);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int rule_err_action(struct cfg_line *ln, const char *name, uint32_t set, const char *what)
{
	struct action_names names = { .at = actions, .set = set };
	char *list = action_list(set);
	const char *near = *name ? diag_nearest(name, action_next_name, &names) : NULL;

	if (!*name)
		cfg_err(ln, "'%s' expects an action: %s", what, list ? list : "");
	else if (near)
		cfg_err(ln, "'%s' : unknown action '%s'; did you mean '%s'?", what, name, near);
	else
		cfg_err(ln, "'%s' expects %s, but got '%s'", what, list ? list : "an action", name);
	free(list);
	return -1;
}

static int rule_parse_cond(struct cfg_line *ln, int pos, struct rule *r, const char *what,
			   struct acl_set *acls)
{
	char where[128], *text = NULL;

	if (pos >= ln->argc)
		return 0;
	if (strcmp(ln->args[pos], "if") != 0 && strcmp(ln->args[pos], "unless") != 0)
		return cfg_err(
		    ln, "'%s %s' expects either 'if' or 'unless' followed by a condition but found '%s'",
		    what, r->kw->name, ln->args[pos]);
	r->cond = cond_parse(acls, &ln->ep->arena, ln->argc - pos, ln->args + pos, &text);
	if (!r->cond) {
		cfg_err(ln, "error detected while parsing a '%s %s' condition : %s", what, r->kw->name,
			text ? text : "out of memory");
		free(text);
		return -1;
	}
	snprintf(where, sizeof(where), "%s %s rule", ln->section ? ln->section->name : "", what);
	if (cond_conflicts(r->cond, rule_set_supplies(r->set), where, &text))
		cfg_warn(ln, "%s", text ? text : "");
	free(text);
	return 0;
}

static void rule_warn_unreachable(struct cfg_line *ln, const struct rule_set *rs, const char *what)
{
	struct rule *r;

	list_for_each (r, &rs->rules, node) {
		if (!r->kw->is_final || r->cond)
			continue;
		/* said once: the rules before the last one have been told already */
		if (&r->node == rs->rules.prev)
			cfg_warn(ln,
				 "previous '%s %s' (line %d) is final and has no condition attached, further "
				 "entries are never reached",
				 what, r->kw->name, r->line);
		return;
	}
}

int rule_parse(struct cfg_line *ln, int pos, uint32_t set, const char *what, struct rule_set *rs,
	       struct acl_set *acls)
{
	const char *name = pos < ln->argc ? ln->args[pos] : "";
	const struct action_kw *kw = action_find(name, set);
	struct rule *r;
	int rc = 0;

	if (!kw)
		return rule_err_action(ln, name, set, what);
	r = cfg_zalloc(ln, sizeof(*r));
	if (!r)
		return cfg_err(ln, "out of memory");
	*r = (struct rule){ .kw = kw, .file = ln->file, .line = ln->line, .set = set };
	pos++;
	if (kw->parse && kw->parse(ln, &pos, r) < 0)
		rc = -1;
	else
		rc = rule_parse_cond(ln, pos, r, what, acls);
	if (rc < 0) {
		if (kw->release)
			kw->release(r);
		return rc;
	}
	rule_warn_unreachable(ln, rs, what);
	list_add_tail(&rs->rules, &r->node);
	rs->count++;
	return 0;
}

void rule_set_resolve(struct epoch *ep, struct rule_set *rs, struct diag *d)
{
	struct rule *r;

	list_for_each (r, &rs->rules, node)
		if (r->kw->resolve)
			r->kw->resolve(ep, r, d);
}

/* ---- running ---- */

static enum act_ret rule_run(const struct rule *r, struct policy_ctx *ctx, const struct rule **last)
{
	enum act_ret ret;

	switch (cond_eval(r->cond, ctx)) {
	case COND_FALSE: return ACT_RET_CONT;
	case COND_WAIT: return ACT_RET_WAIT;
	case COND_TRUE: break;
	}
	ret = r->kw->exec ? r->kw->exec(r, ctx) : r->kw->is_final ? ACT_RET_STOP : ACT_RET_CONT;
	if (ret != ACT_RET_CONT && ret != ACT_RET_WAIT && last)
		*last = r;
	return ret;
}

enum act_ret rule_set_run(const struct rule_set *rs, struct policy_ctx *ctx, const struct rule **from,
			  const struct rule **last)
{
	const struct list *at = from && *from ? &(*from)->node : rs->rules.next;

	if (last)
		*last = NULL;
	for (; at != &rs->rules; at = at->next) {
		const struct rule *r = list_entry((struct list *)at, struct rule, node);
		enum act_ret ret;

		if (r == ctx->repeats_until)
			ctx->repeats = false;
		ret = rule_run(r, ctx, last);
		if (ret == ACT_RET_CONT)
			continue;
		if (from)
			*from = ret == ACT_RET_WAIT ? r : NULL;
		return ret;
	}
	if (from)
		*from = NULL;
	return ACT_RET_CONT;
}
