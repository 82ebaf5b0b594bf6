/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * trace.c - what happens to one flow, told step by step
 *
 * A listener is a command on the stats socket that waits. Steps go into its
 * buffer and wake it; what comes faster than it reads, beyond TRACE_MAX bytes, is
 * left out and counted. Listeners know their flow by id: it may go at any time.
 *
 *   +12.345 c2s PA seq 1000:1078 ack 5000 win 502: held
 *   +12.391 held -> promoted
 *
 * Times are milliseconds since the command, sequence numbers those of the packet.
 */
#include "l3/trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/cli.h"
#include "core/clock.h"
#include "core/worker.h"
#include "l3/l3.h"

#define TRACE_MAX (256U << 10) /* bytes that wait for a reader */
#define TRACE_LISTENERS 8

struct trace {
	struct list node;     /* in struct l3 */
	struct cli_ctx *ctx;  /* borrows: released first */
	uint64_t id;          /* of the flow */
	uint64_t start_us;
	struct buf out;       /* owns; grown */
	uint64_t lost;        /* lines */
	bool over;
};

/* ---- steps ---- */

static void trace_line(struct trace *t, const char *text)
{
	uint64_t us = clock_us() - t->start_us;

	if (t->out.data > TRACE_MAX) {
		t->lost++;
		return;
	}
	if (t->lost) {
		buf_printf_grow(&t->out, "... %" PRIu64 " lines lost\n", t->lost);
		t->lost = 0;
	}
	buf_printf_grow(&t->out, "+%" PRIu64 ".%03" PRIu64 " %s\n", us / 1000, us % 1000, text);
	cli_wake(t->ctx);
}

static void trace_tell(struct flow *f, const char *text)
{
	struct trace *t;

	list_for_each(t, &f->gw->l3->traces, node)
		if (t->id == f->id)
			trace_line(t, text);
}

void trace_step_(struct flow *f, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	trace_tell(f, text);
}

void trace_packet_(const struct visit *v, const char *fate)
{
	static const char names[] = "FSRPAUEC"; /* by bit */
	const struct seg *s = &v->s;
	char text[160], flags[sizeof(names)];
	unsigned i, n = 0;

	for (i = 0; i < sizeof(names) - 1; i++)
		if (s->flags & (1u << i))
			flags[n++] = names[i];
	flags[n] = '\0';
	snprintf(text, sizeof(text), "%s %s seq %u:%u ack %u win %u: %s", v->d == FLOW_CLIENT ? "c2s" : "s2c", flags, s->seq,
		 seg_end(s), s->ack, s->win, fate);
	trace_tell(v->f, text);
}

void trace_over_(struct flow *f)
{
	struct trace *t;

	trace_step_(f, "gone: %s", flow_end(f) ? flow_end(f) : "-");
	list_for_each(t, &f->gw->l3->traces, node)
		if (t->id == f->id)
			t->over = true;
}

void trace_end(struct l3 *l3)
{
	struct trace *t;

	while ((t = list_first(&l3->traces, struct trace, node)))
		list_del(&t->node);
}

/* ---- trace flow ---- */

static enum cli_ret trace_cli(struct cli_ctx *ctx)
{
	struct l3 *l3 = ctx->w->l3;
	unsigned n = 0;
	struct trace *t;
	struct flow *f;

	if (ctx->argc != 3)
		return cli_err(ctx, "'trace flow' expects the id of a flow.");
	f = l3_cli_find(ctx, ctx->args[2]);
	if (!f)
		return CLI_DONE;
	list_for_each(t, &l3->traces, node)
		n++;
	if (n >= TRACE_LISTENERS)
		return cli_err(ctx, "There are %d already.", TRACE_LISTENERS);
	t = calloc(1, sizeof(*t));
	if (!t)
		return cli_err(ctx, "Out of memory.");
	t->ctx = ctx;
	t->id = f->id;
	t->start_us = clock_us();
	list_add_tail(&l3->traces, &t->node);
	f->traced = true;
	ctx->priv = t;
	trace_step_(f, "is %s", flow_state_name[f->state]);
	return CLI_WAIT;
}

static enum cli_ret trace_cli_io(struct cli_ctx *ctx)
{
	struct trace *t = ctx->priv;

	buf_put_grow(ctx->out, buf_head(&t->out), t->out.data);
	buf_reset(&t->out);
	return t->over ? CLI_DONE : CLI_WAIT;
}

static void trace_cli_release(struct cli_ctx *ctx)
{
	struct trace *t = ctx->priv, *other;
	struct flow *f;
	bool more = false;

	if (!t)
		return;
	list_del(&t->node);
	f = ctx->w->l3 ? flow_by_id(&ctx->w->l3->flows, t->id) : NULL;
	if (f) {
		list_for_each(other, &ctx->w->l3->traces, node)
			more |= other->id == t->id;
		f->traced = more;
	}
	buf_free(&t->out);
	free(t);
	ctx->priv = NULL;
}

static struct cli_kw trace_kws[] = {
	{ .words = { "trace", "flow" }, .args = "<id>", .help = "each step of a connection, until it ends", .level = CLI_OPERATOR,
	  .parse = trace_cli, .io = trace_cli_io, .release = trace_cli_release },
	{ .words = { NULL } },
};

INITCALL trace_init(void)
{
	cli_register(trace_kws);
}
