/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * crowd.c - many connections at once that are all asked and answered
 *
 *   crowd serve PORT
 *   crowd call [-n CONNS] [-r RATE] [-t SECONDS] ADDR PORT
 *
 * The caller opens CONNS (100) connections, RATE (10000) a second, and asks on each as soon as it
 * stands: a line with its number. The server echoes what it gets. Then each line on the
 * caller's stdin makes it ask all of them again, another line each; at its end everything
 * is closed. Of every round it says
 *
 *   round=N conns=N answered=N bad=N connect_ms=N answer_ms=N ms=N [why=...]
 *
 * where bad connections ended, or answered something else than was asked; connect_ms and answer_ms are
 * the longest. A round ends when all are answered or bad, or after SECONDS (20).
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "tool.h"

#define MAX_CONNS 20000
#define EVENTS    256
#define LINE      32

struct conn {
	int fd;
	bool up, asked, bad;
	int64_t since_us;
	char want[LINE], got[LINE];
	size_t nwant, ngot;
};

static struct conn conns[MAX_CONNS];
static int nconns = 100, rate = 10000, seconds = 20, ep, opened;
static int answered, bad, number;
static int64_t connect_us, answer_us;
static char why[128];

static void watch(int op, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event ev = { .events = events, .data.u64 = tag };

	if (epoll_ctl(ep, op, fd, &ev) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void more_descriptors(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		die("descriptors: %s", strerror(errno));
	rl.rlim_cur = rl.rlim_max < MAX_CONNS + 100 ? rl.rlim_max : MAX_CONNS + 100;
	setrlimit(RLIMIT_NOFILE, &rl);
}

/*
 * The server
 */

static int serve_listen(const char *port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(atoi(port)) };
	int one = 1, zero = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16384) < 0)
		die("port %s: %s", port, strerror(errno));
	return fd;
}

static void serve_echo(int fd)
{
	char buf[4096];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	/* a few bytes always fit */
	if (n <= 0 || send(fd, buf, n, MSG_NOSIGNAL) != n)
		close(fd);
}

__attribute__((noreturn)) static void serve(const char *port)
{
	struct epoll_event ev[EVENTS];
	int lfd = serve_listen(port), one = 1;

	watch(EPOLL_CTL_ADD, lfd, EPOLLIN, lfd);
	for (;;) {
		int n = epoll_wait(ep, ev, EVENTS, -1), fd;

		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd != lfd) {
				serve_echo(ev[i].data.fd);
				continue;
			}
			while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
				watch(EPOLL_CTL_ADD, fd, EPOLLIN, fd);
			}
		}
	}
}

/*
 * The caller
 */

static void conn_bad(struct conn *c, const char *reason)
{
	if (c->bad)
		return;
	c->bad = true;
	bad++;
	if (c->asked)
		c->asked = false;
	if (!why[0])
		snprintf(why, sizeof(why), "%d:%s", (int)(c - conns), reason);
	close(c->fd);
	c->fd = -1;
}

static void conn_ask(struct conn *c, int64_t now)
{
	c->nwant = snprintf(c->want, sizeof(c->want), "%d %d\n", number, (int)(c - conns));
	c->ngot = 0;
	c->asked = true;
	c->since_us = now;
	if (send(c->fd, c->want, c->nwant, MSG_NOSIGNAL) != (ssize_t)c->nwant)
		conn_bad(c, strerror(errno));
}

static void conn_open(struct conn *c, const struct addrinfo *ai, int64_t now)
{
	int one = 1;

	c->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->since_us = now;
	if (connect(c->fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS)
		die("connect: %s", strerror(errno));
	watch(EPOLL_CTL_ADD, c->fd, EPOLLOUT, c - conns);
}

static void conn_up(struct conn *c, int64_t now)
{
	int err = 0;
	socklen_t len = sizeof(err);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		conn_bad(c, strerror(err));
		return;
	}
	c->up = true;
	if (now - c->since_us > connect_us)
		connect_us = now - c->since_us;
	watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c - conns);
	conn_ask(c, now);
}

static void conn_answer(struct conn *c, int64_t now)
{
	ssize_t n = recv(c->fd, c->got + c->ngot, sizeof(c->got) - c->ngot, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		conn_bad(c, n ? strerror(errno) : "ended");
		return;
	}
	c->ngot += n;
	if (!c->asked || c->ngot > c->nwant || memcmp(c->got, c->want, c->ngot)) {
		conn_bad(c, "another answer");
		return;
	}
	if (c->ngot < c->nwant)
		return;
	c->asked = false;
	answered++;
	if (now - c->since_us > answer_us)
		answer_us = now - c->since_us;
}

static void call_round(const struct addrinfo *ai)
{
	struct epoll_event ev[EVENTS];
	int64_t begun = now_us(), now = begun;

	number++;
	answered = 0;
	connect_us = answer_us = 0;
	if (opened)
		for (int i = 0; i < nconns; i++)
			if (!conns[i].bad)
				conn_ask(&conns[i], now);
	while (answered + bad < nconns && now - begun < seconds * 1000000LL) {
		int n;

		while (opened < nconns && opened < (now - begun) * rate / 1000000 + 1)
			conn_open(&conns[opened++], ai, now);
		n = epoll_wait(ep, ev, EVENTS, opened < nconns ? 1 : 100);
		now = now_us();
		for (int i = 0; i < n; i++) {
			struct conn *c = &conns[ev[i].data.u64];

			if (c->up)
				conn_answer(c, now);
			else
				conn_up(c, now);
		}
	}
	printf("round=%d conns=%d answered=%d bad=%d connect_ms=%lld answer_ms=%lld ms=%lld%s%s\n", number,
	       nconns, answered, bad, (long long)connect_us / 1000, (long long)answer_us / 1000,
	       (long long)(now - begun) / 1000, why[0] ? " why=" : "", why);
	fflush(stdout);
}

static int call(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *ai;
	char line[64];
	int all = 0, rounds = 0, rc = getaddrinfo(host, port, &hints, &ai);

	if (rc)
		die("%s:%s: %s", host, port, gai_strerror(rc));
	do {
		call_round(ai);
		all += answered;
		rounds++;
	} while (fgets(line, sizeof(line), stdin));
	freeaddrinfo(ai);
	return all == rounds * nconns ? 0 : EXIT_WRONG;
}

int main(int argc, char **argv)
{
	bool caller = argc > 1 && !strcmp(argv[1], "call");
	int opt;

	signal(SIGPIPE, SIG_IGN);
	more_descriptors();
	ep = epoll_create1(EPOLL_CLOEXEC);
	argc--;
	argv++;
	while ((opt = getopt(argc, argv, "n:r:t:")) != -1) {
		if (opt == 'n')
			nconns = atoi(optarg);
		else if (opt == 'r')
			rate = atoi(optarg);
		else if (opt == 't')
			seconds = atoi(optarg);
		else
			die("see the head of crowd.c");
	}
	if (nconns > MAX_CONNS || argc - optind != (caller ? 2 : 1))
		die("see the head of crowd.c");
	if (caller)
		return call(argv[optind], argv[optind + 1]);
	serve(argv[optind]);
}
