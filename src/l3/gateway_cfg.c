/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gateway_cfg.c - the words of a `gateway` section
 *
 * Parsed into a struct gateway_conf in the epoch's arena; checked against each
 * other when all sections are read. What it means while running is gateway.c's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfg/cfg.h"
#include "gateway_priv.h"
#include "policy/logformat.h"
#include "policy/sticktable.h"

#define GATEWAY_MAX_PORTS 256

/* defaults, ms */
static const unsigned gateway_timeouts[FLOW_TMR_COUNT] = {
	[FLOW_TMR_SYN] = 75000,	   /* a little more than six SYNs of Linux take to give up at the first hop */
	[FLOW_TMR_IDLE] = 7200000, /* as long as keepalives may be apart (RFC 9293 3.8.4) */
	[FLOW_TMR_HOLD] = 5000,	   /* longer than a lost packet's usual retransmissions */
	[FLOW_TMR_CLOSE] = 10000,
	[FLOW_TMR_OFFLOAD] = 4000, /* how often the tracker is asked about it: most connections are short */
	[FLOW_TMR_OFFLOAD_OLD] = 60000,
};

static void *gateway_cfg_create(struct epoch *ep)
{
	struct l3_conf *lc = arena_alloc(&ep->arena, sizeof(*lc));

	if (lc)
		list_init(&lc->gateways);
	return lc;
}

static void gateway_cfg_destroy(void *part)
{
	struct l3_conf *lc = part;
	struct gateway_conf *c;

	list_for_each(c, &lc->gateways, node) {
		rule_set_release(&c->conn);
		rule_set_release(&c->content);
		acl_set_release(&c->acls);
	}
}

static int gateway_open(struct cfg_line *ln)
{
	struct l3_conf *lc = epoch_part(ln->ep, &gateway_module);
	struct gateway_conf *c;

	if (ln->argc < 2)
		return cfg_err(ln, "'gateway' expects a name");
	if (!cfg_name_ok(ln->args[1]))
		return cfg_err(ln, "character not permitted in the name '%s' of this 'gateway' (letters, digits and '-', '_', "
			       "'.', ':' are).", ln->args[1]);
	if (ln->argc > 2)
		return cfg_err(ln, "'gateway' expects a name only, found '%s' behind it", ln->args[2]);
	c = cfg_zalloc(ln, sizeof(*c));
	if (!c)
		return -1;
	c->obj = (struct cfg_object){ .kind = "gateway", .name = cfg_strdup(ln, ln->args[1]), .file = ln->file,
				      .line = ln->line };
	memcpy(c->timeout_ms, gateway_timeouts, sizeof(c->timeout_ms));
	acl_set_init(&c->acls);
	rule_set_init(&c->conn);
	rule_set_init(&c->content);
	log_set_init(&c->log);
	list_add_tail(&lc->gateways, &c->node);
	epoch_add_object(ln->ep, &c->obj, ln->d);
	ln->obj = c;
	return 0;
}

static struct cfg_section gateway_section = { .name = "gateway", .bit = CFG_GATEWAY, .open = gateway_open };

/* ---- queue, match ---- */

/* "<lo>" or "<lo>-<hi>" of 16-bit numbers; 0 or -1. */
static int gateway_range(const char *word, uint16_t *lo, uint16_t *hi)
{
	struct str rest = str_c(word), first = str_cut(&rest, '-');
	uint64_t a, b;

	if (str_to_uint(first, &a) < 0)
		return -1;
	b = a;
	if (rest.p && str_to_uint(rest, &b) < 0)
		return -1;
	if (a > b || b > 65535)
		return -1;
	*lo = (uint16_t)a;
	*hi = (uint16_t)b;
	return 0;
}

static int gateway_queue(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct gateway_conf *c = ln->obj;

	if (ln->argc != 2 || gateway_range(ln->args[1], &c->queue_first, &c->queue_last) < 0)
		return cfg_err(ln, "'queue' expects <first>[-<last>], numbers from 0 to 65535");
	if (c->queue_last - c->queue_first >= 64)
		return cfg_err(ln, "'queue' : a gateway has 64 queues at most");
	c->has_queue = true;
	return 0;
}

static int gateway_match_ports(struct cfg_line *ln, const char *word, struct steer_match *m)
{
	struct steer_ports *ports;
	struct str rest = str_c(word);
	char item[16];

	ports = cfg_zalloc(ln, GATEWAY_MAX_PORTS * sizeof(*ports));
	if (!ports)
		return -1;
	while (rest.p) {
		struct str s = str_cut(&rest, ',');

		snprintf(item, sizeof(item), "%.*s", STR_ARG(s));
		if (m->nb_ports == GATEWAY_MAX_PORTS)
			return cfg_err(ln, "'match' : more than %d ports", GATEWAY_MAX_PORTS);
		if (s.n >= sizeof(item) || gateway_range(item, &ports[m->nb_ports].lo, &ports[m->nb_ports].hi) < 0 ||
		    ports[m->nb_ports].lo == 0)
			return cfg_err(ln, "'match' : '%.*s' is not a port or a range of ports", STR_ARG(s));
		m->nb_ports++;
	}
	m->ports = ports;
	return 0;
}

static int gateway_match_if(struct cfg_line *ln, const char *word, char dst[IFNAMSIZ])
{
	if (!*word || strlen(word) >= IFNAMSIZ)
		return cfg_err(ln, "'match' : '%s' is not the name of an interface", word);
	strcpy(dst, word);
	return 0;
}

static int gateway_match_net(struct cfg_line *ln, const char *word, struct netmask *nm)
{
	if (netmask_parse(nm, str_c(word)) < 0)
		return cfg_err(ln, "'match' : '%s' is not an address or a network", word);
	return 0;
}

static int gateway_match_word(struct cfg_line *ln, struct steer_match *m, const char *word, const char *arg)
{
	static const char *const words[] = { "in", "out", "src", "dst", "dport" };
	const char *near;

	switch (cfg_word_index(words, ARRAY_SIZE(words), word)) {
	case 0:
		return gateway_match_if(ln, arg, m->in);
	case 1:
		return gateway_match_if(ln, arg, m->out);
	case 2:
		return gateway_match_net(ln, arg, &m->src);
	case 3:
		return gateway_match_net(ln, arg, &m->dst);
	case 4:
		return gateway_match_ports(ln, arg, m);
	}
	near = diag_nearest_of(word, words, ARRAY_SIZE(words));
	return cfg_err(ln, "'match' : unknown word '%s'%s%s%s", word, near ? "; did you mean '" : "", near ? near : "",
		       near ? "'?" : "");
}

static int gateway_match(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct gateway_conf *c = ln->obj;
	struct steer_match *all, *m;
	int i;

	if (ln->argc < 2 || ln->argc % 2 == 0)
		return cfg_err(ln, "'match' expects %s", kw->usage + strlen("match "));
	all = cfg_zalloc(ln, (c->nb_match + 1) * sizeof(*all));
	if (!all)
		return -1;
	if (c->nb_match)
		memcpy(all, c->match, c->nb_match * sizeof(*all));
	m = &all[c->nb_match];
	for (i = 1; i < ln->argc; i += 2)
		if (gateway_match_word(ln, m, ln->args[i], ln->args[i + 1]) < 0)
			return -1;
	if (m->src.net.family != AF_UNSPEC && m->dst.net.family != AF_UNSPEC && m->src.net.family != m->dst.net.family)
		return cfg_err(ln, "'match' : 'src' and 'dst' are of different address families: no packet has both");
	c->match = all;
	c->nb_match++;
	return 0;
}

/* ---- single words ---- */

static int gateway_choice(struct cfg_line *ln, const char *yes, const char *no, bool *value)
{
	if (ln->argc == 2 && strcmp(ln->args[1], yes) == 0)
		*value = true;
	else if (ln->argc == 2 && strcmp(ln->args[1], no) == 0)
		*value = false;
	else
		return cfg_err(ln, "'%s' expects '%s' or '%s'", ln->args[0], no, yes);
	return 0;
}

static int gateway_steer(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct gateway_conf *c = ln->obj;

	return gateway_choice(ln, "manual", "auto", &c->steer_manual);
}

static int gateway_on_failure(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct gateway_conf *c = ln->obj;

	return gateway_choice(ln, "block", "forward", &c->block);
}

const char *const gateway_else_name[] = {
	[GATEWAY_ELSE_FORWARD] = "forward",
	[GATEWAY_ELSE_REJECT] = "reject",
	[GATEWAY_ELSE_DROP] = "drop",
};

int gateway_parse_else(struct cfg_line *ln, int *pos, enum gateway_else *els)
{
	int i;

	*els = GATEWAY_ELSE_FORWARD;
	if (strcmp(ln->args[*pos], "else") != 0)
		return 0;
	i = cfg_word_index(gateway_else_name, 3, ln->args[*pos + 1]);
	if (i < 0)
		return cfg_err(ln, "'else' expects 'forward', 'reject' or 'drop'");
	*els = (enum gateway_else)i;
	*pos += 2;
	return 0;
}

static int gateway_maxflows(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct gateway_conf *c = ln->obj;
	int pos = 2;

	if (ln->argc < 2 || cfg_parse_uint(ln->args[1], &c->maxflows) < 0 || c->maxflows == 0)
		return cfg_err(ln, "'maxflows' expects a number above 0");
	if (gateway_parse_else(ln, &pos, &c->maxflows_else) < 0)
		return -1;
	if (pos < ln->argc)
		return cfg_err(ln, "'maxflows' : unexpected '%s'", ln->args[pos]);
	return 0;
}

/* ---- rules ---- */

/* FNV-1a; the words are the administrator's own, and nobody's to choose collisions. */
static void gateway_note(struct gateway_conf *c, const struct cfg_line *ln)
{
	uint64_t h = c->rules_text ? c->rules_text : 0xcbf29ce484222325ULL;
	const char *p;
	int i;

	for (i = 0; i < ln->argc; i++) {
		for (p = ln->args[i]; *p; p++)
			h = (h ^ (uint8_t)*p) * 0x100000001b3ULL;
		h = (h ^ 0xff) * 0x100000001b3ULL; /* between words */
	}
	c->rules_text = h;
}

static int gateway_acl(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct gateway_conf *c = ln->obj;

	gateway_note(c, ln);
	return acl_parse_line(ln, &c->acls);
}

static int gateway_rule_conn(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct gateway_conf *c = ln->obj;

	gateway_note(c, ln);
	return rule_parse(ln, 2, RS_GW_CONN, "tcp-request connection", &c->conn, &c->acls);
}

static int gateway_rule_content(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct gateway_conf *c = ln->obj;

	gateway_note(c, ln);
	return rule_parse(ln, 2, RS_GW_CONTENT, "tcp-request content", &c->content, &c->acls);
}

static int gateway_default(struct cfg_line *ln, const struct cfg_kw *kw)
{
	static const char *const words[] = { "watch", "forward", "promote" };
	struct gateway_conf *c = ln->obj;
	int pos = 2;

	gateway_note(c, ln);
	switch (cfg_word_index(words, ARRAY_SIZE(words), ln->args[1])) {
	case 0:
		c->dflt.act = GATEWAY_ACT_WATCH;
		break;
	case 1:
		c->dflt.act = GATEWAY_ACT_FORWARD;
		break;
	case 2:
		if (ln->argc < 3)
			return cfg_err(ln, "'default-action promote' expects the name of a frontend");
		c->dflt.act = GATEWAY_ACT_PROMOTE;
		c->dflt.frontend = ln->args[2];
		pos = 3;
		if (gateway_parse_else(ln, &pos, &c->dflt.els) < 0)
			return -1;
		break;
	default:
		return cfg_err(ln, "'default-action' expects 'forward', 'watch' or 'promote <frontend>'");
	}
	c->dflt_file = ln->file;
	c->dflt_line = ln->line;
	if (pos < ln->argc)
		return cfg_err(ln, "'default-action' : unexpected '%s'", ln->args[pos]);
	return 0;
}

/* ---- log ---- */

static int gateway_log(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct gateway_conf *c = ln->obj;
	char *err = NULL;

	if (ln->no_prefix) {
		list_init(&c->log.targets);
		c->log.global = NULL;
		return 0;
	}
	if (ln->argc == 2 && strcmp(ln->args[1], "global") == 0) {
		c->log.global = &ln->ep->global.log;
		return 0;
	}
	if (log_target_parse(&c->log, &ln->ep->arena, ln->argc - 1, ln->args + 1, &err) < 0)
		return cfg_err_take(ln, "log", &err);
	return 0;
}

static int gateway_log_format(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct gateway_conf *c = ln->obj;
	char *err = NULL;

	if (ln->argc != 2)
		return cfg_err(ln, "'log-format' expects one argument; quote it when it contains spaces");
	c->logformat = logformat_parse(ln->args[1], SMP_AT_L4 | LF_LOG, &gateway_lf, &ln->ep->arena, &err);
	return c->logformat ? 0 : cfg_err_take(ln, "log-format", &err);
}

/* ---- all sections are read ---- */

static void gateway_check_promote(struct epoch *ep, struct diag *d, struct gateway_conf *c)
{
	const char *name = c->dflt.frontend, *near;

	if (c->dflt.act != GATEWAY_ACT_PROMOTE || epoch_find(ep, "frontend", name) || epoch_find(ep, "listen", name))
		return;
	near = epoch_nearest(ep, "frontend", name);
	diag_error(d, c->dflt_file, c->dflt_line, "gateway '%s' : no frontend '%s' to promote into%s%s%s", c->obj.name,
		   name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* Where framing is lost: the frontend that the rules name first. */
static void gateway_set_lost(struct gateway_conf *c)
{
	const struct rule *r;

	c->lost = c->dflt.act == GATEWAY_ACT_PROMOTE ? c->dflt : (struct gateway_decision){ .act = GATEWAY_ACT_FORWARD };
	list_for_each(r, &c->content.rules, node)
		if (strcmp(r->kw->name, "promote") == 0) {
			c->lost = (struct gateway_decision){ GATEWAY_ACT_PROMOTE, r->arg[0], (enum gateway_else)r->iarg[0] };
			return;
		}
}

static void gateway_check_queues(struct diag *d, const struct l3_conf *lc, const struct gateway_conf *c)
{
	const struct gateway_conf *o;

	list_for_each(o, &lc->gateways, node) {
		if (o == c)
			return;
		if (o->queue_first <= c->queue_last && c->queue_first <= o->queue_last)
			diag_error(d, c->obj.file, c->obj.line,
				   "gateway '%s' : queue %u is also that of gateway '%s' (%s:%d); two gateways cannot share one",
				   c->obj.name, MAX(o->queue_first, c->queue_first), o->obj.name, o->obj.file, o->obj.line);
	}
}

static void gateway_cfg_resolve(struct epoch *ep, struct diag *d)
{
	struct l3_conf *lc = epoch_part(ep, &gateway_module);
	struct gateway_conf *c;

	list_for_each(c, &lc->gateways, node) {
		rule_set_resolve(ep, &c->conn, d);
		rule_set_resolve(ep, &c->content, d);
		gateway_check_promote(ep, d, c);
		gateway_check_queues(d, lc, c);
		gateway_set_lost(c);
		c->tracks = stk_rules_track(&c->conn) || stk_rules_track(&c->content);
		c->set_mask = gateway_set_mask(&c->conn) | gateway_set_mask(&c->content);
		if (!c->nb_match && !c->steer_manual)
			diag_warn(d, c->obj.file, c->obj.line,
				  "gateway '%s' has no 'match' : no connection will be handed to it", c->obj.name);
		c->timeout_ms[FLOW_TMR_INSPECT] =
			c->inspect_delay_ms ? c->inspect_delay_ms : c->timeout_ms[FLOW_TMR_HOLD];
	}
}

struct cfg_module gateway_module = {
	.name = "gateway",
	.order = 60,
	.create = gateway_cfg_create,
	.resolve = gateway_cfg_resolve,
	.destroy = gateway_cfg_destroy,
	.prepare = gateway_prepare,
	.commit = gateway_commit,
	.abort = gateway_abort,
};

#define GW_CODE(word_, fn, usage_, help_)                                                                    \
	{ .word = (word_), .sections = CFG_GATEWAY, .parse = (fn), .usage = (usage_), .help = (help_) }
#define GW_TIME(word_, field, usage_, help_)                                                                 \
	{ .word = (word_), .sections = CFG_GATEWAY, .type = CFG_T_TIME, .min = 1, .max = UINT32_MAX,         \
	  .offset = offsetof(struct gateway_conf, field), .usage = (usage_), .help = (help_) }
#define GW_FLAG(word_, field, usage_, help_)                                                                 \
	{ .word = (word_), .sections = CFG_GATEWAY, .type = CFG_T_FLAG, .can_no = true,                      \
	  .offset = offsetof(struct gateway_conf, field), .usage = (usage_), .help = (help_) }

static struct cfg_kw gateway_kws[] = {
	GW_CODE("queue", gateway_queue, "queue <first>[-<last>]", "the kernel's packet queues of this gateway; default 0"),
	GW_CODE("match", gateway_match, "match [in <if>] [out <if>] [src <net>] [dst <net>] [dport <p>[,<p>|,<lo>-<hi>]]",
		"connections handed to the gateway, by their first packet; replies follow; repeatable, ORed"),
	GW_CODE("steer", gateway_steer, "steer auto|manual",
		"auto: own firewall and routing rules; manual: print them with --print-steering"),
	GW_CODE("on-failure", gateway_on_failure, "on-failure forward|block",
		"what happens to packets when no daemon listens on the queue"),
	GW_CODE("maxflows", gateway_maxflows, "maxflows <n> [else forward|reject|drop]",
		"past it new flows are only forwarded, and counted"),
	GW_FLAG("option dry-run", dry_run, "option dry-run", "decide, count and log, but only forward"),
	GW_FLAG("option tcplog", tcplog, "option tcplog", "the line of an ended flow in HAProxy's tcplog form"),
	GW_TIME("timeout syn", timeout_ms[FLOW_TMR_SYN], "timeout syn <time>", "for the handshake"),
	GW_TIME("timeout idle", timeout_ms[FLOW_TMR_IDLE], "timeout idle <time>", "without any packet"),
	GW_TIME("timeout hold", timeout_ms[FLOW_TMR_HOLD], "timeout hold <time>", "that packets are held at most"),
	GW_TIME("timeout close", timeout_ms[FLOW_TMR_CLOSE], "timeout close <time>", "after both FINs or a reset"),
	GW_CODE("acl", gateway_acl, "acl <name> <criterion> [flags] <value>...", "a named test"),
	GW_CODE("tcp-request connection", gateway_rule_conn, "tcp-request connection <action> [{if|unless} <cond>]",
		"a rule for the SYN"),
	GW_TIME("tcp-request inspect-delay", inspect_delay_ms, "tcp-request inspect-delay <time>",
		"how long a turn may be held for more bytes"),
	GW_CODE("tcp-request content", gateway_rule_content, "tcp-request content <action> [{if|unless} <cond>]",
		"a rule for the start of each turn"),
	GW_CODE("default-action", gateway_default, "default-action forward | watch | promote <frontend> [else ...]",
		"where no rule decides; default watch"),
	{ .word = "log", .sections = CFG_GATEWAY, .parse = gateway_log, .can_no = true,
	  .usage = "log global | <address> [len <length>] [format <format>] <facility> [<max level> [<min level>]]",
	  .help = "targets for one line per ended flow" },
	GW_CODE("log-format", gateway_log_format, "log-format <format>", "the line of an ended flow"),
	{ 0 },
};

INITCALL gateway_cfg_init(void)
{
	cfg_module_register(&gateway_module);
	cfg_register_section(&gateway_section);
	cfg_register_keywords(gateway_kws);
}
