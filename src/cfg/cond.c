/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cond.c - lines that begin with a dot: conditional blocks and messages
 *
 *   expr  :=  and { "||" and }        and  :=  term { "&&" term }
 *   term  :=  "!" term | "(" expr ")" | integer | predicate "(" [arg {"," arg}] ")"
 *
 * (HAProxy's manual, 2.4.) Words of the line are joined by a space before they
 * are read, so quotes and variables were resolved by then, and an argument cannot
 * contain a comma or parenthesis. The version that version_atleast() compares
 * with is that of HAProxy's language which is followed here, not the daemon's.
 *
 * A block that is not taken is still cut into words, to find its end; a bad quote
 * in it is not reported.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cfg/cfg_priv.h"

#define CFG_LANGUAGE   "2.6.0"
#define CFG_COND_DEPTH 32
#define CFG_COND_ARGS  2

struct cond_reader {
	const char *text, *p;
	const struct epoch *ep; /* NULL: the process's environment */
	char *err;              /* malloc'd; the first one */
	int depth;
};

static bool cond_expr(struct cond_reader *r);

PRINTF_LIKE(2, 3) static bool cond_fail(struct cond_reader *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!r->err && vasprintf(&r->err, fmt, ap) < 0)
		r->err = NULL;
	va_end(ap);
	r->p += strlen(r->p); /* nothing more is read */
	return false;
}

static void cond_space(struct cond_reader *r)
{
	r->p += strspn(r->p, " \t");
}

/* ---- predicates ---- */

static bool pred_defined(struct cond_reader *r, char **args)
{
	return r->ep ? epoch_getenv(r->ep, args[0]) : getenv(args[0]);
}

static bool pred_feature(struct cond_reader *r, char **args)
{
	static const char *const has[] = { "OPENSSL", "PCRE2", "PCRE2_JIT", "EPOLL", "ZLIB", "LINUX_TPROXY" };

	for (size_t i = 0; i < ARRAY_SIZE(has); i++)
		if (strcmp(has[i], args[0]) == 0)
			return true;
	return false;
}

static bool pred_streq(struct cond_reader *r, char **args)
{
	return strcmp(args[0], args[1]) == 0;
}

static bool pred_strneq(struct cond_reader *r, char **args)
{
	return strcmp(args[0], args[1]) != 0;
}

/* "2.6-dev3" < "2.6.0" < "2.6.1"; what is missing is zero. */
static int cond_version_cmp(const char *a, const char *b)
{
	for (int i = 0; i < 3; i++) {
		char *ea, *eb;
		unsigned long na = strtoul(a, &ea, 10), nb = strtoul(b, &eb, 10);

		if (na != nb)
			return na < nb ? -1 : 1;
		a = *ea == '.' ? ea + 1 : ea;
		b = *eb == '.' ? eb + 1 : eb;
	}
	return (strncmp(b, "-dev", 4) == 0) - (strncmp(a, "-dev", 4) == 0);
}

static bool pred_atleast(struct cond_reader *r, char **args)
{
	return cond_version_cmp(CFG_LANGUAGE, args[0]) >= 0;
}

static bool pred_before(struct cond_reader *r, char **args)
{
	return cond_version_cmp(CFG_LANGUAGE, args[0]) < 0;
}

static const struct cond_pred {
	const char *name;
	int args;
	bool (*eval)(struct cond_reader *r, char **args);
} cond_preds[] = {
	{ "defined", 1, pred_defined },
	{ "feature", 1, pred_feature },
	{ "streq", 2, pred_streq },
	{ "strneq", 2, pred_strneq },
	{ "version_atleast", 1, pred_atleast },
	{ "version_before", 1, pred_before },
};

static const struct cond_pred *cond_pred_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_SIZE(cond_preds); i++)
		if (str_eq(name, str_c(cond_preds[i].name)))
			return &cond_preds[i];
	return NULL;
}

/* Cuts "a,b)" into args; false: reported. */
static bool cond_args(struct cond_reader *r, const struct cond_pred *pred, char *args[CFG_COND_ARGS])
{
	size_t len = strcspn(r->p, ")");
	struct str rest = str_n(r->p, len);
	int n = 0;

	if (!r->p[len])
		return cond_fail(r, "missing closing parenthesis after '%s('", pred->name);
	while (rest.p) {
		struct str arg = str_cut(&rest, ',');

		if (n < pred->args)
			args[n] = strndup(arg.p, arg.n);
		n++;
	}
	r->p += len + 1;
	if (n != pred->args)
		return cond_fail(r, "'%s' expects %d argument%s", pred->name, pred->args,
				 pred->args > 1 ? "s" : "");
	return (args[0] && (n == 1 || args[1])) || cond_fail(r, "out of memory");
}

static bool cond_predicate(struct cond_reader *r)
{
	size_t n = strcspn(r->p, "( \t)&|!");
	const struct cond_pred *pred = cond_pred_find(str_n(r->p, n));
	char *args[CFG_COND_ARGS] = { NULL };
	bool ret;

	if (!pred)
		return cond_fail(r, "unparsable conditional expression '%s'", r->p);
	if (r->p[n] != '(')
		return cond_fail(r, "'%s' expects arguments in parentheses", pred->name);
	r->p += n + 1;
	ret = cond_args(r, pred, args) && pred->eval(r, args);
	free(args[0]);
	free(args[1]);
	return ret;
}

/* ---- the grammar ---- */

static bool cond_group(struct cond_reader *r)
{
	bool ret;

	r->p++;
	ret = cond_expr(r);
	cond_space(r);
	if (*r->p != ')')
		return cond_fail(r, "missing closing parenthesis in '%s'", r->text);
	r->p++;
	return ret;
}

static bool cond_term(struct cond_reader *r)
{
	bool ret;

	if (r->depth == CFG_COND_DEPTH)
		return cond_fail(r, "condition nested too deeply");
	r->depth++;
	cond_space(r);
	if (*r->p == '!') {
		r->p++;
		ret = !cond_term(r);
	} else if (*r->p == '(') {
		ret = cond_group(r);
	} else if (isdigit((unsigned char)*r->p)) {
		ret = strtoul(r->p, (char **)&r->p, 10) != 0;
	} else {
		ret = cond_predicate(r);
	}
	r->depth--;
	return ret;
}

/* Both operands are always read, so that a fault in either is found. */
static bool cond_and(struct cond_reader *r)
{
	bool ret = cond_term(r);

	for (cond_space(r); strncmp(r->p, "&&", 2) == 0; cond_space(r)) {
		r->p += 2;
		ret &= cond_term(r);
	}
	return ret;
}

static bool cond_expr(struct cond_reader *r)
{
	bool ret = cond_and(r);

	for (cond_space(r); strncmp(r->p, "||", 2) == 0; cond_space(r)) {
		r->p += 2;
		ret |= cond_and(r);
	}
	return ret;
}

int cfg_eval_condition(const struct epoch *ep, const char *text, bool *result, char **err)
{
	struct cond_reader r = { .text = text, .p = text, .ep = ep };

	*err = NULL;
	*result = false;
	cond_space(&r);
	if (!*r.p)
		return 0; /* an empty condition is false */
	*result = cond_expr(&r);
	cond_space(&r);
	if (*r.p)
		cond_fail(&r, "unexpected '%s' after the condition", r.p);
	*err = r.err;
	if (r.err)
		*result = false;
	return r.err ? -EINVAL : 0;
}

/* ---- directives ---- */

/* A condition that cannot be read skips the whole block: its lines would only be reported in vain. */
static enum cfg_if_state cfg_if_eval(struct cfg_line *ln)
{
	enum cfg_if_state st;
	struct buf text = { 0 };
	bool result;
	char *err;

	for (int i = 1; i < ln->argc; i++)
		buf_printf_grow(&text, "%s%s", i > 1 ? " " : "", ln->args[i]);
	buf_put_grow(&text, "", 1);
	st = cfg_eval_condition(ln->ep, buf_head(&text), &result, &err) ? CFG_IF_DONE
	     : result                                                   ? CFG_IF_TAKE
									: CFG_IF_SKIP;
	if (err)
		cfg_err_take(ln, ln->args[0], &err);
	buf_free(&text);
	return st;
}

static void cfg_dir_if(struct cfg_line *ln, struct cfg_ifs *ifs)
{
	bool skipping = cfg_skipping(ifs);

	if (ifs->depth == CFG_MAX_IFS) {
		cfg_err(ln, "'.if' nested more than %d deep", CFG_MAX_IFS);
		return;
	}
	ifs->level[ifs->depth].line = ln->line;
	ifs->level[ifs->depth].had_else = false;
	ifs->level[ifs->depth].st = skipping ? CFG_IF_DONE : cfg_if_eval(ln);
	ifs->depth++;
}

static void cfg_dir_elif(struct cfg_line *ln, struct cfg_ifs *ifs)
{
	int top = ifs->depth - 1;

	if (top < 0 || ifs->level[top].had_else) {
		cfg_err(ln, "'.elif' without '.if'%s", top < 0 ? "" : ": it follows '.else'");
		return;
	}
	if (ifs->level[top].st == CFG_IF_SKIP)
		ifs->level[top].st = cfg_if_eval(ln);
	else
		ifs->level[top].st = CFG_IF_DONE;
}

static void cfg_dir_else(struct cfg_line *ln, struct cfg_ifs *ifs)
{
	int top = ifs->depth - 1;

	if (top < 0 || ifs->level[top].had_else) {
		cfg_err(ln, top < 0 ? "'.else' without '.if'" : "'.else' after '.else'");
		return;
	}
	ifs->level[top].had_else = true;
	ifs->level[top].st = ifs->level[top].st == CFG_IF_SKIP ? CFG_IF_TAKE : CFG_IF_DONE;
}

static void cfg_dir_endif(struct cfg_line *ln, struct cfg_ifs *ifs)
{
	if (!ifs->depth)
		cfg_err(ln, "'.endif' without '.if'");
	else
		ifs->depth--;
}

static void cfg_dir_message(struct cfg_line *ln, enum msg_level level)
{
	struct buf text = { 0 };

	if (ln->argc > 2) {
		cfg_err(ln, "'%s' cannot handle unexpected argument '%s', the message must be quoted.",
			ln->args[0], ln->args[2]);
		return;
	}
	buf_printf_grow(&text, "config : parsing [%s:%d]: '%s'.", ln->file, ln->line, ln->args[1]);
	buf_put_grow(&text, "", 1);
	diag_add(ln->d, level, buf_head(&text));
	buf_free(&text);
}

static void cfg_dir_notice(struct cfg_line *ln, struct cfg_ifs *ifs)
{
	cfg_dir_message(ln, MSG_NOTICE);
}

static void cfg_dir_warning(struct cfg_line *ln, struct cfg_ifs *ifs)
{
	cfg_dir_message(ln, MSG_WARNING);
}

static void cfg_dir_alert(struct cfg_line *ln, struct cfg_ifs *ifs)
{
	cfg_dir_message(ln, MSG_ALERT);
}

static void cfg_dir_diag(struct cfg_line *ln, struct cfg_ifs *ifs)
{
	cfg_dir_message(ln, MSG_DIAG);
}

bool cfg_directive(struct cfg_line *ln, struct cfg_ifs *ifs)
{
	static const struct {
		const char *word;
		bool always; /* also in a block that is skipped */
		bool no_args;
		void (*run)(struct cfg_line *ln, struct cfg_ifs *ifs);
	} dirs[] = {
		{ ".if", true, false, cfg_dir_if },          { ".elif", true, false, cfg_dir_elif },
		{ ".else", true, true, cfg_dir_else },       { ".endif", true, true, cfg_dir_endif },
		{ ".notice", false, false, cfg_dir_notice }, { ".warning", false, false, cfg_dir_warning },
		{ ".alert", false, false, cfg_dir_alert },   { ".diag", false, false, cfg_dir_diag },
	};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		if (strcmp(ln->args[0], dirs[i].word))
			continue;
		if (dirs[i].no_args && ln->argc > 1)
			cfg_err(ln, "'%s' cannot handle unexpected argument '%s'.", ln->args[0], ln->args[1]);
		if (dirs[i].always || !cfg_skipping(ifs))
			dirs[i].run(ln, ifs);
		return true;
	}
	return false;
}
