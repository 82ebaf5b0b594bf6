/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * log.c - syslog lines to log targets
 *
 * A line is sent as header, text and newline in one sendmsg() or writev(): the
 * text is never copied. The sockets are unconnected and shared by all targets
 * of their kind, so a syslog daemon that restarts is found again by the next
 * line, and a configuration change opens nothing.
 *
 * Nothing waits. A datagram that finds a full queue or nobody listening is
 * dropped and counted. Standard output and error are not ours to make
 * non-blocking: a pipe is opened anew through /proc with flags of its own, a
 * socket is written with MSG_DONTWAIT, anything else (terminal, file) when
 * poll() says that it takes something.
 *
 * Forms (as HAProxy writes them):
 *   local     <134>Nov 23 02:34:15 tag[123]: text
 *   rfc3164   <134>Nov 23 02:34:15 host tag[123]: text     "localhost" without log-send-hostname
 *   rfc5424   <134>1 2026-11-23T02:34:15.731449+00:00 host tag 123 - - text
 *   short     <6>text                 level without facility
 *   timed     <6>2026-11-23T02:34:15.731449+00:00 text
 *   priority  <134>text
 *   iso       2026-11-23T02:34:15.731449+00:00 text
 *   raw       text
 */
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/bug.h"
#include "core/worker.h"

#define LOG_HDR_MAX  512
#define LOG_FDS      3
#define LOG_TAG_MAX  64
#define LOG_HOST_MAX 256

struct log_fd {
	int fd; /* what to write to; owned when it differs from the number it stands for */
	enum { LOG_FD_UNKNOWN, LOG_FD_NONBLOCK, LOG_FD_SOCKET, LOG_FD_POLL } how;
};

struct logger {
	int unix_fd, udp_fd[2];     /* -1 until the first line; [1] is IPv6 */
	struct log_fd out[LOG_FDS]; /* by descriptor number */
	char tag[LOG_TAG_MAX];
	char host[LOG_HOST_MAX]; /* empty: none */
	uint64_t dropped, sent;
	time_t now; /* the second of the two texts below */
	char t3164[24], t_iso[24], zone[8];
};

/* ---- making and freeing ---- */

int logger_init(struct worker *w)
{
	struct logger *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->unix_fd = l->udp_fd[0] = l->udp_fd[1] = -1;
	for (int i = 0; i < LOG_FDS; i++)
		l->out[i].fd = i;
	l->now = -1;
	w->logger = l;
	logger_set_identity(w, NULL, NULL);
	return 0;
}

static void log_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void logger_destroy(struct worker *w)
{
	struct logger *l = w->logger;

	if (!l)
		return;
	log_close(l->unix_fd);
	log_close(l->udp_fd[0]);
	log_close(l->udp_fd[1]);
	for (int i = 0; i < LOG_FDS; i++)
		if (l->out[i].fd != i)
			log_close(l->out[i].fd);
	free(l);
	w->logger = NULL;
}

void logger_set_identity(struct worker *w, const char *tag, const char *hostname)
{
	snprintf(w->logger->tag, sizeof(w->logger->tag), "%s", tag ? tag : "standin");
	snprintf(w->logger->host, sizeof(w->logger->host), "%s", hostname ? hostname : "");
}

uint64_t log_dropped(const struct worker *w)
{
	return w->logger->dropped;
}

/* ---- the header ---- */

/* The month's name must not follow the locale. */
static void log_clock(struct logger *l, const struct timespec *ts)
{
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm tm;
	long off;

	if (ts->tv_sec == l->now)
		return;
	l->now = ts->tv_sec;
	if (!localtime_r(&l->now, &tm))
		memset(&tm, 0, sizeof(tm));
	memcpy(l->t3164, months[tm.tm_mon % 12], 3);
	strftime(l->t3164 + 3, sizeof(l->t3164) - 3, " %e %H:%M:%S", &tm);
	strftime(l->t_iso, sizeof(l->t_iso), "%Y-%m-%dT%H:%M:%S", &tm);
	off = tm.tm_gmtoff / 60;
	snprintf(l->zone, sizeof(l->zone), "%c%02u:%02u", off < 0 ? '-' : '+', (unsigned)labs(off) / 60 % 100,
		 (unsigned)labs(off) % 60);
}

struct log_who {
	const char *tag, *host;
};

static int log_header(struct logger *l, const struct log_target *t, int level, const struct log_who *who,
		      char dst[LOG_HDR_MAX])
{
	int pri = t->facility * 8 + level;
	struct timespec ts;
	const char *host;
	char iso[48];

	if (t->format == LOG_FMT_RAW)
		return 0;
	if (t->format == LOG_FMT_SHORT)
		return snprintf(dst, LOG_HDR_MAX, "<%d>", level);
	if (t->format == LOG_FMT_PRIORITY)
		return snprintf(dst, LOG_HDR_MAX, "<%d>", pri);
	clock_gettime(CLOCK_REALTIME, &ts);
	log_clock(l, &ts);
	snprintf(iso, sizeof(iso), "%s.%06u%s", l->t_iso, (unsigned)(ts.tv_nsec / 1000) % 1000000, l->zone);
	switch (t->format) {
	case LOG_FMT_RFC5424:
		return snprintf(dst, LOG_HDR_MAX, "<%d>1 %s %s %s %d - - ", pri, iso,
				*who->host ? who->host : "-", who->tag, (int)getpid());
	case LOG_FMT_TIMED: return snprintf(dst, LOG_HDR_MAX, "<%d>%s ", level, iso);
	case LOG_FMT_ISO: return snprintf(dst, LOG_HDR_MAX, "%s ", iso);
	default: break;
	}
	host = t->format == LOG_FMT_LOCAL			? "" :
	       *who->host || t->format == LOG_FMT_UNSPEC	? who->host :
								  "localhost";
	return snprintf(dst, LOG_HDR_MAX, "<%d>%s %s%s%s[%d]: ", pri, l->t3164, host, *host ? " " : "", who->tag,
			(int)getpid());
}

/* ---- sending ---- */

static bool log_sendmsg(int fd, const struct msghdr *m)
{
	return sendmsg(fd, m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static bool log_to_unix(struct logger *l, const struct log_target *t, struct msghdr *m)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (l->unix_fd < 0)
		l->unix_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->unix_fd < 0)
		return false;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", t->path);
	m->msg_name = &sun;
	m->msg_namelen = sizeof(sun);
	return log_sendmsg(l->unix_fd, m);
}

static bool log_to_udp(struct logger *l, const struct log_target *t, struct msghdr *m)
{
	int *fd = &l->udp_fd[t->addr.family == AF_INET6];
	struct sockaddr_storage ss;

	if (*fd < 0)
		*fd = socket(t->addr.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return false;
	m->msg_name = &ss;
	m->msg_namelen = addr_to_sa(&t->addr, &ss);
	return log_sendmsg(*fd, m);
}

static void log_fd_open(struct log_fd *out)
{
	char path[32];
	struct stat st;
	int fd;

	out->how = LOG_FD_POLL;
	if (fstat(out->fd, &st) < 0)
		return;
	if (S_ISSOCK(st.st_mode)) {
		out->how = LOG_FD_SOCKET;
	} else if (S_ISFIFO(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", out->fd);
		fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			*out = (struct log_fd){ .fd = fd, .how = LOG_FD_NONBLOCK };
	}
}

static bool log_to_fd(struct logger *l, const struct log_target *t, struct msghdr *m)
{
	struct log_fd other = { .fd = t->fd, .how = LOG_FD_POLL };
	struct log_fd *out = t->fd < LOG_FDS ? &l->out[t->fd] : &other;
	struct pollfd p;

	if (out->how == LOG_FD_UNKNOWN)
		log_fd_open(out);
	if (out->how == LOG_FD_SOCKET)
		return log_sendmsg(out->fd, m);
	p = (struct pollfd){ .fd = out->fd, .events = POLLOUT };
	if (out->how == LOG_FD_POLL && (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT)))
		return false;
	return writev(out->fd, m->msg_iov, m->msg_iovlen) >= 0;
}

static void log_send_one(struct logger *l, const struct log_target *t, int level, struct str line,
			 const struct log_who *who)
{
	char hdr[LOG_HDR_MAX];
	int n = log_header(l, t, MAX(level, t->min_level), who, hdr);
	size_t hlen = MIN((size_t)MAX(n, 0), MIN(sizeof(hdr) - 1, (size_t)t->max_len));
	struct iovec iov[3] = {
		{ .iov_base = hdr, .iov_len = hlen },
		{ .iov_base = (char *)line.p, .iov_len = MIN(line.n, t->max_len - hlen) },
		{ .iov_base = "\n", .iov_len = 1 },
	};
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 3 };
	bool ok = t->kind == LOG_TO_UNIX  ? log_to_unix(l, t, &m)
		  : t->kind == LOG_TO_UDP ? log_to_udp(l, t, &m)
					  : log_to_fd(l, t, &m);

	if (ok)
		l->sent++;
	else
		l->dropped++;
}

static const char *log_first_of(const char *a, const char *b, const char *c)
{
	return a ? a : b ? b : c;
}

void log_send(struct worker *w, const struct log_set *ls, int level, struct str line)
{
	const struct log_set *global = ls ? ls->global : NULL;
	const struct log_target *t;
	struct log_who who;

	if (!ls || !w->logger)
		return;
	while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
		line.n--;
	who.tag = log_first_of(ls->tag, global ? global->tag : NULL, w->logger->tag);
	who.host = log_first_of(ls->hostname, global ? global->hostname : NULL, w->logger->host);
	if (global)
		list_for_each (t, &global->targets, node)
			if (level <= t->max_level)
				log_send_one(w->logger, t, level, line, &who);
	list_for_each (t, &ls->targets, node)
		if (level <= t->max_level)
			log_send_one(w->logger, t, level, line, &who);
}

void log_printf(struct worker *w, const struct log_set *ls, int level, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	int n;

	if (!ls)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		log_send(w, ls, level, str_n(text, MIN((size_t)n, sizeof(text) - 1)));
}
