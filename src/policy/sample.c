/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sample.c - sample expressions: parsed once, evaluated often
 *
 *     hdr(host),lower,field(1,:)
 *     ^fetch    ^step ^step
 *
 * Fetches and converters register themselves in two lists. Parsing looks the
 * names up, unquotes and converts the arguments, lets the keyword prepare them
 * (check(): a compiled expression, a parsed address) and finds for each step
 * the cast from the type before it. What can be wrong is therefore wrong when
 * the configuration is read. Evaluation walks an array: fetch, then cast and
 * convert per step; results are views into the payload or live in ctx->tmp.
 *
 * Arguments follow the lexical rules of HAProxy's manual, 2.2: 'strong' and
 * "weak" quotes, and backslash before \ ' " space, and n r t; any other
 * backslash stands for itself, which regular expressions rely on.
 */
#include "policy/sample.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cfg/diag.h"
#include "policy/policy_priv.h"

#define SMP_MAX_STEPS 32

struct smp_step {
	const struct smp_conv_kw *kw;
	smp_cast_fn *cast;
	const struct smp_arg *args;
	int nb_args;
};

struct sample_expr {
	const struct smp_fetch_kw *kw;
	const struct smp_arg *args;
	int nb_args;
	enum smp_type out;
	unsigned nb_steps;
	struct smp_step steps[];
};

/* ---- registry: facts of the program, written before main() ---- */

static struct smp_fetch_kw *smp_fetches;
static struct smp_conv_kw *smp_convs;

void smp_register_fetches(struct smp_fetch_kw *kws)
{
	for (; kws->name; kws++) {
		kws->next = smp_fetches;
		smp_fetches = kws;
	}
}

void smp_register_convs(struct smp_conv_kw *kws)
{
	for (; kws->name; kws++) {
		kws->next = smp_convs;
		smp_convs = kws;
	}
}

const struct smp_fetch_kw *smp_fetch_first(void)
{
	return smp_fetches;
}

const struct smp_conv_kw *smp_conv_first(void)
{
	return smp_convs;
}

const struct smp_fetch_kw *smp_fetch_find(struct str name)
{
	for (const struct smp_fetch_kw *kw = smp_fetches; kw; kw = kw->next)
		if (str_eq(str_c(kw->name), name))
			return kw;
	return NULL;
}

static const struct smp_conv_kw *smp_conv_find(struct str name)
{
	for (const struct smp_conv_kw *kw = smp_convs; kw; kw = kw->next)
		if (str_eq(str_c(kw->name), name))
			return kw;
	return NULL;
}

static const char *smp_fetch_next_name(void *arg)
{
	const struct smp_fetch_kw **kw = arg, *cur = *kw;

	if (!cur)
		return NULL;
	*kw = cur->next;
	return cur->name;
}

static const char *smp_conv_next_name(void *arg)
{
	const struct smp_conv_kw **kw = arg, *cur = *kw;

	if (!cur)
		return NULL;
	*kw = cur->next;
	return cur->name;
}

/* ---- errors and memory, for all of policy ---- */

int pol_err(char **err, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	free(*err);
	*err = text;
	return -1;
}

void *pol_tmp(struct policy_ctx *ctx, size_t n)
{
	return ctx && ctx->tmp ? arena_alloc(ctx->tmp, n) : NULL;
}

static int smp_err_unknown(char **err, const char *what, struct str name, const char *near)
{
	if (near)
		return pol_err(err, "unknown %s '%.*s'; did you mean '%s'?", what, STR_ARG(name), near);
	return pol_err(err, "unknown %s '%.*s'", what, STR_ARG(name));
}

/* ---- parsing: arguments ---- */

/* What a backslash before <c> stands for inside an argument, or -1: for itself. */
static int smp_unescape(char c)
{
	switch (c) {
	case '\\':
	case '\'':
	case '"':
	case ' ': return c;
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	default: return -1;
	}
}

/* One argument, up to an unquoted ',' or ')', unquoted into <out> (room for the whole text). Moves *p to the
 * delimiter. Returns the length, or <0 with *err. */
static int smp_arg_word(const char **p, char *out, char **err)
{
	bool strong = false, weak = false;
	const char *s = *p;
	int n = 0;

	for (; *s; s++) {
		if (!strong && *s == '\\' && s[1] && smp_unescape(s[1]) >= 0) {
			out[n++] = (char)smp_unescape(*++s);
			continue;
		}
		if (*s == '\'' && !weak)
			strong = !strong;
		else if (*s == '"' && !strong)
			weak = !weak;
		else if (!strong && !weak && (*s == ',' || *s == ')'))
			break;
		else
			out[n++] = *s;
	}
	*p = s;
	if (strong || weak)
		return pol_err(err, "unmatched quote");
	if (!*s)
		return pol_err(err, "missing ')'");
	out[n] = 0;
	return n;
}

static int smp_arg_set(struct smp_arg *arg, char kind, char *text, int n, char **err)
{
	*arg = (struct smp_arg){ .type = SMP_ARG_STR, .str = str_n(text, n) };
	if (tolower((unsigned char)kind) != 'i')
		return 0;
	arg->type = SMP_ARG_INT;
	if (str_to_int(arg->str, &arg->i) != 0)
		return pol_err(err, "'%s' is not an integer", text);
	return 0;
}

/* "(a,b)" at *p, when there is one, against <spec>. Returns the number of arguments in args[], or <0. */
static int smp_args_list(const char **p, const char *spec, struct smp_arg *args, struct arena *a, char **err)
{
	int max = (int)strlen(spec), nb = 0, n;
	char *text;

	if (**p != '(')
		return 0;
	++*p;
	if (**p == ')' && (!max || isupper((unsigned char)spec[0]))) {
		++*p;
		return 0;
	}
	text = arena_alloc(a, strlen(*p) + 1);
	if (!text)
		return pol_err(err, "out of memory");
	for (;; ++*p) {
		n = smp_arg_word(p, text, err);
		if (n < 0)
			return n;
		if (nb >= max)
			return pol_err(err, "end of arguments expected at position %d, but got '%s'", nb + 1,
				       text);
		if (smp_arg_set(&args[nb], spec[nb], text, n, err) < 0)
			return pol_err(err, "argument %d: %s", nb + 1, *err);
		text += n + 1;
		nb++;
		if (**p == ')')
			break;
	}
	++*p;
	return nb;
}

/* Arguments of keyword <name>: parsed, counted, prepared. Returns their number, *out in the arena; or <0. */
static int smp_args_parse(const char **p, const char *spec, smp_check_fn *check, struct smp_arg self,
			  const struct smp_arg **out, struct arena *a, char **err)
{
	struct smp_arg args[SMP_MAX_ARGS] = { 0 }, *copy;
	int nb, want = 0;

	while (spec[want] && islower((unsigned char)spec[want]))
		want++;
	nb = smp_args_list(p, spec, args, a, err);
	if (nb < 0)
		return nb;
	if (nb < want)
		return pol_err(err, "missing arguments (got %d/%d), type '%s' expected", nb, want,
			       spec[nb] == 'i' ? "integer" : "string");
	copy = arena_alloc(a, sizeof(*copy) * SMP_MAX_ARGS);
	if (!copy)
		return pol_err(err, "out of memory");
	memcpy(copy, args, sizeof(args));
	copy[SMP_ARG_SELF] = self;
	if (check && check(copy, nb, a, err) < 0)
		return -1;
	*out = copy;
	return nb;
}

static struct smp_arg smp_self(const char *name, int64_t variant)
{
	return (struct smp_arg){ .type = SMP_ARG_INT, .str = str_c(name), .i = variant };
}

/* ---- parsing: the expression ---- */

static struct str smp_word(const char **p)
{
	const char *s = *p;

	while (isalnum((unsigned char)**p) || (**p && strchr("._-+", **p)))
		++*p;
	return str_n(s, *p - s);
}

static const char *smp_needs_text(unsigned needs)
{
	static const struct {
		unsigned bit;
		const char *text;
	} names[] = {
		{ SMP_AT_HREQ, "the HTTP request's head" }, { SMP_AT_HRES, "the HTTP response's head" },
		{ SMP_AT_HREQP, "an HTTP request" },        { SMP_AT_REQ, "the request's bytes" },
		{ SMP_AT_RES, "the response's bytes" },     { SMP_AT_L4, "the connection's addresses" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (needs & names[i].bit)
			return names[i].text;
	return "nothing";
}

static int smp_parse_fetch(struct sample_expr *e, const char **p, unsigned at, struct arena *a, char **err)
{
	struct str name = smp_word(p);
	const struct smp_fetch_kw *all = smp_fetches;
	char *word;

	if (!name.n)
		return pol_err(err, "missing fetch method");
	e->kw = smp_fetch_find(name);
	if (!e->kw) {
		word = arena_strdup(a, name);
		return smp_err_unknown(err, "fetch method", name,
				       word ? diag_nearest(word, smp_fetch_next_name, &all) : NULL);
	}
	e->out = e->kw->out;
	if (e->kw->needs && !(e->kw->needs & at))
		return pol_err(
		    err, "fetch method '%s' cannot be used here: it needs %s, which this place does not have",
		    e->kw->name, smp_needs_text(e->kw->needs));
	e->nb_args = smp_args_parse(p, e->kw->args ? e->kw->args : "", e->kw->check, smp_self(e->kw->name, e->kw->variant),
				    &e->args, a, err);
	if (e->nb_args < 0)
		return pol_err(err, "invalid arguments of fetch method '%s': %s", e->kw->name, *err);
	return 0;
}

static int smp_parse_step(struct smp_step *st, enum smp_type *type, const char **p, struct arena *a,
			  char **err)
{
	struct str name = smp_word(p);
	const struct smp_conv_kw *all = smp_convs;
	char *word;

	if (!name.n)
		return pol_err(err, "missing converter after ','");
	st->kw = smp_conv_find(name);
	if (!st->kw) {
		word = arena_strdup(a, name);
		return smp_err_unknown(err, "converter", name,
				       word ? diag_nearest(word, smp_conv_next_name, &all) : NULL);
	}
	st->cast = smp_cast_find(*type, st->kw->in);
	if (!st->cast)
		return pol_err(err, "converter '%s' cannot be applied: it takes type '%s', not '%s'",
			       st->kw->name, smp_type_name[st->kw->in], smp_type_name[*type]);
	st->nb_args = smp_args_parse(p, st->kw->args ? st->kw->args : "", st->kw->check,
				     smp_self(st->kw->name, st->kw->variant), &st->args, a, err);
	if (st->nb_args < 0)
		return pol_err(err, "invalid arguments of converter '%s': %s", st->kw->name, *err);
	*type = st->kw->out;
	return 0;
}

struct sample_expr *sample_parse(const char *text, const char **end, unsigned at, struct arena *a, char **err)
{
	struct smp_step steps[SMP_MAX_STEPS] = { 0 };
	struct sample_expr head = { 0 }, *e;
	const char *p = text;

	if (smp_parse_fetch(&head, &p, at, a, err) < 0)
		return NULL;
	while (*p == ',') {
		p++;
		if (head.nb_steps == SMP_MAX_STEPS) {
			pol_err(err, "more than %d converters", SMP_MAX_STEPS);
			return NULL;
		}
		if (smp_parse_step(&steps[head.nb_steps], &head.out, &p, a, err) < 0)
			return NULL;
		head.nb_steps++;
	}
	if (end)
		*end = p;
	else if (*p) {
		pol_err(err, "unexpected '%s' after the expression", p);
		return NULL;
	}
	e = arena_alloc(a, sizeof(*e) + head.nb_steps * sizeof(e->steps[0]));
	if (!e) {
		pol_err(err, "out of memory");
		return NULL;
	}
	*e = head;
	memcpy(e->steps, steps, head.nb_steps * sizeof(steps[0]));
	return e;
}

enum smp_type sample_type(const struct sample_expr *e)
{
	return e->out;
}

unsigned sample_needs(const struct sample_expr *e)
{
	return e->kw->needs;
}

bool sample_is_plain(const struct sample_expr *e)
{
	return e->nb_args == 0 && e->nb_steps == 0;
}

const char *sample_fetch_name(const struct sample_expr *e)
{
	return e->kw->name;
}

/* ---- evaluation ---- */

static bool smp_step_run(const struct smp_step *st, struct policy_ctx *ctx, struct sample *s)
{
	if (!st->cast(s, ctx))
		return false;
	if (st->kw->in != SMP_T_ANY)
		s->type = st->kw->in;
	if (!st->kw->conv(ctx, st->args, st->nb_args, s))
		return false;
	s->type = st->kw->out;
	return true;
}

enum smp_ret sample_eval(const struct sample_expr *e, struct policy_ctx *ctx, struct smp_iter *it,
			 struct sample *out)
{
	enum smp_ret ret;

	*out = (struct sample){ .type = e->kw->out };
	if (it)
		it->more = false;
	ret = e->kw->fetch(ctx, e->args, e->nb_args, it, out);
	if (ret != SMP_FOUND)
		return ret;
	for (unsigned i = 0; i < e->nb_steps; i++)
		if (!smp_step_run(&e->steps[i], ctx, out))
			return out->may_change ? SMP_WAIT : SMP_ABSENT;
	return SMP_FOUND;
}
