/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * steer_route.c - the ip rule and the local route that lead marked packets to a local socket
 *
 *     ip rule add pref 10 fwmark LOCAL/mask lookup TABLE protocol 83
 *     ip route replace local default dev lo table TABLE protocol 83
 *
 * Both carry a protocol number of their own, so leftovers of a run that crashed
 * are recognised whatever its mark and table were, and nothing else is touched.
 *
 * What is there already stays there, without a moment's absence: a packet for a pseudo socket that comes
 * while the rule or route is missing is forwarded to the other end, which acknowledges what
 * no socket here has seen, and the connection is lost.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>

#include "l3/steer_priv.h"

#define STEER_RTPROT  83 /* 'S'; not in rt_protos */
#define STEER_TABLES  16 /* tables that leftovers may lead to */
#define STEER_NL_SIZE 16384

struct steer_nl {
	struct mnl_socket *sock;
	unsigned seq, port;
};

static int steer_nl_open(struct steer_nl *nl)
{
	nl->seq = 1;
	nl->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl->sock)
		return -errno;
	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		int rc = -errno;

		mnl_socket_close(nl->sock);
		return rc;
	}
	nl->port = mnl_socket_get_portid(nl->sock);
	return 0;
}

/* Sends <nlh>, hands what comes to <cb>. rtnetlink answers in the caller's context: this does not wait. */
static int steer_nl_ask(struct steer_nl *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *arg)
{
	char buf[STEER_NL_SIZE];
	int n = MNL_CB_OK;

	nlh->nlmsg_seq = ++nl->seq;
	if (mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (n > MNL_CB_STOP) {
		ssize_t got = mnl_socket_recvfrom(nl->sock, buf, sizeof(buf));

		if (got < 0)
			return -errno;
		n = mnl_cb_run(buf, (size_t)got, nl->seq, nl->port, cb, arg);
	}
	return n < 0 ? -errno : 0;
}

/* ---- messages ---- */

static struct nlmsghdr *steer_rule_msg(char *buf, int family, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *frh;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	frh = mnl_nlmsg_put_extra_header(nlh, sizeof(*frh));
	frh->family = (uint8_t)family;
	frh->table = RT_TABLE_UNSPEC; /* FRA_TABLE has it */
	frh->action = FR_ACT_TO_TBL;
	return nlh;
}

static void steer_rule_put(struct nlmsghdr *nlh, uint32_t mark, uint32_t mask, uint32_t table)
{
	mnl_attr_put_u32(nlh, FRA_PRIORITY, STEER_RULE_PREF);
	mnl_attr_put_u32(nlh, FRA_FWMARK, mark);
	mnl_attr_put_u32(nlh, FRA_FWMASK, mask);
	mnl_attr_put_u32(nlh, FRA_TABLE, table);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, STEER_RTPROT);
}

static struct nlmsghdr *steer_route_msg(char *buf, int family, uint16_t type, uint16_t flags, uint32_t table,
					unsigned lo)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = (uint8_t)family;
	rtm->rtm_table = RT_TABLE_UNSPEC;
	rtm->rtm_protocol = STEER_RTPROT;
	rtm->rtm_scope = family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_HOST;
	rtm->rtm_type = RTN_LOCAL;
	mnl_attr_put_u32(nlh, RTA_TABLE, table);
	mnl_attr_put_u32(nlh, RTA_OIF, lo);
	return nlh;
}

/* ---- clearing ---- */

struct steer_found {
	unsigned n;
	struct {
		uint32_t mark, mask, table, pref;
	} rule[STEER_TABLES];
};

struct steer_rule_attrs {
	uint32_t mark, mask, table, pref;
	uint8_t proto;
};

static int steer_rule_attr(const struct nlattr *a, void *arg)
{
	struct steer_rule_attrs *r = arg;

	switch (mnl_attr_get_type(a)) {
	case FRA_FWMARK: r->mark = mnl_attr_get_u32(a); break;
	case FRA_FWMASK: r->mask = mnl_attr_get_u32(a); break;
	case FRA_TABLE: r->table = mnl_attr_get_u32(a); break;
	case FRA_PRIORITY: r->pref = mnl_attr_get_u32(a); break;
	case FRA_PROTOCOL: r->proto = mnl_attr_get_u8(a); break;
	default: break;
	}
	return MNL_CB_OK;
}

static int steer_rule_seen(const struct nlmsghdr *nlh, void *arg)
{
	struct steer_found *f = arg;
	struct steer_rule_attrs r = { 0 };

	if (nlh->nlmsg_type != RTM_NEWRULE)
		return MNL_CB_OK;
	mnl_attr_parse(nlh, sizeof(struct fib_rule_hdr), steer_rule_attr, &r);
	if (r.proto == STEER_RTPROT && f->n < STEER_TABLES) {
		f->rule[f->n].mark = r.mark;
		f->rule[f->n].mask = r.mask;
		f->rule[f->n].table = r.table;
		f->rule[f->n++].pref = r.pref;
	}
	return MNL_CB_OK;
}

/* <keep>: the table that stays, 0: none */
static int steer_clear_one(struct steer_nl *nl, int family, const struct steer_found *f, unsigned i, uint32_t keep)
{
	char buf[512];
	struct nlmsghdr *nlh = steer_rule_msg(buf, family, RTM_DELRULE, NLM_F_ACK);
	int rc, rc2;

	mnl_attr_put_u32(nlh, FRA_PRIORITY, f->rule[i].pref);
	mnl_attr_put_u32(nlh, FRA_FWMARK, f->rule[i].mark);
	mnl_attr_put_u32(nlh, FRA_FWMASK, f->rule[i].mask);
	mnl_attr_put_u32(nlh, FRA_TABLE, f->rule[i].table);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, STEER_RTPROT);
	rc = steer_nl_ask(nl, nlh, NULL, NULL);
	if (f->rule[i].table == keep)
		return rc == -ENOENT ? 0 : rc;
	nlh = steer_route_msg(buf, family, RTM_DELROUTE, 0, f->rule[i].table, if_nametoindex("lo"));
	rc2 = steer_nl_ask(nl, nlh, NULL, NULL);
	if (rc2 == -ESRCH) /* it went with its interface */
		rc2 = 0;
	return rc < 0 && rc != -ENOENT ? rc : rc2;
}

static const char *steer_ip(int family)
{
	return family == AF_INET6 ? "ip -6" : "ip";
}

static bool steer_found_is(const struct steer_found *f, unsigned i, uint32_t mark, uint32_t mask, uint32_t table)
{
	return f->rule[i].mark == mark && f->rule[i].mask == mask && f->rule[i].table == table &&
	       f->rule[i].pref == STEER_RULE_PREF;
}

/* Removes all rules of ours but the one for <mark>, <mask>, <table>, and their routes; table 0: all. */
static int steer_route_prune(int family, uint32_t mark, uint32_t mask, uint32_t table, char **err)
{
	struct steer_found found = { 0 };
	struct steer_nl nl;
	char buf[256];
	int rc = steer_nl_open(&nl);

	if (rc < 0) {
		steer_err(err, "rtnetlink: %s", strerror(-rc));
		return rc;
	}
	rc = steer_nl_ask(&nl, steer_rule_msg(buf, family, RTM_GETRULE, NLM_F_DUMP), steer_rule_seen, &found);
	if (rc == -EAFNOSUPPORT || rc == -EOPNOTSUPP) /* no IPv6 here: nothing of ours is either */
		rc = 0;
	for (unsigned i = 0; i < found.n && rc == 0; i++)
		if (!steer_found_is(&found, i, mark, mask, table))
			rc = steer_clear_one(&nl, family, &found, i, table);
	mnl_socket_close(nl.sock);
	if (rc < 0)
		steer_err(err, "%s rule and route: cannot be removed: %s", steer_ip(family), strerror(-rc));
	return rc;
}

int steer_route_clear(int family, char **err)
{
	return steer_route_prune(family, 0, 0, 0, err);
}

/* ---- adding ---- */

static const char *steer_route_why(int rc)
{
	switch (rc) {
	case -EPERM: return "no permission: it needs CAP_NET_ADMIN (root)";
	case -ENETDOWN: return "interface lo is down";
	case -EAFNOSUPPORT:
	case -EOPNOTSUPP:
		return "the kernel lacks policy routing (CONFIG_IP_MULTIPLE_TABLES, "
		       "CONFIG_IPV6_MULTIPLE_TABLES)";
	default: return strerror(-rc);
	}
}

static int steer_route_add(int family, uint32_t mark, uint32_t mask, uint32_t table, char **err)
{
	struct steer_nl nl;
	struct nlmsghdr *nlh;
	char buf[512];
	int rc = steer_nl_open(&nl);

	if (rc < 0) {
		steer_err(err, "rtnetlink: %s", strerror(-rc));
		return rc;
	}
	nlh = steer_route_msg(buf, family, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, table,
			      if_nametoindex("lo"));
	rc = steer_nl_ask(&nl, nlh, NULL, NULL);
	if (rc < 0 && rc != -EEXIST) { /* there: ours, or the administrator's, who then keeps it */
		steer_err(err, "%s route add local default dev lo table %u: %s", steer_ip(family), table,
			  steer_route_why(rc));
	} else {
		nlh = steer_rule_msg(buf, family, RTM_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
		steer_rule_put(nlh, mark, mask, table);
		rc = steer_nl_ask(&nl, nlh, NULL, NULL);
		if (rc == -EEXIST)
			rc = 0;
		if (rc < 0)
			steer_err(err, "%s rule add fwmark 0x%x/0x%x lookup %u: %s", steer_ip(family), mark,
				  mask, table, steer_route_why(rc));
	}
	mnl_socket_close(nl.sock);
	return rc;
}

int steer_route_set(int family, uint32_t mark, uint32_t mask, uint32_t table, char **err)
{
	int rc = steer_route_add(family, mark, mask, table, err);

	return rc < 0 ? rc : steer_route_prune(family, mark, mask, table, err);
}
