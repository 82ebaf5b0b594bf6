/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * regex.c - PCRE2: compiled once with JIT, matched under limits
 *
 * Compiled code belongs to an arena: it is freed by a hook when the epoch goes.
 * What a match needs (match data) is taken from the evaluation's arena through
 * PCRE2's own allocator hooks, so a match costs no malloc() and two threads may
 * use one expression. A pattern that exhausts the match limit on some input has not
 * matched: an operator's careless expression must not stop the loop.
 */
#include "policy/policy_priv.h"

#include <pcre2.h>
#include <stdlib.h>

#define REGEX_MATCH_LIMIT 100000 /* steps; a few ms at the worst */
#define REGEX_HEAP_LIMIT  512    /* KiB, for the interpreter */

struct regex {
	pcre2_code *code;            /* owns, by the arena's hook */
	pcre2_match_context *limits; /* owns, by the arena's hook */
};

static void regex_free(void *arg)
{
	struct regex *re = arg;

	pcre2_code_free(re->code);
	pcre2_match_context_free(re->limits);
}

struct regex *regex_compile(struct arena *a, const char *text, bool icase, char **err)
{
	struct regex *re = arena_alloc(a, sizeof(*re));
	PCRE2_UCHAR msg[128];
	PCRE2_SIZE pos;
	int rc;

	if (!re || !arena_on_reset(a, regex_free, re)) {
		pol_err(err, "out of memory");
		return NULL;
	}
	re->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, icase ? PCRE2_CASELESS : 0, &rc,
				 &pos, NULL);
	if (!re->code) {
		pcre2_get_error_message(rc, msg, sizeof(msg));
		pol_err(err, "regular expression '%s' is invalid at position %zu: %s", text, (size_t)pos,
			(char *)msg);
		return NULL;
	}
	re->limits = pcre2_match_context_create(NULL);
	if (!re->limits) {
		pol_err(err, "out of memory");
		return NULL;
	}
	pcre2_set_match_limit(re->limits, REGEX_MATCH_LIMIT);
	pcre2_set_heap_limit(re->limits, REGEX_HEAP_LIMIT);
	pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE); /* without JIT support it is interpreted */
	return re;
}

static void *regex_tmp_alloc(size_t n, void *arg)
{
	return arena_alloc(arg, n);
}

static void regex_tmp_free(void *p, void *arg)
{
}

/* Returns PCRE2's result; *data valid until ctx->tmp is reset. */
static int regex_run(const struct regex *re, struct str s, size_t from, struct policy_ctx *ctx,
		     uint32_t groups, pcre2_match_data **data)
{
	pcre2_general_context *mem;
	PCRE2_SPTR p = (PCRE2_SPTR)(s.p ? s.p : "");
	int rc;

	if (!ctx || !ctx->tmp)
		return PCRE2_ERROR_NOMEMORY;
	mem = pcre2_general_context_create(regex_tmp_alloc, regex_tmp_free, ctx->tmp);
	*data = mem ? pcre2_match_data_create(groups, mem) : NULL;
	if (!*data)
		return PCRE2_ERROR_NOMEMORY;
	rc = pcre2_match(re->code, p, s.n, from, 0, *data, re->limits);
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(re->code, p, s.n, from, PCRE2_NO_JIT, *data, re->limits);
	return rc;
}

bool regex_match(const struct regex *re, struct str s, struct policy_ctx *ctx)
{
	pcre2_match_data *data;

	return regex_run(re, s, 0, ctx, 1, &data) >= 0;
}

bool regex_exec(const struct regex *re, struct str s, size_t from, struct policy_ctx *ctx,
		struct regex_groups *m)
{
	pcre2_match_data *data;
	PCRE2_SIZE *ov;
	int rc = from <= s.n ? regex_run(re, s, from, ctx, REGEX_GROUPS, &data) : -1;

	if (rc < 0)
		return false;
	ov = pcre2_get_ovector_pointer(data);
	*m = (struct regex_groups){ .start = ov[0], .end = ov[1] };
	for (int i = 0; i < (rc ? rc : REGEX_GROUPS); i++)
		if (ov[2 * i] != PCRE2_UNSET && ov[2 * i] <= ov[2 * i + 1])
			m->g[i] = str_n(s.p + ov[2 * i], ov[2 * i + 1] - ov[2 * i]);
	return ov[0] <= ov[1]; /* \K can put the start behind the end */
}
