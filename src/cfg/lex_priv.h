/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lex_priv.h - one line of configuration into words
 */
#ifndef STANDIN_CFG_LEX_PRIV_H
#define STANDIN_CFG_LEX_PRIV_H

#include "cfg/cfg.h"
#include "core/buf.h"

enum lex_error {
	LEX_OK,
	LEX_QUOTE,    /* no closing quote */
	LEX_HEX,      /* \x without two digits */
	LEX_BRACE,    /* ${ without } */
	LEX_VAR,      /* a variable's name cannot begin so */
	LEX_TOO_MANY, /* words */
};

struct lex {
	struct buf text;              /* owns: the words, each terminated */
	size_t at[CFG_MAX_WORDS + 1]; /* of each word in text */
	int nb;
	size_t err_pos; /* offset in the line */

	/* The value of an environment variable, or NULL. <name> is terminated. */
	const char *(*lookup)(void *arg, const char *name);
	void *arg;
};

/* Words of <line> (without its newline). 0 or a lex_error. */
enum lex_error lex_line(struct lex *lx, const char *line);
void lex_free(struct lex *lx);
static inline const char *lex_word(const struct lex *lx, int i)
{
	return buf_head(&lx->text) + lx->at[i];
}

/* "unmatched quote at position 9:\n  log "unfinished\n      ^" into <out>, terminated. */
void lex_explain(enum lex_error e, const struct lex *lx, const char *line, struct buf *out);

#endif
