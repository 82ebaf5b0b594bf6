/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * steer_nft.c - a configuration's gateways as a script for nft
 *
 * Pure. It does what steer_plan.c's rules do for manual steering, chain by chain and by the same names; what is said
 * there of why and in which order holds here. What is different:
 *
 *   one table   `inet standin`, both families in it, ours alone: a script that is run again replaces it in one
 *               transaction, nobody else's rules are touched, and `nft delete table inet standin` takes it out
 *   last        base chains of our own just behind mangle's. A packet with a verdict goes on behind our chain, and a
 *               repeated one enters it again at its top, where its request is what is looked at first: it passes nobody's
 *               rules twice and skips none
 *   accept      is the end of our chain only, as RETURN is for a chain that iptables jumped to
 *   masks       nft sets a mark to (mark & constant) | constant, never to a combination of two marks (no kernel before
 *               6.13 can): a rule for each class, and for each bit that set-mark rules set, one for 1 and one for 0. A class
 *               is written in one go: no packet on another CPU may find its connection without one
 *   socket      iptables' `--transparent` means no listener on any address; here a rule before it says so. Not
 *               `socket wildcard 0` beside it: to that a socket in TIME_WAIT has no answer
 *
 * All but the statement `queue` is tested on kernels without nft_queue, too: reg-tests/netns/25-nft.sh.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l3/mark.h"
#include "l3/steer_priv.h"

#define NFT_TABLE    "inet standin"
#define NFT_PRIORITY "-149" /* mangle's is -150 */
#define NFT_SYN      "tcp flags & (fin | syn | rst | ack)" /* == syn: a connection's first packet */

struct nft_gen {
	const struct steer_conf *c;
	struct buf *out;
};

struct nft_hex {
	char s[12];
};

static struct nft_hex hex(uint32_t v)
{
	struct nft_hex h;

	snprintf(h.s, sizeof(h.s), "0x%08" PRIx32, v);
	return h;
}

/* <value> in our four bits */
static struct nft_hex val(const struct nft_gen *g, unsigned value)
{
	return hex(mark_bits(g->c->mark_mask, value));
}

static void nft_put(struct nft_gen *g, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void nft_put(struct nft_gen *g, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf_grow(g->out, fmt, ap);
	va_end(ap);
}

#define nft_rule(g, fmt, ...) nft_put(g, "\t\t" fmt "\n", ##__VA_ARGS__)
#define nft_open(g, what, fmt, ...) nft_put(g, "\n\t# " what "\n\tchain " fmt " {\n", ##__VA_ARGS__)
#define nft_close(g) nft_put(g, "\t}\n")

/* "meta mark & MASK == VALUE", and "ct mark set ct mark & ~MASK | VALUE" */
struct nft_mark {
	char s[64];
};

static struct nft_mark is(const struct nft_gen *g, const char *what, unsigned value, unsigned mask)
{
	struct nft_mark c;

	snprintf(c.s, sizeof(c.s), "%s mark & %s == %s", what, val(g, mask).s, val(g, value).s);
	return c;
}

static struct nft_mark set(const struct nft_gen *g, const char *what, unsigned value)
{
	struct nft_mark c;

	snprintf(c.s, sizeof(c.s), "%s mark set %s mark & %s%s%s", what, what, hex(~g->c->mark_mask).s, value ? " | " : "",
		 value ? val(g, value).s : "");
	return c;
}

/* ---- match lines ---- */

/* `iifname "eth*" `; iptables' wildcard is a + at the end, alone it is any name */
static void put_if(struct nft_gen *g, const char *word, const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || strcmp(name, "+") == 0)
		return;
	if (name[n - 1] == '+')
		nft_put(g, "%s \"%.*s*\" ", word, (int)n - 1, name);
	else
		nft_put(g, "%s \"%.*s%s\" ", word, (int)n - (name[n - 1] == '*'), name, name[n - 1] == '*' ? "\\*" : "");
}

static void put_net(struct nft_gen *g, const char *before, const char *word, const struct netmask *n)
{
	const char *family = n->net.family == AF_INET6 ? "ip6" : "ip";
	char a[ADDR_STRLEN];

	if (n->net.family != AF_UNSPEC)
		nft_put(g, "%s%s %s %s/%u ", before, family, word, addr_print_ip(&n->net, a), n->bits);
}

static void put_port(struct nft_gen *g, const struct steer_ports *p)
{
	nft_put(g, p->lo == p->hi ? "%u" : "%u-%u", p->lo, p->hi);
}

static void put_ports(struct nft_gen *g, const struct steer_match *m, bool reverse)
{
	if (m->nb_ports == 0)
		return;
	nft_put(g, "tcp %s { ", reverse ? "sport" : "dport");
	for (unsigned i = 0; i < m->nb_ports; i++) {
		nft_put(g, "%s", i ? ", " : "");
		put_port(g, &m->ports[i]);
	}
	nft_put(g, " } ");
}

/* Of FWD: a connection's first packet; with <stray>, what is none, or anything on its way back (steer_plan.c) */
static void put_match(struct nft_gen *g, const struct steer_match *m, unsigned gw, bool stray, bool reverse)
{
	nft_put(g, "\t\t");
	put_if(g, "iifname", reverse ? m->out : m->in);
	put_if(g, "oifname", reverse ? m->in : m->out);
	put_net(g, "", "saddr", reverse ? &m->dst : &m->src);
	put_net(g, "", "daddr", reverse ? &m->src : &m->dst);
	if (!reverse)
		nft_put(g, NFT_SYN " %s syn ", stray ? "!=" : "==");
	put_ports(g, m, reverse);
	nft_put(g, "goto %s%u\n", stray ? "STRAY" : "NEW", gw);
}

/* ---- queues ---- */

static void put_queue(struct nft_gen *g, const struct steer_gateway *gw, bool bypass)
{
	nft_put(g, "counter queue %sto %u", bypass ? "flags bypass " : "", gw->queue_first);
	if (gw->queue_first != gw->queue_last)
		nft_put(g, "-%u", gw->queue_last);
	nft_put(g, "\n");
}

/* With several gateways: whose queue? By the first packet, as far as the tracker keeps it */
static void put_choice(struct nft_gen *g, const struct steer_gateway *gw, bool bypass)
{
	for (unsigned j = 0; j < gw->nb_match; j++) {
		const struct steer_match *m = &gw->match[j];
		unsigned i = 0;

		do {
			nft_put(g, "\t\tmeta l4proto tcp ");
			put_net(g, "ct original ", "saddr", &m->src);
			put_net(g, "ct original ", "daddr", &m->dst);
			if (m->nb_ports) {
				nft_put(g, "ct original proto-dst ");
				put_port(g, &m->ports[i]);
				nft_put(g, " ");
			}
			put_queue(g, gw, bypass);
		} while (++i < m->nb_ports);
	}
}

static void nft_queues(struct nft_gen *g)
{
	for (unsigned hard = 0; hard < 2; hard++) {
		nft_open(g, "%s", "%s", hard ? "it would be damaged unseen: dropped when nobody listens"
					     : "forwarded when nobody listens", hard ? "HARDQ" : "SOFTQ");
		for (unsigned i = 0; g->c->nb_gw > 1 && i < g->c->nb_gw; i++)
			put_choice(g, &g->c->gw[i], !hard);
		nft_put(g, "\t\t");
		put_queue(g, &g->c->gw[0], !hard);
		nft_close(g);
	}
}

/* ---- chains ---- */

/* The request on a repeated packet: its class to the connection, our bits off, done. */
static void nft_req(struct nft_gen *g)
{
	static const enum mark_class classes[] = { MARK_NONE, MARK_OURS, MARK_HARD, MARK_OFFLOADED };

	nft_open(g, "the daemon asks that the connection get a class", "REQ");
	nft_rule(g, "%s return", is(g, "meta", MARK_LOCAL, MARK_ALL).s);
	for (uint32_t left = g->c->set_mask, bit; left; left &= ~bit) {
		bit = left & -left;
		nft_rule(g, "meta mark & %s == %s ct mark set ct mark | %s", hex(bit).s, hex(bit).s, hex(bit).s);
		nft_rule(g, "meta mark & %s == %s ct mark set ct mark & %s", hex(bit).s, hex(0).s, hex(~bit).s);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(classes); i++)
		nft_rule(g, "%s %s", is(g, "meta", MARK_REQ(classes[i]), MARK_ALL).s, set(g, "ct", classes[i]).s);
	nft_rule(g, "%s", set(g, "meta", 0).s);
	nft_rule(g, "accept");
	nft_close(g);
}

/* What set-mark rules have set of a connection, to its packets that no daemon sees */
static void nft_restore(struct nft_gen *g)
{
	if (!g->c->set_mask)
		return;
	nft_open(g, "set-mark's bits, from the connection", "RESTORE");
	nft_rule(g, "meta mark set meta mark & %s", hex(~g->c->set_mask).s);
	for (uint32_t left = g->c->set_mask, bit; left; left &= ~bit) {
		bit = left & -left;
		nft_rule(g, "ct mark & %s == %s meta mark set meta mark | %s", hex(bit).s, hex(bit).s, hex(bit).s);
	}
	nft_close(g);
}

static void nft_pre(struct nft_gen *g)
{
	nft_open(g, "TCP, by the connection's class", "PRE");
	nft_rule(g, "ct mark & %s vmap { %s : %s, %s : goto SOFTQ, %s : goto HARD }", val(g, MARK_CLASS).s,
		 val(g, MARK_OFFLOADED).s, g->c->set_mask ? "goto RESTORE" : "accept", val(g, MARK_OURS).s,
		 val(g, MARK_HARD).s);
	nft_rule(g, NFT_SYN " != syn ct state { invalid, new } goto FORGOT");
	nft_close(g);

	nft_open(g, "the tracker forgot the connection of a pseudo socket", "FORGOT");
	nft_rule(g, "socket wildcard 1 return");
	nft_rule(g, "socket transparent 1 goto SOFTQ");
	nft_close(g);

	nft_open(g, "to a pseudo socket that is switched on, with its mark; else queued", "HARD");
	nft_rule(g, "socket wildcard 1 goto HARDQ");
	nft_rule(g, "socket transparent 1 meta mark set socket mark goto SOCK");
	nft_rule(g, "goto HARDQ");
	nft_close(g);

	nft_open(g, "directly, or by the queue", "SOCK");
	nft_rule(g, "meta mark & %s != %s goto HARDQ", val(g, MARK_ALL).s, val(g, MARK_SOCK_DIRECT).s);
	nft_rule(g, "%s", set(g, "meta", MARK_LOCAL).s);
	nft_close(g);
}

static void nft_forward(struct nft_gen *g)
{
	nft_open(g, "new connections, and what the tracker forgot", "FWD");
	/* the first packet again: it was queued in PRE, by its class */
	nft_rule(g, "ct mark & %s != %s return", val(g, MARK_CLASS).s, val(g, MARK_NONE).s);
	for (unsigned i = 0; i < g->c->nb_gw; i++)
		for (unsigned j = 0; j < g->c->gw[i].nb_match; j++) {
			put_match(g, &g->c->gw[i].match[j], i, false, false);
			put_match(g, &g->c->gw[i].match[j], i, true, false);
			put_match(g, &g->c->gw[i].match[j], i, true, true);
		}
	nft_close(g);
	for (unsigned i = 0; i < g->c->nb_gw; i++) {
		const struct steer_gateway *gw = &g->c->gw[i];

		nft_open(g, "gateway %s", "NEW%u", gw->name, i);
		nft_rule(g, "%s", set(g, "ct", gw->block ? MARK_HARD : MARK_OURS).s);
		nft_put(g, "\t\t");
		put_queue(g, gw, !gw->block);
		nft_close(g);
		nft_put(g, "\tchain STRAY%u {\n\t\t", i);
		put_queue(g, gw, !gw->block);
		nft_close(g);
	}
}

static void nft_local(struct nft_gen *g)
{
	nft_open(g, "routed to a pseudo socket that is gone: no reset leaves by accident", "IN");
	nft_rule(g, "socket wildcard 1 counter drop");
	nft_rule(g, "socket transparent 1 accept");
	nft_rule(g, "counter drop");
	nft_close(g);

	nft_open(g, "an error of this host about what the kernel had not adjusted yet", "OWN");
	nft_rule(g, "%s", set(g, "meta", MARK_OFFLOADED).s);
	nft_rule(g, "goto SOFTQ");
	nft_close(g);
}

/* ---- hooks ---- */

static void nft_base(struct nft_gen *g, const char *type, const char *hook)
{
	nft_put(g, "\n\tchain %s {\n", hook);
	nft_rule(g, "type %s hook %s priority " NFT_PRIORITY "; policy accept;", type, hook);
	for (int i = 0; i < 2; i++)
		if (!steer_conf_applies(g->c, steer_family(i)))
			nft_rule(g, "meta nfproto %s accept", i ? "ipv6" : "ipv4");
}

static void nft_hooks(struct nft_gen *g)
{
	nft_base(g, "filter", "prerouting");
	nft_rule(g, "iifname \"lo\" accept");
	nft_rule(g, "meta l4proto tcp %s jump REQ", is(g, "meta", MARK_VERB, MARK_VERB).s);
	nft_rule(g, "meta l4proto tcp goto PRE");
	nft_rule(g, "meta l4proto { icmp, ipv6-icmp } ct mark & %s vmap { %s : goto HARD, %s : goto SOFTQ }",
		 val(g, MARK_CLASS).s, val(g, MARK_HARD).s, val(g, MARK_OFFLOADED).s);
	nft_close(g);

	nft_base(g, "filter", "forward");
	nft_rule(g, "iifname != \"lo\" meta l4proto tcp %s jump REQ", is(g, "meta", MARK_VERB, MARK_VERB).s);
	/* on its way to a pseudo socket, but somebody took our route away */
	nft_rule(g, "%s counter drop", is(g, "meta", MARK_LOCAL, MARK_ALL).s);
	nft_rule(g, "meta l4proto tcp ct state { invalid, new } goto FWD");
	/* addresses used again, which the tracker takes for a part of the old connection */
	nft_rule(g, NFT_SYN " == syn goto FWD");
	nft_close(g);

	nft_base(g, "filter", "input");
	nft_rule(g, "meta l4proto tcp %s goto IN", is(g, "meta", MARK_LOCAL, MARK_ALL).s);
	nft_close(g);

	/* of type route: a packet without our bits may have another way */
	nft_base(g, "route", "output");
	nft_rule(g, "%s jump REQ", is(g, "meta", MARK_VERB, MARK_VERB).s);
	nft_rule(g, "meta l4proto { icmp, ipv6-icmp } ct mark & %s vmap { %s : goto OWN, %s : goto SOFTQ }",
		 val(g, MARK_CLASS).s, val(g, MARK_OFFLOADED).s, val(g, MARK_HARD).s);
	/* what pseudo sockets send, and what the daemon sends round to them */
	nft_rule(g, "meta l4proto tcp %s ct mark & %s != %s %s", is(g, "meta", MARK_HARD, MARK_CLASS).s, val(g, MARK_CLASS).s,
		 val(g, MARK_HARD).s, set(g, "ct", MARK_HARD).s);
	nft_close(g);
}

/* ---- the script ---- */

/* No escape exists for these in nft's strings. */
static int nft_check_if(const struct steer_gateway *gw, const char *name, char **err)
{
	if (!strpbrk(name, "\"\\"))
		return 0;
	steer_err(err, "gateway %s: nft has no way to write the name of interface '%s'", gw->name, name);
	return -EINVAL;
}

static int nft_check(const struct steer_conf *c, char **err)
{
	int rc = steer_conf_check(c, err);

	for (unsigned i = 0; rc == 0 && i < c->nb_gw; i++)
		for (unsigned j = 0; rc == 0 && j < c->gw[i].nb_match; j++) {
			rc = nft_check_if(&c->gw[i], c->gw[i].match[j].in, err);
			if (rc == 0)
				rc = nft_check_if(&c->gw[i], c->gw[i].match[j].out, err);
		}
	return rc;
}

int steer_nft_print(const struct steer_conf *c, struct buf *out, char **err)
{
	struct nft_gen g = { .c = c, .out = out };
	bool any = false;
	char *names;
	int rc = nft_check(c, err);

	if (rc < 0)
		return rc;
	names = steer_conf_names(c);
	steer_print_head(out, names);
	free(names);
	for (int i = 0; i < 2; i++) {
		if (!steer_conf_applies(c, steer_family(i)))
			continue;
		any = true;
		steer_print_route(out, steer_family(i), c->mark_mask, c->route_table);
	}
	if (!any)
		return 0;
	/* made, should it not be there, or the deletion were an error; then all of it anew, in one transaction */
	nft_put(&g, "\nnft -f - <<'EOF'\ntable " NFT_TABLE " {}\ndelete table " NFT_TABLE "\ntable " NFT_TABLE " {");
	nft_hooks(&g);
	nft_req(&g);
	nft_pre(&g);
	nft_restore(&g);
	nft_queues(&g);
	nft_forward(&g);
	nft_local(&g);
	nft_put(&g, "}\nEOF\n");
	return 0;
}
