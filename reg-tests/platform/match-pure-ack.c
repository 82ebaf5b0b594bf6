/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The bpf match in mangle PREROUTING sees a packet from its IP header on, so a classic program tells pure ACKs from all
 * other segments; and --ctdir REPLY tells what the end sends that did not begin. The rules of watched connections
 * (src/l3/steer_plan.c) let those pass by them.
 */
#include "plat.h"

#define PURE_ACK                                                                                                               \
	"12,177 0 0 0,80 0 0 13,69 8 0 39,80 0 0 12,116 0 0 4,100 0 0 2,12 0 0 0,7 0 0 0,40 0 0 2,29 0 1 0,6 0 0 65535,6 0 0 0"

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7001), .sin_addr.s_addr = htonl(0x7f000001) };
	int l, c, s, i;
	long acks, all, replies, to_client;
	char buf[16];

	plat_begin();
	plat_rule("-A PREROUTING -p tcp -m bpf --bytecode \"%s\"", PURE_ACK);
	plat_rule("-A PREROUTING -p tcp -m tcp --tcp-flags SYN,FIN,RST NONE -m length --length 1:59");
	plat_rule("-A PREROUTING -p tcp -m conntrack --ctdir REPLY");
	plat_rule("-A PREROUTING -p tcp --sport 7001");
	plat_rule("-A PREROUTING -p tcp");
	PLAT_NEED(plat_sh("echo 0 > /proc/sys/net/ipv4/tcp_timestamps") == 0); /* a pure ACK has 40 bytes, data more than 59 */
	l = socket(AF_INET, SOCK_STREAM, 0);
	c = socket(AF_INET, SOCK_STREAM, 0);
	PLAT_NEED(bind(l, (void *)&a, sizeof(a)) == 0 && listen(l, 1) == 0);
	PLAT_NEED(connect(c, (void *)&a, sizeof(a)) == 0 && (s = accept(l, NULL, NULL)) >= 0);
	for (i = 0; i < 3; i++) {
		PLAT_NEED(send(c, "a question of twenty-five", 25, 0) == 25 && recv(s, buf, sizeof(buf), 0) > 0);
		usleep(60000); /* longer than an ACK is delayed */
	}
	close(c);
	close(s);
	usleep(50000);
	acks = plat_count("PREROUTING", 1);
	all = plat_count("PREROUTING", 5);
	replies = plat_count("PREROUTING", 3);
	to_client = plat_count("PREROUTING", 4);
	plat_is(acks >= 3 && acks < all - 5, "pure ACKs match, the three segments with data, SYNs and FINs do not: %ld of %ld", acks, all);
	plat_is(acks == plat_count("PREROUTING", 2), "they are those of 40 bytes without a flag: %ld", plat_count("PREROUTING", 2));
	plat_is(replies > 0 && replies == to_client, "REPLY is what the listener's end sends: %ld, %ld", replies, to_client);
	return plat_end();
}
