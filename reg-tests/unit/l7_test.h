/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l7_test.h - a worker with a configuration, and ends to talk to it, in one thread
 *
 * The loop runs only inside lt_read() and lt_run(), so a test says exactly what
 * happened before what. Sockets are real TCP on the loopback.
 */
#ifndef L7_TEST_H
#define L7_TEST_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cfg/epoch.h"
#include "core/clock.h"
#include "core/endpoint.h"
#include "core/layer.h"
#include "core/worker.h"
#include "l7/stream_priv.h"

static struct worker lt_w;

UNUSED static void lt_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
}

/* One cycle, at most <ms> long. */
UNUSED static void lt_cycle(unsigned ms)
{
	ev_timer t;

	ev_timer_init(&t, lt_tick, ms / 1000., 0.);
	ev_now_update(lt_w.loop);
	ev_timer_start(lt_w.loop, &t);
	ev_run(lt_w.loop, EVRUN_ONCE);
	ev_timer_stop(lt_w.loop, &t);
}

UNUSED static void lt_run(unsigned ms)
{
	uint64_t end = clock_us() / 1000 + ms;

	do
		lt_cycle(5);
	while (clock_us() / 1000 < end);
}

static struct diag lt_diag;

static struct epoch *lt_build(const char *text)
{
	char path[] = "/tmp/l7-unit-XXXXXX", *files[] = { path };
	int fd = mkstemp(path);
	struct epoch *ep;

	cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	diag_init(&lt_diag);
	ep = epoch_build(files, 1, &lt_diag);
	unlink(path);
	return ep;
}

UNUSED static void lt_apply(const char *text)
{
	struct epoch *ep = lt_build(text);

	if (!ep)
		diag_print(&lt_diag);
	cr_assert_not_null(ep);
	if (epoch_apply(&lt_w, ep, &lt_diag) < 0) {
		diag_print(&lt_diag);
		cr_assert_fail("not applied");
	}
	epoch_put(ep);
	diag_free(&lt_diag);
}

UNUSED static void lt_start(const char *text)
{
	cr_assert_eq(worker_init(&lt_w), 0);
	cr_assert_eq(layers_init(&lt_w), 0);
	msg_set_quiet(true);
	lt_apply(text);
}

UNUSED static void lt_stop(void)
{
	layers_destroy(&lt_w);
	epoch_put(lt_w.epoch);
	lt_w.epoch = NULL;
	worker_destroy(&lt_w);
}

/* ---- sockets ---- */

static int lt_listen(struct addr *a)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(fd, 16) == 0);
	net_get_dst(fd, a);
	return fd;
}

UNUSED static int lt_connect(const struct addr *a)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sa(a, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(fd >= 0 && connect(fd, (struct sockaddr *)&ss, len) == 0);
	cr_assert_eq(net_nonblock(fd), 0);
	return fd;
}

UNUSED static int lt_accept(int lfd)
{
	for (int i = 0; i < 400; i++) {
		int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			return fd;
		lt_cycle(5);
	}
	return -1;
}

/* Two ends of one TCP connection. */
UNUSED static void lt_pair(int fd[2])
{
	struct addr a;
	int lfd = lt_listen(&a);

	fd[0] = lt_connect(&a);
	fd[1] = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	cr_assert(fd[1] >= 0);
	close(lfd);
}

UNUSED static void lt_send(int fd, const char *text)
{
	cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Runs the loop until <fd> has given text that holds <want>, its end, or two seconds passed. Returns what came;
 * "<EOF>" or "<RST>" stand for the end. */
UNUSED static const char *lt_read(int fd, const char *want)
{
	static char text[65536];
	size_t n = 0;

	text[0] = '\0';
	for (int i = 0; i < 400; i++) {
		ssize_t got = recv(fd, text + n, sizeof(text) - n - 8, 0);

		if (got > 0) {
			n += got;
			text[n] = '\0';
			if (want && strstr(text, want))
				return text;
			continue;
		}
		if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
			strcpy(text + n, got == 0 ? "<EOF>" : "<RST>");
			return text;
		}
		lt_cycle(5);
	}
	return text;
}

#define lt_expect(fd, want) cr_assert_not_null(strstr(lt_read(fd, want), want), "did not get: %s", want)

#endif
