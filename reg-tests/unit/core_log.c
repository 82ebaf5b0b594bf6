/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core_log.c - log targets: what is accepted, what is sent, that nothing waits
 */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/worker.h"

static struct arena arena;
static struct log_set set;
static struct worker w;

/* Words separated by one space. NULL: accepted; else the message. */
static char *parse(const char *text)
{
	char copy[512], *argv[16], *save = NULL, *err = NULL;
	int argc = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	argv[argc] = (char *)"";
	cr_assert_eq(log_target_parse(&set, &arena, argc, argv, &err) != 0, err != NULL, "%s", text);
	return err;
}

static void setup(void)
{
	arena_init(&arena);
	log_set_init(&set);
	cr_assert_eq(worker_init(&w), 0);
}

static void teardown(void)
{
	arena_reset(&arena);
	worker_destroy(&w);
}

TestSuite(log, .init = setup, .fini = teardown);
TestSuite(log_parse, .init = setup, .fini = teardown);

static const struct log_target *target(void)
{
	return list_last(&set.targets, struct log_target, node);
}

Test(log_parse, takes_every_kind_of_address)
{
	cr_assert_null(parse("127.0.0.1 local0"));
	cr_assert_eq(target()->kind, LOG_TO_UDP);
	cr_assert_eq(target()->addr.port, 514);
	cr_assert_eq(target()->facility, 16);
	cr_assert_eq(target()->max_level, LOG_DEBUG);
	cr_assert_eq(target()->min_level, LOG_EMERG);
	cr_assert_null(parse("[::1]:5140 len 4096 format rfc5424 daemon notice err"));
	cr_assert_eq(target()->addr.family, AF_INET6);
	cr_assert_eq(target()->addr.port, 5140);
	cr_assert_eq(target()->max_len, 4096);
	cr_assert_eq(target()->format, LOG_FMT_RFC5424);
	cr_assert_eq(target()->facility, 3);
	cr_assert_eq(target()->max_level, LOG_NOTICE);
	cr_assert_eq(target()->min_level, LOG_ERR);
	cr_assert_null(parse("::1 local0"));
	cr_assert_eq(target()->addr.port, 514);
	cr_assert_null(parse("::1:99 local0"));
	cr_assert_eq(target()->addr.port, 99);
	cr_assert_null(parse("localhost:99 local0"));
	cr_assert_eq(target()->addr.port, 99);
	cr_assert_null(parse("/dev/log kern"));
	cr_assert_str_eq(target()->path, "/dev/log");
	cr_assert_null(parse("stdout format raw local7"));
	cr_assert_eq(target()->fd, 1);
	cr_assert_null(parse("fd@2 local7"));
	cr_assert_eq(target()->fd, 2);
}

Test(log_parse, says_what_is_wrong)
{
	static const struct {
		const char *text, *why;
	} t[] = {
		{ "stdout format raw local0 info debug extra", "cannot handle unexpected argument 'extra'" },
		{ "127.0.0.1 local99", "unknown log facility 'local99'" },
		{ "1.2.3.4:70000 local0", "invalid port '70000'" },
		{ "/dev/log format foo local0", "unknown log format 'foo'" },
		{ "/dev/log", "expects <address> and <facility> as arguments" },
		{ "/dev/log len 100", "expects <address> and <facility> as arguments" },
		{ "/dev/log local0 wrong", "unknown optional log level 'wrong'" },
		{ "/dev/log local0 info wrong", "unknown optional minimum log level 'wrong'" },
		{ "127.0.0.1 len 10 local0", "invalid log length '10', must be between 80 and 65535" },
		{ "ring@x local0", "'ring@x': rings are not supported" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		char *err = parse(t[i].text);

		cr_assert_not_null(err, "%s", t[i].text);
		cr_assert_str_eq(err, t[i].why);
		free(err);
	}
	cr_assert(list_empty(&set.targets), "what was refused is not a target");
}

/* ---- sending ---- */

static int udp_sink(uint16_t *port)
{
	struct timeval tv = { .tv_sec = 2 };
	struct sockaddr_storage ss;
	struct addr a;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	addr_parse_ip(&a, STR("127.0.0.1"));
	cr_assert_eq(bind(fd, (struct sockaddr *)&ss, addr_to_sa(&a, &ss)), 0);
	net_get_dst(fd, &a);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	*port = a.port;
	return fd;
}

static void matches(const char *text, const char *pattern)
{
	regex_t re;

	cr_assert_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	cr_assert_eq(regexec(&re, text, 0, NULL, 0), 0, "'%s' is not like '%s'", text, pattern);
	regfree(&re);
}

#define T3164 "[A-Z][a-z]{2} [ 1-3][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}"
#define TISO  "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}[+-][0-9]{2}:[0-9]{2}"

static void expect_format(const char *format, const char *pattern)
{
	char text[2048], spec[128];
	uint16_t port;
	int fd = udp_sink(&port);
	ssize_t n;

	list_init(&set.targets);
	snprintf(spec, sizeof(spec), "127.0.0.1:%u format %s local0 info", port, format);
	cr_assert_null(parse(spec));
	log_printf(&w, &set, LOG_INFO, "hello %d", 1);
	n = recv(fd, text, sizeof(text) - 1, 0);
	cr_assert_gt(n, 0);
	text[n] = '\0';
	matches(text, pattern);
	close(fd);
}

Test(log, writes_every_format_as_haproxy_does)
{
	expect_format("local", "^<134>" T3164 " standin\\[[0-9]+\\]: hello 1\n$");
	expect_format("rfc3164", "^<134>" T3164 " localhost standin\\[[0-9]+\\]: hello 1\n$");
	expect_format("rfc5424", "^<134>1 " TISO " - standin [0-9]+ - - hello 1\n$");
	expect_format("short", "^<6>hello 1\n$");
	expect_format("timed", "^<6>" TISO " hello 1\n$");
	expect_format("priority", "^<134>hello 1\n$");
	expect_format("iso", "^" TISO " hello 1\n$");
	expect_format("raw", "^hello 1\n$");
	set.tag = (char *)"web";
	logger_set_identity(&w, NULL, "host1");
	expect_format("local", "^<134>" T3164 " web\\[[0-9]+\\]: hello 1\n$");
	expect_format("rfc3164", "^<134>" T3164 " host1 web\\[[0-9]+\\]: hello 1\n$");
	expect_format("rfc5424", "^<134>1 " TISO " host1 web [0-9]+ - - hello 1\n$");
}

Test(log, cuts_a_line_at_its_length)
{
	char text[2048], spec[128], line[500];
	uint16_t port;
	int fd = udp_sink(&port);
	ssize_t n;

	snprintf(spec, sizeof(spec), "127.0.0.1:%u len 80 local0", port);
	cr_assert_null(parse(spec));
	memset(line, 'x', sizeof(line));
	log_send(&w, &set, LOG_INFO, str_n(line, sizeof(line)));
	n = recv(fd, text, sizeof(text), 0);
	cr_assert_eq(n, 81, "80 and the newline");
	cr_assert_eq(text[80], '\n');
	close(fd);
}

Test(log, levels_choose_and_limit)
{
	char text[64], spec[128];
	uint16_t port;
	int fd = udp_sink(&port);

	snprintf(spec, sizeof(spec), "127.0.0.1:%u format short local0 notice err", port);
	cr_assert_null(parse(spec));
	log_printf(&w, &set, LOG_INFO, "too chatty");
	log_printf(&w, &set, LOG_EMERG, "raised to err\r\n");
	cr_assert_eq(recv(fd, text, sizeof(text), 0), 17);
	cr_assert_eq(memcmp(text, "<3>raised to err\n", 17), 0);
	close(fd);
}

Test(log, log_global_sends_to_both)
{
	struct log_set section;
	char text[64], spec[128];
	uint16_t port;
	int fd = udp_sink(&port);

	snprintf(spec, sizeof(spec), "127.0.0.1:%u format raw local0 info", port);
	cr_assert_null(parse(spec));
	log_set_init(&section);
	log_printf(&w, &section, LOG_INFO, "nobody listens");
	log_printf(&w, NULL, LOG_INFO, "nobody listens");
	section.global = &set;
	log_printf(&w, &section, LOG_DEBUG, "too chatty for global's target");
	log_printf(&w, &section, LOG_INFO, "x");
	cr_assert_eq(recv(fd, text, sizeof(text), 0), 2);
	close(fd);
}

Test(log, finds_a_restarted_syslog_again_and_counts_what_it_missed)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char text[64], spec[128];
	int fd;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "/tmp/standin-unit-log.%d", (int)getpid());
	snprintf(spec, sizeof(spec), "%s format raw local0", sun.sun_path);
	cr_assert_null(parse(spec));
	for (int i = 0; i < 2; i++) {
		uint64_t before = log_dropped(&w);

		log_printf(&w, &set, LOG_INFO, "lost");
		cr_assert_eq(log_dropped(&w), before + 1);
		fd = socket(AF_UNIX, SOCK_DGRAM, 0);
		cr_assert_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
		log_printf(&w, &set, LOG_INFO, "kept");
		cr_assert_eq(recv(fd, text, sizeof(text), MSG_DONTWAIT), 5);
		close(fd);
		unlink(sun.sun_path);
	}
}

Test(log, a_full_pipe_drops_instead_of_waiting)
{
	int pipefd[2], saved = dup(1);
	uint64_t start = clock_us();

	fflush(stdout);
	cr_assert_eq(pipe(pipefd), 0);
	dup2(pipefd[1], 1);
	cr_assert_null(parse("stdout format raw local0"));
	for (int i = 0; i < 10000; i++)
		log_printf(&w, &set, LOG_INFO, "%0100d", i);
	dup2(saved, 1);
	cr_assert_gt(log_dropped(&w), 0);
	cr_assert_lt(clock_us() - start, 5000000);
	cr_assert_not(fcntl(pipefd[1], F_GETFL) & O_NONBLOCK, "the pipe's own flags are not ours");
}

/* ---- the terminal ---- */

Test(msg, introduces_itself_once_at_start)
{
	cr_redirect_stderr();
	msg_warning("a %s", "b");
	msg_alert("c");
	fflush(stderr);
	{
		char text[4096] = "";
		FILE *f = cr_get_redirected_stderr();
		size_t n = fread(text, 1, sizeof(text) - 1, f);

		text[n] = '\0';
		matches(text, "^\\[NOTICE\\]   \\([0-9]+\\) : standin version is [^\n]*\n"
			      "\\[NOTICE\\]   \\([0-9]+\\) : path to executable is [^\n]*\n"
			      "\\[WARNING\\]  \\([0-9]+\\) : a b\n"
			      "\\[ALERT\\]    \\([0-9]+\\) : c\n$");
	}
}

Test(msg, quiet_is_quiet_unless_verbose)
{
	char text[256] = "";
	size_t n;

	cr_redirect_stderr();
	msg_set_started(true);
	msg_set_quiet(true);
	msg_alert("not shown");
	msg_set_verbose(true);
	msg_alert("shown");
	msg_print(MSG_DIAG, "not shown");
	msg_set_diag(true);
	msg_print(MSG_DIAG, "shown too");
	n = fread(text, 1, sizeof(text) - 1, cr_get_redirected_stderr());
	text[n] = '\0';
	matches(text, "^\\[ALERT\\]    \\([0-9]+\\) : shown\n\\[DIAG\\]     \\([0-9]+\\) : shown too\n$");
}
