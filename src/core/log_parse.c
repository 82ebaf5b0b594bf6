/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * log_parse.c - the words after `log`
 *
 *   <address> [len <length>] [format <format>] <facility> [<max level> [<min level>]]
 *
 * <address>: an IPv4 or IPv6 address or a name with an optional port (514), the absolute
 * path of a unix datagram socket, `stdout`, `stderr` or `fd@<n>`. Messages name
 * what was wrong in HAProxy's words; the caller puts file and line before them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "core/log.h"
#include "core/pool.h"

#define LOG_LEN_MIN     80
#define LOG_LEN_MAX     65535
#define LOG_LEN_DEFAULT 1024
#define LOG_PORT        514

static const char *const log_facilities[] = {
	"kern",   "user",   "mail",   "daemon", "auth",   "syslog", "lpr",    "news",
	"uucp",   "cron",   "auth2",  "ftp",    "ntp",    "audit",  "alert",  "cron2",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
};

static const char *const log_levels[] = {
	"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
};

static const char *const log_formats[] = {
	[LOG_FMT_UNSPEC] = "",	   [LOG_FMT_LOCAL] = "local",	  [LOG_FMT_RFC3164] = "rfc3164", [LOG_FMT_RFC5424] = "rfc5424",
	[LOG_FMT_SHORT] = "short", [LOG_FMT_RAW] = "raw",	  [LOG_FMT_TIMED] = "timed",
	[LOG_FMT_ISO] = "iso",	   [LOG_FMT_PRIORITY] = "priority",
};

static int log_word(const char *const *names, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], word) == 0)
			return (int)i;
	return -1;
}

/* These two: the level or facility of that name, or -1. */
static int log_level_parse(const char *word)
{
	return log_word(log_levels, ARRAY_SIZE(log_levels), word);
}

static int log_facility_parse(const char *word)
{
	return log_word(log_facilities, ARRAY_SIZE(log_facilities), word);
}

void log_set_init(struct log_set *ls)
{
	*ls = (struct log_set){ 0 };
	list_init(&ls->targets);
}

PRINTF_LIKE(2, 3) static int log_err(char **err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(err, fmt, ap) < 0)
		*err = NULL;
	va_end(ap);
	return -EINVAL;
}

/* "::1": what precedes the last colon is no address, the whole is. */
static bool log_is_bare_v6(struct log_target *t, const char *word, const char *colon)
{
	return memchr(word, ':', colon - word) && addr_parse_ip(&t->addr, str_n(word, colon - word)) &&
	       !addr_parse_ip(&t->addr, str_c(word));
}

/* "192.0.2.1", "192.0.2.1:514", "::1", "::1:514" (the last colon, as everywhere), "[::1]:514" */
static int log_parse_inet(struct log_target *t, const char *word, char **err)
{
	const char *colon = strrchr(word, ':');
	struct str ip = str_c(word);
	uint64_t port = LOG_PORT;

	if (colon && (word[0] == '[' ? colon[-1] == ']' : !log_is_bare_v6(t, word, colon))) {
		ip.n = colon - word;
		if (colon[1] && (str_to_uint(str_c(colon + 1), &port) || !port || port > 65535))
			return log_err(err, "invalid port '%s'", colon + 1);
	}
	if (ip.n >= 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']')
		ip = str_n(ip.p + 1, ip.n - 2);
	if (addr_parse_ip(&t->addr, ip) && addr_resolve(&t->addr, ip, AF_UNSPEC))
		return log_err(
		    err,
		    "invalid address '%s': an address or name with an optional port, an absolute path, "
		    "'stdout', 'stderr' or 'fd@<n>' is expected",
		    word);
	t->kind = LOG_TO_UDP;
	t->addr.port = port;
	return 0;
}

static int log_parse_addr(struct log_target *t, struct arena *a, const char *word, char **err)
{
	uint64_t fd;

	if (strncmp(word, "ring@", 5) == 0)
		return log_err(err, "'%s': rings are not supported", word);
	if (strcmp(word, "stdout") == 0 || strcmp(word, "stderr") == 0) {
		t->kind = LOG_TO_FD;
		t->fd = strcmp(word, "stdout") == 0 ? 1 : 2;
		return 0;
	}
	if (strncmp(word, "fd@", 3) == 0) {
		if (str_to_uint(str_c(word + 3), &fd) || fd > INT32_MAX)
			return log_err(err, "invalid file descriptor '%s'", word + 3);
		t->kind = LOG_TO_FD;
		t->fd = (int)fd;
		return 0;
	}
	if (strncmp(word, "unix@", 5) == 0)
		word += 5;
	if (strncmp(word, "udp@", 4) == 0)
		word += 4;
	if (word[0] != '/')
		return log_parse_inet(t, word, err);
	if (strlen(word) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return log_err(err, "socket path '%s' is too long (max %zu)", word,
			       sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	t->kind = LOG_TO_UNIX;
	t->path = arena_strdup(a, str_c(word));
	return t->path ? 0 : log_err(err, "out of memory");
}

static int log_parse_len(struct log_target *t, const char *word, char **err)
{
	uint64_t v;

	if (str_to_uint(str_c(word), &v) || v < LOG_LEN_MIN || v > LOG_LEN_MAX)
		return log_err(err, "invalid log length '%s', must be between %d and %d", word, LOG_LEN_MIN,
			       LOG_LEN_MAX);
	t->max_len = (unsigned)v;
	return 0;
}

static int log_parse_format(struct log_target *t, const char *word, char **err)
{
	int f = log_word(log_formats, ARRAY_SIZE(log_formats), word);

	if (f <= LOG_FMT_UNSPEC)
		return log_err(err, "unknown log format '%s'", word);
	t->format = f;
	return 0;
}

/* `len` and `format`, in this order; returns the position after them, or -EINVAL. */
static int log_parse_options(struct log_target *t, int pos, int argc, char **argv, char **err)
{
	static const struct {
		const char *word;
		int (*parse)(struct log_target *t, const char *word, char **err);
	} options[] = { { "len", log_parse_len }, { "format", log_parse_format } };

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (pos >= argc || strcmp(argv[pos], options[i].word))
			continue;
		if (pos + 1 >= argc)
			return log_err(err, "'%s' expects an argument", options[i].word);
		if (options[i].parse(t, argv[pos + 1], err))
			return -EINVAL;
		pos += 2;
	}
	if (pos < argc && (strcmp(argv[pos], "sample") == 0 || strcmp(argv[pos], "profile") == 0))
		return log_err(err, "'%s' is not supported", argv[pos]);
	return pos;
}

static int log_parse_levels(struct log_target *t, int pos, int argc, char **argv, char **err)
{
	t->facility = log_facility_parse(argv[pos]);
	if (t->facility < 0)
		return log_err(err, "unknown log facility '%s'", argv[pos]);
	t->max_level = LOG_DEBUG;
	t->min_level = LOG_EMERG;
	if (++pos < argc && (t->max_level = log_level_parse(argv[pos])) < 0)
		return log_err(err, "unknown optional log level '%s'", argv[pos]);
	if (++pos < argc && (t->min_level = log_level_parse(argv[pos])) < 0)
		return log_err(err, "unknown optional minimum log level '%s'", argv[pos]);
	if (++pos < argc)
		return log_err(err, "cannot handle unexpected argument '%s'", argv[pos]);
	return 0;
}

int log_target_parse(struct log_set *ls, struct arena *a, int argc, char **argv, char **err)
{
	struct log_target *t;
	int pos;

	if (argc < 2)
		return log_err(err, "expects <address> and <facility> as arguments");
	t = arena_alloc(a, sizeof(*t));
	if (!t || !(t->spec = arena_strdup(a, str_c(argv[0]))))
		return log_err(err, "out of memory");
	t->max_len = LOG_LEN_DEFAULT;
	if (log_parse_addr(t, a, argv[0], err))
		return -EINVAL;
	pos = log_parse_options(t, 1, argc, argv, err);
	if (pos < 0)
		return pos;
	if (pos >= argc)
		return log_err(err, "expects <address> and <facility> as arguments");
	if (log_parse_levels(t, pos, argc, argv, err))
		return -EINVAL;
	list_add_tail(&ls->targets, &t->node);
	return 0;
}
