/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ends.c - both ends of a benchmark's connections
 *
 *   ends serve FIRST-LAST                                the server, on these ports
 *   ends bulk  [-u|-w|-W] [-n CONNS] SECONDS ADDR PORT   one long download (-u: upload; -w: by HTTP; -W: the same,
 *                                                        behind WARM_UPS short ones)
 *   ends rate  [-n CONNS] [-r RATE] SECONDS ADDR PORT    short connections, one after the other
 *   ends http  [-n CONNS] SECONDS ADDR PORT              requests on keep-alive connections
 *   ends idle  [-n CONNS] ADDR PORT                      holds connections until its stdin ends
 *
 * Both sides are one thread around epoll and do as little as they can: on two
 * cores they share the machine with what is measured. The first byte that a client
 * sends says what it wants (enum kind); none but a GET's could begin an HTTP request.
 *
 * A client prints one line of name=value words. `bulk`: bytes, gbps, gap_ms (the longest
 * time without a byte). `rate`: conns (complete ones in the time given), cps, p50_us and
 * p99_us from connect() to the server's FIN. `http`: requests, rps, p50_us, p99_us. `idle`: held,
 * once all of them are answered. Each has failed=N: connections that did not do what
 * they should; the exit status is 1 if there were any.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "tool.h"

#define MAX_FDS      262144
#define MAX_SAMPLES  1000000
#define EVENTS       256
#define BULK_BUF     (256 << 10)
#define BULK_CALLS   16 /* per event, so that every connection has its turn */
#define SHORT_LEN    64
#define WARM_UPS     3
#define PATIENCE_US  5000000LL
#define IDLE_SECONDS 15 /* `idle`: to have all connections answered */

enum kind {
	KIND_NONE,
	KIND_DOWN,       /* bytes until the client goes away */
	KIND_UP,         /* nothing: the client sends bytes */
	KIND_SHORT,      /* one answer of SHORT_LEN bytes, then the server closes */
	KIND_KEEP,       /* one byte, and the connection stays */
	KIND_LISTENER,   /* not a connection */
	KIND_HTTP = 'G', /* one answer of 128 bytes of body per request; of /bulk, as KIND_DOWN */
};

static char bulk_buf[BULK_BUF];
static int ep;

static void watch(int op, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	if (epoll_ctl(ep, op, fd, &ev) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void raise_fd_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		die("descriptors: %s", strerror(errno));
	rl.rlim_cur = rl.rlim_max < MAX_FDS ? rl.rlim_max : MAX_FDS;
	setrlimit(RLIMIT_NOFILE, &rl);
}

/*
 * The server
 */

static char kind_of[MAX_FDS]; /* enum kind */

static const char http_answer[] = "HTTP/1.1 200 OK\r\nServer: ends\r\nContent-Type: text/plain\r\n"
				  "Content-Length: 128\r\n\r\n"
				  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
				  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void serve_listen(int port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int one = 1, zero = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16384) < 0)
		die("port %d: %s", port, strerror(errno));
	kind_of[fd] = KIND_LISTENER;
	watch(EPOLL_CTL_ADD, fd, EPOLLIN);
}

static void serve_accept(int lfd)
{
	int fd, one = 1;

	while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if (fd >= MAX_FDS)
			die("too many connections");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		kind_of[fd] = KIND_NONE;
		watch(EPOLL_CTL_ADD, fd, EPOLLIN);
	}
}

static const char bulk_answer[] = "HTTP/1.1 200 OK\r\nServer: ends\r\nContent-Length: 1099511627776\r\n\r\n";

/* Sends the answers to all requests that <n> bytes of <buf> complete; requests are assumed to arrive whole.
 */
static bool serve_http(int fd, const char *buf, size_t n)
{
	for (const char *p = buf; (p = memmem(p, buf + n - p, "\r\n\r\n", 4)); p += 4)
		if (send(fd, http_answer, sizeof(http_answer) - 1, MSG_NOSIGNAL) != sizeof(http_answer) - 1)
			return false;
	return true;
}

static void serve_flood_begin(int fd)
{
	kind_of[fd] = KIND_DOWN;
	watch(EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLRDHUP);
}

static bool serve_flood(int fd)
{
	for (int i = 0; i < BULK_CALLS; i++)
		if (send(fd, bulk_buf, sizeof(bulk_buf), MSG_NOSIGNAL) < 0)
			return errno == EAGAIN;
	return true;
}

/* False when the connection is over. */
static bool serve_read(int fd)
{
	ssize_t n = recv(fd, bulk_buf, sizeof(bulk_buf), 0);

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	if (!kind_of[fd]) {
		kind_of[fd] = bulk_buf[0];
		if (kind_of[fd] == KIND_DOWN)
			serve_flood_begin(fd);
	}
	switch (kind_of[fd]) {
	case KIND_SHORT: send(fd, bulk_buf, SHORT_LEN, MSG_NOSIGNAL); return false;
	case KIND_KEEP: return send(fd, bulk_buf, 1, MSG_NOSIGNAL) == 1;
	case KIND_HTTP:
		if (n > 9 && !memcmp(bulk_buf, "GET /bulk", 9)) {
			serve_flood_begin(fd);
			return send(fd, bulk_answer, sizeof(bulk_answer) - 1, MSG_NOSIGNAL) > 0;
		}
		return serve_http(fd, bulk_buf, n);
	case KIND_DOWN:
	case KIND_UP: return true;
	}
	return false;
}

__attribute__((noreturn)) static void serve(char *range)
{
	struct epoll_event ev[EVENTS];
	char *last = strchr(range, '-');

	for (int port = atoi(range); port <= atoi(last ? last + 1 : range); port++)
		serve_listen(port);
	for (;;) {
		int n = epoll_wait(ep, ev, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd = ev[i].data.fd;
			bool go_on = true;

			if (kind_of[fd] == KIND_LISTENER)
				serve_accept(fd);
			else if (kind_of[fd] == KIND_DOWN)
				go_on =
				    !(ev[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && serve_flood(fd);
			else
				go_on = serve_read(fd);
			if (!go_on)
				close(fd);
		}
	}
}

/*
 * The clients
 */

struct conn {
	int fd;
	bool connected;
	int64_t since_us;   /* connect(), or the request */
	size_t got, wanted; /* bytes of the answer; wanted: of an HTTP answer, 0 not known yet */
	char head[1024];    /* of an HTTP answer */
};

static struct conn *conns;
static int *conn_of; /* by fd */
static int nconns = 1;
static double rate, seconds;
static struct sockaddr_storage peer;
static socklen_t peer_len;
static uint64_t started, done, bytes, failed;
static int64_t begun_us, until_us;
static uint32_t *samples;
static size_t nsamples;
static struct gap gap;
static int warm_ups; /* -W: requests that are still to come before the long one */
static bool patient; /* an answer is due within PATIENCE_US */
static char request[128];
static size_t request_len;

static void resolve(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *ai;
	int rc = getaddrinfo(host, port, &hints, &ai);

	if (rc)
		die("%s:%s: %s", host, port, gai_strerror(rc));
	memcpy(&peer, ai->ai_addr, ai->ai_addrlen);
	peer_len = ai->ai_addrlen;
	freeaddrinfo(ai);
}

static void conn_open(struct conn *c, int64_t now)
{
	int one = 1;

	c->fd = socket(peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || c->fd >= MAX_FDS)
		die("socket: %s", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&peer, peer_len) < 0 && errno != EINPROGRESS)
		die("connect: %s", strerror(errno));
	c->connected = false;
	c->got = c->wanted = 0;
	c->since_us = now;
	conn_of[c->fd] = c - conns;
	watch(EPOLL_CTL_ADD, c->fd, EPOLLOUT);
	started++;
}

static void conn_close(struct conn *c)
{
	close(c->fd);
	c->fd = -1;
}

static void conn_fail(struct conn *c)
{
	failed++;
	conn_close(c);
}

static void sample(struct conn *c, int64_t now)
{
	done++;
	if (nsamples < MAX_SAMPLES)
		samples[nsamples++] = now - c->since_us;
}

static void conn_ask(struct conn *c, int64_t now)
{
	if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) {
		conn_fail(c);
		return;
	}
	c->since_us = c->connected ? now : c->since_us;
	c->got = c->wanted = 0;
}

/* connect() has ended */
static void conn_ready(struct conn *c, int64_t now)
{
	int err = 0;
	socklen_t len = sizeof(err);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		conn_fail(c);
		return;
	}
	conn_ask(c, now);
	if (c->fd < 0)
		return;
	c->connected = true;
	watch(EPOLL_CTL_MOD, c->fd, request[0] == KIND_UP ? EPOLLOUT | EPOLLRDHUP : EPOLLIN);
}

static void ask_for_path(const char *path)
{
	request_len =
	    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n", path);
}

/* The length of an HTTP answer, head and body, once its head is here; 0 if it is not, or is none */
static size_t http_length(const char *head)
{
	const char *end = strstr(head, "\r\n\r\n"), *cl = strcasestr(head, "\r\ncontent-length:");

	return end && cl && cl < end && !strncmp(head, "HTTP/1.1 200", 12)
		   ? end + 4 - head + strtoul(cl + 17, NULL, 10)
		   : 0;
}

/* A short answer before the long one: whole, the next request goes. */
static void bulk_warm_up(struct conn *c, int64_t now)
{
	ssize_t n = recv(c->fd, c->head + c->got, sizeof(c->head) - 1 - c->got, 0);

	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			conn_fail(c);
		return;
	}
	c->got += n;
	c->head[c->got] = '\0';
	if (!http_length(c->head) || c->got < http_length(c->head))
		return;
	if (--warm_ups == 0)
		ask_for_path("/bulk");
	conn_ask(c, now);
}

static void bulk_event(struct conn *c, int64_t now)
{
	if (warm_ups) {
		bulk_warm_up(c, now);
		return;
	}
	for (int i = 0; i < BULK_CALLS; i++) {
		ssize_t n = request[0] == KIND_UP ? send(c->fd, bulk_buf, sizeof(bulk_buf), MSG_NOSIGNAL)
						  : recv(c->fd, bulk_buf, sizeof(bulk_buf), 0);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			conn_fail(c);
			return;
		}
		bytes += n;
	}
	gap_mark(&gap, now);
}

static void rate_event(struct conn *c, int64_t now)
{
	ssize_t n = recv(c->fd, bulk_buf, sizeof(bulk_buf), 0);

	if (n > 0) {
		c->got += n;
	} else if (n == 0 && c->got == SHORT_LEN) {
		sample(c, now);
		conn_close(c);
	} else if (n == 0 || errno != EAGAIN) {
		conn_fail(c);
	}
}

static void http_event(struct conn *c, int64_t now)
{
	ssize_t n = recv(c->fd, c->head + c->got, sizeof(c->head) - 1 - c->got, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		conn_fail(c);
		return;
	}
	c->got += n;
	c->head[c->got] = '\0';
	if (!c->wanted)
		c->wanted = http_length(c->head);
	if (c->wanted && c->got >= c->wanted) {
		sample(c, now);
		conn_ask(c, now);
	} else if (c->got == sizeof(c->head) - 1) {
		conn_fail(c);
	}
}

static void idle_event(struct conn *c, int64_t now)
{
	if (recv(c->fd, bulk_buf, sizeof(bulk_buf), 0) != 1) {
		conn_fail(c);
		return;
	}
	sample(c, now);
}

/* A connection that is answered by nobody must not only make the others look slower. */
static void fail_late(int64_t now)
{
	static int64_t looked_us;

	if (now - looked_us < 500000)
		return;
	looked_us = now;
	for (int i = 0; i < nconns; i++)
		if (conns[i].fd >= 0 && patient && now - conns[i].since_us > PATIENCE_US)
			conn_fail(&conns[i]);
}

static bool may_open(int64_t now)
{
	return !rate || started < (now - begun_us) / 1e6 * rate;
}

/* Until the time is over, or with <enough> until so many are done. */
static void run(void (*event)(struct conn *c, int64_t now), uint64_t enough)
{
	struct epoll_event ev[EVENTS];

	for (int64_t now = begun_us; now < until_us && (!enough || done + failed < enough); now = now_us()) {
		int n;

		for (int i = 0; i < nconns && may_open(now); i++)
			if (conns[i].fd < 0 && (!enough || started < enough))
				conn_open(&conns[i], now);
		n = epoll_wait(ep, ev, EVENTS, rate ? 1 : 10);
		now = now_us();
		for (int i = 0; i < n; i++) {
			struct conn *c = &conns[conn_of[ev[i].data.fd]];

			if (c->fd < 0)
				continue;
			if (!c->connected)
				conn_ready(c, now);
			else
				event(c, now);
		}
		fail_late(now);
	}
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int report(const char *what, const char *per_second)
{
	double s = (now_us() - begun_us) / 1e6;

	if (bytes)
		printf("bytes=%llu gbps=%.3f gap_ms=%.1f ", (unsigned long long)bytes, bytes * 8 / s / 1e9,
		       gap.longest_us / 1e3);
	else if (per_second)
		printf("%s=%llu %s=%.0f ", what, (unsigned long long)done, per_second, done / s);
	else
		printf("%s=%llu ", what, (unsigned long long)done);
	qsort(samples, nsamples, sizeof(*samples), by_value);
	if (nsamples)
		printf("p50_us=%u p99_us=%u ", samples[nsamples / 2], samples[nsamples * 99 / 100]);
	printf("failed=%llu\n", (unsigned long long)failed);
	fflush(stdout);
	return failed || (!bytes && !done) ? EXIT_WRONG : 0;
}

static void prepare(const char *host, const char *port)
{
	resolve(host, port);
	conns = calloc(nconns, sizeof(*conns));
	conn_of = calloc(MAX_FDS, sizeof(*conn_of));
	samples = calloc(MAX_SAMPLES, sizeof(*samples));
	if (!conns || !conn_of || !samples)
		die("out of memory");
	for (int i = 0; i < nconns; i++)
		conns[i].fd = -1;
	begun_us = now_us();
	until_us = begun_us + (int64_t)((seconds ? seconds : IDLE_SECONDS) * 1e6);
}

static void ask_for(enum kind kind, size_t len)
{
	memset(request, kind, len);
	request_len = len;
}

static int idle(void)
{
	char c;
	int rc;

	ask_for(KIND_KEEP, 1);
	run(idle_event, nconns);
	rc = report("held", NULL);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return rc;
}

static int client(const char *what, enum kind kind)
{
	if (!strcmp(what, "idle"))
		return idle();
	if (!strcmp(what, "bulk")) {
		if (kind == KIND_HTTP)
			ask_for_path(warm_ups ? "/" : "/bulk");
		else
			ask_for(kind, 1);
		run(bulk_event, 0);
		return report("bytes", NULL);
	}
	if (!strcmp(what, "rate")) {
		patient = true;
		ask_for(KIND_SHORT, SHORT_LEN);
		run(rate_event, 0);
		return report("conns", "cps");
	}
	if (!strcmp(what, "http")) {
		patient = true;
		ask_for_path("/some/path");
		run(http_event, 0);
		return report("requests", "rps");
	}
	die("what is %s?", what);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	enum kind kind = KIND_DOWN;
	bool timed = strcmp(what, "idle") != 0;
	int opt;

	signal(SIGPIPE, SIG_IGN);
	raise_fd_limit();
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (!strcmp(what, "serve") && argc == 3)
		serve(argv[2]);
	optind = 2;
	while ((opt = getopt(argc, argv, "+uwWn:r:")) != -1) {
		switch (opt) {
		case 'u': kind = KIND_UP; break;
		case 'w': kind = KIND_HTTP; break;
		case 'W':
			kind = KIND_HTTP;
			warm_ups = WARM_UPS;
			break;
		case 'n': nconns = atoi(optarg); break;
		case 'r': rate = atof(optarg); break;
		default: return EXIT_UNABLE;
		}
	}
	if (argc - optind != 2 + timed || nconns < 1)
		die("usage: ends serve FIRST-LAST | bulk|rate|http [-u|-w|-W] [-n CONNS] [-r RATE] SECONDS ADDR "
		    "PORT | "
		    "idle [-n CONNS] ADDR PORT");
	if (timed)
		seconds = atof(argv[optind++]);
	prepare(argv[optind], argv[optind + 1]);
	return client(what, kind);
}
