/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * framer.c - where the turns of a forwarded connection begin
 *
 * The client's bytes are framed with the parsers that l7 uses too, so both agree on what a request is. The parsers are
 * strict: what they take, every server reads in the same way. What they refuse is never skipped or guessed at: framing
 * is lost, once and for good, and the flow's policy says what happens then.
 *
 * HTTP or not is decided once, by the connection's first payload. If the server spoke first it is not HTTP; else
 * h1_looks_like_request() is asked, which is wide: whatever a lenient server might read as a request is held against
 * the strict parser. A connection judged opaque stays so.
 *
 * Requests follow each other by their framing alone: neither Expect, nor an early response, nor "Connection: close"
 * moves the place where the next one begins (RFC 9112 9.3, RFC 9110 10.1.1: a client that was answered before its body
 * was sent must send it or close). Empty lines between requests (RFC 9112 2.2) belong to no turn and pass at once, so
 * that the CRLF some clients send behind a body is not held until their next request.
 *
 * An Upgrade or CONNECT request is the one place where the client's bytes do not tell what follows. The first bytes of
 * the server's next payload do: "HTTP/1.1 101", for CONNECT 2xx, say that the rest is opaque; another status says that
 * HTTP goes on. If they cannot be read (in the middle of an earlier response) the client's next bytes must be a
 * request, or framing is lost. The response that answers is assumed to begin a segment, as it does unless requests were
 * pipelined before. A client that could make the server send an earlier response with "HTTP/1.1 101" at the start of
 * a segment would be taken for a tunnel: forwarding is no security boundary.
 */
#include "l3/framer.h"

#include "core/bug.h"

/* facts, independent of the state:
 *
 *     what the client speaks          the request under way, or last      the server's first payload behind it
 *     HTTP   OPAQUE   neither yet     UPGRADE   CONNECT   neither         ANSWERED: was there
 *                                                                         AGREED, REFUSED, neither: unreadable
 */
#define FRAMER_F_HTTP     0x01
#define FRAMER_F_OPAQUE   0x02
#define FRAMER_F_SPOKE    0x04 /* the server sent payload since the turn began */
#define FRAMER_F_UPGRADE  0x08
#define FRAMER_F_CONNECT  0x10
#define FRAMER_F_ANSWERED 0x20
#define FRAMER_F_AGREED   0x40
#define FRAMER_F_REFUSED  0x80

#define FRAMER_F_ASKS (FRAMER_F_UPGRADE | FRAMER_F_CONNECT)

static_assert(sizeof(struct framer) <= 32, "one per turn under way");

const char *const framer_st_name[FRAMER_ST_COUNT] = {
	[FRAMER_ST_START] = "start",     [FRAMER_ST_TURN] = "turn", [FRAMER_ST_READY] = "ready",
	[FRAMER_ST_REQUEST] = "request", [FRAMER_ST_IDLE] = "idle", [FRAMER_ST_ANSWER] = "answer",
	[FRAMER_ST_OPAQUE] = "opaque",   [FRAMER_ST_LOST] = "lost",
};

const char *const framer_why_name[FRAMER_WHY_COUNT] = {
	[FRAMER_WHY_NONE] = "none",         [FRAMER_WHY_HEAD] = "head",       [FRAMER_WHY_BODY] = "body",
	[FRAMER_WHY_REPEATED] = "repeated", [FRAMER_WHY_UPGRADE] = "upgrade", [FRAMER_WHY_UNSEEN] = "unseen",
	[FRAMER_WHY_HELD] = "held",         [FRAMER_WHY_GAP] = "gap",
};

/* The only writer of fr->state but for framer_init(). */
static void framer_set_state(struct framer *fr, enum framer_st st)
{
	fr->state = (uint8_t)st;
	switch (st) {
	case FRAMER_ST_TURN:
		fr->scan = (struct h1_scan){ 0 };
		fr->flags &= (uint8_t)~FRAMER_F_SPOKE;
		break;
	case FRAMER_ST_IDLE:
		fr->blank = 0;
		fr->flags = FRAMER_F_HTTP;
		break;
	default: break;
	}
}

static void framer_lost(struct framer *fr, enum framer_why why, enum h1_err err)
{
	if (fr->state == FRAMER_ST_LOST) /* the first reason is the one to tell */
		return;
	framer_set_state(fr, FRAMER_ST_LOST);
	fr->why = (uint8_t)why;
	fr->err = (uint8_t)err;
}

void framer_lose(struct framer *fr, enum framer_why why)
{
	framer_lost(fr, why, H1_OK);
}

void framer_init(struct framer *fr)
{
	*fr = (struct framer){ .state = FRAMER_ST_START };
}

void framer_resume(struct framer *fr, enum framer_resume how, const struct h1_body *body)
{
	*fr = (struct framer){ 0 };
	if (how == FRAMER_RESUME_BODY && body->kind == H1_BODY_TUNNEL)
		how = FRAMER_RESUME_TUNNEL;
	if (how == FRAMER_RESUME_TUNNEL) {
		fr->flags = FRAMER_F_OPAQUE;
		framer_set_state(fr, FRAMER_ST_OPAQUE);
	} else if (how == FRAMER_RESUME_BODY && !body->done) {
		fr->flags = FRAMER_F_HTTP;
		fr->body = *body;
		framer_set_state(fr, FRAMER_ST_REQUEST);
	} else {
		framer_set_state(fr, FRAMER_ST_IDLE);
	}
}

/* ---- at rest ---- */

uint8_t framer_rest(const struct framer *fr)
{
	uint8_t spoke = fr->flags & FRAMER_F_SPOKE ? FRAMER_REST_SPOKE : 0;

	switch ((enum framer_st)fr->state) {
	case FRAMER_ST_START: return FRAMER_REST_START | spoke;
	case FRAMER_ST_IDLE: return fr->blank ? 0 : FRAMER_REST_IDLE | spoke;
	case FRAMER_ST_OPAQUE: return FRAMER_REST_OPAQUE | spoke;
	default: return 0;
	}
}

void framer_wake(struct framer *fr, uint8_t rest)
{
	static const struct framer at[] = {
		[FRAMER_REST_START] = { .state = FRAMER_ST_START },
		[FRAMER_REST_IDLE] = { .state = FRAMER_ST_IDLE, .flags = FRAMER_F_HTTP },
		[FRAMER_REST_OPAQUE] = { .state = FRAMER_ST_OPAQUE, .flags = FRAMER_F_OPAQUE },
	};

	*fr = at[rest & 3];
	if (rest & FRAMER_REST_SPOKE)
		fr->flags |= FRAMER_F_SPOKE;
}

/* ---- judging a turn ---- */

static enum framer_look framer_look_lost(struct framer *fr, enum framer_why why, enum h1_err err)
{
	framer_lost(fr, why, err);
	return FRAMER_LOST;
}

/* The turn's head was parsed: notes how the turn is framed. */
static enum framer_look framer_judged(struct framer *fr, const struct http_head *head)
{
	if (head->flags & HTTP_F_FIXED)
		return framer_look_lost(fr, FRAMER_WHY_REPEATED, H1_OK);
	fr->flags = FRAMER_F_HTTP;
	if (head->meth == HTTP_METH_CONNECT)
		fr->flags |= FRAMER_F_CONNECT;
	else if (head->flags & HTTP_F_CONN_UPG)
		fr->flags |= FRAMER_F_UPGRADE;
	fr->head_left = (uint32_t)head->len;
	h1_body_init_req(&fr->body, head);
	framer_set_state(fr, FRAMER_ST_READY);
	return FRAMER_REQUEST;
}

/* Once judged, the head is only parsed again for a caller that wants to see it. */
static enum framer_look framer_look_request(struct framer *fr, const char *p, size_t n, struct http_head *head)
{
	struct http_hdr slots[FRAMER_MAX_HDR];
	struct http_head own = { .hdr = slots, .max_hdr = FRAMER_MAX_HDR };
	bool judged = fr->state == FRAMER_ST_READY;
	struct h1_scan again = { 0 };
	ssize_t len;

	if (judged && !head)
		return FRAMER_REQUEST;
	if (!head)
		head = &own;
	head->is_response = false;
	len = h1_head_parse(judged ? &again : &fr->scan, p, n, head, NULL);
	if (len == 0)
		return FRAMER_MORE;
	if (len < 0)
		return framer_look_lost(fr, FRAMER_WHY_HEAD, (enum h1_err)-len);
	return judged ? FRAMER_REQUEST : framer_judged(fr, head);
}

/* Is this HTTP? For the connection's first turn, and for the first behind an Upgrade whose answer could not be read:
 * then it must be. 1 yes, 0 no, -1 too few bytes. */
static int framer_guess(const struct framer *fr, const char *p, size_t n)
{
	if (fr->flags & FRAMER_F_OPAQUE)
		return 0;
	if (fr->flags & FRAMER_F_HTTP && !(fr->flags & FRAMER_F_ASKS))
		return 1;
	if (fr->flags & FRAMER_F_SPOKE && !(fr->flags & FRAMER_F_ASKS))
		return 0; /* held, so this cannot be an answer: the server speaks first */
	return h1_looks_like_request(p, n);
}

enum framer_look framer_look(struct framer *fr, const char *p, size_t n, struct http_head *head)
{
	int http;

	if (fr->state == FRAMER_ST_READY)
		return fr->flags & FRAMER_F_OPAQUE ? FRAMER_OPAQUE : framer_look_request(fr, p, n, head);
	if (fr->state != FRAMER_ST_TURN)
		return WARN_ON(fr->state != FRAMER_ST_LOST) ? FRAMER_MORE : FRAMER_LOST;

	http = framer_guess(fr, p, n);
	if (http < 0)
		return FRAMER_MORE;
	if (http == 0 && fr->flags & FRAMER_F_ASKS)
		return framer_look_lost(fr, FRAMER_WHY_UPGRADE, H1_OK);
	if (http == 0) {
		fr->flags |= FRAMER_F_OPAQUE;
		framer_set_state(fr, FRAMER_ST_READY);
		return FRAMER_OPAQUE;
	}
	fr->flags = (uint8_t)((fr->flags & ~FRAMER_F_ASKS) | FRAMER_F_HTTP);
	return framer_look_request(fr, p, n, head);
}

/* ---- the client's bytes ---- */

/* Takes what belongs to the request under way. <0: lost. */
static ssize_t framer_take_request(struct framer *fr, const char *p, size_t n)
{
	size_t head = MIN(fr->head_left, n);
	ssize_t body;

	fr->head_left -= (uint32_t)head;
	body = h1_body_feed(&fr->body, p ? p + head : NULL, n - head);
	if (body < 0) {
		framer_lost(fr, FRAMER_WHY_BODY, (enum h1_err)-body);
		return -1;
	}
	if (!fr->head_left && fr->body.done)
		framer_set_state(fr, fr->flags & FRAMER_F_ASKS ? FRAMER_ST_ANSWER : FRAMER_ST_IDLE);
	return (ssize_t)head + body;
}

/* The client goes on behind an Upgrade or CONNECT request. */
static void framer_after_ask(struct framer *fr)
{
	if (fr->flags & FRAMER_F_AGREED) {
		fr->flags = FRAMER_F_OPAQUE;
		framer_set_state(fr, FRAMER_ST_TURN);
	} else if (fr->flags & FRAMER_F_REFUSED) {
		framer_set_state(fr, FRAMER_ST_IDLE);
	} else if (fr->flags & FRAMER_F_ANSWERED) {
		framer_set_state(fr, FRAMER_ST_TURN); /* look() will insist on a request */
	} else {
		framer_lost(fr, FRAMER_WHY_UPGRADE, H1_OK);
	}
}

/* Between requests: takes a byte of an empty line, or begins the turn. */
static size_t framer_take_idle(struct framer *fr, char c)
{
	bool in_line = fr->blank & 1;

	if (c == (in_line ? '\n' : '\r') && fr->blank < 2 * H1_MAX_EMPTY_LINES) {
		fr->blank++;
		return 1;
	}
	if (in_line) /* its CR has gone already */
		framer_lost(fr, FRAMER_WHY_HEAD, H1_E_BARE_CR);
	else if (c == '\r')
		framer_lost(fr, FRAMER_WHY_HEAD, H1_E_EMPTY_LINES);
	else
		framer_set_state(fr, FRAMER_ST_TURN);
	return 0;
}

/* START and OPAQUE: does a turn begin here? */
static void framer_begin(struct framer *fr)
{
	if (fr->flags & FRAMER_F_SPOKE)
		fr->flags |= FRAMER_F_OPAQUE;
	framer_set_state(fr, FRAMER_ST_TURN);
}

ssize_t framer_feed(struct framer *fr, const char *p, size_t n)
{
	size_t off = 0;
	ssize_t took;

	if (!p && n > framer_blind(fr))
		framer_lost(fr, FRAMER_WHY_UNSEEN, H1_OK);
	while (off < n) {
		switch ((enum framer_st)fr->state) {
		case FRAMER_ST_START: framer_begin(fr); break;
		case FRAMER_ST_TURN: return (ssize_t)off;
		case FRAMER_ST_READY:
			framer_set_state(fr, fr->flags & FRAMER_F_OPAQUE ? FRAMER_ST_OPAQUE : FRAMER_ST_REQUEST);
			if (fr->state == FRAMER_ST_OPAQUE)
				return (ssize_t)n; /* what was held together is one turn */
			break;
		case FRAMER_ST_REQUEST:
			took = framer_take_request(fr, p ? p + off : NULL, n - off);
			off += took > 0 ? (size_t)took : 0;
			break;
		case FRAMER_ST_ANSWER: framer_after_ask(fr); break;
		case FRAMER_ST_IDLE: off += framer_take_idle(fr, p[off]); break;
		case FRAMER_ST_OPAQUE:
			if (!(fr->flags & FRAMER_F_SPOKE))
				return (ssize_t)n;
			framer_begin(fr);
			break;
		case FRAMER_ST_LOST:
		case FRAMER_ST_COUNT: return -1;
		}
	}
	return fr->state == FRAMER_ST_LOST ? -1 : (ssize_t)n;
}

uint64_t framer_blind(const struct framer *fr)
{
	switch ((enum framer_st)fr->state) {
	case FRAMER_ST_REQUEST: return fr->head_left ? fr->head_left : h1_body_blind(&fr->body);
	case FRAMER_ST_OPAQUE: return fr->flags & FRAMER_F_SPOKE ? 0 : UINT64_MAX;
	default: return 0;
	}
}

/* ---- the server's bytes ---- */

/* The status of the response that begins at <p>; 0: none can be read there. */
static unsigned framer_status(const char *p, size_t n)
{
	if (n < 12 || memcmp(p, "HTTP/1.", 7) != 0 || p[8] != ' ')
		return 0;
	for (int i = 9; i < 12; i++)
		if (p[i] < '0' || p[i] > '9')
			return 0;
	return (unsigned)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'));
}

void framer_server(struct framer *fr, const char *p, size_t have, size_t n)
{
	bool asked = fr->state == FRAMER_ST_ANSWER || (fr->state == FRAMER_ST_REQUEST && !fr->head_left);
	unsigned status;

	if (!n)
		return;
	fr->flags |= FRAMER_F_SPOKE;
	if (!asked || !(fr->flags & FRAMER_F_ASKS) || fr->flags & FRAMER_F_ANSWERED)
		return;

	status = framer_status(p, p ? have : 0);
	if (status / 100 == 1 && status != 101) /* an answer is still to come */
		return;
	fr->flags |= FRAMER_F_ANSWERED;
	if (fr->flags & FRAMER_F_CONNECT ? status / 100 == 2 : status == 101)
		fr->flags |= FRAMER_F_AGREED;
	else if (status)
		fr->flags |= FRAMER_F_REFUSED;
}
