/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A connection mark decides for all packets of a connection, both directions, whether they are queued. It is
 * set by a rule before the queue on a connection's first packet, kept while others' bits change under their
 * masks, and an entry that is deleted (conntrack -F) makes the next packet new again.
 */
#include "plat.h"

int main(void)
{
	struct plat_queue *q;
	struct plat_udp u;
	struct plat_pkt k;

	plat_begin();
	plat_rule("-A PREROUTING -i lo -p udp -m mark --mark 0x8000000/0xc000000 -j CONNMARK --save-mark "
		  "--nfmask 0x3000000 --ctmask 0xf000000");
	plat_rule("-A PREROUTING -i lo -p udp -m mark --mark 0x8000000/0xc000000 -j ACCEPT");
	plat_rule("-A PREROUTING -i lo -p udp -m connmark --mark 0x3000000/0x3000000 -j RETURN");
	plat_rule("-A PREROUTING -i lo -p udp -m conntrack --ctstate NEW -j CONNMARK --set-xmark "
		  "0x1000000/0xf000000");
	plat_rule(
	    "-A PREROUTING -i lo -p udp -m connmark --mark 0x1000000/0x3000000 -j NFQUEUE --queue-num 3");
	plat_rule("-A INPUT -p udp -j CONNMARK --set-xmark 0x5/0xff");
	plat_rule("-A INPUT -p udp -m connmark --mark 0x3000005");
	q = plat_queue_open(3, 0xffff, 0);
	u = plat_udp_open(9);
	plat_udp_send(&u, "one");
	plat_is(plat_queue_get(q, 500, &k), "ours: queued");
	plat_verdict(q, k.id, NF_REPEAT, 0xb000000, NULL, 0);
	plat_is(plat_udp_got(&u, 500, "one"), "the verdict asks for class offloaded");
	plat_udp_send(&u, "two");
	plat_is(plat_udp_got(&u, 500, "two"), "the next packet is not queued");
	plat_is(plat_count("INPUT", 2) == 2, "and another's bits stand beside ours");
	if (plat_sh("conntrack -F") == 0) {
		plat_udp_send(&u, "three");
		plat_is(plat_queue_get(q, 500, &k), "after conntrack -F it is new, and queued again");
	}
	return plat_end();
}
