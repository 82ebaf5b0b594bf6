/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * auto_demote.c - `option auto-demote`: promoted streams leave by themselves
 *
 * A stream leaves when nothing of its frontend or backend could still act on the bytes that follow, and there are
 * enough of them, or time enough, for the way back to pay:
 *
 *   a response      its head was passed on, and its body is long: what is left of its length, or, where the length
 *                   is not known, what has passed already, is AUTO_BODY at least
 *   a request       the same, where no rule waits for the response
 *   a tunnel, tcp   at once, when the rules for the server's first bytes had them
 *   a keep-alive    idle for AUTO_IDLE_MS after a response: parked, it costs a flow record and no socket
 *
 * What follows is the gateway's to judge: `tcp-request content` rules bring the next request back. A stream that has
 * not answered a request is never parked, so one that was promoted for its first request has it looked at.
 *
 * The wish may be in vain (the next request came meanwhile): it is uttered again after AUTO_AGAIN_MS.
 */
#include "core/clock.h"
#include "l7/stream_priv.h"

#define AUTO_BODY     (256 * 1024)
#define AUTO_IDLE_MS  100
#define AUTO_AGAIN_MS 250

static bool auto_on(const struct stream *s)
{
	return s->pops && !s->leave && (s->fe_cfg->opt & PX_OPT_AUTODEMOTE);
}

/* Is a body of which <passed> bytes are done so long that its rest is worth it? */
static bool auto_long(const struct h1_body *b, uint64_t passed)
{
	return b->kind == H1_BODY_LENGTH ? b->left >= AUTO_BODY : passed >= AUTO_BODY;
}

static bool auto_no_response_rules(const struct stream *s)
{
	return !s->fe_cfg->http_res.count && !s->be_cfg->http_res.count && !s->be_cfg->tcp_res.count &&
	       list_empty(&s->be_cfg->sticks_res);
}

static bool auto_http(const struct stream *s, enum stream_leave_when *when)
{
	const struct txn *t = s->txn;

	*when = LEAVE_NOW;
	if (!t || t->res_st == RES_TUNNEL)
		return t;
	if (t->res_st == RES_HEAD)
		return t->req_st == REQ_BODY && auto_long(&t->req_body, s->log.bytes_in) && auto_no_response_rules(s);
	*when = LEAVE_AFTER_RESPONSE_HEAD;
	return t->res_st == RES_BODY && t->req_st == REQ_DONE && auto_long(&t->res_body, s->log.bytes_out);
}

static bool auto_tcp(const struct stream *s)
{
	return !s->be_cfg->tcp_res.count || s->log.t_data >= 0;
}

void auto_demote(struct stream *s)
{
	enum stream_leave_when when = LEAVE_NOW;

	if (!auto_on(s) || s->st != STREAM_XFER || stream_now(s) < s->auto_ms)
		return;
	if (!(s->is_http ? auto_http(s, &when) : auto_tcp(s)))
		return;
	s->auto_ms = stream_now(s) + AUTO_AGAIN_MS;
	stream_leave_ask(s, when);
}

uint64_t auto_demote_due(const struct stream *s)
{
	if (!auto_on(s) || s->st != STREAM_IDLE || !s->requests)
		return 0;
	return MAX(s->state_ms + AUTO_IDLE_MS, s->auto_ms);
}

void auto_demote_park(struct stream *s)
{
	s->auto_ms = stream_now(s) + AUTO_AGAIN_MS;
	stream_leave_ask(s, LEAVE_NOW);
}
