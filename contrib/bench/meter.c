/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * meter.c - what a command and everything around it cost
 *
 *   meter [-g PID] [-j CGROUP] COMMAND...
 *
 * Runs the command and adds a line to what it says:
 *
 *   wall_us=N cpu_us=N gw_us=N gw_end_us=N other_us=N
 *
 * cpu_us is all CPU time that this machine spent meanwhile, in processes, in the kernel's threads and
 * in interrupts: the processors' time less what /proc/stat calls idle. That is exact where
 * interrupts are not: packets are mostly handled in softirqs, which no process is
 * charged for when they interrupt an idle processor. Resolution: 10 ms.
 *
 * other_us is the part of it that is not ours. With -j, the directory of a CPU control group
 * in which all processes of the benchmark live, it is what all processes of the machine used
 * less those in the group and less ksoftirqd; it is already taken out of cpu_us. More
 * than a few per cent of it and the run says little.
 *
 * gw_us is the CPU time of process PID and its threads, exact; gw_end_us what it had used in
 * all its life when the command ended.
 *
 * The processors are those that this process may run on. The exit status is the command's.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>

#include "tool.h"

#define MAX_CPUS 1024

struct spent {
	int64_t wall_us, idle_us, gw_us, group_us, all_us, softirq_us;
};

static cpu_set_t cpus;
static clockid_t gw_clock;
static bool has_gw;
static char group_file[512], all_file[512];
static pid_t softirqd[MAX_CPUS];
static int nsoftirqd;

static int64_t clock_us(clockid_t id)
{
	struct timespec ts = { 0 };

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static int64_t process_us(pid_t pid)
{
	clockid_t id;

	return clock_getcpuclockid(pid, &id) ? 0 : clock_us(id);
}

/* Idle, waiting for disks, or stolen: the 4th, 5th and 8th number of a processor's line in /proc/stat */
static int64_t idle_us(void)
{
	FILE *f = fopen("/proc/stat", "r");
	unsigned long long v[8], ticks = 0;
	char line[512];
	int cpu;

	if (!f)
		die("/proc/stat: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "cpu%d %llu %llu %llu %llu %llu %llu %llu %llu", &cpu, v, v + 1, v + 2,
			   v + 3, v + 4, v + 5, v + 6, v + 7) == 9 &&
		    line[3] != ' ' && CPU_ISSET(cpu, &cpus))
			ticks += v[3] + v[4] + v[7];
	fclose(f);
	return ticks * 1000000 / sysconf(_SC_CLK_TCK);
}

/* cgroup v1: cpuacct.usage, in ns; v2: the usage_usec line of cpu.stat */
static int64_t group_us(const char *path)
{
	unsigned long long n = 0;
	FILE *f = fopen(path, "r");

	if (!f)
		die("%s: %s", path, strerror(errno));
	if (fscanf(f, "usage_usec %llu", &n) != 1 && fscanf(f, "%llu", &n) == 1)
		n /= 1000;
	fclose(f);
	return n;
}

static void find_softirqd(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[300], name[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		f = *e->d_name >= '0' && *e->d_name <= '9' ? fopen(path, "r") : NULL;
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) && !strncmp(name, "ksoftirqd/", 10) && nsoftirqd < MAX_CPUS)
			softirqd[nsoftirqd++] = atoi(e->d_name);
		fclose(f);
	}
	if (d)
		closedir(d);
}

/* <dir> is a group directly below the root of its hierarchy */
static void use_group(const char *dir)
{
	static const char *const files[] = { "cpuacct.usage", "cpu.stat" };

	for (size_t i = 0; i < 2; i++) {
		snprintf(group_file, sizeof(group_file), "%s/%s", dir, files[i]);
		snprintf(all_file, sizeof(all_file), "%s/../%s", dir, files[i]);
		if (!access(group_file, R_OK) && !access(all_file, R_OK)) {
			find_softirqd();
			return;
		}
	}
	die("%s: no control group with CPU times", dir);
}

static struct spent now_spent(void)
{
	struct spent s = { .idle_us = idle_us(), .gw_us = has_gw ? clock_us(gw_clock) : 0 };

	if (*group_file) {
		s.group_us = group_us(group_file);
		s.all_us = group_us(all_file);
	}
	for (int i = 0; i < nsoftirqd; i++)
		s.softirq_us += process_us(softirqd[i]);
	s.wall_us = now_us();
	return s;
}

static void report(const struct spent *a, const struct spent *b)
{
	int64_t wall = b->wall_us - a->wall_us;
	int64_t cpu = wall * CPU_COUNT(&cpus) - (b->idle_us - a->idle_us);
	int64_t other = b->all_us - a->all_us - (b->group_us - a->group_us) - (b->softirq_us - a->softirq_us);

	if (other < 0)
		other = 0;
	printf("wall_us=%lld cpu_us=%lld gw_us=%lld gw_end_us=%lld other_us=%lld\n", (long long)wall,
	       (long long)(cpu - other), (long long)(b->gw_us - a->gw_us), (long long)b->gw_us,
	       (long long)other);
}

int main(int argc, char **argv)
{
	struct spent before, after;
	int opt, status;
	pid_t pid;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		die("sched_getaffinity: %s", strerror(errno));
	while ((opt = getopt(argc, argv, "+g:j:")) != -1) {
		switch (opt) {
		case 'g':
			if (clock_getcpuclockid(atoi(optarg), &gw_clock))
				die("no process %s", optarg);
			has_gw = true;
			break;
		case 'j': use_group(optarg); break;
		default: return EXIT_UNABLE;
		}
	}
	if (optind >= argc)
		die("usage: meter [-g PID] [-j CGROUP] COMMAND...");
	before = now_spent();
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		execvp(argv[optind], argv + optind);
		die("%s: %s", argv[optind], strerror(errno));
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	after = now_spent();
	report(&before, &after);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_UNABLE;
}
