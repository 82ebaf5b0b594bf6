/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * repair.c - making and unmaking pseudo sockets
 *
 * TCP_REPAIR lets a privileged process give a socket a connection's state
 * without a handshake. The order of the calls matters; each comment says why
 * (FACTS §1, measured on Linux 6.18; kernel net/ipv4/tcp.c, do_tcp_setsockopt()):
 *
 *   - the receive buffer before connect(), because connect() derives the window
 *     clamp from it; a smaller one would prune the burst of held packets
 *   - sequences before connect(), options and window only after it
 *   - window scale always, also when there is none: connect() would leave the
 *     host's own default in place
 *   - the time stamp even: its low bit switches the socket to microseconds
 *   - repair off with -1: plain 0 sends a window probe. Which queue was named last means nothing from then on;
 *     repair on forgets it
 *
 * What does not depend on the connection comes first, in repair_prepare(), so that it can be done before
 * there is one.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* newer than glibc's netinet/tcp.h */
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "border/repair.h"

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

#define REPAIR_RCVBUF_MAX (16 << 20)
#define REPAIR_RCVBUF_MIN (256 << 10)
#define REPAIR_MSS_DEFAULT 536 /* RFC 9293 3.7.1 */
#define REPAIR_MSS_MIN 88      /* the kernel's TCP_MIN_MSS */

/* kernel: include/uapi/linux/sock_diag.h */
enum { REPAIR_MEM_RMEM = 0, REPAIR_MEM_BACKLOG = 7, REPAIR_MEM_VARS = 9 };
/* TCP's option kinds (RFC 9293 3.2, RFC 7323, RFC 2018) */
enum { REPAIR_OPT_MSS = 2, REPAIR_OPT_WSCALE = 3, REPAIR_OPT_SACK = 4, REPAIR_OPT_TS = 8 };

static int repair_int(int fd, int level, int opt, int val)
{
	return setsockopt(fd, level, opt, &val, sizeof(val)) < 0 ? -errno : 0;
}

static int repair_seq(int fd, uint32_t seq)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, sizeof(seq)) < 0 ? -errno : 0;
}

static int repair_get_seq(int fd, int queue, uint32_t *seq)
{
	socklen_t len = sizeof(*seq);
	int rc = repair_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	if (rc < 0)
		return rc;
	return getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, seq, &len) < 0 ? -errno : 0;
}

static int repair_buffers(int fd, uint32_t bytes)
{
	int rc = repair_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)bytes);

	if (rc == 0)
		repair_int(fd, SOL_SOCKET, SO_BUF_LOCK, 0); /* autotuning stays on; since 5.15 */
	return rc;
}

static int repair_connect(int fd, const struct repair_spec *s, const char **step)
{
	struct sockaddr_storage ss;
	socklen_t len;

	len = addr_to_sa(&s->local, &ss);
	*step = "bind";
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		return -errno;
	len = addr_to_sa(&s->peer, &ss);
	*step = "connect";
	return connect(fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
}

static int repair_options(int fd, const struct repair_spec *s)
{
	struct tcp_repair_opt opt[4];
	unsigned n = 0;

	opt[n++] = (struct tcp_repair_opt){ REPAIR_OPT_MSS, s->peer_mss ? s->peer_mss : REPAIR_MSS_DEFAULT };
	opt[n++] = (struct tcp_repair_opt){ REPAIR_OPT_WSCALE, s->peer_wscale | (uint32_t)s->local_wscale << 16 };
	if (s->sack)
		opt[n++] = (struct tcp_repair_opt){ REPAIR_OPT_SACK, 0 };
	if (s->timestamps)
		opt[n++] = (struct tcp_repair_opt){ REPAIR_OPT_TS, 0 };
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, opt, n * sizeof(opt[0])) < 0 ? -errno : 0;
}

static int repair_window(int fd, const struct repair_spec *s)
{
	struct tcp_repair_window w = {
		.snd_wl1 = s->rcv_seq - 1,
		.snd_wnd = s->snd_wnd,
		.max_window = MAX(s->max_wnd, s->snd_wnd),
		.rcv_wnd = s->rcv_wnd,
		.rcv_wup = s->rcv_seq,
	};

	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w)) < 0 ? -errno : 0;
}

#define REPAIR_STEP(name, call)                                                                              \
	do {                                                                                                 \
		*step = (name);                                                                              \
		rc = (call);                                                                                 \
		if (rc < 0)                                                                                  \
			goto out;                                                                            \
	} while (0)

int repair_prepare(int family, uint32_t mark, const char **step)
{
	bool v6 = family == AF_INET6;
	int fd, rc;

	*step = "socket";
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	REPAIR_STEP("transparent", v6 ? repair_int(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1) :
					repair_int(fd, IPPROTO_IP, IP_TRANSPARENT, 1));
	REPAIR_STEP("mark", repair_set_mark(fd, mark));
	REPAIR_STEP("rcvbuf", repair_buffers(fd, REPAIR_RCVBUF_MIN));
	REPAIR_STEP("repair", repair_int(fd, IPPROTO_TCP, TCP_REPAIR, 1));
	REPAIR_STEP("queue", repair_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE));
	repair_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return fd;
out:
	close(fd);
	return rc;
}

int repair_make(const struct repair_spec *s, int *out, const char **step)
{
	uint64_t room = MIN((uint64_t)s->rcv_wnd * 2, REPAIR_RCVBUF_MAX);
	int rc, fd = s->fd >= 0 ? s->fd : repair_prepare(s->local.family, s->mark, step);

	if (fd < 0)
		return fd;
	if (s->fd >= 0 && s->fd_mark != s->mark)
		REPAIR_STEP("mark", repair_set_mark(fd, s->mark));
	if (room > REPAIR_RCVBUF_MIN)
		REPAIR_STEP("rcvbuf", repair_buffers(fd, (uint32_t)room));
	REPAIR_STEP("snd_seq", repair_seq(fd, s->snd_seq)); /* the queue that repair_prepare() has chosen */
	REPAIR_STEP("queue", repair_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE));
	REPAIR_STEP("rcv_seq", repair_seq(fd, s->rcv_seq));
	if (s->peer_mss >= REPAIR_MSS_MIN)
		REPAIR_STEP("maxseg", repair_int(fd, IPPROTO_TCP, TCP_MAXSEG, s->peer_mss));
	rc = repair_connect(fd, s, step);
	if (rc < 0)
		goto out;
	REPAIR_STEP("options", repair_options(fd, s));
	REPAIR_STEP("window", repair_window(fd, s));
	if (s->timestamps)
		REPAIR_STEP("timestamp", repair_int(fd, IPPROTO_TCP, TCP_TIMESTAMP, (int)((s->tsval + 1) & ~1U)));
	REPAIR_STEP("repair off", repair_thaw(fd));
	*out = fd;
	return 0;
out:
	close(fd); /* under repair, or never connected: nothing is sent */
	return rc;
}

int repair_set_mark(int fd, uint32_t mark)
{
	return repair_int(fd, SOL_SOCKET, SO_MARK, (int)mark);
}

void repair_clamp_window(int fd, uint32_t bytes)
{
	repair_int(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, (int)MIN(MAX(bytes, 1U), (uint32_t)INT32_MAX));
}

void repair_open_window(int fd, uint32_t bytes)
{
	struct tcp_repair_window w;
	socklen_t len = sizeof(w);

	if (repair_int(fd, IPPROTO_TCP, TCP_REPAIR, 1) < 0) {
		repair_clamp_window(fd, bytes);
		return;
	}
	if (getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, &len) == 0) {
		w.rcv_wnd = MAX(w.rcv_wnd, MIN(bytes, 65535U));
		setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w));
	}
	repair_clamp_window(fd, bytes);
	repair_thaw(fd);
}

void repair_limit_unsent(int fd, uint32_t bytes)
{
	repair_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)MIN(bytes, (uint32_t)INT32_MAX));
}

int repair_queues(int fd, struct repair_queues *q)
{
	uint32_t mem[REPAIR_MEM_VARS] = { 0 };
	union {
		struct tcp_info ti;
		uint8_t room[sizeof(struct tcp_info) + 16]; /* the kernel's may be longer than the headers' */
	} u = { 0 };
	socklen_t len = sizeof(u);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &u, &len) < 0)
		return -errno;
	/* tcpi_rcv_wnd follows tcpi_snd_wnd, since Linux 6.2 */
	memcpy(&q->rcv_wnd, u.room + offsetof(struct tcp_info, tcpi_snd_wnd) + 4, sizeof(q->rcv_wnd));
	q->tcp_state = u.ti.tcpi_state;
	q->received = (uint32_t)u.ti.tcpi_bytes_received;
	q->acked = (uint32_t)u.ti.tcpi_bytes_acked;
	q->snd_wnd = u.ti.tcpi_snd_wnd;
	q->unsent = (int)u.ti.tcpi_notsent_bytes;
	len = sizeof(mem);
	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len) < 0)
		return -errno;
	q->rmem = mem[REPAIR_MEM_RMEM];
	q->backlog = mem[REPAIR_MEM_BACKLOG];
	if (ioctl(fd, SIOCINQ, &q->readable) < 0 || ioctl(fd, SIOCOUTQ, &q->unacked) < 0)
		return -errno;
	return 0;
}

uint32_t repair_tsval(int fd)
{
	uint32_t v = 0;
	socklen_t len = sizeof(v);

	getsockopt(fd, IPPROTO_TCP, TCP_TIMESTAMP, &v, &len);
	return v;
}

int repair_freeze(int fd, struct repair_state *st)
{
	struct tcp_repair_window w = { 0 };
	struct tcp_info ti = { 0 };
	socklen_t len;
	int rc;

	rc = repair_int(fd, IPPROTO_TCP, TCP_REPAIR, 1);
	if (rc < 0)
		return rc;
	rc = repair_get_seq(fd, TCP_SEND_QUEUE, &st->snd_seq);
	if (rc == 0)
		rc = repair_get_seq(fd, TCP_RECV_QUEUE, &st->rcv_seq);
	if (rc == 0)
		rc = repair_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
	len = sizeof(w);
	if (rc == 0 && getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, &len) < 0)
		rc = -errno;
	len = sizeof(st->tsval);
	if (rc == 0 && getsockopt(fd, IPPROTO_TCP, TCP_TIMESTAMP, &st->tsval, &len) < 0)
		rc = -errno;
	len = sizeof(ti);
	if (rc == 0 && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len) < 0)
		rc = -errno;
	if (rc < 0) {
		repair_thaw(fd);
		return rc;
	}
	st->snd_wnd = w.snd_wnd;
	st->rcv_wnd = w.rcv_wup + w.rcv_wnd - st->rcv_seq; /* what is left of the last offer */
	st->tcp_state = ti.tcpi_state;
	return 0;
}

int repair_thaw(int fd)
{
	return repair_int(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
}

void repair_close(int *fd)
{
	if (*fd < 0)
		return;
	repair_int(*fd, IPPROTO_TCP, TCP_REPAIR, 1);
	close(*fd);
	*fd = -1;
}
