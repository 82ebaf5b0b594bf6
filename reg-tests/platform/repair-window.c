/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * TCP_REPAIR_WINDOW takes a receive window larger than what the peer was told, on a socket that works, too: from then on
 * data beyond the old offer is taken. src/border/repair.c opens so a window that was shut to bring a connection to rest.
 */
#include "plat.h"

#include <sys/ioctl.h>

#include <linux/sockios.h>

int main(void)
{
	struct plat_repair r = { .own = "10.7.0.1", .peer = "10.9.0.2", .own_port = 80, .peer_port = 4000, .snd = 1000, .rcv = 2000,
				 .rcv_wnd = 100 };
	struct plat_tcp in = { .src = "10.9.0.2", .dst = "10.7.0.1", .sport = 4000, .dport = 80, .seq = 2000, .ack = 1000,
			       .flags = PLAT_ACK, .win = 60000, .len = 1000 }, out;
	static char data[1000];
	struct tcp_repair_window w;
	socklen_t len = sizeof(w);
	struct plat_wire wire;
	int fd, got = -1;

	plat_begin();
	wire = plat_wire_up();
	fd = plat_repair_socket(&r);
	in.data = data;
	in.seq = 2500;
	plat_tcp_send(&wire, &in);
	usleep(50000);
	PLAT_NEED(ioctl(fd, SIOCINQ, &got) == 0);
	plat_is(got == 0, "data beyond the offer of 100 bytes is not taken");
	while (plat_tcp_recv(&wire, 100, &out))
		;
	PLAT_NEED(plat_set(fd, TCP_REPAIR, 1) == 0);
	PLAT_NEED(getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, &len) == 0);
	w.rcv_wnd = 20000;
	plat_is(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w)) == 0, "a larger window may be set on a socket that works");
	plat_repair_off(fd);
	in.seq = 2000;
	for (int i = 0; i < 5; i++, in.seq += 1000)
		plat_tcp_send(&wire, &in);
	usleep(50000);
	PLAT_NEED(ioctl(fd, SIOCINQ, &got) == 0);
	plat_is(got == 5000, "5000 bytes at once are taken then: %d", got);
	PLAT_NEED(plat_set(fd, TCP_REPAIR, 1) == 0);
	close(fd);
	return plat_end();
}
