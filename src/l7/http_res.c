/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * http_res.c - responses, and the end of a transaction
 *
 * The server's bytes are parsed where they lie in side[1].rx; heads are written
 * anew into side[0].tx, bodies pass as they came. Interim responses (1xx) pass
 * before; 101 and a successful CONNECT make a tunnel of the stream.
 *
 * A transaction is over when both halves are and the client was given all of it.
 * Then the line is logged and the next request may begin; what it leaves behind
 * is the server's connection, if that may be used again.
 */
#include <errno.h>

#include "core/bug.h"
#include "core/clock.h"
#include "l7/stream_priv.h"
#include "policy/sticktable.h"

/* ---- heads ---- */

static void http_res_bad(struct stream *s, char who)
{
	s->be->c[PX_BE].err_res++;
	if (s->srv)
		s->srv->c.err_res++;
	stk_tracks_event(s->tracks, STK_EV_FAILURE);
	stream_term(s, who, 'H');
	reply_error(s, 502);
}

static void http_count_response(struct stream *s, unsigned status)
{
	unsigned i = status / 100 >= 1 && status / 100 <= 5 ? status / 100 - 1 : 5;

	s->fe->c[PX_FE].hrsp[i]++;
	s->be->c[PX_BE].hrsp[i]++;
	if (s->srv)
		s->srv->c.hrsp[i]++;
}

static bool http_res_rules(struct stream *s, const struct px_cfg *px)
{
	enum act_ret ret;

	if (px->caps & PX_CAP_BE) {
		ret = stream_run_rules(s, &px->tcp_res);
		if (ret == ACT_RET_DONE)
			goto denied;
	}
	s->rule_from = NULL;
	ret = stream_run_rules(s, &px->http_res);
	s->rule_from = NULL;
	if (ret == ACT_RET_DONE)
		goto denied;
	if (ret == ACT_RET_ERR) {
		stream_term(s, 'I', 'H');
		reply_error(s, 500);
		return false;
	}
	return true;
denied:
	s->rule_from = NULL;
	if (s->txn && s->txn->res_st == RES_HEAD && s->st == STREAM_XFER) {
		s->be->c[PX_BE].denied_res++;
		stream_term(s, 'P', 'H');
		reply_error(s, 502);
	}
	return false;
}

/* 1xx but 101: told to those who can hear it, and the wait goes on. */
static bool http_interim(struct stream *s, size_t len)
{
	struct txn *t = s->txn;

	if (t->minor >= 1) {
		if (!side_need_tx(s, 0) || !h1_head_write(&t->res, &s->side[0].tx)) {
			if (side_pending_out(s, 0))
				return false; /* when there is room */
			http_res_bad(s, 'P');
			return true;
		}
	}
	side_consume(s, 1, len);
	t->scan = (struct h1_scan){ 0 };
	return true;
}

static void http_res_tunnel(struct stream *s)
{
	s->txn->res_st = RES_TUNNEL;
	s->txn->req_st = REQ_DONE;
	s->txn->close_client = s->txn->close_server = true;
}

/* What the response's head says about connections and body. */
static void http_res_facts(struct stream *s)
{
	struct txn *t = s->txn;
	struct http_head *h = &t->res;
	bool keep = h->minor >= 1 ? !(h->flags & HTTP_F_CONN_CLOSE) : !!(h->flags & HTTP_F_CONN_KAL);

	t->status = h->status;
	h1_body_init_res(&t->res_body, h, t->meth);
	if (!keep)
		t->close_server = true;
	if (t->close_server && (s->side[1].flags & SIDE_PSEUDO))
		t->close_client = true;
	if (t->res_body.kind == H1_BODY_CLOSE)
		t->close_client = t->close_server = true;
	if (t->req_st != REQ_DONE && t->expect100)
		t->close_client = true; /* it may or may not send the body now */
	if (s->l7->w->stopping)
		t->close_client = true;
	s->log.t_data = (int64_t)(stream_now(s) - s->log.accept_ms);
	http_count_response(s, h->status);
	stk_tracks_status(s->tracks, h->status);
}

static bool http_status_retry(const struct stream *s, unsigned status)
{
	for (unsigned i = 0; i < nb_retry_status; i++)
		if (retry_status[i] == status)
			return (s->be_cfg->retry_on & RETRY_SET) && (s->be_cfg->retry_on & RETRY_STATUS(i)) &&
			       s->txn->replayable && s->conn_retries > 0;
	return false;
}

static bool http_res_head_done(struct stream *s, size_t len)
{
	struct txn *t = s->txn;
	struct side *srv = &s->side[1];

	if (t->res.status < 200 && t->res.status != 101)
		return http_interim(s, len);
	if (t->res.status == 101 && !t->upgrade) {
		http_res_bad(s, 'P'); /* nobody asked: what follows would be taken for something else */
		return true;
	}
	if (http_status_retry(s, t->res.status)) {
		backend_empty(s, 0);
		return true;
	}
	side_keep_end(s);
	t->res.max_hdr = HTTP_HDR_CAP;
	http_res_facts(s);
	stick_response(s);
	if (!http_res_rules(s, s->be_cfg) || (s->fe_cfg != s->be_cfg && !http_res_rules(s, s->fe_cfg)))
		return true;
	http_edit_response(s);
	if (!side_need_tx(s, 0) || !h1_head_write(&t->res, &s->side[0].tx)) {
		s->be->c[PX_BE].rewrites_failed++;
		http_res_bad(s, 'P');
		return true;
	}
	side_consume(s, 1, len);
	t->res.nb_hdr = 0;
	srv->fwd = 0;
	if (t->res_body.kind == H1_BODY_TUNNEL)
		http_res_tunnel(s);
	else
		t->res_st = t->res_body.done || t->res_body.kind == H1_BODY_NONE ? RES_DONE : RES_BODY;
	return true;
}

static bool http_res_head(struct stream *s)
{
	struct txn *t = s->txn;
	struct side *srv = &s->side[1];
	bool ended = srv->flags & (SIDE_EOF | SIDE_ERR);
	ssize_t n;

	if (!srv->rx.data) {
		if (!ended)
			return false;
		backend_empty(s, srv->err ? -srv->err : 0);
		return true;
	}
	if (side_pending_out(s, 0) && buf_room(&s->side[0].tx) < s->side[0].tx.size / 2)
		return false; /* interim responses that the client has not taken yet */
	t->res.max_hdr = HTTP_HDR_CAP - HTTP_HDR_ADD;
	n = h1_head_parse(&t->scan, buf_head(&srv->rx), srv->rx.data, &t->res, NULL);
	if (n > 0 && http_head_fits(&srv->rx, n))
		return http_res_head_done(s, n);
	if (n == 0 && !ended && http_head_fits(&srv->rx, srv->rx.data))
		return false;
	if (n < 0 && (s->be_cfg->retry_on & RETRY_SET) && http_retry_ok(s, RETRY_JUNK) && s->conn_retries > 0) {
		backend_empty(s, 0);
		return true;
	}
	http_res_bad(s, n == 0 && ended ? 'S' : 'P');
	return true;
}

/* ---- bodies ---- */

/* The server's connection ended in the middle of the response. */
static void http_res_cut(struct stream *s)
{
	stream_term(s, 'S', 'D');
	s->be->c[PX_BE].srv_aborts++;
	if (s->srv)
		s->srv->c.srv_aborts++;
	stream_end(s);
}

/* No more bytes of a response that was not done. */
static bool http_res_ended(struct stream *s)
{
	struct txn *t = s->txn;
	struct side *srv = &s->side[1];

	if (!(srv->flags & (SIDE_EOF | SIDE_ERR)) || srv->rx.data > srv->fwd)
		return false;
	if (side_pending_out(s, 0))
		return false; /* first what came */
	if (t->res_body.kind == H1_BODY_CLOSE && !(srv->flags & SIDE_ERR) && !srv->conn.cut) {
		if (stream_hold_fin(s))
			return false;
		if (!s->conn_srv || !s->conn_srv->ep || s->conn_srv->generation == s->conn_gen) {
			t->res_st = RES_DONE;
			return true;
		}
	}
	http_res_cut(s);
	return true;
}

/* Framed wrongly: what came before still goes to the client, never an end. */
static bool http_res_body_bad(struct stream *s)
{
	s->txn->res_bad = true;
	if (side_pending_out(s, 0))
		return false;
	stream_term(s, 'P', 'D');
	s->be->c[PX_BE].err_res++;
	if (s->srv)
		s->srv->c.err_res++;
	stream_end(s);
	return true;
}

static bool http_res_body(struct stream *s)
{
	struct txn *t = s->txn;
	struct side *srv = &s->side[1];
	size_t have = srv->rx.data - srv->fwd;
	ssize_t n;

	if (t->res_st != RES_BODY)
		return false;
	if (t->res_bad)
		return http_res_body_bad(s);
	if (have) {
		n = h1_body_feed(&t->res_body, buf_head(&srv->rx) + srv->fwd, have);
		if (n < 0)
			return http_res_body_bad(s);
		srv->fwd += n;
		if (t->res_body.done)
			t->res_st = RES_DONE;
		if (n || t->res_st == RES_DONE)
			return true;
	}
	return http_res_ended(s);
}

/* ---- the end of a transaction ---- */

/* What may be used again stays open. */
static void http_server_rest(struct stream *s)
{
	struct side *srv = &s->side[1];

	if (conn_is_open(&srv->conn) &&
	    (s->txn->close_server || srv->rx.data || (srv->flags & (SIDE_EOF | SIDE_ERR | SIDE_SHUT)) || s->req_cut))
		side_close_server(s, false);
	/* a server that answered and closed early may have left some of the request unread */
	side_keep_end(s);
	side_drop_out(s, 1);
}

static void http_next(struct stream *s)
{
	stream_log_write(s);
	http_server_rest(s);
	stream_release_backend(s);
	stream_txn_end(s);
	stream_times_reset(s);
	s->req_cut = false;
	s->was_reused = false;
	s->hold_fin = s->fin_judged = false;
	if (!stream_set_epoch(s) && !s->pops) {
		s->log.done = true;
		stream_set_state(s, STREAM_LINGER);
		s->wait_ms = 1;
		return;
	}
	stream_set_state(s, STREAM_IDLE);
}

/* Nothing follows: FIN, and if the client may still be sending, let it read first: bytes that nobody read would turn
 * the close into a reset, which may take the answer with it (RFC 9112 9.6). Only who asked to close sends nothing. */
static void http_last(struct stream *s)
{
	struct side *c = &s->side[0];
	bool unread = c->rx.data || (c->flags & SIDE_MORE) || s->req_cut || !(s->txn->client_ends || s->pops);

	stream_log_write(s);
	stk_tracks_end_request(s->tracks);
	if (!(s->side[1].flags & SIDE_PSEUDO))
		side_close_server(s, false);
	stream_release_backend(s);
	if (!unread || (c->flags & SIDE_EOF)) {
		stream_end(s);
		return;
	}
	c->flags |= SIDE_SHUT_SOON;
	side_send(s, 0);
	stream_set_state(s, STREAM_LINGER);
	s->wait_ms = STREAM_LINGER_MS;
}

/* The response was passed whole. true: moved. */
void http_txn_close(struct stream *s)
{
	struct txn *t = s->txn;

	if (t->req_st != REQ_DONE) {
		/* an early response: the rest of the request has no reader any more */
		t->close_client = true;
		s->req_cut = true;
	}
	if (t->close_client || (s->side[0].flags & SIDE_EOF && !s->side[0].rx.data))
		http_last(s);
	else
		http_next(s);
}

/* ---- transfer ---- */

static void http_body_bad(struct stream *s)
{
	stream_term(s, 'P', s->txn->res_st == RES_HEAD ? 'R' : 'D');
	s->fe->c[PX_FE].err_req++;
	s->txn->body_bad = false;
	s->txn->close_client = true;
	s->req_cut = true;
	if (s->txn->res_st == RES_HEAD)
		reply_error(s, 400);
	else
		stream_end(s);
}

/* The client ended before its request did. */
static bool http_req_cut(struct stream *s)
{
	const struct side *c = &s->side[0];
	struct txn *t = s->txn;

	if (t->req_st != REQ_BODY || !(c->flags & SIDE_EOF) || c->rx.data > c->fwd)
		return false;
	stream_term(s, 'C', 'D');
	s->fe->c[PX_FE].cli_aborts++;
	s->be->c[PX_BE].cli_aborts++;
	if (s->srv)
		s->srv->c.cli_aborts++;
	s->side[1].conn.no_linger = true;
	stream_end(s);
	return true;
}

/* The response is done but its request is still on its way to a server that may read it. */
static bool http_req_flows(const struct stream *s)
{
	const struct txn *t = s->txn;
	const struct side *c = &s->side[0], *srv = &s->side[1];

	if (!t->sent_any || t->close_client || t->close_server || t->body_bad || !conn_is_open(&srv->conn) ||
	    (srv->flags & (SIDE_EOF | SIDE_ERR | SIDE_SHUT)))
		return false;
	return side_pending_out(s, 1) || (t->req_st == REQ_BODY && !(c->flags & SIDE_EOF));
}

bool http_xfer(struct stream *s)
{
	struct txn *t = s->txn;

	if (t->res_st == RES_TUNNEL)
		return tcp_xfer(s);
	if (t->res_st == RES_DONE) {
		if (http_req_body(s))
			return true;
		if (side_pending_out(s, 0) || http_req_flows(s))
			return false;
		http_txn_close(s);
		return true;
	}
	t->sent_any = true;
	if (http_req_body(s))
		return true;
	if (t->body_bad) {
		http_body_bad(s);
		return true;
	}
	if (http_req_cut(s))
		return true;
	return t->res_st == RES_HEAD ? http_res_head(s) : http_res_body(s);
}

void http_xfer_timeout(struct stream *s, int d)
{
	struct txn *t = s->txn;
	bool head = t->res_st == RES_HEAD;

	if (d == 1 && head) {
		s->be->c[PX_BE].err_res++;
		if (s->srv)
			s->srv->c.err_res++;
		if ((s->be_cfg->retry_on & RETRY_SET) && http_retry_ok(s, RETRY_RES_TIMEOUT) && s->conn_retries > 0) {
			backend_empty(s, -ETIMEDOUT);
			return;
		}
		stream_term(s, 's', 'H');
		reply_error(s, 504);
		return;
	}
	stream_term(s, d == 0 ? 'c' : 's', head ? 'H' : 'D');
	if (d == 0 && head && !side_pending_out(s, 0)) {
		s->fe->c[PX_FE].err_req++;
		s->req_cut = true;
		reply_error(s, 408);
		return;
	}
	stream_end(s);
}
