/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What cgroup.c relies on in v1's memory controller. Files are in /var/tmp: /tmp may be memory itself.
 */
#include "app-plat.h"

#define MIB (1 << 20)

static int use(void *arg)
{
	size_t n = (size_t)arg;
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(p, 1, n);
	pause_ms(300);
	return 0;
}

static unsigned long long key(const char *text, const char *name)
{
	const char *p = strstr(text, name);

	return p ? strtoull(p + strlen(name), NULL, 10) : 0;
}

/* Maps and reads a file that was never read before. */
static int map_file(void *arg)
{
	int fd = open(arg, O_RDONLY);
	volatile char *p = mmap(NULL, 4 * MIB, PROT_READ, MAP_SHARED, fd, 0);
	int sum = 0;

	for (int i = 0; i < 4 * MIB; i += 4096)
		sum += p[i];
	pause_ms(300);
	return sum & 0;
}

static void who_touches_a_file_first_pays_for_it(const char *dir)
{
	char path[] = "/var/tmp/app-plat-file-XXXXXX", text[8192];
	unsigned long long first, second;
	int fd = mkstemp(path);
	pid_t pid;

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 4 * MIB / (int)sizeof(text); i++)
		if (write(fd, text, sizeof(text)) < 0)
			exit(1);
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	pid = group_fork(dir, map_file, path);
	pause_ms(150);
	first = key(group_read(dir, "memory.stat"), "total_mapped_file ");
	waitpid(pid, NULL, 0);
	/* now it is in the page cache, charged to this group; another group maps it for nothing */
	if (group_write(dir, "memory.force_empty", "0")) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (read(fd, text, 1) < 0)
			exit(1);
	}
	readahead(fd, 0, 4 * MIB);
	pause_ms(200);
	pid = group_fork(dir, map_file, path);
	pause_ms(150);
	second = key(group_read(dir, "memory.stat"), "total_mapped_file ");
	waitpid(pid, NULL, 0);
	printf("mapped: %llu KiB when cold, %llu KiB when warm\n", first >> 10, second >> 10);
	is(first >= 3 * MIB, "mapped pages of a cold file are charged to who maps it");
	is(second <= 1 * MIB, "those of a file that others have read are not");
	close(fd);
	unlink(path);
}

static int read_twice(void *arg)
{
	char text[65536];
	int fd = open(arg, O_RDONLY), rc = 0;

	for (int round = 0; round < 3; round++) {
		lseek(fd, 0, SEEK_SET);
		while (read(fd, text, sizeof(text)) > 0)
			rc++;
	}
	return rc == 0;
}

static void a_limit_that_is_too_small_for_mapped_files_shows_as_refaults(const char *dir)
{
	char path[] = "/var/tmp/app-plat-file-XXXXXX", text[8192];
	int fd = mkstemp(path);

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 16 * MIB / (int)sizeof(text); i++)
		if (write(fd, text, sizeof(text)) < 0)
			exit(1);
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	is(status_of(group_fork(dir, read_twice, path)) == 0, "16 MiB of file pages are read again and again in 8 MiB");
	is(key(group_read(dir, "memory.stat"), "total_workingset_refault_file ") > 0,
	   "pages that were pushed out and needed again are counted");
	close(fd);
	unlink(path);
}

int main(void)
{
	char *dir;
	pid_t pid;

	if (geteuid())
		skip("needs root");
	dir = group_make("cgroup", "memory");
	if (!dir)
		skip("no v1 memory controller");
	pid = group_fork(dir, use, (void *)(size_t)(16 * MIB));
	pause_ms(100);
	is(atoi(group_read(dir, "cgroup.procs")) == pid, "writing 0 to cgroup.procs moves the writer");
	is(group_write(dir, "memory.limit_in_bytes", "4194304") == EBUSY,
	   "a limit below what is used and cannot be reclaimed is refused (EBUSY)");
	is(waitpid(pid, NULL, WNOHANG) == 0, "and kills nobody");
	is(group_write(dir, "memory.limit_in_bytes", "67108864") == 0, "a limit above it is taken");
	is(group_write(dir, "memory.memsw.limit_in_bytes", "33554432") == EINVAL,
	   "the limit of memory and swap may not be below that of memory (EINVAL)");
	waitpid(pid, NULL, 0);

	group_write(dir, "memory.limit_in_bytes", "8388608");
	group_write(dir, "memory.memsw.limit_in_bytes", "8388608");
	pid = group_fork(dir, use, (void *)(size_t)(32 * MIB));
	is(WIFSIGNALED(status_of(pid)), "more than the limit is killed");
	is(key(group_read(dir, "memory.oom_control"), "oom_kill ") == 1, "and counted in memory.oom_control");
	printf("memory.failcnt is %llu: not to be relied on (0 with Linux 6.18)\n",
	       strtoull(group_read(dir, "memory.failcnt"), NULL, 10));
	a_limit_that_is_too_small_for_mapped_files_shows_as_refaults(dir);

	group_write(dir, "memory.memsw.limit_in_bytes", "67108864");
	group_write(dir, "memory.limit_in_bytes", "67108864");
	pid = group_fork(dir, use, (void *)(size_t)(32 * MIB));
	is(status_of(pid) == 0, "a limit that was raised in place holds at once");
	who_touches_a_file_first_pays_for_it(dir);
	for (int i = 0; i < 50 && rmdir(dir); i++)
		pause_ms(20);
	is(access(dir, F_OK) != 0, "an empty group can be removed");
	free(dir);
	return failed;
}
