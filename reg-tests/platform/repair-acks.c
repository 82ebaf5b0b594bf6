/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A socket under repair receives and acknowledges: repair is no brake, the queue is. src/border/demote.c
 * holds the flow's packets before it turns repair on.
 */
#include "plat.h"

int main(void)
{
	struct plat_repair r = { .own = "10.7.0.1",
				 .own_port = 80,
				 .peer = "198.51.100.9",
				 .peer_port = 4000,
				 .snd = 1000,
				 .rcv = 2000 };
	struct plat_tcp in = { .src = r.peer,
			       .dst = r.own,
			       .sport = 4000,
			       .dport = 80,
			       .seq = 2000,
			       .ack = 1000,
			       .flags = PLAT_ACK | PLAT_PSH,
			       .win = 1000,
			       .data = "hello",
			       .len = 5 };
	struct plat_tcp out;
	struct plat_wire w;
	int fd, queued = 0;

	plat_begin();
	w = plat_wire_up();
	fd = plat_repair_socket(&r);
	PLAT_NEED(plat_set(fd, TCP_REPAIR, 1) == 0);
	plat_tcp_send(&w, &in);
	if (plat_is(plat_tcp_recv(&w, 500, &out), "a segment is answered under repair"))
		plat_is(out.flags == PLAT_ACK && out.ack == 2005, "and acknowledged: ack %u", out.ack);
	ioctl(fd, SIOCINQ, &queued);
	plat_is(queued == 5, "its payload is in the receive queue");
	close(fd);
	return plat_end();
}
