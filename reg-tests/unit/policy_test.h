/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * policy_test.h - a context made from literals, for the tests of policy
 */
#ifndef POLICY_TEST_H
#define POLICY_TEST_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/acl.h"

struct world {
	struct arena conf, tmp; /* the epoch's, the evaluation's */
	struct acl_set acls;
	struct policy_ctx ctx;
	struct addr src, dst;
	char *req, *res; /* payloads in memory of exactly their size */
	char *err;
	char shown[4096];
};

static inline void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	arena_init(&w->conf);
	arena_init(&w->tmp);
	acl_set_init(&w->acls);
	w->ctx.tmp = &w->tmp;
	addr_parse_ip(&w->src, STR("10.1.2.3"));
	addr_parse_ip(&w->dst, STR("2001:db8::80"));
	w->src.port = 40000;
	w->dst.port = 443;
	w->ctx.src = &w->src;
	w->ctx.dst = &w->dst;
	w->ctx.in_if = "eth0";
}

static inline void world_fini(struct world *w)
{
	acl_set_release(&w->acls);
	arena_reset(&w->conf);
	arena_reset(&w->tmp);
	free(w->req);
	free(w->res);
	free(w->err);
}

/* The first <n> bytes of a payload have come; <final>: no more will. */
static inline void world_payload(struct world *w, bool response, const char *p, size_t n, bool final)
{
	char **mem = response ? &w->res : &w->req;

	free(*mem);
	*mem = malloc(n ? n : 1);
	memcpy(*mem, p, n);
	arena_reset(&w->tmp);
	memset(&w->ctx.cache, 0, sizeof(w->ctx.cache));
	if (response) {
		w->ctx.res_payload = str_n(*mem, n);
		w->ctx.res_final = final;
	} else {
		w->ctx.req_payload = str_n(*mem, n);
		w->ctx.req_final = final;
	}
}

static inline void world_req(struct world *w, const char *text, bool final)
{
	world_payload(w, false, text, strlen(text), final);
}

static inline void world_res(struct world *w, const char *text, bool final)
{
	world_payload(w, true, text, strlen(text), final);
}

/* The value as text, "WAIT", "ABSENT", or the error when it does not parse. */
static inline const char *world_eval_expr(struct world *w, const struct sample_expr *e, struct smp_iter *it)
{
	struct sample s;
	struct str v;

	switch (sample_eval(e, &w->ctx, it, &s)) {
	case SMP_WAIT: return "WAIT";
	case SMP_ABSENT: return "ABSENT";
	case SMP_FOUND: break;
	}
	cr_assert(sample_to_str(&s, &w->ctx, &v));
	snprintf(w->shown, sizeof(w->shown), "%.*s", STR_ARG(v));
	return w->shown;
}

static inline const char *world_eval(struct world *w, const char *text)
{
	struct sample_expr *e = sample_parse(text, NULL, SMP_AT_ANY, &w->conf, &w->err);

	if (!e) {
		snprintf(w->shown, sizeof(w->shown), "%s", w->err ? w->err : "no message");
		free(w->err);
		w->err = NULL;
		return w->shown;
	}
	return world_eval_expr(w, e, NULL);
}

/* Splits at single spaces; '~' in a word stands for a space. */
static inline int world_words(char *line, char **args, int max)
{
	int n = 0;

	for (char *w = strtok(line, " "); w && n < max; w = strtok(NULL, " ")) {
		for (char *c = w; *c; c++)
			if (*c == '~')
				*c = ' ';
		args[n++] = w;
	}
	args[n] = (char *)"";
	return n;
}

static inline int world_acl(struct world *w, const char *line)
{
	char *copy = strdup(line), *args[64];
	int rc;

	free(w->err);
	w->err = NULL;
	rc = acl_parse(&w->acls, &w->conf, world_words(copy, args, 63), args, &w->err);
	free(copy);
	return rc;
}

static inline struct cond *world_cond(struct world *w, const char *line)
{
	char *copy = strdup(line), *args[64];
	struct cond *c;

	free(w->err);
	w->err = NULL;
	c = cond_parse(&w->acls, &w->conf, world_words(copy, args, 63), args, &w->err);
	free(copy);
	return c;
}

/* 'T', 'F', 'W', or 'E' for a condition that does not parse */
static inline char world_test(struct world *w, const char *line)
{
	struct cond *c = world_cond(w, line);

	if (!c)
		return 'E';
	switch (cond_eval(c, &w->ctx)) {
	case COND_TRUE: return 'T';
	case COND_FALSE: return 'F';
	default: return 'W';
	}
}

#endif
