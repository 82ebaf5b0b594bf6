/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A fresh repaired socket drops segments whose ACK is below its initial send sequence (RFC 5961 5.2 with
 * nothing ever sent), and their data with them: border lifts the ACK of released packets to it.
 */
#include "plat.h"

int main(void)
{
	struct plat_repair r = { .own = "10.7.0.1",
				 .own_port = 80,
				 .peer = "198.51.100.9",
				 .peer_port = 4000,
				 .snd = 1000000,
				 .rcv = 2000 };
	struct plat_tcp in = { .src = r.peer,
			       .dst = r.own,
			       .sport = 4000,
			       .dport = 80,
			       .seq = 2000,
			       .ack = 1000000 - 70000,
			       .flags = PLAT_ACK | PLAT_PSH,
			       .win = 1000,
			       .data = "hello",
			       .len = 5 };
	struct plat_wire w;
	int fd, queued = 0;

	plat_begin();
	w = plat_wire_up();
	fd = plat_repair_socket(&r);
	plat_tcp_send(&w, &in);
	usleep(50000);
	ioctl(fd, SIOCINQ, &queued);
	plat_is(queued == 0, "data with an ACK more than a window below the first send sequence is dropped");
	in.ack = 1000000 - 1;
	plat_tcp_send(&w, &in);
	usleep(50000);
	ioctl(fd, SIOCINQ, &queued);
	if (queued == 0)
		plat_is(true,
			"one below is dropped too: nothing was sent, so nothing below was ever acknowledged");
	else
		plat_skip("this kernel takes ACKs up to a window below (before 6.7)");
	in.ack = 1000000;
	plat_tcp_send(&w, &in);
	usleep(50000);
	ioctl(fd, SIOCINQ, &queued);
	plat_is(queued == 5, "with the ACK lifted to it, it is taken");
	plat_set(fd, TCP_REPAIR, 1);
	close(fd);
	return plat_end();
}
