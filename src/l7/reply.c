/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reply.c - answers made here: errors, and what rules return
 *
 * An answer goes into side[0].tx and ends the transaction. Whether the
 * connection survives depends on the request: if all of it was read the next one
 * can be found, else it ends. errorfile replaces what is built in; such a file
 * is a whole answer and always closes.
 */
#include "l7/reply.h"

#include "l7/stream_priv.h"

static const struct {
	int status;
	const char *text;
} replies[] = {
	{ 200, "Service ready." },
	{ 400, "The request was not understood." },
	{ 401, "Authentication is needed to go on." },
	{ 403, "Request forbidden by administrative rules." },
	{ 404, "Nothing was found here." },
	{ 405, "This method cannot be used here." },
	{ 407, "Authentication with the proxy is needed to go on." },
	{ 408, "The request was not complete in time." },
	{ 410, "What was here is gone and will not come back." },
	{ 413, "The request is larger than what is accepted." },
	{ 425, "The request came before it could be trusted." },
	{ 429, "Too many requests were sent in a short time." },
	{ 500, "An internal error prevented an answer." },
	{ 502, "The server gave no answer that could be used." },
	{ 503, "No server is available for this request." },
	{ 504, "The server did not answer in time." },
};
static_assert(ARRAY_SIZE(replies) == ERR_COUNT, "px_cfg->errorfile");

int reply_index(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++)
		if (replies[i].status == status)
			return (int)i;
	return -1;
}

const char *reply_text(int status)
{
	int i = reply_index(status);

	return i < 0 ? NULL : replies[i].text;
}

struct str reply_errorfile(const struct px_cfg *px, int status)
{
	int i = reply_index(status);

	return px && i >= 0 ? px->errorfile[i] : STR_NULL;
}

/* Is the request read to its end, so that another could follow? */
static bool reply_request_done(struct stream *s)
{
	struct txn *t = s->txn;

	if (!t->parsed)
		return false;
	if (t->req_st == REQ_BODY)
		http_req_body(s);
	return t->req_st == REQ_DONE;
}

static bool reply_room(struct stream *s)
{
	struct side *c = &s->side[0];

	if (!side_need_tx(s, 0))
		return false;
	return c->tx.data == 0 || buf_room(&c->tx) > 1024;
}

static void reply_count(struct stream *s, int status)
{
	unsigned i = status / 100 >= 1 && status / 100 <= 5 ? status / 100 - 1 : 5;

	s->fe->c[PX_FE].hrsp[i]++;
	if (s->be)
		s->be->c[PX_BE].hrsp[i]++;
}

bool reply_decide_close(struct stream *s)
{
	struct txn *t = s->txn;

	if (!reply_request_done(s)) {
		t->close_client = true;
		s->req_cut = true;
	}
	if (t->sent_any && (s->side[1].flags & SIDE_PSEUDO))
		t->close_client = true; /* the one server there is cannot be asked again */
	return t->close_client;
}

void reply_finish(struct stream *s, int status)
{
	struct txn *t = s->txn;

	t->status = status;
	reply_count(s, status);
	queue_del(s);
	t->res_st = RES_DONE;
	t->req_st = REQ_DONE;
	if (!t->head_sent)
		side_consume(s, 0, t->parsed ? t->req.len : s->side[0].rx.data);
	/* whatever the server was asked is not wanted any more */
	side_keep_end(s);
	side_drop_out(s, 1);
	if (conn_is_open(&s->side[1].conn) && t->sent_any)
		side_close_server(s, true);
	stream_set_state(s, STREAM_XFER);
}

bool reply_head(struct stream *s, int status, const char *reason)
{
	struct buf *out = &s->side[0].tx;

	return reply_room(s) && buf_printf(out, "HTTP/1.1 %d %s\r\n", status, reason ? reason : http_reason(status));
}

bool reply_conn_header(struct stream *s)
{
	struct txn *t = s->txn;

	if (t->close_client)
		return buf_putstr(&s->side[0].tx, STR("connection: close\r\n"));
	return t->minor >= 1 || buf_putstr(&s->side[0].tx, STR("connection: keep-alive\r\n"));
}

static bool reply_builtin(struct stream *s, int status)
{
	struct buf *out = &s->side[0].tx;
	const char *text = reply_text(status), *reason = http_reason(status);
	size_t n = strlen(reason) + strlen(text) + sizeof("<html><body><h1>000 </h1>\n\n</body></html>\n") - 1;

	return reply_head(s, status, reason) &&
	       buf_printf(out, "content-length: %zu\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n", n) &&
	       reply_conn_header(s) &&
	       (s->txn->meth == HTTP_METH_HEAD
			? buf_putstr(out, STR("\r\n"))
			: buf_printf(out, "\r\n<html><body><h1>%d %s</h1>\n%s\n</body></html>\n", status, reason, text));
}

/* What is half said cannot be taken back: the connection just ends. */
static void reply_impossible(struct stream *s)
{
	stream_end(s);
}

void reply_error(struct stream *s, int status)
{
	struct str file = reply_errorfile(s->be_cfg, status);
	struct txn *t = s->txn;

	if (!t || (t->res_st != RES_HEAD)) {
		reply_impossible(s);
		return;
	}
	if (!file.p)
		file = reply_errorfile(s->fe_cfg, status);
	reply_decide_close(s);
	if (file.p) {
		t->close_client = true;
		if (!reply_room(s) || !buf_putstr(&s->side[0].tx, file)) {
			reply_impossible(s);
			return;
		}
	} else if (!reply_builtin(s, reply_text(status) ? status : 500)) {
		reply_impossible(s);
		return;
	}
	reply_finish(s, status);
}
