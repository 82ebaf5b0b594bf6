/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l7_heads.c - what becomes of heads and bodies on their way through, in one piece and byte by byte
 */
#include "l7_test.h"

#define H "Host: a\r\n"

static const struct {
	const char *options;         /* of the frontend */
	const char *req, *at_server; /* what the client sends, what the server gets */
	const char *res, *at_client;
	bool closes;                 /* the client's connection ends with it */
} cases[] = {
	{ "", "GET / HTTP/1.1\r\n" H "\r\n", "GET / HTTP/1.1\r\n" H "\r\n",
	  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false },
	{ "", "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", "GET / HTTP/1.1\r\n" H "\r\n",
	  "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n", true },
	{ "", "GET / HTTP/1.1\r\n" H "Connection: Keep-Alive, TE\r\n\r\n", "GET / HTTP/1.1\r\n" H "Connection: TE\r\n\r\n",
	  "HTTP/1.1 204 No Content\r\nConnection: x, close\r\n\r\n", "HTTP/1.1 204 No Content\r\nConnection: x\r\n\r\n", false },
	{ "", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
	  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nconnection: close\r\n\r\nx", true },
	{ "", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
	  "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nconnection: keep-alive\r\n\r\nx", false },
	{ " option httpclose\n", "GET / HTTP/1.1\r\n" H "\r\n", "GET / HTTP/1.1\r\n" H "connection: close\r\n\r\n",
	  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nconnection: close\r\n\r\nx", true },
	{ " option http-server-close\n", "GET / HTTP/1.1\r\n" H "\r\n", "GET / HTTP/1.1\r\n" H "connection: close\r\n\r\n",
	  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false },
	{ " option forwardfor header X-C\n", "GET / HTTP/1.1\r\n" H "X-C: 1\r\n\r\n",
	  "GET / HTTP/1.1\r\n" H "X-C: 1\r\nX-C: 127.0.0.1\r\n\r\n",
	  "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", false },
	{ " option forwardfor if-none\n", "GET / HTTP/1.1\r\n" H "X-Forwarded-For: 1\r\n\r\n",
	  "GET / HTTP/1.1\r\n" H "X-Forwarded-For: 1\r\n\r\n",
	  "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", false },
	{ " option forwardfor except 127.0.0.0/8\n", "GET / HTTP/1.1\r\n" H "\r\n", "GET / HTTP/1.1\r\n" H "\r\n",
	  "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", false },
	/* bodies pass as they came: extensions, trailers, case of hex digits */
	{ "", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n000A\r\n0123456789\r\n0\r\nT: r\r\n\r\n",
	  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n000A\r\n0123456789\r\n0\r\nT: r\r\n\r\n",
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false },
	{ "", "HEAD / HTTP/1.1\r\n" H "\r\n", "HEAD / HTTP/1.1\r\n" H "\r\n",
	  "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", false },
	{ "", "GET / HTTP/1.1\r\n" H "\r\n", "GET / HTTP/1.1\r\n" H "\r\n",
	  "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
	  "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false },
	/* an HTTP/1.0 client knows no interim responses */
	{ "", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
	  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n", true },
};

static struct addr fe_addr, srv_addr;

static void start(const char *options, int *lfd)
{
	char cfg[1024];
	int probe = lt_listen(&fe_addr);

	close(probe);
	*lfd = lt_listen(&srv_addr);
	snprintf(cfg, sizeof(cfg), "defaults\n mode http\n timeout client 2s\n timeout server 2s\n timeout connect 1s\n"
		 "frontend fe\n bind 127.0.0.1:%u\n default_backend be\n%sbackend be\n server s1 127.0.0.1:%u\n",
		 fe_addr.port, options, srv_addr.port);
	lt_start(cfg);
}

static void send_parts(int fd, const char *text, size_t step)
{
	size_t n = strlen(text);

	for (size_t at = 0; at < n; at += step) {
		size_t part = MIN(step, n - at);

		cr_assert_eq(send(fd, text + at, part, MSG_NOSIGNAL), (ssize_t)part);
		if (step < n)
			lt_cycle(1);
	}
}

static void run_case(size_t i, size_t step)
{
	int lfd, c, fd;
	const char *got;

	start(cases[i].options, &lfd);
	c = lt_connect(&fe_addr);
	send_parts(c, cases[i].req, step);
	fd = lt_accept(lfd);
	cr_assert(fd >= 0, "case %zu", i);
	got = lt_read(fd, cases[i].at_server);
	cr_assert_str_eq(got, cases[i].at_server, "case %zu: the server got: %s", i, got);
	send_parts(fd, cases[i].res, step);
	got = lt_read(c, cases[i].at_client);
	cr_assert_eq(strncmp(got, cases[i].at_client, strlen(cases[i].at_client)), 0, "case %zu: the client got: %s", i, got);
	if (cases[i].closes && !strstr(got, "<EOF>"))
		cr_assert_str_eq(lt_read(c, NULL), "<EOF>", "case %zu", i);
	if (!cases[i].closes) {
		/* the next request finds its way */
		lt_send(c, "GET /next HTTP/1.1\r\n" H "\r\n");
		lt_run(10);
		cr_assert_eq(recv(c, (char[8]){ 0 }, 8, MSG_DONTWAIT), -1, "case %zu", i);
	}
	close(fd);
	close(c);
	close(lfd);
	lt_run(10);
	lt_stop();
}

Test(l7_heads, in_one_piece)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(i, SIZE_MAX / 2);
}

Test(l7_heads, byte_by_byte)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(i, 1);
}

Test(l7_heads, a_pipeline_of_a_hundred_requests_keeps_its_order)
{
	static char all[20000], one[100];
	int lfd, c, fd;

	start("", &lfd);
	c = lt_connect(&fe_addr);
	for (int i = 0; i < 100; i++) {
		snprintf(one, sizeof(one), "GET /%02d HTTP/1.1\r\n" H "\r\n", i);
		strcat(all, one);
	}
	lt_send(c, all);
	fd = lt_accept(lfd);
	for (int i = 0; i < 100; i++) {
		snprintf(one, sizeof(one), "GET /%02d ", i);
		lt_expect(fd, one);
		snprintf(one, sizeof(one), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%02d", i);
		lt_send(fd, one);
		lt_expect(c, one + strlen(one) - 2);
	}
	close(c);
	close(fd);
	close(lfd);
	lt_run(10);
	lt_stop();
}
