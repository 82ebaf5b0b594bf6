/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cfg_priv.h - what the files of cfg/ share
 */
#ifndef STANDIN_CFG_CFG_PRIV_H
#define STANDIN_CFG_CFG_PRIV_H

#include "cfg/cfg.h"
#include "cfg/lex_priv.h"

#define CFG_MAX_ERRORS 50 /* reading stops after as many */
#define CFG_MAX_IFS    32 /* nested conditional blocks */

/* ---- env.c: the environment of an epoch ---- */
struct cfg_env;
struct cfg_env *cfg_env_new(struct arena *a); /* with a copy of the process's; NULL on no memory */
const char *cfg_env_get(const struct cfg_env *env, const char *name);
int cfg_env_set(struct cfg_env *env, const char *name, const char *value); /* 0 or -ENOMEM */
void cfg_env_unset(struct cfg_env *env, const char *name);
void cfg_env_keep(struct cfg_env *env, char *const *names, int n); /* removes all others */

/* ---- cond.c: .if and its kin ---- */
enum cfg_if_state {
	CFG_IF_TAKE, /* in the branch that is read */
	CFG_IF_SKIP, /* a later branch may be taken */
	CFG_IF_DONE, /* one was taken, or the whole block is skipped */
};
struct cfg_ifs {
	struct {
		enum cfg_if_state st;
		bool had_else;
		int line;
	} level[CFG_MAX_IFS];
	int depth;
};
/* A line that begins with a dot. false: no such directive. */
bool cfg_directive(struct cfg_line *ln, struct cfg_ifs *ifs);
static inline bool cfg_skipping(const struct cfg_ifs *ifs)
{
	return ifs->depth && ifs->level[ifs->depth - 1].st != CFG_IF_TAKE;
}

/* ---- match.c: which keyword a line is ---- */
const struct cfg_section *cfg_section_find(const char *name);
/* The keyword of ln->args in ln->section, or NULL; the longest that fits wins. */
const struct cfg_kw *cfg_kw_match(const struct cfg_line *ln);
/* Says what is wrong with a line that matches none. */
void cfg_kw_unknown(struct cfg_line *ln);
/* Words that HAProxy knows and that have no meaning here: tells so and returns true. */
bool cfg_ignored(struct cfg_line *ln);

/* ---- typed.c: keywords whose value is a typed word ---- */
int cfg_parse_typed(struct cfg_line *ln, const struct cfg_kw *kw);

/* ---- epoch.c: epoch_build() and epoch_apply() in parts, for tests and fuzzing ---- */
struct epoch *epoch_new(void);
/* epoch_apply() over a list of its own */
int epoch_apply_modules(struct cfg_module *head, struct worker *w, struct epoch *ep, struct diag *d);
bool epoch_resolve(struct epoch *ep, struct diag *d, bool whole); /* true: no errors */

/* ---- parse.c ---- */
void cfg_read_files(struct epoch *ep, char *const *files, int nb_files, struct diag *d, bool *whole);
/* One file's text, already in memory (tests, fuzzing). <text> is changed. */
void cfg_read_text(struct epoch *ep, const char *name, char *text, size_t n, struct diag *d, bool *whole);

#endif
