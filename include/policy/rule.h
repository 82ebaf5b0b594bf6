/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rule.h - rules: an action and a condition, in order, the first final one ends
 *
 * Policy knows how to hold and walk rules; what an action does belongs to the
 * layer that registered it. Its exec() gets the context and finds its flow or
 * stream behind ctx->owner.
 */
#ifndef STANDIN_POLICY_RULE_H
#define STANDIN_POLICY_RULE_H

#include "core/list.h"
#include "policy/acl.h"

/* the rule sets that exist; an action says in which it is valid */
#define RS_GW_CONN     0x0001 /* gateway: tcp-request connection */
#define RS_GW_CONTENT  0x0002 /* gateway: tcp-request content */
#define RS_TCP_CONN    0x0004 /* frontend: tcp-request connection */
#define RS_TCP_CONTENT 0x0008 /* frontend, backend: tcp-request content */
#define RS_TCP_RES     0x0010 /* tcp-response content */
#define RS_HTTP_REQ    0x0020
#define RS_HTTP_RES    0x0040
#define RS_TCP_SESS    0x0080 /* frontend: tcp-request session */
#define RS_ALL         0x00ff

enum act_ret {
	ACT_RET_CONT, /* done, go on with the next rule */
	ACT_RET_STOP, /* final: no further rule of this set (allow, forward, watch, promote) */
	ACT_RET_DONE, /* final: an answer was made or the connection ended (deny, return, reject) */
	ACT_RET_WAIT, /* ask again when more is known */
	ACT_RET_ERR,  /* no memory or the like: treat as an internal error */
};

struct rule;
struct cfg_line;
struct diag;

struct action_kw {
	const char *name;
	uint32_t sets;   /* RS_ bits */
	bool is_final;
	/* Parses the words after the action's name from ln->args[*pos] up to `if`/`unless` or the end; advances
	 * *pos. r->kw, set, file and line are set already; the condition is not. 0, or <0 and reported with
	 * cfg_err(). May be NULL when there are no arguments. */
	int (*parse)(struct cfg_line *ln, int *pos, struct rule *r);
	/* Once all sections are read: names -> objects. May be NULL. */
	int (*resolve)(struct epoch *ep, struct rule *r, struct diag *d);
	enum act_ret (*exec)(const struct rule *r, struct policy_ctx *ctx);
	void (*release)(struct rule *r); /* what is not in the arena; may be NULL */
	const char *usage, *help;
	bool in_brackets; /* arguments may stand in brackets behind the name: parse() finds them in ln->args[*pos - 1] */
	struct action_kw *next;
};
void action_register(struct action_kw *kws); /* static, ends with NULL name; INITCALL */

/* SMP_AT_ bits that rules of this set (an RS_ bit) can be sure of: the <at> of sample_parse() and
 * logformat_parse() for an action's arguments. */
unsigned rule_set_supplies(uint32_t set);

struct rule {
	struct list node;       /* in struct rule_set */
	const struct action_kw *kw;
	struct cond *cond;      /* NULL: always */
	const char *file;
	int line;
	uint32_t set;           /* the RS_ bit it is in */
	void *arg[4];           /* the action's own */
	int64_t iarg[2];
};

struct rule_set {
	struct list rules;
	unsigned count;
};

void rule_set_init(struct rule_set *rs);
void rule_set_release(struct rule_set *rs);
/* Parses ln->args[pos..]: "<action> [args] [if|unless cond]" and appends. <what> names the rule set in
 * messages ("tcp-request content"). Unknown actions tell the nearest valid in <set>. 0, or <0 and reported. */
int rule_parse(struct cfg_line *ln, int pos, uint32_t set, const char *what, struct rule_set *rs, struct acl_set *acls);
void rule_set_resolve(struct epoch *ep, struct rule_set *rs, struct diag *d);

/* Runs the rules. Conditions are tested again at the rule that waited: an action that answers WAIT must not have
 * acted yet. Returns what the last action returned, ACT_RET_CONT when the end was reached; ACT_RET_WAIT when
 * a condition or action could not be decided. *from: rule to resume at (NULL: the first; updated on WAIT).
 * *last: the final rule that matched, or NULL. Both may be NULL. */
enum act_ret rule_set_run(const struct rule_set *rs, struct policy_ctx *ctx, const struct rule **from,
			  const struct rule **last);

#endif
