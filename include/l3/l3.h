/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l3.h - the running half of L3, and what border adds to it
 *
 * struct l3 hangs off the worker. Border stands above l3 and is not included
 * by it: it registers its operations here. Without border a `promote` is refused
 * ("no-border").
 */
#ifndef STANDIN_L3_L3_H
#define STANDIN_L3_L3_H

#include <ev.h>
#include <net/if.h>

#include "core/pool.h"
#include "l3/flow.h"
#include "l3/gateway.h"
#include "l3/handover.h"
#include "l3/offload.h"
#include "l3/seg.h"
#include "l3/trace.h"

struct ct;
struct steer;
struct inject;

/* One queued packet on its way through the daemon. */
struct visit {
	struct l3 *l3;
	struct pktq *q;
	struct pktq_pkt *p;        /* meta data; p->data is seg.pkt */
	struct seg s;              /* as it came; writers change it in place */
	struct flow *f;
	int d;                     /* direction: FLOW_CLIENT when the client sent it */
	bool judged;               /* exactly one verdict, or held */
};

struct l3_border_ops {
	/* The flow should be promoted into <frontend>. It is WATCHED, TRANSLATED, or HELD with HOLD_INSPECT; its held
	 * packets go on in f->hold. 0: it is HELD for the drain, or PROMOTED already. Else a static word that says
	 * why not (the counter's name), and nothing was changed. */
	const char *(*promote)(struct flow *f, const char *frontend, enum gateway_else els);
	/* A packet of a flow that border holds: HELD with HOLD_DRAIN, PROMOTED, LEAVING; or called back for it, which it has
	 * watched. */
	void (*packet)(struct visit *v);
	/* Its hold timer ran out, or a queue goes away: what is held is let go. For flows with border. */
	void (*timeout)(struct flow *f);
	/* A batch of packets of <q> is done and its verdicts are sent. <drained>: the queue was empty. */
	void (*batch_end)(struct pktq *q, bool drained);
	/* <q> is closing, and its flows have no queue any more: those with border that wait for it let go. */
	void (*queue_gone)(const struct pktq *q);
	/* Ends it: both ends get a reset, or the stream is killed. For `kill flow`; for flows with border, and CLOSING ones with
	 * pseudo sockets. */
	void (*kill)(struct flow *f);
	/* CLOSING with pseudo sockets: are they still at work? */
	bool (*lingers)(const struct flow *f);
	/* PROMOTED, LEAVING, or CLOSING with pseudo sockets: does a SYN of side <d> begin a new connection? */
	bool (*replaced)(const struct flow *f, int d);
	/* Payload bytes of each side that its pseudo sockets sent on so far: adds them to <bytes>. For flows with border. */
	void (*carried)(const struct flow *f, uint64_t bytes[2]);
	/* The record of a flow with border or sockets goes away (time is over, a new connection on the same addresses,
	 * end of the daemon): let go of everything. */
	void (*release)(struct flow *f);
};

struct l3_ifname {
	uint32_t idx;
	uint64_t at_ms;
	char name[IFNAMSIZ];
};

struct l3 {
	struct worker *w;
	struct flow_table flows;
	struct list gateways;      /* struct gateway */
	struct list pending;       /* struct gateway: made by prepare(), not yet committed */
	struct list queues;        /* struct pktq, owned; q->owner: a gateway (gateway_queue.c) */
	struct task sweep;         /* closes queues that no gateway uses any more, and takes their rules out */
	uint32_t mark_mask;
	struct ct *ct;             /* owns; NULL: no tracker, or a test */
	struct offload offload;
	bool narrow;               /* our rules know the narrow classes (narrow.h) */
	uint64_t bulk[16];         /* ids of flows that are to be in bulk when the queue is empty */
	unsigned nb_bulk;
	bool kernel_xlate;         /* the kernel can adjust sequence numbers */
	const char *no_kernel_xlate; /* else: why not; a static text */
	struct steer *steer;       /* owns; NULL: nothing is steered */
	struct buf steered;        /* owns: the plan in force, as text; grown */
	struct l3_steering *steering; /* owns: a change of steering under way on the helper thread */
	struct inject *inject;     /* owns: raw sockets; NULL in tests */
	struct list traces;        /* struct trace: commands that listen to a flow (trace.c) */
	const struct l3_border_ops *border;
	ev_timer timer;
	uint64_t timer_ms;         /* when it fires; UINT64_MAX: idle */
	struct l3_ifname ifname[16];
	struct arena tmp;          /* scratch of one packet's rules */
	struct buf scratch;        /* held payload in one piece; grown once */
	struct pool *hold_pool;
	struct list holds;         /* struct hold */
	uint64_t held_bytes, held_max; /* of all flows */
	uint64_t held_flow_max;    /* of one */
	uint64_t inspect_max;      /* payload bytes of a turn that are waited for */
	uint64_t unknown[SEG_ERR_COUNT]; /* packets that seg_parse() refused; accepted as they are */
	uint64_t forged;           /* segments that their receiver would not accept; forwarded */
	uint64_t truncated;        /* packets to be rewritten that the queue could not copy whole; dropped */
	uint64_t no_record;        /* packets of connections without a record */
};

/* A layer (core/layer.h); also called by tests. epoch_apply() opens the queues. 0 or -errno. */
int l3_worker_init(struct worker *w);
/* Resets what would hang without us, closes queues, takes the steering out. */
void l3_worker_destroy(struct worker *w);
/* ---- verdicts (path) ---- */
/* Passes it to the other end: translated where xl says so, and the connection's class brought up to date. */
void l3_forward(struct visit *v);
void l3_forward_class(struct visit *v, enum mark_class cls); /* as it is, and the connection gets <cls> */
void l3_accept(struct visit *v);                             /* as it is */
void l3_drop(struct visit *v);
/* To the local pseudo socket of side v->d. Injected where the hook allows no new route. */
void l3_to_socket(struct visit *v);
/* The same for what comes by the queue although its socket is switched to direct delivery, or its stream is over. The tracker may
 * not have known it: the entry that it has got is lost, and the packet with it, when another packet of the connection
 * is quicker. An ACK would not be repeated, so it is a copy that goes, which gets the entry that is there. Data would, and is most
 * often what was queued before the switch. */
void l3_to_socket_late(struct visit *v);
/* Payload bytes <from>..<to> of a packet that is not let through itself, as packets of their own. 0 or -errno. (part.c) */
int l3_send_part(struct flow *f, int d, const struct seg *s, uint32_t from, uint32_t to);
/* Lets the tracker see it, then forwards: no policy. For packets that were held. */
void l3_pass(struct visit *v);
/* What a packet of flow v->f meets in the state the flow is in. For held packets that go their way again. */
void l3_flow_packet(struct visit *v);
/* Tracker, policy, verdict: as every packet of a watched flow. */
void l3_watch(struct visit *v);

/* ---- decisions ---- */
/* At the SYN: tcp-request connection. May give the verdict. */
void l3_decide_syn(struct visit *v);
/* The handshake is done, with v's packet: does what was decided at the SYN. */
void l3_established(struct visit *v);
/* Does as decided with a flow that is WATCHED, TRANSLATED or HELD to inspect, and with what it holds. */
void l3_decide(struct flow *f, const struct gateway_decision *dec);
/* Judges the held turn of a HELD flow again; <final>: nothing more will come. (turn.c) */
void l3_turn_judge(struct flow *f, bool final);
/* Does policy look at the flow's turns? */
bool l3_turn_wanted(const struct flow *f);
/* The client's next payload. True: the visit was taken care of. (turn.c) */
bool l3_turn_visit(struct visit *v);
/* The server's payload moved its edge from <nxt> on. */
void l3_turn_server(struct flow *f, const struct seg *s, uint32_t nxt);
/* Framing goes on at <seq> of the client after a demotion. */
struct turn_resume {
	enum framer_resume how;
	const struct h1_body *body; /* with FRAMER_RESUME_BODY */
	bool server_spoke;          /* since the client did */
};
void l3_turn_resume(struct flow *f, const struct turn_resume *re, uint32_t seq);
/* Turns are not looked at any more. */
void l3_turn_stop(struct flow *f);

/* ---- stick tables (flow_track.c): what the flow's slots count ---- */
struct stk_tracks;
void l3_track_session(struct flow *f);      /* the connection rules let it pass */
void l3_track_request(struct flow *f);      /* a turn is about to be judged, and begins with a request */
bool l3_track_wants_requests(const struct flow *f); /* is there a counter of them? */
void l3_track_requested(struct flow *f);    /* it was: by what the rules have tracked meanwhile, too */
void l3_track_turn_over(struct flow *f);    /* decided, and not for L7 */
void l3_track_bytes(struct flow *f);        /* what came since the last time */
/* What the stream tracked that the flow was demoted from goes on. Takes the reference and leaves NULL. */
void l3_track_take(struct flow *f, struct stk_tracks **tr);
void l3_track_end(struct flow *f);          /* the connection is over */

/* What a queue does with its packets (path.c). */
extern const struct pktq_handler l3_path_handler;

/* The timer fires not later than <ms> (clock_ms()). */
void l3_arm(struct l3 *l3, uint64_t ms);
/* Everything whose time has come; the timer's callback, and tests'. */
void l3_tick(struct l3 *l3);

/* An offloaded flow's packets come to us again (WATCHED, policy asks no more), or all of one's that is in bulk / go past us again. NULL, or why not, as
 * `promote_failures` says it: the tracker does not know the connection, or its handshake, or cannot be asked. */
const char *l3_recall(struct flow *f);
void l3_unrecall(struct flow *f);
/* The connection's class is hard from now on, not with its next packet. What f->mark_class and want_class say is left alone. */
void l3_harden(struct flow *f);
/* The rules have changed since <f> was offloaded: called back, unless they forward it still. */
void l3_rejudge(struct flow *f);
/* The kernel's alone from its next verdict on, whatever policy says. */
void l3_offload(struct flow *f);
/* What the handshake of a connection agreed that passed unseen is taken from the kernel's tracker. NULL, or why it cannot be
 * promoted all the same ("no-syn", "nat", "not-tracked", "recall"). (adopt.c) */
struct ct_entry;
const char *l3_adopt(struct flow *f);
const char *l3_adopt_entry(struct flow *f, const struct ct_entry *e);
/* The flow does something that forbids its promotion: counted by name, once for each flow. <why> NULL: it does not. */
void l3_unsupported(struct flow *f, const char *why);
/* A reset whose number nobody can judge here, for its sender's are not known: passes, and its receiver is asked. One that has taken
 * it answers with a reset of its own, whose number is known. */
void l3_reset_unjudged(struct visit *v);
/* Out of HELD: WATCHED, or TRANSLATED when it has deltas. What it holds is untouched. */
void l3_unhold(struct flow *f);
/* Begins the end: held packets pass, CLOSING, the log line is written with the word <how>. */
void l3_flow_end(struct flow *f, const char *how);
/* The record goes, whatever state it is in. */
void l3_flow_gone(struct flow *f, const char *how);
/* For commands: the flow whose id is <word>; NULL and answered when there is none. */
struct cli_ctx;
struct flow *l3_cli_find(struct cli_ctx *ctx, const char *word);
/* Payload bytes of each side so far: as they passed, and what pseudo sockets carry now. */
void l3_flow_bytes(const struct flow *f, uint64_t bytes[2]);
/* One line for a flow that ended (flow_log.c). */
void l3_log_end(struct flow *f);
/* Resets towards both ends, from the tracker's numbers. */
void l3_flow_reset(struct flow *f);
/* Refused or failed promotion: counted, noted, and the flow left at L3. */
void l3_promote_refused(struct flow *f, const char *why);

#endif
