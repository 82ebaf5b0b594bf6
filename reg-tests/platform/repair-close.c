/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * close() under repair sends nothing, whatever the queues hold; without repair it sends a FIN, or a RST when
 * there is unread data. src/border/demote.c closes under repair.
 */
#include "plat.h"

static struct plat_wire w;

static int ready(uint16_t port)
{
	struct plat_repair r = { .own = "10.7.0.1",
				 .own_port = port,
				 .peer = "198.51.100.9",
				 .peer_port = 4000,
				 .snd = 1000,
				 .rcv = 2000 };
	struct plat_tcp in = { .src = r.peer,
			       .dst = r.own,
			       .sport = 4000,
			       .dport = port,
			       .seq = 2000,
			       .ack = 1000,
			       .flags = PLAT_ACK | PLAT_PSH,
			       .win = 1000,
			       .data = "hello",
			       .len = 5 };
	struct plat_tcp out;
	int fd = plat_repair_socket(&r);

	plat_tcp_send(&w, &in);
	PLAT_NEED(plat_tcp_recv(&w, 500, &out) && out.ack == 2005);
	return fd;
}

int main(void)
{
	struct plat_tcp out;
	int fd;

	plat_begin();
	w = plat_wire_up();
	fd = ready(80);
	PLAT_NEED(plat_set(fd, TCP_REPAIR, 1) == 0);
	close(fd);
	plat_is(!plat_anything(&w, 200), "close under repair sends nothing, with unread data too");
	fd = ready(81);
	close(fd);
	plat_is(plat_tcp_recv(&w, 200, &out) && (out.flags & PLAT_RST),
		"close with unread data, without repair, sends a RST");
	return plat_end();
}
