/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What cgroup.c relies on in v2, also where it is mounted beside v1 without any controller.
 */
#include "app-plat.h"

static int fork_on(void *arg)
{
	for (;;) {
		if (fork() == 0) {
			pause_ms(20);
			continue;
		}
		pause_ms(5);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (getppid() == 1)
			_exit(0);
	}
	return 0;
}

static int wait_long(void *arg)
{
	pause_ms(20000);
	return 0;
}

static bool populated(const char *dir)
{
	return strstr(group_read(dir, "cgroup.events"), "populated 1") != NULL;
}

int main(void)
{
	char *dir;
	pid_t pid, z;
	int status;

	if (geteuid())
		skip("needs root");
	dir = group_make("cgroup2", NULL);
	if (!dir)
		skip("cgroup2 is not mounted");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = group_fork(dir, wait_long, NULL);
	pause_ms(50);
	is(atoi(group_read(dir, "cgroup.procs")) == pid, "writing 0 to cgroup.procs moves the writer");
	is(strstr(group_read(dir, "cpu.stat"), "usage_usec") != NULL, "every group counts processor time");

	is(group_write(dir, "cgroup.freeze", "1") == 0, "it can be frozen");
	pause_ms(50);
	is(strstr(group_read(dir, "cgroup.events"), "frozen 1") != NULL, "and says so");
	if (group_write(dir, "cgroup.kill", "1")) {
		kill(pid, SIGKILL);
		group_write(dir, "cgroup.freeze", "0");
		waitpid(pid, NULL, 0);
		rmdir(dir);
		skip("no cgroup.kill (before Linux 5.14)");
	}
	status = status_of(pid);
	is(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "cgroup.kill kills what is frozen");
	group_write(dir, "cgroup.freeze", "0");
	rmdir(dir);
	if (mkdir(dir, 0755))
		return 1;

	pid = group_fork(dir, fork_on, NULL);
	pause_ms(60);
	is(group_write(dir, "cgroup.kill", "1") == 0, "cgroup.kill of a group that forks all the time");
	while ((z = waitpid(-1, NULL, WNOHANG)) >= 0 && populated(dir))
		pause_ms(2);
	is(!populated(dir), "leaves nobody");
	rmdir(dir);
	if (mkdir(dir, 0755))
		return 1;

	pid = group_fork(dir, wait_long, NULL);
	pause_ms(50);
	kill(pid, SIGKILL);
	pause_ms(100);
	is(rmdir(dir) == 0, "a process that ended but was not reaped does not keep its group");
	waitpid(pid, NULL, 0);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	rmdir(dir);
	free(dir);
	return failed;
}
