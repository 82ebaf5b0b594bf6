/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * steer_run.c - iptables-save and iptables-restore as programs, and what they say when they fail
 *
 * The rules are put in by whichever iptables the host has (nft or legacy): the
 * administrator's own rules are in the same one. Input, output and messages go
 * through memory files, not pipes, so nobody can wait for a reader, and the only
 * wait is for the program's end, at most STEER_RUN_MS.
 *
 * Their messages are meant for somebody who typed the rule. Here nobody did: they
 * are turned into one line that says what the host lacks.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "l3/steer_priv.h"

#define STEER_RUN_MS  15000       /* ms; iptables itself waits up to 5 s for another's lock */
#define STEER_OUT_MAX (64u << 20) /* bytes of iptables-save output taken: hosts with many rules exist */
#define STEER_MSG_MAX 400         /* bytes of a program's message that are shown */

extern char **environ;

struct steer_run {
	int fd[3];  /* memory files: what it reads, writes, complains */
	int status; /* as waitpid() */
};

static void steer_run_close(struct steer_run *r)
{
	for (int i = 0; i < 3; i++)
		if (r->fd[i] >= 0)
			close(r->fd[i]);
}

static int steer_run_open(struct steer_run *r, const char *input)
{
	size_t n = strlen(input);

	*r = (struct steer_run){ .fd = { -1, -1, -1 } };
	for (int i = 0; i < 3; i++) {
		r->fd[i] = memfd_create("steer", MFD_CLOEXEC);
		if (r->fd[i] < 0)
			return -errno;
	}
	if (write(r->fd[0], input, n) != (ssize_t)n || lseek(r->fd[0], 0, SEEK_SET) < 0)
		return -EIO;
	return 0;
}

/* <name> in PATH, or where Debian and others put it: a daemon's PATH may lack /usr/sbin */
static bool steer_find_in(struct str dirs, const char *name, char *path, size_t size)
{
	while (dirs.p) {
		struct str dir = str_cut(&dirs, ':');

		if (dir.n && (size_t)snprintf(path, size, "%.*s/%s", STR_ARG(dir), name) < size &&
		    access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static bool steer_find(const char *name, char *path, size_t size)
{
	const char *env = getenv("PATH");

	return (env && steer_find_in(str_c(env), name, path, size)) ||
	       steer_find_in(STR("/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"), name, path, size);
}

static int steer_spawn(struct steer_run *r, const char *path, char *const *argv, pid_t *pid)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none, dfl;
	int rc;

	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&at);
	for (int i = 0; i < 3; i++)
		posix_spawn_file_actions_adddup2(&fa, r->fd[i], i);
	sigemptyset(&none);
	sigfillset(&dfl);
	posix_spawnattr_setsigmask(&at, &none);
	posix_spawnattr_setsigdefault(&at, &dfl);
	posix_spawnattr_setpgroup(&at,
				  0); /* a ^C at the terminal is for us, not in the middle of a transaction */
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	rc = posix_spawn(pid, path, &fa, &at, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&at);
	return -rc;
}

/* Waits for <pid> at most STEER_RUN_MS, then kills it. */
static int steer_wait(pid_t pid, int *status)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), rc = 0;

	if (pidfd >= 0) {
		struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
		int n;

		while ((n = poll(&pfd, 1, STEER_RUN_MS)) < 0 && errno == EINTR)
			;
		if (n == 0) {
			kill(pid, SIGKILL);
			rc = -ETIMEDOUT;
		}
		close(pidfd);
	}
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return rc;
}

/* Runs <name> with <args> on <input>. 0 when it ended, however: r->status tells. */
static int steer_run(struct steer_run *r, const char *name, char *const *argv, const char *input, char **err)
{
	char path[256];
	pid_t pid;
	int rc;

	rc = steer_run_open(r, input);
	if (rc == 0 && !steer_find(name, path, sizeof(path))) {
		steer_err(err, "%s is not installed (package iptables)", name);
		return -ENOENT;
	}
	if (rc == 0)
		rc = steer_spawn(r, path, argv, &pid);
	if (rc == 0)
		rc = steer_wait(pid, &r->status);
	if (rc < 0)
		steer_err(err, "cannot run %s: %s", name, strerror(-rc));
	return rc;
}

/* All of a memory file, terminated; NULL: no memory or too much. */
static char *steer_run_read(int fd, off_t max)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *s;

	if (size < 0 || size > max)
		return NULL;
	s = malloc((size_t)size + 1);
	if (!s)
		return NULL;
	if (pread(fd, s, (size_t)size, 0) != size) {
		free(s);
		return NULL;
	}
	s[size] = 0;
	return s;
}

/* ---- messages ---- */

/* words of a message, and what they mean for the operator */
static const struct {
	const char *word;
	int rc;
	const char *meaning;
} steer_meanings[] = {
	{ "Permission denied", -EPERM, "no permission: it needs CAP_NET_ADMIN (root)" },
	{ "Operation not permitted", -EPERM, "no permission: it needs CAP_NET_ADMIN (root)" },
	{ "you must be root", -EPERM, "no permission: it needs CAP_NET_ADMIN (root)" },
	{ "holding the xtables lock", -EBUSY, "another program holds the lock of iptables" },
	{ "Address family not supported", -EAFNOSUPPORT, "the kernel has no IPv6" },
	{ "can't initialize ip6tables table", -EAFNOSUPPORT, "the kernel has no mangle table for IPv6" },
	{ "can't initialize iptables table", -EOPNOTSUPP, "the kernel has no mangle table" },
};

/* extensions that our rules use, and the kernel's options that bring them */
static const struct {
	const char *word, *what;
} steer_needs[] = {
	{ "NFQUEUE", "the NFQUEUE target (CONFIG_NETFILTER_XT_TARGET_NFQUEUE, module xt_NFQUEUE)" },
	{ "-m iprange", "the iprange match (CONFIG_NETFILTER_XT_MATCH_IPRANGE, module xt_iprange)" },
	{ "-m bpf", "the bpf match (CONFIG_NETFILTER_XT_MATCH_BPF, module xt_bpf)" },
	{ "-m socket", "the socket match (CONFIG_NETFILTER_XT_MATCH_SOCKET, module xt_socket)" },
	{ "CONNMARK", "the CONNMARK target (CONFIG_NETFILTER_XT_CONNMARK, module xt_connmark)" },
	{ "-m connmark", "the connmark match (CONFIG_NETFILTER_XT_CONNMARK, module xt_connmark)" },
	{ "-m conntrack", "the conntrack match (CONFIG_NETFILTER_XT_MATCH_CONNTRACK, module xt_conntrack)" },
	{ "-m multiport", "the multiport match (CONFIG_NETFILTER_XT_MATCH_MULTIPORT, module xt_multiport)" },
	{ "-j MARK", "the MARK target (CONFIG_NETFILTER_XT_MARK, module xt_mark)" },
	{ "-m mark", "the mark match (CONFIG_NETFILTER_XT_MARK, module xt_mark)" },
};

/* the rule at the line that the message names ("line 12 failed", "line 12: RULE_APPEND failed") */
static struct str steer_line_of(const char *text, const char *out)
{
	const char *p = strstr(out, "line ");
	struct str rest = str_c(text), line = STR_NULL;
	unsigned long no = p ? strtoul(p + 5, NULL, 10) : 0;

	for (unsigned long i = 0; i < no && rest.p; i++)
		line = str_cut(&rest, '\n');
	return no && str_begins(line, STR("-")) ? line : STR_NULL;
}

static char *steer_one_line(const char *out)
{
	char *s = strndup(out, STEER_MSG_MAX);
	size_t n = s ? strlen(s) : 0;

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ')
			s[i] = ' ';
	while (n && s[n - 1] == ' ')
		s[--n] = 0;
	return s;
}

int steer_explain(const char *prog, const char *text, const char *out, char **err)
{
	struct str rule = steer_line_of(text, out);
	char *line;

	for (size_t i = 0; i < ARRAY_SIZE(steer_meanings); i++) {
		if (!strstr(out, steer_meanings[i].word))
			continue;
		steer_err(err, "%s: %s", prog, steer_meanings[i].meaning);
		return steer_meanings[i].rc;
	}
	line = steer_one_line(out);
	/* a rule that is well formed and still refused: the kernel lacks an extension that it uses */
	for (size_t i = 0; rule.n && i < ARRAY_SIZE(steer_needs); i++) {
		if (!memmem(rule.p, rule.n, steer_needs[i].word, strlen(steer_needs[i].word)))
			continue;
		steer_err(err, "%s: the kernel refuses rule '%.*s': it may lack %s [%s]", prog, STR_ARG(rule),
			  steer_needs[i].what, line ? line : "");
		free(line);
		return -EOPNOTSUPP;
	}
	steer_err(err, "%s failed: %s", prog, line && *line ? line : "no message");
	free(line);
	return -EIO;
}

/* The program ended: is it good? */
static int steer_run_check(const struct steer_run *r, const char *name, const char *input, char **err)
{
	char *msg;
	int rc;

	if (WIFEXITED(r->status) && WEXITSTATUS(r->status) == 0)
		return 0;
	if (WIFSIGNALED(r->status)) {
		steer_err(err, "%s was killed by signal %d", name, WTERMSIG(r->status));
		return -EIO;
	}
	msg = steer_run_read(r->fd[2], STEER_OUT_MAX);
	rc = steer_explain(name, input, msg ? msg : "", err);
	free(msg);
	return rc;
}

int steer_save(int family, char **out, char **err)
{
	const char *name = family == AF_INET6 ? "ip6tables-save" : "iptables-save";
	char *argv[] = { (char *)name, "-t", "mangle", NULL };
	struct steer_run r;
	int rc = steer_run(&r, name, argv, "", err);

	*out = NULL;
	if (rc == 0)
		rc = steer_run_check(&r, name, "", err);
	if (rc == 0) {
		*out = steer_run_read(r.fd[1], STEER_OUT_MAX);
		if (!*out) {
			steer_err(err, "%s: too much output", name);
			rc = -EFBIG;
		}
	}
	steer_run_close(&r);
	return rc;
}

int steer_restore(int family, const char *text, char **err)
{
	const char *name = family == AF_INET6 ? "ip6tables-restore" : "iptables-restore";
	char *argv[] = { (char *)name, "--noflush", "-w", "5", NULL };
	struct steer_run r;
	int rc = steer_run(&r, name, argv, text, err);

	if (rc == 0)
		rc = steer_run_check(&r, name, text, err);
	steer_run_close(&r);
	return rc;
}
