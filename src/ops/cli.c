/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli.c - the conversation on a stats socket
 *
 * A client sends a line of commands separated by ';' and reads the answers, each ended by an empty
 * line (HAProxy's management manual, chapter 9.3). Without `prompt` the first line is all there is: the
 * connection ends when it has been answered. After `prompt` it goes on until `quit`, a timeout or the
 * client leaves. A command that ends in "<<" takes the following lines up to an empty one as payload.
 *
 *   READ    no command runs: lines are taken from conn->in
 *   RUN     ctx->io() fills conn->out by about one CLI_CHUNK at a time; the next chunk is
 *           asked for when the socket took the last one, so a slow reader costs one chunk
 *   WAIT    the command returned CLI_WAIT: cli_wake() continues it, from a task and
 *           never from inside the caller
 *   CLOSE   no more commands: out is drained, then the connection ends
 *
 * Nothing a client sends can make more than CLI_IN_MAX bytes wait. A client that reads as fast as we
 * write, or sends many commands in a line, gets CLI_ROUNDS steps in one turn; the loop's other events
 * come between.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/bug.h"
#include "ops_priv.h"

#define CLI_IN_MAX      (256 * 1024) /* one line with its payload */
#define CLI_MAX_CONNS   64
#define CLI_IDLE_MS     10000
#define CLI_ROUNDS      8    /* chunks or commands in one turn */
#define CLI_REST_S      0.1  /* after EMFILE and the like, before the next accept() */
#define CLI_MAX_IDLE_MS (24U * 24 * 3600 * 1000)

/* ---- words ---- */

/* Splits <s> in place at white space; a backslash takes the next character as it is. Returns the
 * number of words, or -E2BIG. */
static int cli_split(char *s, char **args)
{
	int n = 0;

	for (;;) {
		char *out;

		while (*s == ' ' || *s == '\t' || *s == '\r')
			s++;
		if (!*s)
			break;
		if (n == CLI_MAX_ARGS)
			return -E2BIG;
		args[n++] = out = s;
		while (*s && *s != ' ' && *s != '\t' && *s != '\r') {
			if (*s == '\\' && s[1])
				s++;
			*out++ = *s++;
		}
		if (*s)
			s++;
		*out = '\0';
	}
	args[n] = NULL;
	return n;
}

/* Cuts the next command off <rest> at an unescaped ';'. */
static char *cli_next_command(char **rest)
{
	char *cmd = *rest, *p;

	for (p = cmd; *p && *p != ';'; p++) {
		if (*p == '\\' && p[1])
			p++;
	}
	*rest = *p ? p + 1 : NULL;
	*p = '\0';
	return cmd;
}

/* ---- life of a connection ---- */

void cli_conn_close(struct cli_conn *c)
{
	struct ops *ops = c->w->ops;

	if (c->running && c->ctx.kw && c->ctx.kw->release)
		c->ctx.kw->release(&c->ctx);
	task_cancel(&c->resume);
	ev_io_stop(c->w->loop, &c->rd);
	ev_io_stop(c->w->loop, &c->wr);
	ev_timer_stop(c->w->loop, &c->idle);
	close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c->line);
	list_del(&c->node);
	ops->nb_conns--;
	free(c);
}

static void cli_touch(struct cli_conn *c)
{
	c->idle.repeat = c->timeout_ms / 1000.0;
	ev_timer_again(c->w->loop, &c->idle);
}

/* Sends what waits. 0, or <0 when the connection is to be closed. */
static int cli_flush(struct cli_conn *c)
{
	while (c->out.data) {
		ssize_t n = send(c->fd, buf_head(&c->out), c->out.data, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN)
				return -errno;
			ev_io_start(c->w->loop, &c->wr);
			return 0;
		}
		buf_consume(&c->out, n);
		cli_touch(c);
	}
	ev_io_stop(c->w->loop, &c->wr);
	return 0;
}

/* ---- commands ---- */

static void cli_end_command(struct cli_conn *c)
{
	if (c->ctx.kw && c->ctx.kw->release)
		c->ctx.kw->release(&c->ctx);
	c->level = c->ctx.level;
	c->running = c->waiting = false;
	if (!c->closing)
		buf_printf_grow(&c->out, c->prompt ? "\n> " : "\n");
	if (!c->rest) {
		free(c->line);
		c->line = NULL;
		if (!c->prompt)
			c->closing = true;
	}
}

static void cli_handle(struct cli_conn *c, enum cli_ret ret)
{
	c->waiting = ret == CLI_WAIT;
	if (ret == CLI_DONE)
		cli_end_command(c);
}

/* Words that act on the connection itself. True when <ctx> was one. */
static bool cli_own_command(struct cli_conn *c)
{
	char **a = c->ctx.args;

	if (strcmp(a[0], "quit") == 0) {
		c->closing = true;
		c->rest = NULL;
	} else if (strcmp(a[0], "prompt") == 0 && c->ctx.argc == 1) {
		c->prompt = !c->prompt;
		if (!c->prompt)
			c->closing = true;
	} else if (c->ctx.argc == 4 && strcmp(a[0], "set") == 0 && strcmp(a[1], "timeout") == 0 &&
		   strcmp(a[2], "cli") == 0) {
		uint64_t unit = strspn(a[3], "0123456789") == strlen(a[3]) ? 1000 : 1;
		unsigned ms;

		/* here the default unit is the second, as in HAProxy */
		if (cfg_parse_time(a[3], &ms) < 0 || !ms || ms * unit > CLI_MAX_IDLE_MS)
			cli_err(&c->ctx, "Invalid timeout value.");
		else
			c->timeout_ms = ms * unit;
	} else {
		return false;
	}
	return true;
}

static void cli_conn_wake(struct cli_ctx *ctx)
{
	struct cli_conn *c = ctx->conn;

	task_queue(c->w, &c->resume);
}

static void cli_begin_command(struct cli_conn *c, char *cmd, const char *payload)
{
	struct cli_ctx *ctx = &c->ctx;
	const struct cli_kw *kw;
	int argc = cli_split(cmd, c->args), words = 0;

	*ctx = (struct cli_ctx){
		.w = c->w, .out = &c->out, .level = c->level, .args = c->args, .payload = payload, .conn = c,
		.wake = cli_conn_wake
	};
	json_init(&ctx->j, &c->out);
	c->running = true;
	if (argc < 0) {
		cli_err(ctx, "Too many words in the command.");
		cli_end_command(c);
		return;
	}
	ctx->argc = argc;
	if (argc && cli_own_command(c)) {
		cli_end_command(c);
		return;
	}
	kw = cli_kw_find(c->args, argc, &words);
	if (!kw) {
		cli_help(ctx, c->args, argc,
			 argc ? "Unknown command, but maybe one of the following ones is a better match:"
			      : "Unknown command. Please enter one of the following commands only:");
		cli_end_command(c);
		return;
	}
	if (c->level < kw->level) {
		cli_err(ctx, "Permission denied");
		cli_end_command(c);
		return;
	}
	ctx->kw = kw;
	if (argc > words && strcmp(c->args[0], "show") == 0 && strcmp(c->args[argc - 1], "json") == 0) {
		ctx->json = true;
		c->args[--ctx->argc] = NULL;
	}
	cli_handle(c, kw->parse ? kw->parse(ctx) : CLI_MORE);
}

/* Takes one line, with its payload when it ends in "<<", off conn->in. False: not all there. */
static bool cli_take_line(struct cli_conn *c, char **payload)
{
	char *p = buf_head(&c->in), *nl;
	size_t len, used;

	*payload = NULL;
	if (!c->in.data)
		return false;
	nl = memchr(p, '\n', c->in.data);
	if (!nl) {
		if (!c->eof)
			return false;
		nl = p + c->in.data; /* the client forgot the newline and left */
	}
	len = nl - p;
	used = MIN(len + 1, c->in.data);
	if (len >= 2 && memcmp(nl - 2, "<<", 2) == 0) {
		char *body = p + used;
		char *end = memmem(body, c->in.data - used, "\n\n", 2);

		if (c->in.data > used && *body == '\n')
			end = body - 1;
		if (!end)
			return false;
		c->line = malloc(end + 1 - p + 1);
		BUG_ON(!c->line);
		memcpy(c->line, p, end + 1 - p);
		c->line[end + 1 - p] = '\0';
		c->line[len - 2] = '\0';
		*payload = c->line + len + 1;
		buf_consume(&c->in, end + 2 - p);
		return true;
	}
	c->line = strndup(p, len);
	BUG_ON(!c->line);
	buf_consume(&c->in, used);
	return true;
}

/* Runs commands until output waits, a command waits, no line is left, or it has had its turn. */
static void cli_conn_run(struct cli_conn *c)
{
	char *payload;

	task_cancel(&c->resume);
	for (int round = 0;; round++) {
		if (cli_flush(c) < 0) {
			cli_conn_close(c);
			return;
		}
		if (c->out.data || c->waiting)
			break;
		if (round >= CLI_ROUNDS) {
			task_queue(c->w, &c->resume);
			return;
		}
		if (c->running) {
			cli_handle(c, c->ctx.kw->io ? c->ctx.kw->io(&c->ctx) : CLI_DONE);
			continue;
		}
		if (c->closing) {
			cli_conn_close(c);
			return;
		}
		if (c->rest) {
			cli_begin_command(c, cli_next_command(&c->rest), NULL);
			continue;
		}
		if (!cli_take_line(c, &payload))
			break;
		c->rest = c->line;
		if (payload)
			c->rest = NULL; /* a payload belongs to the whole line */
		cli_begin_command(c, payload ? c->line : cli_next_command(&c->rest), payload);
	}
	if (c->eof && !c->running && !c->out.data)
		cli_conn_close(c);
}

/* ---- events ---- */

static void cli_on_read(struct ev_loop *loop, ev_io *io, int revents)
{
	struct cli_conn *c = io->data;
	char tmp[4096];
	ssize_t n = recv(c->fd, tmp, sizeof(tmp), MSG_DONTWAIT);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			cli_conn_close(c);
		return;
	}
	cli_touch(c);
	if (n == 0) {
		c->eof = true;
		ev_io_stop(loop, &c->rd);
	} else if (c->in.data + n > CLI_IN_MAX) {
		cli_conn_close(c);
		return;
	} else {
		buf_put_grow(&c->in, tmp, n);
	}
	if (!c->running && !c->closing)
		cli_conn_run(c);
}

static void cli_on_write(struct ev_loop *loop, ev_io *io, int revents)
{
	cli_conn_run(io->data);
}

static void cli_on_idle(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct cli_conn *c = t->data;

	if (c->waiting)
		return; /* it is we who are slow */
	cli_conn_close(c);
}

static void cli_on_resume(struct worker *w, struct task *t)
{
	struct cli_conn *c = container_of(t, struct cli_conn, resume);

	c->waiting = false;
	cli_conn_run(c);
}

void cli_accept(struct cli_listener *l)
{
	struct worker *w = l->w;
	struct ops *ops = w->ops;
	struct cli_conn *c;
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			cli_listener_rest(l, CLI_REST_S);
		return;
	}
	c = ops->nb_conns < CLI_MAX_CONNS && (!l->kin || successor_is_kin(fd)) ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(fd);
		return;
	}
	c->w = w;
	c->fd = fd;
	c->level = l->level;
	c->timeout_ms = w->epoch && w->epoch->global.stats_timeout_ms ? w->epoch->global.stats_timeout_ms
								       : CLI_IDLE_MS;
	list_init(&c->node);
	list_add_tail(&ops->conns, &c->node);
	ops->nb_conns++;
	task_init(&c->resume, cli_on_resume);
	ev_io_init(&c->rd, cli_on_read, fd, EV_READ);
	ev_io_init(&c->wr, cli_on_write, fd, EV_WRITE);
	ev_init(&c->idle, cli_on_idle);
	c->rd.data = c->wr.data = c->idle.data = c;
	ev_io_start(w->loop, &c->rd);
	cli_touch(c);
}
