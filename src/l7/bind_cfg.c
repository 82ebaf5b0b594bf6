/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * bind_cfg.c - `bind` lines: where a frontend listens, and how
 *
 *   bind [<address>]:<port>[-<last>] [, ...] [<param> ...]
 *   bind fd@<n> | unix@<path> | abns@<name> | /<path> [<param> ...]
 *   bind promoted@ [<param> ...]
 *
 * A line with several addresses or a range of ports makes one bind_cfg each, which
 * share everything else.
 */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "l7/cfg_priv.h"
#include "l7/tls.h"

#define BIND_MAX_PORTS 4096

struct bind_param {
	const char *word;
	unsigned args;
	int (*parse)(struct cfg_line *ln, struct bind_cfg *b, char **args);
};

/* ---- parameters ---- */

static int bind_p_ssl(struct cfg_line *ln, struct bind_cfg *b, char **args)
{
	b->ssl = true;
	return 0;
}

static int bind_p_crt(struct cfg_line *ln, struct bind_cfg *b, char **args)
{
	char **list = cfg_zalloc(ln, (b->nb_crts + 1) * sizeof(*list));
	const char *base = ln->ep->global.crt_base;

	if (!list)
		return cfg_err(ln, "out of memory");
	if (b->nb_crts)
		memcpy(list, b->crts, b->nb_crts * sizeof(*list));
	list[b->nb_crts++] = base && args[1][0] != '/' ? arena_printf(&ln->ep->arena, "%s/%s", base, args[1])
						       : cfg_strdup(ln, args[1]);
	b->crts = list;
	return 0;
}

#define BIND_STR(field)                                                                                      \
	static int bind_p_##field(struct cfg_line *ln, struct bind_cfg *b, char **args)                      \
	{                                                                                                    \
		b->field = cfg_strdup(ln, args[1]);                                                          \
		return b->field ? 0 : -1;                                                                    \
	}
BIND_STR(alpn)
BIND_STR(ciphers)
BIND_STR(ciphersuites)
BIND_STR(name)
BIND_STR(interface)

static int bind_p_ca_file(struct cfg_line *ln, struct bind_cfg *b, char **args)
{
	const char *base = ln->ep->global.ca_base;

	b->ca_file = base && args[1][0] != '/' ? arena_printf(&ln->ep->arena, "%s/%s", base, args[1])
					       : cfg_strdup(ln, args[1]);
	return b->ca_file ? 0 : -1;
}

static int bind_p_verify(struct cfg_line *ln, struct bind_cfg *b, char **args)
{
	static const char *const words[] = { "none", "optional", "required" };

	for (int i = 0; i < 3; i++)
		if (strcmp(args[1], words[i]) == 0) {
			b->verify = i;
			return 0;
		}
	return cfg_err(ln, "'bind' : unknown verify method '%s', only 'none', 'optional' and 'required' are supported.",
		       args[1]);
}

#define BIND_FLAG(field)                                                                                     \
	static int bind_p_##field(struct cfg_line *ln, struct bind_cfg *b, char **args)                      \
	{                                                                                                    \
		b->field = true;                                                                             \
		return 0;                                                                                    \
	}
BIND_FLAG(strict_sni)
BIND_FLAG(transparent)
BIND_FLAG(v4v6)
BIND_FLAG(v6only)
BIND_FLAG(defer_accept)

static int bind_uint(struct cfg_line *ln, char **args, uint64_t max, unsigned *out)
{
	uint64_t v;

	if (cfg_parse_uint(args[1], &v) || v > max)
		return cfg_err(ln, "'bind' : '%s' expects a number up to %llu, not '%s'.", args[0],
			       (unsigned long long)max, args[1]);
	*out = (unsigned)v;
	return 0;
}

static int bind_p_backlog(struct cfg_line *ln, struct bind_cfg *b, char **args)
{
	return bind_uint(ln, args, 1000000, &b->backlog);
}

static int bind_p_maxconn(struct cfg_line *ln, struct bind_cfg *b, char **args)
{
	return cfg_warn(ln, "'bind' : 'maxconn' has no effect here; use the section's 'maxconn'.");
}

static int bind_p_mode(struct cfg_line *ln, struct bind_cfg *b, char **args)
{
	char *end;

	b->mode = strtoul(args[1], &end, 8);
	b->has_mode = true;
	if (*end || b->mode > 07777)
		return cfg_err(ln, "'bind' : 'mode' expects an octal number, not '%s'.", args[1]);
	return 0;
}

static int bind_p_owner(struct cfg_line *ln, struct bind_cfg *b, char **args)
{
	struct passwd *pw;
	struct group *gr;

	if (args[0][0] == 'u') {
		if (strcmp(args[0], "uid") == 0)
			return bind_uint(ln, args, UINT32_MAX - 1, &b->uid);
		if (!(pw = getpwnam(args[1])))
			return cfg_err(ln, "'bind' : '%s' : unknown user name '%s'.", args[0], args[1]);
		b->uid = pw->pw_uid;
		return 0;
	}
	if (strcmp(args[0], "gid") == 0)
		return bind_uint(ln, args, UINT32_MAX - 1, &b->gid);
	if (!(gr = getgrnam(args[1])))
		return cfg_err(ln, "'bind' : '%s' : unknown group name '%s'.", args[0], args[1]);
	b->gid = gr->gr_gid;
	return 0;
}

static int bind_p_ssl_ver(struct cfg_line *ln, struct bind_cfg *b, char **args)
{
	unsigned v = tls_version_parse(args[1]);

	if (!v)
		return cfg_err(ln, "'bind' : '%s' expects 'TLSv1.0' to 'TLSv1.3', not '%s'.", args[0], args[1]);
	if (strcmp(args[0], "ssl-min-ver") == 0)
		b->ssl_min = v;
	else
		b->ssl_max = v;
	return 0;
}

static int bind_p_ignored(struct cfg_line *ln, struct bind_cfg *b, char **args)
{
	return cfg_warn(ln, "'bind' : '%s' has no effect and is ignored.", args[0]);
}

static int bind_p_refused(struct cfg_line *ln, struct bind_cfg *b, char **args)
{
	return cfg_err(ln, "'bind' : '%s' is not supported by this version.", args[0]);
}

static const struct bind_param bind_params[] = {
	{ "ssl", 0, bind_p_ssl }, { "crt", 1, bind_p_crt }, { "alpn", 1, bind_p_alpn },
	{ "ciphers", 1, bind_p_ciphers }, { "ciphersuites", 1, bind_p_ciphersuites },
	{ "ca-file", 1, bind_p_ca_file }, { "verify", 1, bind_p_verify }, { "strict-sni", 0, bind_p_strict_sni },
	{ "ssl-min-ver", 1, bind_p_ssl_ver }, { "ssl-max-ver", 1, bind_p_ssl_ver },
	{ "transparent", 0, bind_p_transparent }, { "name", 1, bind_p_name },
	{ "interface", 1, bind_p_interface }, { "v4v6", 0, bind_p_v4v6 }, { "v6only", 0, bind_p_v6only },
	{ "defer-accept", 0, bind_p_defer_accept }, { "backlog", 1, bind_p_backlog },
	{ "maxconn", 1, bind_p_maxconn }, { "mode", 1, bind_p_mode }, { "user", 1, bind_p_owner },
	{ "uid", 1, bind_p_owner }, { "group", 1, bind_p_owner }, { "gid", 1, bind_p_owner },
	/* HAProxy's, no harm without */
	{ "id", 1, bind_p_ignored }, { "nice", 1, bind_p_ignored }, { "process", 1, bind_p_ignored },
	{ "thread", 1, bind_p_ignored }, { "shards", 1, bind_p_ignored }, { "tfo", 0, bind_p_ignored },
	{ "mss", 1, bind_p_ignored }, { "tcp-ut", 1, bind_p_ignored }, { "ecdhe", 1, bind_p_ignored },
	{ "curves", 1, bind_p_ignored }, { "prefer-client-ciphers", 0, bind_p_ignored },
	{ "no-tls-tickets", 0, bind_p_ignored }, { "generate-certificates", 0, bind_p_refused },
	/* HAProxy's, and something would be missing */
	{ "accept-proxy", 0, bind_p_refused }, { "accept-netscaler-cip", 1, bind_p_refused },
	{ "expose-fd", 1, bind_p_ignored }, { "crt-list", 1, bind_p_refused }, { "proto", 1, bind_p_refused },
	{ "namespace", 1, bind_p_refused }, { "crl-file", 1, bind_p_refused }, { "allow-0rtt", 0, bind_p_refused },
	{ "force-tlsv12", 0, bind_p_refused }, { "force-tlsv13", 0, bind_p_refused },
	{ "no-sslv3", 0, bind_p_ignored }, { "no-tlsv10", 0, bind_p_refused }, { "no-tlsv11", 0, bind_p_refused },
	{ "no-tlsv12", 0, bind_p_refused }, { "no-tlsv13", 0, bind_p_refused },
};

static const struct bind_param *bind_param_find(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(bind_params); i++)
		if (strcmp(bind_params[i].word, word) == 0)
			return &bind_params[i];
	return NULL;
}

static int bind_parse_params(struct cfg_line *ln, struct bind_cfg *b, int at)
{
	const char *names[ARRAY_SIZE(bind_params)], *near;

	while (at < ln->argc) {
		const struct bind_param *p = bind_param_find(ln->args[at]);

		if (!p) {
			for (size_t i = 0; i < ARRAY_SIZE(bind_params); i++)
				names[i] = bind_params[i].word;
			near = diag_nearest_of(ln->args[at], names, ARRAY_SIZE(names));
			return cfg_err(ln, "'bind %s' : unknown keyword '%s'" DIAG_MAYBE, ln->args[1], ln->args[at],
				       DIAG_MAYBE_ARG(near));
		}
		if (at + (int)p->args >= ln->argc)
			return cfg_err(ln, "'bind %s' : '%s' : missing argument.", ln->args[1], p->word);
		if (p->parse(ln, b, &ln->args[at]) < 0)
			return -1;
		at += 1 + p->args;
	}
	return 0;
}

/* ---- addresses ---- */

static int bind_add(struct cfg_line *ln, const struct bind_cfg *tmpl, const struct cfg_addr *addr)
{
	struct bind_cfg *b = cfg_zalloc(ln, sizeof(*b));

	if (!b)
		return cfg_err(ln, "out of memory");
	*b = *tmpl;
	b->addr = *addr;
	b->addr.port_last = 0;
	list_add_tail(&b->px->binds, &b->node);
	return 0;
}

static int bind_add_address(struct cfg_line *ln, const struct bind_cfg *tmpl, const char *text)
{
	struct cfg_addr a;
	char *err = NULL;
	unsigned last;

	if (cfg_parse_addr(text, &a, &err) < 0)
		return cfg_err_take(ln, "'bind'", &err);
	if (a.kind != CFG_ADDR_INET)
		return bind_add(ln, tmpl, &a);
	if (!a.has_port || !a.addr.port)
		return cfg_err(ln, "'bind' : missing port number: '%s'.", text);
	last = a.port_last ? a.port_last : a.addr.port;
	if (last - a.addr.port >= BIND_MAX_PORTS)
		return cfg_err(ln, "'bind' : '%s' : more than %d ports.", text, BIND_MAX_PORTS);
	for (unsigned port = a.addr.port; port <= last; port++) {
		a.addr.port = port;
		if (bind_add(ln, tmpl, &a) < 0)
			return -1;
	}
	return 0;
}

static int bind_add_addresses(struct cfg_line *ln, const struct bind_cfg *tmpl, const char *list)
{
	struct str rest = str_c(list);

	while (rest.p) {
		struct str one = str_trim(str_cut(&rest, ','));
		char *text = arena_strdup(&ln->ep->arena, one);

		if (!text || !*text)
			return cfg_err(ln, "'bind' : missing address.");
		if (bind_add_address(ln, tmpl, text) < 0)
			return -1;
	}
	return 0;
}

static int bind_promoted(struct cfg_line *ln, const struct bind_cfg *tmpl)
{
	struct bind_cfg *b = cfg_zalloc(ln, sizeof(*b));

	if (!b)
		return cfg_err(ln, "out of memory");
	if (tmpl->px->promoted)
		return cfg_err(ln, "'bind promoted@' : given before (%s:%d).", tmpl->px->promoted->file,
			       tmpl->px->promoted->line);
	*b = *tmpl;
	b->promoted = true;
	tmpl->px->promoted = b;
	return 0;
}

static int px_parse_bind(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;
	struct bind_cfg tmpl = { .px = px, .file = ln->file, .line = ln->line, .uid = -1u, .gid = -1u };

	if (ln->argc < 2)
		return cfg_err(ln, "'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments.");
	if (bind_parse_params(ln, &tmpl, 2) < 0)
		return -1;
	list_init(&tmpl.node);
	if (strcmp(ln->args[1], "promoted@") == 0)
		return bind_promoted(ln, &tmpl);
	return bind_add_addresses(ln, &tmpl, ln->args[1]);
}

/* ---- when everything is read ---- */

static int bind_resolve_tls(struct bind_cfg *b, struct diag *d)
{
	char *err = NULL;

	if (!b->ssl) {
		if (b->nb_crts || b->alpn || b->strict_sni)
			diag_warn(d, b->file, b->line, "'bind' : 'crt', 'alpn' and 'strict-sni' have no effect without 'ssl'.");
		return 0;
	}
	if (!b->nb_crts) {
		diag_error(d, b->file, b->line, "'bind' : 'ssl' needs at least one certificate ('crt <file>').");
		return -1;
	}
	b->tls = tls_bind_new(b, &err);
	if (!b->tls) {
		diag_error(d, b->file, b->line, "'bind' : %s", err ? err : "out of memory");
		free(err);
		return -1;
	}
	return 0;
}

static bool bind_same(const struct bind_cfg *x, const struct bind_cfg *y)
{
	if (x->addr.kind != y->addr.kind || x->transparent != y->transparent ||
	    strcmp(x->interface ? x->interface : "", y->interface ? y->interface : "") != 0)
		return false;
	switch (x->addr.kind) {
	case CFG_ADDR_INET: return addr_eq(&x->addr.addr, &y->addr.addr);
	case CFG_ADDR_FD: return x->addr.fd == y->addr.fd;
	default: return strcmp(x->addr.path, y->addr.path) == 0;
	}
}

/* One listener has one owner; HAProxy would open the address twice and spread connections over both. */
static void bind_check_taken(struct px_cfg *px, struct bind_cfg *b, struct diag *d)
{
	struct px_cfg *o;
	struct bind_cfg *x;

	if (b->promoted || px->disabled)
		return;
	list_for_each(o, &l7_cfg_of(px->ep)->proxies, part_node) {
		if (o->disabled)
			continue;
		list_for_each(x, &o->binds, node) {
			if (x == b)
				return;
			if (!bind_same(x, b))
				continue;
			diag_warn(d, b->file, b->line, "'bind' : the address of %s '%s' at %s:%d once more: all connections come "
				  "here, none go there.", o->kind, o->name, x->file, x->line);
			return;
		}
	}
}

void bind_cfg_resolve(struct px_cfg *px, struct bind_cfg *b, struct diag *d)
{
	const struct bind_cfg *prev = b->promoted || b->node.prev == &px->binds
					  ? NULL : list_entry(b->node.prev, struct bind_cfg, node);

	bind_check_taken(px, b, d);
	if (prev && prev->line == b->line && prev->file == b->file && prev->ssl) {
		b->tls = prev->tls ? tls_bind_get(prev->tls) : NULL; /* of the same line: one context */
		return;
	}
	bind_resolve_tls(b, d);
}

static struct cfg_kw bind_kws[] = {
	{ .word = "bind", .sections = CFG_FRONTEND | CFG_LISTEN, .parse = px_parse_bind,
	  .usage = "bind [<address>]:<port>[-<last>] | fd@<n> | <path> | promoted@ [<param>...]",
	  .help = "where connections are taken" },
	{ 0 },
};

INITCALL px_bind_register(void)
{
	cfg_register_keywords(bind_kws);
}
