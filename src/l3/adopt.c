/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * adopt.c - a connection whose handshake passed unseen
 *
 * It began before the daemon, or was forwarded at its SYN. The kernel's tracker
 * followed it from the start and knows what the ends agreed on: with that it can be
 * promoted like any other, once a segment of each direction told where its numbers
 * stand (seqtrk_adopt()).
 *
 * An entry that the tracker itself began in mid-flow knows no more than we do. It
 * is told apart by its flags: only there the kernel sets BE_LIBERAL by itself
 * (tcp_new() in net/netfilter/nf_conntrack_proto_tcp.c).
 */
#include <errno.h>
#include <linux/netfilter/nf_conntrack_tcp.h>

#include "core/worker.h"
#include "l3/ct.h"
#include "l3/l3.h"

static bool adopt_both(const struct ct_entry *e, uint8_t flag)
{
	return e->tcp_flags[0] & e->tcp_flags[1] & flag;
}

const char *l3_adopt_entry(struct flow *f, const struct ct_entry *e)
{
	struct seqtrk_agreed a = { .ws = adopt_both(e, IP_CT_TCP_FLAG_WINDOW_SCALE),
				   .sack = adopt_both(e, IP_CT_TCP_FLAG_SACK_PERM) };
	/* a tuple is found in either direction: which of the entry's is the client? */
	int d, client = addr_eq(&e->src, &f->side[FLOW_CLIENT]) ? 0 : 1;

	if (e->nat)
		return "nat";
	if (e->tcp_state != TCP_CONNTRACK_ESTABLISHED || (e->tcp_flags[0] | e->tcp_flags[1]) & IP_CT_TCP_FLAG_BE_LIBERAL)
		return "no-syn";
	for (d = 0; d < 2; d++)
		a.wscale[d] = MIN(e->wscale[d == FLOW_CLIENT ? client : !client], 14);
	seqtrk_adopt(&f->trk, &a);
	return NULL;
}

const char *l3_adopt(struct flow *f)
{
	struct ct *ct = f->gw->l3->ct;
	struct ct_entry e;

	if (!ct)
		return "no-syn";
	switch (ct_get(ct, &f->side[FLOW_CLIENT], &f->side[FLOW_SERVER], &e)) {
	case 0:
		return l3_adopt_entry(f, &e);
	case -ENOENT:
		return "not-tracked";
	}
	return "recall";
}
