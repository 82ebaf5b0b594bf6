/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l3_framer.c - where turns begin
 *
 * A small caller runs the framer as the gateway does: what begins a turn is held until it is judged, then fed. Scripts
 * give the segments of both directions; the expected answer is a string of the turns' bytes with marks between.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "l3/framer.h"

#define H "Host: a\r\n"

struct caller {
	struct framer fr;
	char held[4096];   /* of the turn being judged */
	size_t nb_held;
	char log[8192];    /* passed bytes; "|" before each turn, "!" when framing was lost */
	size_t nb_log;
	struct str last_uri;
};

static void caller_log(struct caller *c, const char *p, size_t n)
{
	cr_assert_lt(c->nb_log + n, sizeof(c->log));
	memcpy(c->log + c->nb_log, p, n);
	c->nb_log += n;
	c->log[c->nb_log] = '\0';
}

/* Judges what is held; passes judged turns on, as the action "watch" does. */
static void caller_judge(struct caller *c)
{
	while (c->nb_held) {
		struct http_hdr slots[16];
		struct http_head head = { .hdr = slots, .max_hdr = 16 };
		char *held = malloc(c->nb_held); /* exactly what there is, for ASan */
		enum framer_look look;
		ssize_t off;

		memcpy(held, c->held, c->nb_held);
		look = framer_look(&c->fr, held, c->nb_held, &head);
		if (look == FRAMER_LOST)
			caller_log(c, "!", 1);
		if (look == FRAMER_LOST || look == FRAMER_MORE) {
			free(held);
			return;
		}
		cr_assert_eq(framer_look(&c->fr, held, c->nb_held, NULL), look, "asked again");
		caller_log(c, look == FRAMER_REQUEST ? "|" : "#", 1);
		off = framer_feed(&c->fr, held, c->nb_held);
		free(held);
		if (off < 0) {
			caller_log(c, "!", 1);
			return;
		}
		cr_assert_gt(off, 0, "a judged turn has bytes");
		caller_log(c, c->held, (size_t)off);
		c->nb_held -= (size_t)off;
		memmove(c->held, c->held + off, c->nb_held);
	}
}

/* Wherever it is at rest, it is put away and taken out again: nothing may come of it. */
static void caller_rest(struct caller *c)
{
	uint8_t rest = framer_rest(&c->fr);

	if (rest)
		framer_wake(&c->fr, rest);
}

static void client(struct caller *c, const char *p, size_t n)
{
	char *seg;
	ssize_t off = 0;

	if (c->fr.state == FRAMER_ST_LOST)
		return;
	if (!c->nb_held) {
		seg = malloc(n ? n : 1);
		memcpy(seg, p, n);
		off = framer_feed(&c->fr, seg, n);
		free(seg);
		if (off < 0) {
			caller_log(c, "!", 1);
			return;
		}
		cr_assert_leq((size_t)off, n);
		caller_log(c, p, (size_t)off);
	}
	cr_assert_leq(c->nb_held + n - (size_t)off, sizeof(c->held));
	memcpy(c->held + c->nb_held, p + off, n - (size_t)off);
	c->nb_held += n - (size_t)off;
	caller_judge(c);
	caller_rest(c);
}

static void server(struct caller *c, const char *p)
{
	framer_server(&c->fr, p, strlen(p), strlen(p));
	caller_rest(c);
}

static struct caller *fresh(void)
{
	struct caller *c = calloc(1, sizeof(*c));

	framer_init(&c->fr);
	return c;
}

/* The client's whole stream in one segment, in two at every cut, and byte by byte: always the same turns. */
static void expect_turns(const char *stream, const char *turns)
{
	size_t n = strlen(stream);

	for (size_t cut = 0; cut <= n + 1; cut++) {
		struct caller *c = fresh();

		if (cut <= n) {
			client(c, stream, cut);
			client(c, stream + cut, n - cut);
		} else {
			for (size_t i = 0; i < n; i++)
				client(c, stream + i, 1);
		}
		cr_assert_str_eq(c->log, turns, "cut at %zu:\n%s\nexpected:\n%s", cut, c->log, turns);
		free(c);
	}
}

#define cr_log(c, turns) cr_assert_str_eq((c)->log, turns, "got:\n%s\nexpected:\n%s", (c)->log, turns)
#define say(c, lit)      client(c, lit, sizeof(lit) - 1)

/* ---- HTTP ---- */

Test(framer, each_request_is_a_turn)
{
	expect_turns("GET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
		     "|GET /1 HTTP/1.1\r\n" H "\r\n|GET /2 HTTP/1.1\r\n" H "\r\n");
}

Test(framer, a_body_by_length_belongs_to_its_request)
{
	expect_turns("POST / HTTP/1.1\r\n" H "Content-Length: 20\r\n\r\nGET /no HTTP/1.1\r\n\r\nGET / HTTP/1.0\r\n\r\n",
		     "|POST / HTTP/1.1\r\n" H "Content-Length: 20\r\n\r\nGET /no HTTP/1.1\r\n\r\n|GET / HTTP/1.0\r\n\r\n");
}

Test(framer, so_does_a_chunked_body_with_trailers)
{
	expect_turns("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		     "5;x=\"y\"\r\nGET /\r\n3\r\n\r\n\r\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.0\r\n\r\n",
		     "|POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		     "5;x=\"y\"\r\nGET /\r\n3\r\n\r\n\r\r\n0\r\nX-Sum: 1\r\n\r\n|GET / HTTP/1.0\r\n\r\n");
}

Test(framer, empty_lines_between_requests_pass_without_a_turn)
{
	struct caller *c = fresh();

	say(c, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx\r\n");
	cr_assert_eq(c->nb_held, 0);
	say(c, "\r\nGET / HTTP/1.0\r\n\r\n");
	cr_log(c, "|POST / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx\r\n\r\n|GET / HTTP/1.0\r\n\r\n");
	free(c);
}

Test(framer, expect_and_early_answers_move_nothing)
{
	struct caller *c = fresh();

	say(c, "PUT / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	server(c, "HTTP/1.1 100 Continue\r\n\r\n");
	say(c, "ab");
	server(c, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
	say(c, "cdGET / HTTP/1.0\r\n\r\n");
	cr_log(c, "|PUT / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd|GET / HTTP/1.0\r\n\r\n");
	free(c);
}

Test(framer, bodies_need_not_be_seen)
{
	struct caller *c = fresh();

	say(c, "PUT / HTTP/1.1\r\n" H "Content-Length: 1000000000000\r\n\r\nab");
	cr_assert_eq(framer_blind(&c->fr), 999999999998u);
	cr_assert_eq(framer_feed(&c->fr, NULL, 999999999998u), (ssize_t)999999999998u);
	cr_assert_eq(c->fr.state, FRAMER_ST_IDLE);
	cr_assert_eq(framer_feed(&c->fr, NULL, 1), -1);
	cr_assert_eq(c->fr.why, FRAMER_WHY_UNSEEN);
	free(c);

	c = fresh();
	say(c, "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n10\r\nab");
	cr_assert_eq(framer_blind(&c->fr), 14);
	cr_assert_eq(framer_feed(&c->fr, NULL, 14), 14);
	cr_assert_eq(framer_blind(&c->fr), 0);
	say(c, "\r\n0\r\n\r\n");
	cr_assert_eq(c->fr.state, FRAMER_ST_IDLE);
	free(c);
}

Test(framer, a_judged_head_can_be_seen_again)
{
	struct http_hdr slots[4];
	struct http_head head = { .hdr = slots, .max_hdr = 4 };
	const char *msg = "GET /x HTTP/1.1\r\n" H "\r\n";
	struct framer fr;

	framer_init(&fr);
	cr_assert_eq(framer_feed(&fr, msg, strlen(msg)), 0);
	cr_assert(framer_in_turn(&fr));
	cr_assert_eq(framer_look(&fr, msg, strlen(msg), NULL), FRAMER_REQUEST);
	cr_assert_eq(framer_look(&fr, msg, strlen(msg), &head), FRAMER_REQUEST);
	cr_assert(str_eq(head.uri, STR("/x")));
	cr_assert(framer_in_turn(&fr));
}

Test(framer, without_a_head_to_fill_it_judges_the_same)
{
	const char *msg = "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabcGET";
	struct framer fr;

	framer_init(&fr);
	cr_assert_eq(framer_feed(&fr, msg, strlen(msg)), 0);
	cr_assert_eq(framer_look(&fr, msg, 20, NULL), FRAMER_MORE);
	cr_assert_eq(framer_look(&fr, msg, strlen(msg), NULL), FRAMER_REQUEST);
	cr_assert_eq(framer_feed(&fr, msg, strlen(msg)), (ssize_t)strlen(msg) - 3);
}

/* ---- loss of framing ---- */

static const struct {
	const char *stream;
	enum framer_why why;
	enum h1_err err;
} lost[] = {
	{ "GET /\r\n\r\n", FRAMER_WHY_HEAD, H1_E_VERSION },
	{ "GET / HTTP/1.1\n" H "\n", FRAMER_WHY_HEAD, H1_E_BARE_LF },
	{ "\nGET / HTTP/1.1\r\n" H "\r\n", FRAMER_WHY_HEAD, H1_E_BARE_LF },
	{ " GET / HTTP/1.1\r\n" H "\r\n", FRAMER_WHY_HEAD, H1_E_METHOD },
	{ "get / HTTP/1.1 \r\n" H "\r\n", FRAMER_WHY_HEAD, H1_E_VERSION },
	{ "GET / HTTP/1.1\r\n" H "\r\n\x16\x03\x01", FRAMER_WHY_HEAD, H1_E_METHOD },
	{ "GET / HTTP/1.1\r\n" H "\r\n\rG", FRAMER_WHY_HEAD, H1_E_BARE_CR },
	{ "GET / HTTP/1.1\r\n" H "\r\n\r\n\r\n\r\n\r\n\r\n", FRAMER_WHY_HEAD, H1_E_EMPTY_LINES },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", FRAMER_WHY_HEAD, H1_E_TE_CLEN },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\n", FRAMER_WHY_REPEATED, H1_OK },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nx", FRAMER_WHY_BODY, H1_E_CHUNK_SIZE },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nab", FRAMER_WHY_BODY, H1_E_CHUNK_END },
	{ "GET / HTTP/1.1\r\n" H "Upgrade: x\r\nConnection: upgrade\r\n\r\nGET / HTTP/1.0\r\n\r\n", FRAMER_WHY_UPGRADE, H1_OK },
	{ "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nSSH-", FRAMER_WHY_UPGRADE, H1_OK },
};

Test(framer, what_cannot_be_framed_is_reported_however_it_comes)
{
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++) {
		size_t n = strlen(lost[i].stream);

		for (size_t cut = 0; cut <= n; cut++) {
			struct caller *c = fresh();

			client(c, lost[i].stream, cut);
			client(c, lost[i].stream + cut, n - cut);
			cr_assert_eq(c->fr.state, FRAMER_ST_LOST, "%s", lost[i].stream);
			cr_assert_eq(c->fr.why, lost[i].why, "%s: %s", lost[i].stream, framer_why_name[c->fr.why]);
			cr_assert_eq(c->fr.err, lost[i].err, "%s: %s", lost[i].stream, h1_err_name(c->fr.err));
			cr_assert_eq(c->log[c->nb_log - 1], '!');
			cr_assert_eq(framer_feed(&c->fr, "x", 1), -1, "for good");
			free(c);
		}
	}
}

Test(framer, the_first_reason_stays)
{
	struct framer fr;

	framer_init(&fr);
	framer_lose(&fr, FRAMER_WHY_GAP);
	framer_lose(&fr, FRAMER_WHY_HELD);
	cr_assert_eq(fr.why, FRAMER_WHY_GAP);
	cr_assert_eq(framer_look(&fr, "x", 1, NULL), FRAMER_LOST);
}

/* ---- upgrades ---- */

#define UPGRADE "GET /ws HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

Test(framer, behind_an_accepted_upgrade_all_is_opaque)
{
	struct caller *c = fresh();

	say(c, UPGRADE);
	server(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
	say(c, "\x81\x01x");
	say(c, "GET / HTTP/1.1\r\n");
	cr_assert_eq(framer_blind(&c->fr), UINT64_MAX);
	server(c, "HTTP/1.1 200 inside the tunnel");
	cr_assert_eq(framer_blind(&c->fr), 0);
	say(c, "GET / HTTP/1.1\r\n" H "\r\n");
	cr_log(c, "|" UPGRADE "#\x81\x01xGET / HTTP/1.1\r\n#GET / HTTP/1.1\r\n" H "\r\n");
	free(c);
}

Test(framer, behind_a_refused_upgrade_http_goes_on)
{
	struct caller *c = fresh();

	say(c, UPGRADE);
	server(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	say(c, "GET / HTTP/1.0\r\n\r\n");
	server(c, "HTTP/1.1 101 in a body");
	say(c, "GET / HTTP/1.0\r\n\r\n");
	cr_log(c, "|" UPGRADE "|GET / HTTP/1.0\r\n\r\n|GET / HTTP/1.0\r\n\r\n");
	free(c);
}

Test(framer, an_upgrade_with_a_body_is_answered_behind_it)
{
	struct caller *c = fresh();

	say(c, "POST /ws HTTP/1.1\r\n" H "Upgrade: x\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\na");
	server(c, "HTTP/1.1 100 Continue\r\n\r\n");
	server(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
	say(c, "b");
	say(c, "\x01\x02");
	cr_assert_eq(c->fr.state, FRAMER_ST_OPAQUE);
	free(c);
}

Test(framer, an_unreadable_answer_leaves_only_requests)
{
	struct caller *c = fresh();

	say(c, UPGRADE);
	framer_server(&c->fr, NULL, 0, 1000);
	server(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n"); /* too late: may be anything */
	say(c, "GET / HTTP/1.0\r\n\r\n");
	cr_log(c, "|" UPGRADE "|GET / HTTP/1.0\r\n\r\n");
	free(c);

	c = fresh();
	say(c, UPGRADE);
	server(c, "middle of an earlier response");
	say(c, "\x81\x01x");
	cr_log(c, "|" UPGRADE "!");
	cr_assert_eq(c->fr.why, FRAMER_WHY_UPGRADE);
	free(c);
}

Test(framer, connect_is_accepted_by_any_2xx_and_not_by_101)
{
	struct caller *c = fresh();

	say(c, "CONNECT a:22 HTTP/1.1\r\nHost: a:22\r\n\r\n");
	server(c, "HTTP/1.1 204 Fine\r\n\r\n");
	say(c, "SSH-2.0-x\r\n");
	cr_log(c, "|CONNECT a:22 HTTP/1.1\r\nHost: a:22\r\n\r\n#SSH-2.0-x\r\n");
	free(c);

	c = fresh();
	say(c, "CONNECT a:22 HTTP/1.1\r\nHost: a:22\r\n\r\n");
	server(c, "HTTP/1.1 101 What\r\n\r\n");
	say(c, "SSH-2.0-x\r\n");
	cr_assert_eq(c->fr.state, FRAMER_ST_LOST);
	free(c);
}

/* ---- other protocols ---- */

Test(framer, an_opaque_turn_begins_with_the_clients_first_payload_after_the_servers_last)
{
	struct caller *c = fresh();

	say(c, "\x16\x03\x01");
	say(c, "abc");
	server(c, "x");
	server(c, "y");
	say(c, "d");
	say(c, "e");
	cr_log(c, "#\x16\x03\x01" "abc#de");
	free(c);
}

Test(framer, where_the_server_speaks_first_it_is_not_http)
{
	struct caller *c = fresh();

	server(c, "220 mail\r\n");
	say(c, "G");
	say(c, "ET / HTTP/1.1\r\n");
	server(c, "x");
	say(c, "GET / HTTP/1.1\r\n");
	cr_log(c, "#GET / HTTP/1.1\r\n#GET / HTTP/1.1\r\n");
	free(c);
}

Test(framer, what_may_become_a_request_is_held)
{
	struct caller *c = fresh();

	say(c, "EHL");
	cr_assert_eq(c->nb_held, 3);
	say(c, "O x\r\n");
	cr_log(c, "#EHLO x\r\n");
	free(c);

	c = fresh();
	say(c, "EHL");
	server(c, "220 mail\r\n"); /* nothing of ours has reached it */
	say(c, "O");
	cr_log(c, "#EHLO");
	free(c);
}

/* ---- from a stream ---- */

Test(framer, goes_on_where_a_stream_stopped)
{
	struct http_head head = { .flags = HTTP_F_CLEN, .clen = 3 };
	struct caller *c = fresh();
	struct h1_body body;

	framer_resume(&c->fr, FRAMER_RESUME_IDLE, NULL);
	say(c, "GET / HTTP/1.0\r\n\r\n");
	cr_log(c, "|GET / HTTP/1.0\r\n\r\n");
	free(c);

	c = fresh();
	h1_body_init_req(&body, &head);
	framer_resume(&c->fr, FRAMER_RESUME_BODY, &body);
	say(c, "abcGET / HTTP/1.0\r\n\r\n");
	cr_log(c, "abc|GET / HTTP/1.0\r\n\r\n");
	free(c);

	c = fresh();
	h1_body_feed(&body, "abc", 3);
	framer_resume(&c->fr, FRAMER_RESUME_BODY, &body);
	cr_assert_eq(c->fr.state, FRAMER_ST_IDLE);
	free(c);

	c = fresh();
	framer_resume(&c->fr, FRAMER_RESUME_TUNNEL, NULL);
	say(c, "abc");
	server(c, "x");
	say(c, "GET / HTTP/1.1\r\n");
	cr_log(c, "abc#GET / HTTP/1.1\r\n");
	free(c);
}

Test(framer, is_small)
{
	cr_assert_leq(sizeof(struct framer), 32);
}

Test(framer, names_every_state_and_reason)
{
	for (int i = 0; i < FRAMER_ST_COUNT; i++)
		cr_assert_not_null(framer_st_name[i]);
	for (int i = 0; i < FRAMER_WHY_COUNT; i++)
		cr_assert_not_null(framer_why_name[i]);
}
