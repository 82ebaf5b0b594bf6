/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hold.c - packets that wait without a verdict
 *
 * See the header for the model. Budgets: l3->held_flow_max bytes of one flow (the
 * largest window there is, about), l3->held_max of all; whoever cannot hold a packet lets everything go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/worker.h"
#include "l3/hold.h"
#include "l3/l3.h"

const char *const hold_why_name[] = { [HOLD_INSPECT] = "inspect", [HOLD_DRAIN] = "drain" };

int hold_start(struct flow *f, enum hold_why why)
{
	struct hold *h = flow_hold(f);

	if (!h) {
		h = flow_ext(f) ? pool_zalloc(f->gw->l3->hold_pool) : NULL;
		if (!h) {
			flow_ext_trim(f);
			return -ENOMEM;
		}
		list_init(&h->side[0]);
		list_init(&h->side[1]);
		h->f = f;
		h->total = &f->gw->l3->held_bytes;
		list_add_tail(&f->gw->l3->holds, &h->node);
		h->since_us = clock_us();
		f->ext->hold = h;
	}
	h->why = why;
	return 0;
}

/* The list position to insert behind, or NULL when the held ones cover <s> already. Usually at the end. */
static struct list *hold_place(struct hold *h, int d, const struct seg *s)
{
	struct list *head = &h->side[d], *pos;

	for (pos = head->prev; pos != head; pos = pos->prev) {
		const struct held *e = list_entry(pos, struct held, node);

		if (seq_le(e->s.seq, s->seq)) {
			if (seq_ge(seg_end(&e->s), seg_end(s)))
				return NULL;
			break;
		}
	}
	return pos;
}

int hold_add(struct visit *v)
{
	struct hold *h = flow_hold(v->f);
	struct list *pos;
	struct held *e;

	if (!seg_is_whole(&v->s))
		return -EMSGSIZE;
	pos = hold_place(h, v->d, &v->s);
	if (!pos) {
		l3_drop(v);
		return 0;
	}
	if (h->bytes + v->p->len > v->l3->held_flow_max || *h->total + v->p->len > v->l3->held_max)
		return -ENOSPC;
	e = malloc(sizeof(*e) + v->p->len);
	if (!e)
		return -ENOMEM;
	e->q = v->q;
	e->p = *v->p;
	e->p.data = e->copy;
	e->s = v->s;
	e->s.pkt = e->copy;
	e->at_us = clock_us();
	memcpy(e->copy, v->p->data, v->p->len);
	list_insert_(&e->node, pos, pos->next);
	h->count++;
	h->bytes += e->p.len;
	*h->total += e->p.len;
	v->judged = true;
	trace_packet(v, "held");
	return 0;
}

/* Payload in one piece: a view while it is one packet's, else collected. */
struct hold_sink {
	struct str run;
	unsigned pieces;
	struct buf *scratch;
};

static bool hold_collect(struct hold_sink *k, const char *p, size_t n)
{
	if (k->pieces++ == 0) {
		k->run = str_n(p, n);
		return true;
	}
	if (k->pieces == 2) {
		buf_reset(k->scratch);
		if (!buf_put_try(k->scratch, k->run.p, k->run.n))
			return false;
	}
	if (!buf_put_try(k->scratch, p, n))
		return false;
	k->run = buf_str(k->scratch);
	return true;
}

int hold_payload(struct flow *f, int d, uint32_t seq, struct str *run, bool *fin)
{
	struct hold_sink k = { .scratch = &f->gw->l3->scratch };
	struct hold *h = flow_hold(f);
	struct held *e;

	*fin = false;
	*run = STR_NULL;
	if (!h)
		return 0;
	list_for_each(e, &h->side[d], node) {
		struct str pl = seg_payload(&e->s);
		uint32_t start = seg_data_seq(&e->s), end = start + (uint32_t)pl.n;

		if (seq_gt(start, seq))
			break;
		if (seq_gt(end, seq)) {
			uint32_t skip = seq - start;

			if (!hold_collect(&k, pl.p + skip, pl.n - skip))
				return -ENOMEM;
			seq = end;
		}
		if ((e->s.flags & SEG_FIN) && end == seq)
			*fin = true;
	}
	*run = k.run;
	return 0;
}

bool hold_uses(const struct hold *h, const struct pktq *q)
{
	struct held *e;
	int d;

	for (d = 0; h && d < 2; d++)
		list_for_each(e, &h->side[d], node)
			if (e->q == q)
				return true;
	return false;
}

bool hold_pop(struct flow *f, int d, struct visit *v, struct held **out)
{
	struct hold *h = flow_hold(f);
	struct held *e = h ? list_first(&h->side[d], struct held, node) : NULL;

	if (!e)
		return false;
	list_del(&e->node);
	h->count--;
	h->bytes -= e->p.len;
	*h->total -= e->p.len;
	h->longest_us = MAX(h->longest_us, clock_us() - e->at_us);
	if (h->count == 0) {
		gateway_stall(f, hold_why_name[h->why], h->longest_us);
		h->longest_us = 0;
	}
	*v = (struct visit){ .l3 = f->gw->l3, .q = e->q, .p = &e->p, .s = e->s, .f = f, .d = d };
	*out = e;
	return true;
}

void hold_done(struct held *h)
{
	pktq_free_later(h->q, &h->mem);
}

static void hold_release(struct flow *f, void (*fn)(struct visit *v))
{
	struct visit v;
	struct held *h;
	int d;

	for (d = 0; d < 2; d++)
		while (hold_pop(f, d, &v, &h)) {
			fn(&v);
			hold_done(h);
		}
	hold_over(f);
}

void hold_forward(struct flow *f)
{
	hold_release(f, l3_pass);
}

void hold_drop(struct flow *f)
{
	hold_release(f, l3_drop);
}

void hold_over(struct flow *f)
{
	if (!flow_hold(f))
		return;
	hold_free(&f->ext->hold);
	flow_ext_trim(f);
}

void hold_free(struct hold **h)
{
	if (!*h)
		return;
	list_del(&(*h)->node);
	pool_free((*h)->f->gw->l3->hold_pool, *h);
	*h = NULL;
}
