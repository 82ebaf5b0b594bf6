/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stream_http.c - requests: from the first byte to the server's socket
 *
 * IDLE -> HEAD: the head is parsed where it lies in side[0].rx; rules run on
 * views of it, in HAProxy's order (frontend: tcp-request content, http-request;
 * then the backend is chosen; backend: the same). Then it is written once, as
 * edited, into side[1].tx and its bytes in rx are done with: from there on
 * only its method, version and line are known (ctx.sent, txn->line).
 *
 * The body is passed as it came. h1_body watches its framing and says how much of
 * what has arrived belongs to this request; what follows is the next one and
 * stays in rx until this transaction is over.
 */
#include "core/bug.h"
#include "core/clock.h"
#include "l7/stream_priv.h"
#include "policy/sticktable.h"

#define HTTP_LOG_LINE 1024 /* bytes of a request line that logs keep */

/* ---- a transaction begins ---- */

static bool http_txn_begin(struct stream *s)
{
	struct txn *t = pool_alloc(s->l7->p_txn);
	unsigned max_hdr = s->ep->global.max_hdr;

	if (!t)
		return false;
	memset(t, 0, offsetof(struct txn, hdr));
	t->req.hdr = t->res.hdr = t->hdr;
	t->req.max_hdr = t->res.max_hdr = MIN(max_hdr ? max_hdr : 101, (unsigned)(HTTP_HDR_CAP - HTTP_HDR_ADD));
	t->res.is_response = true;
	t->status = -1;
	s->txn = t;
	s->requests++;
	s->log.t_idle = (int64_t)(stream_now(s) - s->log.accept_ms) - s->log.t_handshake;
	s->rule_phase = RULES_FE_TCP;
	s->rule_from = NULL;
	s->rule_wait_ms = 0;
	stream_set_state(s, STREAM_HEAD);
	return true;
}

/* What was to be a request and is none: stick tables count it as one, and as the client's error when that is what it is. */
static void http_track_none(struct stream *s, bool error)
{
	stk_tracks_request(s->tracks);
	if (error)
		stk_tracks_event(s->tracks, STK_EV_ERROR);
}

/* The client said nothing and will not: only the first time that is worth a line. */
static void http_idle_end(struct stream *s, int status, char who)
{
	if (s->requests || (s->fe_cfg->opt & PX_OPT_IGNOREPROBES)) {
		s->log.done = true;
		stream_end(s);
		return;
	}
	if (!http_txn_begin(s)) {
		stream_end(s);
		return;
	}
	s->log.t_idle = -1;
	http_track_none(s, status == 400);
	stream_term(s, who, 'R');
	if (status == 408 && !(s->side[0].flags & (SIDE_EOF | SIDE_ERR))) {
		s->fe->c[PX_FE].err_req++;
		reply_error(s, 408);
		return;
	}
	s->txn->status = status;
	stream_end(s);
}

void http_idle_timeout(struct stream *s)
{
	http_idle_end(s, 408, 'c');
}

/* Between requests the server's connection may end. A pseudo socket's end is the client's end too. */
static bool http_idle_server(struct stream *s)
{
	struct side *srv = &s->side[1];

	if (!conn_is_open(&srv->conn) || (!(srv->flags & (SIDE_EOF | SIDE_ERR)) && !srv->rx.data))
		return false;
	if (!(srv->flags & SIDE_PSEUDO)) {
		side_close_server(s, false);
		return true;
	}
	if (srv->fwd != srv->rx.data) {
		srv->fwd = srv->rx.data; /* its last words are for the client to judge */
		return true;
	}
	if (!(srv->flags & (SIDE_EOF | SIDE_ERR)) || side_pending_out(s, 0))
		return false;
	s->log.done = s->requests > 0;
	s->side[0].conn.no_linger = srv->flags & SIDE_ERR;
	stream_end(s);
	return true;
}

bool http_idle(struct stream *s)
{
	struct side *c = &s->side[0];

	if (http_idle_server(s))
		return true;
	if (c->rx.data) {
		if (http_txn_begin(s))
			return true;
		stream_end(s);
		return true;
	}
	if (!(c->flags & SIDE_EOF))
		return false;
	http_idle_end(s, 400, 'C');
	return true;
}

/* ---- the head ---- */

static void http_bad_request(struct stream *s)
{
	s->fe->c[PX_FE].err_req++;
	http_track_none(s, true);
	stream_term(s, (s->side[0].flags & SIDE_EOF) ? 'C' : 'P', 'R');
	reply_error(s, 400);
}

void http_request_timeout(struct stream *s)
{
	s->fe->c[PX_FE].err_req++;
	stream_term(s, 'c', 'R');
	if (s->txn->parsed) {
		stream_end(s);
		return;
	}
	http_track_none(s, false);
	reply_error(s, 408);
}

static void http_keep_line(struct stream *s)
{
	struct txn *t = s->txn;
	size_t uri = MIN(t->req.uri.n, (size_t)HTTP_LOG_LINE);
	char *p = arena_printf(&s->arena, "%.*s %.*s HTTP/1.%u", STR_ARG(t->req.method), (int)uri, t->req.uri.p, t->req.minor);

	if (!p)
		return;
	t->line = str_c(p);
	t->method = str_n(p, t->req.method.n);
	t->uri = str_n(p + t->req.method.n + 1, uri);
}

static void http_count_request(struct stream *s)
{
	uint64_t now = stream_now(s);
	struct px_counters *c = &s->fe->c[PX_FE];

	c->req_tot++;
	s->l7->req_total++;
	stk_tracks_request(s->tracks);
	freq_add(&c->req_rate, now);
	freq_add(&s->l7->req_rate, now);
	c->req_rate_max = MAX(c->req_rate_max, freq_read(&c->req_rate, now));
}

/* What the head says about connection and body. */
static void http_head_facts(struct stream *s)
{
	struct txn *t = s->txn;
	struct http_head *h = &t->req;
	bool keep = h->minor >= 1 ? !(h->flags & HTTP_F_CONN_CLOSE) : !!(h->flags & HTTP_F_CONN_KAL);

	t->parsed = true;
	t->meth = h->meth;
	t->minor = h->minor;
	t->expect100 = h->flags & HTTP_F_EXPECT_100;
	t->upgrade = h->flags & HTTP_F_CONN_UPG;
	t->client_ends = !keep;
	t->close_client = !keep || (s->fe_cfg->opt & PX_OPT_HTTPCLOSE) || s->l7->w->stopping;
	h1_body_init_req(&t->req_body, h);
	t->req_st = t->req_body.kind == H1_BODY_NONE || t->req_body.done ? REQ_DONE : REQ_BODY;
	t->req.max_hdr = HTTP_HDR_CAP;
	http_keep_line(s);
	http_count_request(s);
	s->log.t_request = (int64_t)(stream_now(s) - s->log.accept_ms);
	s->log.bytes_in += h->len;
}

bool http_head_fits(const struct buf *b, size_t n)
{
	return n <= b->size - HTTP_REWRITE;
}

/* true: the head is here, or an answer was given (state is not HEAD then). */
static bool http_parse_head(struct stream *s)
{
	struct side *c = &s->side[0];
	struct txn *t = s->txn;
	ssize_t n = h1_head_parse(&t->scan, buf_head(&c->rx), c->rx.data, &t->req, NULL);

	if (n > 0 && http_head_fits(&c->rx, n)) {
		t->req.len = n;
		http_head_facts(s);
		return true;
	}
	if (n == 0 && !(c->flags & SIDE_EOF) && http_head_fits(&c->rx, c->rx.data))
		return false;
	if (n == 0 && !(c->flags & SIDE_EOF))
		s->side[0].flags &= ~SIDE_MORE; /* too long: what follows is not looked at */
	http_bad_request(s);
	return true;
}

/* ---- rules ---- */

static void http_denied(struct stream *s)
{
	s->fe->c[PX_FE].denied_req++;
	stream_term(s, 'P', 'R');
	stream_end(s);
}

/* One set; true: go on with the next. */
static bool http_rules(struct stream *s, const struct rule_set *rs, unsigned delay)
{
	enum act_ret ret = stream_run_rules(s, rs);

	switch (ret) {
	case ACT_RET_CONT: case ACT_RET_STOP:
		s->rule_from = NULL;
		s->rule_wait_ms = 0;
		return true;
	case ACT_RET_WAIT:
		if (stream_rules_wait(s, delay))
			return false;
		s->rule_from = NULL; /* time is over: what is not known is not so */
		return true;
	case ACT_RET_ERR:
		stream_term(s, 'I', 'R');
		reply_error(s, 500);
		return false;
	case ACT_RET_DONE:
		if (s->st == STREAM_HEAD)
			http_denied(s); /* tcp reject: no answer */
		return false;
	}
	return false;
}

static bool http_monitor(struct stream *s)
{
	if (!s->fe_cfg->monitor_uri || !str_eq(s->txn->uri, str_c(s->fe_cfg->monitor_uri)))
		return false;
	s->log.done = true;
	reply_error(s, 200);
	return true;
}

static bool http_run_phase(struct stream *s)
{
	const struct px_cfg *fe = s->fe_cfg, *be = s->be_cfg;

	switch (s->rule_phase) {
	case RULES_FE_TCP:
		if (http_monitor(s) || !http_rules(s, &fe->tcp_req, fe->inspect_ms))
			return false;
		break;
	case RULES_FE_HTTP:
		if (!http_rules(s, &fe->http_req, fe->inspect_ms) || !backend_choose(s))
			return false;
		break;
	case RULES_BE_TCP:
		if (be != fe && !http_rules(s, &be->tcp_req, be->inspect_ms))
			return false;
		break;
	case RULES_BE_HTTP:
		if (be != fe && !http_rules(s, &be->http_req, be->inspect_ms))
			return false;
		break;
	default:
		return false;
	}
	return true;
}

static const int next_phase[] = {
	[RULES_FE_TCP] = RULES_FE_HTTP, [RULES_FE_HTTP] = RULES_BE_TCP, [RULES_BE_TCP] = RULES_BE_HTTP,
	[RULES_BE_HTTP] = RULES_DONE,
};

bool http_head(struct stream *s)
{
	if (!s->txn->parsed && !http_parse_head(s))
		return false;
	while (s->st == STREAM_HEAD && s->rule_phase != RULES_DONE) {
		if (!http_run_phase(s))
			return s->st != STREAM_HEAD;
		s->rule_phase = next_phase[s->rule_phase];
	}
	if (s->st != STREAM_HEAD)
		return true;
	stick_request(s);
	if (http_send_request(s))
		backend_assign(s);
	return true;
}

/* ---- to the server ---- */

bool http_send_request(struct stream *s)
{
	struct txn *t = s->txn;
	struct side *srv = &s->side[1];

	http_edit_request(s);
	if (WARN_ON(srv->tx.data))
		buf_reset(&srv->tx);
	if (!side_need_tx(s, 1) || !h1_head_write(&t->req, &srv->tx)) {
		stream_term(s, 'P', 'R');
		s->fe->c[PX_FE].rewrites_failed++;
		reply_error(s, 500);
		return false;
	}
	side_consume(s, 0, t->req.len);
	t->req.nb_hdr = 0; /* views into bytes that are gone */
	t->scan = (struct h1_scan){ 0 };
	t->replayable = true;
	t->head_sent = true;
	if (t->req_st == REQ_BODY)
		http_req_body(s);
	return true;
}

void http_reparse_sent(struct stream *s)
{
	struct txn *t = s->txn;
	struct h1_scan scan = { 0 };
	const struct buf *tx = &s->side[1].tx;

	if (!s->is_http || !t || !t->replayable || !tx->data)
		return;
	h1_head_parse(&scan, buf_head(tx), tx->data, &t->req, NULL);
}

/* Approves what has arrived of the request's body. true: something moved. */
bool http_req_body(struct stream *s)
{
	struct txn *t = s->txn;
	struct side *c = &s->side[0];
	size_t skip = t->head_sent ? c->fwd : t->req.len;
	ssize_t n;

	if (t->req_st != REQ_BODY || c->rx.data <= skip)
		return false;
	n = h1_body_feed(&t->req_body, buf_head(&c->rx) + skip, c->rx.data - skip);
	if (n < 0) {
		t->body_bad = true;
		return false;
	}
	if (t->req_body.done)
		t->req_st = REQ_DONE;
	s->log.bytes_in += n;
	if (t->head_sent)
		c->fwd += n;
	else
		t->req.len += n; /* an answer comes before it was sent: it is thrown away with the head */
	return n > 0 || t->req_st == REQ_DONE;
}

/* May the request be sent again after a failure of this kind? */
bool http_retry_ok(const struct stream *s, unsigned what)
{
	const struct txn *t = s->txn;
	const struct px_cfg *be = s->be_cfg;
	bool idempotent;

	if (!t->replayable)
		return false;
	if (be->retry_on & RETRY_SET)
		return be->retry_on & what;
	if (what == RETRY_CONN_FAILURE)
		return true;
	if (what != RETRY_EMPTY)
		return false;
	/* RFC 9110 9.2.2: what may be done twice; and an instance that died is not asked a second time */
	idempotent = t->meth == HTTP_METH_GET || t->meth == HTTP_METH_HEAD || t->meth == HTTP_METH_OPTIONS ||
		     t->meth == HTTP_METH_PUT || t->meth == HTTP_METH_DELETE || t->meth == HTTP_METH_TRACE;
	if (!idempotent)
		return false;
	return (be->opt & PX_OPT_REDISPATCH) || s->was_reused;
}
