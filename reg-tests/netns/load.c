/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * load.c - steady HTTP load, and what of it failed
 *
 *   load [-n CONNS] [-t SECONDS] [-r RATE] [-i HEADER] [-k PID -K MS] ADDR PORT PATH
 *
 * CONNS keep-alive connections (8) ask for PATH one request after the other for
 * SECONDS (5), all together at most RATE times a second when given. A request has
 * failed when it is not answered by a complete response below 500: its
 * connection could not be made, ended or was reset under it, or 5 s passed. A connection
 * closed between two requests is only counted. Both are made anew.
 *
 * -i watches a response header that names the instance which answered. -k and -K
 * send SIGKILL to PID so many ms after the start, from here, so that "when" is exact.
 * The findings, one line:
 *
 *   requests=N failed=N closed=N gap_ms=N gap_us=N p50_us=N p99_us=N max_us=N [old=NAME new=NAME
 *   takeover_ms=N] [why=...]
 *
 * gap_ms is the longest time without any complete good response; takeover_ms runs from
 * the kill (without -k: from the old name's last answer) to the new name's first
 * answer; why is what happened to the first request that failed.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "tool_http.h"

#define MAX_CONNS   256
#define PATIENCE_US 5000000LL
#define MAX_SAMPLES 2000000

struct client {
	int fd;
	bool asked; /* a request is under way */
	int64_t asked_us;
	int64_t retry_us; /* not connected: when to try next */
	struct response r;
};

static struct client clients[MAX_CONNS];
static int nclients = 8;
static char request[4096];
static const char *host, *port, *watch;
static uint64_t requests, failed, closed_idle, started;
static char why[128], old_name[128], new_name[128];
static int64_t begun, killed_us, old_last_us, new_first_us;
static struct gap gap;
static uint32_t *samples;
static size_t nsamples;

static void client_close(struct client *c)
{
	close(c->fd);
	c->fd = -1;
	c->asked = false;
}

static void client_fail(struct client *c, const char *reason)
{
	if (!failed++)
		snprintf(why, sizeof(why), "%s-at-%lldms", reason, (long long)(now_us() - begun) / 1000);
	if (c->fd >= 0)
		client_close(c);
	c->retry_us = now_us() + 1000;
}

static void client_connect(struct client *c, int64_t now)
{
	if (now < c->retry_us)
		return;
	requests++;
	c->fd = dial_quiet(host, port);
	if (c->fd < 0) {
		client_fail(c, errno == ECONNREFUSED ? "refused" : "no-connection");
		return;
	}
	requests--;
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static void client_ask(struct client *c, int64_t now)
{
	requests++;
	started++;
	c->asked = true;
	c->asked_us = now;
	response_init(&c->r, false);
	if (!send_all(c->fd, request, strlen(request)))
		client_fail(c, "reset-while-sending");
}

static void note_instance(const struct response *r, int64_t now)
{
	char name[128];

	response_header(r, watch, name, sizeof(name));
	if (!*old_name)
		strcpy(old_name, name);
	if (!strcmp(name, old_name)) {
		old_last_us = now;
	} else if (!*new_name) {
		strcpy(new_name, name);
		new_first_us = now;
	}
}

static void client_answered(struct client *c, int64_t now)
{
	c->asked = false;
	if (c->r.status >= 500) {
		char reason[32];

		snprintf(reason, sizeof(reason), "status-%d", c->r.status);
		client_fail(c, reason);
		return;
	}
	gap_mark(&gap, now);
	if (watch)
		note_instance(&c->r, now);
	if (nsamples < MAX_SAMPLES)
		samples[nsamples++] = now - c->asked_us;
	if (c->r.close)
		client_close(c);
}

static void client_read(struct client *c)
{
	char buf[65536];
	ssize_t n = recv(c->fd, buf, sizeof(buf), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (!c->asked) {
		closed_idle++;
		client_close(c);
	} else if (n < 0) {
		client_fail(c, errno == ECONNRESET ? "reset" : "error");
	} else if (n == 0 && !response_eof(&c->r)) {
		client_fail(c, c->r.head_len ? "cut-off" : "closed-without-answer");
	} else if (n > 0 && response_feed(&c->r, buf, n) < (size_t)n) {
		client_fail(c, "bad-response");
	} else if (c->r.st == RESP_BAD) {
		client_fail(c, "bad-response");
	} else if (c->r.st == RESP_DONE) {
		client_answered(c, now_us());
	}
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void report(void)
{
	qsort(samples, nsamples, sizeof(*samples), by_value);
	printf("requests=%llu failed=%llu closed=%llu gap_ms=%lld gap_us=%lld", (unsigned long long)requests,
	       (unsigned long long)failed, (unsigned long long)closed_idle, (long long)gap.longest_us / 1000,
	       (long long)gap.longest_us);
	if (nsamples)
		printf(" p50_us=%u p99_us=%u max_us=%u", samples[nsamples / 2], samples[nsamples * 99 / 100],
		       samples[nsamples - 1]);
	if (watch)
		printf(" old=%s new=%s", old_name, new_name);
	if (watch && *new_name)
		printf(" takeover_ms=%.1f", (new_first_us - (killed_us ? killed_us : old_last_us)) / 1000.0);
	printf(failed ? " why=%s\n" : "\n", why);
}

static void run(int64_t until, double rate, pid_t victim, int kill_ms)
{
	struct pollfd pfd[MAX_CONNS];

	for (int64_t now = begun; now < until; now = now_us()) {
		if (victim && !killed_us && now - begun >= kill_ms * 1000LL) {
			if (kill(victim, SIGKILL) < 0)
				die("kill %d: %s", (int)victim, strerror(errno));
			killed_us = now_us();
		}
		for (int i = 0; i < nclients; i++) {
			struct client *c = &clients[i];

			if (c->fd < 0)
				client_connect(c, now);
			if (c->fd >= 0 && !c->asked && (!rate || started < (now - begun) / 1e6 * rate))
				client_ask(c, now);
			if (c->asked && now - c->asked_us > PATIENCE_US)
				client_fail(c, "timeout");
			pfd[i] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
		}
		poll(pfd, nclients, 1);
		for (int i = 0; i < nclients; i++) {
			if (pfd[i].fd >= 0 && pfd[i].fd == clients[i].fd && pfd[i].revents)
				client_read(&clients[i]);
		}
	}
}

int main(int argc, char **argv)
{
	double seconds = 5, rate = 0;
	pid_t victim = 0;
	int opt, kill_ms = 1000;

	while ((opt = getopt(argc, argv, "+n:t:r:i:k:K:")) != -1) {
		switch (opt) {
		case 'n': nclients = atoi(optarg); break;
		case 't': seconds = atof(optarg); break;
		case 'r': rate = atof(optarg); break;
		case 'i': watch = optarg; break;
		case 'k': victim = atoi(optarg); break;
		case 'K': kill_ms = atoi(optarg); break;
		default: return EXIT_UNABLE;
		}
	}
	if (argc - optind != 3 || nclients < 1 || nclients > MAX_CONNS)
		die("usage: load [-n CONNS] [-t SECONDS] [-r RATE] [-i HEADER] [-k PID -K MS] ADDR PORT "
		    "PATH");
	host = argv[optind];
	port = argv[optind + 1];
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: load\r\n\r\n", argv[optind + 2]);
	samples = calloc(MAX_SAMPLES, sizeof(*samples));
	if (!samples)
		die("out of memory");
	for (int i = 0; i < nclients; i++)
		clients[i].fd = -1;
	signal(SIGPIPE, SIG_IGN);
	gap.last_us = begun = now_us();
	run(begun + seconds * 1000000, rate, victim, kill_ms);
	gap_mark(&gap, now_us());
	report();
	free(samples);
	return failed ? EXIT_WRONG : 0;
}
