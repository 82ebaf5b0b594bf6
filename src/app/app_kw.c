/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * app_kw.c - the words of an `app` section
 *
 * Simple words are parsed by the table at the end. What the contract names and
 * this version does not do says so by name, at its line. Checks that need more
 * than one line are in app_cfg.c.
 */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app_priv.h"
#include "cfg/cfg.h"
#include "driver.h"

#define LATER "is not supported by this version yet"

/* Copies args[from..] into a NULL-terminated vector of the epoch. */
static char **kw_vector(struct cfg_line *ln, int from, int *n)
{
	char **v = cfg_zalloc(ln, (ln->argc - from + 1) * sizeof(char *));

	for (int i = from; v && i < ln->argc; i++)
		if (!(v[i - from] = cfg_strdup(ln, ln->args[i])))
			return NULL;
	if (n)
		*n = ln->argc - from;
	return v;
}

/* Words that come in pairs, in any order: `inter 1s fall 3`. */
struct kw_pair {
	const char *word;
	int (*set)(struct cfg_line *ln, struct app_cfg *a,
		   const char *arg); /* 0; <0: reported, or -EINVAL: use <what> */
	const char *what;
};

static int kw_pairs(struct cfg_line *ln, const struct kw_pair *pairs, size_t n, int from)
{
	const char *words[8];

	for (size_t i = 0; i < n; i++)
		words[i] = pairs[i].word;
	for (int at = from; at < ln->argc; at += 2) {
		int i = cfg_word_index(words, n, ln->args[at]), rc;
		const char *near;

		if (i < 0) {
			near = diag_nearest_of(ln->args[at], words, n);
			return cfg_err(ln, "'%s': unknown word '%s'" DIAG_MAYBE, ln->args[0], ln->args[at],
				       DIAG_MAYBE_ARG(near));
		}
		rc = at + 1 < ln->argc ? pairs[i].set(ln, ln->obj, ln->args[at + 1]) : -EINVAL;
		if (rc == -EINVAL)
			return cfg_err(ln, "'%s %s' expects %s%s%s%s", ln->args[0], pairs[i].word,
				       pairs[i].what, at + 1 < ln->argc ? ", not '" : "", ln->args[at + 1],
				       at + 1 < ln->argc ? "'" : "");
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int kw_uint(const char *s, unsigned min, unsigned max, unsigned *v)
{
	uint64_t u;

	if (cfg_parse_uint(s, &u) < 0 || u < min || u > max)
		return -EINVAL;
	*v = u;
	return 0;
}

static int kw_time(const char *s, unsigned *ms)
{
	return cfg_parse_time(s, ms) < 0 || !*ms ? -EINVAL : 0;
}

/* ---- what is run ---- */

static int kw_driver(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct app_cfg *a = ln->obj;
	const struct app_driver *d;
	const char *names[8], *near;
	size_t n = 0;

	if (ln->argc != 2)
		return cfg_err(ln, "'driver' expects one name.");
	if (!strcmp(ln->args[1], "oci"))
		return cfg_err(ln, "driver 'oci' " LATER "; 'process' is.");
	d = app_driver_find(ln->args[1]);
	if (d) {
		a->driver = d;
		return 0;
	}
	for (d = app_driver_first(); d && n < ARRAY_SIZE(names); d = d->next)
		names[n++] = d->name;
	near = diag_nearest_of(ln->args[1], names, n);
	return cfg_err(ln, "unknown driver '%s'" DIAG_MAYBE, ln->args[1], DIAG_MAYBE_ARG(near));
}

static int kw_command(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct app_cfg *a = ln->obj;

	if (ln->argc < 2)
		return cfg_err(ln, "'command' expects the path of a program.");
	a->argv = kw_vector(ln, 1, &a->argc);
	a->command_line = ln->line;
	return a->argv ? 0 : -1;
}

static int kw_directory(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct app_cfg *a = ln->obj;
	struct stat st;

	if (ln->argc != 2 || ln->args[1][0] != '/')
		return cfg_err(ln, "'directory' expects an absolute path.");
	if (stat(ln->args[1], &st) < 0)
		return cfg_err(ln, "directory '%s': %s", ln->args[1], strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return cfg_err(ln, "directory '%s' is not a directory", ln->args[1]);
	return (a->dir = cfg_strdup(ln, ln->args[1])) ? 0 : -1;
}

static int kw_env(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct app_cfg *a = ln->obj;
	char **env;

	if (ln->argc < 2)
		return cfg_err(ln, "'env' expects NAME=value, one or more.");
	for (int i = 1; i < ln->argc; i++)
		if (!strchr(ln->args[i], '=') || ln->args[i][0] == '=')
			return cfg_err(ln, "'env' expects NAME=value, not '%s'", ln->args[i]);
	env = cfg_zalloc(ln, (a->nb_env + ln->argc) * sizeof(char *));
	if (!env)
		return -1;
	if (a->nb_env)
		memcpy(env, a->env, a->nb_env * sizeof(char *));
	a->env = env;
	for (int i = 1; i < ln->argc; i++)
		if ((a->env[a->nb_env] = cfg_strdup(ln, ln->args[i])))
			a->nb_env++;
	return 0;
}

static int kw_user(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct app_cfg *a = ln->obj;
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (ln->argc != 2)
		return cfg_err(ln, "'user' expects one name.");
	if (getpwnam_r(ln->args[1], &pw, buf, sizeof(buf), &found) || !found)
		return cfg_err(ln, "cannot find user '%s'", ln->args[1]);
	a->user = cfg_strdup(ln, ln->args[1]);
	a->home = cfg_strdup(ln, pw.pw_dir);
	a->uid = pw.pw_uid;
	if (!a->group)
		a->gid = pw.pw_gid;
	return a->user && a->home ? 0 : -1;
}

static int kw_group(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct app_cfg *a = ln->obj;
	struct group gr, *found = NULL;
	char buf[16384];

	if (ln->argc != 2)
		return cfg_err(ln, "'group' expects one name.");
	if (getgrnam_r(ln->args[1], &gr, buf, sizeof(buf), &found) || !found)
		return cfg_err(ln, "cannot find group '%s'", ln->args[1]);
	a->group = cfg_strdup(ln, ln->args[1]);
	a->gid = gr.gr_gid;
	return a->group ? 0 : -1;
}

static int kw_umask(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct app_cfg *a = ln->obj;
	char *end;
	unsigned long v = strtoul(ln->args[1], &end, 8);

	if (ln->argc != 2 || *end || !*ln->args[1] || v > 0777)
		return cfg_err(ln, "'umask' expects an octal mask such as 027.");
	a->umask = v;
	return 0;
}

static const struct {
	const char *name;
	int resource;
} kw_rlimits[] = {
	{ "as", RLIMIT_AS },
	{ "core", RLIMIT_CORE },
	{ "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE },
	{ "memlock", RLIMIT_MEMLOCK },
	{ "msgqueue", RLIMIT_MSGQUEUE },
	{ "nice", RLIMIT_NICE },
	{ "nofile", RLIMIT_NOFILE },
	{ "nproc", RLIMIT_NPROC },
	{ "rss", RLIMIT_RSS },
	{ "rtprio", RLIMIT_RTPRIO },
	{ "sigpending", RLIMIT_SIGPENDING },
	{ "stack", RLIMIT_STACK },
};

/* "1024", "64m", "unlimited" */
static int kw_rlimit_value(const char *s, uint64_t *v)
{
	if (!strcmp(s, "unlimited")) {
		*v = RLIM_INFINITY;
		return 0;
	}
	return cfg_parse_size(s, v);
}

static int kw_rlimit(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct app_cfg *a = ln->obj;
	const char *names[ARRAY_SIZE(kw_rlimits)], *near;
	uint64_t soft, hard;
	int at;

	for (size_t i = 0; i < ARRAY_SIZE(kw_rlimits); i++)
		names[i] = kw_rlimits[i].name;
	if (ln->argc < 3 || ln->argc > 4)
		return cfg_err(ln, "'rlimit' expects <name> <soft> [<hard>].");
	at = cfg_word_index(names, ARRAY_SIZE(names), ln->args[1]);
	if (at < 0) {
		near = diag_nearest_of(ln->args[1], names, ARRAY_SIZE(names));
		return cfg_err(ln, "'rlimit': unknown limit '%s'" DIAG_MAYBE, ln->args[1],
			       DIAG_MAYBE_ARG(near));
	}
	if (kw_rlimit_value(ln->args[2], &soft) < 0 || kw_rlimit_value(ln->args[ln->argc - 1], &hard) < 0)
		return cfg_err(ln, "'rlimit %s' expects numbers or 'unlimited'.", ln->args[1]);
	if (hard < soft)
		return cfg_err(ln, "'rlimit %s': the hard limit is below the soft one", ln->args[1]);
	if (a->nb_rlimits == KEEPER_MAX_RLIMITS)
		return cfg_err(ln, "too many limits");
	a->rlimit[a->nb_rlimits].resource = kw_rlimits[at].resource;
	a->rlimit[a->nb_rlimits].soft = soft;
	a->rlimit[a->nb_rlimits++].hard = hard;
	return 0;
}

static int kw_listen(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct app_cfg *a = ln->obj;
	struct cfg_addr ca;
	char *err = NULL;

	if (ln->argc != 2)
		return cfg_err(ln, "'listen' expects <addr>:<port>[-<port>].");
	if (cfg_parse_addr(ln->args[1], &ca, &err) < 0)
		return cfg_err_take(ln, "'listen'", &err);
	if (ca.kind != CFG_ADDR_INET || !ca.has_port || !ca.addr.port)
		return cfg_err(ln, "'listen' expects <addr>:<port>[-<port>], not '%s'", ln->args[1]);
	if (ca.port_last && ca.port_last < ca.addr.port)
		return cfg_err(ln, "'listen': the range ends before it begins");
	a->listen = ca.addr;
	a->port_last = ca.port_last ? ca.port_last : ca.addr.port;
	a->has_listen = true;
	return 0;
}

/* ---- resources ---- */

static int res_memory(struct cfg_line *ln, struct app_cfg *a, const char *s)
{
	if (cfg_parse_size(s, &a->spec.memory) < 0 || !a->spec.memory)
		return -EINVAL;
	if (a->spec.memory < (1 << 20))
		return cfg_err(ln, "'resources memory %s' is less than 1 MiB: nothing can run in it", s);
	return 0;
}

static int res_cpu(struct cfg_line *ln, struct app_cfg *a, const char *s)
{
	char *end;
	double v = strtod(s, &end);

	if (!isdigit((unsigned char)*s) || *end || !(v >= 0.01 && v <= 4096))
		return -EINVAL;
	a->spec.cpu_milli = v * 1000 + 0.5;
	return 0;
}

static int res_pids(struct cfg_line *ln, struct app_cfg *a, const char *s)
{
	return kw_uint(s, 1, 4194304, &a->spec.pids);
}

static int kw_resources(struct cfg_line *ln, const struct cfg_kw *kw)
{
	static const struct kw_pair pairs[] = {
		{ "memory", res_memory, "a size such as 512m" },
		{ "cpu", res_cpu, "cores such as 0.5 (0.01..4096)" },
		{ "pids", res_pids, "a number of processes and threads" },
	};

	if (ln->argc < 3)
		return cfg_err(ln, "'resources' expects memory <size>, cpu <n.n>, pids <n>.");
	return kw_pairs(ln, pairs, ARRAY_SIZE(pairs), 1);
}

/* ---- ready, check ---- */

static int ready_status(struct cfg_line *ln, struct app_cfg *a, const char *s)
{
	char *end;
	unsigned long lo = strtoul(s, &end, 10), hi = lo;

	if (*end == '-')
		hi = strtoul(end + 1, &end, 10);
	if (*end || lo < 100 || hi > 599 || hi < lo)
		return -EINVAL;
	a->status_min = lo;
	a->status_max = hi;
	return 0;
}

static int kw_ready(struct cfg_line *ln, const struct cfg_kw *kw)
{
	static const char *const kinds[] = { "tcp", "http", "delay", "notify" };
	static const struct kw_pair pairs[] = { { "status", ready_status,
						  "a status such as 200 or 200-299" } };
	struct app_cfg *a = ln->obj;
	const char *near;
	int kind = cfg_word_index(kinds, ARRAY_SIZE(kinds), ln->args[1]);

	switch (kind) {
	case 0: a->ready = READY_TCP; return cfg_no_more_args(ln, kw, 1);
	case 1:
		if (ln->args[2][0] != '/')
			return cfg_err(ln, "'ready http' expects a path that begins with '/'.");
		a->ready = READY_HTTP;
		a->ready_path = cfg_strdup(ln, ln->args[2]);
		return kw_pairs(ln, pairs, ARRAY_SIZE(pairs), 3);
	case 2:
		a->ready = READY_DELAY;
		if (kw_time(ln->args[2], &a->ready_delay_ms) < 0)
			return cfg_err(ln, "'ready delay' expects a time.");
		return cfg_no_more_args(ln, kw, 2);
	case 3: return cfg_err(ln, "'ready notify' " LATER "; tcp, http and delay are.");
	}
	near = diag_nearest_of(ln->args[1], kinds, ARRAY_SIZE(kinds));
	return cfg_err(ln, "'ready' expects tcp, http <path> or delay <time>, not '%s'" DIAG_MAYBE,
		       ln->args[1], DIAG_MAYBE_ARG(near));
}

static int check_inter(struct cfg_line *ln, struct app_cfg *a, const char *s)
{
	return kw_time(s, &a->inter_ms);
}

static int check_fall(struct cfg_line *ln, struct app_cfg *a, const char *s)
{
	return kw_uint(s, 1, 1000, &a->fall);
}

static int check_rise(struct cfg_line *ln, struct app_cfg *a, const char *s)
{
	return kw_uint(s, 1, 1000, &a->rise);
}

static int kw_check(struct cfg_line *ln, const struct cfg_kw *kw)
{
	static const struct kw_pair pairs[] = {
		{ "inter", check_inter, "a time such as 2s" },
		{ "fall", check_fall, "a number (1..1000)" },
		{ "rise", check_rise, "a number (1..1000)" },
	};
	struct app_cfg *a = ln->obj;

	if (ln->no_prefix) {
		a->inter_ms = 0;
		return cfg_no_more_args(ln, kw, 0);
	}
	return kw_pairs(ln, pairs, ARRAY_SIZE(pairs), 1);
}

/* ---- standbys, restarts ---- */

static int standby_mode(struct cfg_line *ln, struct app_cfg *a, const char *s)
{
	if (!strcmp(s, "hot"))
		return 0;
	if (!strcmp(s, "frozen") || !strcmp(s, "cold"))
		return cfg_err(ln, "'standby mode %s' " LATER "; hot is.", s);
	return -EINVAL;
}

static int kw_standby(struct cfg_line *ln, const struct cfg_kw *kw)
{
	static const struct kw_pair pairs[] = { { "mode", standby_mode, "hot" } };
	struct app_cfg *a = ln->obj;

	if (kw_uint(ln->args[1], 0, 16, &a->standby) < 0)
		return cfg_err(ln, "'standby' expects a number (0..16), not '%s'.", ln->args[1]);
	return kw_pairs(ln, pairs, ARRAY_SIZE(pairs), 2);
}

static int restart_limit(struct cfg_line *ln, struct app_cfg *a, const char *s)
{
	return kw_uint(s, 1, BACKOFF_WINDOW, &a->limit);
}

static int restart_per(struct cfg_line *ln, struct app_cfg *a, const char *s)
{
	return kw_time(s, &a->period_ms);
}

static int kw_restart(struct cfg_line *ln, const struct cfg_kw *kw)
{
	static const struct kw_pair pairs[] = {
		{ "limit", restart_limit, "a number of failures (1..64)" },
		{ "per", restart_per, "a time such as 1m" },
	};
	struct app_cfg *a = ln->obj;
	int at = 1;

	if (!strcmp(ln->args[1], "backoff")) {
		if (ln->argc < 4 || kw_time(ln->args[2], &a->backoff_min_ms) < 0 ||
		    kw_time(ln->args[3], &a->backoff_max_ms) < 0 || a->backoff_max_ms < a->backoff_min_ms)
			return cfg_err(
			    ln, "'restart backoff' expects two times, the second not below the first.");
		at = 4;
	} else if (ln->argc < 2) {
		return cfg_err(ln, "'restart' expects backoff <min> <max>, limit <n> per <time>.");
	}
	return kw_pairs(ln, pairs, ARRAY_SIZE(pairs), at);
}

/* "SIGTERM", "TERM", "15"; <0: none. */
static int kw_signal_number(const char *s)
{
	uint64_t v;

	if (cfg_parse_uint(s, &v) == 0)
		return v >= 1 && v < NSIG ? (int)v : -1;
	if (!strncasecmp(s, "SIG", 3))
		s += 3;
	for (int sig = 1; sig < NSIG; sig++) {
		const char *name = sigabbrev_np(sig);

		if (name && !strcasecmp(name, s))
			return sig;
	}
	return -1;
}

static int kw_stop_signal(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct app_cfg *a = ln->obj;
	int sig = kw_signal_number(ln->args[1]);

	if (ln->argc != 2 || sig < 0)
		return cfg_err(ln, "'stop-signal' expects a signal such as TERM, not '%s'", ln->args[1]);
	a->stop_signal = sig;
	return 0;
}

static int kw_on_promote(struct cfg_line *ln, const struct cfg_kw *kw)
{
	static const char *const kinds[] = { "exec", "signal", "http" };
	struct app_cfg *a = ln->obj;

	switch (cfg_word_index(kinds, ARRAY_SIZE(kinds), ln->args[1])) {
	case 0:
		if (ln->args[2][0] != '/')
			return cfg_err(ln, "'on-promote exec' expects the absolute path of a program.");
		if (access(ln->args[2], X_OK) < 0)
			return cfg_err(ln, "'on-promote exec': '%s': %s", ln->args[2], strerror(errno));
		a->promote = PROMOTE_EXEC;
		return (a->promote_argv = kw_vector(ln, 2, NULL)) ? 0 : -1;
	case 1:
		a->promote_signal = kw_signal_number(ln->args[2]);
		if (a->promote_signal < 0)
			return cfg_err(ln, "'on-promote signal' expects a signal such as USR1, not '%s'",
				       ln->args[2]);
		a->promote = PROMOTE_SIGNAL;
		return cfg_no_more_args(ln, kw, 2);
	case 2:
		if (ln->args[2][0] != '/')
			return cfg_err(ln, "'on-promote http' expects a path that begins with '/'.");
		a->promote = PROMOTE_HTTP;
		a->promote_path = cfg_strdup(ln, ln->args[2]);
		return cfg_no_more_args(ln, kw, 2);
	}
	return cfg_err(ln, "'on-promote' expects exec <command>, signal <name> or http <path>, not '%s'",
		       ln->args[1]);
}

static int kw_log(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct app_cfg *a = ln->obj;
	char *err = NULL;

	if (ln->argc == 2 && !strcmp(ln->args[1], "global")) {
		a->log.global = &ln->ep->global.log;
		return 0;
	}
	if (log_target_parse(&a->log, &ln->ep->arena, ln->argc - 1, ln->args + 1, &err) < 0)
		return cfg_err_take(ln, "log", &err);
	return 0;
}

static int kw_later(struct cfg_line *ln, const struct cfg_kw *kw)
{
	return cfg_err(ln, "'%s' " LATER ".", kw->word);
}

#define KW_CODE(w, fn, u, h)                                                       \
	{                                                                          \
		.word = w, .sections = CFG_APP, .parse = fn, .usage = u, .help = h \
	}
#define KW_TIME(w, f, u, h)                                                                                \
	{                                                                                                  \
		.word = w, .sections = CFG_APP, .type = CFG_T_TIME, .offset = offsetof(struct app_cfg, f), \
		.min = 1, .max = 86400000, .usage = u, .help = h                                           \
	}

static struct cfg_kw app_kws[] = {
	KW_CODE("driver", kw_driver, "driver process", "how instances are run"),
	KW_CODE("command", kw_command, "command <path> [<arg>...]",
		"what is run; $PORT $ADDR $INSTANCE $MEMORY_MB $CPUS are replaced"),
	KW_CODE("directory", kw_directory, "directory <path>", "where it runs (default /)"),
	KW_CODE("env", kw_env, "env NAME=value...", "variables of its environment; repeatable"),
	KW_CODE("user", kw_user, "user <name>", "whom it runs as (default: the daemon's user)"),
	KW_CODE("group", kw_group, "group <name>", "the group it runs as (default: the user's)"),
	KW_CODE("umask", kw_umask, "umask <octal>", "mask of the files it makes (default 022)"),
	KW_CODE("rlimit", kw_rlimit, "rlimit <name> <soft> [<hard>]", "a limit of setrlimit(2); repeatable"),
	KW_CODE("listen", kw_listen, "listen <addr>:<port>[-<port>]",
		"one port of the range for each instance"),
	{ .word = "release",
	  .sections = CFG_APP,
	  .type = CFG_T_STR,
	  .offset = offsetof(struct app_cfg, release),
	  .usage = "release <string>",
	  .help = "what sizes are remembered under (default: a digest of the program)" },
	KW_CODE("resources", kw_resources, "resources memory <size> cpu <n.n> pids <n>",
		"what the primary may use; what is left out is not limited"),
	KW_CODE("ready", kw_ready, "ready tcp | http <path> [status <code>] | delay <time>",
		"when it is ready (default tcp)"),
	KW_TIME("timeout start", start_ms, "timeout start <time>", "to be ready in (default 60s)"),
	KW_TIME("timeout stop", stop_ms, "timeout stop <time>",
		"to end in, before it is killed (default 10s)"),
	KW_TIME("timeout check", check_ms, "timeout check <time>", "for an answer to a check (default 1s)"),
	{ .word = "check",
	  .sections = CFG_APP,
	  .parse = kw_check,
	  .can_no = true,
	  .usage = "check inter <time> fall <n> rise <n>",
	  .help = "checks of ready instances (default 2s, 3, 2)" },
	KW_CODE("standby", kw_standby, "standby <n> [mode hot]", "how many stand by (default 1)"),
	{ .word = "standby-margin",
	  .sections = CFG_APP,
	  .type = CFG_T_UINT,
	  .offset = offsetof(struct app_cfg, margin_pct),
	  .max = 1000,
	  .usage = "standby-margin <percent>",
	  .help = "over what a start took (default 30)" },
	KW_CODE("restart", kw_restart, "restart backoff <min> <max> limit <n> per <time>",
		"when it is started again (default 100ms 30s, 20 per 1m)"),
	KW_CODE("stop-signal", kw_stop_signal, "stop-signal <name>", "what ends it politely (default TERM)"),
	KW_CODE("on-promote", kw_on_promote, "on-promote exec <cmd> | signal <name> | http <path>",
		"how a standby is told that it becomes the primary"),
	{ .word = "depends",
	  .sections = CFG_APP,
	  .type = CFG_T_STR,
	  .offset = offsetof(struct app_cfg, depends),
	  .usage = "depends <app>",
	  .help = "started after that one is ready" },
	KW_CODE("log", kw_log, "log global | <target>...", "where its events and output go"),
	KW_CODE("rootfs", kw_later, "rootfs <dir>", "of driver oci"),
	KW_CODE("bundle", kw_later, "bundle <dir>", "of driver oci"),
	KW_CODE("runtime", kw_later, "runtime crun|runc", "of driver oci"),
	KW_CODE("allow-hooks", kw_later, "allow-hooks", "of driver oci"),
	{ .word = NULL },
};

INITCALL app_kw_register(void)
{
	cfg_register_keywords(app_kws);
}
