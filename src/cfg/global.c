/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * global.c - the `global` section's own words
 *
 * May be repeated; a later line wins over an earlier one, which -dD tells. Words
 * that belong to a layer (stats socket, ...) are registered there.
 */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "cfg/cfg_priv.h"
#include "core/bug.h"

#define G(field) offsetof(struct cfg_global, field)

/* The argument of a keyword that takes exactly one, or NULL and reported. */
static const char *global_arg(struct cfg_line *ln, const struct cfg_kw *kw, const char *what)
{
	int at = cfg_kw_words(kw);

	if (ln->argc <= at || !*ln->args[at]) {
		cfg_err(ln, "'%s' expects %s as an argument.", kw->word, what);
		return NULL;
	}
	return cfg_no_more_args(ln, kw, 1) ? NULL : ln->args[at];
}

/* ---- log ---- */

static int global_log(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct cfg_global *g = ln->obj;
	char *err = NULL;

	if (ln->no_prefix) {
		if (ln->argc > 1)
			return cfg_err(ln, "log : 'no log' does not expect arguments");
		list_init(&g->log.targets);
		return 0;
	}
	if (ln->argc == 2 && strcmp(ln->args[1], "global") == 0)
		return cfg_err(ln, "log : 'global' is not supported for a global syslog server");
	if (log_target_parse(&g->log, &ln->ep->arena, ln->argc - 1, ln->args + 1, &err))
		return cfg_err_take(ln, "log", &err);
	return 0;
}

static int global_log_hostname(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct cfg_global *g = ln->obj;
	char name[256] = "";

	if (cfg_no_more_args(ln, kw, 1))
		return -1;
	if (ln->argc < 2 && gethostname(name, sizeof(name) - 1) < 0)
		return cfg_err(ln, "'log-send-hostname': cannot find the host's name: %s", strerror(errno));
	g->log.hostname = cfg_strdup(ln, ln->argc < 2 ? name : ln->args[1]);
	return g->log.hostname ? 0 : -1;
}

/* ---- the environment ---- */

static int global_setenv(struct cfg_line *ln, const struct cfg_kw *kw)
{
	bool only_new = kw->word[0] == 'p';

	if (ln->argc < 3)
		return cfg_err(ln, "'%s' expects a name and a value.", kw->word);
	if (cfg_no_more_args(ln, kw, 2))
		return -1;
	if (!*ln->args[1] || strchr(ln->args[1], '='))
		return cfg_err(ln, "'%s': '%s' cannot be a variable's name.", kw->word, ln->args[1]);
	if (only_new && epoch_getenv(ln->ep, ln->args[1]))
		return 0;
	return cfg_env_set(ln->ep->env, ln->args[1], ln->args[2]) ? cfg_err(ln, "out of memory") : 0;
}

static int global_unsetenv(struct cfg_line *ln, const struct cfg_kw *kw)
{
	if (ln->argc < 2)
		return cfg_err(ln, "'unsetenv' expects at least one name.");
	for (int i = 1; i < ln->argc; i++)
		cfg_env_unset(ln->ep->env, ln->args[i]);
	return 0;
}

static int global_resetenv(struct cfg_line *ln, const struct cfg_kw *kw)
{
	cfg_env_keep(ln->ep->env, ln->args + 1, ln->argc - 1);
	return 0;
}

/* ---- who and where ---- */

/* Whoever writes `user` relies on it: say what it does not do. */
static int global_keeps_privileges(struct cfg_line *ln, const struct cfg_kw *kw)
{
	return cfg_warn(ln,
			"'%s' is for the instances of applications: the daemon itself keeps its privileges.",
			kw->word);
}

static int global_user(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct cfg_global *g = ln->obj;
	const char *name = global_arg(ln, kw, "a user name");
	char buf[4096];
	struct passwd pw, *found = NULL;

	if (!name)
		return -1;
	if (getpwnam_r(name, &pw, buf, sizeof(buf), &found) || !found)
		return cfg_err(ln, "cannot find user id for '%s'", name);
	g->uid = (int)pw.pw_uid;
	g->user = cfg_strdup(ln, name);
	return g->user ? global_keeps_privileges(ln, kw) : -1;
}

static int global_group(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct cfg_global *g = ln->obj;
	const char *name = global_arg(ln, kw, "a group name");
	char buf[16384];
	struct group gr, *found = NULL;

	if (!name)
		return -1;
	if (getgrnam_r(name, &gr, buf, sizeof(buf), &found) || !found)
		return cfg_err(ln, "cannot find group id for '%s'", name);
	g->gid = (int)gr.gr_gid;
	return (g->group = cfg_strdup(ln, name)) ? 0 : -1;
}

static int global_id(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct cfg_global *g = ln->obj;
	const char *word = global_arg(ln, kw, "an integer");
	uint64_t v;

	if (!word)
		return -1;
	if (cfg_parse_uint(word, &v) || v > INT32_MAX)
		return cfg_err(ln, "'%s': '%s' is not a number; '%s' takes a name.", kw->word, word,
			       kw->word[0] == 'u' ? "user" : "group");
	if (kw->word[0] == 'g') {
		g->gid = (int)v;
		return 0;
	}
	g->uid = (int)v;
	return global_keeps_privileges(ln, kw);
}

static int global_node(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct cfg_global *g = ln->obj;
	const char *name = global_arg(ln, kw, "a node name");

	if (!name)
		return -1;
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
			return cfg_err(ln,
				       "'node' requires valid node name - non-empty string with digits(0-9), "
				       "letters(A-Z, a-z), dot(.), hyphen(-) or underscore(_).");
	return (g->node = cfg_strdup(ln, name)) ? 0 : -1;
}

static int global_description(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct cfg_global *g = ln->obj;
	struct buf text = { 0 };

	if (ln->argc < 2 || !*ln->args[1])
		return cfg_err(ln, "'description' expects a string argument.");
	for (int i = 1; i < ln->argc; i++)
		buf_printf_grow(&text, "%s%s", i > 1 ? " " : "", ln->args[i]);
	g->description = arena_strdup(&ln->ep->arena, buf_str(&text));
	buf_free(&text);
	return g->description ? 0 : cfg_err(ln, "out of memory");
}

static int global_master_worker(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct cfg_global *g = ln->obj;

	if (ln->argc > 1 && strcmp(ln->args[1], "no-exit-on-failure"))
		return cfg_err(ln, "'master-worker' only supports 'no-exit-on-failure' option.");
	g->master_worker = true;
	return 0;
}

/* ---- ours ---- */

/* The kernel's own tables: all that this host sends would go to itself. */
#define ROUTE_TABLE_DEFAULT 253
#define ROUTE_TABLE_LOCAL   255

static int global_route_table(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct cfg_global *g = ln->obj;
	uint64_t v;

	if (cfg_no_more_args(ln, kw, 1))
		return -1;
	if (ln->argc < 2 || cfg_parse_uint(ln->args[1], &v) < 0 || v < 1 || v > UINT32_MAX ||
	    (v >= ROUTE_TABLE_DEFAULT && v <= ROUTE_TABLE_LOCAL))
		return cfg_err(ln, "'route-table' expects a number from 1 on that is none of the kernel's own tables (253 to "
			       "255).");
	g->route_table = (uint32_t)v;
	return 0;
}

static int global_mark_mask(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct cfg_global *g = ln->obj;
	const char *word = global_arg(ln, kw, "a mask");
	unsigned long v;
	char *end;

	if (!word)
		return -1;
	errno = 0;
	v = strtoul(word, &end, 0);
	if (!isdigit((unsigned char)*word) || *end || errno || v > UINT32_MAX)
		return cfg_err(ln, "'mark-mask' expects a number of 32 bits such as 0x0f000000, not '%s'.",
			       word);
	if (!v || v >> __builtin_ctzl(v) != 0xf)
		return cfg_err(ln, "'mark-mask' must be four adjacent bits, such as 0x0f000000 (was %s).",
			       word);
	g->mark_mask = (uint32_t)v;
	return 0;
}

static int global_promotion_reserve(struct cfg_line *ln, const struct cfg_kw *kw)
{
	static const char *const words[] = { "warn", "refuse" };
	struct cfg_global *g = ln->obj;
	uint64_t n;
	int what;

	if (ln->argc < 2 || cfg_parse_uint(ln->args[1], &n) || n > 1000)
		return cfg_err(ln,
			       "'promotion-reserve' expects a number of simultaneous failovers (0..1000) and "
			       "'warn' or 'refuse'.");
	if (cfg_no_more_args(ln, kw, 2))
		return -1;
	what = ln->argc > 2 ? cfg_word_index(words, ARRAY_SIZE(words), ln->args[2]) : 0;
	if (what < 0) {
		const char *near = diag_nearest_of(ln->args[2], words, ARRAY_SIZE(words));

		return cfg_err(ln, "'promotion-reserve' supports 'warn' and 'refuse' (got '%s')" DIAG_MAYBE,
			       ln->args[2], DIAG_MAYBE_ARG(near));
	}
	g->promotion_reserve = (unsigned)n;
	g->promotion_refuse = what == 1;
	return 0;
}

int cfg_word_index(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return (int)i;
	return -1;
}

/* ---- tables ---- */

static int global_open(struct cfg_line *ln)
{
	ln->obj = &ln->ep->global;
	if (ln->argc > 1) /* reported, but the section is read */
		cfg_err(ln, "'global' cannot handle unexpected argument '%s'.", ln->args[1]);
	return 0;
}

static struct cfg_section global_section = { .name = "global", .bit = CFG_GLOBAL, .open = global_open };

#define KW_TYPED(w, t, f, lo, hi, u, h)                                                             \
	{                                                                                           \
		.word = w, .sections = CFG_GLOBAL, .type = t, .offset = G(f), .min = lo, .max = hi, \
		.usage = u, .help = h                                                               \
	}
#define KW_CODE(w, p, u, h)                                                          \
	{                                                                            \
		.word = w, .sections = CFG_GLOBAL, .parse = p, .usage = u, .help = h \
	}

static struct cfg_kw global_kws[] = {
	{ .word = "log",
	  .sections = CFG_GLOBAL,
	  .parse = global_log,
	  .can_no = true,
	  .usage = "log <address> [len <length>] [format <format>] <facility> [<max level> [<min level>]]",
	  .help = "a target for log lines" },
	KW_CODE("log-send-hostname", global_log_hostname, "log-send-hostname [<name>]",
		"put a host name into log lines; without a name, this host's"),
	KW_TYPED("log-tag", CFG_T_STR, log.tag, 0, 0, "log-tag <tag>", "the name log lines are sent under"),
	KW_TYPED("maxconn", CFG_T_UINT, maxconn, 0, 0, "maxconn <n>",
		 "connections at once; 0: as many as descriptors allow"),
	KW_TYPED("maxpipes", CFG_T_UINT, maxpipes, 0, 0, "maxpipes <n>",
		 "pipes for splicing; 0: a quarter of maxconn"),
	KW_TYPED("nosplice", CFG_T_FLAG, nosplice, 0, 0, "nosplice", "bytes are always copied"),
	KW_TYPED("maxflows", CFG_T_UINT64, maxflows, 1, 0, "maxflows <n>",
		 "flows with a record, of all gateways"),
	KW_TYPED("daemon", CFG_T_FLAG, daemon, 0, 0, "daemon", "go to the background after start, as -D"),
	KW_CODE("master-worker", global_master_worker, "master-worker [no-exit-on-failure]",
		"accepted; the keeper is always there"),
	KW_TYPED("quiet", CFG_T_FLAG, quiet, 0, 0, "quiet", "no messages during start, as -q"),
	KW_TYPED("zero-warning", CFG_T_FLAG, zero_warning, 0, 0, "zero-warning", "treat warnings as errors"),
	KW_TYPED("pidfile", CFG_T_STR, pidfile, 0, 0, "pidfile <path>", "where to write the pid, as -p"),
	KW_TYPED("ca-base", CFG_T_STR, ca_base, 0, 0, "ca-base <directory>",
		 "where relative ca-file names begin"),
	KW_TYPED("crt-base", CFG_T_STR, crt_base, 0, 0, "crt-base <directory>",
		 "where relative crt names begin"),
	KW_CODE("user", global_user, "user <name>", "whom instances run as that name no other"),
	KW_CODE("group", global_group, "group <name>", "the group of that user"),
	KW_CODE("uid", global_id, "uid <n>", "as user, by number"),
	KW_CODE("gid", global_id, "gid <n>", "as group, by number"),
	KW_CODE("node", global_node, "node <name>", "this host's name in statistics"),
	KW_CODE("description", global_description, "description <text>", "shown in statistics"),
	KW_TYPED("hard-stop-after", CFG_T_TIME, hard_stop_after_ms, 1, 0, "hard-stop-after <time>",
		 "longest a soft stop may take"),
	KW_TYPED("tune.bufsize", CFG_T_UINT, bufsize, 4096, 1u << 24, "tune.bufsize <bytes>",
		 "size of a stream's buffers; a request's head must fit"),
	KW_TYPED("tune.hold.maxmem", CFG_T_SIZE, hold_max, 0, 0, "tune.hold.maxmem <size>",
		 "bytes of packets that gateways may hold, of all connections"),
	KW_TYPED("tune.hold.flowmem", CFG_T_SIZE, hold_flow_max, 65536, 1u << 30, "tune.hold.flowmem <size>",
		 "the same, of one connection"),
	KW_TYPED("tune.inspect.size", CFG_T_SIZE, inspect_max, 256, 16u << 20, "tune.inspect.size <size>",
		 "bytes of a turn's payload that a gateway's rules may wait for"),
	KW_TYPED("tune.http.maxhdr", CFG_T_UINT, max_hdr, 1, 32767, "tune.http.maxhdr <n>",
		 "headers of a message"),
	KW_CODE("setenv", global_setenv, "setenv <name> <value>", "set a variable for the lines that follow"),
	KW_CODE("presetenv", global_setenv, "presetenv <name> <value>",
		"set a variable that does not exist yet"),
	KW_CODE("unsetenv", global_unsetenv, "unsetenv <name>...", "remove variables"),
	KW_CODE("resetenv", global_resetenv, "resetenv [<name>...]", "remove all variables but these"),
	KW_TYPED("state-db", CFG_T_STR, state_db, 0, 0, "state-db <path>",
		 "SQLite file that remembers starts"),
	KW_CODE("mark-mask", global_mark_mask, "mark-mask <mask>", "four adjacent bits of packet marks"),
	KW_CODE("route-table", global_route_table, "route-table <n>", "routing table for promoted connections"),
	KW_CODE("promotion-reserve", global_promotion_reserve, "promotion-reserve <n> [warn|refuse]",
		"failovers at once that memory must be kept for"),
	{ .word = NULL },
};

INITCALL global_register(void)
{
	cfg_register_section(&global_section);
	cfg_register_keywords(global_kws);
}
