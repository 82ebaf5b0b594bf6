/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cfg.h - the configuration language: lines, sections, keywords
 *
 * The parser knows no keyword. A layer registers its sections and the words
 * valid in them; the entry carries type, range, default and a help line, from
 * which simple words are parsed without any code of their own, and `-dK` and
 * the manual are printed.
 *
 * Lexical rules are HAProxy's (its manual, 2.2): # comments, \ escapes, strong
 * 'quotes', weak "quotes" with "${VAR}", "${VAR-default}", "${VAR:-default}" and \-escapes; a
 * line starting with a section word opens it; sections may be repeated.
 */
#ifndef STANDIN_CFG_CFG_H
#define STANDIN_CFG_CFG_H

#include "cfg/diag.h"
#include "cfg/epoch.h"

/* One logical line, split into words. Words live in the epoch's arena. */
struct cfg_line {
	struct epoch *ep;
	struct diag *d;
	const char *file;       /* arena */
	int line;
	char **args;            /* the keyword's own words first; args[argc] and the one after are "" (never NULL) */
	int argc;
	const struct cfg_section *section;
	void *obj;              /* the open section's object, from its open() */
	bool no_prefix, default_prefix; /* the line began with `no` / `default`, taken off */
};

#define CFG_MAX_WORDS 256

/* A section's word that is also a keyword of the open section (`listen` in an app) is the keyword when a word
 * with a colon follows: `listen 127.0.0.1:8000-8009`.
 *
 * Report at this line. Both return -1, so `return cfg_err(ln, ...)`. cfg_warn() returns 0. */
int cfg_err(struct cfg_line *ln, const char *fmt, ...) PRINTF_LIKE(2, 3);
int cfg_warn(struct cfg_line *ln, const char *fmt, ...) PRINTF_LIKE(2, 3);
int cfg_hint(struct cfg_line *ln, const char *fmt, ...) PRINTF_LIKE(2, 3); /* with -dD only; returns 0 */
/* Reports a malloc'd message of another parser (a `char **err`) and frees it: "<prefix> : <*err>". Returns -1. */
int cfg_err_take(struct cfg_line *ln, const char *prefix, char **err);

struct cfg_section {
	const char *name;      /* "frontend" */
	uint32_t bit;          /* a unique bit for cfg_kw.sections, assigned below */
	/* The line that opens it; sets ln->obj. <0: reported; the section's lines are then checked
	 * for known keywords only. parse() never sees a NULL ln->obj. */
	int (*open)(struct cfg_line *ln);
	/* After its last line; may be NULL. */
	void (*close)(struct cfg_line *ln);
	struct cfg_section *next;
};

/* bits of the sections that exist */
#define CFG_GLOBAL   0x0001
#define CFG_DEFAULTS 0x0002
#define CFG_FRONTEND 0x0004
#define CFG_BACKEND  0x0008
#define CFG_LISTEN   0x0010
#define CFG_GATEWAY  0x0020
#define CFG_APP      0x0040
#define CFG_USERLIST 0x0080
#define CFG_PROXIES  (CFG_DEFAULTS | CFG_FRONTEND | CFG_BACKEND | CFG_LISTEN)
#define CFG_NAMED    (CFG_PROXIES | CFG_GATEWAY) /* whose objects begin with a struct cfg_object */

enum cfg_type {
	CFG_T_NONE,   /* parse() does it all */
	CFG_T_FLAG,   /* no argument; sets a bool; `no` clears it */
	CFG_T_UINT,   /* unsigned within [min, max] */
	CFG_T_UINT64, /* uint64_t */
	CFG_T_TIME,   /* unsigned ms: 10, 10ms, 5s, 1m, 1h, 1d; default unit ms */
	CFG_T_SIZE,   /* uint64_t bytes: 10, 64k, 1m, 2g */
	CFG_T_STR,    /* char *, arena */
};

struct cfg_kw {
	const char *word;     /* may hold two words: "timeout client", "option transparent" */
	uint32_t sections;    /* where it is valid */
	enum cfg_type type;
	size_t offset;        /* of the field in the section's object, for types other than NONE */
	uint64_t min, max;    /* 0, 0: any */
	int (*parse)(struct cfg_line *ln, const struct cfg_kw *kw); /* for CFG_T_NONE; 0, or <0 and reported */
	const char *usage;    /* "timeout client <time>" */
	const char *help;     /* one line */
	bool can_no;          /* `no` and `default` prefixes are valid */
	struct cfg_kw *next;
};

/* Words in kw->word: the first argument is ln->args[cfg_kw_words(kw)]. */
int cfg_kw_words(const struct cfg_kw *kw);
/* 0, or -1 and reported, when more than <max> arguments follow the keyword. */
int cfg_no_more_args(struct cfg_line *ln, const struct cfg_kw *kw, int max);
/* A time argument of the keyword <what>: 0, or -1 and reported. */
int cfg_time_arg(struct cfg_line *ln, const char *what, const char *word, unsigned *ms);

/* Static tables, from INITCALLs. <kws> ends with an element whose word is NULL. A word may be registered once for
 * each section: owning one twice is a BUG. */
void cfg_register_section(struct cfg_section *s);
void cfg_register_keywords(struct cfg_kw *kws);
const struct cfg_kw *cfg_kw_first(void);

/* argument parsers shared by all; 0, or -EINVAL / -ERANGE */
int cfg_parse_time(const char *s, unsigned *ms);
int cfg_parse_size(const char *s, uint64_t *bytes);
int cfg_parse_uint(const char *s, uint64_t *v);
/* May a section, or a server, be called so? Letters, digits, '-', '_', '.' and ':'. */
bool cfg_name_ok(const char *name);
/* "*:80", ":80", "1.2.3.4:80", "[::1]:80", "::1:80" (last colon), "ipv4@...", "ipv6@...", "fd@3" and
 * "unix@/path", "abns@name": fills what applies. *err is malloc'd text. */
struct cfg_addr {
	enum { CFG_ADDR_INET, CFG_ADDR_FD, CFG_ADDR_UNIX, CFG_ADDR_ABNS } kind;
	struct addr addr;      /* INET; family AF_INET6 with v6only or AF_INET; port 0 when absent */
	uint16_t port_last;    /* of a range; 0: none */
	bool any;              /* "*" or empty host */
	bool has_port;
	int fd;
	char path[108];
};
int cfg_parse_addr(const char *s, struct cfg_addr *out, char **err);

/* Position of <word> in <words>, or -1. */
int cfg_word_index(const char *const *words, size_t n, const char *word);

/* `.if` and `-cc`: evaluates a condition in <ep>'s environment (NULL: the process's). 0, or -EINVAL with *err
 * (malloc'd) and *result false. An empty condition is false. */
int cfg_eval_condition(const struct epoch *ep, const char *text, bool *result, char **err);

/* Arena copies for parsers; NULL and reported on no memory. */
char *cfg_strdup(struct cfg_line *ln, const char *s);
void *cfg_zalloc(struct cfg_line *ln, size_t n);

#endif
