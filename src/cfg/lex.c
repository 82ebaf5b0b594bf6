/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lex.c - one line of configuration into words, by HAProxy's rules
 *
 * (its manual, 2.2 and 2.3; where the manual is silent, HAProxy 2.6 was asked)
 *
 *   outside quotes   spaces separate, # begins a comment, \ takes the meaning off the next
 *                    space, #, quote or \; \n \r \t \xHH are characters; before anything
 *                    else a \ stays
 *   "weak quotes"    the same escapes and \$; variables: $NAME ${NAME} ${NAME-default}
 *                    ${NAME:-default} ${NAME[*]}
 *   'strong quotes'  everything stands for itself
 *
 * A default is used when the variable does not exist (after :- also when it is
 * empty), is taken up to the first } and is not interpreted. [*] cuts the value
 * at its spaces into words of their own. Quotes make a word even when nothing
 * is in them. Names beginning with a dot (.FILE .LINE .SECTION) need braces only
 * like any other; which exist is up to lookup().
 *
 * Pure: text in, words out.
 */
#include "cfg/lex_priv.h"

#include <ctype.h>

#define LEX_NAME_MAX 256
#define LEX_SHOW     76 /* columns of a line shown in messages */

enum lex_mode { LEX_PLAIN, LEX_WEAK, LEX_STRONG };

struct lex_pos {
	const char *line, *p;
	enum lex_mode mode;
	size_t quote; /* where the open quote is */
	bool in_word;
};

static enum lex_error lex_fail(struct lex *lx, const struct lex_pos *c, const char *at, enum lex_error e)
{
	lx->err_pos = at - c->line;
	return e;
}

/* The first byte of a word opens it. */
static enum lex_error lex_begin(struct lex *lx, struct lex_pos *c)
{
	if (c->in_word)
		return LEX_OK;
	if (lx->nb == CFG_MAX_WORDS)
		return lex_fail(lx, c, c->p, LEX_TOO_MANY);
	c->in_word = true;
	lx->at[lx->nb++] = lx->text.data;
	return LEX_OK;
}

static void lex_end(struct lex *lx, struct lex_pos *c)
{
	if (c->in_word)
		buf_put_grow(&lx->text, "", 1);
	c->in_word = false;
}

static enum lex_error lex_put(struct lex *lx, struct lex_pos *c, const char *p, size_t n)
{
	enum lex_error e = lex_begin(lx, c);

	if (!e)
		buf_put_grow(&lx->text, p, n);
	return e;
}

/* A value cut at its spaces. */
static enum lex_error lex_put_words(struct lex *lx, struct lex_pos *c, const char *v)
{
	enum lex_error e = LEX_OK;

	while (*v && !e) {
		size_t n = strcspn(v, " \t");

		if (n)
			e = lex_put(lx, c, v, n);
		v += n;
		if (*v)
			lex_end(lx, c);
		v += strspn(v, " \t");
	}
	return e;
}

static int hex_digit(char ch)
{
	return ch >= '0' && ch <= '9' ? ch - '0' : isxdigit((unsigned char)ch) ? (ch | 0x20) - 'a' + 10 : -1;
}

/* c->p is on a backslash. */
static enum lex_error lex_escape(struct lex *lx, struct lex_pos *c)
{
	static const char from[] = "nrt", to[] = "\n\r\t";
	const char *esc = c->p, next = esc[1], *known;
	const char *same = c->mode == LEX_WEAK ? " \t#\\\"'$" : " \t#\\\"'";
	char byte;

	if (next == 'x') {
		int hi = hex_digit(esc[2]), lo = hi < 0 ? -1 : hex_digit(esc[3]);

		if (lo < 0)
			return lex_fail(lx, c, esc, LEX_HEX);
		byte = (char)(hi << 4 | lo);
		c->p += 4;
		/* a word ends at its first NUL */
		return lex_put(lx, c, &byte, 1);
	}
	if (next && (known = strchr(from, next))) {
		c->p += 2;
		return lex_put(lx, c, &to[known - from], 1);
	}
	if (next && strchr(same, next)) {
		c->p += 2;
		return lex_put(lx, c, esc + 1, 1);
	}
	c->p += 1;
	return lex_put(lx, c, esc, 1);
}

/* What stands between braces after the name: [*], -default, :-default. */
struct lex_var {
	char name[LEX_NAME_MAX];
	const char *value; /* from the environment, or NULL */
	const char *dflt;  /* in the line, up to the closing brace; NULL: none */
	size_t dflt_len;
	bool split, or_empty;
};

static enum lex_error lex_var_name(struct lex *lx, struct lex_pos *c, struct lex_var *v)
{
	const char *begin = c->p;
	size_t n;

	if (*c->p == '.')
		c->p++;
	if (!isalpha((unsigned char)*c->p) && *c->p != '_')
		return lex_fail(lx, c, c->p, LEX_VAR);
	while (isalnum((unsigned char)*c->p) || *c->p == '_')
		c->p++;
	n = c->p - begin;
	if (n >= sizeof(v->name))
		return lex_fail(lx, c, begin, LEX_VAR);
	memcpy(v->name, begin, n);
	v->name[n] = '\0';
	v->value = lx->lookup ? lx->lookup(lx->arg, v->name) : NULL;
	if (*begin == '.' && !v->value)
		return lex_fail(lx, c, begin, LEX_VAR); /* names with a dot are ours alone */
	return LEX_OK;
}

static enum lex_error lex_var_braces(struct lex *lx, struct lex_pos *c, struct lex_var *v, const char *brace)
{
	const char *end;

	if (strncmp(c->p, "[*]", 3) == 0) {
		v->split = true;
		c->p += 3;
	}
	if (c->p[0] == ':' && c->p[1] == '-') {
		v->or_empty = true;
		c->p++;
	}
	if (*c->p == '-') {
		v->dflt = c->p + 1;
		end = strchr(v->dflt, '}');
		v->dflt_len = end ? (size_t)(end - v->dflt) : 0;
		c->p = end ? end : c->p;
	}
	if (*c->p != '}')
		return lex_fail(lx, c, brace, LEX_BRACE);
	c->p++;
	return LEX_OK;
}

/* c->p is on a dollar inside weak quotes. */
static enum lex_error lex_variable(struct lex *lx, struct lex_pos *c)
{
	struct lex_var v = { 0 };
	const char *brace = c->p[1] == '{' ? c->p + 1 : NULL;
	enum lex_error e;

	c->p += brace ? 2 : 1;
	e = lex_var_name(lx, c, &v);
	if (!e && brace)
		e = lex_var_braces(lx, c, &v, brace);
	if (e)
		return e;
	if (v.dflt && (!v.value || (v.or_empty && !*v.value)))
		return lex_put(lx, c, v.dflt, v.dflt_len);
	if (!v.value)
		return LEX_OK;
	return v.split ? lex_put_words(lx, c, v.value) : lex_put(lx, c, v.value, strlen(v.value));
}

/* Does "${NAME[*]... begin at <p>? Alone in its quotes it makes as many words as it has, perhaps none. */
static bool lex_is_list(const char *p)
{
	if (strncmp(p, "\"${", 3))
		return false;
	for (p += 3; isalnum((unsigned char)*p) || *p == '_'; p++)
		;
	return strncmp(p, "[*]", 3) == 0;
}

/* c->p is on a quote that opens or closes. */
static enum lex_error lex_quote(struct lex *lx, struct lex_pos *c, enum lex_mode to)
{
	enum lex_error e = LEX_OK;

	c->quote = c->p - c->line;
	c->mode = c->mode == LEX_PLAIN ? to : LEX_PLAIN;
	if (c->mode != LEX_PLAIN && !lex_is_list(c->p))
		e = lex_begin(lx, c);
	c->p++;
	return e;
}

/* One character or construct. */
static enum lex_error lex_step(struct lex *lx, struct lex_pos *c)
{
	char ch = *c->p;

	if (ch == '"' && c->mode != LEX_STRONG)
		return lex_quote(lx, c, LEX_WEAK);
	if (ch == '\'' && c->mode != LEX_WEAK)
		return lex_quote(lx, c, LEX_STRONG);
	if (ch == '\\' && c->mode != LEX_STRONG)
		return lex_escape(lx, c);
	if (ch == '$' && c->mode == LEX_WEAK)
		return lex_variable(lx, c);
	if ((ch == ' ' || ch == '\t') && c->mode == LEX_PLAIN) {
		lex_end(lx, c);
		c->p++;
		return LEX_OK;
	}
	return lex_put(lx, c, c->p++, 1);
}

enum lex_error lex_line(struct lex *lx, const char *line)
{
	struct lex_pos c = { .line = line, .p = line };
	enum lex_error e = LEX_OK;

	buf_reset(&lx->text);
	lx->nb = 0;
	lx->err_pos = 0;
	while (!e && *c.p && !(*c.p == '#' && c.mode == LEX_PLAIN))
		e = lex_step(lx, &c);
	if (!e && c.mode != LEX_PLAIN)
		e = lex_fail(lx, &c, line + c.quote, LEX_QUOTE);
	lex_end(lx, &c);
	return e;
}

void lex_free(struct lex *lx)
{
	buf_free(&lx->text);
}

void lex_explain(enum lex_error e, const struct lex *lx, const char *line, struct buf *out)
{
	static const char *const what[] = {
		[LEX_QUOTE] = "unmatched quote",
		[LEX_HEX] = "truncated or invalid hexadecimal sequence",
		[LEX_BRACE] = "unmatched brace in environment variable name",
		[LEX_VAR] = "forbidden first char in environment variable name",
		[LEX_TOO_MANY] = "too many words",
	};
	size_t from = strspn(line, " \t"), n;

	if (lx->err_pos > from + LEX_SHOW / 2)
		from = lx->err_pos - LEX_SHOW / 2;
	from = MIN(from, lx->err_pos);
	n = MIN(strlen(line + from), (size_t)LEX_SHOW);
	buf_printf_grow(out, "%s at position %zu:\n  ", what[e], lx->err_pos + 1);
	for (size_t i = 0; i < n; i++) {
		unsigned char ch = line[from + i];

		buf_put_grow(out, ch < 0x20 || ch == 0x7f ? "?" : (const char *)&line[from + i], 1);
	}
	buf_printf_grow(out, "\n  %*s^", (int)(lx->err_pos - from), "");
	buf_put_grow(out, "", 1);
}
