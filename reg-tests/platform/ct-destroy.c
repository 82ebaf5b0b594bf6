/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The connection tracker tells when it forgets an entry: the message has the entry's mark, and the state its TCP was in
 * (since 5.9), so that an end can be told from `conntrack -F`. A classic BPF filter on the listening socket finds the
 * mark in the message and keeps others' entries away.
 */
#include "plat.h"

#include <linux/filter.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#define MARK 0x03000000
#define MASK 0x0f000000

static int listen_filtered(void)
{
	struct sock_filter prog[] = {
		BPF_STMT(BPF_LD | BPF_IMM, NLMSG_HDRLEN + 4),
		BPF_STMT(BPF_LDX | BPF_IMM, CTA_MARK),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 4, 0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, NLA_HDRLEN),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, MASK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog fp = { .len = sizeof(prog) / sizeof(prog[0]), .filter = prog };
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_groups = NF_NETLINK_CONNTRACK_DESTROY };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	PLAT_NEED(fd >= 0 && bind(fd, (void *)&nl, sizeof(nl)) == 0);
	PLAT_NEED(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &fp, sizeof(fp)) == 0);
	return fd;
}

/* a TCP connection over lo to <port>: both ends */
static void talk_to(uint16_t port, int end[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001) };
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	end[0] = socket(AF_INET, SOCK_STREAM, 0);
	PLAT_NEED(bind(l, (void *)&a, sizeof(a)) == 0 && listen(l, 1) == 0);
	PLAT_NEED(connect(end[0], (void *)&a, sizeof(a)) == 0 && (end[1] = accept(l, NULL, NULL)) >= 0);
	close(l);
}

struct event {
	uint32_t mark;
	int state;
};

static int each(const struct nlattr *a, void *arg)
{
	struct event *e = arg;
	uint16_t type = mnl_attr_get_type(a);

	if (type == CTA_MARK)
		e->mark = ntohl(mnl_attr_get_u32(a));
	return MNL_CB_OK;
}

static int each_tcp(const struct nlattr *a, void *arg)
{
	struct event *e = arg;

	if (mnl_attr_get_type(a) == CTA_PROTOINFO_TCP_STATE)
		e->state = mnl_attr_get_u8(a);
	return MNL_CB_OK;
}

static int each_info(const struct nlattr *a, void *arg)
{
	return mnl_attr_get_type(a) == CTA_PROTOINFO_TCP ? mnl_attr_parse_nested(a, each_tcp, arg) : MNL_CB_OK;
}

static int each_top(const struct nlattr *a, void *arg)
{
	each(a, arg);
	return mnl_attr_get_type(a) == CTA_PROTOINFO ? mnl_attr_parse_nested(a, each_info, arg) : MNL_CB_OK;
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
	struct event e;
	int fd, end[2];

	plat_begin();
	plat_rule("-A OUTPUT -p tcp --dport 7001 -j CONNMARK --set-xmark 0x03000005");
	plat_rule("-A OUTPUT -p tcp --dport 7002 -j CONNMARK --set-xmark 0x02000005");
	fd = listen_filtered();
	talk_to(7002, end);
	talk_to(7003, end);
	talk_to(7001, end);
	if (plat_sh("conntrack -F"))
		plat_skip("needs conntrack");
	plat_is(next_event(fd, &e), "an entry that is taken away is told of");
	plat_is(e.mark == 0x03000005, "with its mark: 0x%08x", e.mark);
	plat_is(e.state == TCP_CONNTRACK_ESTABLISHED, "and the state of its TCP: %d", e.state);
	plat_is(!plat_readable(fd, 100), "those of other marks are not");

	talk_to(7001, end);
	close(end[0]);
	close(end[1]);
	usleep(50000);
	PLAT_NEED(plat_sh("conntrack -F") == 0);
	plat_is(next_event(fd, &e), "one that had ended is told of as well");
	plat_is(e.state == TCP_CONNTRACK_TIME_WAIT, "and that it had: %d", e.state);
	return plat_end();
}
