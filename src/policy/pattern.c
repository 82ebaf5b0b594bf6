/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pattern.c - what an ACL compares samples with
 *
 * A set of patterns has one method (beg, reg, ip, ...) and grows word by word
 * while the configuration is read; patterns_seal() then lays it out for
 * reading:
 *   - exact strings: an open-addressed hash table over case-folded bytes, so
 *     that -i and exact patterns share it; a few are compared one by one
 *   - addresses: sorted, merged ranges, searched by bisection
 *   - the rest: in the order given
 * so a file of a hundred thousand names or networks costs one look-up.
 *
 * Meanings are HAProxy's (its manual, 7.1.1 to 7.1.6). Strings compare as C
 * strings do there: a binary sample ends at its first NUL (the cast does that).
 */
#include "policy/policy_priv.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cfg/diag.h"

#define PAT_INDEX_MIN 8 /* fewer exact strings are compared one by one */

struct pat_int {
	int64_t min, max;
};

struct pat_str {
	struct str s;
	enum http_meth meth;
	bool icase;
	const struct regex *re;
};

/* an address in 16 bytes: IPv4 is kept apart, so it simply fills the first four */
struct pat_range {
	uint8_t lo[16], hi[16];
};

struct pat_ranges {
	struct pat_range *r; /* arena */
	size_t n, cap;
};

struct patterns {
	struct arena *arena;
	enum pat_match match;
	bool dotted; /* integers may be major.minor */
	enum pat_op { PAT_OP_EQ, PAT_OP_GE, PAT_OP_GT, PAT_OP_LE, PAT_OP_LT } op; /* for the next integer */
	struct pat_int *ints; /* all three arrays: arena, grown by doubling */
	struct pat_str *strs;
	size_t nb_ints, cap_ints, nb_strs, cap_strs;
	struct pat_ranges v4, v6;
	uint32_t *index; /* arena; position in strs + 1, 0: free; NULL: no index */
	uint32_t mask;
};

static const struct {
	const char *name;
	bool any;           /* takes any sample as it is */
	enum smp_type type; /* else: what the sample is cast to */
} pat_methods[PAT_COUNT] = {
	[PAT_FOUND] = { "found", true, SMP_T_BOOL }, [PAT_BOOL] = { "bool", false, SMP_T_BOOL },
	[PAT_INT] = { "int", false, SMP_T_SINT },    [PAT_IP] = { "ip", false, SMP_T_ADDR },
	[PAT_BIN] = { "bin", false, SMP_T_BIN },     [PAT_LEN] = { "len", false, SMP_T_STR },
	[PAT_STR] = { "str", false, SMP_T_STR },     [PAT_BEG] = { "beg", false, SMP_T_STR },
	[PAT_SUB] = { "sub", false, SMP_T_STR },     [PAT_DIR] = { "dir", false, SMP_T_STR },
	[PAT_DOM] = { "dom", false, SMP_T_STR },     [PAT_END] = { "end", false, SMP_T_STR },
	[PAT_REG] = { "reg", false, SMP_T_STR },     [PAT_METH] = { NULL, false, SMP_T_METH },
};

/* ---- methods ---- */

int pat_match_find(struct str name)
{
	for (int i = 0; i < PAT_COUNT; i++)
		if (pat_methods[i].name && str_eq(str_c(pat_methods[i].name), name))
			return i;
	return -1;
}

const char *pat_match_name(enum pat_match m)
{
	return pat_methods[m].name ? pat_methods[m].name : "method";
}

const char *pat_match_nearest(const char *word)
{
	const char *names[PAT_COUNT];
	size_t n = 0;

	for (int i = 0; i < PAT_COUNT; i++)
		if (pat_methods[i].name)
			names[n++] = pat_methods[i].name;
	return diag_nearest_of(word, names, n);
}

bool pat_match_type(enum pat_match m, enum smp_type *t)
{
	*t = pat_methods[m].type;
	return !pat_methods[m].any;
}

struct patterns *patterns_new(struct arena *a, enum pat_match m, bool dotted)
{
	struct patterns *ps = arena_alloc(a, sizeof(*ps));

	if (!ps)
		return NULL;
	ps->arena = a;
	ps->match = m;
	ps->dotted = dotted;
	return ps;
}

/* Room for one more element of <size> in the array *base; false on no memory. */
static bool pat_grow(struct arena *a, void *base, size_t n, size_t *cap, size_t size)
{
	void **arr = base, *bigger;
	size_t want = *cap ? *cap * 2 : 4;

	if (n < *cap)
		return true;
	bigger = arena_alloc(a, want * size);
	if (!bigger)
		return false;
	if (n)
		memcpy(bigger, *arr, n * size);
	*arr = bigger;
	*cap = want;
	return true;
}

/* ---- adding: integers ---- */

/* A number; of versions 3.1 is 3 * 65536 + 1, and 3 is 3.0. */
static int pat_number(const struct patterns *ps, struct str s, int64_t *v, char **err)
{
	struct str major = s, minor = s;
	int64_t a, b = 0;

	if (ps->dotted && memchr(s.p, '.', s.n)) {
		major = str_cut(&minor, '.');
		if (str_to_int(major, &a) || str_to_int(minor, &b) || a < 0 || b < 0 || a > 65535 ||
		    b > 65535)
			return pol_err(err, "'%.*s' is not a version", STR_ARG(s));
	} else if (str_to_int(s, &a)) {
		return pol_err(err, "'%.*s' is not a number", STR_ARG(s));
	}
	*v = ps->dotted ? (a << 16) + b : a;
	return 0;
}

static void pat_int_operator(enum pat_op op, struct pat_int *p)
{
	switch (op) {
	case PAT_OP_EQ: break;
	case PAT_OP_GE: p->max = INT64_MAX; break;
	case PAT_OP_GT:
		p->min = p->max < INT64_MAX ? p->max + 1 : INT64_MAX;
		p->max =
		    p->max < INT64_MAX ? INT64_MAX : INT64_MIN; /* nothing is greater than the greatest */
		break;
	case PAT_OP_LE: p->min = INT64_MIN; break;
	case PAT_OP_LT:
		p->max = p->min > INT64_MIN ? p->min - 1 : INT64_MIN;
		p->min = p->min > INT64_MIN ? INT64_MIN : INT64_MAX;
		break;
	}
}

/* Where the range's colon (or dash) is; NULL: a single value. */
static const char *pat_int_delim(struct str s)
{
	const char *c = memchr(s.p, ':', s.n);

	return c || s.n < 2 ? c : memchr(s.p + 1, '-', s.n - 1); /* a leading dash is a sign */
}

static int pat_add_int(struct patterns *ps, struct str s, char **err)
{
	static const char *const ops[] = { "eq", "ge", "gt", "le", "lt" };
	struct pat_int p = { INT64_MIN, INT64_MAX };
	const char *delim;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (str_eq(s, str_c(ops[i]))) {
			ps->op = (enum pat_op)i;
			return 0;
		}
	if (!s.n)
		return pol_err(err, "'' is not a number");
	delim = pat_int_delim(s);
	if (!delim) {
		if (pat_number(ps, s, &p.min, err) < 0)
			return -1;
		p.max = p.min;
	} else {
		struct str lo = str_n(s.p, delim - s.p), hi = str_n(delim + 1, s.n - lo.n - 1);

		if (lo.n && pat_number(ps, lo, &p.min, err) < 0)
			return -1;
		if (hi.n && pat_number(ps, hi, &p.max, err) < 0)
			return -1;
		if (p.min > p.max)
			return pol_err(err, "range '%.*s' is upside down", STR_ARG(s));
		if (ps->op != PAT_OP_EQ)
			return pol_err(err, "an operator cannot be used with range '%.*s'", STR_ARG(s));
	}
	pat_int_operator(ps->op, &p);
	if (!pat_grow(ps->arena, &ps->ints, ps->nb_ints, &ps->cap_ints, sizeof(p)))
		return pol_err(err, "out of memory");
	ps->ints[ps->nb_ints++] = p;
	return 0;
}

/* ---- adding: addresses ---- */

/* "/24" or "/255.255.255.0" -> bits; -1: neither. */
static int pat_mask_bits(struct str s, int max)
{
	struct addr m;
	uint64_t bits;
	uint32_t v;

	if (str_to_uint(s, &bits) == 0)
		return bits <= (uint64_t)max ? (int)bits : -1;
	if (max != 32 || addr_parse_ip(&m, s) != 0 || m.family != AF_INET)
		return -1;
	v = ntohl(m.ip.v4.s_addr);
	if (~v & (~v + 1))
		return -1; /* holes in the mask */
	return __builtin_popcount(v);
}

/* "10.12" is 10.0.0.12, as inet_aton() reads it and HAProxy's manual tells. */
static int pat_ip(struct addr *a, struct str s)
{
	char text[64];

	if (addr_parse_ip(a, s) == 0)
		return 0;
	if (s.n >= sizeof(text) || !s.n)
		return -1;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	if (strspn(text, "0123456789.") != s.n)
		return -1;
	*a = (struct addr){ .family = AF_INET };
	return inet_aton(text, &a->ip.v4) ? 0 : -1;
}

int pattern_net(struct str s, struct addr *a, int *bits, char **err)
{
	struct str mask = s, host = str_cut(&mask, '/');
	int max;

	if (pat_ip(a, host) < 0)
		return pol_err(err, "'%.*s' is not an address or network (names are not resolved)",
			       STR_ARG(s));
	max = a->family == AF_INET ? 32 : 128;
	*bits = mask.p ? pat_mask_bits(mask, max) : max;
	if (*bits < 0)
		return pol_err(err, "'%.*s' is not a netmask", STR_ARG(mask));
	return 0;
}

static int pat_add_ip(struct patterns *ps, struct str s, char **err)
{
	struct pat_ranges *set;
	struct pat_range r = { 0 };
	struct addr a;
	int bits, len;

	if (pattern_net(s, &a, &bits, err) < 0)
		return -1;
	len = a.family == AF_INET ? 4 : 16;
	memcpy(r.lo, &a.ip, len);
	memcpy(r.hi, &a.ip, len);
	for (int i = bits; i < len * 8; i++) {
		r.lo[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
		r.hi[i / 8] |= (uint8_t)(0x80 >> i % 8);
	}
	set = len == 4 ? &ps->v4 : &ps->v6;
	if (!pat_grow(ps->arena, &set->r, set->n, &set->cap, sizeof(r)))
		return pol_err(err, "out of memory");
	set->r[set->n++] = r;
	return 0;
}

/* ---- adding: strings ---- */

static int pat_hex(struct str s, char *out)
{
	for (size_t i = 0; i < s.n; i++) {
		int c = tolower((unsigned char)s.p[i]);

		if (!isxdigit(c))
			return -1;
		c = c <= '9' ? c - '0' : c - 'a' + 10;
		out[i / 2] = (char)(i % 2 ? out[i / 2] | c : c << 4);
	}
	return 0;
}

/* Delimiters around dir and dom patterns say nothing. */
static struct str pat_trim_delims(enum pat_match m, struct str s)
{
	const char *delims = m == PAT_DOM ? "/?.:" : "/?";

	while (s.n && strchr(delims, s.p[0]))
		s.p++, s.n--;
	while (s.n && strchr(delims, s.p[s.n - 1]))
		s.n--;
	return s;
}

static int pat_add_str(struct patterns *ps, struct str s, bool icase, char **err)
{
	struct pat_str p = { .icase = icase };
	char *copy;

	if (ps->match == PAT_DIR || ps->match == PAT_DOM)
		s = pat_trim_delims(ps->match, s);
	copy = arena_strdup(ps->arena, s);
	if (!copy)
		return pol_err(err, "out of memory");
	p.s = str_n(copy, s.n);
	if (ps->match == PAT_METH)
		p.meth = http_meth_parse(s);
	if (ps->match == PAT_BIN) {
		if (s.n % 2 || pat_hex(s, copy) < 0)
			return pol_err(err, "'%.*s' is not an even number of hexadecimal digits", STR_ARG(s));
		p.s.n = s.n / 2;
		p.icase = false;
	}
	if (ps->match == PAT_REG) {
		p.re = regex_compile(ps->arena, copy, icase, err);
		if (!p.re)
			return -1;
	}
	if (!pat_grow(ps->arena, &ps->strs, ps->nb_strs, &ps->cap_strs, sizeof(p)))
		return pol_err(err, "out of memory");
	ps->strs[ps->nb_strs++] = p;
	return 0;
}

int patterns_add(struct patterns *ps, const char *word, bool icase, char **err)
{
	switch (ps->match) {
	case PAT_FOUND:
	case PAT_BOOL: return 0; /* they compare with nothing; HAProxy ignores values too */
	case PAT_INT:
	case PAT_LEN: return pat_add_int(ps, str_c(word), err);
	case PAT_IP: return pat_add_ip(ps, str_c(word), err);
	default: return pat_add_str(ps, str_c(word), icase, err);
	}
}

static int pat_load_lines(struct patterns *ps, FILE *f, const char *file, bool icase, char **err)
{
	size_t cap = 0;
	char *buf = NULL;
	int rc = 0, line = 0;
	ssize_t n;

	while (rc == 0 && (n = getline(&buf, &cap, f)) >= 0) {
		char *p = buf;

		line++;
		if (*p == '#')
			continue;
		while (n && strchr(" \t\r\n", p[n - 1]))
			p[--n] = 0;
		p += strspn(p, " \t");
		if (!*p)
			continue;
		if (strlen(p) != (size_t)(n - (p - buf)))
			rc = pol_err(err, "%s:%d: the line holds a NUL", file, line);
		else if (patterns_add(ps, p, icase, err) < 0)
			rc = pol_err(err, "%s:%d: %s", file, line, *err);
	}
	if (rc == 0 && ferror(f))
		rc = pol_err(err, "cannot read '%s': %s", file, strerror(errno));
	free(buf);
	return rc;
}

int patterns_load(struct patterns *ps, const char *file, bool icase, char **err)
{
	FILE *f = fopen(file, "re");
	int rc;

	if (!f)
		return pol_err(err, "cannot open pattern file '%s': %s", file, strerror(errno));
	rc = pat_load_lines(ps, f, file, icase, err);
	fclose(f);
	return rc;
}

/* ---- sealing ---- */

static int pat_range_cmp(const void *a, const void *b)
{
	return memcmp(((const struct pat_range *)a)->lo, ((const struct pat_range *)b)->lo, 16);
}

static void pat_ranges_seal(struct pat_ranges *set)
{
	size_t out = 0;

	if (!set->n)
		return;
	qsort(set->r, set->n, sizeof(set->r[0]), pat_range_cmp);
	for (size_t i = 1; i < set->n; i++) {
		if (memcmp(set->r[i].lo, set->r[out].hi, 16) > 0)
			set->r[++out] = set->r[i];
		else if (memcmp(set->r[i].hi, set->r[out].hi, 16) > 0)
			memcpy(set->r[out].hi, set->r[i].hi, 16);
	}
	set->n = out + 1;
}

/* FNV-1a over lower case. The patterns are the operator's: nobody else can fill a chain. */
static uint32_t pat_hash(struct str s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (uint32_t)tolower((unsigned char)s.p[i])) * 16777619u;
	return h ^ h >> 15;
}

static int pat_strs_seal(struct patterns *ps, char **err)
{
	uint32_t size = 16;

	if (ps->match != PAT_STR || ps->nb_strs < PAT_INDEX_MIN)
		return 0;
	while (size < ps->nb_strs * 2)
		size *= 2;
	ps->index = arena_alloc(ps->arena, size * sizeof(ps->index[0]));
	if (!ps->index)
		return pol_err(err, "out of memory");
	ps->mask = size - 1;
	for (size_t i = 0; i < ps->nb_strs; i++) {
		uint32_t at = pat_hash(ps->strs[i].s) & ps->mask;

		while (ps->index[at])
			at = (at + 1) & ps->mask;
		ps->index[at] = (uint32_t)i + 1;
	}
	return 0;
}

int patterns_seal(struct patterns *ps, char **err)
{
	pat_ranges_seal(&ps->v4);
	pat_ranges_seal(&ps->v6);
	return pat_strs_seal(ps, err);
}

/* ---- looking inside ---- */

enum pat_match patterns_kind(const struct patterns *ps)
{
	return ps->match;
}

bool patterns_int(const struct patterns *ps, size_t i, int64_t *lo, int64_t *hi)
{
	if (i >= ps->nb_ints)
		return false;
	*lo = ps->ints[i].min;
	*hi = ps->ints[i].max;
	return true;
}

const struct regex *patterns_regex(const struct patterns *ps)
{
	return ps->strs[0].re;
}

bool patterns_ip(const struct patterns *ps, int family, size_t i, uint8_t lo[16], uint8_t hi[16])
{
	const struct pat_ranges *set = family == AF_INET6 ? &ps->v6 : &ps->v4;

	if (i >= set->n)
		return false;
	memcpy(lo, set->r[i].lo, 16);
	memcpy(hi, set->r[i].hi, 16);
	return true;
}

/* ---- matching ---- */

static bool pat_match_int(const struct patterns *ps, int64_t v)
{
	for (size_t i = 0; i < ps->nb_ints; i++)
		if (v >= ps->ints[i].min && v <= ps->ints[i].max)
			return true;
	return false;
}

static bool pat_ranges_have(const struct pat_ranges *set, const void *ip, size_t len)
{
	size_t lo = 0, hi = set->n;

	while (lo < hi) { /* the last range that begins at or below <ip> */
		size_t mid = (lo + hi) / 2;

		if (memcmp(set->r[mid].lo, ip, len) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && memcmp(set->r[lo - 1].hi, ip, len) >= 0;
}

const uint8_t *pattern_v4_inside(const uint8_t ip[16])
{
	static const uint8_t zero[12], mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(ip, zero, 12) == 0 || memcmp(ip, mapped, 12) == 0)
		return ip + 12;
	return ip[0] == 0x20 && ip[1] == 0x02 ? ip + 2 : NULL;
}

static bool pat_match_ip(const struct patterns *ps, const struct addr *a)
{
	uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *v4;

	if (a->family == AF_INET6) {
		v4 = ps->v4.n ? pattern_v4_inside(a->ip.v6.s6_addr) : NULL;
		return pat_ranges_have(&ps->v6, a->ip.v6.s6_addr, 16) ||
		       (v4 && pat_ranges_have(&ps->v4, v4, 4));
	}
	if (a->family != AF_INET)
		return false;
	if (pat_ranges_have(&ps->v4, &a->ip.v4, 4))
		return true;
	memcpy(mapped + 12, &a->ip.v4, 4);
	return pat_ranges_have(&ps->v6, mapped, 16);
}

static bool pat_bytes_eq(const struct pat_str *p, const char *s)
{
	return p->s.n == 0 || (p->icase ? strncasecmp(p->s.p, s, p->s.n) : memcmp(p->s.p, s, p->s.n)) == 0;
}

static bool pat_index_have(const struct patterns *ps, struct str s)
{
	for (uint32_t at = pat_hash(s) & ps->mask; ps->index[at]; at = (at + 1) & ps->mask) {
		const struct pat_str *p = &ps->strs[ps->index[at] - 1];

		if (p->s.n == s.n && pat_bytes_eq(p, s.p))
			return true;
	}
	return false;
}

static bool pat_is_delim(char c, const char *delims)
{
	return c && strchr(delims, c);
}

/* Is <p> inside <s>, between <delims> (NULL: anywhere)? */
static bool pat_find(const struct pat_str *p, struct str s, const char *delims)
{
	for (size_t i = 0; i + p->s.n <= s.n; i++) {
		if (!p->icase && !delims) {
			const char *hit = memmem(s.p + i, s.n - i, p->s.p, p->s.n);

			return hit != NULL;
		}
		if (delims && i && !pat_is_delim(s.p[i - 1], delims))
			continue;
		if (delims && i + p->s.n < s.n && !pat_is_delim(s.p[i + p->s.n], delims))
			continue;
		if (pat_bytes_eq(p, s.p + i))
			return true;
	}
	return false;
}

static bool pat_match_one(enum pat_match m, const struct pat_str *p, struct str s, struct policy_ctx *ctx)
{
	switch (m) {
	case PAT_BIN:
	case PAT_STR: return p->s.n == s.n && pat_bytes_eq(p, s.p);
	case PAT_BEG: return p->s.n <= s.n && pat_bytes_eq(p, s.p);
	case PAT_END: return p->s.n <= s.n && pat_bytes_eq(p, s.p + s.n - p->s.n);
	case PAT_SUB: return pat_find(p, s, NULL);
	case PAT_DIR: return p->s.n && pat_find(p, s, "/?");
	case PAT_DOM: return p->s.n && pat_find(p, s, "/?.:");
	case PAT_REG: return regex_match(p->re, s, ctx);
	case PAT_METH:
		if (p->meth != HTTP_METH_OTHER)
			return p->meth == http_meth_parse(s);
		return p->icase ? str_ieq(p->s, s) : str_eq(p->s, s);
	default: return false;
	}
}

static bool pat_match_strs(const struct patterns *ps, struct str s, struct policy_ctx *ctx)
{
	if (!s.p)
		s = STR("");
	if (ps->index)
		return pat_index_have(ps, s);
	for (size_t i = 0; i < ps->nb_strs; i++)
		if (pat_match_one(ps->match, &ps->strs[i], s, ctx))
			return true;
	return false;
}

bool patterns_match(const struct patterns *ps, const struct sample *s, struct policy_ctx *ctx)
{
	switch (ps->match) {
	case PAT_FOUND: return true;
	case PAT_BOOL: return s->v.b;
	case PAT_INT: return pat_match_int(ps, s->v.i);
	case PAT_LEN: return pat_match_int(ps, (int64_t)s->v.str.n);
	case PAT_IP: return pat_match_ip(ps, &s->v.addr);
	default: return pat_match_strs(ps, s->v.str, ctx);
	}
}
