/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l3_matrix.c - every state of a connection x everything that can happen to it
 *
 * The real path, border, flow, turn and decide code on fakes (border_fake.h). Each cell begins with a new
 * gateway and one connection, which is brought into the state by packets and commands alone; then one
 * thing happens. What comes of it is said in one line,
 *
 *     verdict -> state[, what was held: its verdict][, resets]
 *
 * and must be the line that the table has for that cell. A cell that the table leaves out, or has twice, fails the
 * test, as does a packet that got no verdict or two by the end of the daemon. A forged segment
 * moves nothing of the record, not even a timer. Where a state differs from what the table says, all
 * that was found is printed in the table's form.
 */
#include <stdlib.h>

#include "border_fake.h"
#include "core/cli.h"
#include "l3/narrow.h"

/* ---- the two sides of the table ---- */

/* enum, name, function that brings the connection there */
#define MX_STATES(X) \
	X(OPENING, opening)         /* SYN seen */ \
	X(ANSWERED, answered)       /* and its SYN-ACK */ \
	X(WATCHED, watched) \
	X(LEAN, lean)               /* pure ACKs pass unseen */ \
	X(BULK, bulk)               /* only the client's payload is seen */ \
	X(DROPPING, dropping)       /* policy dropped it */ \
	X(INSPECT, inspect)         /* HELD: one byte of a turn waits for more */ \
	X(DRAIN, drain)             /* HELD: the client's data below the cut is not acknowledged, other waits */ \
	X(RECALLED, recalled)       /* from the kernel, to be promoted */ \
	X(PROMOTED, promoted) \
	X(LEAVING, leaving)         /* the stream is not quiet, the server's data waits */ \
	X(TRANSLATED, translated)   /* by the daemon */ \
	X(OFFLOADED, offloaded) \
	X(KERNEL, kernel)           /* offloaded, translated by the kernel */ \
	X(CLOSING, closing)         /* both FINs seen at L3 */ \
	X(SOCKETS, sockets)         /* closing, with pseudo sockets at work */

#define X(e, name) ST_##e,
enum { MX_STATES(X) ST_COUNT };
#undef X

/* What happens: enum, name. <seq> and <ack> are those of the next segment in order. */
#define MX_EVENTS(X) \
	X(SYN_AGAIN, "syn-again") \
	X(SYN_NEW, "syn-new")             /* another ISN */ \
	X(SYNACK, "syn-ack")              /* of the server, again where there was one */ \
	X(C_ACK, "c-ack") X(S_ACK, "s-ack")                  /* pure */ \
	X(C_DATA, "c-data") X(S_DATA, "s-data")              /* in order */ \
	X(C_AGAIN, "c-again") X(S_AGAIN, "s-again")          /* the last byte before <seq> */ \
	X(C_GAP, "c-gap") X(S_GAP, "s-gap")                  /* in the window, beyond a gap */ \
	X(C_FAR, "c-far") X(S_FAR, "s-far")                  /* out of the window: forged */ \
	X(C_FIN, "c-fin") X(S_FIN, "s-fin") \
	X(C_RST, "c-rst") X(S_RST, "s-rst")                  /* at <seq> */ \
	X(C_RST_NEAR, "c-rst-near") X(S_RST_NEAR, "s-rst-near") /* in the window: may be forged */ \
	X(C_RST_FAR, "c-rst-far") X(S_RST_FAR, "s-rst-far")  /* out of it: forged */ \
	X(C_ACK_FAR, "c-ack-far") X(S_ACK_FAR, "s-ack-far")  /* acknowledges what was never sent: forged */ \
	X(C_URG, "c-urg") X(S_URG, "s-urg") \
	X(C_FORGOT, "c-forgot") X(S_FORGOT, "s-forgot")      /* data in order, which the kernel's tracker takes for new */ \
	X(ICMP_C, "icmp-c") X(ICMP_S, "icmp-s")              /* an error about the last byte before <seq> */ \
	X(T_SYN, "t-syn") X(T_IDLE, "t-idle") X(T_INSPECT, "t-inspect") X(T_HOLD, "t-hold") X(T_CLOSE, "t-close") \
	X(T_OFFLOAD, "t-offload")         /* runs out, where it runs */ \
	X(KILL, "kill") X(PROMOTE, "promote") X(DEMOTE, "demote") /* commands */ \
	X(REMOVED, "removed")             /* the gateway is not configured any more; then c-data */ \
	X(MAXFLOWS, "maxflows")           /* another connection's SYN, past maxflows */ \
	X(SOFT_STOP, "soft-stop")         /* c-data after */ \
	X(END, "end")                     /* of the daemon */

#define X(e, name) EV_##e,
enum { MX_EVENTS(X) EV_COUNT };
#undef X

#define X(e, name) [EV_##e] = name,
static const char *const event_name[EV_COUNT] = { MX_EVENTS(X) };
#undef X

struct row {
	int state;
	const char *outcome, *events;
};
static const struct row table[] = {
#include "l3_matrix.tbl"
};

/* ---- the connection ---- */

#define MX_RULES \
	" tcp-request inspect-delay 2s\n timeout syn 5s\n timeout idle 60s\n timeout hold 3s\n timeout close 4s\n" \
	" tcp-request content promote fe_in if { req.payload(2,3) -m str pro }\n" \
	" tcp-request content forward if { req.payload(2,3) -m str fwd }\n" \
	" tcp-request content drop if { req.payload(2,3) -m str dro }\n"

static uint32_t seq[2], ack[2]; /* of each side's next segment */
static uint32_t waits;          /* packet that is held before the event; 0: none */
static uint64_t id_before;
static uint8_t again[2];        /* the last byte of each side, for those who repeat it */

static uint32_t mx_packet(int d, uint8_t flags, uint32_t dseq, uint32_t dack, const char *data, enum pktq_hook hook)
{
	return gt_in(&(struct pkt){ .reverse = d == FLOW_SERVER, .seq = seq[d] + dseq, .ack = ack[d] + dack, .flags = flags,
				    .win = 60000, .data = data, .data_len = data ? (unsigned)strlen(data) : 0,
				    .urp = flags & SEG_URG ? 1 : 0 }, hook);
}

/* In order, and both sides go on from there. */
static uint32_t mx_say(int d, const char *data)
{
	uint32_t id = mx_packet(d, SEG_ACK | SEG_PSH, 0, 0, data, PKTQ_HOOK_PREROUTING);

	seq[d] += (uint32_t)strlen(data);
	ack[!d] = seq[d];
	again[d] = (uint8_t)data[strlen(data) - 1];
	return id;
}

static struct flow *mx_flow(void)
{
	uint8_t buf[128];
	struct seg s = pkt_seg(buf, &(struct pkt){ .flags = SEG_ACK });
	int d;

	return flow_lookup(&gt_l3->flows, &s.src, &s.dst, &d);
}

static void mx_clock(unsigned ms)
{
	gt_w.now_ms += ms;
	bt_now_us += ms * 1000;
}

/* ---- commands, as they are typed ---- */

static void mx_wake(struct cli_ctx *c)
{
}

static void mx_command(const char *verb, const char *arg)
{
	static char id[24];
	char *args[] = { (char *)verb, "flow", id, (char *)arg, NULL };
	struct buf out = { 0 };
	struct cli_ctx ctx = { .w = &gt_w, .out = &out, .args = args, .argc = arg ? 4 : 3, .wake = mx_wake };
	const struct cli_kw *kw;

	snprintf(id, sizeof(id), "%llu", (unsigned long long)mx_flow()->id);
	for (kw = cli_first(); kw; kw = kw->next)
		if (kw->words[0] && strcmp(kw->words[0], verb) == 0 && strcmp(kw->words[1], "flow") == 0)
			break;
	cr_assert(kw);
	ctx.kw = kw;
	kw->parse(&ctx);
	pktq_flush(gt_gw->q);
	bt_tasks();
	if (kw->release)
		kw->release(&ctx);
	buf_free(&out);
}

/* ---- states ---- */

static void to_opening(void)
{
	gt_syn(GT_ISN);
	seq[0] = GT_ISN + 1;
	seq[1] = GT_SISN;
	ack[0] = GT_SISN;
	ack[1] = GT_ISN + 1;
	again[0] = again[1] = 0;
}

static void to_answered(void)
{
	to_opening();
	gt_in(&(struct pkt){ .reverse = true, .seq = GT_SISN, .ack = GT_ISN + 1, .flags = SEG_SYN | SEG_ACK, .win = 60000,
			     PKT_OPT(PKT_MSS("\x05\xb4")) }, PKTQ_HOOK_PREROUTING);
	seq[1] = ack[0] = GT_SISN + 1;
}

static void to_established(void)
{
	to_answered();
	mx_packet(0, SEG_ACK, 0, 0, NULL, PKTQ_HOOK_PREROUTING);
}

/* One question, one answer, all acknowledged. */
static void to_watched(void)
{
	to_established();
	mx_say(0, "\1 one");
	mx_say(1, "answer");
	mx_packet(0, SEG_ACK, 0, 0, NULL, PKTQ_HOOK_PREROUTING);
}

static void to_lean(void)
{
	gt_l3->narrow = true;
	to_watched();
}

static void to_bulk(void)
{
	static char zeros[32769];

	memset(zeros, '0', sizeof(zeros) - 1);
	to_lean();
	mx_say(0, "\1 two");
	for (int i = 0; i < 7; i++) /* narrow_is_one_way(): a window and 128 kB */
		mx_say(1, zeros);
	cr_assert_eq(mx_flow()->seen, FLOW_SEEN_CLIENT_DATA);
}

static void to_dropping(void)
{
	to_established();
	mx_say(0, "\1 dro");
}

static void to_inspect(void)
{
	to_watched();
	waits = mx_say(0, "\1");
}

static void to_drain(void)
{
	to_watched();
	mx_say(0, "\1 two");
	ack[1] -= 5; /* the server has not said that it has it */
	mx_command("promote", "fe_in");
	waits = mx_say(0, "\1 new");
	ack[1] = seq[0] - 10;
}

static void to_promoted(void)
{
	to_established();
	mx_say(0, "\1 pro");
	bt_tasks();
	bt_side(FLOW_CLIENT)->q.received = 5;
	bt_side(FLOW_SERVER)->q.acked = 5;
	bt_bytes[0] = 5;
	bt_wait(30);
}

static void to_leaving(void)
{
	to_promoted();
	bt_quiet = false;
	bt_leave();
	waits = mx_say(1, "answer");
	ack[0] -= 6;
}

/* L7 sent the server ten bytes more than the client, and the client seven less than the server. */
static void to_translated(void)
{
	to_promoted();
	bt_side(FLOW_SERVER)->q.acked = 15;
	bt_side(FLOW_SERVER)->q.received = 20;
	bt_side(FLOW_CLIENT)->q.acked = 13;
	bt_leave();
	seq[1] = GT_SISN + 1 + 20;
	ack[1] = GT_ISN + 1 + 15;
	ack[0] = GT_SISN + 1 + 13;
	cr_assert_eq(mx_flow()->ext->xl.delta[0], 10);
	cr_assert_eq((int)mx_flow()->ext->xl.delta[1], -7);
}

static void to_offloaded(void)
{
	to_established();
	mx_say(0, "\1 fwd");
	cr_assert_eq(mx_flow()->want_class, MARK_OFFLOADED);
}

static void to_kernel(void)
{
	struct flow *f;

	to_translated();
	f = mx_flow(); /* what handover_now() does with a kernel behind it */
	xlate_drop_floors(&f->ext->xl);
	f->policy = FLOW_POL_NONE;
	f->xlate_by = FLOW_XLATE_KERNEL;
	f->seen = FLOW_SEEN_NONE;
	f->mark_class = f->want_class = MARK_OFFLOADED;
	flow_set_state(f, FLOW_ST_OFFLOADED);
}

static void to_recalled(void)
{
	to_offloaded();
	cr_assert_null(border_recall(mx_flow(), "fe_in"));
	mx_packet(0, SEG_ACK, 0, 0, NULL, PKTQ_HOOK_PREROUTING);
	mx_packet(1, SEG_ACK, 0, 0, NULL, PKTQ_HOOK_PREROUTING);
}

static void to_closing(void)
{
	to_watched();
	mx_packet(0, SEG_ACK | SEG_FIN, 0, 0, NULL, PKTQ_HOOK_PREROUTING);
	ack[1] = ++seq[0];
	mx_packet(1, SEG_ACK | SEG_FIN, 0, 0, NULL, PKTQ_HOOK_PREROUTING);
	ack[0] = ++seq[1];
}

static void to_sockets(void)
{
	to_promoted();
	bt_with->ops->ended((struct stream *)bt_with, bt_with->owner, (int[]){ -1, -1 }, false);
	bt_sock[bt_nsock - 1].open = bt_sock[bt_nsock - 2].open = false;
	bt_open = 0;
	bt_state[0] = bt_state[1] = 9; /* LAST_ACK */
}

static const struct {
	const char *name;
	void (*go)(void);
} state[ST_COUNT] = {
#define X(e, fn) [ST_##e] = { #fn, to_##fn },
	MX_STATES(X)
#undef X
};

/* ---- events ---- */

/* What an ICMP error quotes: eight bytes behind the IP header of <d>'s segment as the router had it. */
static uint32_t mx_icmp(int d)
{
	static uint8_t buf[128];
	const struct xlate *x = mx_flow() ? flow_xlate(mx_flow()) : NULL;
	struct pktq_pkt p = { .ref.id = ++gt_id, .family = AF_INET, .hook = PKTQ_HOOK_PREROUTING, .data = buf };
	uint8_t in[128];

	pkt_make(in, &(struct pkt){ .reverse = d == FLOW_SERVER, .seq = xlate_seq(x, d, seq[d] - 1), .flags = SEG_ACK });
	memset(buf, 0, sizeof(buf));
	memcpy(buf, in, 20);
	memcpy(buf + 28, in, 28);
	p.len = p.full_len = 20 + 8 + 28;
	buf[9] = IPPROTO_ICMP;
	memcpy(buf + 12, in + 16, 4); /* somebody near its receiver says so, to its sender */
	memcpy(buf + 16, in + 12, 4);
	pkt_be(buf + 2, p.len, 2);
	buf[20] = 3;
	buf[21] = 4;
	pkt_be(buf + 22, pkt_naive_csum(buf + 20, p.len - 20, 0), 2);
	l3_path_handler.packet(gt_gw, gt_gw->q, &p);
	l3_path_handler.batch_end(gt_gw, gt_gw->q, true);
	pktq_flush(gt_gw->q);
	return p.ref.id;
}

static bool timer_ran;

static uint32_t mx_expire(enum flow_timer tmr)
{
	struct flow *f = mx_flow();

	timer_ran = f->timer == tmr || (tmr == FLOW_TMR_OFFLOAD && f->timer == FLOW_TMR_OFFLOAD_OLD);
	if (!timer_ran)
		return 0;
	mx_clock(gateway_timeout(gt_gw, (enum flow_timer)f->timer) + 1);
	l3_tick(gt_l3);
	pktq_flush(gt_gw->q);
	bt_tasks();
	return 0;
}

/* Makes it happen; the packet's id, 0 where there is none. */
static uint32_t mx_happen(int ev)
{
	const enum pktq_hook pre = PKTQ_HOOK_PREROUTING;
	char last[2][2] = { { (char)again[0] }, { (char)again[1] } };
	bool has[2] = { again[0] != 0, again[1] != 0 };

	switch (ev) {
	case EV_SYN_AGAIN:
	case EV_SYN_NEW:
		return gt_in(&(struct pkt){ .seq = GT_ISN + (ev == EV_SYN_NEW ? 777777 : 0), .flags = SEG_SYN, .win = 60000,
					    PKT_OPT(PKT_MSS("\x05\xb4")) }, pre);
	case EV_SYNACK:
		return gt_in(&(struct pkt){ .reverse = true, .seq = GT_SISN, .ack = GT_ISN + 1, .flags = SEG_SYN | SEG_ACK,
					    .win = 60000, PKT_OPT(PKT_MSS("\x05\xb4")) }, pre);
	case EV_C_ACK: case EV_S_ACK:
		return mx_packet(ev - EV_C_ACK, SEG_ACK, 0, 0, NULL, pre);
	case EV_C_DATA: case EV_S_DATA:
		return mx_packet(ev - EV_C_DATA, SEG_ACK, 0, 0, "\1 new", pre);
	case EV_C_AGAIN: case EV_S_AGAIN: /* nothing to repeat: a keepalive probe */
		return mx_packet(ev - EV_C_AGAIN, SEG_ACK, (uint32_t)-1, 0, has[ev - EV_C_AGAIN] ? last[ev - EV_C_AGAIN] : NULL, pre);
	case EV_C_GAP: case EV_S_GAP:
		return mx_packet(ev - EV_C_GAP, SEG_ACK, 100, 0, "\1 gap", pre);
	case EV_C_FAR: case EV_S_FAR:
		return mx_packet(ev - EV_C_FAR, SEG_ACK, 1 << 28, 0, "\1 far", pre);
	case EV_C_FIN: case EV_S_FIN:
		return mx_packet(ev - EV_C_FIN, SEG_ACK | SEG_FIN, 0, 0, NULL, pre);
	case EV_C_RST: case EV_S_RST:
		return mx_packet(ev - EV_C_RST, SEG_ACK | SEG_RST, 0, 0, NULL, pre);
	case EV_C_RST_NEAR: case EV_S_RST_NEAR:
		return mx_packet(ev - EV_C_RST_NEAR, SEG_RST, 1000, 0, NULL, pre);
	case EV_C_RST_FAR: case EV_S_RST_FAR:
		return mx_packet(ev - EV_C_RST_FAR, SEG_RST, 1 << 28, 0, NULL, pre);
	case EV_C_ACK_FAR: case EV_S_ACK_FAR:
		return mx_packet(ev - EV_C_ACK_FAR, SEG_ACK, 0, 1 << 28, "\1 ack", pre);
	case EV_C_URG: case EV_S_URG:
		return mx_packet(ev - EV_C_URG, SEG_ACK | SEG_URG, 0, 0, "\1 urg", pre);
	case EV_C_FORGOT: case EV_S_FORGOT:
		return mx_packet(ev - EV_C_FORGOT, SEG_ACK, 0, 0, "\1 new", PKTQ_HOOK_FORWARD);
	case EV_ICMP_C: case EV_ICMP_S:
		return mx_icmp(ev - EV_ICMP_C);
	case EV_T_SYN: return mx_expire(FLOW_TMR_SYN);
	case EV_T_IDLE: return mx_expire(FLOW_TMR_IDLE);
	case EV_T_INSPECT: return mx_expire(FLOW_TMR_INSPECT);
	case EV_T_HOLD: return mx_expire(FLOW_TMR_HOLD);
	case EV_T_CLOSE: return mx_expire(FLOW_TMR_CLOSE);
	case EV_T_OFFLOAD: return mx_expire(FLOW_TMR_OFFLOAD);
	case EV_KILL:
		mx_command("kill", NULL);
		return 0;
	case EV_PROMOTE:
		mx_command("promote", "fe_in");
		return 0;
	case EV_DEMOTE:
		bt_asks = 0;
		mx_command("demote", NULL);
		if (bt_asks) /* and the stream soon says that it may */
			bt_with->ops->may_leave((struct stream *)bt_with, bt_with->owner);
		bt_tasks();
		return 0;
	case EV_REMOVED:
		gt_gw->removed = true;
		return mx_packet(0, SEG_ACK, 0, 0, "\1 new", pre);
	case EV_MAXFLOWS:
		((struct gateway_conf *)gt_gw->conf)->maxflows = 1;
		return gt_in(&(struct pkt){ .port = PKT_CLI_PORT + 1, .seq = 1, .flags = SEG_SYN, .win = 60000 }, PKTQ_HOOK_FORWARD);
	case EV_SOFT_STOP:
		gt_w.stopping = true;
		return mx_packet(0, SEG_ACK, 0, 0, "\1 new", pre);
	}
	return 0; /* END: all that is left to do is what always comes */
}

static bool mx_is_forged(int ev)
{
	return ev == EV_C_FAR || ev == EV_S_FAR || (ev >= EV_C_RST_NEAR && ev <= EV_S_ACK_FAR);
}

/* ---- what comes of it ---- */

static const char *mx_fate(uint32_t id, unsigned nlocal)
{
	const struct gt_verdict *v = gt_got(id);

	if (!v)
		return "held";
	if (v->local)
		return "to socket";
	if (v->action == PKTQ_DROP)
		return gt_nlocal != nlocal ? "copied to socket" : "dropped";
	return v->len ? "translated" : "passed";
}

static const char *mx_state(void)
{
	static char text[64];
	const struct flow *f = mx_flow();
	const char *more = "";

	if (!f)
		return "gone";
	if (f->state == FLOW_ST_HELD)
		more = flow_hold(f)->why == HOLD_DRAIN ? "/drain" : "/inspect";
	else if (f->state == FLOW_ST_OFFLOADED && f->xlate_by == FLOW_XLATE_KERNEL)
		more = "/kernel";
	else if (f->state == FLOW_ST_CLOSING && f->sockets)
		more = "/sockets";
	else if (f->policy == FLOW_POL_DROP)
		more = "/dropping";
	else if (f->recalled)
		more = "/recalled";
	else if (f->seen == FLOW_SEEN_CLIENT_DATA)
		more = "/bulk";
	else if (f->want_class == MARK_LEAN)
		more = "/lean";
	snprintf(text, sizeof(text), "%s%s%s", f->id != id_before ? "new " : "", flow_state_name[f->state], more);
	return text;
}

/* Runs the cell; its outcome, as the table says it. */
static const char *mx_run(int st, int ev)
{
	static char text[200];
	struct seqtrk trk;
	uint32_t id, touched;
	unsigned nlocal, nsent, n;
	struct flow *f;
	enum flow_state was;

	bt_nsock = bt_nstreams = 0;
	bt_state[0] = bt_state[1] = 0;
	waits = 0;
	gt_w.stopping = false;
	bt_up(MX_RULES);
	state[st].go();
	f = mx_flow();
	cr_assert(f, "%s", state[st].name);
	cr_assert(!waits || gt_held(waits), "%s", state[st].name);
	id_before = f->id;
	trk = f->trk;
	touched = f->touched_ms;
	was = f->state;
	mx_clock(10);
	nlocal = gt_nlocal;
	nsent = gt_nsent - gt_nlocal;

	id = mx_happen(ev);
	if (ev == EV_END) {
		bt_down();
	} else {
		pktq_flush(gt_gw->q);
		bt_tasks();
	}
	timer_ran |= ev < EV_T_SYN || ev > EV_T_OFFLOAD;
	if (!timer_ran) {
		snprintf(text, sizeof(text), "does not run");
	} else {
		n = (unsigned)snprintf(text, sizeof(text), "%s -> %s", id ? mx_fate(id, nlocal) : "-", ev == EV_END ? "gone" : mx_state());
		if (waits && gt_got(waits))
			n += (unsigned)snprintf(text + n, sizeof(text) - n, ", held: %s", mx_fate(waits, nlocal));
		if (gt_nsent - gt_nlocal != nsent)
			snprintf(text + n, sizeof(text) - n, ", sent %u", gt_nsent - gt_nlocal - nsent);
	}
	timer_ran = false;
	if (mx_is_forged(ev)) {
		f = mx_flow();
		cr_expect(f && f->id == id_before && f->state == was, "%s: %s ends or moves it", state[st].name, event_name[ev]);
		/* what a server has sent in a bulk nobody here knows, nor what of it may be acknowledged */
		cr_expect((st == ST_BULK && ev == EV_C_ACK_FAR) || (f && memcmp(&f->trk, &trk, sizeof(trk)) == 0), "%s: %s moves the tracker", state[st].name, event_name[ev]);
		/* a promoted connection has no timer; what comes for its sockets when it ends, the kernel judges; and after a
		 * SYN alone there is nothing to judge by, for the answers may take another way */
		cr_expect((f && (f->touched_ms == touched || f->timer == FLOW_TMR_NONE)) || st == ST_SOCKETS || st == ST_OPENING ||
			  (st == ST_BULK && ev == EV_C_ACK_FAR), "%s: %s puts the timer off", state[st].name, event_name[ev]);
	}
	if (ev != EV_END)
		bt_down();
	for (id = 1; id <= gt_id; id++)
		cr_expect_eq(gt_times[id], 1, "%s: %s: packet %u has %u verdicts", state[st].name, event_name[ev], id, gt_times[id]);
	return text;
}

/* ---- against the table ---- */

static bool mx_names(const char *events, const char *name)
{
	size_t n = strlen(name);
	const char *p = events;

	while ((p = strstr(p, name))) {
		if ((p == events || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
			return true;
		p += n;
	}
	return false;
}

/* The table's outcome of a cell; NULL: it has none, or two. */
static const char *mx_expected(int st, int ev)
{
	const char *found = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].state != st || !mx_names(table[i].events, event_name[ev]))
			continue;
		if (found)
			return NULL;
		found = table[i].outcome;
	}
	return found;
}

static void mx_print(int st, char found[EV_COUNT][200])
{
	static const char *const name[] = {
#define X(e, fn) #e,
		MX_STATES(X)
#undef X
	};

	for (int i = 0; i < EV_COUNT; i++) {
		bool first = true;

		for (int j = 0; j < i; j++)
			first &= strcmp(found[i], found[j]) != 0;
		if (!first)
			continue;
		fprintf(stderr, "{ ST_%s, \"%s\",\n  \"", name[st], found[i]);
		for (int j = i; j < EV_COUNT; j++)
			if (strcmp(found[i], found[j]) == 0)
				fprintf(stderr, "%s%s", j == i ? "" : " ", event_name[j]);
		fprintf(stderr, "\" },\n");
	}
}

static void mx_check(int st)
{
	static char found[EV_COUNT][200];
	bool same = true;

	for (int ev = 0; ev < EV_COUNT; ev++) {
		const char *want = mx_expected(st, ev);

		snprintf(found[ev], sizeof(found[ev]), "%s", mx_run(st, ev));
		cr_expect(want, "%s: %s: left out of the table, or twice in it", state[st].name, event_name[ev]);
		cr_expect(!want || strcmp(want, found[ev]) == 0, "%s: %s: %s; should be: %s", state[st].name, event_name[ev],
			  found[ev], want ? want : "");
		same &= want && strcmp(want, found[ev]) == 0;
	}
	if (!same)
		mx_print(st, found);
}

TestSuite(matrix, .timeout = 60);

#define X(e, name) Test(matrix, whatever_happens_when_##name) { mx_check(ST_##e); }
MX_STATES(X)
#undef X

Test(matrix, the_table_names_only_what_there_is)
{
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		char words[1000], *w;

		cr_assert_lt(strlen(table[i].events), sizeof(words));
		strcpy(words, table[i].events);
		for (w = strtok(words, " "); w; w = strtok(NULL, " ")) {
			bool known = false;

			for (int ev = 0; ev < EV_COUNT; ev++)
				known |= strcmp(event_name[ev], w) == 0;
			cr_expect(known, "%s", w);
		}
	}
}
