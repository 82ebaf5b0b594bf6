/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The order of steps: sequences before connect, options and window only after it. src/border/repair.c follows
 * it.
 */
#include "plat.h"

int main(void)
{
	struct plat_repair r = { .own = "192.0.2.7",
				 .own_port = 80,
				 .peer = "198.51.100.9",
				 .peer_port = 4000,
				 .snd = 1000,
				 .rcv = 2000 };
	struct tcp_repair_opt opt = { TCPOPT_MAXSEG, 1400 };
	struct tcp_repair_window win = { 0 };
	unsigned snd = 0, rcv = 0;
	socklen_t l = sizeof(snd);
	int fd, rc;

	plat_begin();
	plat_wire_up();
	fd = socket(AF_INET, SOCK_STREAM, 0);
	PLAT_NEED(plat_set(fd, TCP_REPAIR, 1) == 0);
	rc = setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, &opt, sizeof(opt));
	plat_is(rc < 0, "TCP_REPAIR_OPTIONS before connect is refused (%s)", strerror(errno));
	close(fd);

	fd = plat_repair_connect(&r);
	PLAT_NEED(plat_set(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE) == 0);
	rc = plat_set(fd, TCP_QUEUE_SEQ, 77);
	plat_is(rc < 0, "TCP_QUEUE_SEQ after connect is refused (%s)", strerror(errno));
	getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &snd, &l);
	plat_set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
	getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &rcv, &l);
	plat_is(snd == 1000 && rcv == 2000, "both sequences read back: %u %u", snd, rcv);
	plat_is(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, &opt, sizeof(opt)) == 0,
		"TCP_REPAIR_OPTIONS after connect works");
	win.snd_wl1 = 1999, win.rcv_wup = 2000, win.snd_wnd = win.max_window = win.rcv_wnd = 5000;
	plat_is(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &win, sizeof(win)) == 0,
		"TCP_REPAIR_WINDOW after connect works");
	win.rcv_wup = 2001;
	plat_is(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &win, sizeof(win)) < 0,
		"a window beyond the receive sequence is refused");
	close(fd);
	return plat_end();
}
