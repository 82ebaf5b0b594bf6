/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * TCP_TIMESTAMP must be even: the low bit switches the socket to microseconds (seqtrk_repair() rounds up).
 */
#include "plat.h"

/* how far the socket's TSval is from <v> after some milliseconds */
static uint32_t drift(const struct plat_wire *w, uint16_t port, uint32_t v)
{
	struct plat_repair r = { .own = "10.7.0.1",
				 .own_port = port,
				 .peer = "198.51.100.9",
				 .peer_port = 4000,
				 .snd = 1000,
				 .rcv = 2000,
				 .ts = true,
				 .tsval = v };
	struct plat_tcp out = { 0 };
	int fd = plat_repair_socket(&r);

	usleep(30000);
	PLAT_NEED(send(fd, "x", 1, 0) == 1);
	PLAT_NEED(plat_tcp_recv(w, 500, &out) && out.ts);
	PLAT_NEED(plat_set(fd, TCP_REPAIR, 1) == 0);
	close(fd);
	return out.tsval - v;
}

int main(void)
{
	struct plat_wire w;
	uint32_t even, odd;

	plat_begin();
	w = plat_wire_up();
	even = drift(&w, 80, 1000000);
	plat_is(even >= 25 && even < 1000, "an even value counts milliseconds from there: +%u after 30 ms",
		even);
	odd = drift(&w, 81, 1000001);
	if (odd < 1000)
		printf("ok - this kernel has no microsecond timestamps: +%u\n", odd);
	else
		plat_is(odd > 20000, "an odd value switches to microseconds: +%u after 30 ms", odd);
	return plat_end();
}
