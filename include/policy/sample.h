/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sample.h - sample expressions: a fetch and a chain of converters
 *
 * `path`, `hdr(host)`, `req.payload(0,4)`, `src`, `path,lower,field(2,/)`: parsed
 * once into an expression with types and arguments checked, evaluated against
 * a struct policy_ctx. HAProxy 2.6's names and meanings (its manual, 7.3).
 */
#ifndef STANDIN_POLICY_SAMPLE_H
#define STANDIN_POLICY_SAMPLE_H

#include "core/buf.h"
#include "policy/ctx.h"

enum smp_type { SMP_T_BOOL, SMP_T_SINT, SMP_T_ADDR, SMP_T_STR, SMP_T_BIN, SMP_T_METH, SMP_T_COUNT,
		SMP_T_ANY = SMP_T_COUNT /* a converter's input: as it comes */ };

struct sample {
	enum smp_type type;
	bool may_change; /* found, but more bytes may give another value: a test that fails on it is not known yet */
	union {
		bool b;
		int64_t i;
		struct addr addr;
		struct str str; /* STR, BIN, and METH's text */
	} v;
};

enum smp_ret {
	SMP_ABSENT, /* there is none: no such header, not TLS, ... */
	SMP_FOUND,
	SMP_WAIT,   /* not known yet: more bytes may tell */
};

/* Iteration over several values of one fetch (hdr()): zero it, then call as long as it->more is true; values
 * that a converter refuses come back as SMP_ABSENT with `more` still set. Without an iterator a fetch
 * gives the one value that HAProxy gives outside of ACLs (hdr(): the last). */
struct smp_iter {
	unsigned pos;
	struct str rest;
	bool more, started;
};

/* What a place can supply, and what a fetch needs: one of its bits is enough, no bit at all means anywhere. */
#define SMP_AT_L4    0x01 /* addresses */
#define SMP_AT_REQ   0x02 /* request payload */
#define SMP_AT_HREQ  0x04 /* request head; where there is only payload it is found in there */
#define SMP_AT_RES   0x08
#define SMP_AT_HRES  0x10
#define SMP_AT_HREQP 0x20 /* what is kept of a request until its response is done: method, version */
#define SMP_AT_ANY   0x3f

struct sample_expr;

/* <text>: "hdr(host),lower". <at>: what the place of use can supply (bits above). Allocates in <a>.
 * NULL with *err set (NULL or malloc'd when called; says the nearest fetch or converter name). <end>: if not NULL,
 * parsing stops at the first byte that cannot belong to the expression and *end points to it. */
struct sample_expr *sample_parse(const char *text, const char **end, unsigned at, struct arena *a, char **err);
enum smp_type sample_type(const struct sample_expr *e);
unsigned sample_needs(const struct sample_expr *e); /* SMP_AT_ bits of the fetch */
const char *sample_fetch_name(const struct sample_expr *e);
enum smp_ret sample_eval(const struct sample_expr *e, struct policy_ctx *ctx, struct smp_iter *it, struct sample *out);
/* As text into ctx->tmp (or a view). false on no memory. */
bool sample_to_str(const struct sample *s, struct policy_ctx *ctx, struct str *out);
/* Converts in place by the same table that joins fetches and converters. false: this value cannot be. */
bool sample_cast(struct sample *s, enum smp_type to, struct policy_ctx *ctx);
bool smp_cast_exists(enum smp_type from, enum smp_type to);
extern const char *const smp_type_name[SMP_T_COUNT + 1];

/* ---- for those who add fetches and converters (doc/internals/policy.md) ---- */
struct smp_arg {
	enum { SMP_ARG_STR, SMP_ARG_INT } type;
	struct str str;  /* also NUL-terminated; arena */
	int64_t i;
	const void *ptr; /* what check() made of it; arena */
};
#define SMP_MAX_ARGS 8
/* The last of the arguments tells a function shared by several keywords which one it serves: .str is its name, .i its
 * `variant`. Also for check(). */
#define SMP_ARG_SELF (SMP_MAX_ARGS - 1)

/* Looks at arguments once, when parsing. 0, or <0 with *err. */
typedef int smp_check_fn(struct smp_arg *args, int nb_args, struct arena *a, char **err);

#define SMP_KW_DOTTED 0x01 /* integer patterns may be written major.minor (req.ssl_ver 3.1) */

struct smp_fetch_kw {
	const char *name;
	enum smp_type out;
	unsigned needs;          /* SMP_AT_ bits, one of which is enough */
	const char *args;        /* one letter an argument: s string, i integer; lower case required, upper optional */
	enum smp_ret (*fetch)(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, struct smp_iter *it,
			      struct sample *out); /* out->type is set, the rest is zero; <it> may be NULL */
	const char *help;        /* one line, for the manual */
	smp_check_fn *check;     /* may be NULL */
	unsigned flags;          /* SMP_KW_ */
	int64_t variant;         /* args[SMP_ARG_SELF].i */
	struct smp_fetch_kw *next;
};
struct smp_conv_kw {
	const char *name;
	enum smp_type in, out;
	const char *args;
	smp_check_fn *check;     /* may be NULL */
	/* smp->type is <in>; leaves <out>. false: no value. */
	bool (*conv)(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, struct sample *smp);
	const char *help;
	int64_t variant;         /* args[SMP_ARG_SELF].i */
	struct smp_conv_kw *next;
};
void smp_register_fetches(struct smp_fetch_kw *kws); /* static, ends with NULL name; INITCALL */
void smp_register_convs(struct smp_conv_kw *kws);
const struct smp_fetch_kw *smp_fetch_first(void); /* all of them, for listings */
const struct smp_conv_kw *smp_conv_first(void);
const struct smp_fetch_kw *smp_fetch_find(struct str name); /* or NULL */

#endif
