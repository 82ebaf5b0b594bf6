/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * storm.c - many short connections, each with its own way to end
 *
 *   storm serve PORT
 *   storm call [-n CONNS] [-c WORKERS] [-s SEED] [-m BYTES] [-w MS] [-e ENDS] ADDR PORT
 *
 * Each connection carries a ramp of a random length (up to BYTES, 200k) in both directions, every
 * byte of which is compared, with a pause of up to MS (0) in the middle of the client's, and ends in one of the ways that -e names, taken at random:
 *
 *   c  the client closes when it has everything     s  the server does
 *   h  the client is done, shuts down, and only     H  the same with the ends swapped
 *      then the answer begins
 *   r  the client resets when both have everything  R  the server does
 *
 * The other end must see just that: an end of stream where there was a FIN, a reset where there
 * was a RST, and nothing else. Ports are the kernel's choice: give it a small range to have
 * addresses used again. The caller's line:
 *
 *   conns=N bad=N connect_ms=N slow_port=N longest_ms=N gap_ms=N gap_port=N [why=...]
 *
 * connect_ms, longest_ms and gap_ms are the worst of any connection. The server prints one line
 * "bad ..." for each connection that ended otherwise than told.
 */
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tool.h"

#define RAMP_MOD    251
#define RAMP_BUF    65536
#define PATIENCE_MS 20000

struct tally {
	unsigned conns, bad;
	int64_t connect_us, longest_us, gap_us;
	unsigned slow_port, gap_port; /* the ports of those */
	char why[128];
};

static uint8_t ramp[RAMP_BUF + RAMP_MOD];

/* One end of a connection: what it sends and expects, and how far it is. */
struct end {
	int fd;
	uint64_t tx, tx_want, rx, rx_want;
	struct gap gap;
	unsigned pause_ms; /* in the middle of what is sent; 0: none, or done */
};

/* Both ramps. NULL, or what went wrong. */
static const char *end_exchange(struct end *e)
{
	static uint8_t buf[RAMP_BUF];

	while (e->tx < e->tx_want || e->rx < e->rx_want) {
		struct pollfd p = { .fd = e->fd };
		ssize_t n;

		if (e->pause_ms && e->tx >= e->tx_want / 2) {
			sleep_us(e->pause_ms * 1000LL);
			e->pause_ms = 0;
		}

		p.events = (e->tx < e->tx_want ? POLLOUT : 0) | (e->rx < e->rx_want ? POLLIN : 0);
		if (poll(&p, 1, PATIENCE_MS) == 0)
			return "stalled";
		if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
			uint64_t left = e->rx_want - e->rx;

			n = recv(e->fd, buf, left < sizeof(buf) ? left : sizeof(buf), MSG_DONTWAIT);
			if (n == 0 && left)
				return "early-end";
			if (n < 0 && errno != EAGAIN)
				return strerror(errno);
			if (n > 0 && memcmp(buf, ramp + e->rx % RAMP_MOD, n))
				return "wrong-bytes";
			if (n > 0) {
				e->rx += n;
				gap_mark(&e->gap, now_us());
			}
		}
		if (e->tx < e->tx_want && p.revents & POLLOUT) {
			uint64_t left = e->tx_want - e->tx;

			n = send(e->fd, ramp + e->tx % RAMP_MOD, left < RAMP_BUF ? left : RAMP_BUF,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN)
				return strerror(errno);
			if (n > 0)
				e->tx += n;
		}
	}
	return NULL;
}

/* What the peer says next: a byte, its end (0), or the errno of a failure, negative */
static int end_next(struct end *e)
{
	struct pollfd p = { .fd = e->fd, .events = POLLIN };
	uint8_t c;
	ssize_t n;

	if (poll(&p, 1, PATIENCE_MS) == 0)
		return -ETIMEDOUT;
	n = recv(e->fd, &c, 1, 0);
	return n < 0 ? -errno : n ? c : 0;
}

static const char *expect(struct end *e, int what, const char *else_)
{
	static char text[64];
	int got = end_next(e);

	if (got == what)
		return NULL;
	snprintf(text, sizeof(text), "%s:%s", else_, got > 0 ? "byte" : got == 0 ? "end" : strerror(-got));
	return text;
}

static void end_reset(struct end *e)
{
	struct linger hard = { 1, 0 };

	setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

/* Sends all of it, shuts down, and only then receives; <first>: does so before the other does it. */
static const char *end_half(struct end *e, bool first)
{
	uint64_t rx_want = e->rx_want;
	const char *why = NULL;

	if (first) {
		e->rx_want = 0;
		why = end_exchange(e);
		e->rx_want = rx_want;
		if (!why && shutdown(e->fd, SHUT_WR) < 0)
			why = strerror(errno);
		if (!why)
			why = end_exchange(e);
		return why ? why : expect(e, 0, "no-end");
	} else {
		uint64_t tx_want = e->tx_want;

		e->tx_want = 0;
		why = end_exchange(e);
		if (!why)
			why = expect(e, 0, "no-end-half");
		e->tx_want = tx_want;
		return why ? why : end_exchange(e);
	}
}

/* The connection as told by <how>; <mine>: the letter is about this end. The caller closes. */
static const char *end_play(struct end *e, char how, bool mine)
{
	const char *why;

	if (how == 'h')
		return end_half(e, mine);
	why = end_exchange(e);
	if (why)
		return why;
	if (how == 'c')
		return mine ? NULL : expect(e, 0, "no-end");
	/* r: everything has arrived, says the other end; then the reset */
	if (mine) {
		why = expect(e, 'K', "no-word");
		end_reset(e);
		return why;
	}
	return send_all(e->fd, "K", 1) ? expect(e, -ECONNRESET, "no-reset") : "send";
}

/* ---- server ---- */

static void serve_one(int fd)
{
	struct end e = { .fd = fd };
	unsigned long long up, down;
	char line[64], how;
	const char *why;
	size_t n = 0;

	while (n < sizeof(line) - 1 && recv(fd, line + n, 1, 0) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	if (sscanf(line, "STORM %llu %llu %c", &up, &down, &how) != 3)
		_exit(0); /* a port scan, or the script's look whether we are there */
	e.rx_want = up;
	e.tx_want = down;
	/* in small letters: about the client */
	why = how == 's' ? end_play(&e, 'c', true) : how >= 'a' ? end_play(&e, how, false) : end_play(&e, how | 0x20, true);
	close(fd);
	if (why) {
		struct sockaddr_in6 peer = { 0 };
		socklen_t len = sizeof(peer);

		getpeername(fd, (struct sockaddr *)&peer, &len);
		printf("bad end=%c up=%llu/%llu down=%llu/%llu why=%s\n", how, (unsigned long long)e.rx, up,
		       (unsigned long long)e.tx, down, why);
		fflush(stdout);
	}
	_exit(0);
}

static int serve(const char *port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(atoi(port)) };
	int one = 1, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	signal(SIGCHLD, SIG_IGN);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 1024) < 0)
		die("port %s: %s", port, strerror(errno));
	for (;;) {
		int conn = accept(fd, NULL, NULL);

		if (conn < 0)
			continue;
		setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (fork_child() == 0) {
			close(fd);
			serve_one(conn);
		}
		close(conn);
	}
}

/* ---- caller ---- */

static uint64_t dice(uint64_t *state, uint64_t n)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (*state >> 33) % n;
}

static unsigned port_of(int fd)
{
	struct sockaddr_in6 sa = { 0 };
	socklen_t len = sizeof(sa);

	return fd >= 0 && getsockname(fd, (struct sockaddr *)&sa, &len) == 0 ? ntohs(sa.sin6_port) : 0; /* IPv4's too */
}

static void call_one(struct tally *t, uint64_t *rnd, const char *host, const char *port, uint64_t max, unsigned pause_ms,
		     const char *ends)
{
	static const int shift[] = { 0, 4, 8, 12 };
	struct end e = { 0 };
	int64_t begun = now_us(), us;
	char line[64], how = ends[dice(rnd, strlen(ends))];
	const char *why;
	unsigned my_port;
	int n;

	t->conns++;
	e.fd = dial_quiet(host, port);
	us = now_us() - begun;
	my_port = port_of(e.fd);
	if (us > t->connect_us) {
		t->connect_us = us;
		t->slow_port = my_port;
	}
	if (e.fd < 0) {
		t->bad++;
		snprintf(t->why, sizeof(t->why), "connect:%s", strerror(errno));
		return;
	}
	e.pause_ms = dice(rnd, pause_ms + 1);
	e.tx_want = dice(rnd, 1 + (max >> shift[dice(rnd, 4)]));
	e.rx_want = dice(rnd, 1 + (max >> shift[dice(rnd, 4)]));
	n = snprintf(line, sizeof(line), "STORM %llu %llu %c\n", (unsigned long long)e.tx_want,
		     (unsigned long long)e.rx_want, how);
	if (!send_all(e.fd, line, n))
		why = strerror(errno);
	else if (how == 's')
		why = end_play(&e, 'c', false);
	else
		why = how >= 'a' ? end_play(&e, how, true) : end_play(&e, how | 0x20, false);
	close(e.fd);
	us = now_us() - begun;
	t->longest_us = us > t->longest_us ? us : t->longest_us;
	if (e.gap.longest_us > t->gap_us) {
		t->gap_us = e.gap.longest_us;
		t->gap_port = my_port;
	}
	if (why) {
		t->bad++;
		snprintf(t->why, sizeof(t->why), "%c:%s:up=%llu/%llu:down=%llu/%llu", how, why, (unsigned long long)e.tx,
			 (unsigned long long)e.tx_want, (unsigned long long)e.rx, (unsigned long long)e.rx_want);
	}
}

static int call(int argc, char **argv)
{
	unsigned conns = 200, workers = 8, pause_ms = 0, i, w;
	const char *ends = "cshHrR";
	struct tally *t, sum = { 0 };
	uint64_t seed = 1, max = 200 << 10;
	int opt;

	while ((opt = getopt(argc, argv, "n:c:s:m:e:w:")) != -1) {
		switch (opt) {
		case 'n': conns = atoi(optarg); break;
		case 'c': workers = atoi(optarg); break;
		case 's': seed = strtoull(optarg, NULL, 10); break;
		case 'm': max = parse_bytes(optarg); break;
		case 'w': pause_ms = atoi(optarg); break;
		case 'e': ends = optarg; break;
		default: return EXIT_UNABLE;
		}
	}
	if (argc - optind != 2 || workers == 0)
		return EXIT_UNABLE;
	t = mmap(NULL, workers * sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	for (w = 0; w < workers; w++) {
		if (fork_child() == 0) {
			uint64_t rnd = seed * 1000003 + w;

			for (i = w; i < conns; i += workers)
				call_one(&t[w], &rnd, argv[optind], argv[optind + 1], max, pause_ms, ends);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	for (w = 0; w < workers; w++) {
		sum.conns += t[w].conns;
		sum.bad += t[w].bad;
		if (t[w].connect_us > sum.connect_us) {
			sum.connect_us = t[w].connect_us;
			sum.slow_port = t[w].slow_port;
		}
		sum.longest_us = t[w].longest_us > sum.longest_us ? t[w].longest_us : sum.longest_us;
		if (t[w].gap_us > sum.gap_us) {
			sum.gap_us = t[w].gap_us;
			sum.gap_port = t[w].gap_port;
		}
		if (t[w].why[0])
			memcpy(sum.why, t[w].why, sizeof(sum.why));
	}
	printf("conns=%u bad=%u connect_ms=%lld slow_port=%u longest_ms=%lld gap_ms=%lld gap_port=%u%s%s\n", sum.conns, sum.bad,
	       (long long)sum.connect_us / 1000, sum.slow_port, (long long)sum.longest_us / 1000, (long long)sum.gap_us / 1000, sum.gap_port,
	       sum.why[0] ? " why=" : "", sum.why);
	return sum.bad ? EXIT_WRONG : 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < sizeof(ramp); i++)
		ramp[i] = i % RAMP_MOD;
	if (!strcmp(mode, "serve") && argc == 3)
		return serve(argv[2]);
	if (!strcmp(mode, "call")) {
		int rc = call(argc - 1, argv + 1);

		if (rc != EXIT_UNABLE)
			return rc;
	}
	die("usage: storm serve PORT\n"
	    "       storm call [-n CONNS] [-c WORKERS] [-s SEED] [-m BYTES] [-w MS] [-e ENDS] ADDR PORT");
}
