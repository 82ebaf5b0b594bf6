/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * --queue-bypass lets packets pass when nobody listens, and makes no difference when somebody does; without
 * it they are dropped. Packets that wait when the listener dies are dropped in both cases. `on-failure` rests
 * on it.
 */
#include "plat.h"

int main(void)
{
	struct plat_queue *q;
	struct plat_udp soft, hard;
	struct plat_pkt k;

	plat_begin();
	plat_rule("-A PREROUTING -i lo -p udp --dport 9 -j NFQUEUE --queue-num 3 --queue-bypass");
	plat_rule("-A PREROUTING -i lo -p udp --dport 10 -j NFQUEUE --queue-num 3");
	soft = plat_udp_open(9);
	hard = plat_udp_open(10);
	plat_udp_send(&soft, "a");
	plat_is(plat_udp_got(&soft, 500, "a"), "nobody listens: with bypass it passes");
	plat_udp_send(&hard, "a");
	plat_is(!plat_udp_got(&hard, 150, "a"), "nobody listens: without bypass it is dropped");
	q = plat_queue_open(3, 0xffff, 0);
	plat_udp_send(&soft, "b");
	plat_is(!plat_udp_got(&soft, 100, "b"), "somebody listens: with bypass it waits for a verdict");
	PLAT_NEED(plat_queue_get(q, 500, &k));
	plat_queue_close(q);
	plat_is(!plat_udp_got(&soft, 100, "b"), "the listener died: what waited is dropped");
	plat_udp_send(&soft, "c");
	plat_is(plat_udp_got(&soft, 500, "c"), "and what follows passes");
	return plat_end();
}
