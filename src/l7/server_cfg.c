/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * server_cfg.c - `server` and `default-server` lines
 *
 *   server <name> <address>[:<port>] | unix@<path> | app@<name> | promoted@ [<param> ...]
 *
 * A server begins as a copy of the section's default-server settings.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "l7/cfg_priv.h"
#include "l7/tls.h"

struct srv_param {
	const char *word;
	unsigned args;
	int (*parse)(struct cfg_line *ln, struct srv_cfg *s, char **args);
};

void srv_cfg_defaults(struct srv_cfg *s)
{
	*s = (struct srv_cfg){ .inter_ms = 2000, .rise = 2, .fall = 3, .weight = 1 };
}

/* ---- parameters ---- */

#define SRV_FLAG(name, field, value)                                                                         \
	static int srv_p_##name(struct cfg_line *ln, struct srv_cfg *s, char **args)                         \
	{                                                                                                    \
		s->field = value;                                                                            \
		return 0;                                                                                    \
	}
SRV_FLAG(check, check, true)
SRV_FLAG(no_check, check, false)
SRV_FLAG(backup, backup, true)
SRV_FLAG(no_backup, backup, false)
SRV_FLAG(non_stick, non_stick, true)
SRV_FLAG(stick, non_stick, false)
SRV_FLAG(disabled, disabled, true)
SRV_FLAG(enabled, disabled, false)
SRV_FLAG(ssl, ssl, true)
SRV_FLAG(no_ssl, ssl, false)

#define SRV_STR(name, field)                                                                                 \
	static int srv_p_##name(struct cfg_line *ln, struct srv_cfg *s, char **args)                         \
	{                                                                                                    \
		s->field = cfg_strdup(ln, args[1]);                                                          \
		return s->field ? 0 : -1;                                                                    \
	}
SRV_STR(verifyhost, verifyhost)
SRV_STR(alpn, alpn)
SRV_STR(ciphers, ciphers)

#define SRV_TIME(name, field)                                                                                \
	static int srv_p_##name(struct cfg_line *ln, struct srv_cfg *s, char **args)                         \
	{                                                                                                    \
		if (cfg_time_arg(ln, args[0], args[1], &s->field) < 0)                                       \
			return -1;                                                                           \
		return s->field ? 0 : cfg_err(ln, "'server' : '%s' must not be 0.", args[0]);                \
	}
SRV_TIME(inter, inter_ms)
SRV_TIME(fastinter, fastinter_ms)
SRV_TIME(downinter, downinter_ms)

#define SRV_UINT(name, field, min, max)                                                                      \
	static int srv_p_##name(struct cfg_line *ln, struct srv_cfg *s, char **args)                         \
	{                                                                                                    \
		uint64_t v;                                                                                  \
                                                                                                             \
		if (cfg_parse_uint(args[1], &v) || v + 1 < (min) + 1u || v > (max))                          \
			return cfg_err(ln, "'server' : '%s' expects a number from %d to %d, not '%s'.",      \
				       args[0], min, max, args[1]);                                          \
		s->field = (unsigned)v;                                                                      \
		return 0;                                                                                    \
	}
SRV_UINT(rise, rise, 1, 1000000)
SRV_UINT(fall, fall, 1, 1000000)
SRV_UINT(weight, weight, 0, 256)
SRV_UINT(maxconn, maxconn, 0, 100000000)
SRV_UINT(port, check_port, 1, 65535)

static int srv_p_addr(struct cfg_line *ln, struct srv_cfg *s, char **args)
{
	if (addr_parse_ip(&s->check_addr, str_c(args[1])) < 0)
		return cfg_err(ln, "'server' : 'addr' expects an IP address, not '%s'.", args[1]);
	return 0;
}

static char *srv_path(struct cfg_line *ln, const char *base, const char *path)
{
	return base && path[0] != '/' ? arena_printf(&ln->ep->arena, "%s/%s", base, path) : cfg_strdup(ln, path);
}

static int srv_p_ca_file(struct cfg_line *ln, struct srv_cfg *s, char **args)
{
	s->ca_file = args[1][0] == '@' ? cfg_strdup(ln, args[1]) : srv_path(ln, ln->ep->global.ca_base, args[1]);
	return s->ca_file ? 0 : -1;
}

static int srv_p_crt(struct cfg_line *ln, struct srv_cfg *s, char **args)
{
	s->crt = srv_path(ln, ln->ep->global.crt_base, args[1]);
	return s->crt ? 0 : -1;
}

static int srv_p_verify(struct cfg_line *ln, struct srv_cfg *s, char **args)
{
	if (strcmp(args[1], "none") != 0 && strcmp(args[1], "required") != 0)
		return cfg_err(ln, "'server' : unknown verify method '%s', only 'none' and 'required' are supported.",
			       args[1]);
	s->verify_none = args[1][0] == 'n';
	return 0;
}

static int srv_p_sni(struct cfg_line *ln, struct srv_cfg *s, char **args)
{
	char *err = NULL;

	s->sni_text = cfg_strdup(ln, args[1]);
	s->sni = sample_parse(args[1], NULL, SMP_AT_L4 | SMP_AT_REQ | SMP_AT_HREQ | SMP_AT_HREQP, &ln->ep->arena, &err);
	if (!s->sni)
		return cfg_err_take(ln, "'server' : 'sni'", &err);
	return 0;
}

static int srv_p_ssl_ver(struct cfg_line *ln, struct srv_cfg *s, char **args)
{
	unsigned v = tls_version_parse(args[1]);

	if (!v)
		return cfg_err(ln, "'server' : '%s' expects 'TLSv1.0' to 'TLSv1.3', not '%s'.", args[0], args[1]);
	if (strcmp(args[0], "ssl-min-ver") == 0)
		s->ssl_min = v;
	else
		s->ssl_max = v;
	return 0;
}

static int srv_p_check_ssl(struct cfg_line *ln, struct srv_cfg *s, char **args)
{
	return cfg_warn(ln, "'server' : '%s' has no effect: checks connect without TLS.", args[0]);
}

static int srv_p_ignored(struct cfg_line *ln, struct srv_cfg *s, char **args)
{
	return cfg_warn(ln, "'server' : '%s' has no effect and is ignored.", args[0]);
}

static int srv_p_refused(struct cfg_line *ln, struct srv_cfg *s, char **args)
{
	return cfg_err(ln, "'server' : '%s' is not supported by this version.", args[0]);
}

static const struct srv_param srv_params[] = {
	{ "check", 0, srv_p_check }, { "no-check", 0, srv_p_no_check }, { "inter", 1, srv_p_inter },
	{ "fastinter", 1, srv_p_fastinter }, { "downinter", 1, srv_p_downinter }, { "rise", 1, srv_p_rise },
	{ "fall", 1, srv_p_fall }, { "weight", 1, srv_p_weight }, { "backup", 0, srv_p_backup },
	{ "no-backup", 0, srv_p_no_backup }, { "disabled", 0, srv_p_disabled }, { "enabled", 0, srv_p_enabled },
	{ "maxconn", 1, srv_p_maxconn }, { "addr", 1, srv_p_addr }, { "port", 1, srv_p_port },
	{ "ssl", 0, srv_p_ssl }, { "no-ssl", 0, srv_p_no_ssl }, { "verify", 1, srv_p_verify },
	{ "ca-file", 1, srv_p_ca_file }, { "crt", 1, srv_p_crt }, { "sni", 1, srv_p_sni },
	{ "verifyhost", 1, srv_p_verifyhost }, { "alpn", 1, srv_p_alpn }, { "ciphers", 1, srv_p_ciphers },
	{ "ssl-min-ver", 1, srv_p_ssl_ver }, { "ssl-max-ver", 1, srv_p_ssl_ver },
	{ "check-ssl", 0, srv_p_check_ssl }, { "no-check-ssl", 0, srv_p_check_ssl },
	{ "check-sni", 1, srv_p_check_ssl },
	/* HAProxy's, no harm without */
	{ "id", 1, srv_p_ignored }, { "minconn", 1, srv_p_ignored }, { "maxqueue", 1, srv_p_ignored },
	{ "slowstart", 1, srv_p_ignored }, { "pool-max-conn", 1, srv_p_ignored }, { "tfo", 0, srv_p_ignored },
	{ "pool-low-conn", 1, srv_p_ignored }, { "pool-purge-delay", 1, srv_p_ignored },
	{ "max-reuse", 1, srv_p_ignored }, { "on-error", 1, srv_p_ignored }, { "observe", 1, srv_p_ignored },
	{ "error-limit", 1, srv_p_ignored }, { "on-marked-down", 1, srv_p_ignored },
	{ "on-marked-up", 1, srv_p_ignored }, { "init-addr", 1, srv_p_ignored }, { "no-ssl-reuse", 0, srv_p_ignored },
	{ "no-sslv3", 0, srv_p_ignored }, { "no-tls-tickets", 0, srv_p_ignored }, { "log-proto", 1, srv_p_ignored },
	/* HAProxy's, and something would be missing */
	{ "cookie", 1, srv_p_refused }, { "redir", 1, srv_p_refused }, { "track", 1, srv_p_refused },
	{ "send-proxy", 0, srv_p_refused }, { "send-proxy-v2", 0, srv_p_refused },
	{ "send-proxy-v2-ssl", 0, srv_p_refused }, { "send-proxy-v2-ssl-cn", 0, srv_p_refused },
	{ "check-send-proxy", 0, srv_p_refused }, { "agent-check", 0, srv_p_refused },
	{ "agent-port", 1, srv_p_refused }, { "agent-addr", 1, srv_p_refused }, { "agent-inter", 1, srv_p_refused },
	{ "resolvers", 1, srv_p_refused }, { "source", 1, srv_p_refused }, { "proto", 1, srv_p_refused },
	{ "crl-file", 1, srv_p_refused }, { "namespace", 1, srv_p_refused }, { "socks4", 1, srv_p_refused },
	{ "ws", 1, srv_p_refused }, { "check-proto", 1, srv_p_refused }, { "check-alpn", 1, srv_p_refused },
	{ "check-via-socks4", 0, srv_p_refused }, { "non-stick", 0, srv_p_non_stick }, { "stick", 0, srv_p_stick },
};

static const struct srv_param *srv_param_find(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(srv_params); i++)
		if (strcmp(srv_params[i].word, word) == 0)
			return &srv_params[i];
	return NULL;
}

static int srv_parse_params(struct cfg_line *ln, struct srv_cfg *s, int at)
{
	const char *names[ARRAY_SIZE(srv_params)], *near;

	while (at < ln->argc) {
		const struct srv_param *p = srv_param_find(ln->args[at]);

		if (!p) {
			for (size_t i = 0; i < ARRAY_SIZE(srv_params); i++)
				names[i] = srv_params[i].word;
			near = diag_nearest_of(ln->args[at], names, ARRAY_SIZE(names));
			return cfg_err(ln, "'%s' : unknown keyword '%s'" DIAG_MAYBE, ln->args[0], ln->args[at],
				       DIAG_MAYBE_ARG(near));
		}
		if (at + (int)p->args >= ln->argc)
			return cfg_err(ln, "'%s' : '%s' : missing argument.", ln->args[0], p->word);
		if (p->parse(ln, s, &ln->args[at]) < 0)
			return -1;
		at += 1 + p->args;
	}
	return 0;
}

/* ---- addresses ---- */

/* A host name: looked up now, as HAProxy's default init-addr does. "host:port". */
static int srv_parse_name(struct cfg_line *ln, struct srv_cfg *s, const char *text)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *res = NULL;
	const char *colon = strrchr(text, ':');
	char *host = arena_strdup(&ln->ep->arena, str_n(text, colon ? (size_t)(colon - text) : strlen(text)));
	int rc = host ? getaddrinfo(host, colon ? colon + 1 : NULL, &hints, &res) : EAI_MEMORY;

	if (rc)
		return cfg_err(ln, "'server %s' : could not resolve address '%s': %s.", s->name, host ? host : text,
			       gai_strerror(rc));
	rc = addr_from_sa(&s->addr, res->ai_addr);
	freeaddrinfo(res);
	return rc < 0 ? cfg_err(ln, "'server %s' : '%s' is not an IP address.", s->name, text) : 0;
}

static bool srv_is_hostname(const char *text)
{
	size_t host = strcspn(text, ":");
	bool alpha = false;

	if (strchr(text, '@') || text[0] == '[' || strchr(text, '/') || strchr(text + host + (text[host] == ':'), ':'))
		return false;
	for (size_t i = 0; i < host; i++)
		alpha |= (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z';
	return alpha;
}

static int srv_parse_inet(struct cfg_line *ln, struct srv_cfg *s, const char *text)
{
	struct cfg_addr a;
	char *err = NULL;

	if (srv_is_hostname(text))
		return srv_parse_name(ln, s, text);
	if (cfg_parse_addr(text, &a, &err) < 0) {
		char *what = arena_printf(&ln->ep->arena, "'server %s'", s->name);

		return cfg_err_take(ln, what ? what : "'server'", &err);
	}
	if (a.kind == CFG_ADDR_UNIX || a.kind == CFG_ADDR_ABNS) {
		s->kind = SRV_ADDR_UNIX;
		s->path = arena_printf(&ln->ep->arena, "%s%s", a.kind == CFG_ADDR_ABNS ? "@" : "", a.path);
		return s->path ? 0 : cfg_err(ln, "out of memory");
	}
	if (a.kind != CFG_ADDR_INET || a.port_last)
		return cfg_err(ln, "'server %s' : '%s' is not an address to connect to.", s->name, text);
	s->addr = a.addr;
	return 0;
}

static int srv_parse_addr(struct cfg_line *ln, struct px_cfg *px, struct srv_cfg *s, const char *text)
{
	s->addr_text = cfg_strdup(ln, text);
	s->kind = SRV_ADDR_INET;
	s->addr = s->check_addr = (struct addr){ 0 };
	if (strncmp(text, "app@", 4) == 0) {
		s->kind = SRV_ADDR_APP;
		s->app = cfg_strdup(ln, text + 4);
		return cfg_name_ok(text + 4) ? 0 : cfg_err(ln, "'server %s' : '%s' : an application's name must follow 'app@'.",
							  s->name, text);
	}
	if (strcmp(text, "promoted@") == 0) {
		if (px->promoted_srv)
			return cfg_err(ln, "'server %s promoted@' : '%s' is it already.", s->name, px->promoted_srv->name);
		s->kind = SRV_ADDR_PROMOTED;
		px->promoted_srv = s;
		return 0;
	}
	return srv_parse_inet(ln, s, text);
}

static struct srv_cfg *srv_find_cfg(struct px_cfg *px, const char *name)
{
	struct srv_cfg *s;

	list_for_each(s, &px->servers, node)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

static int px_parse_server(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;
	struct srv_cfg *s, *dup;

	if (ln->argc < 3)
		return cfg_err(ln, "'server' expects <name> and <addr>[:<port>] as arguments.");
	if (!cfg_name_ok(ln->args[1]))
		return cfg_err(ln, "character not permitted in the server name '%s'.", ln->args[1]);
	if ((dup = srv_find_cfg(px, ln->args[1])))
		return cfg_err(ln, "'server %s' : there is one of this name already (line %d).", dup->name, dup->line);
	s = cfg_zalloc(ln, sizeof(*s));
	if (!s)
		return cfg_err(ln, "out of memory");
	*s = px->def_server;
	s->name = cfg_strdup(ln, ln->args[1]);
	s->file = ln->file;
	s->line = ln->line;
	s->id = ++px->nb_servers;
	list_add_tail(&px->servers, &s->node); /* even if the rest is wrong: its name is known */
	if (srv_parse_addr(ln, px, s, ln->args[2]) < 0)
		return -1;
	return srv_parse_params(ln, s, 3);
}

static int px_parse_default_server(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	if (ln->argc < 2)
		return cfg_err(ln, "'default-server' expects at least one parameter.");
	return srv_parse_params(ln, &px->def_server, 1);
}

/* http-check expect status <n>[-<m>] | http-check send [meth <m>] [uri <u>] [hdr Host <h>] */
static int http_check_expect(struct cfg_line *ln, struct px_cfg *px)
{
	unsigned lo, hi;
	int n;

	if (strcmp(ln->args[2], "status") != 0)
		return cfg_err(ln, "'http-check expect' : only 'status <code>[-<code>]' is supported.");
	n = sscanf(ln->args[3], "%3u-%3u", &lo, &hi);
	if (n == 1)
		hi = lo;
	if (n < 1 || lo < 100 || hi > 599 || hi < lo)
		return cfg_err(ln, "'http-check expect status' : '%s' is not a status or range of them.", ln->args[3]);
	px->chk_status_min = lo;
	px->chk_status_max = hi;
	return 0;
}

static int http_check_send(struct cfg_line *ln, struct px_cfg *px)
{
	for (int i = 2; i < ln->argc; i++) {
		if (strcmp(ln->args[i], "meth") == 0 && http_token_ok(str_c(ln->args[i + 1])))
			px->chk_method = cfg_strdup(ln, ln->args[++i]);
		else if (strcmp(ln->args[i], "uri") == 0 && ln->args[i + 1][0] == '/')
			px->chk_uri = cfg_strdup(ln, ln->args[++i]);
		else if (strcmp(ln->args[i], "ver") == 0 && *ln->args[i + 1])
			i++; /* what is sent is a version of its own */
		else if (strcmp(ln->args[i], "hdr") == 0 && strcasecmp(ln->args[i + 1], "host") == 0 && i + 2 < ln->argc)
			px->chk_host = cfg_strdup(ln, ln->args[i + 2]), i += 2;
		else
			return cfg_err(ln, "'http-check send' : supports 'meth <m>', 'uri <u>', 'ver <v>', 'hdr Host "
					   "<name>' (got '%s').", ln->args[i]);
	}
	return 0;
}

static int px_parse_http_check(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	if (strcmp(ln->args[1], "expect") == 0)
		return http_check_expect(ln, px);
	if (strcmp(ln->args[1], "send") == 0)
		return http_check_send(ln, px);
	return cfg_err(ln, "'http-check' supports 'expect' and 'send' (got '%s').", ln->args[1]);
}

void srv_cfg_resolve(struct px_cfg *px, struct srv_cfg *s, struct diag *d)
{
	char *err = NULL;

	if (s->kind == SRV_ADDR_APP && !epoch_find(px->ep, "app", s->app)) {
		const char *near = epoch_nearest(px->ep, "app", s->app);

		diag_error(d, s->file, s->line, "'server %s' : no application named '%s'" DIAG_MAYBE, s->name, s->app,
			   DIAG_MAYBE_ARG(near));
	}
	if (s->kind == SRV_ADDR_INET && s->check && !s->addr.port && !s->check_port)
		diag_error(d, s->file, s->line, "'server %s' has neither service port nor check port.", s->name);
	if (!s->ssl || !(px->caps & PX_CAP_BE))
		return;
	s->tls = tls_server_new(s, &err);
	if (!s->tls)
		diag_error(d, s->file, s->line, "'server %s' : %s", s->name, err ? err : "out of memory");
	free(err);
}

static struct cfg_kw server_kws[] = {
	{ .word = "server", .sections = CFG_BACKEND | CFG_LISTEN, .parse = px_parse_server,
	  .usage = "server <name> <address> [<param>...]", .help = "where requests go" },
	{ .word = "default-server", .sections = CFG_DEFAULTS | CFG_BACKEND | CFG_LISTEN,
	  .parse = px_parse_default_server, .usage = "default-server <param>...",
	  .help = "settings of the servers that follow" },
	{ .word = "http-check", .sections = CFG_DEFAULTS | CFG_BACKEND | CFG_LISTEN, .parse = px_parse_http_check,
	  .usage = "http-check expect status <n>[-<m>] | send [meth <m>] [uri <u>] [hdr Host <name>]",
	  .help = "what option httpchk asks and expects" },
	{ 0 },
};

INITCALL px_server_register(void)
{
	cfg_register_keywords(server_kws);
}
