/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sample.c - fuzz target: sample expressions, conditions and formats over hostile payload
 *
 * Input: one line, then the payload. The line is a format when it begins with '%', a condition when it begins
 * with "if " or "unless ", else an expression. What must hold: what does not parse says why; every byte of a
 * result can be read; nothing waits once the payload is final; asking twice gives the same answer.
 */
#include "lib/fuzz.h"
#include "policy/acl.h"
#include "policy/logformat.h"

struct world {
	struct arena conf, tmp;
	struct acl_set acls;
	struct policy_ctx ctx;
	struct addr src;
	char *err;
};

static volatile unsigned sink;

/* Reads a value to its last byte, as text too. */
static void touch(struct world *w, const struct sample *s)
{
	struct str v;

	if (!sample_to_str(s, &w->ctx, &v))
		return;
	for (size_t i = 0; i < v.n; i++)
		sink += (unsigned char)v.p[i];
}

static void eval_expr(struct world *w, const struct sample_expr *e)
{
	enum smp_ret a, b;
	struct smp_iter it = { 0 };
	struct sample s, t;
	int steps = 0;

	a = sample_eval(e, &w->ctx, NULL, &s);
	b = sample_eval(e, &w->ctx, NULL, &t);
	CHECK(a == b);
	CHECK(!w->ctx.req_final || (a != SMP_WAIT && !s.may_change));
	if (a == SMP_FOUND)
		touch(w, &s);
	do {
		if (sample_eval(e, &w->ctx, &it, &s) == SMP_FOUND)
			touch(w, &s);
	} while (it.more && ++steps < 100000);
	CHECK(!it.more);
}

static void eval_cond(struct world *w, const struct cond *c)
{
	enum cond_ret r = cond_eval(c, &w->ctx);

	CHECK(r == cond_eval(c, &w->ctx));
	CHECK(!w->ctx.req_final || r != COND_WAIT);
}

static void eval_format(struct world *w, const struct logformat *lf)
{
	char area[64];
	struct buf out;

	buf_wrap(&out, area, sizeof(area));
	logformat_build(lf, &w->ctx, &out);
	CHECK(out.data <= sizeof(area));
}

static struct cond *parse_cond(struct world *w, char *line)
{
	char *args[64];
	int n = 0;

	for (char *word = strtok(line, " "); word && n < 63; word = strtok(NULL, " ")) {
		if (strcmp(word, "-f") == 0) /* no files */
			word = (char *)"-i";
		args[n++] = word;
	}
	args[n] = (char *)"";
	return cond_parse(&w->acls, &w->conf, n, args, &w->err);
}

static void run(struct world *w, char *line, const char *payload, size_t n)
{
	struct logformat *lf = NULL;
	struct sample_expr *e = NULL;
	struct cond *c = NULL;

	if (line[0] == '%')
		lf = logformat_parse(line, SMP_AT_ANY, NULL, &w->conf, &w->err);
	else if (strncmp(line, "if ", 3) == 0 || strncmp(line, "unless ", 7) == 0)
		c = parse_cond(w, line);
	else
		e = sample_parse(line, NULL, SMP_AT_ANY, &w->conf, &w->err);
	CHECK(lf || c || e || w->err);
	for (int round = 0; round < 3; round++) { /* half of it, all, all and final */
		char *p = fuzz_dup(payload, round ? n : n / 2);

		w->ctx.req_payload = w->ctx.res_payload = str_n(p, round ? n : n / 2);
		w->ctx.req_final = w->ctx.res_final = round == 2;
		if (e && strncmp(line, "rand", 4) && strncmp(line, "date", 4) && strncmp(line, "uuid", 4))
			eval_expr(w, e);
		if (c)
			eval_cond(w, c);
		if (lf)
			eval_format(w, lf);
		arena_reset(&w->tmp);
		memset(&w->ctx.cache, 0, sizeof(w->ctx.cache));
		free(p);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const uint8_t *eol = n ? memchr(p, '\n', n) : NULL;
	size_t len = eol ? (size_t)(eol - p) : n;
	char *line = calloc(1, len + 1);
	struct world w = { 0 };

	if (n > 65536) {
		free(line);
		return 0;
	}
	memcpy(line, p, len);
	arena_init(&w.conf);
	arena_init(&w.tmp);
	acl_set_init(&w.acls);
	w.src = (struct addr){ .family = AF_INET, .port = 1 };
	w.ctx.tmp = &w.tmp;
	w.ctx.src = &w.src;
	run(&w, line, eol ? (const char *)eol + 1 : "", eol ? n - len - 1 : 0);
	acl_set_release(&w.acls);
	arena_reset(&w.conf);
	arena_reset(&w.tmp);
	free(w.err);
	free(line);
	return 0;
}
