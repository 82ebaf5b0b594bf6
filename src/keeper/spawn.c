/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * spawn.c - the keeper's clone and exec
 *
 * The child is made with clone3(CLONE_PIDFD): the descriptor names exactly this
 * process, whatever happens to its number. It joins its cgroups by writing "0"
 * into their cgroup.procs, which v1 and v2 both take for the writer itself
 * (CLONE_INTO_CGROUP is v2 only), so it is inside its limits before a single
 * instruction of the program runs. Order: cgroups while still privileged; then
 * session, descriptors, limits; then groups and user; then the directory, entered
 * as that user; then no_new_privs and exec.
 *
 * The pipe for reporting is close-on-exec: what the other end reads is either
 * the step that failed with its errno, or the end of file, which means that the
 * program runs.
 *
 * PR_SET_PDEATHSIG (after the user changed, which clears it): the process dies
 * with the keeper, so that the death of both processes of the daemon leaves no
 * orphan behind. The keeper has one thread, so this is never about a thread's end.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper_priv.h"

/* The next string of the message, or NULL when it does not end within. */
static char *kspawn_str(char **p, const char *end)
{
	char *s = *p, *nul = memchr(s, 0, end - s);

	if (!nul)
		return NULL;
	*p = nul + 1;
	return s;
}

/* "/<anything>/standin-<x>/<instance>/cgroup.procs": nothing else is ever joined, emptied or removed. */
static bool kspawn_cgroup_ok(const char *path)
{
	const char *end = strrchr(path, '/'), *dir, *tree;

	if (path[0] != '/' || !end || strcmp(end, "/cgroup.procs") || strstr(path, "/../") ||
	    strstr(path, "/./") || strstr(path, "//"))
		return false;
	dir = memrchr(path, '/', end - path);
	tree = dir ? memrchr(path, '/', dir - path) : NULL;
	return tree && end - dir > 1 && !strncmp(tree, "/standin-", 9);
}

int kspawn_parse(struct kspawn *sp, void *msg, size_t len, int fd)
{
	char *p = (char *)msg + sizeof(struct kmsg), *end = (char *)msg + len;
	unsigned nb;

	memset(sp, 0, sizeof(*sp));
	sp->out_fd = fd;
	if ((size_t)(end - p) < sizeof(sp->fixed))
		return -EINVAL;
	memcpy(&sp->fixed, p, sizeof(sp->fixed));
	p += sizeof(sp->fixed);
	nb = sp->fixed.argc + sp->fixed.envc;
	if (!sp->fixed.argc || nb > (size_t)(end - p) || sp->fixed.nb_cgroups > KEEPER_MAX_CGROUPS ||
	    sp->fixed.nb_rlimits > KEEPER_MAX_RLIMITS || sp->fixed.stop_signal < 1 ||
	    sp->fixed.stop_signal >= NSIG || sp->fixed.uid == (uint32_t)-1 || sp->fixed.gid == (uint32_t)-1)
		return -EINVAL;
	sp->path = kspawn_str(&p, end);
	sp->dir = sp->path ? kspawn_str(&p, end) : NULL;
	if (!sp->dir || sp->path[0] != '/' || sp->dir[0] != '/')
		return -EINVAL;
	for (unsigned i = 0; i < sp->fixed.nb_cgroups; i++)
		if (!(sp->cgroups[i] = kspawn_str(&p, end)) || !kspawn_cgroup_ok(sp->cgroups[i]))
			return -EINVAL;
	sp->argv = calloc(nb + 2, sizeof(char *));
	if (!sp->argv)
		return -ENOMEM;
	sp->envp = sp->argv + sp->fixed.argc + 1;
	for (unsigned i = 0; i < nb; i++) {
		char *s = kspawn_str(&p, end);

		if (!s) {
			free(sp->argv);
			return -EINVAL;
		}
		sp->argv[i < sp->fixed.argc ? i : i + 1] = s;
	}
	return 0;
}

static bool kchild_join(const struct kspawn *sp)
{
	for (unsigned i = 0; i < sp->fixed.nb_cgroups; i++) {
		int fd = open(sp->cgroups[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "0", 1) != 1)
			return false;
		close(fd);
	}
	return true;
}

/* stdin is empty; output goes to the loop's pipe; everything else is closed by exec. */
static bool kchild_stdio(const struct kspawn *sp)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int out = sp->out_fd >= 0 ? sp->out_fd : null;

	return null >= 0 && dup2(null, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2 &&
	       syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

static bool kchild_rlimits(const struct kspawn *sp)
{
	if (sp->nofile && setrlimit(RLIMIT_NOFILE, sp->nofile))
		return false;
	for (unsigned i = 0; i < sp->fixed.nb_rlimits; i++) {
		struct rlimit rl = { .rlim_cur = sp->fixed.rlimits[i].soft,
				     .rlim_max = sp->fixed.rlimits[i].hard };

		if (setrlimit(sp->fixed.rlimits[i].resource, &rl))
			return false;
	}
	return true;
}

static void kchild_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Does what it can; the step that failed, with errno. Comes back only in that case. */
static enum kstep kchild_run(const struct kspawn *sp, pid_t keeper)
{
	gid_t gid = sp->fixed.gid;

	if (!kchild_join(sp))
		return KSTEP_CGROUP;
	setsid();
	kchild_signals();
	if (!kchild_stdio(sp))
		return KSTEP_OUTPUT;
	if (!kchild_rlimits(sp))
		return KSTEP_RLIMIT;
	umask(sp->fixed.umask);
	if (geteuid() == 0 && setgroups(1, &gid))
		return KSTEP_GROUP;
	if (setresgid(gid, gid, gid))
		return KSTEP_GROUP;
	if (setresuid(sp->fixed.uid, sp->fixed.uid, sp->fixed.uid))
		return KSTEP_USER;
	if (chdir(sp->dir))
		return KSTEP_DIR;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper) {
		errno = ECHILD; /* it died before the line above */
		return KSTEP_CLONE;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	execve(sp->path, sp->argv, sp->envp);
	return KSTEP_EXEC;
}

pid_t kspawn_clone(const struct kspawn *sp, int *pidfd, int *report)
{
	struct clone_args ca = { .flags = CLONE_PIDFD, .pidfd = (uintptr_t)pidfd, .exit_signal = SIGCHLD };
	pid_t keeper = getpid(), pid;
	int p[2];

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	pid = syscall(SYS_clone3, &ca, sizeof(ca));
	if (pid == 0) {
		struct kmsg_started st;

		st.step = kchild_run(sp, keeper);
		st.err = errno;
		st.pid = 0;
		if (write(p[1], &st, sizeof(st)) < 0)
			_exit(126);
		_exit(127);
	}
	if (pid < 0) {
		pid = -errno;
		close(p[0]);
	}
	close(p[1]);
	*report = pid < 0 ? -1 : p[0];
	return pid;
}
