/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l3_gateway.h - a gateway on a fake queue and a fake clock: segment in, verdict out
 *
 * The real flow, turn, decide and path code with a real configuration; the kernel's queue, the raw
 * sockets and border are replaced by what writes down what it was asked for.
 */
#ifndef L3_GATEWAY_H
#define L3_GATEWAY_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/worker.h"
#include "l3/hold.h"
#include "l3/inject.h"
#include "l3/l3.h"
#include "l3_pkt.h"

#define GT_ISN 1000u
#define GT_SISN 5000u

struct gt_verdict {
	uint32_t id;
	enum pktq_action action;
	int req;            /* class asked for with MARK_REQ; -1: none */
	bool local;
	uint32_t len;       /* of the replacement; 0: none */
	uint32_t mark;      /* others' bits; 0 when none was set */
};

static struct worker gt_w;
static struct l3 *gt_l3;
static struct gateway *gt_gw;
static struct epoch *gt_ep;
static struct gt_verdict gt_v[256];
static unsigned gt_nv, gt_id;
static uint8_t gt_times[65536]; /* how many verdicts a packet got, by id */
static struct seg gt_sent[64]; /* injected; pkt is not valid */
static unsigned gt_nsent, gt_nlocal; /* in all; of these to sockets */
static char gt_promoted[64];   /* frontend that border was asked for; "" none */
static const char *gt_refuse;  /* what border answers */

UNUSED static void gt_sink(struct pktq *q, const struct pktq_verdict *v)
{
	unsigned val = v->set_mark ? mark_get(v->mark, MARK_MASK_DEFAULT) : 0;

	gt_times[v->ref.id % ARRAY_SIZE(gt_times)]++;
	gt_v[gt_nv++ % ARRAY_SIZE(gt_v)] = (struct gt_verdict){ .id = v->ref.id, .action = v->action, .len = v->data ? v->len : 0,
					     .req = mark_is_req(val) ? (int)mark_req_class(val) : -1,
					     .mark = v->set_mark ? mark_foreign(v->mark, MARK_MASK_DEFAULT) : 0,
					     .local = val == MARK_LOCAL };
}

UNUSED static void gt_inject(void *arg, bool local, const void *pkt, uint32_t len)
{
	gt_nlocal += local;
	cr_assert_eq(seg_parse(&gt_sent[gt_nsent++ % ARRAY_SIZE(gt_sent)], (void *)pkt, len, len), SEG_OK);
}

static const char *gt_promote(struct flow *f, const char *fe, enum gateway_else els)
{
	snprintf(gt_promoted, sizeof(gt_promoted), "%s", fe);
	if (!gt_refuse && flow_hold(f))
		flow_hold(f)->why = HOLD_DRAIN; /* border's from here on */
	return gt_refuse;
}

UNUSED static void gt_border_packet(struct visit *v)
{
	hold_add(v);
}

UNUSED static void gt_batch_end(struct pktq *q, bool drained)
{
}

UNUSED static void gt_flow(struct flow *f)
{
}

static const struct l3_border_ops gt_border = {
	.promote = gt_promote, .packet = gt_border_packet, .timeout = gt_flow, .batch_end = gt_batch_end,
	.kill = gt_flow, .release = gt_flow,
};

UNUSED static void gt_up(const char *lines)
{
	char path[] = "/tmp/l3-unit-XXXXXX", *files[] = { path };
	int fd = mkstemp(path);
	struct diag d;
	struct l3_conf *lc;

	dprintf(fd, "defaults\n timeout client 9s\n timeout server 9s\n timeout connect 9s\nfrontend fe_in\n mode http\n default_backend be\nbackend be\n mode http\n option transparent\n"
		    "gateway gw\n match dport 80\n%s\n", lines);
	close(fd);
	diag_init(&d);
	gt_ep = epoch_build(files, 1, &d);
	unlink(path);
	if (!gt_ep)
		diag_print(&d);
	cr_assert(gt_ep);
	diag_free(&d);
	cr_assert_eq(worker_init(&gt_w), 0);
	gt_w.now_ms = 1000000;
	cr_assert_eq(l3_worker_init(&gt_w), 0);
	gt_l3 = gt_w.l3;
	gt_l3->border = &gt_border;
	gt_l3->inject = inject_fake(gt_inject, NULL);
	lc = epoch_part(gt_ep, &gateway_module);
	gt_gw = gateway_new(gt_l3, list_first(&lc->gateways, struct gateway_conf, node), gt_ep);
	gt_gw->q = calloc(1, sizeof(*gt_gw->q));
	pktq_open_fake(gt_gw->q, &gt_w, &l3_path_handler, gt_gw, gt_sink);
	list_add_tail(&gt_l3->queues, &gt_gw->q->node);
	list_add_tail(&gt_l3->gateways, &gt_gw->node);
	gt_nv = gt_nsent = gt_nlocal = gt_id = 0;
	memset(gt_times, 0, sizeof(gt_times));
	gt_promoted[0] = '\0';
	gt_refuse = NULL;
}

UNUSED static void gt_down(void)
{
	l3_worker_destroy(&gt_w);
	epoch_put(gt_ep);
	worker_destroy(&gt_w);
}

/* A packet into the queue; its id. */
UNUSED static uint32_t gt_in(const struct pkt *k, enum pktq_hook hook)
{
	static uint8_t buf[65536];
	struct pktq_pkt p = { .ref.id = ++gt_id, .family = AF_INET, .hook = (uint8_t)hook, .data = buf };

	p.len = p.full_len = pkt_make(buf, k);
	l3_path_handler.packet(gt_gw, gt_gw->q, &p);
	l3_path_handler.batch_end(gt_gw, gt_gw->q, true);
	pktq_flush(gt_gw->q);
	return p.ref.id;
}

UNUSED static uint32_t gt_c2s(uint32_t seq, uint32_t ack, uint8_t flags, const char *data)
{
	return gt_in(&(struct pkt){ .seq = seq, .ack = ack, .flags = flags, .win = 60000, .data = data,
				    .data_len = data ? (unsigned)strlen(data) : 0 }, PKTQ_HOOK_PREROUTING);
}

UNUSED static uint32_t gt_s2c(uint32_t seq, uint32_t ack, uint8_t flags, const char *data)
{
	return gt_in(&(struct pkt){ .reverse = true, .seq = seq, .ack = ack, .flags = flags, .win = 60000, .data = data,
				    .data_len = data ? (unsigned)strlen(data) : 0 }, PKTQ_HOOK_PREROUTING);
}

/* The verdict of packet <id>, or NULL while it is held. */
UNUSED static const struct gt_verdict *gt_got(uint32_t id)
{
	unsigned i;

	for (i = 0; i < gt_nv; i++)
		if (gt_v[i].id == id)
			return &gt_v[i];
	return NULL;
}

UNUSED static bool gt_passed(uint32_t id)
{
	const struct gt_verdict *v = gt_got(id);

	return v && v->action != PKTQ_DROP && !v->local;
}

UNUSED static bool gt_dropped(uint32_t id)
{
	return gt_got(id) && gt_got(id)->action == PKTQ_DROP;
}

UNUSED static bool gt_held(uint32_t id)
{
	return !gt_got(id);
}

UNUSED static uint32_t gt_syn(uint32_t isn)
{
	return gt_in(&(struct pkt){ .seq = isn, .flags = SEG_SYN, .win = 60000, PKT_OPT(PKT_MSS("\x05\xb4")) },
		     PKTQ_HOOK_FORWARD);
}

UNUSED static void gt_handshake(void)
{
	cr_assert(gt_passed(gt_syn(GT_ISN)));
	cr_assert(gt_passed(gt_in(&(struct pkt){ .reverse = true, .seq = GT_SISN, .ack = GT_ISN + 1, .flags = SEG_SYN | SEG_ACK,
						 .win = 60000, PKT_OPT(PKT_MSS("\x05\xb4")) }, PKTQ_HOOK_PREROUTING)));
	cr_assert(gt_passed(gt_c2s(GT_ISN + 1, GT_SISN + 1, SEG_ACK, NULL)));
}

UNUSED static struct flow *gt_flow_1(void)
{
	uint32_t at = 0;

	return flow_next(&gt_l3->flows, &at);
}

UNUSED static void gt_later(unsigned ms)
{
	gt_w.now_ms += ms;
	l3_tick(gt_l3);
	pktq_flush(gt_gw->q);
}

#endif
