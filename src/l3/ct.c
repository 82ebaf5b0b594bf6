/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ct.c - a small client of ctnetlink
 *
 * Messages are built and read with libmnl; there is nothing of
 * libnetfilter_conntrack's object model that we would use. The kernel handles a
 * request inside sendmsg(): its answer is in the socket's queue when that
 * returns. So the socket is non-blocking and an answer that is not there is an
 * error (-EPROTO), not a wait.
 *
 * A tuple is given as CTA_TUPLE_ORIG whatever its direction: the kernel looks it
 * up in a table that holds both.
 *
 * A mark is changed under a mask by the kernel (ctnetlink_change_mark() in
 * net/netfilter/nf_conntrack_netlink.c: new = (old & ~mask) ^ value), so nobody's
 * change to other bits is lost in between.
 */
#include "l3/ct.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define CT_MSG_SIZE  1024
#define CT_READ_SIZE 16384
#define CT_EVENT_BUF  (8 << 20) /* bytes: a burst of ended connections; each takes about 1 KB of it */
#define CT_EVENT_SIZE 1024      /* of one message; they have about 300 bytes */
#define CT_EVENT_MSGS 32        /* read with one system call */

struct ct {
	struct mnl_socket *sock;
	unsigned seq, port;
};

struct ct_events {
	struct mnl_socket *sock;
	uint32_t value, mask;
	ct_event_fn *fn;
	void *arg;
	struct mmsghdr msg[CT_EVENT_MSGS];
	struct iovec iov[CT_EVENT_MSGS];
	char area[CT_EVENT_MSGS][CT_EVENT_SIZE];
};

/* ---- sockets ---- */

static int ct_sock_open(struct mnl_socket **out, unsigned groups)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int rc;

	if (!s)
		return -errno;
	if (mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) < 0) {
		rc = -errno;
		mnl_socket_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

int ct_open(struct ct **out)
{
	struct ct *ct = calloc(1, sizeof(*ct));
	int rc = ct ? ct_sock_open(&ct->sock, 0) : -ENOMEM;

	*out = NULL;
	if (rc < 0) {
		free(ct);
		return rc;
	}
	ct->port = mnl_socket_get_portid(ct->sock);
	*out = ct;
	return 0;
}

void ct_close(struct ct **ct)
{
	if (!*ct)
		return;
	mnl_socket_close((*ct)->sock);
	free(*ct);
	*ct = NULL;
}

/* ---- writing ---- */

static struct nlmsghdr *ct_msg(char *buf, uint8_t type, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	return nlh;
}

static void ct_put_tuple(struct nlmsghdr *nlh, uint16_t attr, const struct addr *src, const struct addr *dst)
{
	struct nlattr *tuple = mnl_attr_nest_start(nlh, attr), *part;

	part = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);
	if (src->family == AF_INET6) {
		mnl_attr_put(nlh, CTA_IP_V6_SRC, sizeof(src->ip.v6), &src->ip.v6);
		mnl_attr_put(nlh, CTA_IP_V6_DST, sizeof(dst->ip.v6), &dst->ip.v6);
	} else {
		mnl_attr_put(nlh, CTA_IP_V4_SRC, sizeof(src->ip.v4), &src->ip.v4);
		mnl_attr_put(nlh, CTA_IP_V4_DST, sizeof(dst->ip.v4), &dst->ip.v4);
	}
	mnl_attr_nest_end(nlh, part);
	part = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, IPPROTO_TCP);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(src->port));
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(dst->port));
	mnl_attr_nest_end(nlh, part);
	mnl_attr_nest_end(nlh, tuple);
}

/* ---- reading ---- */

struct ct_attrs {
	const struct nlattr *at[CTA_MAX + 1];
};

/* keeps attributes by number, 0..<max>, whose size is at least what we will read */
static int ct_keep(const struct nlattr *a, void *arg)
{
	struct ct_attrs *t = arg;
	uint16_t type = mnl_attr_get_type(a);

	if (type <= CTA_MAX)
		t->at[type] = a;
	return MNL_CB_OK;
}

static const struct nlattr *ct_at(const struct ct_attrs *t, unsigned type, size_t size)
{
	const struct nlattr *a = t->at[type];

	return a && mnl_attr_get_payload_len(a) >= size ? a : NULL;
}

static uint32_t ct_u32(const struct ct_attrs *t, unsigned type)
{
	const struct nlattr *a = ct_at(t, type, 4);

	return a ? ntohl(mnl_attr_get_u32(a)) : 0;
}

static struct ct_attrs ct_nest(const struct nlattr *nest)
{
	struct ct_attrs t = { 0 };

	if (nest)
		mnl_attr_parse_nested(nest, ct_keep, &t);
	return t;
}

static void ct_read_ip(const struct ct_attrs *ip, unsigned v4, unsigned v6, struct addr *out)
{
	const struct nlattr *a4 = ct_at(ip, v4, 4), *a6 = ct_at(ip, v6, 16);

	if (a4) {
		out->family = AF_INET;
		memcpy(&out->ip.v4, mnl_attr_get_payload(a4), 4);
	} else if (a6) {
		out->family = AF_INET6;
		memcpy(&out->ip.v6, mnl_attr_get_payload(a6), 16);
	}
}

static uint8_t ct_read_tuple(const struct nlattr *nest, struct addr *src, struct addr *dst)
{
	struct ct_attrs tuple = ct_nest(nest), ip = ct_nest(tuple.at[CTA_TUPLE_IP]),
			proto = ct_nest(tuple.at[CTA_TUPLE_PROTO]);
	const struct nlattr *a;

	ct_read_ip(&ip, CTA_IP_V4_SRC, CTA_IP_V6_SRC, src);
	ct_read_ip(&ip, CTA_IP_V4_DST, CTA_IP_V6_DST, dst);
	if ((a = ct_at(&proto, CTA_PROTO_SRC_PORT, 2)))
		src->port = ntohs(mnl_attr_get_u16(a));
	if ((a = ct_at(&proto, CTA_PROTO_DST_PORT, 2)))
		dst->port = ntohs(mnl_attr_get_u16(a));
	a = ct_at(&proto, CTA_PROTO_NUM, 1);
	return a ? mnl_attr_get_u8(a) : 0;
}

/* false: not TCP */
static bool ct_read_entry(const struct nlmsghdr *nlh, struct ct_entry *e)
{
	struct ct_attrs t = { 0 }, info, tcp, adj;
	const struct nlattr *a;
	unsigned d;
	uint8_t proto;

	memset(e, 0, sizeof(*e));
	if (mnl_attr_parse(nlh, sizeof(struct nfgenmsg), ct_keep, &t) < 0)
		return false;
	proto = ct_read_tuple(t.at[CTA_TUPLE_ORIG], &e->src, &e->dst);
	ct_read_tuple(t.at[CTA_TUPLE_REPLY], &e->reply_src, &e->reply_dst);
	e->mark = ct_u32(&t, CTA_MARK);
	e->status = ct_u32(&t, CTA_STATUS);
	e->id = ct_u32(&t, CTA_ID);
	e->timeout_s = ct_u32(&t, CTA_TIMEOUT);
	info = ct_nest(t.at[CTA_PROTOINFO]);
	tcp = ct_nest(info.at[CTA_PROTOINFO_TCP]);
	a = ct_at(&tcp, CTA_PROTOINFO_TCP_STATE, 1);
	e->tcp_state = a ? mnl_attr_get_u8(a) : 0;
	for (d = 0; d < 2; d++) {
		a = ct_at(&tcp, CTA_PROTOINFO_TCP_WSCALE_ORIGINAL + d, 1);
		e->wscale[d] = a ? mnl_attr_get_u8(a) : 0;
		a = ct_at(&tcp, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL + d, sizeof(struct nf_ct_tcp_flags));
		e->tcp_flags[d] = a ? ((const struct nf_ct_tcp_flags *)mnl_attr_get_payload(a))->flags : 0;
	}
	for (d = 0; d < 2; d++) {
		adj = ct_nest(t.at[CTA_SEQ_ADJ_ORIG + d]);
		e->adjust[d] = (int32_t)ct_u32(&adj, CTA_SEQADJ_OFFSET_AFTER);
	}
	e->helper = t.at[CTA_HELP];
	/* a binding that changes nothing has the status bit of its kind all the same: compare */
	e->nat = e->reply_src.family && !(addr_eq(&e->src, &e->reply_dst) && addr_eq(&e->dst, &e->reply_src));
	return proto == IPPROTO_TCP;
}

/* ---- requests ---- */

struct ct_answer {
	struct ct_entry *out;
	bool got;
};

static int ct_answer_entry(const struct nlmsghdr *nlh, void *arg)
{
	struct ct_answer *an = arg;

	if (an->out && ct_read_entry(nlh, an->out))
		an->got = true;
	return MNL_CB_OK;
}

/* Sends and reads up to the acknowledgement. */
static int ct_ask(struct ct *ct, struct nlmsghdr *nlh, struct ct_answer *an)
{
	char buf[CT_READ_SIZE];
	int rc = MNL_CB_OK;

	nlh->nlmsg_seq = ++ct->seq;
	if (mnl_socket_sendto(ct->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (rc > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(ct->sock, buf, sizeof(buf));

		if (n < 0)
			return errno == EAGAIN ? -EPROTO : -errno;
		rc = mnl_cb_run(buf, (size_t)n, ct->seq, ct->port, ct_answer_entry, an);
		if (rc < 0 &&
		    errno == EPROTO) { /* another sequence: the rest of an earlier, failed request: skip it */
			rc = MNL_CB_OK;
			continue;
		}
	}
	return rc < 0 ? -errno : 0;
}

static int ct_check(const struct addr *src, const struct addr *dst)
{
	return src->family == dst->family && (src->family == AF_INET || src->family == AF_INET6)
		   ? 0
		   : -EAFNOSUPPORT;
}

int ct_get(struct ct *ct, const struct addr *src, const struct addr *dst, struct ct_entry *out)
{
	struct ct_answer an = { .out = out };
	char buf[CT_MSG_SIZE];
	struct nlmsghdr *nlh;
	int rc = ct_check(src, dst);

	if (rc < 0)
		return rc;
	nlh = ct_msg(buf, IPCTNL_MSG_CT_GET, src->family);
	ct_put_tuple(nlh, CTA_TUPLE_ORIG, src, dst);
	rc = ct_ask(ct, nlh, &an);
	return rc < 0 ? rc : an.got ? 0 : -ENOENT;
}

int ct_set_mark(struct ct *ct, const struct addr *src, const struct addr *dst, uint32_t value, uint32_t mask)
{
	struct ct_answer an = { 0 };
	char buf[CT_MSG_SIZE];
	struct nlmsghdr *nlh;
	int rc = ct_check(src, dst);

	if (rc < 0)
		return rc;
	nlh = ct_msg(buf, IPCTNL_MSG_CT_NEW, src->family); /* without NLM_F_CREATE: changes what is there */
	ct_put_tuple(nlh, CTA_TUPLE_ORIG, src, dst);
	mnl_attr_put_u32(nlh, CTA_MARK, htonl(value & mask));
	mnl_attr_put_u32(nlh, CTA_MARK_MASK, htonl(mask));
	return ct_ask(ct, nlh, &an);
}

int ct_delete(struct ct *ct, const struct addr *src, const struct addr *dst)
{
	struct ct_answer an = { 0 };
	char buf[CT_MSG_SIZE];
	struct nlmsghdr *nlh;
	int rc = ct_check(src, dst);

	if (rc < 0)
		return rc;
	nlh = ct_msg(buf, IPCTNL_MSG_CT_DELETE, src->family);
	ct_put_tuple(nlh, CTA_TUPLE_ORIG, src, dst);
	return ct_ask(ct, nlh, &an);
}

static void ct_put_tcp(struct nlmsghdr *nlh, const struct ct_entry *e)
{
	struct nlattr *info = mnl_attr_nest_start(nlh, CTA_PROTOINFO), *tcp = mnl_attr_nest_start(nlh, CTA_PROTOINFO_TCP);
	unsigned d;

	mnl_attr_put_u8(nlh, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
	for (d = 0; d < 2; d++) {
		struct nf_ct_tcp_flags flags = { .flags = e->tcp_flags[d] | IP_CT_TCP_FLAG_BE_LIBERAL, .mask = 0xff };

		mnl_attr_put_u8(nlh, CTA_PROTOINFO_TCP_WSCALE_ORIGINAL + d, e->wscale[d]);
		mnl_attr_put(nlh, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL + d, sizeof(flags), &flags);
	}
	mnl_attr_nest_end(nlh, tcp);
	mnl_attr_nest_end(nlh, info);
}

/* The same before and after the place where it begins: it holds for every segment. */
static void ct_put_adjust(struct nlmsghdr *nlh, uint16_t attr, uint32_t at, int32_t adjust)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, attr);

	mnl_attr_put_u32(nlh, CTA_SEQADJ_CORRECTION_POS, htonl(at));
	mnl_attr_put_u32(nlh, CTA_SEQADJ_OFFSET_BEFORE, htonl((uint32_t)adjust));
	mnl_attr_put_u32(nlh, CTA_SEQADJ_OFFSET_AFTER, htonl((uint32_t)adjust));
	mnl_attr_nest_end(nlh, nest);
}

int ct_create(struct ct *ct, const struct ct_entry *e, const uint32_t at[2])
{
	struct ct_answer an = { 0 };
	char buf[CT_MSG_SIZE];
	struct nlmsghdr *nlh;
	int rc = ct_check(&e->src, &e->dst);

	if (rc < 0)
		return rc;
	nlh = ct_msg(buf, IPCTNL_MSG_CT_NEW, e->src.family);
	nlh->nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
	ct_put_tuple(nlh, CTA_TUPLE_ORIG, &e->src, &e->dst);
	ct_put_tuple(nlh, CTA_TUPLE_REPLY, &e->reply_src, &e->reply_dst);
	mnl_attr_put_u32(nlh, CTA_STATUS, htonl(IPS_ASSURED | IPS_SEEN_REPLY | IPS_CONFIRMED));
	mnl_attr_put_u32(nlh, CTA_TIMEOUT, htonl(e->timeout_s));
	mnl_attr_put_u32(nlh, CTA_MARK, htonl(e->mark));
	ct_put_tcp(nlh, e);
	if (e->adjust[0] || e->adjust[1]) {
		ct_put_adjust(nlh, CTA_SEQ_ADJ_ORIG, at[0], e->adjust[0]);
		ct_put_adjust(nlh, CTA_SEQ_ADJ_REPLY, at[1], e->adjust[1]);
	}
	return ct_ask(ct, nlh, &an);
}

/* ---- events ---- */

/* Others' connections are not copied to us, nor wake us: the mark is looked for where the message lies. An event without
 * the attribute has mark 0. BPF loads are in host order. */
static void ct_events_filter(const struct ct_events *ev)
{
	struct sock_filter prog[] = {
		BPF_STMT(BPF_LD | BPF_IMM, NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg))),
		BPF_STMT(BPF_LDX | BPF_IMM, CTA_MARK),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR)), /* A: its offset, 0: none */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 4, 0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, NLA_HDRLEN),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ev->mask),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ev->value, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog fp = { .len = sizeof(prog) / sizeof(prog[0]), .filter = prog };

	/* without it there are more events to be thrown away, no others: ct_event() looks again */
	setsockopt(mnl_socket_get_fd(ev->sock), SOL_SOCKET, SO_ATTACH_FILTER, &fp, sizeof(fp));
}

int ct_events_open(struct ct_events **out, uint32_t value, uint32_t mask, ct_event_fn *fn, void *arg)
{
	struct ct_events *ev = calloc(1, sizeof(*ev));
	int rc = ev ? ct_sock_open(&ev->sock, NF_NETLINK_CONNTRACK_DESTROY) : -ENOMEM, size = CT_EVENT_BUF, i;

	*out = NULL;
	if (rc < 0) {
		free(ev);
		return rc;
	}
	if (setsockopt(mnl_socket_get_fd(ev->sock), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(mnl_socket_get_fd(ev->sock), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	ev->value = value & mask;
	ev->mask = mask;
	ev->fn = fn;
	ev->arg = arg;
	for (i = 0; i < CT_EVENT_MSGS; i++) {
		ev->iov[i] = (struct iovec){ .iov_base = ev->area[i], .iov_len = CT_EVENT_SIZE };
		ev->msg[i].msg_hdr = (struct msghdr){ .msg_iov = &ev->iov[i], .msg_iovlen = 1 };
	}
	ct_events_filter(ev);
	*out = ev;
	return 0;
}

int ct_events_news(struct ct_events *ev, bool on)
{
	int group = NFNLGRP_CONNTRACK_NEW;

	return mnl_socket_setsockopt(ev->sock, on ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP, &group, sizeof(group)) < 0 ?
		       -errno : 0;
}

int ct_events_fd(const struct ct_events *ev)
{
	return mnl_socket_get_fd(ev->sock);
}

static int ct_event(const struct nlmsghdr *nlh, void *arg)
{
	struct ct_events *ev = arg;
	struct ct_entry e;

	if (ct_read_entry(nlh, &e) && (e.mark & ev->mask) == ev->value)
		ev->fn(ev->arg, &e, (nlh->nlmsg_type & 0xff) == IPCTNL_MSG_CT_DELETE);
	return MNL_CB_OK;
}

int ct_events_read(struct ct_events *ev, unsigned budget)
{
	unsigned done = 0;

	while (done < budget) {
		int i, n = recvmmsg(mnl_socket_get_fd(ev->sock), ev->msg, CT_EVENT_MSGS, MSG_DONTWAIT, NULL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? (int)done : -errno;
		for (i = 0; i < n; i++)
			if (!(ev->msg[i].msg_hdr.msg_flags & MSG_TRUNC))
				mnl_cb_run(ev->area[i], ev->msg[i].msg_len, 0, 0, ct_event, ev);
		done += (unsigned)n;
		if (n < CT_EVENT_MSGS)
			break;
	}
	return (int)done;
}

void ct_events_close(struct ct_events **ev)
{
	if (!*ev)
		return;
	mnl_socket_close((*ev)->sock);
	free(*ev);
	*ev = NULL;
}
