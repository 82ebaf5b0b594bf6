/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * With net.ipv4.tcp_early_demux=1 a packet that is to be forwarded is dropped as long as any socket here has
 * its addresses and ports, in TIME_WAIT too: the early lookup attaches the socket, and ip_forward() refuses
 * what has one. So steering sets it to 0 (src/l3/steer.c).
 */
#include "plat.h"

#define SRC "198.51.100.9"
#define OWN "192.0.2.7"

int main(void)
{
	struct plat_repair r = {
		.own = OWN, .own_port = 80, .peer = SRC, .peer_port = 4000, .snd = 1000, .rcv = 2000
	};
	struct plat_tcp in = { .src = SRC,
			       .dst = OWN,
			       .sport = 4000,
			       .dport = 80,
			       .seq = 2000,
			       .ack = 1000,
			       .flags = PLAT_ACK,
			       .win = 100 };
	struct plat_wire w;
	struct plat_tcp out;
	int fd;

	plat_begin();
	w = plat_wire_up();
	PLAT_NEED(
	    plat_sh(
		"echo 1 > /proc/sys/net/ipv4/ip_forward && echo 1 > /proc/sys/net/ipv4/tcp_early_demux && "
		"echo 0 > /proc/sys/net/ipv4/conf/v0/send_redirects") == 0);
	plat_tcp_send(&w, &in);
	PLAT_NEED(plat_tcp_recv(&w, 300, &out)); /* it is forwarded, back to the wire */
	fd = plat_repair_socket(&r);
	plat_tcp_send(&w, &in);
	plat_is(!plat_tcp_recv(&w, 150, &out),
		"tcp_early_demux=1: a socket of the same addresses stops forwarding");
	PLAT_NEED(plat_sh("echo 0 > /proc/sys/net/ipv4/tcp_early_demux") == 0);
	plat_tcp_send(&w, &in);
	plat_is(plat_tcp_recv(&w, 300, &out) && out.seq == 2000, "tcp_early_demux=0: it does not");
	plat_set(fd, TCP_REPAIR, 1);
	close(fd);
	return plat_end();
}
