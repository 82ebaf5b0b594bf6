/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A batch verdict covers every waiting packet up to its id, whoever holds them: so a gateway with held
 * packets gives single verdicts (src/l3/nfq.c).
 */
#include "plat.h"

int main(void)
{
	struct plat_queue *q;
	struct plat_udp u;
	struct plat_pkt k[4];

	plat_begin();
	plat_rule("-A PREROUTING -i lo -p udp -j NFQUEUE --queue-num 3");
	q = plat_queue_open(3, 0xffff, 0);
	u = plat_udp_open(9);
	for (int i = 0; i < 4; i++) {
		char text[2] = { (char)('a' + i), 0 };

		plat_udp_send(&u, text);
		PLAT_NEED(plat_queue_get(q, 500, &k[i]));
	}
	plat_is(k[1].id == k[0].id + 1 && k[3].id == k[0].id + 3, "ids rise by one");
	plat_verdict(q, k[1].id, NF_ACCEPT, -1, NULL, 0);
	plat_is(plat_udp_got(&u, 500, "b"), "a single verdict takes one from the middle");
	plat_verdict_batch(q, k[2].id, NF_ACCEPT);
	plat_is(plat_udp_got(&u, 500, "a") && plat_udp_got(&u, 500, "c"),
		"a batch verdict takes all up to its id");
	plat_is(!plat_udp_got(&u, 100, "d"), "and none above");
	return plat_end();
}
