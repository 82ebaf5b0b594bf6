/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l7_chaos.c - clients and servers that do anything at any time; afterwards nothing may be left
 *
 * One thread, a seeded generator: a run that fails can be run again (L7_CHAOS_SEED). Each round every end does
 * one random thing: send a part of something sensible or not, read, half-close, close, reset.
 */
#include "l7_test.h"

#include "core/bug.h"

#define ENDS   24
#define ROUNDS 1500

static uint64_t seed = 1;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 11) % n;
}

static const char *const requests[] = {
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /deny HTTP/1.1\r\nHost: a\r\n\r\n", "GET /ret HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /q HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789", "HEAD /r HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "GET /r HTTP/1.0\r\n\r\n",
	"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nmore",
	"POST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n", "BAD\r\n\r\n", "\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "abc",
};
static const char *const responses[] = {
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\n\r\nto the end", "HTTP/1.1 204 No\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.1 101 Up\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nxx", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "junk\r\n\r\n",
	"HTTP/1.1 418 T\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nXY\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n", "0123456789",
};

static struct addr fe[2], srv;
static int lfd, client[ENDS], server[ENDS];

static void end_close(int *fd)
{
	struct linger now = { 1, 0 };

	if (rnd(3) == 0)
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(*fd);
	*fd = -1;
}

static void end_act(int *fd, const char *const *texts, size_t n)
{
	static char big[30000];
	const char *text = texts[rnd((unsigned)n)];
	char sink[5000];
	size_t len = strlen(text);

	switch (rnd(12)) {
	case 0: end_close(fd); return;
	case 1: shutdown(*fd, SHUT_WR); return;
	case 2: len = rnd((unsigned)len + 1); break;
	case 3: text = big, len = rnd(sizeof(big)); break;
	case 4: case 5: case 6: (void)!recv(*fd, sink, rnd(sizeof(sink)), MSG_DONTWAIT); return;
	default: break;
	}
	(void)!send(*fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void round_once(void)
{
	int fd;

	for (int i = 0; i < ENDS; i++) {
		if (client[i] < 0 && rnd(3) == 0)
			client[i] = lt_connect(&fe[rnd(8) == 0]);
		else if (client[i] >= 0 && rnd(3))
			end_act(&client[i], requests, ARRAY_SIZE(requests));
		if (server[i] < 0 && (fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
			server[i] = fd;
		else if (server[i] >= 0 && rnd(3))
			end_act(&server[i], responses, ARRAY_SIZE(responses));
	}
	lt_cycle(1);
}

static void check_nothing_left(void)
{
	struct proxy *px;
	struct server *s;

	cr_assert_eq(lt_w.l7->nb_streams, 0);
	list_for_each(px, &lt_w.l7->proxies, node) {
		cr_assert(px->cur[PX_FE] == 0 && px->cur[PX_BE] == 0 && px->nb_queue == 0, "%s", px->name);
		list_for_each(s, &px->servers, node)
			cr_assert_eq(s->cur, 0, "%s/%s", px->name, s->name);
	}
	cr_assert_eq(lt_w.l7->p_stream->used, 0);
	cr_assert_eq(lt_w.l7->p_txn->used, 0);
	cr_assert_eq(lt_w.l7->p_buf->used, 0);
	cr_assert_eq(bug_warnings(), 0);
}

Test(l7_chaos, nothing_breaks_and_nothing_is_left)
{
	char cfg[2000];
	int p[2];

	if (getenv("L7_CHAOS_SEED"))
		seed = strtoull(getenv("L7_CHAOS_SEED"), NULL, 10) | 1;
	lfd = lt_listen(&srv);
	for (int i = 0; i < 2; i++)
		p[i] = lt_listen(&fe[i]);
	close(p[0]);
	close(p[1]);
	snprintf(cfg, sizeof(cfg), "defaults\n timeout client 60ms\n timeout server 60ms\n timeout connect 40ms\n timeout queue 30ms\n"
		 "frontend fe\n mode http\n bind 127.0.0.1:%u\n http-request deny if { path /deny }\n"
		 " http-request return status 200 if { path /ret }\n http-response deny if { status 418 }\n"
		 " use_backend q if { path /q }\n use_backend r if { path /r }\n default_backend be\n"
		 "listen t\n mode tcp\n bind 127.0.0.1:%u\n tcp-request inspect-delay 10ms\n"
		 " tcp-request content reject if { req.payload(0,3) -m str abc }\n server s 127.0.0.1:%u\n"
		 "backend be\n mode http\n option redispatch\n server s1 127.0.0.1:%u\n server s2 127.0.0.1:1\n"
		 "backend q\n mode http\n server s1 127.0.0.1:%u maxconn 2\n"
		 "backend r\n mode http\n retry-on all-retryable-errors\n option redispatch\n server s1 127.0.0.1:%u\n"
		 " server s2 127.0.0.1:%u\n", fe[0].port, fe[1].port, srv.port, srv.port, srv.port, srv.port, srv.port);
	lt_start(cfg);
	memset(client, -1, sizeof(client));
	memset(server, -1, sizeof(server));
	for (int i = 0; i < ROUNDS; i++)
		round_once();
	for (int i = 0; i < ENDS; i++) {
		if (client[i] >= 0)
			close(client[i]);
		if (server[i] >= 0)
			close(server[i]);
	}
	close(lfd);
	lt_run(1500);
	check_nothing_left();
	cr_assert_gt(lt_w.l7->req_total, 200);
	lt_stop();
}
