/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * http_edit.c - what a proxy must change in heads that pass through it
 *
 * Connection is hop-by-hop (RFC 9110 7.6.1): `close` and `keep-alive` are taken
 * out and what is true for the next hop is put in, other options and upgrades (but
 * to h2c) are left. Like HAProxy: 1.1 speaks only of closing, 1.0 only of keeping.
 */
#include "l7/stream_priv.h"

bool hdr_add(struct stream *s, struct http_head *h, struct str name, struct str value)
{
	if (http_hdr_add(h, name, value))
		return true;
	s->fe->c[PX_FE].rewrites_failed++;
	return false;
}

static bool conn_token_ours(const struct http_head *h, struct str tok)
{
	if (str_ieq(tok, STR("close")) || str_ieq(tok, STR("keep-alive")))
		return true;
	return !(h->flags & HTTP_F_CONN_UPG) && (str_ieq(tok, STR("upgrade")) || str_ieq(tok, STR("http2-settings")));
}

/* The value without our tokens: a view, or arena text; null when nothing is left. */
static struct str conn_strip(struct stream *s, const struct http_head *h, struct str value)
{
	struct str rest = value, tok;
	struct buf out;
	bool found = false;
	char *area;

	while (http_list_next(&rest, &tok))
		found |= conn_token_ours(h, tok);
	if (!found)
		return value;
	area = arena_alloc(&s->arena, value.n + 1);
	if (!area)
		return value;
	buf_wrap(&out, area, value.n);
	rest = value;
	while (http_list_next(&rest, &tok)) {
		if (conn_token_ours(h, tok))
			continue;
		if (out.data)
			buf_putstr(&out, STR(", "));
		buf_putstr(&out, tok);
	}
	return out.data ? buf_str(&out) : STR_NULL;
}

static void conn_clean(struct stream *s, struct http_head *h)
{
	for (unsigned i = 0; i < h->nb_hdr;) {
		if (!str_ieq(h->hdr[i].name, STR("connection"))) {
			i++;
			continue;
		}
		h->hdr[i].value = conn_strip(s, h, h->hdr[i].value);
		if (h->hdr[i].value.p)
			i++;
		else
			http_hdr_del_at(h, i);
	}
}

static void conn_say(struct stream *s, struct http_head *h, bool close, bool peer_11)
{
	if (h->flags & HTTP_F_CONN_UPG)
		return;
	if (close && h->minor >= 1)
		hdr_add(s, h, STR("connection"), STR("close"));
	else if (!close && (h->minor == 0 || !peer_11))
		hdr_add(s, h, STR("connection"), STR("keep-alive"));
}

static void forwardfor(struct stream *s, struct http_head *h, const struct px_cfg *px)
{
	char text[ADDR_STRLEN];
	unsigned pos = 0;
	char *value;

	if (!(px->opt & PX_OPT_FORWARDFOR) || s->src.family == AF_UNSPEC)
		return;
	if (px->ff_if_none && http_hdr_find(h, str_c(px->ff_header), &pos))
		return;
	if (px->ff_has_except && netmask_match(&px->ff_except, &s->src))
		return;
	value = arena_strdup(&s->arena, str_c(addr_print_ip(&s->src, text)));
	if (value)
		hdr_add(s, h, str_c(px->ff_header), str_c(value));
}

static bool px_closes_server(const struct px_cfg *px)
{
	return px->opt & (PX_OPT_SERVERCLOSE | PX_OPT_HTTPCLOSE);
}

/* Upgrades are passed to whoever asks, but not to h2c: in the tunnel that follows every further request would pass
 * unseen. It is left out, as by a proxy that does not know it, and the server answers in HTTP/1.1 (RFC 9110 7.8). So is
 * what remains when rules took the Upgrade header away. */
static void upgrade_decide(struct txn *t, struct http_head *h)
{
	const struct http_hdr *hdr;
	bool some = false, h2c = false;
	unsigned pos = 0;

	if (!t->upgrade)
		return;
	while ((hdr = http_hdr_find(h, STR("upgrade"), &pos))) {
		some = true;
		h2c |= http_list_has(hdr->value, STR("h2c"));
	}
	if (some && !h2c)
		return;
	http_hdr_del(h, STR("upgrade"));
	http_hdr_del(h, STR("http2-settings"));
	h->flags &= ~HTTP_F_CONN_UPG;
	t->upgrade = false;
}

/* The request as it goes to the server. */
bool http_edit_request(struct stream *s)
{
	struct txn *t = s->txn;
	struct http_head *h = &t->req;

	forwardfor(s, h, (s->be_cfg->opt & PX_OPT_FORWARDFOR) ? s->be_cfg : s->fe_cfg);
	/* a side that is the other's mirror ends with it */
	t->close_server |= px_closes_server(s->fe_cfg) || px_closes_server(s->be_cfg) ||
			   (t->close_client && promoted_server_is_pseudo(s));
	if (promoted_server_is_pseudo(s) && t->close_server)
		t->close_client = true;
	upgrade_decide(t, h);
	conn_clean(s, h);
	conn_say(s, h, t->close_server, true);
	return true;
}

/* The response as it goes to the client. */
bool http_edit_response(struct stream *s)
{
	struct txn *t = s->txn;
	struct http_head *h = &t->res;

	conn_clean(s, h);
	conn_say(s, h, t->close_client, t->minor >= 1);
	return true;
}
