/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `-m socket --transparent --restore-skmark` gives a packet the whole mark of its transparent socket, so
 * SO_MARK is a switch for one connection: a value that routes to the local socket, or one that goes to the
 * queue. The foreign bits of SO_MARK come along. In INPUT the same match tells whether there is a socket.
 * ICMP errors are matched too.
 */
#include "plat.h"

#define SRC "198.51.100.9"
#define OWN "192.0.2.7" /* not local: only the mark brings packets to the socket */

static struct plat_wire w;

static bool arrives(int fd, uint32_t seq)
{
	struct plat_tcp in = { .src = SRC,
			       .dst = OWN,
			       .sport = 4000,
			       .dport = 80,
			       .seq = seq,
			       .ack = 1000,
			       .flags = PLAT_ACK | PLAT_PSH,
			       .win = 1000,
			       .data = "hello",
			       .len = 5 };
	char buf[16];

	plat_tcp_send(&w, &in);
	return plat_readable(fd, 200) && recv(fd, buf, sizeof(buf), 0) == 5;
}

static void so_mark(int fd, uint32_t mark)
{
	PLAT_NEED(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0);
}

int main(void)
{
	struct plat_repair r = {
		.own = OWN, .own_port = 80, .peer = SRC, .peer_port = 4000, .snd = 1000, .rcv = 2000
	};
	struct plat_tcp stray = { .src = SRC,
				  .dst = OWN,
				  .sport = 4001,
				  .dport = 80,
				  .seq = 1,
				  .ack = 1,
				  .flags = PLAT_ACK,
				  .win = 1 };
	struct plat_queue *q;
	struct plat_pkt k;
	struct plat_tcp out;
	char buf[16];
	int fd;

	plat_begin();
	w = plat_wire_up();
	PLAT_NEED(
	    plat_sh(
		"echo 1 > /proc/sys/net/ipv4/ip_forward && echo 0 > /proc/sys/net/ipv4/tcp_early_demux && "
		"ip rule add pref 10 fwmark 0xe000000/0xf000000 lookup 1000 && ip route add local default "
		"dev lo table 1000") == 0);
	plat_rule("-A PREROUTING -i v0 -p tcp -m socket --transparent --restore-skmark");
	plat_rule("-A PREROUTING -i v0 -p tcp -m mark ! --mark 0x6000000/0xf000000 -j NFQUEUE --queue-num 3");
	plat_rule("-A PREROUTING -i v0 -p tcp -j MARK --set-xmark 0xe000000/0xf000000");
	plat_rule("-A INPUT -p tcp -m mark --mark 0xe000055");
	plat_rule("-A INPUT -p tcp -m mark --mark 0xe000000/0xf000000 -m socket --transparent -j RETURN");
	plat_rule("-A INPUT -p tcp -m mark --mark 0xe000000/0xf000000 -j DROP");
	q = plat_queue_open(3, 0xffff, 0);
	fd = plat_repair_socket(&r);

	so_mark(fd, 0x6000055);
	plat_is(arrives(fd, 2000), "switched on: packets come directly");
	plat_is(plat_count("INPUT", 1) == 1, "with the socket's foreign bits");
	PLAT_NEED(plat_tcp_recv(&w, 300, &out) && out.ack == 2005);

	so_mark(fd, 0x2000055);
	plat_is(!arrives(fd, 2005), "switched off: not");
	if (plat_is(plat_queue_get(q, 300, &k), "they are queued")) {
		plat_is(k.mark == 0x2000055, "with the socket's mark: 0x%x", k.mark);
		plat_verdict(q, k.id, NF_ACCEPT, 0xe000055, NULL, 0);
		plat_is(plat_readable(fd, 200) && recv(fd, buf, sizeof(buf), 0) == 5,
			"and a verdict with the local mark brings one to the socket");
	}
	so_mark(fd, 0x6000000);
	plat_is(arrives(fd, 2010), "and on again");

	plat_tcp_send(&w, &stray);
	PLAT_NEED(plat_queue_get(q, 300, &k));
	while (plat_tcp_recv(&w, 20, &out))
		;
	plat_verdict(q, k.id, NF_ACCEPT, 0xe000000, NULL, 0);
	plat_is(!plat_tcp_recv(&w, 200, &out), "a local mark without a socket: dropped in INPUT, no reset");
	plat_set(fd, TCP_REPAIR, 1);
	close(fd);
	return plat_end();
}
