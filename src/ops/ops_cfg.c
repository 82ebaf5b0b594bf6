/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ops_cfg.c - `stats socket` and `stats timeout` of the global section
 *
 * Sockets are known by their address as written. When an epoch is applied,
 * those that stay are kept with their descriptor (level, mode and owner may
 * change), new ones are opened in prepare() so that a failure changes nothing,
 * and the rest are closed in commit(). Connections that are open go on.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/bug.h"
#include "ops_priv.h"

static struct cfg_module ops_module;

static void *ops_cfg_create(struct epoch *ep)
{
	struct ops_cfg *oc = arena_alloc(&ep->arena, sizeof(*oc));

	if (oc)
		list_init(&oc->sockets);
	return oc;
}

/* ---- stats socket <address> [level L] [mode M] [user U|uid N] [group G|gid N] ---- */

struct ops_sock_kw {
	const char *word;
	int (*set)(struct ops_socket_cfg *sc, const char *arg);
	const char *what; /* of a bad argument */
};

static int ops_set_level(struct ops_socket_cfg *sc, const char *arg)
{
	static const char *const names[] = { [CLI_USER] = "user", [CLI_OPERATOR] = "operator", [CLI_ADMIN] = "admin" };
	size_t i;

	for (i = CLI_USER; i < ARRAY_SIZE(names); i++) {
		if (strcmp(arg, names[i]) == 0) {
			sc->level = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int ops_set_mode(struct ops_socket_cfg *sc, const char *arg)
{
	char *end;
	unsigned long v = strtoul(arg, &end, 8);

	if (!*arg || *end || v > 0777)
		return -EINVAL;
	sc->mode = v;
	return 0;
}

static int ops_set_id(int *id, const char *arg)
{
	uint64_t v;

	if (cfg_parse_uint(arg, &v) < 0 || v > INT32_MAX)
		return -EINVAL;
	*id = v;
	return 0;
}

static int ops_set_uid(struct ops_socket_cfg *sc, const char *arg)
{
	return ops_set_id(&sc->uid, arg);
}

static int ops_set_gid(struct ops_socket_cfg *sc, const char *arg)
{
	return ops_set_id(&sc->gid, arg);
}

static int ops_set_user(struct ops_socket_cfg *sc, const char *arg)
{
	struct passwd pw, *res = NULL;
	char tmp[4096];

	if (getpwnam_r(arg, &pw, tmp, sizeof(tmp), &res) != 0 || !res)
		return -ENOENT;
	sc->uid = pw.pw_uid;
	return 0;
}

static int ops_set_group(struct ops_socket_cfg *sc, const char *arg)
{
	struct group gr, *res = NULL;
	char tmp[4096];

	if (getgrnam_r(arg, &gr, tmp, sizeof(tmp), &res) != 0 || !res)
		return -ENOENT;
	sc->gid = gr.gr_gid;
	return 0;
}

/* accepted because operators have it in their files; what it asks for is so in any case */
static int ops_set_nothing(struct ops_socket_cfg *sc, const char *arg)
{
	return 0;
}

static const struct ops_sock_kw ops_sock_kws[] = {
	{ "level", ops_set_level, "user, operator or admin" },
	{ "mode", ops_set_mode, "an octal mode such as 660" },
	{ "uid", ops_set_uid, "a user id" },
	{ "gid", ops_set_gid, "a group id" },
	{ "user", ops_set_user, "an existing user" },
	{ "group", ops_set_group, "an existing group" },
	{ "expose-fd", ops_set_nothing, "listeners" },
	{ "name", ops_set_nothing, "a name" },
};

static const struct ops_sock_kw *ops_sock_kw_find(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(ops_sock_kws); i++)
		if (strcmp(word, ops_sock_kws[i].word) == 0)
			return &ops_sock_kws[i];
	return NULL;
}

static int PRINTF_LIKE(2, 3) ops_socket_err(char **err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(err, fmt, ap) < 0)
		*err = NULL;
	va_end(ap);
	return -EINVAL;
}

int ops_socket_words(struct ops_socket_cfg *sc, char **words, int n, char **err)
{
	const char *known[ARRAY_SIZE(ops_sock_kws)], *near;

	for (size_t i = 0; i < ARRAY_SIZE(ops_sock_kws); i++)
		known[i] = ops_sock_kws[i].word;
	for (int i = 0; i < n; i += 2) {
		const struct ops_sock_kw *kw = ops_sock_kw_find(words[i]);

		if (!kw) {
			near = diag_nearest_of(words[i], known, ARRAY_SIZE(known));
			return ops_socket_err(err, "unknown keyword '%s'" DIAG_MAYBE, words[i], DIAG_MAYBE_ARG(near));
		}
		if (i + 1 >= n)
			return ops_socket_err(err, "'%s' expects %s", kw->word, kw->what);
		if (kw->set(sc, words[i + 1]) < 0)
			return ops_socket_err(err, "'%s' expects %s, not '%s'", kw->word, kw->what, words[i + 1]);
	}
	return 0;
}

static int ops_parse_socket(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct ops_cfg *oc = epoch_part(ln->ep, &ops_module);
	struct ops_socket_cfg *sc = cfg_zalloc(ln, sizeof(*sc)), *other;
	char *err = NULL;
	int rc;

	if (ln->argc < 3)
		return cfg_err(ln, "'stats socket' expects an address: a path, or ip:port");
	sc->spec = cfg_strdup(ln, ln->args[2]);
	sc->level = CLI_OPERATOR;
	sc->uid = sc->gid = -1;
	sc->file = ln->file;
	sc->line = ln->line;
	list_init(&sc->node);
	if (cfg_parse_addr(sc->spec, &sc->addr, &err) < 0) {
		rc = cfg_err(ln, "'stats socket' : %s", err ? err : "invalid address");
		free(err);
		return rc;
	}
	if (sc->addr.kind == CFG_ADDR_INET && (!sc->addr.has_port || !sc->addr.addr.port))
		return cfg_err(ln, "'stats socket' : '%s' has no port (a path begins with '/')", sc->spec);
	list_for_each(other, &oc->sockets, node) {
		if (strcmp(other->spec, sc->spec) == 0)
			return cfg_err(ln, "'stats socket' : '%s' is already given at %s:%d", sc->spec, other->file,
				       other->line);
	}
	list_add_tail(&oc->sockets, &sc->node);
	if (ops_socket_words(sc, ln->args + 3, ln->argc - 3, &err) < 0)
		return cfg_err_take(ln, "'stats socket'", &err);
	return 0;
}

static int ops_parse_timeout(struct cfg_line *ln, const struct cfg_kw *kw)
{
	if (ln->argc != 3 || cfg_parse_time(ln->args[2], &ln->ep->global.stats_timeout_ms) < 0)
		return cfg_err(ln, "'stats timeout' expects a time such as 30s");
	return 0;
}

static struct cfg_kw ops_kws[] = {
	{ .word = "stats socket", .sections = CFG_GLOBAL, .parse = ops_parse_socket,
	  .usage = "stats socket <address> [level user|operator|admin] [mode <octal>] [user|group|uid|gid <who>]",
	  .help = "where commands are taken; repeatable" },
	{ .word = "stats timeout", .sections = CFG_GLOBAL, .parse = ops_parse_timeout, .usage = "stats timeout <time>",
	  .help = "how long a stats socket's client may be idle (default 10s)" },
	{ .word = NULL },
};

/* ---- applying ---- */

static struct cli_listener *ops_find_listener(struct ops *ops, const char *spec)
{
	struct cli_listener *l;

	list_for_each(l, &ops->listeners, node) {
		if (strcmp(l->spec, spec) == 0)
			return l;
	}
	return NULL;
}

static void ops_cfg_abort(struct worker *w, struct epoch *ep)
{
	struct cli_listener *l, *tmp;

	list_for_each_safe(l, tmp, &w->ops->listeners, node) {
		if (l->fresh)
			cli_listener_close(l);
		else
			l->wanted = true;
	}
}

static int ops_cfg_prepare(struct worker *w, struct epoch *ep, struct epoch *old, struct diag *d)
{
	struct ops_cfg *oc = epoch_part(ep, &ops_module);
	struct ops_socket_cfg *sc;
	struct cli_listener *l;
	char *err = NULL;
	int rc;

	list_for_each(l, &w->ops->listeners, node)
		l->wanted = l->fresh = false;
	list_for_each(sc, &oc->sockets, node) {
		l = ops_find_listener(w->ops, sc->spec);
		if (!l) {
			rc = cli_listener_open(w->ops, sc, &l, &err);
			if (rc < 0) {
				diag_error(d, sc->file, sc->line, "'stats socket' : %s", err);
				free(err);
				ops_cfg_abort(w, ep);
				return rc;
			}
			l->fresh = true;
		}
		l->wanted = true;
	}
	return 0;
}

static void ops_cfg_commit(struct worker *w, struct epoch *ep, struct epoch *old)
{
	struct ops_cfg *oc = epoch_part(ep, &ops_module);
	struct cli_listener *l, *tmp;
	struct ops_socket_cfg *sc;

	list_for_each_safe(l, tmp, &w->ops->listeners, node) {
		l->fresh = false;
		if (!l->wanted && !l->permanent)
			cli_listener_close(l);
	}
	list_for_each(sc, &oc->sockets, node) {
		l = ops_find_listener(w->ops, sc->spec);
		if (l && !l->permanent)
			cli_listener_update(l, sc);
	}
}

static struct cfg_module ops_module = {
	.name = "ops",
	.order = 10,
	.create = ops_cfg_create,
	.prepare = ops_cfg_prepare,
	.commit = ops_cfg_commit,
	.abort = ops_cfg_abort,
};

INITCALL ops_cfg_register(void)
{
	cfg_module_register(&ops_module);
	cfg_register_keywords(ops_kws);
}
