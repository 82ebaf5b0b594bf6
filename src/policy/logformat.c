/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * logformat.c - text with %tags, %{flags}tags and %[expressions]
 *
 * A format is parsed into pieces: constant text, a layer's tag, an expression.
 * Flags are those of HAProxy's manual, 8.2.6: Q quotes a value, E escapes
 * '"', '\' and ']', X prints numbers and addresses in hexadecimal; given to the
 * empty tag `o` they hold for all that follow.
 *
 * No value can break the line it is put into: control characters of expressions
 * become #XX in log lines and %XX elsewhere (a header's value would otherwise end
 * at a CR LF that a client sent encoded). Tags are written by their layer, which
 * does the same.
 */
#include "policy/logformat.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "cfg/diag.h"
#include "policy/policy_priv.h"

#define LF_O_QUOTE 0x01
#define LF_O_ESC   0x02
#define LF_O_HEX   0x04

/* What policy knows itself, for layers without fields of their own */
struct lf_builtin {
	const char *name;
	const char *expr;
};

static const struct lf_builtin lf_builtins[] = {
	{ "ci", "src" },    { "cp", "src_port" }, { "fi", "dst" },     { "fp", "dst_port" },
	{ "f", "fe_name" }, { "b", "be_name" },   { "s", "srv_name" },
};

struct lf_piece {
	struct lf_piece *next;
	unsigned opts;
	struct str text; /* constant, when tag and expr are NULL */
	const char *tag; /* the layer's */
	const struct sample_expr *expr;
};

struct logformat {
	struct lf_piece *first, **tail;
	unsigned needs;
	bool log;
	const char *text; /* all of it, when constant */
};

/* ---- parsing ---- */

struct lf_parser {
	struct logformat *lf;
	const struct lf_source *src;
	struct arena *arena;
	unsigned at, opts;
	char **err;
};

static struct lf_piece *lf_piece_new(struct lf_parser *ps, unsigned opts)
{
	struct lf_piece *p = arena_alloc(ps->arena, sizeof(*p));

	if (!p) {
		pol_err(ps->err, "out of memory");
		return NULL;
	}
	p->opts = opts;
	*ps->lf->tail = p;
	ps->lf->tail = &p->next;
	return p;
}

/* Text up to the next '%' that is not doubled; doubled ones are made single. */
static int lf_parse_text(struct lf_parser *ps, const char **fmt)
{
	size_t max = strlen(*fmt), n = 0;
	struct lf_piece *p;
	char *out;

	p = lf_piece_new(ps, 0);
	out = p ? arena_alloc(ps->arena, max + 1) : NULL;
	if (!out)
		return pol_err(ps->err, "out of memory");
	for (; **fmt; ++*fmt) {
		if (**fmt == '%' && (*fmt)[1] != '%')
			break;
		if (**fmt == '%')
			++*fmt;
		out[n++] = **fmt;
	}
	p->text = str_n(out, n);
	return 0;
}

/* "{+Q,-E}" at *fmt: changes <opts>. */
static int lf_parse_flags(struct lf_parser *ps, const char **fmt, unsigned *opts)
{
	static const struct {
		char c;
		unsigned bit;
	} flags[] = { { 'Q', LF_O_QUOTE }, { 'E', LF_O_ESC }, { 'X', LF_O_HEX } };
	char sign = '+';

	for (++*fmt; **fmt != '}'; ++*fmt) {
		unsigned bit = 0;

		if (!**fmt)
			return pol_err(ps->err, "missing '}' in format");
		if (**fmt == '+' || **fmt == '-') {
			sign = **fmt;
			continue;
		}
		if (**fmt == ',' || **fmt == ' ')
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
			if (flags[i].c == toupper((unsigned char)**fmt))
				bit = flags[i].bit;
		if (!bit)
			return pol_err(ps->err, "unknown flag '%c' in format; Q, E and X are known", **fmt);
		*opts = sign == '+' ? *opts | bit : *opts & ~bit;
	}
	++*fmt;
	return 0;
}

static int lf_parse_expr(struct lf_parser *ps, const char **fmt, unsigned opts)
{
	struct lf_piece *p = lf_piece_new(ps, opts);
	const char *end;

	if (!p)
		return -1;
	++*fmt;
	p->expr = sample_parse(*fmt, &end, ps->at, ps->arena, ps->err);
	if (!p->expr)
		return pol_err(ps->err, "failed to parse sample expression '%s' : %s", *fmt, *ps->err);
	if (*end != ']')
		return *end ? pol_err(ps->err, "unexpected '%s' in sample expression '%s'", end, *fmt)
			    : pol_err(ps->err, "missing ']' after '%s'", *fmt);
	ps->lf->needs |= sample_needs(p->expr);
	*fmt = end + 1;
	return 0;
}

struct lf_names {
	const char *const *names;
	size_t builtin;
};

static const char *lf_next_name(void *arg)
{
	struct lf_names *n = arg;

	if (n->names && *n->names)
		return *n->names++;
	return n->builtin < ARRAY_SIZE(lf_builtins) ? lf_builtins[n->builtin++].name : NULL;
}

static int lf_err_tag(struct lf_parser *ps, const char *name)
{
	struct lf_names names = { .names = ps->src ? ps->src->names : NULL };
	const char *near = *name ? diag_nearest(name, lf_next_name, &names) : NULL;

	if (!*name)
		return pol_err(
		    ps->err,
		    "nothing after '%%'. If you wanted to emit the '%%' character verbatim, you need "
		    "to use '%%%%'");
	return pol_err(
	    ps->err,
	    "no such format variable '%s'%s%s%s. If you wanted to emit the '%%' character verbatim, "
	    "you need to use '%%%%'",
	    name, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static int lf_parse_tag(struct lf_parser *ps, const char **fmt, unsigned opts)
{
	size_t n = 0;
	struct lf_piece *p;
	char *name;

	while (isalnum((unsigned char)(*fmt)[n]) || (*fmt)[n] == '_')
		n++;
	name = arena_strdup(ps->arena, str_n(*fmt, n));
	if (!name)
		return pol_err(ps->err, "out of memory");
	*fmt += n;
	if (strcmp(name, "o") == 0) {
		ps->opts = opts;
		return 0;
	}
	for (size_t i = 0; ps->src && ps->src->names && ps->src->names[i]; i++) {
		if (strcmp(ps->src->names[i], name) != 0)
			continue;
		p = lf_piece_new(ps, opts);
		if (p)
			p->tag = name;
		return p ? 0 : -1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(lf_builtins); i++) {
		if (strcmp(lf_builtins[i].name, name) != 0)
			continue;
		p = lf_piece_new(ps, opts);
		if (p)
			p->expr = sample_parse(lf_builtins[i].expr, NULL, SMP_AT_ANY, ps->arena, ps->err);
		return p && p->expr ? 0 : -1;
	}
	return lf_err_tag(ps, name);
}

/* Is it all text? Then that text in one piece, else NULL. */
static const char *lf_constant(const struct logformat *lf, struct arena *a)
{
	if (!lf->first)
		return "";
	if (!lf->first->next && !lf->first->tag && !lf->first->expr)
		return arena_strdup(a, lf->first->text);
	return NULL;
}

struct logformat *logformat_parse(const char *fmt, unsigned at, const struct lf_source *src, struct arena *a,
				  char **err)
{
	struct lf_parser ps = { .src = src, .arena = a, .at = at & ~LF_LOG, .err = err };
	struct logformat *lf = arena_alloc(a, sizeof(*lf));
	int rc = 0;

	if (!lf) {
		pol_err(err, "out of memory");
		return NULL;
	}
	lf->tail = &lf->first;
	lf->log = at & LF_LOG;
	ps.lf = lf;
	while (*fmt && rc == 0) {
		unsigned opts = ps.opts;

		if (*fmt != '%' || fmt[1] == '%') {
			rc = lf_parse_text(&ps, &fmt);
			continue;
		}
		fmt++;
		if (*fmt == '{')
			rc = lf_parse_flags(&ps, &fmt, &opts);
		if (rc == 0)
			rc = *fmt == '[' ? lf_parse_expr(&ps, &fmt, opts) : lf_parse_tag(&ps, &fmt, opts);
	}
	if (rc < 0)
		return NULL;
	lf->text = lf_constant(lf, a);
	return lf;
}

unsigned logformat_needs(const struct logformat *lf)
{
	return lf->needs;
}

const char *logformat_const(const struct logformat *lf)
{
	return lf->text;
}

/* ---- building ---- */

/* As much of <s> as fits. */
static bool lf_put(struct buf *out, struct str s)
{
	size_t n = MIN(s.n, buf_contig_room(out));

	if (n)
		memcpy(buf_tail(out), s.p, n);
	out->data += n;
	return n == s.n;
}

static bool lf_plain(unsigned char c, unsigned opts)
{
	if ((c < 0x20 && c != '\t') || c == 0x7f)
		return false;
	return !(opts & LF_O_ESC) || (c != '"' && c != '\\' && c != ']');
}

static bool lf_put_value(struct buf *out, struct str s, unsigned opts, bool log)
{
	static const char digits[] = "0123456789ABCDEF";
	bool ok = true;

	for (size_t i = 0; ok && i < s.n;) {
		size_t run = i;
		char esc[3] = { '\\', 0, 0 };
		size_t n = 2;

		while (run < s.n && lf_plain((unsigned char)s.p[run], opts))
			run++;
		ok = lf_put(out, str_n(s.p + i, run - i));
		i = run;
		if (!ok || i == s.n)
			break;
		esc[1] = s.p[i];
		if (!lf_plain((unsigned char)s.p[i], 0)) {
			esc[0] = log ? '#' : '%';
			esc[1] = digits[(unsigned char)s.p[i] >> 4];
			esc[2] = digits[(unsigned char)s.p[i] & 15];
			n = 3;
		}
		ok = buf_contig_room(out) >= n && lf_put(out, str_n(esc, n));
		i++;
	}
	return ok;
}

static bool lf_to_hex(struct sample *s, struct policy_ctx *ctx, struct str *v)
{
	char *p;

	if (s->type != SMP_T_SINT && s->type != SMP_T_ADDR)
		return false;
	p = pol_tmp(ctx, 40);
	if (!p)
		return false;
	if (s->type == SMP_T_SINT) {
		*v = str_n(p, snprintf(p, 40, "%llX", (unsigned long long)s->v.i));
		return true;
	}
	*v = str_n(p, s->v.addr.family == AF_INET6 ? 32 : 8);
	for (size_t i = 0; i < v->n / 2; i++)
		snprintf(p + 2 * i, 3, "%02X", ((const uint8_t *)&s->v.addr.ip)[i]);
	return true;
}

static bool lf_build_expr(const struct logformat *lf, const struct lf_piece *p, struct policy_ctx *ctx,
			  struct buf *out)
{
	struct str v = STR_NULL;
	struct sample s;
	bool found = sample_eval(p->expr, ctx, NULL, &s) == SMP_FOUND;

	if (found && !((p->opts & LF_O_HEX) && lf_to_hex(&s, ctx, &v)))
		found = sample_to_str(&s, ctx, &v);
	if (!found)
		v = STR_NULL;
	if (!v.n && lf->log && !(p->opts & LF_O_QUOTE))
		return lf_put(out, STR("-"));
	return lf_put_value(out, v, p->opts, lf->log);
}

static bool lf_build_tag(const struct logformat *lf, const struct lf_piece *p, struct policy_ctx *ctx,
			 struct buf *out)
{
	size_t before = out->data;

	if (ctx->lf && ctx->lf->tag(ctx, p->tag, out))
		return true; /* also when it has nothing to say: then the separator goes too */
	out->data = before;
	return !lf->log || (p->opts & LF_O_QUOTE) || lf_put(out, STR("-"));
}

/* Two separators meet where a tag wrote nothing (captures): a log line has one. */
static struct str lf_after_space(const struct logformat *lf, struct str text, const struct buf *out)
{
	if (lf->log && text.n && text.p[0] == ' ' && out->data && buf_tail(out)[-1] == ' ')
		return str_n(text.p + 1, text.n - 1);
	return text;
}

static bool lf_build_piece(const struct logformat *lf, const struct lf_piece *p, struct policy_ctx *ctx,
			   struct buf *out)
{
	bool quote = p->opts & LF_O_QUOTE;

	if (!p->tag && !p->expr)
		return lf_put(out, lf_after_space(lf, p->text, out));
	if (quote && !lf_put(out, STR("\"")))
		return false;
	if (!(p->expr ? lf_build_expr : lf_build_tag)(lf, p, ctx, out))
		return false;
	return !quote || lf_put(out, STR("\""));
}

bool logformat_build(const struct logformat *lf, struct policy_ctx *ctx, struct buf *out)
{
	buf_align(out);
	for (const struct lf_piece *p = lf->first; p; p = p->next)
		if (!lf_build_piece(lf, p, ctx, out))
			return false;
	return true;
}
