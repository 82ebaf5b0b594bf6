/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tool.h - what the test tools beside this file share
 *
 * Each tool is one small program without any code of the daemon, so that what
 * they find says something about it. They block or poll(), end with exit
 * status 1 when what they checked was wrong and 2 when they could not check,
 * and print `name=value` words on one line, which lib.sh reads.
 */
#ifndef STANDIN_TESTS_TOOL_H
#define STANDIN_TESTS_TOOL_H

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_WRONG = 1, EXIT_UNABLE = 2 };

__attribute__((format(printf, 1, 2), noreturn)) static inline void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(EXIT_UNABLE);
}

/* fork(), but the child ends with its parent: nothing of a test outlives it */
static inline pid_t fork_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(EXIT_UNABLE);
	}
	return pid;
}

static inline int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static inline void sleep_us(int64_t us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

	if (us > 0)
		nanosleep(&ts, NULL);
}

/* "200m" -> 200 << 20; k, m and g are powers of 1024 */
static inline uint64_t parse_bytes(const char *s)
{
	char *end;
	uint64_t n = strtoull(s, &end, 10);
	const char *units = "kmg", *unit = *end ? strchr(units, *end | 0x20) : NULL;

	if (end == s || (*end && (!unit || end[1])))
		die("not a size: %s", s);
	return unit ? n << 10 * (unit - units + 1) : n;
}

/* The longest time between two arrivals. gap_mark() at each; the first one starts the clock. */
struct gap {
	int64_t last_us, longest_us, longest_at_us;
};

static inline void gap_mark(struct gap *g, int64_t now)
{
	if (g->last_us && now - g->last_us > g->longest_us) {
		g->longest_us = now - g->last_us;
		g->longest_at_us = g->last_us;
	}
	g->last_us = now;
}

/* The protocol of every TCP socket of a tool: with MPTCP set in the environment, Multipath TCP */
static inline int tcp_protocol(void)
{
	return getenv("MPTCP") ? 262 : 0;
}

/* A connected blocking socket with TCP_NODELAY, or -1 with errno. Numeric addresses only. */
static inline int dial_quiet(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *ai;
	int fd, one = 1, rc = getaddrinfo(host, port, &hints, &ai);

	if (rc)
		die("%s:%s: %s", host, port, gai_strerror(rc));
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, tcp_protocol());
	if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
		rc = errno;
		close(fd);
		errno = rc;
		fd = -1;
	}
	freeaddrinfo(ai);
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static inline int dial(const char *host, const char *port)
{
	int fd = dial_quiet(host, port);

	if (fd < 0)
		die("connect %s:%s: %s", host, port, strerror(errno));
	return fd;
}

static inline bool send_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

#endif
