/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * offload.c - how the records of offloaded flows end
 *
 * See the header for the model. An event names the connection by its addresses,
 * and the record that has them now may be a younger connection's: the tracker
 * removes an old entry when a new SYN reuses it, and its event is read beside the
 * SYN. So an end that concerns a record younger than OFFLOAD_YOUNG_MS is not
 * believed; no entry goes so soon by itself, and what is missed is found by looking.
 */
#include "l3/offload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/worker.h"
#include "l3/ct.h"
#include "l3/l3.h"

#define OFFLOAD_OLD_MS 60000   /* from this age on a record is looked up less often */
#define OFFLOAD_YOUNG_MS 1000
#define OFFLOAD_EVENTS 256     /* messages read in one go: half a millisecond */
#define OFFLOAD_READ_MS 100
#define OFFLOAD_READS 40       /* in a row, for a command */
#define OFFLOAD_REJUDGE 50     /* flows judged again in one go, 10 to 20 us each */
#define OFFLOAD_REJUDGE_PASS 5000 /* and passed over */
#define OFFLOAD_REJUDGE_MS 5
#define OFFLOAD_ROUND_MS 20
#define OFFLOAD_LOOKS_CALM 2   /* per round: 100/s, 0.1 % of a core */
#define OFFLOAD_LOOKS_PRESSED 80 /* 4000/s, in pieces of less than a millisecond */
#define OFFLOAD_LOST_MS 60000  /* how long after a loss there is more to look for */

#define OFFLOAD_SYSCTL "net/netfilter/nf_conntrack_events"

/* ---- looking ---- */

static bool offload_scarce(uint64_t used, uint64_t max)
{
	return max && used > max / 2;
}

static bool offload_pressed(struct gateway *gw)
{
	const struct l3 *l3 = gw->l3;
	const struct offload *o = &l3->offload;

	return !o->ev || (o->lost_ms && clock_ms(l3->w) - o->lost_ms < OFFLOAD_LOST_MS) ||
	       offload_scarce(l3->flows.count, l3->flows.max) || offload_scarce(gw->flows, gw->conf->maxflows);
}

bool offload_may_look(struct gateway *gw, uint64_t *at)
{
	struct offload *o = &gw->l3->offload;
	uint64_t now = clock_ms(gw->l3->w);

	if (!gw->l3->ct)
		return true; /* nobody to ask: what it says is no */
	if (now - o->round_ms >= OFFLOAD_ROUND_MS) {
		o->round_ms = now;
		o->looks_left = offload_pressed(gw) ? OFFLOAD_LOOKS_PRESSED : OFFLOAD_LOOKS_CALM;
	}
	*at = o->round_ms + OFFLOAD_ROUND_MS;
	if (o->looks_left == 0)
		return false;
	o->looks_left--;
	return true;
}

static bool offload_ended(uint8_t tcp_state)
{
	return tcp_state == TCP_CONNTRACK_TIME_WAIT || tcp_state == TCP_CONNTRACK_CLOSE;
}

bool offload_reset(struct flow *f)
{
	struct l3 *l3 = f->gw->l3;
	struct ct_entry e;

	return l3->ct && ct_get(l3->ct, &f->side[FLOW_CLIENT], &f->side[FLOW_SERVER], &e) == 0 && e.tcp_state == TCP_CONNTRACK_CLOSE;
}

void offload_look(struct flow *f)
{
	struct l3 *l3 = f->gw->l3;
	struct ct_entry e;
	int rc;

	l3->offload.looks++;
	rc = l3->ct ? ct_get(l3->ct, &f->side[FLOW_CLIENT], &f->side[FLOW_SERVER], &e) : -ENOENT;
	if (rc == -ENOENT || (rc == 0 && offload_ended(e.tcp_state)))
		l3_flow_gone(f, "offloaded");
	else
		flow_set_timer(f, clock_ms(l3->w) - f->created_ms > OFFLOAD_OLD_MS ? FLOW_TMR_OFFLOAD_OLD : FLOW_TMR_OFFLOAD);
}

/* ---- events ---- */

void offload_gone(void *arg, const struct ct_entry *gone)
{
	struct l3 *l3 = arg;
	struct flow *f;
	int d;

	l3->offload.events++;
	/* the addresses that it was forwarded with: behind DNAT, before SNAT */
	f = flow_lookup(&l3->flows, &gone->src, &gone->reply_src, &d);
	if (!f || f->state != FLOW_ST_OFFLOADED)
		return;
	if (gone->tcp_state == TCP_CONNTRACK_ESTABLISHED)
		flow_set_timer(f, FLOW_TMR_IDLE);
	else if (gone->tcp_state != TCP_CONNTRACK_NONE && /* unknown: the next look finds nothing */
		 clock_ms(l3->w) - f->created_ms >= OFFLOAD_YOUNG_MS)
		l3_flow_gone(f, "offloaded");
}

/* Of which gateway? Interfaces are not known, so there is one only (steering.c). */
static struct gateway *offload_owner(struct l3 *l3, const struct ct_entry *e)
{
	struct gateway *gw;

	list_for_each(gw, &l3->gateways, node)
		if (!gw->removed && gateway_matches(gw, &e->src, &e->reply_src, 0, 0) > 0)
			return gw;
	return NULL;
}

/* Nothing of it will come; of what was told of its addresses before, nothing holds any more. */
static void offload_replaced(struct flow *f)
{
	struct l3 *l3 = f->gw->l3;
	bool sockets = flow_border(f) || f->sockets;

	if (sockets && l3->ct) /* what they sent last has changed the new connection's class */
		ct_set_mark(l3->ct, &f->side[FLOW_CLIENT], &f->side[FLOW_SERVER], mark_bits(l3->mark_mask, MARK_OFFLOADED),
			    l3->mark_mask);
	l3_flow_gone(f, "reused");
}

void offload_born(struct l3 *l3, const struct ct_entry *e)
{
	struct gateway *gw = offload_owner(l3, e);
	struct flow *f;
	int d;

	/* entries that begin in the middle are known: given over, or found again after a flush */
	if (e->tcp_state != TCP_CONNTRACK_SYN_SENT || !gw || l3->w->stopping)
		return;
	f = flow_lookup(&l3->flows, &e->src, &e->reply_src, &d);
	if (f && f->state == FLOW_ST_OFFLOADED && (f->trk.side[FLOW_CLIENT].f & SEQTRK_F_SYN) &&
	    clock_ms(l3->w) - f->created_ms < OFFLOAD_YOUNG_MS)
		return; /* its SYN was queued, and made the entry */
	if (f)
		offload_replaced(f);
	if ((gw->conf->maxflows && gw->flows >= gw->conf->maxflows) ||
	    !(f = flow_new(&l3->flows, gw, &e->src, &e->reply_src))) {
		gw->overflow++;
		return;
	}
	seqtrk_init_blind(&f->trk, e->src.family == AF_INET6);
	f->foreign_mark = mark_foreign(e->mark, l3->mark_mask);
	f->mark_class = MARK_OFFLOADED;
	l3_offload(f);
	if (l3->steering) /* the rules that made it the kernel's are being changed */
		l3_rejudge(f);
}

static void offload_event(void *arg, const struct ct_entry *e, bool gone)
{
	if (gone)
		offload_gone(arg, e);
	else
		offload_born(arg, e);
}

void offload_seen(struct flow *f)
{
	if (f->timer == FLOW_TMR_IDLE)
		flow_set_timer(f, FLOW_TMR_OFFLOAD);
}

void offload_begun(struct l3 *l3)
{
	if (l3->offload.ev)
		l3_arm(l3, clock_ms(l3->w) + OFFLOAD_READ_MS);
}

static int offload_events_read(struct offload *o, uint64_t now)
{
	int n = ct_events_read(o->ev, OFFLOAD_EVENTS);

	if (n == -ENOBUFS) {
		o->lost++;
		o->lost_ms = now;
	}
	return n;
}

void offload_read(struct l3 *l3)
{
	unsigned i;

	if (!l3)
		return;
	for (i = 0; l3->offload.news && i < OFFLOAD_READS; i++)
		if (offload_events_read(&l3->offload, clock_ms(l3->w)) < OFFLOAD_EVENTS)
			break;
	flow_reap(&l3->flows);
}

/* The first in a while: others will follow, and are read together. */
static void offload_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct l3 *l3 = io->data;

	ev_io_stop(loop, io);
	l3->offload.read_ms = clock_ms(l3->w) + OFFLOAD_READ_MS;
	l3_arm(l3, l3->offload.read_ms);
}

static uint64_t offload_events_tick(struct l3 *l3)
{
	struct offload *o = &l3->offload;
	uint64_t now = clock_ms(l3->w);
	int n;

	if (!o->ev)
		return UINT64_MAX;
	if (now < o->read_ms)
		return o->read_ms;
	if (o->news && ev_is_active(&o->io))
		return UINT64_MAX;
	n = offload_events_read(o, now);
	if (o->news && n >= 0 && n < OFFLOAD_EVENTS) {
		ev_io_start(l3->w->loop, &o->io);
		return UINT64_MAX;
	}
	/* more is there: at once, but let others run */
	o->read_ms = now + (n >= OFFLOAD_EVENTS || n < 0 ? 1 : OFFLOAD_READ_MS);
	return n > 0 || l3->flows.offloaded ? o->read_ms : UINT64_MAX;
}

/* ---- changed rules ---- */

void offload_rejudge(struct l3 *l3)
{
	struct offload *o = &l3->offload;

	o->rejudge_at = 0;
	o->rejudging = true;
	l3_arm(l3, clock_ms(l3->w));
}

static void offload_rejudge_over(struct l3 *l3)
{
	struct gateway *gw;

	l3->offload.rejudging = false;
	list_for_each(gw, &l3->gateways, node)
		gw->rejudge = false;
}

/* Some of them. True: all are done. */
static bool offload_rejudge_some(struct l3 *l3)
{
	unsigned looked, asked = 0;

	for (looked = 0; looked < OFFLOAD_REJUDGE_PASS && asked < OFFLOAD_REJUDGE; looked++) {
		struct flow *f = flow_next(&l3->flows, &l3->offload.rejudge_at);

		if (!f)
			return true;
		if (f->state != FLOW_ST_OFFLOADED || !f->gw->rejudge)
			continue;
		asked++;
		l3_rejudge(f);
	}
	return false;
}

static uint64_t offload_rejudge_tick(struct l3 *l3)
{
	if (!l3->offload.rejudging)
		return UINT64_MAX;
	if (!offload_rejudge_some(l3))
		return clock_ms(l3->w) + OFFLOAD_REJUDGE_MS;
	offload_rejudge_over(l3);
	return UINT64_MAX;
}

uint64_t offload_tick(struct l3 *l3)
{
	uint64_t events = offload_events_tick(l3), rejudge = offload_rejudge_tick(l3);

	return MIN(events, rejudge);
}

/* ---- life ---- */

/* Does the tracker tell at all? An entry made while nobody listens has no events, and the others none with the sysctl
 * at 0; 1 is always, 2 with a listener. */
static bool offload_sysctl(void)
{
	char c = '1';
	int fd = open("/proc/sys/" OFFLOAD_SYSCTL, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return true;
	if (read(fd, &c, 1) != 1)
		c = '1';
	close(fd);
	return c != '0';
}

void offload_open(struct l3 *l3, struct diag *d)
{
	struct offload *o = &l3->offload;
	int rc;

	if (!offload_sysctl()) {
		diag_warn(d, NULL, 0, "gateway : %s is 0: ends of offloaded flows are found by looking for them",
			  "net.netfilter.nf_conntrack_events");
		return;
	}
	rc = ct_events_open(&o->ev, mark_bits(l3->mark_mask, MARK_OFFLOADED), mark_bits(l3->mark_mask, MARK_CLASS),
			    offload_event, l3);
	if (rc < 0) {
		diag_warn(d, NULL, 0, "gateway : events of the connection tracker: %s; ends of offloaded flows are found by looking for them",
			  strerror(-rc));
		return;
	}
}

bool offload_news_possible(const struct l3 *l3)
{
	return l3 && l3->offload.ev && l3->w->loop;
}

void offload_news(struct l3 *l3, bool on)
{
	struct offload *o = &l3->offload;

	if (!o->ev || o->news == on)
		return;
	ct_events_news(o->ev, on);
	o->news = on;
	ev_io_stop(l3->w->loop, &o->io);
	if (on) {
		ev_io_init(&o->io, offload_readable, ct_events_fd(o->ev), EV_READ);
		o->io.data = l3;
		ev_io_start(l3->w->loop, &o->io);
	} else {
		l3_arm(l3, clock_ms(l3->w));
	}
}

void offload_close(struct l3 *l3)
{
	if (l3->offload.ev && l3->w->loop)
		ev_io_stop(l3->w->loop, &l3->offload.io);
	if (l3->offload.rejudging)
		offload_rejudge_over(l3);
	if (l3->offload.ev)
		ct_events_close(&l3->offload.ev);
}
