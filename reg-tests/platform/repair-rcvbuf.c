/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The burst of held packets that a new pseudo socket gets must fit: SO_RCVBUFFORCE before connect makes room
 * for what the impersonated end promised, where this host's tcp_rmem allows less; SO_BUF_LOCK = 0 keeps the
 * kernel's own tuning on.
 */
#include "plat.h"

#define SEGS 400
#define SIZE 1400

static unsigned burst(const struct plat_wire *w, uint16_t port, int rcvbuf)
{
	static char data[SIZE];
	struct sockaddr_storage own, peer;
	struct plat_repair r = { .own = "10.7.0.1",
				 .own_port = port,
				 .peer = "198.51.100.9",
				 .peer_port = 4000,
				 .snd = 1000,
				 .rcv = 2000,
				 .rcv_wnd = SEGS * SIZE };
	struct plat_tcp in = { .src = r.peer,
			       .dst = r.own,
			       .sport = 4000,
			       .dport = port,
			       .ack = 1000,
			       .flags = PLAT_ACK,
			       .win = 1000,
			       .data = data,
			       .len = SIZE };
	struct tcp_repair_opt opt[2] = { { TCPOPT_MAXSEG, 1400 }, { TCPOPT_WINDOW, 7 | 7 << 16 } };
	struct tcp_repair_window win = { .snd_wl1 = 1999,
					 .snd_wnd = 65535,
					 .max_window = 65535,
					 .rcv_wnd = SEGS * SIZE,
					 .rcv_wup = 2000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), zero = 0, got = 0;
	socklen_t l = plat_sa(&own, r.own, port);

	plat_sa(&peer, r.peer, 4000);
	if (rcvbuf)
		PLAT_NEED(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)) == 0 &&
			  setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &zero, sizeof(zero)) == 0);
	PLAT_NEED(plat_set(fd, TCP_REPAIR, 1) == 0 && plat_set(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE) == 0 &&
		  plat_set(fd, TCP_QUEUE_SEQ, 1000) == 0 &&
		  plat_set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE) == 0 &&
		  plat_set(fd, TCP_QUEUE_SEQ, 2000) == 0);
	PLAT_NEED(bind(fd, (struct sockaddr *)&own, l) == 0 && connect(fd, (struct sockaddr *)&peer, l) == 0);
	PLAT_NEED(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, opt, sizeof(opt)) == 0);
	PLAT_NEED(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &win, sizeof(win)) == 0);
	plat_repair_off(fd);
	for (unsigned i = 0; i < SEGS; i++) {
		in.seq = 2000 + i * SIZE;
		plat_tcp_send(w, &in);
	}
	usleep(100000);
	PLAT_NEED(ioctl(fd, SIOCINQ, &got) == 0);
	PLAT_NEED(plat_set(fd, TCP_REPAIR, 1) == 0);
	close(fd);
	return (unsigned)got / SIZE;
}

int main(void)
{
	struct plat_wire w;
	unsigned with, without;

	plat_begin();
	w = plat_wire_up();
	PLAT_NEED(plat_sh("echo 4096 131072 200000 > /proc/sys/net/ipv4/tcp_rmem") == 0);
	with = burst(&w, 80, 2 * SEGS * SIZE);
	plat_is(with == SEGS, "with SO_RCVBUFFORCE before connect a window's burst is taken whole: %u of %d",
		with, SEGS);
	without = burst(&w, 81, 0);
	plat_is(without < SEGS, "without it is not: %u of %d", without, SEGS);
	return plat_end();
}
