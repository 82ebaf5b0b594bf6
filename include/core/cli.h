/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli.h - how a layer adds commands to the stats socket
 *
 * A command registers itself with its words; the socket, the prompt and the
 * levels are ops/cli.c's. parse() is called once; when it returns CLI_MORE,
 * io() is called with an empty-ish ctx->out until it returns CLI_DONE. io()
 * writes about one CLI_CHUNK and returns CLI_MORE: it keeps its place in
 * ctx->pos / ctx->priv, and must survive that objects come and go between two
 * calls (resume by id, never by pointer). CLI_WAIT: nothing to say yet; the
 * command calls cli_wake(ctx) later. release() always runs at the end.
 */
#ifndef STANDIN_CORE_CLI_H
#define STANDIN_CORE_CLI_H

#include "core/buf.h"
#include "core/json.h"
#include "core/list.h"

#define CLI_CHUNK 16384
#define CLI_MAX_WORDS 5
#define CLI_MAX_ARGS 64

struct worker;
struct ops;
struct info_sink;

enum cli_level { CLI_USER = 1, CLI_OPERATOR, CLI_ADMIN };
enum cli_ret { CLI_DONE, CLI_MORE, CLI_WAIT };

struct cli_ctx {
	struct worker *w;
	struct buf *out;       /* grows; the socket drains it */
	enum cli_level level;  /* of this connection */
	char **args;           /* all words of the command, args[argc] NULL */
	int argc;
	const char *payload;   /* after <<, or NULL */
	const struct cli_kw *kw;
	bool failed;           /* cli_err() was called */
	bool json;             /* the last word was `json`; it is taken off args */
	struct json j;         /* initialised on <out> for the command's use */
	uint64_t pos;          /* the command's place in its listing */
	void *priv;            /* the command's own; freed by its release() */
	void *conn;            /* ops' */
	void (*wake)(struct cli_ctx *ctx); /* ops': what cli_wake() does */
};

struct cli_kw {
	const char *words[CLI_MAX_WORDS + 1]; /* {"show", "flow", NULL} */
	const char *args;                     /* "[<id>]", for help; may be NULL */
	const char *help;                     /* one line, lower case */
	enum cli_level level;
	enum cli_ret (*parse)(struct cli_ctx *ctx);
	enum cli_ret (*io)(struct cli_ctx *ctx);
	void (*release)(struct cli_ctx *ctx);
	struct cli_kw *next; /* cli_register()'s */
};

/* <kws> ends with an element without words, and is static. From an INITCALL only. The list that cli_first()
 * begins is sorted by words, so that `help` reads well. */
void cli_register(struct cli_kw *kws);
const struct cli_kw *cli_first(void);

/* Answers: one line, newline added to ctx->out; both return CLI_DONE, so `return cli_err(ctx, ...)`.
 * cli_err() is what refused commands use; it sets ctx->failed. */
enum cli_ret cli_msg(struct cli_ctx *ctx, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum cli_ret cli_err(struct cli_ctx *ctx, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A command that returned CLI_WAIT has something to say, or is done. */
void cli_wake(struct cli_ctx *ctx);

/* Where `show info` lines go; ops makes it. Three forms, all HAProxy's: "Name: value", typed, and JSON
 * (an array of field descriptions). */
enum info_form { INFO_TEXT, INFO_TYPED, INFO_JSON };
struct info_sink {
	struct buf *out;    /* borrows; grows */
	struct json *json;  /* for INFO_JSON: inside the open array */
	enum info_form form;
	unsigned pos;       /* number of the next field */
};

/* Extra lines that a layer adds to `show info` ("Name: value"), in text or JSON. */
struct info_source {
	void (*fill)(struct worker *w, struct info_sink *sink);
	struct info_source *next;
};
void info_uint(struct info_sink *s, const char *name, uint64_t v);
void info_str(struct info_sink *s, const char *name, const char *v);
void info_register(struct info_source *src);
const struct info_source *info_first(void);

#endif
