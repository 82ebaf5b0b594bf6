/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A packet accepted by verdict goes on behind the chain that queued it: rules after the queue rule do not see
 * it. That is why our chains are jumped to last (src/l3/steer_plan.c).
 */
#include "plat.h"

int main(void)
{
	struct plat_queue *q;
	struct plat_udp u;
	struct plat_pkt k;

	plat_begin();
	plat_rule("-A PREROUTING -i lo -p udp");
	plat_rule("-A PREROUTING -i lo -p udp -j NFQUEUE --queue-num 3");
	plat_rule("-A PREROUTING -i lo -p udp");
	plat_rule("-A INPUT -p udp -m mark --mark 0x7");
	q = plat_queue_open(3, 0xffff, 0);
	u = plat_udp_open(9);
	plat_udp_send(&u, "one");
	PLAT_NEED(plat_queue_get(q, 500, &k));
	plat_verdict(q, k.id, NF_ACCEPT, 7, NULL, 0);
	plat_is(plat_udp_got(&u, 500, "one"), "the packet arrives");
	plat_is(plat_count("PREROUTING", 1) == 1 && plat_count("PREROUTING", 3) == 0,
		"rules after the queue did not see it");
	plat_is(plat_count("INPUT", 1) == 1, "the next hook did, with the verdict's mark");
	return plat_end();
}
