/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * verdict.c - the ways a packet leaves the daemon
 *
 * Every queued packet gets exactly one verdict, now or when it is no longer
 * held. Forwarding translates where the flow has deltas and brings the class in
 * the connection's mark up to date (l3/mark.h): a verdict that repeats the chain
 * with a request in the mark makes the chain save it.
 *
 * A packet that must be rewritten and was not copied whole is dropped: its sender
 * will cut the next one smaller.
 */
#include "core/bug.h"
#include "l3/inject.h"
#include "l3/l3.h"

/* What trace says of it. */
static const char *verdict_fate(const struct visit *v, const struct pktq_verdict *vd)
{
	static const char *const classes[] = {
		[MARK_NONE] = "forwarded, class none",
		[MARK_OURS] = "forwarded, class ours",
		[MARK_HARD] = "forwarded, class hard",
		[MARK_OFFLOADED] = "forwarded, class offloaded",
		[MARK_LEAN] = "forwarded, class lean",
		[MARK_BULK] = "forwarded, class bulk",
	};
	unsigned val = mark_get(vd->mark, v->l3->mark_mask);

	if (vd->action == PKTQ_DROP)
		return "dropped";
	if (vd->set_mark && val == MARK_LOCAL)
		return "to the pseudo socket";
	if (vd->set_mark && mark_is_req(val) && classes[mark_req_class(val)])
		return classes[mark_req_class(val)];
	return vd->data ? "forwarded, changed" : "forwarded";
}

static void verdict_give(struct visit *v, struct pktq_verdict *vd)
{
	if (WARN_ON(v->judged))
		return;
	v->judged = true;
	if (v->f)
		v->f->verdict_flush = (uint32_t)v->q->flushes;
	vd->ref = v->p->ref;
	pktq_verdict(v->q, vd);
	trace_packet(v, verdict_fate(v, vd));
}

/* The packet's mark, with what set-mark set. */
static uint32_t verdict_mark(const struct visit *v)
{
	return v->f ? flow_mark(v->f, v->p->mark) : v->p->mark;
}

/* A changed packet travels with its verdict. False: it cannot. */
static bool verdict_payload(struct visit *v, struct pktq_verdict *vd)
{
	if (!(v->s.f & SEG_F_DIRTY))
		return true;
	if (!seg_is_whole(&v->s) || seg_finish(&v->s) < 0) {
		v->l3->truncated++;
		return false;
	}
	vd->data = v->s.pkt;
	vd->len = v->s.len;
	return true;
}

void l3_drop(struct visit *v)
{
	verdict_give(v, &(struct pktq_verdict){ .action = PKTQ_DROP });
}

/* Passes it on with the connection's class set to <cls>. */
void l3_forward_class(struct visit *v, enum mark_class cls)
{
	struct pktq_verdict vd = { .action = PKTQ_REPEAT, .set_mark = true };

	if (!verdict_payload(v, &vd)) {
		l3_drop(v);
		return;
	}
	vd.mark = mark_put(verdict_mark(v), v->l3->mark_mask, MARK_REQ(cls));
	verdict_give(v, &vd);
}

void l3_accept(struct visit *v)
{
	struct pktq_verdict vd = { .action = PKTQ_ACCEPT };

	if (!verdict_payload(v, &vd)) {
		l3_drop(v);
		return;
	}
	vd.mark = verdict_mark(v);
	vd.set_mark = vd.mark != v->p->mark;
	verdict_give(v, &vd);
}

void l3_forward(struct visit *v)
{
	struct flow *f = v->f;

	if (f->xlate_by == FLOW_XLATE_DAEMON)
		xlate_apply(flow_xlate(f), v->d, &v->s);
	if (flow_has_tos(f) && seg_is_whole(&v->s))
		seg_set_tos(&v->s, f->ext->tos);
	/* the kernel's tracker had forgotten it, or was told of another connection by a forged SYN: its entry is new, and
	 * knows no class. Only of its first packets is that not so. */
	if (v->p->hook == PKTQ_HOOK_FORWARD && f->state != FLOW_ST_OPENING)
		f->mark_class = MARK_NONE;
	if (f->mark_class == f->want_class) {
		l3_accept(v);
		return;
	}
	l3_forward_class(v, f->want_class);
	f->mark_class = f->want_class;
}

/* Round through lo. */
static void verdict_copy_to_socket(struct visit *v)
{
	if (seg_is_whole(&v->s) && seg_checksum(&v->s) == 0)
		inject_local(v->l3->inject, v->s.pkt, v->s.len, v->f->foreign_mark);
	l3_drop(v);
}

void l3_to_socket(struct visit *v)
{
	struct pktq_verdict vd = { .action = PKTQ_ACCEPT, .set_mark = true };

	if (v->p->hook == PKTQ_HOOK_PREROUTING) {
		if (!verdict_payload(v, &vd)) {
			l3_drop(v);
			return;
		}
		vd.mark = mark_put(v->p->mark, v->l3->mark_mask, MARK_LOCAL);
		verdict_give(v, &vd);
		return;
	}
	verdict_copy_to_socket(v); /* routed already */
}

void l3_to_socket_late(struct visit *v)
{
	if (v->s.data_len == 0 && seg_is_whole(&v->s))
		verdict_copy_to_socket(v);
	else
		l3_to_socket(v);
}

void l3_pass(struct visit *v)
{
	struct flow *f = v->f;

	if (seqtrk_acceptable(seqtrk_see(&f->trk, v->d, &v->s, flow_xlate(f))))
		flow_touch(f);
	l3_forward(v);
}
