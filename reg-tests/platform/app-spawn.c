/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the keeper and the process driver rely on: pidfds, and a pipe that exec closes.
 */
#include <linux/sched.h>

#include "app-plat.h"

static pid_t clone_pidfd(int *pidfd)
{
	struct clone_args ca = { .flags = CLONE_PIDFD, .pidfd = (uintptr_t)pidfd, .exit_signal = SIGCHLD };

	return syscall(SYS_clone3, &ca, sizeof(ca));
}

static void exec_or_report(int fd, const char *path)
{
	execl(path, path, "0.2", NULL);
	if (write(fd, &errno, sizeof(errno)) < 0)
		_exit(1);
	_exit(127);
}

static void a_pipe_tells_whether_exec_worked(void)
{
	static const char *const paths[] = { "/bin/sleep", "/no/such/program" };
	int err, p[2];

	for (int i = 0; i < 2; i++) {
		pid_t pid;
		ssize_t n;

		if (pipe2(p, O_CLOEXEC))
			exit(1);
		pid = fork();
		if (pid == 0)
			exec_or_report(p[1], paths[i]);
		close(p[1]);
		n = read(p[0], &err, sizeof(err));
		if (i == 0)
			is(n == 0 && waitpid(pid, NULL, WNOHANG) == 0, "end of file while the program runs: it was executed");
		else
			is(n == sizeof(err) && err == ENOENT, "what it said: it was not, and why");
		close(p[0]);
		waitpid(pid, NULL, 0);
	}
}

static void a_pidfd_is_readable_once_the_process_ended(void)
{
	siginfo_t si = { 0 };
	int pidfd = -1;
	pid_t pid = clone_pidfd(&pidfd);

	if (pid == 0) {
		pause_ms(100);
		_exit(5);
	}
	is(!readable(pidfd, 0), "not before");
	is(readable(pidfd, 2000), "and after");
	is(waitid(P_PIDFD, pidfd, &si, WEXITED) == 0 && si.si_status == 5, "its parent gets the status by it");
	is(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno == ESRCH,
	   "after that a signal through it meets nobody");
	close(pidfd);
}

static void others_may_poll_but_not_wait(void)
{
	int pidfd = -1, sync[2];
	pid_t pid, other;
	siginfo_t si;
	char c;

	if (pipe(sync))
		exit(1);
	pid = clone_pidfd(&pidfd);
	if (pid == 0) {
		close(sync[1]);
		_exit(read(sync[0], &c, 1) != 0);
	}
	other = fork();
	if (other == 0) {
		close(sync[1]);
		_exit(!readable(pidfd, 2000) + 2 * !(waitid(P_PIDFD, pidfd, &si, WEXITED) < 0 && errno == ECHILD));
	}
	close(sync[1]);
	is(status_of(other) == 0, "a process that is not its parent sees the end, too, but not how it ended");
	waitpid(pid, NULL, 0);
}

/* parent -> child: the child dies with the parent unless it changed its user after asking for that */
static int dies_with_parent(bool ask_after)
{
	int p[2];
	char c;
	pid_t parent;

	if (pipe(p))
		exit(1);
	parent = fork();
	if (parent == 0) {
		if (fork() == 0) {
			if (!ask_after)
				prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
				_exit(1);
			if (ask_after)
				prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(p[0]);
			c = 'x';
			if (write(p[1], &c, 1) < 0)
				_exit(1);
			pause_ms(1000);
			_exit(0);
		}
		pause();
	}
	close(p[1]);
	if (read(p[0], &c, 1) != 1)
		exit(1);
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	c = readable(p[0], 500); /* end of file: the child is gone */
	close(p[0]);
	return c;
}

int main(void)
{
	a_pipe_tells_whether_exec_worked();
	a_pidfd_is_readable_once_the_process_ended();
	others_may_poll_but_not_wait();
	if (geteuid() == 0) {
		is(dies_with_parent(true), "PR_SET_PDEATHSIG after the change of user: it dies with its parent");
		is(!dies_with_parent(false), "before it: it does not");
	}
	return failed;
}
