/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * acl.c - named tests and the conditions made of them, with three values
 *
 *     acl static path_beg /img /css          test: expression, patterns
 *     acl static path_end .png               an ACL is the OR of its tests
 *     ... if static !METH_POST || { src 10.0.0.0/8 }
 *            \___ group ____/     \___ group ____/    a condition ORs groups,
 *                                                     a group ANDs terms
 *
 * A test is true, false, or not known yet: its sample waits for bytes, or was
 * found, does not match, and may still change (req.len gt 100). NOT leaves
 * "not known" as it is, AND is the smaller and OR the greater of two values
 * in the order false < wait < true. So a condition can be known before all of
 * its samples are, and rules wait only where the answer really depends on what
 * has not come.
 *
 * A criterion is a sample expression, or a fetch's name with a match method
 * behind it: hdr_beg(host) is hdr(host) -m beg. Names without direction
 * (hdr, hdr_beg, ...) mean the request in ACLs, as in HAProxy. Predefined ACLs
 * (manual, 7.4) come into a set when they are first asked for.
 */
#include "policy/acl.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "cfg/cfg.h"
#include "policy/policy_priv.h"

#define COND_MAX_TERMS 256

static const struct {
	const char *name;
	const char *words[4]; /* criterion and patterns */
} acl_predefined[] = {
	{ "FALSE", { "always_false" } },
	{ "TRUE", { "always_true" } },
	{ "HTTP", { "req.proto_http" } },
	{ "HTTP_1.0", { "req.ver", "1.0" } },
	{ "HTTP_1.1", { "req.ver", "1.1" } },
	{ "HTTP_2.0", { "req.ver", "2.0" } },
	{ "HTTP_CONTENT", { "req.hdr_val(content-length)", "gt", "0" } },
	{ "HTTP_URL_ABS", { "url_reg", "^[^/:]*://" } },
	{ "HTTP_URL_SLASH", { "url_beg", "/" } },
	{ "HTTP_URL_STAR", { "url", "*" } },
	{ "LOCALHOST", { "src", "127.0.0.1/8", "::1" } },
	{ "METH_CONNECT", { "method", "CONNECT" } },
	{ "METH_DELETE", { "method", "DELETE" } },
	{ "METH_GET", { "method", "GET", "HEAD" } },
	{ "METH_HEAD", { "method", "HEAD" } },
	{ "METH_OPTIONS", { "method", "OPTIONS" } },
	{ "METH_POST", { "method", "POST" } },
	{ "METH_PUT", { "method", "PUT" } },
	{ "METH_TRACE", { "method", "TRACE" } },
	{ "REQ_CONTENT", { "req.len", "gt", "0" } },
	{ "WAIT_END", { "wait_end" } },
};

void acl_set_init(struct acl_set *s)
{
	list_init(&s->acls);
}

void acl_set_release(struct acl_set *s)
{
	list_init(&s->acls);
}

/* ---- parsing: one test ---- */

/* The criterion's keyword: what precedes its arguments and converters. */
static struct str acl_keyword(const char *crit)
{
	return str_n(crit, strcspn(crit, "(,"));
}

/* Finds the fetch behind the criterion's keyword. Returns the criterion as an expression (arena) and its
 * match method (-1: by type), or NULL on no memory. An unknown keyword is left for sample_parse() to tell. */
static const char *acl_criterion(const char *crit, int *match, struct arena *a)
{
	static const char *const directionless[] = { "hdr", "cook", "cookie" };
	struct str kw = acl_keyword(crit), fetch = kw;
	const char *tail = crit + kw.n, *under;

	*match = -1;
	if (!smp_fetch_find(kw)) {
		under = kw.n ? memrchr(kw.p, '_', kw.n) : NULL;
		if (under)
			*match = pat_match_find(str_n(under + 1, kw.p + kw.n - under - 1));
		if (*match >= 0)
			fetch.n = under - kw.p; /* when unknown, the nearest to this part is told */
	}
	for (size_t i = 0; i < ARRAY_SIZE(directionless); i++)
		if (str_eq(fetch, str_c(directionless[i])))
			return arena_printf(a, "req.%.*s%s", (int)MIN(fetch.n, (size_t)4), fetch.p, tail);
	return arena_printf(a, "%.*s%s", STR_ARG(fetch), tail);
}

static int acl_default_match(const struct sample_expr *e)
{
	switch (sample_type(e)) {
	case SMP_T_BOOL: return PAT_BOOL;
	case SMP_T_SINT: return PAT_INT;
	case SMP_T_ADDR: return PAT_IP;
	case SMP_T_STR: return PAT_STR;
	case SMP_T_METH: return PAT_METH;
	default: return -1;
	}
}

struct acl_flags {
	bool icase;
	int match;      /* -1: not given */
	bool explicit_; /* "--" was there: an empty list of patterns is meant */
	bool loaded;
};

static int acl_flag_match(struct acl_flags *f, const char *name, char **err)
{
	const char *near;

	f->match = pat_match_find(str_c(name));
	if (f->match >= 0)
		return 0;
	near = pat_match_nearest(name);
	if (near)
		return pol_err(err, "unknown matching method '%s'; did you mean '%s'?", name, near);
	return pol_err(err, "unknown matching method '%s'", name);
}

/* Makes the test's pattern set once the method is known for good: at the first pattern. */
static int acl_patterns(struct patterns **ps, const struct sample_expr *e, int match, struct arena *a,
			char **err)
{
	const struct smp_fetch_kw *kw = smp_fetch_find(str_c(sample_fetch_name(e)));
	enum smp_type type;

	if (*ps)
		return 0;
	if (match < 0)
		match = acl_default_match(e);
	if (match < 0)
		return pol_err(
		    err,
		    "matching method must be specified first (using '-m') when using a sample fetch of "
		    "this type ('%s')",
		    sample_fetch_name(e));
	if (pat_match_type((enum pat_match)match, &type) && !smp_cast_exists(sample_type(e), type))
		return pol_err(err, "matching method '%s' cannot be used with '%s', which gives type '%s'",
			       pat_match_name((enum pat_match)match), sample_fetch_name(e),
			       smp_type_name[sample_type(e)]);
	*ps = patterns_new(a, (enum pat_match)match,
			   kw && (kw->flags & SMP_KW_DOTTED) && sample_type(e) == SMP_T_SINT);
	return *ps ? 0 : pol_err(err, "out of memory");
}

/* One flag at args[*pos]; moves *pos past it. 1: flags go on, 0: they ended ("--" or a pattern), <0 with
 * *err. */
static int acl_flag(struct acl_flags *f, struct patterns **ps, const struct sample_expr *e, int argc,
		    char **args, int *pos, struct arena *a, char **err)
{
	const char *w = args[*pos], *val = *pos + 1 < argc ? args[*pos + 1] : NULL;

	if (*w != '-')
		return 0;
	++*pos;
	if (strcmp(w, "--") == 0) {
		f->explicit_ = true;
		return 0;
	}
	if (strcmp(w, "-i") == 0) {
		f->icase = true;
		return 1;
	}
	if (strcmp(w, "-n") == 0)
		return 1; /* names are never resolved */
	if (strcmp(w, "-M") == 0)
		return pol_err(err, "'-M' (map files) is not supported yet");
	if (strcmp(w, "-u") != 0 && strcmp(w, "-f") != 0 && strcmp(w, "-m") != 0)
		return pol_err(
		    err,
		    "'%s' is not a valid ACL option. Please use '--' before any pattern beginning with "
		    "a '-'",
		    w);
	if (!val)
		return pol_err(err, "'%s' expects an argument", w);
	++*pos;
	if (w[1] == 'm' && *ps)
		return pol_err(err, "'-m' must come before any '-f'");
	if (w[1] == 'm')
		return acl_flag_match(f, val, err) < 0 ? -1 : 1;
	if (w[1] == 'f') {
		f->loaded = true;
		if (acl_patterns(ps, e, f->match, a, err) < 0 || patterns_load(*ps, val, f->icase, err) < 0)
			return -1;
	}
	return 1;
}

static bool acl_needs_patterns(enum smp_type t, int match)
{
	return match < 0 ? t != SMP_T_BOOL : match != PAT_FOUND && match != PAT_BOOL;
}

/* <criterion> [flags] <values> in args[]. NULL with *err; *warn: never matches. */
static struct acl_test *acl_test_parse(struct arena *a, int argc, char **args, bool *warn, char **err)
{
	struct acl_flags f = { .match = -1 };
	struct acl_test *t = arena_alloc(a, sizeof(*t));
	struct patterns *ps = NULL;
	const char *text = t ? acl_criterion(args[0], &f.match, a) : NULL;
	int pos = 1, rc = 1;

	if (!text) {
		pol_err(err, "out of memory");
		return NULL;
	}
	t->expr = sample_parse(text, NULL, SMP_AT_ANY, a, err);
	if (!t->expr) {
		pol_err(err, "%s in ACL expression '%s'", *err, args[0]);
		return NULL;
	}
	while (rc > 0 && pos < argc)
		rc = acl_flag(&f, &ps, t->expr, argc, args, &pos, a, err);
	if (rc < 0 || acl_patterns(&ps, t->expr, f.match, a, err) < 0)
		return NULL;
	*warn = pos == argc && !f.explicit_ && !f.loaded && acl_needs_patterns(sample_type(t->expr), f.match);
	for (; pos < argc; pos++)
		if (patterns_add(ps, args[pos], f.icase, err) < 0)
			return NULL;
	if (patterns_seal(ps, err) < 0)
		return NULL;
	t->pats = ps;
	t->any_type = !pat_match_type(
	    f.match >= 0 ? (enum pat_match)f.match : (enum pat_match)acl_default_match(t->expr), &t->cast);
	return t;
}

/* ---- parsing: ACLs ---- */

static struct acl *acl_find(const struct acl_set *s, const char *name)
{
	struct acl *acl;

	list_for_each (acl, &s->acls, node)
		if (acl->name && strcmp(acl->name, name) == 0)
			return acl;
	return NULL;
}

static struct acl *acl_new(struct acl_set *s, struct arena *a, const char *name, char **err)
{
	struct acl *acl = arena_alloc(a, sizeof(*acl));

	if (acl && name) {
		acl->name = arena_strdup(a, str_c(name));
		if (!acl->name)
			acl = NULL;
	}
	if (!acl) {
		pol_err(err, "out of memory");
		return NULL;
	}
	list_init(&acl->tests);
	list_add_tail(&s->acls, &acl->node);
	return acl;
}

static int acl_name_check(const char *name, char **err)
{
	if (!*name)
		return pol_err(err, "an ACL needs a name");
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_-.:", *p))
			return pol_err(err, "character '%c' is not permitted in acl name '%s'", *p, name);
	if (strcasecmp(name, "or") == 0)
		return pol_err(
		    err,
		    "acl name '%s' will never match. 'or' is used to express a logical disjunction "
		    "within a condition",
		    name);
	return 0;
}

/* acl_parse(); *never: the test was given nothing to match against. */
static int acl_add(struct acl_set *s, struct arena *a, int argc, char **args, bool *never, char **err)
{
	struct acl_test *t;
	struct acl *acl;

	*never = false;
	if (argc < 2)
		return pol_err(err, "'acl' expects <name> <criterion> [flags] [operator] [<value>]...");
	if (acl_name_check(args[0], err) < 0)
		return -1;
	t = acl_test_parse(a, argc - 1, args + 1, never, err);
	if (!t)
		return pol_err(err, "error detected while parsing ACL '%s' : %s", args[0], *err);
	acl = acl_find(s, args[0]);
	if (!acl)
		acl = acl_new(s, a, args[0], err);
	if (!acl)
		return -1;
	list_add_tail(&acl->tests, &t->node);
	return 0;
}

int acl_parse(struct acl_set *s, struct arena *a, int argc, char **args, char **err)
{
	bool never;

	return acl_add(s, a, argc, args, &never, err);
}

int acl_parse_line(struct cfg_line *ln, struct acl_set *s)
{
	char *err = NULL;
	bool never;
	int rc = acl_add(s, &ln->ep->arena, ln->argc - 1, ln->args + 1, &never, &err);

	if (rc < 0)
		cfg_err(ln, "%s", err ? err : "out of memory");
	else if (never)
		cfg_warn(ln,
			 "acl '%s' : no pattern to match '%s' against was given, so it will never match; if "
			 "this is "
			 "what you intended, add '--'",
			 ln->args[1], ln->args[2]);
	free(err);
	return rc;
}

static struct acl *acl_make_predefined(struct acl_set *s, struct arena *a, const char *name, char **err)
{
	for (size_t i = 0; i < ARRAY_SIZE(acl_predefined); i++) {
		char *args[5] = { (char *)acl_predefined[i].name };
		int argc = 1;

		if (strcmp(acl_predefined[i].name, name) != 0)
			continue;
		for (; argc < 5 && acl_predefined[i].words[argc - 1]; argc++)
			args[argc] = (char *)acl_predefined[i].words[argc - 1];
		if (acl_parse(s, a, argc, args, err) < 0)
			return NULL;
		return acl_find(s, name);
	}
	return NULL;
}

struct acl_names {
	const struct acl_set *s;
	const struct list *at;
	size_t predefined;
};

static const char *acl_next_name(void *arg)
{
	struct acl_names *n = arg;

	while (n->at != &n->s->acls) {
		const struct acl *acl = list_entry((struct list *)n->at, struct acl, node);

		n->at = n->at->next;
		if (acl->name)
			return acl->name;
	}
	return n->predefined < ARRAY_SIZE(acl_predefined) ? acl_predefined[n->predefined++].name : NULL;
}

/* ---- parsing: conditions ---- */

/* { criterion ... }: args[0] is the word behind the brace. Returns the words used, the closing brace
 * included. */
static int cond_anonymous(struct acl_set *s, struct arena *a, int argc, char **args, struct acl **out,
			  char **err)
{
	struct acl_test *t;
	bool warn = false;
	int n = 0;

	while (n < argc && strcmp(args[n], "}") != 0)
		n++;
	if (n == argc)
		return pol_err(err, "missing closing '}' in condition");
	if (!n)
		return pol_err(err, "nothing between '{' and '}'");
	t = acl_test_parse(a, n, args, &warn, err);
	if (!t)
		return pol_err(err, "error detected while parsing an anonymous ACL : %s", *err);
	*out = acl_new(s, a, NULL, err);
	if (!*out)
		return -1;
	list_add_tail(&(*out)->tests, &t->node);
	return n + 1;
}

static struct acl *cond_named(struct acl_set *s, struct arena *a, const char *name, char **err)
{
	struct acl_names names = { .s = s, .at = s->acls.next };
	struct acl *acl = acl_find(s, name);
	const char *near;

	if (!acl)
		acl = acl_make_predefined(s, a, name, err);
	if (acl || *err)
		return acl;
	near = diag_nearest(name, acl_next_name, &names);
	if (near)
		pol_err(err, "no such ACL : '%s'; did you mean '%s'?", name, near);
	else
		pol_err(err, "no such ACL : '%s'", name);
	return NULL;
}

/* The terms of args[] into terms[]; their number, or <0. */
static int cond_terms(struct cond_term *terms, struct acl_set *s, struct arena *a, int argc, char **args,
		      char **err)
{
	bool first = true, negated = false;
	int nb = 0, used;

	for (int i = 0; i < argc; i++) {
		const char *w = args[i];
		struct acl *acl = NULL;

		if (strcmp(w, "||") == 0 || strcasecmp(w, "or") == 0) {
			if (first || negated)
				return pol_err(err, "nothing before '%s' in condition", w);
			first = true;
			continue;
		}
		for (; *w == '!'; w++)
			negated = !negated;
		if (!*w)
			continue;
		if (nb == COND_MAX_TERMS)
			return pol_err(err, "more than %d terms in one condition", COND_MAX_TERMS);
		if (strcmp(w, "{") == 0) {
			used = cond_anonymous(s, a, argc - i - 1, args + i + 1, &acl, err);
			if (used < 0)
				return -1;
			i += used;
		} else {
			acl = cond_named(s, a, w, err);
			if (!acl)
				return -1;
		}
		terms[nb++] = (struct cond_term){ .acl = acl, .negated = negated, .first = first };
		first = negated = false;
	}
	if (first || negated)
		return pol_err(err, nb ? "the condition ends too early" : "missing condition");
	return nb;
}

struct cond *cond_parse(struct acl_set *s, struct arena *a, int argc, char **args, char **err)
{
	struct cond_term terms[COND_MAX_TERMS];
	struct cond *c;
	int nb;

	if (argc < 1 || (strcmp(args[0], "if") != 0 && strcmp(args[0], "unless") != 0)) {
		pol_err(err, "'if' or 'unless' expected");
		return NULL;
	}
	nb = cond_terms(terms, s, a, argc - 1, args + 1, err);
	if (nb < 0)
		return NULL;
	c = arena_alloc(a, sizeof(*c) + (size_t)nb * sizeof(terms[0]));
	if (!c) {
		pol_err(err, "out of memory");
		return NULL;
	}
	c->unless = args[0][0] == 'u';
	c->nb_terms = (unsigned)nb;
	memcpy(c->terms, terms, (size_t)nb * sizeof(terms[0]));
	return c;
}

/* ---- what a condition needs ---- */

unsigned cond_needs(const struct cond *c)
{
	const struct acl_test *t;
	unsigned needs = 0;

	for (unsigned i = 0; c && i < c->nb_terms; i++)
		list_for_each (t, &c->terms[i].acl->tests, node)
			needs |= sample_needs(t->expr);
	return needs;
}

/* The first fetch of <acl> that <at> cannot feed, or NULL; *all: none of its tests can be fed. */
static const char *acl_conflict(const struct acl *acl, unsigned at, bool *all)
{
	const struct acl_test *t;
	const char *name = NULL;

	*all = true;
	list_for_each (t, &acl->tests, node) {
		unsigned needs = sample_needs(t->expr);

		if (!needs || (needs & at))
			*all = false;
		else if (!name)
			name = sample_fetch_name(t->expr);
	}
	return name;
}

bool cond_conflicts(const struct cond *c, unsigned at, const char *where, char **what)
{
	for (unsigned i = 0; c && i < c->nb_terms; i++) {
		const struct acl *acl = c->terms[i].acl;
		bool all;
		const char *kw = acl_conflict(acl, at, &all);

		if (!kw)
			continue;
		if (!acl->name)
			pol_err(what,
				"anonymous acl will never match because it uses keyword '%s' which is "
				"incompatible "
				"with '%s'",
				kw, where);
		else if (all)
			pol_err(what,
				"acl '%s' will never match because it only involves keywords that are "
				"incompatible "
				"with '%s' ('%s')",
				acl->name, where, kw);
		else
			pol_err(what, "acl '%s' involves keyword '%s' which is incompatible with '%s'",
				acl->name, kw, where);
		return true;
	}
	return false;
}

/* ---- evaluation ---- */

static enum cond_ret acl_test_eval(const struct acl_test *t, struct policy_ctx *ctx)
{
	struct smp_iter it = { 0 };
	enum cond_ret res = COND_FALSE;
	struct sample s;

	do {
		enum smp_ret ret = sample_eval(t->expr, ctx, &it, &s);

		if (ret == SMP_WAIT)
			res = COND_WAIT;
		if (ret != SMP_FOUND)
			continue;
		if ((t->any_type || sample_cast(&s, t->cast, ctx)) && patterns_match(t->pats, &s, ctx))
			return COND_TRUE;
		if (s.may_change)
			res = COND_WAIT;
	} while (it.more);
	return res;
}

static enum cond_ret acl_eval(const struct acl *acl, struct policy_ctx *ctx)
{
	enum cond_ret res = COND_FALSE, r;
	const struct acl_test *t;

	list_for_each (t, &acl->tests, node) {
		r = acl_test_eval(t, ctx);
		if (r == COND_TRUE)
			return r;
		if (r == COND_WAIT)
			res = r;
	}
	return res;
}

static enum cond_ret cond_not(enum cond_ret r)
{
	return r == COND_WAIT ? r : r == COND_TRUE ? COND_FALSE : COND_TRUE;
}

enum cond_ret cond_eval(const struct cond *c, struct policy_ctx *ctx)
{
	enum cond_ret any = COND_FALSE, group = COND_TRUE, r;

	if (!c)
		return COND_TRUE;
	for (unsigned i = 0; i < c->nb_terms; i++) {
		const struct cond_term *t = &c->terms[i];

		if (t->first)
			group = COND_TRUE;
		if (group != COND_FALSE) {
			r = acl_eval(t->acl, ctx);
			if (t->negated)
				r = cond_not(r);
			if (r != COND_TRUE)
				group = r == COND_FALSE ? COND_FALSE : COND_WAIT;
		}
		if (i + 1 < c->nb_terms && !c->terms[i + 1].first)
			continue;
		if (group == COND_TRUE) {
			any = COND_TRUE;
			break;
		}
		if (group == COND_WAIT)
			any = COND_WAIT;
	}
	return c->unless ? cond_not(any) : any;
}
