/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * policy_priv.h - what the files of policy share and nobody else sees
 */
#ifndef STANDIN_POLICY_PRIV_H
#define STANDIN_POLICY_PRIV_H

#include "core/list.h"
#include "policy/regex.h"
#include "policy/sample.h"

/* ---- errors and memory ---- */

/* Replaces *err (malloc'd, or NULL) by the formatted text; the old text may be an argument. Returns -1. */
int pol_err(char **err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* <n> bytes that live as long as the evaluation's results; NULL on no memory or without an arena. */
void *pol_tmp(struct policy_ctx *ctx, size_t n);

/* ---- casts (cast.c) ---- */

typedef bool smp_cast_fn(struct sample *s, struct policy_ctx *ctx);
/* NULL: <from> cannot be made <to>. */
smp_cast_fn *smp_cast_find(enum smp_type from, enum smp_type to);
/* The number at the start of <s>, as atoll() reads it: sign, digits, whatever follows; saturates. 0 without
 * digits. */
int64_t pol_atoi(struct str s);

/* ---- heads and hellos found in payloads (fetches_payload.c) ---- */

enum policy_seen { SEEN_NOT_TRIED, SEEN_YES, SEEN_WAIT, SEEN_NO };

/* The head that HTTP fetches look at: the layer's own, or one found in the payload. NULL with *why
 * SMP_WAIT or SMP_ABSENT. */
const struct http_head *pol_req_head(struct policy_ctx *ctx, enum smp_ret *why);
const struct http_head *pol_res_head(struct policy_ctx *ctx, enum smp_ret *why);

/* ---- patterns (pattern.c) ---- */

enum pat_match {
	PAT_FOUND,
	PAT_BOOL,
	PAT_INT,
	PAT_IP,
	PAT_BIN,
	PAT_LEN,
	PAT_STR,
	PAT_BEG,
	PAT_SUB,
	PAT_DIR,
	PAT_DOM,
	PAT_END,
	PAT_REG,
	PAT_METH,
	PAT_COUNT
};

struct patterns; /* in an arena */

/* <name>: "beg"; -1 when unknown. PAT_METH has no name: it is what `method` uses. */
int pat_match_find(struct str name);
const char *pat_match_name(enum pat_match m);
const char *pat_match_nearest(const char *word);
/* The type a sample is cast to before it is compared. False: none, any sample does. */
bool pat_match_type(enum pat_match m, enum smp_type *t);

struct patterns *patterns_new(struct arena *a, enum pat_match m, bool dotted);
/* One word of the line. Integer operators (eq, ge, ...) are words too and hold for what follows. 0, or <0
 * with *err. */
int patterns_add(struct patterns *ps, const char *word, bool icase, char **err);
/* Every line of <file>; blocks: configurations are built on the helper thread. */
int patterns_load(struct patterns *ps, const char *file, bool icase, char **err);
/* Builds the indexes; nothing may be added after. */
int patterns_seal(struct patterns *ps, char **err);
/* <s> has the method's type. */
bool patterns_match(const struct patterns *ps, const struct sample *s, struct policy_ctx *ctx);

/* What is in them, for cond_box.c: the <i>th range, both ends included. False: there are not so many. Addresses are in
 * network order, IPv4 in the first four bytes. */
enum pat_match patterns_kind(const struct patterns *ps);
bool patterns_int(const struct patterns *ps, size_t i, int64_t *lo, int64_t *hi);
bool patterns_ip(const struct patterns *ps, int family, size_t i, uint8_t lo[16], uint8_t hi[16]);

/* The first of them; they are PAT_REG. */
const struct regex *patterns_regex(const struct patterns *ps);

/* "10.0.0.0/8", "10.1.2.3/255.255.0.0", "2001:db8::1": as PAT_IP reads it. Host bits are left as they are. 0, or <0 with *err. */
int pattern_net(struct str s, struct addr *a, int *bits, char **err);
/* The IPv4 address inside ::ffff:a.b.c.d, 2002:a.b.c.d:: or ::a.b.c.d; NULL: none. */
const uint8_t *pattern_v4_inside(const uint8_t ip[16]);

/* Is it a fetch without arguments and converters? */
bool sample_is_plain(const struct sample_expr *e);

/* ---- ACLs and conditions (acl.c) ---- */

struct acl_test {
	struct list node; /* in acl->tests */
	const struct sample_expr *expr;
	const struct patterns *pats;
	enum smp_type cast; /* what pats takes */
	bool any_type;      /* pats takes anything (-m found) */
};

struct acl {
	struct list node;  /* in acl_set->acls */
	const char *name;  /* NULL: anonymous */
	struct list tests; /* struct acl_test */
};

struct cond_term {
	const struct acl *acl;
	bool negated;
	bool first; /* of a group */
};

struct cond {
	bool unless;
	unsigned nb_terms;
	struct cond_term terms[];
};

#endif
