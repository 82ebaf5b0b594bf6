/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * steer.c - put steering in force and take it out again
 *
 * The order of steer_apply(); each step is taken back by those before it when it
 * fails, so the host is as it was or as the plan says:
 *
 *   1. look: src_valid_mark must be 0 (with it the source of a marked packet is
 *      looked up in our table and found to be local: a martian); warn of what
 *      will hurt but is the administrator's to decide
 *   2. read both families' mangle tables (iptables-save)
 *   3. ip rule and local route, each family, where they are missing: without
 *      packets that carry our mark they do nothing
 *   4. rules of IPv4, rules of IPv6: one transaction each, which also takes out
 *      what was ours before
 *   5. sysctls, last, because the tracker's exist only once a rule has loaded it.
 *      Originals go into the state file before the first is changed.
 *
 * The state file, /run/standin/steer-<inode of the network namespace>, is locked
 * for as long as a daemon steers there; the kernel drops the lock with the
 * process, so a file that can be locked and is not empty was left by a crash. Its
 * originals count where the sysctl still has the value that we gave it: inodes of
 * namespaces are used again, and an administrator may have changed the value.
 */
#include "l3/steer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "l3/mark.h"
#include "l3/steer_priv.h"

#define STEER_DIR   "/run/standin"
#define STEER_MAGIC "standin-steer 1"
#define STEER_VALUE 32 /* bytes of a sysctl's value */

/* nf_conntrack_tcp_be_liberal: pseudo sockets and translation make one connection have numbers that
 * differ by direction; else their packets are INVALID and carry no mark (FACTS §2).
 * tcp_early_demux: looks for a socket before routing; it would give forwarded packets to a pseudo socket in
 * TIME_WAIT, or to one that waits for its demotion (FACTS §2). On a router it costs a lookup for nothing. */
const struct steer_sysctl steer_sysctls[] = {
	{ "net/netfilter/nf_conntrack_tcp_be_liberal", "1" },
	{ "net/ipv4/tcp_early_demux", "0" },
};
const unsigned steer_nb_sysctls = ARRAY_SIZE(steer_sysctls);

struct steer {
	int fd; /* state file, locked */
	char path[256];
	char orig[ARRAY_SIZE(steer_sysctls)][STEER_VALUE]; /* "": not changed by us */
	bool left[2];           /* something of ours may be in force for this family */
	bool after_crash;
	struct steer_plan *now; /* owns: a copy of what is in force, or NULL */
};

void steer_err(char **err, const char *fmt, ...)
{
	char *text, *joined;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (!err || !text) {
		free(text);
		return;
	}
	if (*err && asprintf(&joined, "%s; %s", *err, text) >= 0) {
		free(*err);
		free(text);
		text = joined;
	}
	*err = text;
}

/* ---- sysctls ---- */

static int sysctl_get(const char *path, char val[STEER_VALUE])
{
	char file[300];
	ssize_t n;
	int fd;

	snprintf(file, sizeof(file), "/proc/sys/%s", path);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, val, STEER_VALUE - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	while (n > 0 && (val[n - 1] == '\n' || val[n - 1] == ' '))
		n--;
	val[n] = 0;
	return 0;
}

static int sysctl_set(const char *path, const char *val)
{
	char file[300];
	int fd, rc = 0;

	snprintf(file, sizeof(file), "/proc/sys/%s", path);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, val, strlen(val)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static uint64_t sysctl_number(const char *path, uint64_t otherwise)
{
	char val[STEER_VALUE];
	uint64_t v;

	return sysctl_get(path, val) == 0 && str_to_uint(str_c(val), &v) == 0 ? v : otherwise;
}

/* ---- state file ---- */

static int steer_store(struct steer *st, const struct steer_plan *p)
{
	struct buf b = { 0 };
	int rc = 0;

	buf_printf_grow(&b, STEER_MAGIC "\npid %d\nmark 0x%08" PRIx32 "\ntable %" PRIu32 "\n", (int)getpid(),
			p->mark_mask, p->route_table);
	for (unsigned i = 0; i < steer_nb_sysctls; i++)
		if (st->orig[i][0])
			buf_printf_grow(&b, "sysctl %s %s\n", steer_sysctls[i].path, st->orig[i]);
	if (pwrite(st->fd, buf_head(&b), b.data, 0) != (ssize_t)b.data ||
	    ftruncate(st->fd, (off_t)b.data) < 0)
		rc = -EIO;
	buf_free(&b);
	return rc;
}

/* a line of what a crashed run left */
static void steer_recall_line(struct steer *st, struct str line)
{
	struct str word = str_cut(&line, ' '), path = str_cut(&line, ' ');
	char now[STEER_VALUE];

	if (!str_eq(word, STR("sysctl")) || line.n == 0 || line.n >= STEER_VALUE)
		return;
	for (unsigned i = 0; i < steer_nb_sysctls; i++) {
		if (!str_eq(path, str_c(steer_sysctls[i].path)))
			continue;
		if (sysctl_get(steer_sysctls[i].path, now) == 0 && strcmp(now, steer_sysctls[i].want) == 0)
			memcpy(st->orig[i], line.p, line.n);
	}
}

static void steer_recall(struct steer *st)
{
	char text[1024];
	ssize_t n = pread(st->fd, text, sizeof(text) - 1, 0);
	struct str rest;

	if (n <= 0)
		return;
	st->left[0] = st->left[1] = st->after_crash = true;
	rest = str_n(text, (size_t)n);
	if (!str_eq(str_cut(&rest, '\n'), STR(STEER_MAGIC)))
		return;
	while (rest.p)
		steer_recall_line(st, str_cut(&rest, '\n'));
}

static int steer_busy(struct steer *st, char **err)
{
	char text[64] = "";
	ssize_t n = pread(st->fd, text, sizeof(text) - 1, 0);
	const char *pid = n > 0 ? strstr(text, "pid ") : NULL;

	steer_err(err, "this network namespace is steered by another standin (pid %ld)",
		  pid ? strtol(pid + 4, NULL, 10) : 0);
	return -EBUSY;
}

/* Opens and locks the state file. Its last owner may unlink it between the two: then it is nobody's lock. */
static int steer_lock(struct steer *st)
{
	struct stat sb;

	for (;;) {
		st->fd = open(st->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (st->fd < 0 || flock(st->fd, LOCK_EX | LOCK_NB) < 0 || fstat(st->fd, &sb) < 0)
			return -errno;
		if (sb.st_nlink > 0)
			return 0;
		close(st->fd);
	}
}

int steer_open(struct steer **out, const char *dir, char **err)
{
	struct steer *st = calloc(1, sizeof(*st));
	struct stat sb;
	int rc;

	*out = NULL;
	if (!st)
		return -ENOMEM;
	st->fd = -1;
	dir = dir ? dir : STEER_DIR;
	if (stat("/proc/thread-self/ns/net", &sb) < 0)
		goto sys;
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		goto sys;
	snprintf(st->path, sizeof(st->path), "%s/steer-%lu", dir, (unsigned long)sb.st_ino);
	rc = steer_lock(st);
	if (rc == -EWOULDBLOCK) {
		rc = steer_busy(st, err);
		goto out;
	}
	if (rc < 0)
		goto sys;
	steer_recall(st);
	*out = st;
	return 0;
sys:
	rc = -errno;
	steer_err(err, "steer: %s: %s", st->path[0] ? st->path : dir, strerror(-rc));
out:
	if (st->fd >= 0)
		close(st->fd);
	free(st);
	return rc;
}

bool steer_after_crash(const struct steer *st)
{
	return st->after_crash;
}

void steer_close(struct steer **pst)
{
	struct steer *st = *pst;
	struct stat sb;

	if (!st)
		return;
	/* nothing in force: an empty file. Unlinked under the lock, so nobody else has just taken it */
	if (!st->left[0] && !st->left[1] && fstat(st->fd, &sb) == 0 && sb.st_size == 0)
		unlink(st->path);
	close(st->fd);
	steer_plan_free(&st->now);
	free(st);
	*pst = NULL;
}

/* ---- checks ---- */

static int steer_check_src_valid_mark(char **err)
{
	DIR *d = opendir("/proc/sys/net/ipv4/conf");
	struct dirent *e;
	int rc = 0;

	while (d && (e = readdir(d))) {
		char path[300];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "net/ipv4/conf/%s/src_valid_mark", e->d_name);
		if (sysctl_number(path, 0) == 0)
			continue;
		steer_err(
		    err,
		    "net.ipv4.conf.%s.src_valid_mark is 1: packets for pseudo sockets would be dropped as "
		    "martians; set it to 0 (wg-quick sets it on 'all')",
		    e->d_name);
		rc = -EINVAL;
	}
	if (d)
		closedir(d);
	return rc;
}

static void PRINTF_LIKE(3, 4) steer_warn(steer_warn_fn *warn, void *arg, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (!warn)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	warn(arg, line);
}

static void steer_look(const struct steer_plan *p, char *const saved[2], steer_warn_fn *warn, void *arg)
{
	static const char *const forward[2] = { "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding" };
	uint64_t max;

	for (int i = 0; i < 2; i++) {
		char *rule;

		if (!p->rules[i][0])
			continue;
		if (sysctl_number(forward[i], 1) == 0)
			steer_warn(warn, arg, "%s is 0: this host does not forward IPv%d", forward[i],
				   i ? 6 : 4);
		rule = saved[i] ? steer_conflict(saved[i]) : NULL;
		if (rule)
			steer_warn(warn, arg,
				   "mangle rule '%s' writes connection marks without a mask: it may erase "
				   "bits 0x%08" PRIx32 " of connections in use",
				   rule, p->mark_mask);
		free(rule);
	}
	max = sysctl_number("net/netfilter/nf_conntrack_max", UINT64_MAX);
	if (p->maxflows && max < p->maxflows)
		steer_warn(warn, arg,
			   "net.netfilter.nf_conntrack_max is %" PRIu64 ", below maxflows %" PRIu64
			   ": the connection tracker will be full first",
			   max, p->maxflows);
}

/* ---- steps ---- */

static bool steer_has_ipv6(void)
{
	return access("/proc/sys/net/ipv6", F_OK) == 0;
}

/* family <i>: wanted by the plan, or something is left to take out */
static bool steer_concerns(const struct steer *st, const struct steer_plan *p, int i)
{
	return p->rules[i][0] || st->left[i];
}

static int steer_routes(const struct steer_plan *p, int i, char **err)
{
	return steer_route_set(steer_family(i), mark_bits(p->mark_mask, MARK_LOCAL), p->mark_mask, p->route_table,
			       err);
}

static int steer_rules(int i, const char *saved, const char *rules, char **err)
{
	char *text = steer_merge(saved, rules);
	int rc = text ? steer_restore(steer_family(i), text, err) : 0;

	free(text);
	return rc;
}

static int steer_sysctls_put(struct steer *st, const struct steer_plan *p, char **err)
{
	char now[STEER_VALUE];
	int rc;

	for (unsigned i = 0; i < steer_nb_sysctls; i++) {
		rc = sysctl_get(steer_sysctls[i].path, now);
		if (rc == 0 && strcmp(now, steer_sysctls[i].want) == 0)
			continue;
		if (rc == 0 && !st->orig[i][0])
			memcpy(st->orig[i], now, sizeof(now));
		if (rc == 0)
			rc = steer_store(st, p);
		if (rc == 0)
			rc = sysctl_set(steer_sysctls[i].path, steer_sysctls[i].want);
		if (rc < 0) {
			steer_err(err, "sysctl %s = %s: %s", steer_sysctls[i].path, steer_sysctls[i].want,
				  strerror(-rc));
			return rc;
		}
	}
	return 0;
}

static int steer_sysctls_back(struct steer *st, char **err)
{
	int rc = 0, one;

	for (unsigned i = 0; i < steer_nb_sysctls; i++) {
		if (!st->orig[i][0])
			continue;
		one = sysctl_set(steer_sysctls[i].path, st->orig[i]);
		if (one < 0) {
			steer_err(err, "sysctl %s = %s: %s", steer_sysctls[i].path, st->orig[i],
				  strerror(-one));
			rc = rc ? rc : one;
		}
		st->orig[i][0] = 0;
	}
	return rc;
}

/* Reads the mangle table of family <i>. Leftovers are looked for also where the plan wants nothing; that
 * such a family cannot be read does not matter then. */
static int steer_read(struct steer *st, const struct steer_plan *p, int i, char **saved, char **err)
{
	bool must = p->rules[i][0] || (st->left[i] && (i == 0 || steer_has_ipv6()));
	int rc = steer_save(steer_family(i), saved, must ? err : NULL);

	if (rc == 0 && strstr(*saved, ":" STEER_CHAIN))
		st->left[i] = true;
	return must ? rc : 0;
}

/* The way to the sockets is there before the first rule that sends a packet on it, and until the last one is out. */
static int steer_put_family(struct steer *st, const struct steer_plan *p, int i, const char *saved,
			    char **err)
{
	bool wanted = p->rules[i][0];
	int rc = 0;

	if (!steer_concerns(st, p, i))
		return 0;
	st->left[i] = true;
	if (wanted)
		rc = steer_routes(p, i, err);
	if (rc == 0 && saved)
		rc = steer_rules(i, saved, p->rules[i], err);
	if (rc == 0 && !wanted)
		rc = steer_route_clear(steer_family(i), err);
	if (rc == 0)
		st->left[i] = wanted;
	return rc;
}

/* The way back of a steer_apply() that failed: to what was in force before, or to nothing. What goes wrong
 * here is not told: the reason of the failure is. */
static void steer_back(struct steer *st)
{
	if (!st->now) {
		steer_withdraw(st, NULL);
		return;
	}
	for (int i = 0; i < 2; i++) {
		char *saved = NULL;

		if (steer_read(st, st->now, i, &saved, NULL) == 0)
			steer_put_family(st, st->now, i, saved, NULL);
		free(saved);
	}
	steer_sysctls_put(st, st->now, NULL);
}

int steer_apply(struct steer *st, const struct steer_plan *p, steer_warn_fn *warn, void *arg, char **err)
{
	struct steer_plan *copy = steer_plan_dup(p);
	char *saved[2] = { NULL, NULL };
	int rc = copy ? 0 : -ENOMEM;

	if (rc == 0 && p->rules[0][0])
		rc = steer_check_src_valid_mark(err);
	for (int i = 0; i < 2 && rc == 0; i++)
		rc = steer_read(st, p, i, &saved[i], err);
	if (rc == 0)
		rc = steer_store(st, p);
	if (rc < 0)
		goto out; /* nothing was changed */
	steer_look(p, saved, warn, arg);
	for (int i = 0; i < 2 && rc == 0; i++)
		rc = steer_put_family(st, p, i, saved[i], err);
	if (rc == 0 && (st->left[0] || st->left[1]))
		rc = steer_sysctls_put(st, p, err);
	else if (rc == 0)
		rc = steer_sysctls_back(st, err);
	if (rc < 0) {
		steer_back(st);
		goto out;
	}
	steer_plan_free(&st->now);
	st->now = copy;
	copy = NULL;
out:
	if (rc < 0 && err && !*err)
		steer_err(err, "steer: %s: %s", st->path, strerror(-rc));
	steer_plan_free(&copy);
	free(saved[0]);
	free(saved[1]);
	return rc;
}

int steer_withdraw(struct steer *st, char **err)
{
	int rc = 0, one;

	for (int i = 0; i < 2; i++) {
		char *saved = NULL;

		if (!st->left[i])
			continue;
		one = i == 0 || steer_has_ipv6() ? steer_save(steer_family(i), &saved, err) : 0;
		if (one == 0 && saved)
			one = steer_rules(i, saved, "", err);
		free(saved);
		rc = rc ? rc : one;
		one = steer_route_clear(steer_family(i), err);
		rc = rc ? rc : one;
		st->left[i] = false;
	}
	one = steer_sysctls_back(st, err);
	rc = rc ? rc : one;
	steer_plan_free(&st->now);
	if (rc == 0 && ftruncate(st->fd, 0) < 0)
		rc = -errno;
	return rc;
}

/* ---- on the helper thread ---- */

static void steer_job_warn(void *arg, const char *line)
{
	struct buf *b = arg;

	buf_printf_grow(b, "%s%s", b->data ? "\n" : "", line);
}

static void steer_job_run(struct helper_job *job)
{
	struct steer_job *j = container_of(job, struct steer_job, job);
	struct buf b = { 0 };

	j->rc = steer_apply(j->st, j->plan, steer_job_warn, &b, &j->err);
	if (b.data)
		buf_put_grow(&b, "", 1);
	j->warnings = b.area;
}

static void steer_job_done(struct worker *w, struct helper_job *job)
{
	struct steer_job *j = container_of(job, struct steer_job, job);
	struct steer_plan *plan = j->plan;
	char *err = j->err, *warnings = j->warnings;

	j->done(w, j);
	steer_plan_free(&plan);
	free(err);
	free(warnings);
}

void steer_job_submit(struct worker *w, struct steer_job *j)
{
	j->rc = 0;
	j->err = j->warnings = NULL;
	j->job.run = steer_job_run;
	j->job.done = steer_job_done;
	helper_submit(w, &j->job);
}
