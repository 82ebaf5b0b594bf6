/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The connection tracker tells of an entry when its first packet leaves: with the mark that rules gave the connection on that
 * packet's way, its addresses, and SYN_SENT as the state of its TCP. So a connection that rules left to the kernel without
 * a packet in user space has a record all the same (src/l3/offload.c).
 */
#include "plat.h"

#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

struct event {
	uint32_t mark;
	int state, port;
};

static int each_port(const struct nlattr *a, void *arg)
{
	if (mnl_attr_get_type(a) == CTA_PROTO_DST_PORT)
		((struct event *)arg)->port = ntohs(mnl_attr_get_u16(a));
	return MNL_CB_OK;
}

static int each_tuple(const struct nlattr *a, void *arg)
{
	return mnl_attr_get_type(a) == CTA_TUPLE_PROTO ? mnl_attr_parse_nested(a, each_port, arg) : MNL_CB_OK;
}

static int each_tcp(const struct nlattr *a, void *arg)
{
	if (mnl_attr_get_type(a) == CTA_PROTOINFO_TCP_STATE)
		((struct event *)arg)->state = mnl_attr_get_u8(a);
	return MNL_CB_OK;
}

static int each_info(const struct nlattr *a, void *arg)
{
	return mnl_attr_get_type(a) == CTA_PROTOINFO_TCP ? mnl_attr_parse_nested(a, each_tcp, arg) : MNL_CB_OK;
}

static int each_top(const struct nlattr *a, void *arg)
{
	switch (mnl_attr_get_type(a)) {
	case CTA_MARK:
		((struct event *)arg)->mark = ntohl(mnl_attr_get_u32(a));
		break;
	case CTA_TUPLE_ORIG:
		return mnl_attr_parse_nested(a, each_tuple, arg);
	case CTA_PROTOINFO:
		return mnl_attr_parse_nested(a, each_info, arg);
	}
	return MNL_CB_OK;
}

static bool next_event(int fd, struct event *e)
{
	char buf[4096];
	ssize_t n;

	*e = (struct event){ .state = -1 };
	if (!plat_readable(fd, 1000))
		return false;
	n = recv(fd, buf, sizeof(buf), 0);
	return n > 0 && mnl_attr_parse((struct nlmsghdr *)buf, 4, each_top, e) >= 0;
}

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7001), .sin_addr.s_addr = htonl(0x7f000001) };
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_groups = NF_NETLINK_CONNTRACK_NEW };
	int fd, l, c;
	struct event e;

	plat_begin();
	plat_rule("-A OUTPUT -p tcp --dport 7001 -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x03000005");
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	PLAT_NEED(fd >= 0 && bind(fd, (void *)&nl, sizeof(nl)) == 0);
	l = socket(AF_INET, SOCK_STREAM, 0);
	c = socket(AF_INET, SOCK_STREAM, 0);
	PLAT_NEED(bind(l, (void *)&a, sizeof(a)) == 0 && listen(l, 1) == 0 && connect(c, (void *)&a, sizeof(a)) == 0);
	plat_is(next_event(fd, &e), "a new entry is told of");
	plat_is(e.mark == 0x03000005, "with the mark that a rule gave it: 0x%08x", e.mark);
	plat_is(e.state == TCP_CONNTRACK_SYN_SENT, "in SYN_SENT: %d", e.state);
	plat_is(e.port == 7001, "by its addresses: port %d", e.port);
	plat_is(!plat_readable(fd, 100), "what comes of it is not new");
	return plat_end();
}
