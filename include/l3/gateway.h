/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gateway.h - `gateway` sections: as configured, and as they run
 *
 * struct gateway_conf is a section's content, immutable, in an epoch's arena.
 * struct gateway is what runs: queue, timers, counters. It is found by name, gets
 * the new epoch's conf at a reload and keeps everything else. Flows are judged
 * by the conf in force when their turn begins.
 */
#ifndef STANDIN_L3_GATEWAY_H
#define STANDIN_L3_GATEWAY_H

#include "cfg/epoch.h"
#include "core/hist.h"
#include "core/worker.h"
#include "l3/flow.h"
#include "l3/pktq.h"
#include "l3/steer.h"
#include "policy/rule.h"

/* What happens to a connection that should be promoted and cannot be (`else`). */
enum gateway_else { GATEWAY_ELSE_FORWARD, GATEWAY_ELSE_REJECT, GATEWAY_ELSE_DROP };
extern const char *const gateway_else_name[];

enum gateway_act {
	GATEWAY_ACT_WATCH, GATEWAY_ACT_FORWARD, GATEWAY_ACT_PROMOTE, GATEWAY_ACT_REJECT, GATEWAY_ACT_DROP,
	GATEWAY_ACT_COUNT
};
extern const char *const gateway_act_name[GATEWAY_ACT_COUNT];

/* What the rules said: filled by the actions, through policy_ctx.owner. */
struct gateway_decision {
	enum gateway_act act;
	const char *frontend;      /* PROMOTE; arena of the epoch */
	enum gateway_else els;
	/* set on the way, whatever is decided */
	uint32_t mark, mark_mask;  /* set-mark; mark_mask 0: no */
	uint8_t tos;               /* set-tos */
	bool has_tos;
};

struct gateway_conf {
	struct cfg_object obj;     /* kind "gateway" */
	uint16_t queue_first, queue_last;
	bool has_queue;
	struct steer_match *match; /* arena */
	unsigned nb_match;
	bool steer_manual;
	bool block;                /* on-failure block */
	bool dry_run;
	bool tcplog;
	uint64_t maxflows;         /* 0: only the global limit */
	enum gateway_else maxflows_else;
	unsigned timeout_ms[FLOW_TMR_COUNT];
	unsigned inspect_delay_ms;
	struct acl_set acls;
	struct rule_set conn;      /* tcp-request connection */
	struct rule_set content;   /* tcp-request content */
	struct gateway_decision dflt; /* default-action */
	const char *dflt_file;     /* where it stood, for messages */
	int dflt_line;
	uint64_t rules_text;       /* a hash of all lines that decide: what did not change decides the same */
	bool tracks;               /* a rule tracks what stick tables count */
	uint32_t set_mask;         /* bits that set-mark rules set */
	struct gateway_decision lost; /* when framing is lost: into the first frontend that the rules name */
	struct log_set log;
	struct logformat *logformat; /* NULL: the built-in line */
	struct list node;          /* in struct l3_conf */
};

/* A counter with a name: refusals, unsupported packets. Names are static words. */
#define GATEWAY_REASONS 24
struct gateway_reasons {
	struct {
		const char *name;
		uint64_t count;
	} r[GATEWAY_REASONS];
};
void gateway_count(struct gateway_reasons *rs, const char *reason);

/* One of the longest times that a connection's data waited here. */
#define GATEWAY_STALLS 8
struct gateway_stall {
	uint64_t us, flow, at_ms; /* at_ms: clock_ms() of its end */
	const char *why;          /* "inspect", "drain" */
	struct addr src, dst;
};

struct gateway {
	struct list node;          /* in struct l3 */
	struct l3 *l3;
	char *name;                /* owns */
	const struct gateway_conf *conf; /* of <ep>; stays valid while flows exist, also when removed from the configuration */
	struct epoch *ep;          /* counted */
	struct pktq *q;            /* borrows from l3->queues; NULL before commit() */
	bool rejudge;              /* its rules have changed: offloaded flows are being judged again (offload.c) */
	bool removed;              /* no longer configured: forwards what it still has, and gives it to others that match */
	unsigned refs;             /* flows, and the list */
	struct task reaper;        /* the last one went, perhaps while a queue is being read */
	struct list timer[FLOW_TMR_COUNT]; /* struct flow, by tmr */
	uint32_t flows, by_state[FLOW_ST_COUNT];
	uint64_t packets, bytes;   /* queued; bytes of whole packets */
	uint64_t promotions, demotions;
	uint64_t overflow;         /* new flows past maxflows */
	uint64_t evicted;          /* handshakes, and what nobody answered, whose record a new connection got */
	uint64_t dry_run[GATEWAY_ACT_COUNT]; /* decisions that were not carried out */
	struct gateway_reasons promote_failures, demote_failures, unsupported;
	struct hist insert_us;     /* decided to promote -> both sockets carry */
	struct hist remove_us;     /* packets held -> sockets gone */
	struct hist stall_us;      /* from a packet's being held to its verdict: the longest of each time of holding */
	struct gateway_stall stall[GATEWAY_STALLS]; /* the longest ones, in order; us 0: none */
};

/* Packets of <f> were held for <why>, and the one that waited longest did so for <us>. */
void gateway_stall(struct flow *f, const char *why, uint64_t us);

struct gateway *gateway_find(struct l3 *l3, const char *name);
/* A run-time gateway without queue, for <c> of <ep>; for gateway.c and tests. NULL on no memory. */
struct gateway *gateway_new(struct l3 *l3, const struct gateway_conf *c, struct epoch *ep);
void gateway_put(struct gateway *gw);
/* One that is configured and whose match lines describe the connection, for a flow of one that is not; NULL: none. */
struct gateway *gateway_heir(const struct flow *f);
/* The last of it goes: for l3_worker_destroy(), which puts no more. */
void gateway_free(struct gateway *gw);
/* After gateways changed or went: rules and queues that nobody needs any more go, too. */
void gateway_sweep(struct worker *w, struct task *t);
unsigned gateway_timeout(const struct gateway *gw, enum flow_timer tmr);

/* Is a packet from <src> to <dst> one that a `match` line of <gw> describes? 1: it goes the way of the connection's first
 * packet, -1: back, 0: neither. Interfaces that are 0 are not known and fit. */
int gateway_matches(struct gateway *gw, const struct addr *src, const struct addr *dst, uint32_t in_if, uint32_t out_if);

/* Connections that the rules forward at the SYN whatever else is known of them, so that they need not come here: what the first of its
 * tcp-request connection rules say, as long as they are `forward` by addresses and ports, or all with `default-action
 * forward` alone. At most <max> boxes into <out>; their number. */
unsigned gateway_kernel_forwards(const struct gateway_conf *c, struct cond_box *out, unsigned max);
/* tcp-request connection. False: no rule is final, nothing is decided. */
bool gateway_judge_syn(struct gateway *gw, struct flow *f, struct gateway_decision *out);
/* What would tcp-request content decide whatever the turn consists of? Nothing is counted by it. False: that depends. */
bool gateway_judge_blind(struct gateway *gw, struct flow *f, struct gateway_decision *out);
/* tcp-request content, then default-action. <head>: of the request that the turn begins with, or NULL. False: more
 * payload is needed, which <final> rules out. */
bool gateway_judge_turn(struct gateway *gw, struct flow *f, struct str payload, struct http_head *head, bool final,
			struct gateway_decision *out);

/* "[else forward|reject|drop]" at ln->args[*pos]: 0, or -1 and reported. */
struct cfg_line;
int gateway_parse_else(struct cfg_line *ln, int *pos, enum gateway_else *els);

extern struct cfg_module gateway_module;
/* An action's exec() writes what it decides here. */
static inline struct gateway_decision *gateway_decision_of(const struct policy_ctx *ctx)
{
	return ctx->owner;
}

static inline enum act_ret gateway_decide(const struct policy_ctx *ctx, enum gateway_act act, const char *frontend,
					  enum gateway_else els)
{
	struct gateway_decision *dec = gateway_decision_of(ctx);

	dec->act = act;
	dec->frontend = frontend;
	dec->els = els;
	return ACT_RET_STOP;
}

/* l3's part of an epoch */
struct l3_conf {
	struct list gateways; /* struct gateway_conf, by node */
};

#endif
