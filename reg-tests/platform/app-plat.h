/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * app-plat.h - what the app-*.c programs share: findings, and a cgroup of their own
 *
 * Exit status 0, 1, or 77 with a reason where the host cannot show it.
 */
#ifndef APP_PLAT_H
#define APP_PLAT_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define USED __attribute__((unused)) static

static int failed;

USED void __attribute__((format(printf, 2, 3))) is(bool good, const char *fmt, ...)
{
	va_list ap;

	printf(good ? "ok - " : "not ok - ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	failed |= !good;
}

USED void __attribute__((noreturn)) skip(const char *why)
{
	printf("skipped: %s\n", why);
	exit(77);
}

/* "<mount><our own group>/app-plat-<pid>", made; NULL where <type> (with controller <ctl>) is not mounted. */
USED char *group_make(const char *type, const char *ctl)
{
	char line[8192], point[1024] = "", own[1024] = "", name[64];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *dir;

	while (f && fgets(line, sizeof(line), f)) {
		char kind[32], super[256], at[1024];
		const char *dash = strstr(line, " - ");

		if (dash && sscanf(dash, " - %31s %*s %255s", kind, super) == 2 && !strcmp(kind, type) &&
		    (!ctl || strstr(super, ctl)) && sscanf(line, "%*s %*s %*s %*s %1023s", at) == 1)
			strcpy(point, at);
	}
	if (f)
		fclose(f);
	if (!*point)
		return NULL;
	f = fopen("/proc/self/cgroup", "re");
	snprintf(name, sizeof(name), ":%s:", ctl ? ctl : "");
	while (f && fgets(line, sizeof(line), f)) {
		char *p = strstr(line, name);

		if (p)
			sscanf(p + strlen(name), "%1023s", own);
	}
	if (f)
		fclose(f);
	if (asprintf(&dir, "%s%s/app-plat-%d", point, strcmp(own, "/") ? own : "", (int)getpid()) < 0)
		return NULL;
	if (mkdir(dir, 0755)) {
		free(dir);
		return NULL;
	}
	return dir;
}

/* 0 or errno */
USED int group_write(const char *dir, const char *file, const char *text)
{
	char path[4096];
	int fd, rc = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = errno;
	close(fd);
	return rc;
}

USED const char *group_read(const char *dir, const char *file)
{
	static char text[8192];
	char path[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	if (fd >= 0)
		close(fd);
	return text;
}

/* A child inside <dir> that runs fn(arg) and exits with what it returns. */
USED pid_t group_fork(const char *dir, int (*fn)(void *), void *arg)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (group_write(dir, "cgroup.procs", "0"))
		_exit(99);
	_exit(fn(arg));
}

USED int status_of(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

USED void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

USED bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

#endif
