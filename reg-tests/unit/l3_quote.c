/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "l3/quote.h"
#include "l3/xlate.h"
#include "l3_pkt.h"

static uint8_t buf[2000];
static struct quote q;

/* "fragmentation needed" / "packet too big" that quotes <n> bytes behind the IP header of a segment */
static unsigned mk(bool v6, unsigned n)
{
	struct pkt k = { .v6 = v6, .seq = 0xfffffff0, .ack = 5, .flags = SEG_ACK, .data_len = 500 };
	unsigned ip = v6 ? 40 : 20, len = ip + 8 + ip + n;
	uint32_t sum = 0;
	uint8_t in[1000];

	pkt_make(in, &k);
	memset(buf, 0, sizeof(buf));
	memcpy(buf, in, ip);
	memcpy(buf + ip + 8, in, ip + n);
	if (v6) {
		buf[6] = IPPROTO_ICMPV6;
		pkt_be(buf + 4, len - 40, 2);
		buf[ip] = 2;
		for (unsigned i = 8; i < 40; i += 2)
			sum += (uint32_t)buf[i] << 8 | buf[i + 1];
		sum += IPPROTO_ICMPV6 + len - ip;
	} else {
		buf[9] = IPPROTO_ICMP;
		pkt_be(buf + 2, len, 2);
		buf[ip] = 3;
		buf[ip + 1] = 4;
	}
	pkt_be(buf + ip + 2, pkt_naive_csum(buf + ip, len - ip, sum), 2);
	return len;
}

static bool csum_ok(bool v6, unsigned len)
{
	unsigned ip = v6 ? 40 : 20;
	uint32_t sum = 0;

	for (unsigned i = 8; v6 && i < 40; i += 2)
		sum += (uint32_t)buf[i] << 8 | buf[i + 1];
	return pkt_naive_csum(buf + ip, len - ip, v6 ? sum + IPPROTO_ICMPV6 + len - ip : 0) == 0;
}

Test(l3_quote, the_quoted_segment_is_found_and_translated_back)
{
	struct xlate x = { .delta = { 0x20, 7 } };

	for (int v6 = 0; v6 < 2; v6++)
		for (unsigned n = 8; n < 60; n++) {
			unsigned len = mk(v6, n);

			cr_assert_eq(quote_parse(&q, buf, len, len), SEG_OK, "%u", n);
			cr_assert_eq(q.src.port, PKT_CLI_PORT);
			cr_assert_eq(q.dst.port, PKT_SRV_PORT);
			cr_assert_eq(q.src.family, v6 ? AF_INET6 : AF_INET);
			cr_assert_eq(q.seq, 0xfffffff0);
			cr_assert(quote_xlate(&q, 0, &x));
			cr_assert_eq(quote_parse(&q, buf, len, len), SEG_OK);
			cr_assert_eq(q.seq, 0xffffffd0);
			cr_assert(csum_ok(v6, len), "%u", n);
		}
	x.delta[0] = 0;
	cr_assert_not(quote_xlate(&q, 0, &x));
}

Test(l3_quote, other_messages_and_protocols_are_left_alone)
{
	unsigned len = mk(false, 20);

	buf[20] = 8; /* echo */
	cr_assert_eq(quote_parse(&q, buf, len, len), SEG_NOT_TCP);
	len = mk(false, 20);
	buf[28 + 9] = IPPROTO_UDP;
	cr_assert_eq(quote_parse(&q, buf, len, len), SEG_NOT_TCP);
	len = mk(true, 20);
	buf[40] = 135; /* neighbour solicitation */
	cr_assert_eq(quote_parse(&q, buf, len, len), SEG_NOT_TCP);
	len = mk(true, 20);
	buf[48] = 0x45;
	cr_assert_neq(quote_parse(&q, buf, len, len), SEG_OK, "IPv4 inside ICMPv6");
	buf[0] = 0x45;
	buf[9] = IPPROTO_TCP;
	cr_assert_neq(quote_parse(&q, buf, len, len), SEG_OK);
}

Test(l3_quote, no_truncation_or_damage_is_read_beyond)
{
	srand(5);
	for (int i = 0; i < 20000; i++) {
		unsigned len = mk(i & 1, (unsigned)rand() % 60), have = (unsigned)rand() % (len + 1),
			 hits = (unsigned)rand() % 4;
		struct xlate x = { .delta = { 1, 2 } };
		uint8_t *heap = malloc(have ? have : 1);

		while (hits--)
			buf[(unsigned)rand() % len] = (uint8_t)rand();
		memcpy(heap, buf, have);
		/* exactly what is there, so that a byte beyond is seen */
		if (quote_parse(&q, heap, have, len) == SEG_OK)
			quote_xlate(&q, 0, &x);
		free(heap);
	}
}
