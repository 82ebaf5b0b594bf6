/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * With NFQA_CFG_F_GSO a queue hands out segments as large as the stack made them, flagged NFQA_SKB_GSO and
 * NFQA_SKB_CSUMNOTREADY: their checksum field holds the pseudo header's sum only. A payload in the verdict
 * replaces the packet and must carry a complete checksum (seg_finish()). Without the flag packets come cut to
 * size.
 */
#include "plat.h"

static int sock_pair(int *srv)
{
	struct sockaddr_storage ss;
	socklen_t l = plat_sa(&ss, "127.0.0.1", 5000);
	int lfd = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	PLAT_NEED(bind(lfd, (struct sockaddr *)&ss, l) == 0 && listen(lfd, 1) == 0);
	PLAT_NEED(connect(fd, (struct sockaddr *)&ss, l) == 0);
	*srv = accept(lfd, NULL, NULL);
	close(lfd);
	return fd;
}

/* what the header says the checksum is against what it would be */
static bool csum_good(const uint8_t *p, unsigned len)
{
	unsigned ihl = (p[0] & 15) * 4u;

	return plat_sum(p + ihl, len - ihl, plat_sum(p + 12, 8, IPPROTO_TCP + (len - ihl))) == 0xffff;
}

int main(void)
{
	static char data[60000], back[60000];
	struct plat_queue *q;
	struct plat_pkt k;
	bool big = false, partial = true, flagged = true;
	size_t got = 0;
	int cli, srv;

	plat_begin();
	memset(data, 'a', sizeof(data));
	PLAT_NEED(plat_sh("ip link set lo mtu 1500") == 0);
	cli = sock_pair(&srv);
	plat_rule(
	    "-A PREROUTING -i lo -p tcp --dport 5000 -m length --length 1000: -j NFQUEUE --queue-num 3");
	q = plat_queue_open(3, 0xffff, NFQA_CFG_F_GSO);
	PLAT_NEED(send(cli, data, sizeof(data), MSG_DONTWAIT) > 0);
	while (got < sizeof(data) && plat_queue_get(q, 500, &k)) {
		static uint8_t copy[66000];
		unsigned ihl = (k.p[0] & 15) * 4u;

		big |= k.len > 16000;
		flagged &= k.len <= 1500 || (k.skbinfo & NFQA_SKB_GSO);
		partial &= (k.skbinfo & NFQA_SKB_CSUMNOTREADY) && !csum_good(k.p, k.len);
		memcpy(copy, k.p, k.len);
		memset(copy + ihl + (copy[ihl + 12] >> 4) * 4, 'b', k.len - ihl - (copy[ihl + 12] >> 4) * 4u);
		plat_put(copy + ihl + 16, 0, 2);
		plat_put(copy + ihl + 16,
			 (uint16_t)~plat_sum(copy + ihl, k.len - ihl,
					     plat_sum(copy + 12, 8, IPPROTO_TCP + (k.len - ihl))),
			 2);
		plat_verdict(q, k.id, NF_ACCEPT, -1, copy, k.len);
		while (plat_readable(srv, 50)) {
			ssize_t n = recv(srv, back, sizeof(back), 0);

			PLAT_NEED(n > 0 && back[0] == 'b' && back[n - 1] == 'b');
			got += (size_t)n;
		}
	}
	plat_is(big, "segments larger than any link come whole");
	plat_is(flagged, "and are flagged as such");
	plat_is(partial, "their checksums are flagged as not computed, and are not");
	plat_is(got == sizeof(data), "rewritten with complete checksums they all arrive: %zu bytes", got);
	return plat_end();
}
