/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * proxy_cfg.c - defaults, frontend, backend and listen sections, and their simple words
 *
 * A section begins as a copy of the defaults section in force (the last one, or
 * the one after `from`), then its lines change it. Copies are shallow: strings
 * belong to the epoch. Lists are made anew: the only one that is inherited are
 * the log targets; rules and ACLs in defaults are not supported.
 *
 * What HAProxy knows and we do not is refused by name (words_cfg.c); what would
 * have no effect where it stands is warned about.
 */
#include "l7/cfg_priv.h"

#include <stdlib.h>


const char *const px_mode_name[] = { [PX_TCP] = "tcp", [PX_HTTP] = "http", [PX_HEALTH] = "health" };
const char *const lb_name[LB_COUNT] = { "roundrobin", "static-rr", "leastconn", "source", "first", "random" };

const uint16_t retry_status[] = { 401, 403, 404, 408, 425, 500, 501, 502, 503, 504 };
const unsigned nb_retry_status = ARRAY_SIZE(retry_status);

struct l7_cfg *l7_cfg_of(const struct epoch *ep)
{
	return ep ? epoch_part(ep, &l7_cfg_module) : NULL;
}

struct px_cfg *px_cfg_find(const struct epoch *ep, unsigned cap, const char *name)
{
	struct l7_cfg *c = l7_cfg_of(ep);
	struct px_cfg *px;

	if (!c)
		return NULL;
	list_for_each(px, &c->proxies, part_node)
		if ((px->caps & cap) && strcmp(px->name, name) == 0)
			return px;
	return NULL;
}

void px_cfg_defaults(struct px_cfg *px)
{
	px->mode = PX_TCP;
	px->retries = 3;
	px->redispatch_every = 0;
	px->random_draws = 2;
	log_set_init(&px->log);
	srv_cfg_defaults(&px->def_server);
}

/* A copy of <from> with lists of its own. */
static int px_cfg_inherit(struct cfg_line *ln, struct px_cfg *px, const struct px_cfg *from)
{
	struct log_target *t;

	if (from) {
		*px = *from;
		px->opt_set = px->opt_no = 0;
	} else {
		px_cfg_defaults(px);
	}
	px->from = from;
	px->rt = NULL;
	log_set_init(&px->log);
	if (from) {
		px->log.global = from->log.global;
		px->log.tag = from->log.tag;
		px->log.hostname = from->log.hostname;
		list_for_each(t, &from->log.targets, node) {
			struct log_target *copy = cfg_zalloc(ln, sizeof(*copy));

			if (!copy)
				return cfg_err(ln, "out of memory");
			*copy = *t;
			list_add_tail(&px->log.targets, &copy->node);
		}
	}
	acl_set_init(&px->acls);
	rule_set_init(&px->tcp_conn);
	rule_set_init(&px->tcp_sess);
	rule_set_init(&px->tcp_req);
	rule_set_init(&px->tcp_res);
	rule_set_init(&px->http_req);
	rule_set_init(&px->http_res);
	list_init(&px->sticks);
	list_init(&px->sticks_res);
	list_init(&px->use_backends);
	list_init(&px->binds);
	list_init(&px->servers);
	return 0;
}

static struct px_cfg *px_defaults_named(struct l7_cfg *c, const char *name)
{
	struct px_cfg *px;

	list_for_each(px, &c->proxies, part_node)
		if (px->caps == PX_CAP_DEF && strcmp(px->name, name) == 0)
			return px;
	return NULL;
}

static const char *px_defaults_near(struct l7_cfg *c, const char *name)
{
	const char *names[64];
	struct px_cfg *px;
	size_t n = 0;

	list_for_each(px, &c->proxies, part_node)
		if (px->caps == PX_CAP_DEF && n < ARRAY_SIZE(names))
			names[n++] = px->name;
	return diag_nearest_of(name, names, n);
}

/* "<name> [from <defaults>]" or, for defaults, "[<name>] [from <defaults>]". */
static int px_open_args(struct cfg_line *ln, struct l7_cfg *c, bool is_def, const char **name, struct px_cfg **from)
{
	int at = 1;

	*name = "";
	*from = c->defaults;
	if (at < ln->argc && !(is_def && strcmp(ln->args[at], "from") == 0 && at + 2 == ln->argc))
		*name = ln->args[at++];
	if (!is_def && !**name)
		return cfg_err(ln, "'%s' expects a name.", ln->args[0]);
	if (**name && !cfg_name_ok(*name))
		return cfg_err(ln, "character not permitted in the name '%s' of this '%s' (letters, digits and "
				   "'-', '_', '.', ':' are).", *name, ln->args[0]);
	if (at < ln->argc && strcmp(ln->args[at], "from") == 0) {
		*from = px_defaults_named(c, ln->args[at + 1]);
		if (!*ln->args[at + 1] || !*from) {
			const char *near = px_defaults_near(c, ln->args[at + 1]);

			return cfg_err(ln, "defaults section '%s' not found for %s '%s'" DIAG_MAYBE,
				       ln->args[at + 1], ln->args[0], *name, DIAG_MAYBE_ARG(near));
		}
		at += 2;
	} else if (is_def) {
		*from = NULL; /* defaults sections do not add up */
	}
	if (at < ln->argc)
		return cfg_err(ln, "'%s' cannot handle unexpected argument '%s'.", ln->args[0], ln->args[at]);
	return 0;
}

static int px_open(struct cfg_line *ln, const char *kind, unsigned caps)
{
	struct l7_cfg *c = l7_cfg_of(ln->ep);
	struct px_cfg *px = cfg_zalloc(ln, sizeof(*px)), *from;
	const char *name;

	if (!px)
		return cfg_err(ln, "out of memory");
	if (px_open_args(ln, c, caps == PX_CAP_DEF, &name, &from) < 0 || px_cfg_inherit(ln, px, from) < 0)
		return -1;
	px->kind = kind;
	px->name = cfg_strdup(ln, name);
	px->caps = caps;
	px->ep = ln->ep;
	px->id = caps == PX_CAP_DEF ? 0 : 2 + c->nb++;
	px->obj = (struct cfg_object){ .kind = kind, .name = px->name, .file = ln->file, .line = ln->line };
	list_add_tail(&c->proxies, &px->part_node);
	ln->obj = px;
	if (caps == PX_CAP_DEF) {
		c->defaults = px;
		return 0;
	}
	epoch_add_object(ln->ep, &px->obj, ln->d);
	return 0;
}

static int px_open_defaults(struct cfg_line *ln)
{
	return px_open(ln, "defaults", PX_CAP_DEF);
}

static int px_open_frontend(struct cfg_line *ln)
{
	return px_open(ln, "frontend", PX_CAP_FE);
}

static int px_open_backend(struct cfg_line *ln)
{
	return px_open(ln, "backend", PX_CAP_BE);
}

static int px_open_listen(struct cfg_line *ln)
{
	return px_open(ln, "listen", PX_CAP_FE | PX_CAP_BE);
}

static struct cfg_section px_sections[] = {
	{ .name = "defaults", .bit = CFG_DEFAULTS, .open = px_open_defaults },
	{ .name = "frontend", .bit = CFG_FRONTEND, .open = px_open_frontend },
	{ .name = "backend", .bit = CFG_BACKEND, .open = px_open_backend },
	{ .name = "listen", .bit = CFG_LISTEN, .open = px_open_listen },
};

/* ---- words ---- */

void px_no_effect(struct cfg_line *ln, const struct cfg_kw *kw, unsigned cap)
{
	const struct px_cfg *px = ln->obj;

	if (px->caps != PX_CAP_DEF && !(px->caps & cap))
		cfg_warn(ln, "'%s' ignored because %s '%s' has no %s capability.", kw->word, px->kind, px->name,
			 cap == PX_CAP_FE ? "frontend" : "backend");
}

static int px_parse_mode(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	if (cfg_no_more_args(ln, kw, 1))
		return -1;
	for (unsigned i = 0; i < PX_HEALTH; i++)
		if (strcmp(ln->args[1], px_mode_name[i]) == 0) {
			px->mode = i;
			return 0;
		}
	return cfg_err(ln, "unknown proxy mode '%s' ('tcp' and 'http' are supported).", ln->args[1]);
}

static int px_parse_balance(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;
	const char *w = ln->args[1];
	size_t n = strcspn(w, "(");

	px_no_effect(ln, kw, PX_CAP_BE);
	if (cfg_no_more_args(ln, kw, 1))
		return -1;
	for (unsigned i = 0; i < LB_COUNT; i++) {
		uint64_t draws;

		if (strlen(lb_name[i]) != n || strncmp(w, lb_name[i], n) != 0)
			continue;
		if (w[n] == '(') {
			const char *end = strchr(w, ')');

			if (i != LB_RANDOM || !end || end[1] ||
			    str_to_uint(str_n(w + n + 1, end - w - n - 1), &draws) || draws < 1 || draws > 100)
				break;
			px->random_draws = draws;
		}
		px->algo = i;
		return 0;
	}
	return cfg_err(ln, "'balance' supports 'roundrobin', 'static-rr', 'leastconn', 'source', 'first' and "
			   "'random[(<draws>)]' (got '%s').", w);
}

static int px_parse_retry_on(struct cfg_line *ln, const struct cfg_kw *kw)
{
	static const struct {
		const char *word;
		uint32_t bits;
	} words[] = {
		{ "none", RETRY_NONE }, { "conn-failure", RETRY_CONN_FAILURE }, { "empty-response", RETRY_EMPTY },
		{ "junk-response", RETRY_JUNK }, { "response-timeout", RETRY_RES_TIMEOUT },
		{ "0rtt-rejected", RETRY_0RTT },
		{ "all-retryable-errors", RETRY_CONN_FAILURE | RETRY_EMPTY | RETRY_JUNK | RETRY_RES_TIMEOUT |
		  RETRY_0RTT | RETRY_STATUS(5) | RETRY_STATUS(7) | RETRY_STATUS(8) | RETRY_STATUS(9) },
	};
	struct px_cfg *px = ln->obj;

	px_no_effect(ln, kw, PX_CAP_BE);
	if (ln->argc < 2)
		return cfg_err(ln, "'retry-on' expects at least one argument.");
	px->retry_on = RETRY_SET;
	for (int i = 1; i < ln->argc; i++) {
		uint32_t bits = 0;

		for (size_t k = 0; k < ARRAY_SIZE(words); k++)
			if (strcmp(ln->args[i], words[k].word) == 0)
				bits = words[k].bits;
		for (unsigned k = 0; k < nb_retry_status; k++)
			if (atoi(ln->args[i]) == retry_status[k] && strlen(ln->args[i]) == 3)
				bits = RETRY_STATUS(k);
		if (!bits)
			return cfg_err(ln, "'retry-on' : unknown keyword '%s'.", ln->args[i]);
		if (bits == RETRY_NONE && ln->argc > 2)
			return cfg_err(ln, "'retry-on' : 'none' stands alone.");
		px->retry_on |= bits;
	}
	return 0;
}

static int px_parse_log(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;
	char *err = NULL;

	if (ln->no_prefix) {
		if (ln->argc > 1)
			return cfg_err(ln, "'no log' expects no argument.");
		list_init(&px->log.targets);
		px->log.global = NULL;
		return 0;
	}
	if (ln->argc == 2 && strcmp(ln->args[1], "global") == 0) {
		px->log.global = &ln->ep->global.log;
		return 0;
	}
	if (log_target_parse(&px->log, &ln->ep->arena, ln->argc - 1, ln->args + 1, &err) < 0)
		return cfg_err_take(ln, "'log'", &err);
	return 0;
}

static int px_parse_log_format(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	if (ln->argc != 2)
		return cfg_err(ln, "'log-format' expects one argument: put the format in quotes.");
	px_no_effect(ln, kw, PX_CAP_FE);
	if (px->lf_text && (px->opt_set & (PX_OPT_HTTPLOG | PX_OPT_TCPLOG)))
		cfg_warn(ln, "'log-format' overrides previous log format or option.");
	px->lf_text = cfg_strdup(ln, ln->args[1]);
	px->lf_file = ln->file;
	px->lf_line = ln->line;
	px->opt &= ~(PX_OPT_HTTPLOG | PX_OPT_TCPLOG | PX_OPT_CLFLOG);
	return 0;
}

static int px_parse_log_tag(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	if (ln->argc != 2)
		return cfg_err(ln, "'log-tag' expects a tag.");
	px->log.tag = cfg_strdup(ln, ln->args[1]);
	return 0;
}

static int px_parse_default_backend(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	px_no_effect(ln, kw, PX_CAP_FE);
	if (ln->argc < 2)
		return cfg_err(ln, "'default_backend' expects a backend name.");
	if (cfg_no_more_args(ln, kw, 1))
		return -1;
	px->def_be_name = cfg_strdup(ln, ln->args[1]);
	px->def_be_file = ln->file;
	px->def_be_line = ln->line;
	return 0;
}

static int px_parse_timeout_deprecated(struct cfg_line *ln, const struct cfg_kw *kw)
{
	return cfg_err(ln, "the '%s' directive is not supported, use 'timeout %s'.", kw->word,
		       kw->word[1] == 'l' ? "client" : kw->word[1] == 'r' ? "server" : "connect");
}

static int px_parse_disabled(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	px->disabled = kw->word[0] == 'd';
	return cfg_no_more_args(ln, kw, 0);
}

static int px_parse_nothing(struct cfg_line *ln, const struct cfg_kw *kw)
{
	return 0;
}

static int px_parse_http_reuse(struct cfg_line *ln, const struct cfg_kw *kw)
{
	static const char *const known[] = { "never", "safe", "aggressive", "always" };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(ln->args[1], known[i]) == 0)
			return i == 0 ? 0 : cfg_warn(ln, "'http-reuse %s' acts as 'never': idle server connections "
							 "stay with their client's connection.", known[i]);
	return cfg_err(ln, "'http-reuse' only supports 'never', 'safe', 'aggressive', 'always'.");
}

#define TIMEOUT(w, field, cap_help)                                                                          \
	{ .word = "timeout " w, .sections = CFG_PROXIES, .type = CFG_T_TIME, .offset = offsetof(struct px_cfg, field), \
	  .usage = "timeout " w " <time>", .help = cap_help }

static struct cfg_kw px_kws[] = {
	{ .word = "mode", .sections = CFG_PROXIES, .parse = px_parse_mode, .usage = "mode tcp|http",
	  .help = "what is carried" },
	{ .word = "balance", .sections = CFG_DEFAULTS | CFG_BACKEND | CFG_LISTEN | CFG_FRONTEND,
	  .parse = px_parse_balance, .usage = "balance <algorithm>", .help = "how a server is chosen" },
	{ .word = "retries", .sections = CFG_PROXIES, .type = CFG_T_UINT,
	  .offset = offsetof(struct px_cfg, retries), .max = 1000000, .usage = "retries <n>",
	  .help = "attempts after the first one failed" },
	{ .word = "retry-on", .sections = CFG_PROXIES, .parse = px_parse_retry_on, .usage = "retry-on <failure>...",
	  .help = "failures after which a request is sent again" },
	{ .word = "maxconn", .sections = CFG_PROXIES, .type = CFG_T_UINT,
	  .offset = offsetof(struct px_cfg, maxconn), .usage = "maxconn <n>",
	  .help = "connections of a frontend; past it no new ones are accepted" },
	{ .word = "backlog", .sections = CFG_DEFAULTS | CFG_FRONTEND | CFG_LISTEN, .type = CFG_T_UINT,
	  .offset = offsetof(struct px_cfg, backlog), .usage = "backlog <n>", .help = "kernel's accept queue" },
	{ .word = "default_backend", .sections = CFG_PROXIES, .parse = px_parse_default_backend,
	  .usage = "default_backend <name>", .help = "the backend when no use_backend matches" },
	{ .word = "log", .sections = CFG_PROXIES, .parse = px_parse_log, .can_no = true,
	  .usage = "log global | <address> [len <n>] [format <f>] <facility> [<max level> [<min level>]]",
	  .help = "where log lines go" },
	{ .word = "log-format", .sections = CFG_PROXIES, .parse = px_parse_log_format, .usage = "log-format <fmt>",
	  .help = "one line for each connection or request" },
	{ .word = "log-tag", .sections = CFG_PROXIES, .parse = px_parse_log_tag, .usage = "log-tag <text>",
	  .help = "program name in log lines" },
	{ .word = "monitor-uri", .sections = CFG_DEFAULTS | CFG_FRONTEND | CFG_LISTEN, .type = CFG_T_STR,
	  .offset = offsetof(struct px_cfg, monitor_uri), .usage = "monitor-uri <uri>",
	  .help = "requests for it are answered 200 here, and not logged" },
	{ .word = "disabled", .sections = CFG_PROXIES, .parse = px_parse_disabled, .usage = "disabled",
	  .help = "the section is read but does not run" },
	{ .word = "enabled", .sections = CFG_PROXIES, .parse = px_parse_disabled, .usage = "enabled",
	  .help = "undoes disabled" },
	{ .word = "description", .sections = CFG_PROXIES, .parse = px_parse_nothing, .usage = "description <text>",
	  .help = "a comment" },
	{ .word = "http-reuse", .sections = CFG_PROXIES, .parse = px_parse_http_reuse, .usage = "http-reuse never",
	  .help = "sharing of idle server connections between clients" },
	TIMEOUT("client", to_client, "silence of a client that has something to send or to take"),
	TIMEOUT("server", to_server, "silence of a server"),
	TIMEOUT("connect", to_connect, "until a server accepts a connection"),
	TIMEOUT("queue", to_queue, "waiting for a server; default: timeout connect"),
	TIMEOUT("http-request", to_http_req, "until a request's head is there"),
	TIMEOUT("http-keep-alive", to_ka, "between two requests; default: http-request, then client"),
	TIMEOUT("check", to_check, "of a health check once connected; default: inter"),
	TIMEOUT("tunnel", to_tunnel, "silence of both ends once opaque; replaces client and server"),
	TIMEOUT("client-fin", to_client_fin, "silence of a client with one direction ended"),
	TIMEOUT("server-fin", to_server_fin, "silence of a server with one direction ended"),
	{ .word = "clitimeout", .sections = CFG_PROXIES, .parse = px_parse_timeout_deprecated },
	{ .word = "srvtimeout", .sections = CFG_PROXIES, .parse = px_parse_timeout_deprecated },
	{ .word = "contimeout", .sections = CFG_PROXIES, .parse = px_parse_timeout_deprecated },
	{ 0 },
};

INITCALL px_cfg_register(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(px_sections); i++)
		cfg_register_section(&px_sections[i]);
	cfg_register_keywords(px_kws);
}
