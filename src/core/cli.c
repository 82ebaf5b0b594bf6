/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli.c - the registry of stats socket commands and of `show info` lines
 *
 * Filled before main() by the layers that are linked in, never changed later:
 * facts about the program. The socket itself is ops/cli.c.
 */
#include "core/cli.h"

#include "core/bug.h"

static struct cli_kw *cli_head;
static struct info_source *info_head, **info_tail = &info_head;

static int cli_words_cmp(const struct cli_kw *a, const struct cli_kw *b)
{
	for (int i = 0; i < CLI_MAX_WORDS; i++) {
		int c;

		if (!a->words[i] || !b->words[i])
			return !!a->words[i] - !!b->words[i];
		c = strcmp(a->words[i], b->words[i]);
		if (c)
			return c;
	}
	return 0;
}

void cli_register(struct cli_kw *kws)
{
	for (struct cli_kw *kw = kws; kw->words[0]; kw++) {
		struct cli_kw **at = &cli_head;

		while (*at && cli_words_cmp(*at, kw) < 0)
			at = &(*at)->next;
		BUG_ON(*at && cli_words_cmp(*at, kw) == 0);
		kw->next = *at;
		*at = kw;
	}
}

const struct cli_kw *cli_first(void)
{
	return cli_head;
}

static void cli_line(struct cli_ctx *ctx, const char *fmt, va_list ap)
{
	buf_vprintf_grow(ctx->out, fmt, ap);
	buf_put_grow(ctx->out, "\n", 1);
}

enum cli_ret cli_msg(struct cli_ctx *ctx, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cli_line(ctx, fmt, ap);
	va_end(ap);
	return CLI_DONE;
}

enum cli_ret cli_err(struct cli_ctx *ctx, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cli_line(ctx, fmt, ap);
	va_end(ap);
	ctx->failed = true;
	return CLI_DONE;
}

void cli_wake(struct cli_ctx *ctx)
{
	if (ctx->wake)
		ctx->wake(ctx);
}

void info_register(struct info_source *src)
{
	src->next = NULL;
	*info_tail = src;
	info_tail = &src->next;
}

const struct info_source *info_first(void)
{
	return info_head;
}

void info_uint(struct info_sink *s, const char *name, uint64_t v)
{
	if (s->json)
		json_uint(s->json, name, v);
	else
		buf_printf_grow(s->out, "%s: %llu\n", name, (unsigned long long)v);
}

void info_str(struct info_sink *s, const char *name, const char *v)
{
	if (s->json)
		json_str(s->json, name, str_c(v));
	else
		buf_printf_grow(s->out, "%s: %s\n", name, v ? v : "");
}
