/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * keeper.c - the process that outlives the loop
 *
 * It is forked before anything else exists, so it is small, single-threaded
 * and knows no configuration. It decides nothing: it does what messages say
 * (keeper_priv.h), after checking each as if the loop had been taken over, and
 * answers. What it adds is what only a parent can: exit statuses that are never
 * lost, and an end for everything it started.
 *
 * A child is PENDING until its report pipe ends (exec'd: STARTED is sent) or
 * brings an error (STARTED with the error; the process is reaped silently);
 * then it runs until reaped (EXITED). A child reaped while pending has its pipe
 * read first, so STARTED always comes before EXITED.
 *
 * The keeper is a subreaper: what an instance leaves behind becomes its child,
 * and is reaped here.
 *
 * Signals are the daemon's business. The keeper lives in a session of its own, so a
 * terminal's INT and QUIT do not reach it, and ignores all others meant for the daemon
 * (a service manager may send TERM to the whole group). It ends in one way only: when
 * the loop's end of the socket closes. Then each child gets its stop signal; when
 * all are gone, or the longest of their stop times is over, whatever is left in any
 * cgroup below the trees it was ever told to use is killed and the directories removed;
 * so is whatever else has become our child.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/list.h"
#include "keeper_priv.h"

#define KEEPER_MAX_DEPTH 8 /* of cgroups below an instance's */

struct kchild {
	struct list node; /* in kstate.children */
	uint64_t id;
	pid_t pid;
	int pidfd, report; /* own; report is -1 once it has been read: no longer pending */
	int stop_signal;
	unsigned stop_ms;
};

struct kheld {
	struct list node;
	char name[KEEPER_NAME_LEN];
	int fd; /* owns */
};

struct ktree {
	struct list node;
	char path[]; /* "/sys/fs/cgroup/.../standin-<x>" */
};

struct kstate {
	int sock, sigfd;
	bool orphan; /* the loop is gone */
	struct rlimit nofile; /* as we were started; ours is raised, two descriptors for each child */
	struct list children, held, trees;
	char msg[KEEPER_MAX_MSG] __attribute__((aligned(8)));
};

static uint64_t keeper_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

static void keeper_tell(struct kstate *k, int type, uint64_t id, const void *body, size_t n, int fd)
{
	struct kmsg m = { .type = type, .id = id };

	if (!k->orphan)
		kmsg_send(k->sock, &m, body, n, fd); /* it failed: the loop is gone, poll will say so */
}

static void kchild_free(struct kchild *c)
{
	list_del(&c->node);
	if (c->report >= 0)
		close(c->report);
	close(c->pidfd);
	free(c);
}

/* Remembers the tree that holds an instance's cgroup, for the end. */
static void keeper_note_tree(struct kstate *k, const char *procs)
{
	const char *end = strrchr(procs, '/');
	struct ktree *t;
	size_t n;

	end = memrchr(procs, '/', end - procs);
	n = end - procs;
	list_for_each(t, &k->trees, node)
		if (strlen(t->path) == n && !memcmp(t->path, procs, n))
			return;
	t = calloc(1, sizeof(*t) + n + 1);
	if (!t)
		return;
	memcpy(t->path, procs, n);
	list_add_tail(&k->trees, &t->node);
}

static void keeper_spawn_msg(struct kstate *k, const struct kmsg *m, size_t len, int fd)
{
	struct kmsg_started st = { .step = KSTEP_CLONE };
	struct kchild *c = calloc(1, sizeof(*c));
	struct kspawn sp;
	int rc = c ? kspawn_parse(&sp, k->msg, len, fd) : -ENOMEM;

	if (rc == 0) {
		sp.nofile = &k->nofile;
		for (unsigned i = 0; i < sp.fixed.nb_cgroups; i++)
			keeper_note_tree(k, sp.cgroups[i]);
		rc = kspawn_clone(&sp, &c->pidfd, &c->report);
		free(sp.argv);
	}
	if (rc < 0) {
		st.err = -rc;
		keeper_tell(k, KMSG_STARTED, m->id, &st, sizeof(st), -1);
		free(c);
		return;
	}
	c->id = m->id;
	c->pid = rc;
	c->stop_signal = sp.fixed.stop_signal;
	c->stop_ms = sp.fixed.stop_ms;
	list_add_tail(&k->children, &c->node);
}

/* The report pipe has something, or ended. True when it is done with. */
static bool kchild_report(struct kstate *k, struct kchild *c)
{
	struct kmsg_started st = { 0 };
	ssize_t n = read(c->report, &st, sizeof(st));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	close(c->report);
	c->report = -1;
	if (n == (ssize_t)sizeof(st) && st.step >= 0 && st.step < KSTEP_COUNT && st.err) {
		keeper_tell(k, KMSG_STARTED, c->id, &st, sizeof(st), -1);
		c->id = 0; /* reaped silently */
		return true;
	}
	st = (struct kmsg_started){ .pid = c->pid };
	keeper_tell(k, KMSG_STARTED, c->id, &st, sizeof(st), c->pidfd);
	return true;
}

static void keeper_reap(struct kstate *k)
{
	struct signalfd_siginfo si;
	struct kchild *c, *tmp;
	int status;
	pid_t pid;

	while (read(k->sigfd, &si, sizeof(si)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		list_for_each_safe(c, tmp, &k->children, node) {
			struct kmsg_exited ex = { .status = status };

			if (c->pid != pid)
				continue;
			if (c->report >= 0)
				kchild_report(k, c);
			if (c->id)
				keeper_tell(k, KMSG_EXITED, c->id, &ex, sizeof(ex), -1);
			kchild_free(c);
			break;
		}
}

static void keeper_drop_name(struct kstate *k, const char *name)
{
	struct kheld *h, *tmp;

	list_for_each_safe(h, tmp, &k->held, node)
		if (!strcmp(h->name, name)) {
			list_del(&h->node);
			close(h->fd);
			free(h);
		}
}

/* HOLD or DROP: the body is a name. */
static void keeper_name_msg(struct kstate *k, const struct kmsg *m, size_t len, int fd)
{
	const char *name = k->msg + sizeof(*m);
	size_t n = len - sizeof(*m);
	struct kheld *h;

	if (n < 2 || n > KEEPER_NAME_LEN || memchr(name, 0, n) != name + n - 1)
		goto refuse;
	keeper_drop_name(k, name);
	if (m->type == KMSG_DROP || fd < 0)
		goto refuse;
	h = calloc(1, sizeof(*h));
	if (!h)
		goto refuse;
	memcpy(h->name, name, n);
	h->fd = fd;
	list_add_tail(&k->held, &h->node);
	return;
refuse:
	if (fd >= 0)
		close(fd);
}

static void keeper_read(struct kstate *k)
{
	const struct kmsg *m = (const struct kmsg *)k->msg;
	int fd;
	ssize_t n = kmsg_recv(k->sock, k->msg, sizeof(k->msg), &fd);

	if (n == -EBADMSG)
		return;
	if (n <= 0) {
		k->orphan = true;
		return;
	}
	if (m->type == KMSG_SPAWN) {
		keeper_spawn_msg(k, m, n, fd);
	} else if (m->type == KMSG_HOLD || m->type == KMSG_DROP) {
		keeper_name_msg(k, m, n, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
}

/* One turn: waits for a message, a dead child, or a child's report. */
static void keeper_turn(struct kstate *k, int timeout_ms)
{
	struct kchild *c, *tmp;
	struct pollfd *pfd;
	nfds_t n = 2;

	list_for_each(c, &k->children, node)
		n += c->report >= 0;
	pfd = calloc(n, sizeof(*pfd));
	if (!pfd) {
		poll(NULL, 0, 10); /* no memory: wait for better times */
		return;
	}
	pfd[0] = (struct pollfd){ .fd = k->orphan ? -1 : k->sock, .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = k->sigfd, .events = POLLIN };
	n = 2;
	list_for_each(c, &k->children, node)
		if (c->report >= 0)
			pfd[n++] = (struct pollfd){ .fd = c->report, .events = POLLIN };
	if (poll(pfd, n, timeout_ms) > 0) {
		n = 2;
		list_for_each_safe(c, tmp, &k->children, node)
			if (c->report >= 0 && pfd[n++].revents)
				kchild_report(k, c);
		if (pfd[1].revents)
			keeper_reap(k);
		if (pfd[0].revents)
			keeper_read(k);
	}
	free(pfd);
}

static void keeper_kill_procs(const char *dir)
{
	char path[4096 + 16], line[32];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		if (atoi(line) > 1)
			kill(atoi(line), SIGKILL);
	fclose(f);
}

/* Kills all in the cgroups below <dir> (an instance that runs as root may have made some of its own) and removes
 * them and it; true when it is gone. */
static bool keeper_clear(const char *dir, int depth)
{
	char path[4096];
	struct dirent *e;
	DIR *d = opendir(dir);

	if (!d)
		return errno == ENOENT;
	while ((e = readdir(d))) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.' ||
		    snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= (int)sizeof(path))
			continue;
		keeper_kill_procs(path);
		if (rmdir(path) && depth < KEEPER_MAX_DEPTH)
			keeper_clear(path, depth + 1);
	}
	closedir(d);
	return rmdir(dir) == 0;
}

/* Kills whoever is still our child: what left its cgroup or, on a host without cgroups, its session. As a parent
 * dies its children become ours, and the next turn's. False when there is nobody. */
static bool keeper_kill_children(void)
{
	FILE *f = fopen("/proc/thread-self/children", "re");
	int pid, n = 0;

	while (f && fscanf(f, "%d", &pid) == 1)
		n += kill(pid, SIGKILL) == 0;
	if (f)
		fclose(f);
	return n > 0;
}

static void keeper_end(struct kstate *k)
{
	uint64_t deadline = keeper_now_ms(), now;
	unsigned longest = 0;
	struct kchild *c;
	struct ktree *t;
	bool all;

	list_for_each(c, &k->children, node) {
		syscall(SYS_pidfd_send_signal, c->pidfd, c->stop_signal, NULL, 0);
		longest = MAX(longest, MIN(c->stop_ms, 60000));
	}
	deadline += longest;
	while (!list_empty(&k->children) && (now = keeper_now_ms()) < deadline)
		keeper_turn(k, deadline - now);
	list_for_each(c, &k->children, node)
		kill(-c->pid, SIGKILL); /* its session's group: all there is without cgroups */
	for (int i = 0; i < 200; i++) {
		all = true;
		list_for_each(t, &k->trees, node)
			all &= keeper_clear(t->path, 0);
		if (!keeper_kill_children() && all && list_empty(&k->children))
			break;
		keeper_turn(k, 10);
	}
}

static void keeper_raise_nofile(struct kstate *k)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &k->nofile) < 0)
		_exit(1);
	lim = (struct rlimit){ .rlim_cur = k->nofile.rlim_max, .rlim_max = k->nofile.rlim_max };
	setrlimit(RLIMIT_NOFILE, &lim);
}

void keeper_main(int sock)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGTSTP };
	struct kstate *k = calloc(1, sizeof(*k));
	sigset_t set;

	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* a session and descriptors of its own: whoever waits for the end of the daemon's output must not
	 * wait for us */
	if (!k || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
	    dup2(sock, 3) < 0)
		_exit(1);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	syscall(SYS_close_range, 4, ~0U, 0);
	setsid();
	prctl(PR_SET_NAME, "standin-keeper");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
	k->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	k->sock = 3;
	list_init(&k->children);
	list_init(&k->held);
	list_init(&k->trees);
	if (k->sigfd < 0 || chdir("/"))
		_exit(1);
	keeper_raise_nofile(k);
	while (!k->orphan)
		keeper_turn(k, -1);
	keeper_end(k);
	_exit(0);
}
