/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ignored.c - words of HAProxy's global section that have no meaning here
 *
 * A configuration written for HAProxy should be readable as it is, and must not
 * be misread in silence. What only tunes HAProxy's own machinery is told with
 * -dD; what its author may rely on is warned about. Anything not named here, nor
 * registered by a layer, is an unknown keyword.
 */
#include "cfg/cfg_priv.h"

static const struct cfg_foreign {
	const char *word; /* ending in '*': a prefix */
	bool warn;
	const char *why;
} cfg_foreign_globals[] = {
	{ "nbthread", false, "one loop serves all connections" },
	{ "nbproc", true, "there is one process" },
	{ "thread-groups", false, "one loop serves all connections" },
	{ "thread-group", false, "one loop serves all connections" },
	{ "cpu-map", false, "one loop serves all connections; use taskset or systemd's CPUAffinity" },
	{ "numa-cpu-mapping", false, "one loop serves all connections" },
	{ "busy-polling", false, "the loop sleeps when there is nothing to do" },
	{ "tune.*", false, "it tunes HAProxy's own machinery" },
	{ "profiling.*", false, "there is no such profiling" },
	{ "httpclient.*", false, "there is no HTTP client" },
	{ "noepoll", false, "epoll is always used" },
	{ "nopoll", false, "epoll is always used" },
	{ "nogetaddrinfo", false, "names are always resolved by getaddrinfo" },
	{ "noreuseport", true, "listeners always share their port" },
	{ "spread-checks", true, "checks are not spread" },
	{ "max-spread-checks", true, "checks are not spread" },
	{ "set-dumpable", true, "core dumps are the system's decision" },
	{ "strict-limits", true, "limits that cannot be raised are warned about" },
	{ "insecure-fork-wanted", false, "instances are started by the keeper" },
	{ "insecure-setuid-wanted", false, "instances cannot gain privileges" },
	{ "expose-experimental-directives", false, "there are none" },
	{ "pp2-never-send-local", true, "health checks send no PROXY header" },
	{ "server-state-base", true, "server states live through a reload by themselves" },
	{ "server-state-file", true, "server states live through a reload by themselves" },
	{ "ssl-engine", true, "OpenSSL's configuration file chooses providers" },
	{ "ssl-mode-async", true, "there is no asynchronous TLS" },
	{ "ssl-dh-param-file", true, "OpenSSL chooses the group" },
	{ "ssl-default-*", true, "TLS defaults are not implemented: give the words on `bind` or `server`" },
	{ "ssl-server-verify", true, "give `verify` on `server`" },
	{ "ssl-load-extra-*", true, "files beside a certificate are not looked for" },
	{ "ssl-skip-self-issued-ca", true, "it is not implemented" },
	{ "issuers-chain-path", true, "a certificate file must hold its chain" },
	{ "localpeer", false, "there are no peers" },
	{ "maxconnrate", true, "the rate is not limited" },
	{ "maxsessrate", true, "the rate is not limited" },
	{ "maxsslrate", true, "the rate is not limited" },
	{ "maxcomprate", true, "the rate is not limited" },
	{ "maxcompcpuusage", true, "it is not limited" },
	{ "maxsslconn", true, "only `maxconn` limits connections" },
	{ "maxzlibmem", true, "it is not limited" },
	{ "chroot", true, "the daemon keeps its root directory" },
	{ "ulimit-n", false, "the limit is always raised as far as it goes" },
	{ "external-check", true, "there are no external checks" },
	{ "unix-bind", true, "give mode, user and group on `bind`" },
	{ "h1-case-adjust", true, "header names are passed on as they came" },
	{ "h1-case-adjust-file", true, "header names are passed on as they came" },
	{ "h2-workaround-bogus-websocket-clients", false, "there is no HTTP/2" },
	{ "default-path", true, "relative paths are relative to the current directory" },
	{ "debug", true, "use -d" },
	{ "mworker-max-reloads", false, "a reload keeps the process" },
	{ "grace", true, "use `hard-stop-after`" },
};

static const struct cfg_foreign *cfg_foreign_find(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(cfg_foreign_globals); i++) {
		const struct cfg_foreign *f = &cfg_foreign_globals[i];
		size_t n = strlen(f->word);
		bool prefix = f->word[n - 1] == '*';

		if (prefix ? strncmp(word, f->word, n - 1) == 0 : strcmp(word, f->word) == 0)
			return f;
	}
	return NULL;
}

bool cfg_ignored(struct cfg_line *ln)
{
	const struct cfg_foreign *f;

	if (!(ln->section->bit & CFG_GLOBAL))
		return false;
	f = cfg_foreign_find(ln->args[0]);
	if (!f)
		return false;
	if (f->warn)
		cfg_warn(ln, "'%s' is ignored: %s.", ln->args[0], f->why);
	else
		cfg_hint(ln, "'%s' is ignored: %s.", ln->args[0], f->why);
	return true;
}
