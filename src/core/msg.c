/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * msg.c - messages to the operator's terminal
 *
 * HAProxy's form, since people and tools read it: the level in brackets padded
 * to eleven columns, the pid, the text. While the daemon starts, the first
 * message is preceded by who speaks: version and path. One write() a message, so
 * that lines of several processes do not mix. Once it has started nothing waits for the
 * terminal: what a full pipe or a stopped terminal does not take is lost (the log has it).
 */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/log.h"

static struct {
	bool quiet, verbose, diag, started;
	bool introduced; /* version and path were told */
} msg_mode;              /* stderr is one for the process */

static const char *const msg_label[] = {
	[MSG_DIAG] = "[DIAG]",
	[MSG_NOTICE] = "[NOTICE]",
	[MSG_WARNING] = "[WARNING]",
	[MSG_ALERT] = "[ALERT]",
};

void msg_set_quiet(bool quiet)
{
	msg_mode.quiet = quiet;
}

void msg_set_verbose(bool verbose)
{
	msg_mode.verbose = verbose;
}

void msg_set_diag(bool diag)
{
	msg_mode.diag = diag;
}

void msg_set_started(bool started)
{
	msg_mode.started = started;
}

/* How many of <n> bytes may be written without waiting: a pipe that is writable takes PIPE_BUF. */
static size_t msg_room(size_t n)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (!msg_mode.started)
		return n;
	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) ? MIN(n, PIPE_BUF) : 0;
}

static void msg_write(enum msg_level lvl, const char *text)
{
	struct buf out = { 0 };
	const char *p;
	ssize_t n;

	buf_printf_grow(&out, "%-10s (%d) : %s", msg_label[lvl], (int)getpid(), text);
	if (!out.data || buf_tail(&out)[-1] != '\n')
		buf_put_grow(&out, "\n", 1);
	for (p = buf_head(&out); p < buf_tail(&out); p += n) {
		size_t room = msg_room(buf_tail(&out) - p);

		n = room ? write(STDERR_FILENO, p, room) : 0;
		if (n <= 0)
			break; /* nobody left to tell, or nobody who listens */
	}
	buf_free(&out);
}

static void msg_introduce(void)
{
	char path[4096], text[4200];
	ssize_t n;

	msg_mode.introduced = true;
	msg_write(MSG_NOTICE, "standin version is " STANDIN_VERSION);
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n <= 0)
		return;
	path[n] = '\0';
	snprintf(text, sizeof(text), "path to executable is %s", path);
	msg_write(MSG_NOTICE, text);
}

void msg_print(enum msg_level lvl, const char *text)
{
	if (msg_mode.quiet && !msg_mode.verbose)
		return;
	if (lvl == MSG_DIAG && !msg_mode.diag)
		return;
	if (!msg_mode.introduced && !msg_mode.started && lvl != MSG_DIAG)
		msg_introduce();
	msg_write(lvl, text);
}

static void msg_vprint(enum msg_level lvl, const char *fmt, va_list ap)
{
	struct buf text = { 0 };

	buf_vprintf_grow(&text, fmt, ap);
	buf_put_grow(&text, "", 1);
	msg_print(lvl, buf_head(&text));
	buf_free(&text);
}

#define MSG_DEFINE(name, lvl)             \
	void name(const char *fmt, ...)   \
	{                                 \
		va_list ap;               \
                                          \
		va_start(ap, fmt);        \
		msg_vprint(lvl, fmt, ap); \
		va_end(ap);               \
	}

MSG_DEFINE(msg_notice, MSG_NOTICE)
MSG_DEFINE(msg_warning, MSG_WARNING)
MSG_DEFINE(msg_alert, MSG_ALERT)
