/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ramp.c - a stream whose every byte says where it belongs
 *
 *   ramp serve [-b BANNER] PORT
 *   ramp call [-b] [-w MS] [-x] ADDR PORT C2S[@RATE] S2C[@RATE]
 *
 * Byte i of a ramp is i mod 251: a prime, so that a loss or a repetition of
 * anything that comes in powers of two, or of a whole segment, shows at once.
 * The caller's first line, "RAMP <c2s> <s2c> <rate>", asks for ramps of so
 * many bytes in each direction, sent at the same time, the server's at no more
 * than <rate> bytes a second. Both ends check what they receive; when both
 * ramps are through, the server sends one line with its findings, which the
 * caller prints after its own:
 *
 *   s2c=N s2c_gap_ms=N s2c_gap_at_ms=N s2c_p50_us=N s2c_p99_us=N s2c_first_ms=N s2c_result=ok c2s=N ... ms=N
 *
 * gap_ms is the longest time between two arrivals of data, so a stall of the
 * stream shows even when its bytes are right; a rate makes arrivals regular
 * (a piece each 5 ms), without one the caller's own buffers decide. p50_us and p99_us are of the
 * longest gaps that ended in each tenth of a second. result
 * is ok, or says at which byte of which direction it went wrong.
 *
 *   -b BANNER  serve: speak first, as SMTP does; call -b: wait for that line
 *   -w MS      call: wait after the connection is made, before the first line
 *   -x         call: end with a reset instead of a FIN
 *
 * One process serves one connection. Sizes take k, m, g.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>

#include "tool.h"

#define RAMP_MOD 251
#define RAMP_BUF (256 * RAMP_MOD)
#define TICK_US  5000
#define SLOT_US  100000
#define SLOTS    36000 /* what comes later than an hour counts for the longest only */
#define IDLE_MS  30000 /* a stream that stands still so long has failed */

struct half {
	uint64_t want, done;
	uint64_t rate; /* sending: bytes a second, 0: no limit */
	int64_t begun_us, first_us;
	uint64_t bad_at; /* receiving: of the first wrong byte, when bad */
	bool bad;
	struct gap gap;
	uint32_t slot[SLOTS]; /* the longest gap that ended in it; 0: none did */
};

static uint8_t ramp[RAMP_BUF + RAMP_MOD];

static void ramp_init(void)
{
	for (size_t i = 0; i < sizeof(ramp); i++)
		ramp[i] = i % RAMP_MOD;
}

/* How much may be sent now, and, when nothing, for how long to wait */
static size_t half_allowance(const struct half *tx, int64_t now, int *wait_ms)
{
	uint64_t left = tx->want - tx->done, due;

	if (!tx->rate)
		return left < RAMP_BUF ? left : RAMP_BUF;
	due = (uint64_t)((now - tx->begun_us) / TICK_US + 1) * TICK_US * tx->rate / 1000000;
	if (due <= tx->done) {
		*wait_ms = (TICK_US - (now - tx->begun_us) % TICK_US) / 1000 + 1;
		return 0;
	}
	due -= tx->done;
	due = due < left ? due : left;
	return due < RAMP_BUF ? due : RAMP_BUF;
}

static void half_gap(struct half *rx, int64_t now)
{
	int64_t slot = (now - rx->begun_us) / SLOT_US, gap = now - rx->gap.last_us;

	if (rx->gap.last_us && slot < SLOTS && gap > rx->slot[slot])
		rx->slot[slot] = gap;
	gap_mark(&rx->gap, now);
}

static int slot_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* What <percent> of the slots in which something came stay within. Sorts them. */
static unsigned half_gap_us(struct half *rx, unsigned percent)
{
	size_t first = 0;

	qsort(rx->slot, SLOTS, sizeof(rx->slot[0]), slot_cmp);
	while (first < SLOTS - 1 && rx->slot[first] == 0)
		first++;
	return rx->slot[first + (SLOTS - 1 - first) * percent / 100];
}

static void half_receive(struct half *rx, const uint8_t *data, size_t len, int64_t now)
{
	const uint8_t *expected = ramp + rx->done % RAMP_MOD;

	half_gap(rx, now);
	if (!rx->first_us)
		rx->first_us = now;
	if (!rx->bad && memcmp(data, expected, len)) {
		rx->bad = true;
		for (rx->bad_at = rx->done; *data == *expected; data++, expected++)
			rx->bad_at++;
	}
	rx->done += len;
}

/* Both ramps at once, until both are through. NULL, or what ended it. */
static const char *ramp_exchange(int fd, struct half *tx, struct half *rx)
{
	static uint8_t buf[RAMP_BUF];

	tx->begun_us = rx->begun_us = now_us();
	while (tx->done < tx->want || rx->done < rx->want) {
		int64_t now = now_us();
		int wait_ms = IDLE_MS;
		size_t may = tx->done < tx->want ? half_allowance(tx, now, &wait_ms) : 0;
		struct pollfd pfd = { .fd = fd };
		ssize_t n;

		pfd.events = (may ? POLLOUT : 0) | (rx->done < rx->want ? POLLIN : 0);
		n = poll(&pfd, 1, wait_ms);
		if (n == 0 && wait_ms == IDLE_MS)
			return "stalled";
		if (pfd.revents & (POLLIN | POLLHUP | POLLERR)) {
			size_t left = rx->want - rx->done;

			n = recv(fd, buf, left < sizeof(buf) ? left : sizeof(buf), MSG_DONTWAIT);
			if (n == 0 && left)
				return "early-end";
			if (n < 0 && errno != EAGAIN)
				return errno == ECONNRESET ? "reset" : strerror(errno);
			if (n > 0)
				half_receive(rx, buf, n, now_us());
		}
		if (may && pfd.revents & POLLOUT) {
			n = send(fd, ramp + tx->done % RAMP_MOD, may, MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN)
				return errno == ECONNRESET ? "reset" : strerror(errno);
			if (n > 0)
				tx->done += n;
		}
	}
	return NULL;
}

/* A line of at most <size> - 1 bytes, without its end, read byte by byte: what follows stays unread. */
static bool read_line(int fd, char *line, size_t size)
{
	size_t len = 0;

	while (len < size - 1 && recv(fd, line + len, 1, 0) == 1) {
		if (line[len] == '\n') {
			line[len] = '\0';
			return true;
		}
		len++;
	}
	line[len] = '\0';
	return false;
}

static void describe(char *out, size_t size, const char *name, struct half *rx, const char *end)
{
	char bad[64];

	snprintf(bad, sizeof(bad), "%s-wrong-at-%llu", name, (unsigned long long)rx->bad_at);
	snprintf(out, size, "%s=%llu %s_gap_ms=%lld %s_gap_at_ms=%lld %s_p50_us=%u %s_p99_us=%u %s_first_ms=%lld %s_result=%s", name,
		 (unsigned long long)rx->done, name, (long long)rx->gap.longest_us / 1000, name,
		 rx->gap.longest_us ? (long long)(rx->gap.longest_at_us - rx->begun_us) / 1000 : 0, name,
		 half_gap_us(rx, 50), name, half_gap_us(rx, 99), name,
		 rx->first_us ? (long long)(rx->first_us - rx->begun_us) / 1000 : -1, name,
		 rx->bad ? bad
		 : end   ? end
			 : "ok");
}

static void set_timeouts(int fd)
{
	struct timeval tv = { IDLE_MS / 1000, 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static int serve_one(int fd, const char *banner)
{
	unsigned long long c2s, s2c, rate;
	static struct half tx, rx;
	char line[512], report[512];
	const char *end;

	set_timeouts(fd);
	if (banner && (!send_all(fd, banner, strlen(banner)) || !send_all(fd, "\r\n", 2)))
		return EXIT_UNABLE;
	if (!read_line(fd, line, sizeof(line)) || sscanf(line, "RAMP %llu %llu %llu", &c2s, &s2c, &rate) != 3)
		return EXIT_UNABLE;
	rx.want = c2s;
	tx.want = s2c;
	tx.rate = rate;
	end = ramp_exchange(fd, &tx, &rx);
	describe(report, sizeof(report) - 1, "c2s", &rx, end);
	printf("%s\n", report);
	fflush(stdout);
	strcat(report, "\n");
	if (!end && send_all(fd, report, strlen(report)))
		recv(fd, line, sizeof(line), 0); /* the caller closes first */
	return end ? EXIT_WRONG : 0;
}

static int serve(const char *port, const char *banner)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(atoi(port)) };
	int one = 1, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, tcp_protocol());

	signal(SIGCHLD, SIG_IGN);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 1024) < 0)
		die("port %s: %s", port, strerror(errno));
	for (;;) {
		int conn = accept(fd, NULL, NULL);

		if (conn < 0)
			continue;
		setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (fork_child() == 0)
			_exit(serve_one(conn, banner));
		close(conn);
	}
}

/* "200m@1m" -> bytes and rate */
static void parse_half(char *arg, uint64_t *bytes, uint64_t *rate)
{
	char *at = strchr(arg, '@');

	*rate = 0;
	if (at) {
		*at = '\0';
		*rate = parse_bytes(at + 1);
	}
	*bytes = parse_bytes(arg);
}

static int call(char **argv, bool banner, int wait_ms, bool reset)
{
	static struct half tx, rx;
	char line[512] = "", mine[512];
	uint64_t s2c_rate;
	const char *end;
	int fd;

	parse_half(argv[2], &tx.want, &tx.rate);
	parse_half(argv[3], &rx.want, &s2c_rate);
	fd = dial(argv[0], argv[1]);
	set_timeouts(fd);
	if (banner && !read_line(fd, line, sizeof(line)))
		die("no banner");
	sleep_us(wait_ms * 1000LL);
	snprintf(line, sizeof(line), "RAMP %llu %llu %llu\n", (unsigned long long)tx.want,
		 (unsigned long long)rx.want, (unsigned long long)s2c_rate);
	if (!send_all(fd, line, strlen(line)))
		die("send: %s", strerror(errno));
	end = ramp_exchange(fd, &tx, &rx);
	describe(mine, sizeof(mine), "s2c", &rx, end);
	if (end || !read_line(fd, line, sizeof(line)))
		snprintf(line, sizeof(line), "c2s=? c2s_result=%s", end ? end : "no-report");
	printf("%s %s ms=%lld\n", mine, line, (long long)(now_us() - rx.begun_us) / 1000);
	if (reset) {
		struct linger hard = { 1, 0 };

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	}
	close(fd);
	return strstr(mine, "s2c_result=ok") && strstr(line, "c2s_result=ok") ? 0 : EXIT_WRONG;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	bool serving = !strcmp(mode, "serve"), banner = false, reset = false;
	const char *text = NULL;
	int opt, wait_ms = 0;

	argc--;
	argv++;
	while ((opt = getopt(argc, argv, serving ? "b:" : "bw:x")) != -1) {
		switch (opt) {
		case 'b':
			banner = true;
			text = optarg;
			break;
		case 'w': wait_ms = atoi(optarg); break;
		case 'x': reset = true; break;
		default: return EXIT_UNABLE;
		}
	}
	argv += optind;
	ramp_init();
	if (serving && argc - optind == 1)
		return serve(argv[0], text);
	if (!strcmp(mode, "call") && argc - optind == 4)
		return call(argv, banner, wait_ms, reset);
	die("usage: ramp serve [-b BANNER] PORT\n"
	    "       ramp call [-b] [-w MS] [-x] ADDR PORT C2S[@RATE] S2C[@RATE]");
}
