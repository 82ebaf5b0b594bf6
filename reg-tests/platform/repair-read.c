/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a demotion reads: under repair both sequences, the window and the timestamp of a socket that has
 * worked; and how it knows that nothing is left: SIOCINQ, SIOCOUTQ, and SO_MEMINFO for out-of-order data that
 * neither shows.
 */
#include <linux/sock_diag.h>

#include "plat.h"

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

static uint32_t rmem(int fd)
{
	uint32_t m[SK_MEMINFO_VARS] = { 0 };
	socklen_t l = sizeof(m);

	PLAT_NEED(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, m, &l) == 0);
	return m[SK_MEMINFO_RMEM_ALLOC] + m[SK_MEMINFO_BACKLOG];
}

static int queued(int fd, unsigned long what)
{
	int n = -1;

	PLAT_NEED(ioctl(fd, what, &n) == 0);
	return n;
}

static uint32_t queue_seq(int fd, int queue)
{
	uint32_t seq = 0;
	socklen_t l = sizeof(seq);

	PLAT_NEED(plat_set(fd, TCP_REPAIR_QUEUE, queue) == 0);
	PLAT_NEED(getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &l) == 0);
	return seq;
}

int main(void)
{
	struct plat_repair r = { .own = "10.7.0.1",
				 .own_port = 80,
				 .peer = "198.51.100.9",
				 .peer_port = 4000,
				 .snd = 1000,
				 .rcv = 2000,
				 .ts = true,
				 .tsval = 70000 };
	struct plat_tcp in = { .src = r.peer,
			       .dst = r.own,
			       .sport = 4000,
			       .dport = 80,
			       .seq = 2000,
			       .ack = 1000,
			       .ts = true,
			       .tsval = 9,
			       .flags = PLAT_ACK | PLAT_PSH,
			       .win = 777,
			       .data = "hello",
			       .len = 5 };
	struct tcp_repair_window win;
	struct plat_tcp out;
	struct plat_wire w;
	socklen_t l = sizeof(win);
	uint32_t ts = 0;
	char buf[16];
	int fd;

	plat_begin();
	w = plat_wire_up();
	fd = plat_repair_socket(&r);
	plat_is(queued(fd, SIOCINQ) == 0 && queued(fd, SIOCOUTQ) == 0 && rmem(fd) == 0,
		"fresh: nothing anywhere");

	in.seq = 2005;
	plat_tcp_send(&w, &in);
	PLAT_NEED(plat_tcp_recv(&w, 300, &out) && out.ack == 2000);
	plat_is(queued(fd, SIOCINQ) == 0 && rmem(fd) > 0,
		"data out of order: nothing to read, and memory is used");
	in.seq = 2000;
	plat_tcp_send(&w, &in);
	plat_is(plat_tcp_recv(&w, 300, &out) && out.ack == 2010 && queued(fd, SIOCINQ) == 10,
		"the gap is filled: 10 bytes");
	PLAT_NEED(recv(fd, buf, sizeof(buf), 0) == 10);
	plat_is(rmem(fd) == 0, "read: no memory is used");

	PLAT_NEED(send(fd, "abcdefg", 7, 0) == 7 && plat_tcp_recv(&w, 300, &out) && out.seq == 1000);
	plat_is(queued(fd, SIOCOUTQ) == 7, "sent and not acknowledged: 7 bytes");
	in.seq = 2010, in.len = 0, in.ack = 1007, in.win = 555;
	plat_tcp_send(&w, &in);
	usleep(20000);
	plat_is(queued(fd, SIOCOUTQ) == 0, "acknowledged: none");

	PLAT_NEED(plat_set(fd, TCP_REPAIR, 1) == 0);
	plat_is(queue_seq(fd, TCP_SEND_QUEUE) == 1007, "the send sequence reads back");
	plat_is(queue_seq(fd, TCP_RECV_QUEUE) == 2010, "so does the receive sequence");
	PLAT_NEED(getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &win, &l) == 0);
	plat_is(win.snd_wnd == 555 && win.rcv_wup <= 2010, "and the windows: %u", win.snd_wnd);
	l = sizeof(ts);
	PLAT_NEED(getsockopt(fd, IPPROTO_TCP, TCP_TIMESTAMP, &ts, &l) == 0);
	plat_is(ts >= out.tsval && ts - out.tsval < 1000,
		"TCP_TIMESTAMP reads what it would send now: %u after %u", ts, out.tsval);
	close(fd);
	return plat_end();
}
