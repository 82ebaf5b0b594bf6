/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * steer_plan.c - a configuration's gateways as iptables-restore input
 *
 * Pure. The rules, in mangle (l3/mark.h tells the values, doc/internals/marks.md why):
 *
 *   PREROUTING  first  our request on a packet (NF_REPEAT)  -> STANDIN_REQ   save class, accept
 *               last   TCP                                  -> STANDIN_PRE   by the connection's class
 *               last   ICMP about a hard connection         -> STANDIN_ICMP  errors follow their flow
 *   FORWARD     first  our request                          -> STANDIN_REQ
 *               last   routed by us, but not to a local socket -> STANDIN_LOST drop
 *               last   TCP, new to the tracker; SYNs        -> STANDIN_FWD   by the match lines
 *   INPUT       last   TCP, routed to a local socket by us  -> STANDIN_IN    drop unless there is one
 *   OUTPUT      last   our request on what we inject        -> STANDIN_REQ
 *               last   TCP of or to a pseudo socket         -> STANDIN_OUT   keep the connection hard
 *
 * Being last, ours see the marks that others set, and a packet that comes back from the queue skips none
 * of their rules: a verdict of accept goes on behind the chain. Only the request jump is first, so that a
 * repeated packet passes nobody's rules twice.
 *
 * After its first packet a connection is known by its mark alone, so all gateways share the
 * PREROUTING rules; with several, the tracker's original tuple chooses whose queue it is (in and out
 * interface are not known there; the daemon takes a flow's packets from any of its queues).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "l3/mark.h"
#include "l3/steer_priv.h"

#define STEER_PORTS_PER_RULE 15 /* multiport's limit; a range counts twice */

/* For the bpf match: is it a TCP segment that only acknowledges? None of URG, RST, SYN, FIN, and the headers are all of it;
 * classic BPF from the IP header on, "count,code jt jf k,...". Over IPv6 extension headers, and what is longer than its
 * length field can say, answer no. */
#define STEER_PURE_ACK4                                                                                               \
	"12,"                                                                                                         \
	"177 0 0 0,"                    /* X = length of the IP header */                                             \
	"80 0 0 13,69 8 0 39,"          /* flags & 0x27: no */                                                        \
	"80 0 0 12,116 0 0 4,100 0 0 2," /* data offset, in bytes */                                                  \
	"12 0 0 0,7 0 0 0,"             /* X = both headers */                                                        \
	"40 0 0 2,29 0 1 0,"            /* total length == X? */                                                      \
	"6 0 0 65535,6 0 0 0"
#define STEER_PURE_ACK6                                                                                               \
	"12,"                                                                                                         \
	"48 0 0 6,21 0 9 6,"            /* next header is TCP, else no */                                             \
	"48 0 0 53,69 7 0 39,"          /* flags & 0x27: no */                                                        \
	"48 0 0 52,116 0 0 4,100 0 0 2," /* X = data offset, in bytes */                                              \
	"7 0 0 0,"                                                                                                    \
	"40 0 0 4,29 0 1 0,"            /* payload length == X? */                                                    \
	"6 0 0 65535,6 0 0 0"

static const struct {
	const char *save, *restore, *icmp, *ip, *pure_ack;
} steer_fam[2] = {
	{ "iptables-save", "iptables-restore", "icmp", "ip", STEER_PURE_ACK4 },
	{ "ip6tables-save", "ip6tables-restore", "ipv6-icmp", "ip -6", STEER_PURE_ACK6 },
};

struct steer_gen {
	const struct steer_conf *c;
	struct buf *out;
	int fam; /* 0, 1 */
};

/* "0x01000000/0x03000000": <value> under <mask>, both numbers in our four bits */
struct steer_mark {
	char s[24];
};

static struct steer_mark mk(const struct steer_gen *g, unsigned value, unsigned mask)
{
	struct steer_mark m;

	snprintf(m.s, sizeof(m.s), "0x%08" PRIx32 "/0x%08" PRIx32, mark_bits(g->c->mark_mask, value),
		 mark_bits(g->c->mark_mask, mask));
	return m;
}

/* ---- match lines ---- */

bool steer_match_applies(const struct steer_match *m, int family)
{
	return (m->src.net.family == AF_UNSPEC || m->src.net.family == family) &&
	       (m->dst.net.family == AF_UNSPEC || m->dst.net.family == family);
}

bool steer_conf_applies(const struct steer_conf *c, int family)
{
	for (unsigned i = 0; i < c->nb_gw; i++) {
		if (c->gw[i].leftover)
			return true;
		for (unsigned j = 0; j < c->gw[i].nb_match; j++)
			if (steer_match_applies(&c->gw[i].match[j], family))
				return true;
	}
	return false;
}

static void put_net(struct buf *out, const char *word, const struct netmask *n)
{
	char a[ADDR_STRLEN];

	if (n->net.family != AF_UNSPEC)
		buf_printf_grow(out, " %s %s/%u", word, addr_print_ip(&n->net, a), n->bits);
}

static void put_if(struct buf *out, const char *word, const char *name)
{
	if (name[0])
		buf_printf_grow(out, " %s %s", word, name);
}

/* " -m multiport --dports 80,443,1000:2000" with as many of <m>'s ports from <i> on as one rule takes; the
 * index of the first that did not fit */
static unsigned put_ports(struct buf *out, const struct steer_match *m, unsigned i, bool reverse)
{
	unsigned used = 0;

	if (m->nb_ports == 0)
		return 0;
	buf_printf_grow(out, " -m multiport %s ", reverse ? "--sports" : "--dports");
	for (; i < m->nb_ports; i++) {
		const struct steer_ports *p = &m->ports[i];
		unsigned cost = p->lo == p->hi ? 1 : 2;

		if (used + cost > STEER_PORTS_PER_RULE)
			break;
		buf_printf_grow(out, cost == 1 ? "%s%u" : "%s%u:%u", used ? "," : "", p->lo, p->hi);
		used += cost;
	}
	return i;
}

/* Rules of STANDIN_FWD for one match line: a connection's first packet; with <stray>, packets of either
 * direction of connections that the tracker does not know (any more). Back to the client that includes SYNs: a
 * forged one makes a new entry without class, which the daemon must hear of. */
static void gen_match(struct steer_gen *g, const struct steer_match *m, const char *target, bool stray,
		      bool reverse)
{
	unsigned i = 0;

	do {
		buf_printf_grow(g->out, "-A STANDIN_FWD");
		put_if(g->out, "-i", reverse ? m->out : m->in);
		put_if(g->out, "-o", reverse ? m->in : m->out);
		put_net(g->out, "-s", reverse ? &m->dst : &m->src);
		put_net(g->out, "-d", reverse ? &m->src : &m->dst);
		if (stray && reverse)
			buf_printf_grow(g->out, " -p tcp");
		else
			buf_printf_grow(g->out, " -p tcp -m tcp %s--tcp-flags FIN,SYN,RST,ACK SYN",
					stray ? "! " : "");
		i = put_ports(g->out, m, i, reverse);
		buf_printf_grow(g->out, " -g %s\n", target);
	} while (i < m->nb_ports);
}

/* ---- chains ---- */

static void put_queue(struct buf *out, const struct steer_gateway *gw, bool bypass)
{
	if (gw->queue_first == gw->queue_last)
		buf_printf_grow(out, " -j NFQUEUE --queue-num %u", gw->queue_first);
	else
		buf_printf_grow(out, " -j NFQUEUE --queue-balance %u:%u", gw->queue_first, gw->queue_last);
	buf_printf_grow(out, "%s\n", bypass ? " --queue-bypass" : "");
}

static void gen_decl(struct steer_gen *g)
{
	static const char *const names[] = { "REQ",   "PRE",   "HARD", "SOCK", "ICMP",
					     "SOFTQ", "HARDQ", "FWD",  "IN",   "OUT", "LOST", "OWN" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		buf_printf_grow(g->out, ":" STEER_CHAIN "%s - [0:0]\n", names[i]);
	buf_printf_grow(g->out, ":" STEER_CHAIN "KERNEL - [0:0]\n");
	if (g->c->narrow)
		buf_printf_grow(g->out, ":" STEER_CHAIN "LEAN - [0:0]\n:" STEER_CHAIN "BULK - [0:0]\n");
	for (unsigned i = 0; i < g->c->nb_gw; i++)
		buf_printf_grow(g->out, ":" STEER_CHAIN "NEW%u - [0:0]\n:" STEER_CHAIN "STRAY%u - [0:0]\n", i,
				i);
}

static void gen_jumps(struct steer_gen *g)
{
	struct buf *o = g->out;

	for (unsigned i = 0; i < 2; i++)
		buf_printf_grow(o, "-I %s 1 ! -i lo -p tcp -m mark --mark %s -j STANDIN_REQ\n",
				i ? "FORWARD" : "PREROUTING", mk(g, MARK_VERB, MARK_VERB).s);
	buf_printf_grow(o, "-A PREROUTING ! -i lo -p tcp -j STANDIN_PRE\n");
	buf_printf_grow(o, "-A PREROUTING ! -i lo -p %s -m connmark --mark %s -j STANDIN_ICMP\n",
			steer_fam[g->fam].icmp, mk(g, MARK_HARD, MARK_CLASS).s);
	/* the kernel adjusts sequences, but not those that an error quotes */
	buf_printf_grow(o, "-A PREROUTING ! -i lo -p %s -m connmark --mark %s -j STANDIN_SOFTQ\n",
			steer_fam[g->fam].icmp, mk(g, MARK_OFFLOADED, MARK_CLASS).s);
	/* on its way to a pseudo socket, but somebody took our route away: its other end must not see it */
	buf_printf_grow(o, "-A FORWARD -m mark --mark %s -j STANDIN_LOST\n", mk(g, MARK_LOCAL, MARK_ALL).s);
	buf_printf_grow(o, "-A FORWARD -p tcp -m conntrack --ctstate INVALID,NEW -j STANDIN_FWD\n");
	/* addresses used again, which the tracker takes for a part of the old connection */
	buf_printf_grow(o, "-A FORWARD -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack ! --ctstate INVALID,NEW -j STANDIN_FWD\n");
	buf_printf_grow(o, "-A INPUT -p tcp -m mark --mark %s -j STANDIN_IN\n",
			mk(g, MARK_LOCAL, MARK_ALL).s);
	/* what the daemon sends itself */
	buf_printf_grow(o, "-A OUTPUT -m mark --mark %s -j STANDIN_REQ\n", mk(g, MARK_VERB, MARK_VERB).s);
	/* this host's own errors. Where the kernel adjusts they quote what came, not yet adjusted: the class tells */
	buf_printf_grow(o, "-A OUTPUT -p %s -m connmark --mark %s -j STANDIN_OWN\n", steer_fam[g->fam].icmp,
			mk(g, MARK_OFFLOADED, MARK_CLASS).s);
	buf_printf_grow(o, "-A OUTPUT -p %s -m connmark --mark %s -j STANDIN_SOFTQ\n", steer_fam[g->fam].icmp,
			mk(g, MARK_HARD, MARK_CLASS).s);
	/* whatever has to do with pseudo sockets: what they send, and what the daemon sends round to them */
	buf_printf_grow(o, "-A OUTPUT -p tcp -m mark --mark %s -m connmark ! --mark %s -j STANDIN_OUT\n",
			mk(g, MARK_HARD, MARK_CLASS).s, mk(g, MARK_HARD, MARK_CLASS).s);
}

/* the request on a repeated packet: its class to the connection, our bits off, done */
static void gen_req(struct steer_gen *g)
{
	buf_printf_grow(g->out, "-A STANDIN_REQ -m mark --mark %s -j RETURN\n", mk(g, MARK_LOCAL, MARK_ALL).s);
	buf_printf_grow(g->out,
			"-A STANDIN_REQ -j CONNMARK --save-mark --nfmask 0x%08" PRIx32
			" --ctmask 0x%08" PRIx32 "\n",
			mark_bits(g->c->mark_mask, MARK_NARROW | MARK_CLASS) | g->c->set_mask,
			g->c->mark_mask | g->c->set_mask);
	buf_printf_grow(g->out, "-A STANDIN_REQ -j MARK --set-xmark %s\n", mk(g, 0, MARK_ALL).s);
	buf_printf_grow(g->out, "-A STANDIN_REQ -j ACCEPT\n");
}

static void gen_own(struct steer_gen *g)
{
	buf_printf_grow(g->out, "-A STANDIN_OWN -j MARK --set-xmark %s\n-A STANDIN_OWN -g STANDIN_SOFTQ\n",
			mk(g, MARK_OFFLOADED, MARK_ALL).s);
}

/* What a connection of a narrow class has that nobody needs to see */
static void gen_narrow(struct steer_gen *g)
{
	struct buf *o = g->out;

	if (!g->c->narrow)
		return;
	buf_printf_grow(o, "-A STANDIN_BULK -p tcp -m conntrack --ctdir REPLY -m tcp --tcp-flags FIN,SYN,RST NONE -j RETURN\n");
	for (unsigned i = 0; i < 2; i++) {
		const char *chain = i ? "LEAN" : "BULK";

		buf_printf_grow(o, "-A STANDIN_%s -m bpf --bytecode \"%s\" -j RETURN\n-A STANDIN_%s -g STANDIN_SOFTQ\n", chain,
				steer_fam[g->fam].pure_ack, chain);
	}
}

/* What set-mark rules have set of a connection, to its packets that no daemon sees */
static void gen_restore(struct steer_gen *g, struct steer_mark m)
{
	if (g->c->set_mask)
		buf_printf_grow(g->out, "-A STANDIN_PRE -m connmark --mark %s -j CONNMARK --restore-mark --nfmask 0x%08" PRIx32
				" --ctmask 0x%08" PRIx32 "\n", m.s, g->c->set_mask, g->c->set_mask);
}

static void gen_pre(struct steer_gen *g)
{
	struct buf *o = g->out;

	gen_restore(g, mk(g, MARK_OFFLOADED, MARK_CLASS));
	if (g->c->narrow)
		gen_restore(g, mk(g, MARK_LEAN, MARK_NARROW | MARK_CLASS));
	buf_printf_grow(o, "-A STANDIN_PRE -m connmark --mark %s -j RETURN\n",
			mk(g, MARK_OFFLOADED, g->c->narrow ? MARK_NARROW | MARK_CLASS : MARK_CLASS).s);
	if (g->c->narrow) {
		buf_printf_grow(o, "-A STANDIN_PRE -m connmark --mark %s -g STANDIN_BULK\n",
				mk(g, MARK_BULK, MARK_NARROW | MARK_CLASS).s);
		buf_printf_grow(o, "-A STANDIN_PRE -m connmark --mark %s -g STANDIN_LEAN\n",
				mk(g, MARK_LEAN, MARK_NARROW | MARK_CLASS).s);
	}
	buf_printf_grow(o, "-A STANDIN_PRE -m connmark --mark %s -g STANDIN_SOFTQ\n",
			mk(g, MARK_OURS, MARK_CLASS).s);
	buf_printf_grow(o, "-A STANDIN_PRE -m connmark --mark %s -g STANDIN_HARD\n",
			mk(g, MARK_HARD, MARK_CLASS).s);
	/* the tracker forgot the connection of a pseudo socket; somebody else's transparent sockets come by
	 * here too, so marks are left alone and nobody need listen */
	buf_printf_grow(
	    o, "-A STANDIN_PRE -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate "
	       "INVALID,NEW -m socket --transparent -g STANDIN_SOFTQ\n");
	/* to a pseudo socket that is switched on: the whole mark is its SO_MARK, foreign bits too */
	buf_printf_grow(o, "-A STANDIN_HARD -m socket --transparent --restore-skmark -g STANDIN_SOCK\n");
	buf_printf_grow(o, "-A STANDIN_HARD -g STANDIN_HARDQ\n");
	buf_printf_grow(o, "-A STANDIN_SOCK -m mark ! --mark %s -g STANDIN_HARDQ\n",
			mk(g, MARK_SOCK_DIRECT, MARK_ALL).s);
	buf_printf_grow(o, "-A STANDIN_SOCK -j MARK --set-xmark %s\n", mk(g, MARK_LOCAL, MARK_ALL).s);
	/* an error about a pseudo socket's segment is for the socket; about a translated one's, the daemon
	 * translates what it quotes (l3/quote.h) */
	buf_printf_grow(o, "-A STANDIN_ICMP -m socket --transparent --restore-skmark -g STANDIN_SOCK\n"
			   "-A STANDIN_ICMP -g STANDIN_HARDQ\n");
}

/* With several gateways: whose queue? By the first packet's addresses and ports, as far as the tracker keeps
 * them. */
static void gen_choice(struct steer_gen *g, const char *chain, const struct steer_gateway *gw, bool bypass)
{
	for (unsigned j = 0; j < gw->nb_match; j++) {
		const struct steer_match *m = &gw->match[j];
		unsigned i = 0;

		if (!steer_match_applies(m, steer_family(g->fam)))
			continue;
		do {
			buf_printf_grow(g->out, "-A %s -p tcp", chain);
			if (m->nb_ports || m->src.net.family != AF_UNSPEC || m->dst.net.family != AF_UNSPEC)
				buf_printf_grow(g->out, " -m conntrack");
			put_net(g->out, "--ctorigsrc", &m->src);
			put_net(g->out, "--ctorigdst", &m->dst);
			if (m->nb_ports)
				buf_printf_grow(g->out,
						m->ports[i].lo == m->ports[i].hi ? " --ctorigdstport %u"
										 : " --ctorigdstport %u:%u",
						m->ports[i].lo, m->ports[i].hi);
			put_queue(g->out, gw, bypass);
		} while (++i < m->nb_ports);
	}
}

static void gen_queues(struct steer_gen *g)
{
	for (unsigned hard = 0; hard < 2; hard++) {
		const char *chain = hard ? "STANDIN_HARDQ" : "STANDIN_SOFTQ";

		for (unsigned i = 0; g->c->nb_gw > 1 && i < g->c->nb_gw; i++)
			gen_choice(g, chain, &g->c->gw[i], !hard);
		buf_printf_grow(g->out, "-A %s", chain);
		put_queue(g->out, &g->c->gw[0], !hard);
	}
}

/* " -s 10.0.0.0/8", or " -m iprange --src-range 10.0.0.1-10.0.0.9" for what no prefix says */
static void put_range(struct buf *out, const char *net, const char *range, int family, const uint8_t ends[2][16])
{
	unsigned bits = family == AF_INET6 ? 128 : 32, same = 0, i;
	char lo[INET6_ADDRSTRLEN], hi[INET6_ADDRSTRLEN];
	bool prefix = true;

	while (same < bits && !((ends[0][same / 8] ^ ends[1][same / 8]) & (0x80 >> same % 8)))
		same++;
	for (i = same; i < bits; i++) /* the rest is all zeros in the first, all ones in the last? */
		prefix &= !(ends[0][i / 8] & (0x80 >> i % 8)) && (ends[1][i / 8] & (0x80 >> i % 8));
	inet_ntop(family, ends[0], lo, sizeof(lo));
	inet_ntop(family, ends[1], hi, sizeof(hi));
	if (prefix)
		buf_printf_grow(out, " %s %s/%u", net, lo, same);
	else
		buf_printf_grow(out, " -m iprange %s %s-%s", range, lo, hi);
}

static void put_port_range(struct buf *out, const char *word, const uint16_t ports[2])
{
	if (ports[0] || ports[1] != UINT16_MAX)
		buf_printf_grow(out, ports[0] == ports[1] ? " %s %u" : " %s %u:%u", word, ports[0], ports[1]);
}

/* Connections that rules forward whatever they will say: the kernel's, from here on */
static void gen_kernel(struct steer_gen *g, unsigned gw)
{
	const struct steer_gateway *sg = &g->c->gw[gw];
	int family = steer_family(g->fam);

	for (unsigned i = 0; i < sg->nb_kernel; i++) {
		const struct cond_box *b = &sg->kernel[i];

		if (b->family != AF_UNSPEC && b->family != family)
			continue;
		buf_printf_grow(g->out, "-A STANDIN_NEW%u -p tcp", gw);
		if (b->has_src)
			put_range(g->out, "-s", "--src-range", family, b->src);
		if (b->has_dst)
			put_range(g->out, "-d", "--dst-range", family, b->dst);
		buf_printf_grow(g->out, " -m tcp");
		put_port_range(g->out, "--sport", b->sport);
		put_port_range(g->out, "--dport", b->dport);
		buf_printf_grow(g->out, " -g STANDIN_KERNEL\n");
	}
}

static void gen_forward(struct steer_gen *g)
{
	const struct steer_conf *c = g->c;
	char target[32];

	/* the first packet again: it was queued in PREROUTING, by its class */
	buf_printf_grow(g->out, "-A STANDIN_FWD -m connmark ! --mark %s -j RETURN\n",
			mk(g, MARK_NONE, MARK_CLASS).s);
	for (unsigned i = 0; i < c->nb_gw; i++) {
		for (unsigned j = 0; j < c->gw[i].nb_match; j++) {
			const struct steer_match *m = &c->gw[i].match[j];

			if (!steer_match_applies(m, steer_family(g->fam)))
				continue;
			snprintf(target, sizeof(target), STEER_CHAIN "NEW%u", i);
			gen_match(g, m, target, false, false);
			snprintf(target, sizeof(target), STEER_CHAIN "STRAY%u", i);
			gen_match(g, m, target, true, false);
			gen_match(g, m, target, true, true);
		}
		gen_kernel(g, i);
		buf_printf_grow(g->out, "-A STANDIN_NEW%u -j CONNMARK --set-xmark %s\n", i,
				mk(g, c->gw[i].block ? MARK_HARD : MARK_OURS, MARK_ALL).s);
		buf_printf_grow(g->out, "-A STANDIN_NEW%u", i);
		put_queue(g->out, &c->gw[i], !c->gw[i].block);
		buf_printf_grow(g->out, "-A STANDIN_STRAY%u", i);
		put_queue(g->out, &c->gw[i], !c->gw[i].block);
	}
}

static void gen_local(struct steer_gen *g)
{
	buf_printf_grow(g->out, "-A STANDIN_KERNEL -j CONNMARK --set-xmark %s\n", mk(g, MARK_OFFLOADED, MARK_ALL).s);
	buf_printf_grow(g->out, "-A STANDIN_IN -m socket --transparent -j RETURN\n-A STANDIN_IN -j DROP\n");
	buf_printf_grow(g->out, "-A STANDIN_LOST -j DROP\n");
	buf_printf_grow(g->out, "-A STANDIN_OUT -j CONNMARK --set-xmark %s\n", mk(g, MARK_HARD, MARK_ALL).s);
}

static char *steer_gen_family(const struct steer_conf *c, int fam)
{
	struct buf b = { 0 };
	struct steer_gen g = { .c = c, .out = &b, .fam = fam };

	if (!steer_conf_applies(c, steer_family(fam)))
		return strdup("");
	buf_printf_grow(&b, "*mangle\n");
	gen_decl(&g);
	gen_jumps(&g);
	gen_req(&g);
	gen_own(&g);
	gen_pre(&g);
	gen_narrow(&g);
	gen_queues(&g);
	gen_forward(&g);
	gen_local(&g);
	buf_printf_grow(&b, "COMMIT\n");
	buf_put_grow(&b, "", 1);
	return b.area;
}

/* ---- plans ---- */

int steer_conf_check(const struct steer_conf *c, char **err)
{
	if (!mark_mask_valid(c->mark_mask)) {
		steer_err(err, "mark-mask 0x%08" PRIx32 " is not four adjacent bits", c->mark_mask);
		return -EINVAL;
	}
	for (unsigned i = 0; i < c->nb_gw; i++)
		for (unsigned j = 0; j < c->gw[i].nb_match; j++) {
			const struct steer_match *m = &c->gw[i].match[j];

			if (steer_match_applies(m, AF_INET) || steer_match_applies(m, AF_INET6))
				continue;
			steer_err(err, "gateway %s: match %u: src and dst are of different address families",
				  c->gw[i].name, j + 1);
			return -EINVAL;
		}
	return 0;
}

char *steer_conf_names(const struct steer_conf *c)
{
	struct buf names = { 0 };

	for (unsigned i = 0; i < c->nb_gw; i++)
		buf_printf_grow(&names, "%s%s", i ? ", " : "", c->gw[i].name);
	buf_put_grow(&names, "", 1);
	return names.area;
}

struct steer_plan *steer_plan_make(const struct steer_conf *c, char **err)
{
	struct steer_plan *p;

	if (steer_conf_check(c, err) < 0)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p) {
		steer_err(err, "out of memory");
		return NULL;
	}
	p->mark_mask = c->mark_mask;
	p->route_table = c->route_table;
	p->maxflows = c->maxflows;
	p->names = steer_conf_names(c);
	for (int i = 0; i < 2; i++)
		p->rules[i] = steer_gen_family(c, i);
	for (unsigned i = 0; i < c->nb_gw; i++)
		p->kernel |= c->gw[i].nb_kernel > 0;
	return p;
}

struct steer_plan *steer_plan_dup(const struct steer_plan *p)
{
	struct steer_plan *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = *p;
	c->rules[0] = strdup(p->rules[0]);
	c->rules[1] = strdup(p->rules[1]);
	c->names = strdup(p->names);
	if (!c->rules[0] || !c->rules[1] || !c->names)
		steer_plan_free(&c);
	return c;
}

void steer_plan_free(struct steer_plan **pp)
{
	struct steer_plan *p = *pp;

	if (!p)
		return;
	free(p->rules[0]);
	free(p->rules[1]);
	free(p->names);
	free(p);
	*pp = NULL;
}

bool steer_plan_kernel(const struct steer_plan *p)
{
	return p->kernel;
}

const char *steer_plan_rules(const struct steer_plan *p, int family)
{
	return p->rules[family == AF_INET6];
}

void steer_print_head(struct buf *out, const char *names)
{
	buf_printf_grow(out,
			"#!/bin/sh\n# Steering for gateway %s. As root, in the network namespace of the "
			"gateway.\nset -e\n\n",
			names);
	for (unsigned i = 0; i < steer_nb_sysctls; i++)
		buf_printf_grow(out, "echo %s > /proc/sys/%s\n", steer_sysctls[i].want,
				steer_sysctls[i].path);
}

/* An ip rule that is there already is an error to `ip rule add`, which ends the script */
void steer_print_route(struct buf *out, int family, uint32_t mark_mask, uint32_t table)
{
	const char *ip = steer_fam[family == AF_INET6].ip;
	char rule[80];

	snprintf(rule, sizeof(rule), "pref %d fwmark 0x%08" PRIx32 "/0x%08" PRIx32 " lookup %" PRIu32, STEER_RULE_PREF,
		 mark_bits(mark_mask, MARK_LOCAL), mark_mask, table);
	buf_printf_grow(out, "\n%s rule list %s | grep -q . || %s rule add %s\n", ip, rule, ip, rule);
	buf_printf_grow(out, "%s route replace local default dev lo table %" PRIu32 "\n", ip, table);
}

void steer_plan_print(const struct steer_plan *p, struct buf *out)
{
	steer_print_head(out, p->names);
	for (int i = 0; i < 2; i++) {
		if (!p->rules[i][0])
			continue;
		steer_print_route(out, steer_family(i), p->mark_mask, p->route_table);
		/* our jumps that are there go in the same transaction: the script may be run again */
		buf_printf_grow(out, "{\necho '*mangle'\n%s -t mangle | sed -n '/^-A " STEER_CHAIN "/d; "
				"s/^-A \\(.* -j " STEER_CHAIN "\\)/-D \\1/p'\ncat <<'EOF'\n%sEOF\n} | %s --noflush\n",
				steer_fam[i].save, strchr(p->rules[i], '\n') + 1, steer_fam[i].restore);
	}
}

/* ---- joining with what is there ---- */

static bool steer_is_ours(struct str line, const char *word)
{
	const char *p = memmem(line.p, line.n, word, strlen(word));

	return p != NULL;
}

/* ":STANDIN_X - [0:0]" -> "STANDIN_X", else STR_NULL */
static struct str steer_chain_of(struct str line)
{
	if (!str_begins(line, STR(":" STEER_CHAIN)))
		return STR_NULL;
	line.p++, line.n--;
	return str_cut(&line, ' ');
}

/* "-A PREROUTING ... -j STANDIN_X": a jump into our chains from one that is not ours */
static bool steer_is_jump(struct str line)
{
	return str_begins(line, STR("-A ")) && !str_begins(line, STR("-A " STEER_CHAIN)) &&
	       (steer_is_ours(line, " -j " STEER_CHAIN) || steer_is_ours(line, " -g " STEER_CHAIN));
}

static bool steer_declares(const char *rules, struct str chain)
{
	char line[80];

	snprintf(line, sizeof(line), ":%.*s - ", STR_ARG(chain));
	return strstr(rules, line) != NULL;
}

/* The body of <rules>: between its declarations' line and COMMIT */
static struct str steer_body(const char *rules)
{
	const char *p = strchr(rules, '\n'), *end = strstr(rules, "COMMIT\n");

	return p && end ? str_n(p + 1, (size_t)(end - p - 1)) : STR_NULL;
}

char *steer_merge(const char *saved, const char *rules)
{
	struct buf b = { 0 }, tail = { 0 };
	struct str body = steer_body(rules), rest = str_c(saved);
	bool any = body.n > 0;

	/* a declared chain that exists is flushed: -D and -X below meet no reference that is left */
	buf_printf_grow(&b, "*mangle\n");
	while (rest.p) {
		struct str line = str_cut(&rest, '\n'), chain = steer_chain_of(line);

		if (chain.n) {
			any = true;
			if (steer_declares(rules, chain))
				continue;
			buf_printf_grow(&b, ":%.*s - [0:0]\n", STR_ARG(chain));
			buf_printf_grow(&tail, "-X %.*s\n", STR_ARG(chain));
		}
	}
	rest = str_c(saved);
	while (rest.p) {
		struct str line = str_cut(&rest, '\n');

		if (steer_is_jump(line))
			buf_printf_grow(&b, "-D%.*s\n", (int)line.n - 2, line.p + 2);
	}
	buf_put_grow(&b, body.p, body.n);
	buf_put_grow(&b, tail.area, tail.data);
	buf_free(&tail);
	buf_printf_grow(&b, "COMMIT\n");
	buf_put_grow(&b, "", 1);
	if (any)
		return b.area;
	buf_free(&b);
	return NULL;
}

char *steer_conflict(const char *saved)
{
	struct str rest = str_c(saved);

	while (rest.p) {
		struct str line = str_cut(&rest, '\n');

		if (!str_begins(line, STR("-A ")) || str_begins(line, STR("-A " STEER_CHAIN)))
			continue;
		if (steer_is_ours(line, " -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff") ||
		    (steer_is_ours(line, " -j CONNMARK --set-xmark ") && steer_is_ours(line, "/0xffffffff")))
			return strndup(line.p, line.n);
	}
	return NULL;
}
