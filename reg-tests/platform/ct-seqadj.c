/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The connection tracker adjusts sequence numbers of an entry that ctnetlink created with an adjustment: a number is added
 * to the sequences of a direction and taken off the acknowledgements of the other. On an entry that packets made, the same
 * attribute is accepted and does nothing.
 */
#include "plat.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#define CLI "10.1.0.1"
#define SRV "10.2.0.1"

static void put_tuple(struct nlmsghdr *nlh, uint16_t type, const char *src, const char *dst, uint16_t sport, uint16_t dport)
{
	struct nlattr *tuple = mnl_attr_nest_start(nlh, type), *part = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);

	mnl_attr_put_u32(nlh, CTA_IP_V4_SRC, inet_addr(src));
	mnl_attr_put_u32(nlh, CTA_IP_V4_DST, inet_addr(dst));
	mnl_attr_nest_end(nlh, part);
	part = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, IPPROTO_TCP);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(sport));
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(dport));
	mnl_attr_nest_end(nlh, part);
	mnl_attr_nest_end(nlh, tuple);
}

static void put_adjust(struct nlmsghdr *nlh, uint16_t type, int32_t by)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put_u32(nlh, CTA_SEQADJ_CORRECTION_POS, htonl(1));
	mnl_attr_put_u32(nlh, CTA_SEQADJ_OFFSET_BEFORE, htonl((uint32_t)by));
	mnl_attr_put_u32(nlh, CTA_SEQADJ_OFFSET_AFTER, htonl((uint32_t)by));
	mnl_attr_nest_end(nlh, nest);
}

static void put_tcp(struct nlmsghdr *nlh)
{
	struct nlattr *info = mnl_attr_nest_start(nlh, CTA_PROTOINFO), *tcp = mnl_attr_nest_start(nlh, CTA_PROTOINFO_TCP);
	struct nf_ct_tcp_flags flags = { IP_CT_TCP_FLAG_BE_LIBERAL, 0xff };

	mnl_attr_put_u8(nlh, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
	mnl_attr_put(nlh, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, sizeof(flags), &flags);
	mnl_attr_put(nlh, CTA_PROTOINFO_TCP_FLAGS_REPLY, sizeof(flags), &flags);
	mnl_attr_nest_end(nlh, tcp);
	mnl_attr_nest_end(nlh, info);
}

/* Asks for an adjustment of +1000 there and -50 back; <create>: with a new entry. The kernel's answer. */
static int adjust(bool create)
{
	struct mnl_socket *s = mnl_socket_open(NETLINK_NETFILTER);
	char buf[1024];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;
	int rc;

	PLAT_NEED(s && mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) == 0);
	nlh->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | (create ? NLM_F_CREATE | NLM_F_EXCL : 0));
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_INET;
	put_tuple(nlh, CTA_TUPLE_ORIG, CLI, SRV, 1000, 80);
	if (create) {
		put_tuple(nlh, CTA_TUPLE_REPLY, SRV, CLI, 80, 1000);
		mnl_attr_put_u32(nlh, CTA_STATUS, htonl(IPS_ASSURED | IPS_SEEN_REPLY | IPS_CONFIRMED));
		mnl_attr_put_u32(nlh, CTA_TIMEOUT, htonl(600));
		put_tcp(nlh);
	}
	put_adjust(nlh, CTA_SEQ_ADJ_ORIG, 1000);
	put_adjust(nlh, CTA_SEQ_ADJ_REPLY, -50);
	PLAT_NEED(mnl_socket_sendto(s, nlh, nlh->nlmsg_len) > 0);
	rc = (int)mnl_socket_recvfrom(s, buf, sizeof(buf));
	PLAT_NEED(rc > 0);
	rc = mnl_cb_run(buf, (size_t)rc, 0, mnl_socket_get_portid(s), NULL, NULL);
	mnl_socket_close(s);
	return rc < 0 ? -errno : 0;
}

/* A segment goes through the host: what came out. */
static struct plat_tcp through(const struct plat_wire *w, bool back, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct plat_tcp t = { .src = back ? SRV : CLI, .dst = back ? CLI : SRV, .sport = back ? 80 : 1000, .dport = back ? 1000 : 80,
			      .seq = seq, .ack = ack, .flags = flags, .win = 60000 };
	struct plat_tcp got = { 0 };

	plat_tcp_send(w, &t);
	PLAT_NEED(plat_tcp_recv(w, 1000, &got));
	return got;
}

int main(void)
{
	struct plat_wire w;
	struct plat_tcp t;
	int rc;

	plat_begin();
	w = plat_wire_up();
	PLAT_NEED(plat_sh("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/conf/v0/send_redirects") == 0);
	plat_rule("-A FORWARD -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x1/0x1");
	through(&w, false, PLAT_SYN, 100, 0);
	through(&w, true, PLAT_SYN | PLAT_ACK, 5000, 101);
	through(&w, false, PLAT_ACK, 101, 5001);

	rc = adjust(false);
	t = through(&w, false, PLAT_ACK, 102, 5001);
	plat_is(rc == 0 && t.seq == 102, "on an entry that packets made it is accepted (%d) and does nothing: %u", rc, t.seq);

	if (plat_sh("conntrack -D -p tcp"))
		plat_skip("needs conntrack");
	rc = adjust(true);
	if (!plat_is(rc == 0, "an entry is created with it: %s", strerror(-rc)))
		return plat_end();
	t = through(&w, false, PLAT_ACK, 200, 5100);
	plat_is(t.seq == 1200, "its sequences are moved: %u", t.seq);
	plat_is(t.ack == 5150, "its acknowledgements are moved by what the other direction is: %u", t.ack);
	t = through(&w, true, PLAT_ACK, 6000, 1300);
	plat_is(t.seq == 5950 && t.ack == 300, "and back: %u %u", t.seq, t.ack);
	return plat_end();
}
