/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stream_timer.c - every timeout of a stream on one timer
 *
 * Reading and writing only note the time. The timer is moved when something
 * becomes due before it would fire; otherwise it fires too early, finds nothing
 * due and is set again: a busy stream costs a timer operation a timeout, not
 * one a byte.
 */
#include <errno.h>

#include "core/clock.h"
#include "l7/stream_priv.h"

enum due { DUE_NONE, DUE_STATE, DUE_RULES, DUE_CLIENT, DUE_SERVER, DUE_PARK };

struct deadline {
	uint64_t at; /* 0: none */
	enum due what;
};

static void deadline_add(struct deadline *d, uint64_t from, unsigned ms, enum due what)
{
	if (ms && (!d->at || from + ms < d->at))
		*d = (struct deadline){ from + ms, what };
}

static uint64_t side_last(const struct stream *s, int d)
{
	return MAX(MAX(s->side[d].read_ms, s->side[d].write_ms), s->state_ms);
}

static unsigned side_timeout(const struct stream *s, int d)
{
	const struct px_cfg *px = d == 0 ? s->fe_cfg : s->be_cfg;
	bool tunnel = s->st == STREAM_XFER && (!s->txn || s->txn->res_st == RES_TUNNEL);
	bool half = ((s->side[0].flags | s->side[1].flags) & (SIDE_EOF | SIDE_SHUT)) && tunnel;
	unsigned fin;

	if (!px)
		return 0;
	fin = d == 0 ? px->to_client_fin : px->to_server_fin;
	if (half && fin)
		return fin;
	if (tunnel && s->be_cfg && s->be_cfg->to_tunnel)
		return s->be_cfg->to_tunnel;
	return d == 0 ? px->to_client : px->to_server;
}

/* Is something expected from side d, or waiting to be taken by it? */
static bool side_expected(const struct stream *s, int d)
{
	const struct side *sd = &s->side[d];
	const struct txn *t = s->txn;
	bool reading = !(sd->flags & (SIDE_EOF | SIDE_ERR)) && side_room(s, d);

	if (side_pending_out(s, d))
		return true;
	if (!t || t->res_st == RES_TUNNEL)
		return reading;
	if (d == 0)
		return reading && t->req_st == REQ_BODY;
	return reading && (t->res_st == RES_BODY || (t->res_st == RES_HEAD && t->req_st == REQ_DONE));
}

static unsigned idle_timeout(const struct stream *s)
{
	const struct px_cfg *fe = s->fe_cfg;

	if (s->requests == 0)
		return fe->to_http_req ? fe->to_http_req : fe->to_client;
	return fe->to_ka ? fe->to_ka : fe->to_http_req ? fe->to_http_req : fe->to_client;
}

static struct deadline stream_deadline(const struct stream *s)
{
	const struct px_cfg *fe = s->fe_cfg;
	struct deadline d = { 0 };

	if (s->wait_ms)
		deadline_add(&d, s->state_ms, s->wait_ms, DUE_STATE);
	if (s->rule_wait_ms > 1)
		deadline_add(&d, s->rule_wait_ms - 1, 1, DUE_RULES);
	switch (s->st) {
	case STREAM_HELLO:
		deadline_add(&d, s->state_ms, fe->to_http_req && s->is_http ? fe->to_http_req : fe->to_client, DUE_STATE);
		break;
	case STREAM_CONTENT:
		deadline_add(&d, side_last(s, 0), fe->to_client, DUE_CLIENT);
		break;
	case STREAM_IDLE:
		deadline_add(&d, s->state_ms, idle_timeout(s), DUE_STATE);
		if (auto_demote_due(s))
			deadline_add(&d, auto_demote_due(s) - 1, 1, DUE_PARK);
		break;
	case STREAM_HEAD:
		deadline_add(&d, s->requests <= 1 ? s->start_ms : s->state_ms, fe->to_http_req, DUE_CLIENT);
		deadline_add(&d, side_last(s, 0), fe->to_client, DUE_CLIENT);
		break;
	case STREAM_XFER:
		if (side_expected(s, 0))
			deadline_add(&d, side_last(s, 0), side_timeout(s, 0), DUE_CLIENT);
		if (conn_is_open(&s->side[1].conn) && side_expected(s, 1))
			deadline_add(&d, side_last(s, 1), side_timeout(s, 1), DUE_SERVER);
		break;
	default:
		break;
	}
	return d;
}

static void stream_due(struct stream *s, enum due what)
{
	struct txn *t = s->txn;

	if (what == DUE_RULES) {
		s->rule_wait_ms = 1; /* over: they decide with what is here */
		return;
	}
	if (what == DUE_PARK) {
		auto_demote_park(s);
		return;
	}
	switch (s->st) {
	case STREAM_HELLO:
		s->log.done = true;
		stream_end(s);
		break;
	case STREAM_CONTENT:
		stream_term(s, 'c', 'R');
		stream_end(s);
		break;
	case STREAM_IDLE:
		http_idle_timeout(s);
		break;
	case STREAM_HEAD:
		http_request_timeout(s);
		break;
	case STREAM_QUEUE:
		backend_queue_timeout(s);
		break;
	case STREAM_CONNECT:
		backend_conn_failed(s, -ETIMEDOUT);
		break;
	case STREAM_TURN:
		backend_turn_end(s);
		break;
	case STREAM_XFER:
		if (what == DUE_STATE)
			s->wait_ms = 0, s->fin_judged = true;
		else if (t && t->res_st != RES_TUNNEL)
			http_xfer_timeout(s, what == DUE_CLIENT ? 0 : 1);
		else
			tcp_timeout(s, what == DUE_CLIENT ? 0 : 1);
		break;
	case STREAM_LINGER:
		stream_end(s);
		break;
	default:
		break;
	}
}

static void stream_timer_cb(struct ev_loop *loop, ev_timer *ev, int revents)
{
	struct stream *s = container_of(ev, struct stream, timer);
	struct deadline d;

	s->timer_at = 0;
	d = stream_deadline(s);
	if (d.at && d.at <= stream_now(s))
		stream_due(s, d.what);
	stream_process(s);
}

void stream_timer_update(struct stream *s)
{
	struct deadline d = stream_deadline(s);
	uint64_t now = stream_now(s);
	struct ev_loop *loop = s->l7->w->loop;

	if (!d.at || (s->timer_at && s->timer_at <= d.at))
		return;
	ev_timer_stop(loop, &s->timer);
	s->timer_at = MAX(d.at, now + 1);
	ev_timer_set(&s->timer, (double)(s->timer_at - now) / 1000., 0.);
	ev_timer_start(loop, &s->timer);
}

void stream_timer_stop(struct stream *s)
{
	if (ev_is_active(&s->timer))
		ev_timer_stop(s->l7->w->loop, &s->timer);
	ev_init(&s->timer, stream_timer_cb);
	s->timer_at = 0;
}
