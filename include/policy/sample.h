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

enum smp_type { SMP_T_BOOL, SMP_T_SINT, SMP_T_ADDR, SMP_T_STR, SMP_T_BIN, SMP_T_METH, SMP_T_COUNT };

struct sample {
	enum smp_type type;
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

/* Iteration over several values of one fetch (hdr()): zero it, then call while it returns SMP_FOUND and
 * it->more is true. */
struct smp_iter {
	unsigned pos;
	struct str rest;
	bool more, started;
};

/* Where an expression may be used: fetches need some of these. */
#define SMP_AT_L4   0x01 /* addresses */
#define SMP_AT_REQ  0x02 /* request payload */
#define SMP_AT_HREQ 0x04 /* request head */
#define SMP_AT_RES  0x08
#define SMP_AT_HRES 0x10

struct sample_expr;

/* <text>: "hdr(host),lower". <at>: what the place of use can supply (bits above). Allocates in <a>.
 * NULL with *err set (malloc'd; says the nearest fetch or converter name). <end>: if not NULL,
 * parsing stops at the first byte that cannot belong to the expression and *end points to it. */
struct sample_expr *sample_parse(const char *text, const char **end, unsigned at, struct arena *a, char **err);
enum smp_type sample_type(const struct sample_expr *e);
unsigned sample_needs(const struct sample_expr *e); /* SMP_AT_ bits */
enum smp_ret sample_eval(const struct sample_expr *e, struct policy_ctx *ctx, struct smp_iter *it, struct sample *out);
/* As text into ctx->tmp (or a view). false on no memory. */
bool sample_to_str(const struct sample *s, struct policy_ctx *ctx, struct str *out);

/* ---- for those who add fetches and converters ---- */
struct smp_arg {
	enum { SMP_ARG_STR, SMP_ARG_INT } type;
	struct str str;
	int64_t i;
};
struct smp_fetch_kw {
	const char *name;
	enum smp_type out;
	unsigned needs;          /* SMP_AT_ bits */
	const char *args;        /* one letter an argument: s string, i integer; lower case required, upper optional */
	enum smp_ret (*fetch)(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, struct smp_iter *it,
			      struct sample *out);
	const char *help;
	struct smp_fetch_kw *next;
};
struct smp_conv_kw {
	const char *name;
	enum smp_type in, out;
	const char *args;
	int (*check)(struct smp_arg *args, int nb_args, struct arena *a, char **err); /* may be NULL */
	bool (*conv)(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, struct sample *smp);
	const char *help;
	struct smp_conv_kw *next;
};
void smp_register_fetches(struct smp_fetch_kw *kws); /* static, ends with NULL name; INITCALL */
void smp_register_convs(struct smp_conv_kw *kws);

#endif
