/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * NF_REPEAT with a mark: the packet goes through the chain again from its top, with the new mark, and may be
 * accepted there without coming to the queue again; a payload given with the verdict is the one that goes on.
 * This is how the daemon has a connection's class changed (include/l3/mark.h).
 */
#include "plat.h"

int main(void)
{
	struct plat_queue *q;
	struct plat_udp u;
	struct plat_pkt k;
	uint8_t copy[256];

	plat_begin();
	plat_rule("-A PREROUTING -i lo -p udp -m mark --mark 0x8000000/0xc000000 -j CONNMARK --save-mark "
		  "--nfmask 0x3000000 --ctmask 0xf000000");
	plat_rule("-A PREROUTING -i lo -p udp -m mark --mark 0x8000000/0xc000000 -j ACCEPT");
	plat_rule("-A PREROUTING -i lo -p udp");
	plat_rule("-A PREROUTING -i lo -p udp -j NFQUEUE --queue-num 3");
	plat_rule("-A INPUT -p udp -m connmark --mark 0x3000000/0xf000000");
	q = plat_queue_open(3, 0xffff, 0);
	u = plat_udp_open(9);
	plat_udp_send(&u, "one");
	PLAT_NEED(plat_queue_get(q, 500, &k) && k.len < sizeof(copy));
	memcpy(copy, k.p, k.len);
	memcpy(copy + k.len - 3, "two", 3);
	copy[26] = copy[27] = 0; /* no UDP checksum */
	plat_verdict(q, k.id, NF_REPEAT, 0xb000001, copy, k.len);
	plat_is(plat_udp_got(&u, 500, "two"), "a repeated packet goes on with the payload of its verdict");
	plat_is(plat_count("PREROUTING", 2) == 1, "it passed the chain again with its new mark");
	plat_is(plat_count("PREROUTING", 3) == 1, "and was not queued again");
	plat_is(plat_count("INPUT", 1) == 1, "the class is saved in the connection, under its mask");
	return plat_end();
}
