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

/* The part of a JSON field that comes before its value. */
static void info_json_open(struct info_sink *s, const char *name, const char *type)
{
	struct json *j = s->json;

	json_obj_open(j, NULL);
	json_obj_open(j, "field");
	json_uint(j, "pos", s->pos);
	json_str(j, "name", str_c(name));
	json_obj_close(j);
	json_uint(j, "processNum", 1);
	json_obj_open(j, "value");
	json_str(j, "type", str_c(type));
}

static void info_json_close(struct info_sink *s)
{
	json_obj_close(s->json);
	json_obj_close(s->json);
}

void info_uint(struct info_sink *s, const char *name, uint64_t v)
{
	switch (s->form) {
	case INFO_TEXT: buf_printf_grow(s->out, "%s: %llu\n", name, (unsigned long long)v); break;
	case INFO_TYPED:
		buf_printf_grow(s->out, "%u.%s.1:MGP:u64:%llu\n", s->pos, name, (unsigned long long)v);
		break;
	case INFO_JSON:
		info_json_open(s, name, "u64");
		json_uint(s->json, "value", v);
		info_json_close(s);
		break;
	}
	s->pos++;
}

void info_str(struct info_sink *s, const char *name, const char *v)
{
	if (!v)
		v = "";
	switch (s->form) {
	case INFO_TEXT: buf_printf_grow(s->out, "%s: %s\n", name, v); break;
	case INFO_TYPED: buf_printf_grow(s->out, "%u.%s.1:POS:str:%s\n", s->pos, name, v); break;
	case INFO_JSON:
		info_json_open(s, name, "str");
		json_str(s->json, "value", str_c(v));
		info_json_close(s);
		break;
	}
	s->pos++;
}
