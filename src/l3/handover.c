/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * handover.c - a demoted connection that nobody looks at any more goes to the kernel
 *
 * After a demotion the daemon translates each packet. Once policy asks no more
 * about the connection that is all it does, and the kernel can do it alone: its
 * tracker adjusts sequence numbers (ct.h). It knows no timestamps and no
 * floors (xlate.h), so what was sent before the demotion must have arrived first.
 *
 *   1. the tracker's entry is read, taken out, and made anew by us, with the deltas and class offloaded
 *      -- from here on new packets are the kernel's --
 *   2. packets that stand in the queue belong to the old entry, which adjusts nothing: they are translated
 *      here as they come (by mangle PREROUTING, where only packets of classes are queued)
 *
 * A packet between the two halves of 1 is new to the tracker and makes an entry of its
 * own, which loses against ours when it is confirmed: the packet is dropped, and repeated by its sender.
 *
 * The record is OFFLOADED with xlate_by KERNEL, and shown as translated. The entry
 * may vanish (`conntrack -F`): the next packet is new to the tracker, comes by mangle FORWARD, and
 * the connection is translated here again. A recall makes the entry anew without adjustment, for what
 * pseudo sockets send must not be adjusted.
 *
 * Where both deltas are 0 there is nothing to translate, and the connection is offloaded
 * like any other; or watched like any other, when policy has not decided.
 */
#include "l3/handover.h"

#include <errno.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <string.h>

#include "core/worker.h"
#include "l3/ct.h"
#include "l3/l3.h"
#include "l3/narrow.h"

#define HANDOVER_TIMEOUT_MIN 60 /* s; the first packet sets it anew */
#define HANDOVER_PAST 0x20000000u /* how far back what is adjusted begins (FACTS §5) */

/* ---- is the kernel able to? ---- */

static bool handover_answers(struct ct *ct, struct ct_entry *e, const char **why)
{
	static const uint32_t at[2] = { 1, 1 };
	struct ct_entry got;
	int rc = ct_create(ct, e, at);

	if (rc < 0) {
		*why = rc == -EPERM ? "not permitted" : rc == -EOPNOTSUPP ? "not supported" : "no entry can be made";
		return false;
	}
	rc = ct_get(ct, &e->src, &e->dst, &got);
	ct_delete(ct, &e->src, &e->dst);
	if (rc == 0 && got.adjust[0] == e->adjust[0] && got.adjust[1] == e->adjust[1])
		return true;
	*why = "sequence adjustment is ignored";
	return false;
}

bool handover_selftest(struct ct *ct, const char **why)
{
	/* addresses that nobody uses (RFC 2544) */
	struct ct_entry e = { .timeout_s = 5, .adjust = { 1000, -77 } };

	if (!ct) {
		*why = "no connection tracker";
		return false;
	}
	addr_parse_ip(&e.src, STR("198.18.0.1"));
	addr_parse_ip(&e.dst, STR("198.18.0.2"));
	e.src.port = e.dst.port = 9;
	e.reply_src = e.dst;
	e.reply_dst = e.src;
	return handover_answers(ct, &e, why);
}

/* ---- entries ---- */

/* <f>'s entry, in whose original direction side *orig of <f> sends. 0 or -errno. */
static int handover_entry(struct flow *f, struct ct_entry *e, int *orig)
{
	int rc = ct_get(f->gw->l3->ct, &f->side[FLOW_CLIENT], &f->side[FLOW_SERVER], e);

	if (rc < 0)
		return rc;
	e->timeout_s = MAX(e->timeout_s, HANDOVER_TIMEOUT_MIN);
	*orig = addr_eq(&e->src, &f->side[FLOW_CLIENT]) ? FLOW_CLIENT : FLOW_SERVER;
	/* a helper has reasons of its own to adjust numbers */
	return e->nat || e->helper || e->tcp_state != TCP_CONNTRACK_ESTABLISHED ? -EINVAL : 0;
}

/* Out with the entry, in with <e>. */
static int handover_replace(struct flow *f, const struct ct_entry *e, const uint32_t at[2])
{
	struct ct *ct = f->gw->l3->ct;
	int rc;

	ct_delete(ct, &e->src, &e->dst);
	rc = ct_create(ct, e, at);
	if (rc == -EEXIST) { /* a packet was quicker */
		ct_delete(ct, &e->src, &e->dst);
		rc = ct_create(ct, e, at);
	}
	return rc;
}

/* What is agreed, for an entry of ours: the tracker may have begun in mid-flow. */
static void handover_agreed(const struct flow *f, struct ct_entry *e, int orig)
{
	const struct seqtrk *t = &f->trk;
	int d;

	for (d = 0; d < 2; d++) {
		e->tcp_flags[d] = (t->f & SEQTRK_C_WS ? IP_CT_TCP_FLAG_WINDOW_SCALE : 0) |
				  (t->f & SEQTRK_C_SACK ? IP_CT_TCP_FLAG_SACK_PERM : 0);
		e->wscale[d] = t->f & SEQTRK_C_WS ? t->side[d == 0 ? orig : !orig].wscale : 0;
	}
}

/* ---- to the kernel ---- */

static bool handover_plain(const struct flow *f)
{
	return f->ext->xl.delta[0] == 0 && f->ext->xl.delta[1] == 0;
}

/* Policy said its last word. Where it did not, a connection is watched on, as before its promotion. */
static bool handover_decided(const struct flow *f)
{
	return (f->policy == FLOW_POL_FORWARD || f->policy == FLOW_POL_NONE) && !f->gw->conf->dry_run && !flow_has_tos(f);
}

bool handover_wanted(const struct flow *f)
{
	return !f->dead && f->state == FLOW_ST_TRANSLATED && f->xlate_by == FLOW_XLATE_DAEMON && !f->recalled && !flow_border(f) &&
	       !f->ext->no_handover && f->policy != FLOW_POL_DROP && xlate_settled(&f->ext->xl) &&
	       !((f->trk.side[0].f | f->trk.side[1].f) & SEQTRK_F_FIN) && !(f->trk.f & SEQTRK_C_RST) &&
	       (handover_plain(f) || (handover_decided(f) && f->gw->l3->kernel_xlate));
}

/* Nothing to translate, and rules that may still look at it: the daemon could as well be dead. */
static void handover_watch(struct flow *f)
{
	f->xlate_by = FLOW_XLATE_NONE;
	xlate_drop_floors(&f->ext->xl);
	narrow_want(f);
	flow_set_state(f, FLOW_ST_WATCHED);
}

static int handover_kernel(struct flow *f)
{
	struct l3 *l3 = f->gw->l3;
	struct ct_entry e;
	uint32_t at[2];
	int rc, orig, d;

	rc = handover_entry(f, &e, &orig);
	if (rc < 0)
		return rc;
	e.mark = mark_put(e.mark, l3->mark_mask, MARK_OFFLOADED);
	for (d = 0; d < 2; d++) {
		int side = d == 0 ? orig : !orig;

		e.adjust[d] = xlate_delta(flow_xlate(f), side);
		at[d] = f->trk.side[side].nxt - HANDOVER_PAST;
	}
	handover_agreed(f, &e, orig);
	rc = handover_replace(f, &e, at);
	if (rc == 0) {
		f->xlate_by = FLOW_XLATE_KERNEL;
		f->ext->adjusted = true;
	}
	return rc;
}

void handover_now(struct flow *f)
{
	int rc = 0;

	if (!handover_decided(f)) {
		handover_watch(f);
		return;
	}
	if (handover_plain(f))
		f->xlate_by = FLOW_XLATE_NONE;
	else
		rc = handover_kernel(f);
	if (rc < 0) {
		f->ext->no_handover = rc != -ENOENT; /* that was flushed just now */
		trace_step(f, "not handed over: %s", strerror(-rc));
		return;
	}
	trace_step(f, "the kernel's%s", f->xlate_by == FLOW_XLATE_KERNEL ? ", translated there" : "");
	xlate_drop_floors(&f->ext->xl);
	f->seen = FLOW_SEEN_NONE;
	f->want_class = MARK_OFFLOADED;
	if (f->xlate_by == FLOW_XLATE_KERNEL)
		f->mark_class = MARK_OFFLOADED;
	flow_set_state(f, FLOW_ST_OFFLOADED);
}

/* ---- back ---- */

void handover_lost(struct flow *f)
{
	flow_set_state(f, FLOW_ST_TRANSLATED);
	f->xlate_by = FLOW_XLATE_DAEMON;
	f->seen = FLOW_SEEN_ALL;
	f->mark_class = MARK_NONE;
	f->want_class = MARK_HARD;
	seqtrk_relearn(&f->trk);
}

bool handover_stands(struct flow *f)
{
	struct l3 *l3 = f->gw->l3;
	struct ct_entry e;
	int orig;

	return l3->ct && handover_entry(f, &e, &orig) == 0 && mark_get(e.mark, l3->mark_mask) == MARK_OFFLOADED;
}

const char *handover_back(struct flow *f)
{
	struct l3 *l3 = f->gw->l3;
	const uint32_t at[2] = { 0 };
	struct ct_entry e;
	int rc, orig;

	rc = l3->ct ? handover_entry(f, &e, &orig) : -EOPNOTSUPP;
	if (rc == 0) {
		e.mark = mark_put(e.mark, l3->mark_mask, MARK_HARD);
		e.adjust[0] = e.adjust[1] = 0;
		handover_agreed(f, &e, orig);
		rc = handover_replace(f, &e, at);
	}
	if (rc < 0)
		return rc == -ENOENT ? "not-tracked" : "recall";
	handover_lost(f);
	f->mark_class = MARK_HARD;
	return NULL;
}
