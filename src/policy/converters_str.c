/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * converters_str.c - cutting, replacing and encoding text
 *
 * What only cuts gives a view of its input; what changes bytes writes into the
 * evaluation's memory.
 */
#include <ctype.h>
#include <stdio.h>
#include <time.h>

#include "policy/policy_priv.h"

#define CONV(fn) \
	static bool fn(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, struct sample *smp)

/* An empty string may have no pointer; whoever walks it wants one. */
static struct str conv_input(const struct sample *smp)
{
	return smp->v.str.p ? smp->v.str : STR("");
}

/* ---- case, length ---- */

static bool conv_map(struct policy_ctx *ctx, struct sample *smp, int (*fn)(int))
{
	struct str in = conv_input(smp);
	char *p = pol_tmp(ctx, in.n + 1);

	if (!p)
		return false;
	for (size_t i = 0; i < in.n; i++)
		p[i] = (char)(isascii((unsigned char)in.p[i]) ? fn((unsigned char)in.p[i]) : in.p[i]);
	smp->v.str = str_n(p, in.n);
	return true;
}

CONV(conv_lower)
{
	return conv_map(ctx, smp, tolower);
}

CONV(conv_upper)
{
	return conv_map(ctx, smp, toupper);
}

CONV(conv_length)
{
	smp->v.i = (int64_t)smp->v.str.n;
	return true;
}

/* ---- fields and words ---- */

static bool conv_in_set(char c, struct str set)
{
	return set.n && memchr(set.p, c, set.n);
}

/* Where the field that begins at <at> ends. */
static size_t field_end(struct str s, size_t at, struct str delims)
{
	while (at < s.n && !conv_in_set(s.p[at], delims))
		at++;
	return at;
}

static size_t field_begin(struct str s, size_t at, struct str delims)
{
	while (at > 0 && !conv_in_set(s.p[at - 1], delims))
		at--;
	return at;
}

/* field(index,delimiters[,count]): from the index on, count fields (0: all) to the right, or to the left
 * where the index counts from the end. */
CONV(conv_field)
{
	struct str s = conv_input(smp), delims = args[1].str;
	int64_t skip = args[0].i, count = nb_args > 2 ? args[2].i : 1;
	size_t b = 0, e = s.n;

	if (skip > 0) {
		for (; skip > 1; skip--) {
			b = field_end(s, b, delims);
			if (b == s.n)
				return false;
			b++;
		}
		for (e = field_end(s, b, delims); count != 1 && e < s.n; count--)
			e = field_end(s, e + 1, delims);
	} else {
		for (; skip < -1; skip++) {
			e = field_begin(s, e, delims);
			if (e == 0)
				return false;
			e--;
		}
		for (b = field_begin(s, e, delims); count != 1 && b > 0; count--)
			b = field_begin(s, b - 1, delims);
	}
	smp->v.str = str_n(s.p + b, e - b);
	return true;
}

static size_t word_skip(struct str s, size_t at, struct str delims)
{
	while (at < s.n && conv_in_set(s.p[at], delims))
		at++;
	return at;
}

static size_t word_skip_back(struct str s, size_t at, struct str delims)
{
	while (at > 0 && conv_in_set(s.p[at - 1], delims))
		at--;
	return at;
}

/* word(): the same, but any number of delimiters is one, and those at both ends do not count. Where there is
 * no such word the result is empty. */
CONV(conv_word)
{
	struct str s = conv_input(smp), delims = args[1].str;
	int64_t skip = args[0].i, count = nb_args > 2 ? args[2].i : 1;
	size_t b, e, next;

	if (skip > 0) {
		for (b = word_skip(s, 0, delims); skip > 1; skip--)
			b = word_skip(s, field_end(s, b, delims), delims);
		for (e = field_end(s, b, delims); count != 1; count--) {
			next = word_skip(s, e, delims);
			if (next == s.n)
				break;
			e = field_end(s, next, delims);
		}
	} else {
		for (e = word_skip_back(s, s.n, delims); skip < -1; skip++)
			e = word_skip_back(s, field_begin(s, e, delims), delims);
		for (b = field_begin(s, e, delims); count != 1; count--) {
			next = word_skip_back(s, b, delims);
			if (next == 0)
				break;
			b = field_begin(s, next, delims);
		}
	}
	smp->v.str = str_n(s.p + b, e - b);
	return true;
}

static int check_field(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	if (args[0].i == 0)
		return pol_err(err, "the index cannot be 0: the first is 1, the last -1");
	if (nb_args > 2 && args[2].i < 0)
		return pol_err(err, "the count cannot be negative");
	return 0;
}

CONV(conv_ltrim)
{
	struct str s = conv_input(smp);
	size_t b = word_skip(s, 0, args[0].str);

	smp->v.str = str_n(s.p + b, s.n - b);
	return true;
}

CONV(conv_rtrim)
{
	struct str s = conv_input(smp);

	smp->v.str = str_n(s.p, word_skip_back(s, s.n, args[0].str));
	return true;
}

CONV(conv_concat)
{
	struct str in = conv_input(smp), out;
	size_t n = in.n;
	char *p;

	for (int i = 0; i < nb_args; i++)
		n += args[i].str.n;
	p = pol_tmp(ctx, n + 1);
	if (!p)
		return false;
	memcpy(p, in.p, in.n);
	out = str_n(p, in.n);
	for (int i = 0; i < nb_args; i++) {
		memcpy(p + out.n, args[i].str.p, args[i].str.n);
		out.n += args[i].str.n;
	}
	smp->v.str = out;
	return true;
}

static int check_concat(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	if (nb_args > 1 && args[1].str.n)
		return pol_err(err, "variables ('%s') are not supported yet: leave the second argument empty",
			       args[1].str.p);
	return 0;
}

/* ---- host names ---- */

/* Where the port of "host:port" or "[v6]:port" begins, or s.n. */
static size_t host_end(struct str s)
{
	size_t i = s.n;

	while (i > 0 && isdigit((unsigned char)s.p[i - 1]))
		i--;
	return i > 0 && s.p[i - 1] == ':' ? i - 1 : s.n;
}

CONV(conv_host_only)
{
	struct str s = conv_input(smp);

	smp->v.str = str_n(s.p, host_end(s));
	return conv_map(ctx, smp, tolower);
}

CONV(conv_port_only)
{
	struct str s = conv_input(smp);
	size_t end = host_end(s);

	smp->v.i = end < s.n ? pol_atoi(str_n(s.p + end + 1, s.n - end - 1)) : 0;
	return true;
}

/* ---- URL encoding ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* url_dec([in_form]): '+' is a space in forms and behind the question mark. A broken %-escape gives no value.
 */
CONV(conv_url_dec)
{
	struct str s = conv_input(smp);
	bool in_form = nb_args && args[0].i;
	char *p = pol_tmp(ctx, s.n + 1);
	size_t n = 0;

	if (!p)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '?')
			in_form = true;
		if (c == '+' && in_form)
			c = ' ';
		if (c == '%') {
			int hi = s.n - i > 2 ? hex_digit(s.p[i + 1]) : -1,
			    lo = hi >= 0 ? hex_digit(s.p[i + 2]) : -1;

			if (lo < 0)
				return false;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		p[n++] = c;
	}
	smp->v.str = str_n(p, n);
	return true;
}

/* All but RFC 3986's unreserved characters become %XX. */
CONV(conv_url_enc)
{
	static const char digits[] = "0123456789ABCDEF";
	struct str s = conv_input(smp);
	char *p = pol_tmp(ctx, s.n * 3 + 1);
	size_t n = 0;

	if (!p)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (isascii(c) && (isalnum(c) || (c && strchr("-._~", c)))) {
			p[n++] = (char)c;
			continue;
		}
		p[n++] = '%';
		p[n++] = digits[c >> 4];
		p[n++] = digits[c & 15];
	}
	smp->v.str = str_n(p, n);
	return true;
}

static int check_url_enc(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	if (nb_args && !str_eq(args[0].str, STR("query")))
		return pol_err(err, "unknown encoding '%s'; 'query' expected", args[0].str.p);
	return 0;
}

/* ---- substitution ---- */

struct regsub {
	const struct regex *re;
	bool all;
};

static int check_regsub(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	struct regsub *rs = arena_alloc(a, sizeof(*rs));
	bool icase = false;

	if (!rs)
		return pol_err(err, "out of memory");
	for (size_t i = 0; nb_args > 2 && i < args[2].str.n; i++) {
		if (args[2].str.p[i] == 'g')
			rs->all = true;
		else if (args[2].str.p[i] == 'i')
			icase = true;
		else
			return pol_err(err, "unknown flag '%c'; 'i' and 'g' are known", args[2].str.p[i]);
	}
	rs->re = regex_compile(a, args[0].str.p, icase, err);
	args[0].ptr = rs;
	return rs->re ? 0 : -1;
}

/* Appends <s> while there is room. */
static void regsub_put(struct buf *out, struct str s)
{
	size_t n = MIN(s.n, buf_contig_room(out));

	if (n)
		memcpy(buf_tail(out), s.p, n);
	out->data += n;
}

/* The replacement, \0 to \9 standing for what the groups matched */
static void regsub_expand(struct buf *out, struct str subst, const struct regex_groups *m)
{
	for (size_t i = 0; i < subst.n; i++) {
		char next = i + 1 < subst.n ? subst.p[i + 1] : 0;

		if (subst.p[i] == '\\' && isdigit((unsigned char)next)) {
			if (m->g[next - '0'].p)
				regsub_put(out, m->g[next - '0']);
			i++;
		} else if (subst.p[i] == '\\' && next == '\\') {
			regsub_put(out, STR("\\"));
			i++;
		} else {
			regsub_put(out, str_n(subst.p + i, 1));
		}
	}
}

#define REGSUB_MAX \
	16384 /* bytes of a result; what does not fit is cut, as HAProxy cuts at its buffer's end */

/* regsub(regex,subst[,flags]): as sed's s/// */
CONV(conv_regsub)
{
	const struct regsub *rs = args[0].ptr;
	struct str s = conv_input(smp);
	struct regex_groups m;
	struct buf out;
	size_t at = 0;
	char *area;

	if (!regex_exec(rs->re, s, 0, ctx, &m))
		return true; /* unchanged */
	area = pol_tmp(ctx, REGSUB_MAX);
	if (!area)
		return false;
	buf_wrap(&out, area, REGSUB_MAX);
	do {
		if (m.start < at) /* a lookbehind trick; never go back */
			break;
		regsub_put(&out, str_n(s.p + at, m.start - at));
		regsub_expand(&out, args[1].str, &m);
		at = m.end;
		if (m.end == m.start) { /* an empty match: step over one byte */
			regsub_put(&out, str_n(s.p + at, at < s.n));
			at++;
		}
	} while (rs->all && at <= s.n && buf_contig_room(&out) && regex_exec(rs->re, s, at, ctx, &m));
	if (at < s.n)
		regsub_put(&out, str_n(s.p + at, s.n - at));
	smp->v.str = buf_str(&out);
	return true;
}

/* ---- dates ---- */

static int check_http_date(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	static const struct {
		struct str unit;
		int64_t div;
	} units[] = { { STR("s"), 1 }, { STR("ms"), 1000 }, { STR("us"), 1000000 } };

	if (nb_args < 2)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (str_eq(args[1].str, units[i].unit)) {
			args[1].i = units[i].div;
			return 0;
		}
	return pol_err(err, "'%s' is no unit of time; 's', 'ms' or 'us' expected", args[1].str.p);
}

/* http_date([offset],[unit]): RFC 9110 5.6.7, whatever the locale */
CONV(conv_http_date)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t div = nb_args > 1 ? args[1].i : 1;
	int64_t v = smp->v.i;
	time_t t;
	char *p = pol_tmp(ctx, 64);
	struct tm tm;

	if (!p || (nb_args && __builtin_add_overflow(v, args[0].i, &v)))
		return false;
	t = (time_t)(v / div);
	if (!gmtime_r(&t, &tm))
		return false;
	snprintf(p, 64, "%.3s, %02d %.3s %d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
		 months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	smp->v.str = str_c(p);
	return true;
}

static struct smp_conv_kw convs_str[] = {
	{ "lower", SMP_T_STR, SMP_T_STR, NULL, NULL, conv_lower, "ASCII letters in lower case" },
	{ "upper", SMP_T_STR, SMP_T_STR, NULL, NULL, conv_upper, "ASCII letters in upper case" },
	{ "length", SMP_T_STR, SMP_T_SINT, NULL, NULL, conv_length, "the number of bytes" },
	{ "field", SMP_T_STR, SMP_T_STR, "isI", check_field, conv_field,
	  "a field: index (1 first, -1 last), delimiting characters, how many (0: all the rest)" },
	{ "word", SMP_T_STR, SMP_T_STR, "isI", check_field, conv_word,
	  "a word: as field, but delimiters in a row are one, and those at the ends do not count" },
	{ "ltrim", SMP_T_STR, SMP_T_STR, "s", NULL, conv_ltrim,
	  "without the given characters at the beginning" },
	{ "rtrim", SMP_T_STR, SMP_T_STR, "s", NULL, conv_rtrim, "without the given characters at the end" },
	{ "concat", SMP_T_STR, SMP_T_STR, "SSS", check_concat, conv_concat,
	  "with the first and third argument appended (the second, a variable's name, must be empty)" },
	{ "host_only", SMP_T_STR, SMP_T_STR, NULL, NULL, conv_host_only,
	  "a Host header's value without its port, in lower case" },
	{ "port_only", SMP_T_STR, SMP_T_SINT, NULL, NULL, conv_port_only,
	  "the port of a Host header's value, or 0" },
	{ "url_dec", SMP_T_STR, SMP_T_STR, "I", NULL, conv_url_dec,
	  "%XX decoded; '+' is a space behind a '?', everywhere when the argument is not 0" },
	{ "url_enc", SMP_T_STR, SMP_T_STR, "S", check_url_enc, conv_url_enc,
	  "everything but letters, digits and -._~ as %XX" },
	{ "regsub", SMP_T_STR, SMP_T_STR, "ssS", check_regsub, conv_regsub,
	  "a regular expression's match replaced: expression, replacement (\\0 to \\9), flags g (all) and "
	  "i" },
	{ "http_date", SMP_T_SINT, SMP_T_STR, "IS", check_http_date, conv_http_date,
	  "a time since 1970 as an HTTP date: offset, unit (s, ms, us)" },
	{ NULL }
};

INITCALL converters_str_register(void)
{
	smp_register_convs(convs_str);
}
