/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stream_tcp.c - mode tcp: look at the first bytes, choose a backend, then relay
 *
 * Relaying is the same for tunnels that began as HTTP (an upgrade, CONNECT). An
 * end of one side is passed on once everything before it was sent; the stream
 * ends when both have ended.
 *
 * An `app@` server's FIN or reset is held until its endpoint has had the time
 * to tell that the instance died: a stream cut by a death must not look as if
 * it had ended well (doc/internals/l7.md).
 */
#include <errno.h>

#include "core/clock.h"
#include "l7/stream_priv.h"

enum act_ret stream_run_rules(struct stream *s, const struct rule_set *rs)
{
	struct policy_ctx *ctx;

	if (!rs->count)
		return ACT_RET_CONT;
	ctx = stream_ctx(s);
	return rule_set_run(rs, ctx, &s->rule_from, NULL);
}

/* Rules wait for bytes: until when? false when the time is over. */
bool stream_rules_wait(struct stream *s, unsigned delay_ms)
{
	if (s->rule_wait_ms == 1)
		return false;
	if (!s->rule_wait_ms)
		s->rule_wait_ms = stream_now(s) + delay_ms;
	return true;
}

static void tcp_reject(struct stream *s)
{
	s->fe->c[PX_FE].denied_req++;
	stream_term(s, 'P', 'R');
	stream_end(s);
}

/* One rule set on what has come so far; true: decided, in *ret. */
static bool tcp_content_rules(struct stream *s, const struct px_cfg *px, enum act_ret *ret)
{
	struct side *c = &s->side[0];
	bool over = (c->flags & SIDE_EOF) || !side_room(s, 0) || !px->inspect_ms || s->rule_wait_ms == 1;

	s->rule_wait_ms = over ? 1 : s->rule_wait_ms;
	*ret = stream_run_rules(s, &px->tcp_req);
	if (*ret == ACT_RET_WAIT) {
		stream_rules_wait(s, px->inspect_ms);
		return over;
	}
	return true;
}

bool tcp_content(struct stream *s)
{
	enum act_ret ret;

	if (s->rule_phase == RULES_TCP_CONN) {
		if (!tcp_content_rules(s, s->fe_cfg, &ret))
			return false;
		if (ret == ACT_RET_DONE || ret == ACT_RET_ERR) {
			if (s->st != STREAM_DEAD)
				tcp_reject(s);
			return true;
		}
		s->rule_phase = RULES_BE_TCP;
		s->rule_from = NULL;
		s->rule_wait_ms = 0;
		s->log.t_request = (int64_t)(stream_now(s) - s->log.accept_ms);
		if (!backend_choose(s))
			return true;
	}
	if (s->rule_phase == RULES_BE_TCP && s->be_cfg != s->fe_cfg && s->be_cfg->tcp_req.count) {
		if (!tcp_content_rules(s, s->be_cfg, &ret))
			return false;
		if (ret == ACT_RET_DONE || ret == ACT_RET_ERR) {
			if (s->st != STREAM_DEAD)
				tcp_reject(s);
			return true;
		}
	}
	s->rule_phase = RULES_TCP_CONN;
	s->rule_from = NULL;
	s->rule_wait_ms = 0;
	stick_request(s);
	backend_assign(s);
	return true;
}

/* ---- relaying ---- */

/* Did the generation that this stream is connected to end? */
static bool stream_gen_dead(const struct stream *s)
{
	return s->conn_srv && s->conn_srv->ep && s->conn_srv->generation != s->conn_gen;
}

bool stream_hold_fin(struct stream *s)
{
	if (!s->conn_srv || !s->conn_srv->ep || s->fin_judged)
		return false;
	if (stream_gen_dead(s)) {
		s->fin_judged = true;
		return false;
	}
	if (!s->hold_fin) {
		s->hold_fin = true;
		s->state_ms = stream_now(s);
		s->wait_ms = ENDPOINT_SUSPECT_MS;
		list_del(&s->sus_node);
		list_add_tail(&s->conn_srv->suspects, &s->sus_node);
	}
	return true;
}

/* The server broke, or its instance died: the client must not take this for an end. */
static void tcp_server_broke(struct stream *s)
{
	stream_term(s, 'S', s->txn && s->txn->res_st == RES_HEAD ? 'H' : 'D');
	if (s->be)
		s->be->c[PX_BE].srv_aborts++;
	if (s->srv)
		s->srv->c.srv_aborts++;
	s->side[0].conn.no_linger = true;
	stream_end(s);
}

static bool tcp_rules_res(struct stream *s)
{
	enum act_ret ret;

	if (!s->be_cfg || !s->be_cfg->tcp_res.count || s->txn || s->log.t_data >= 0 || !s->side[1].rx.data)
		return true;
	ret = stream_run_rules(s, &s->be_cfg->tcp_res);
	if (ret == ACT_RET_WAIT && side_room(s, 1) && !(s->side[1].flags & SIDE_EOF) && s->be_cfg->res_inspect_ms &&
	    stream_rules_wait(s, s->be_cfg->res_inspect_ms))
		return false;
	s->rule_wait_ms = 0;
	if (ret == ACT_RET_DONE || ret == ACT_RET_ERR) {
		if (s->st != STREAM_DEAD) {
			stream_term(s, 'P', 'D');
			stream_end(s);
		}
		return false;
	}
	return s->st != STREAM_DEAD;
}

/* Everything that arrived may pass. */
static bool tcp_approve(struct stream *s, int d)
{
	struct side *sd = &s->side[d];

	if (sd->fwd == sd->rx.data)
		return false;
	if (d == 0)
		s->log.bytes_in += sd->rx.data - sd->fwd;
	sd->fwd = sd->rx.data;
	return true;
}

static bool tcp_pass_end(struct stream *s, int d)
{
	struct side *from = &s->side[d], *to = &s->side[!d];

	if (!(from->flags & SIDE_EOF) || (to->flags & (SIDE_SHUT | SIDE_SHUT_SOON)))
		return false;
	if (d == 1 && stream_hold_fin(s))
		return false;
	to->flags |= SIDE_SHUT_SOON;
	return true;
}

bool tcp_xfer(struct stream *s)
{
	struct side *c = &s->side[0], *srv = &s->side[1];
	bool moved = false;

	if ((srv->flags & SIDE_ERR) && !srv->rx.data && !splice_held(s, 1)) {
		if (!stream_hold_fin(s)) {
			tcp_server_broke(s);
			return true;
		}
		return false;
	}
	if (s->fin_judged && stream_gen_dead(s) && !srv->rx.data && !side_pending_out(s, 0)) {
		tcp_server_broke(s);
		return true;
	}
	if (!tcp_rules_res(s))
		return s->st == STREAM_DEAD;
	if (!s->txn && (srv->rx.data || !stick_waits(s)))
		stick_response(s);
	if (srv->rx.data && s->log.t_data < 0)
		s->log.t_data = (int64_t)(stream_now(s) - s->log.accept_ms);
	for (int d = 0; d < 2; d++) {
		moved |= tcp_approve(s, d);
		moved |= tcp_pass_end(s, d);
	}
	if ((c->flags & SIDE_SHUT) && (srv->flags & (SIDE_SHUT | SIDE_ERR))) {
		stream_end(s);
		return true;
	}
	return moved;
}

void tcp_timeout(struct stream *s, int d)
{
	stream_term(s, d == 0 ? 'c' : 's', 'D');
	stream_end(s);
}
