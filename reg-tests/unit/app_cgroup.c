/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cgroup.c against made-up hosts: a directory with its own proc/ and sys/, in
 * which the files that the kernel would make are made by the test.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cgroup.h"

static char root[64];

static char *path_of(const char *fmt, va_list ap)
{
	static char path[512];
	int n = snprintf(path, sizeof(path), "%s/", root);

	vsnprintf(path + n, sizeof(path) - n, fmt, ap);
	return path;
}

/* Writes <text> to root/<path>, with the directories above. */
static void put(const char *text, const char *fmt, ...)
{
	char cmd[600];
	va_list ap;
	FILE *f;
	char *path;

	va_start(ap, fmt);
	path = path_of(fmt, ap);
	va_end(ap);
	snprintf(cmd, sizeof(cmd), "mkdir -p $(dirname %s)", path);
	cr_assert_eq(system(cmd), 0);
	f = fopen(path, "w");
	cr_assert_not_null(f, "%s", path);
	fputs(text, f);
	fclose(f);
}

static const char *get(const char *fmt, ...)
{
	static char text[512];
	va_list ap;
	FILE *f;
	char *path;
	size_t n;

	va_start(ap, fmt);
	path = path_of(fmt, ap);
	va_end(ap);
	f = fopen(path, "r");
	if (!f)
		return "(no file)";
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	return text;
}

static bool exists(const char *fmt, ...)
{
	va_list ap;
	char *path;

	va_start(ap, fmt);
	path = path_of(fmt, ap);
	va_end(ap);
	return access(path, F_OK) == 0;
}

static void setup(void)
{
	strcpy(root, "/tmp/app-cgroup-XXXXXX");
	cr_assert_not_null(mkdtemp(root));
}

static void teardown(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", root);
	cr_assert_eq(system(cmd), 0);
}

TestSuite(cgroup, .init = setup, .fini = teardown);

static void host_v1(void)
{
	put("31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw\n"
	    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:4 - cgroup cgroup rw,cpu,cpuacct\n"
	    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
	    "37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n"
	    "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n",
	    "proc/self/mountinfo");
	put("8:pids:/\n6:freezer:/\n4:memory:/a/b\n2:cpu,cpuacct:/c\n", "proc/self/cgroup");
	put("", "sys/fs/cgroup/memory/a/b/tasks");
	put("", "sys/fs/cgroup/cpu/c/tasks");
	put("", "sys/fs/cgroup/pids/tasks");
	put("", "sys/fs/cgroup/freezer/tasks");
}

static void instance_files_v1(const char *name)
{
	put("", "sys/fs/cgroup/memory/a/b/standin-t/%s/memory.limit_in_bytes", name);
	put("", "sys/fs/cgroup/memory/a/b/standin-t/%s/memory.memsw.limit_in_bytes", name);
	put("", "sys/fs/cgroup/cpu/c/standin-t/%s/cpu.cfs_quota_us", name);
	put("", "sys/fs/cgroup/cpu/c/standin-t/%s/cpu.cfs_period_us", name);
	put("", "sys/fs/cgroup/pids/standin-t/%s/pids.max", name);
	put("", "sys/fs/cgroup/freezer/standin-t/%s/freezer.state", name);
}

static void forget_files(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "find %s -type f -path '*standin-*' -delete", root);
	cr_assert_eq(system(cmd), 0);
}

Test(cgroup, a_v1_host_gives_each_controller_from_its_own_hierarchy_below_our_own_group)
{
	struct cgroup_host h;
	struct cgroup cg;

	host_v1();
	cgroup_host_init(&h, root, "standin-t", NULL, 0);
	for (enum cg_ctl c = 0; c < CG_COUNT; c++)
		cr_expect(cgroup_has(&h, c), "%s: %s", cg_ctl_name(c), h.why_not[c]);
	cr_assert_eq(h.nb_hiers, 4, "cpu and cpuacct share one");
	cr_assert_eq(cgroup_create(&cg, &h, "web-1"), 0);
	cr_assert(exists("sys/fs/cgroup/memory/a/b/standin-t/web-1"));
	cr_assert(exists("sys/fs/cgroup/cpu/c/standin-t/web-1"));
	cr_assert_not_null(strstr(cg.procs[0], "/memory/a/b/standin-t/web-1/cgroup.procs"));
	cr_assert_null(cg.procs[4]);
	cr_assert_eq(cgroup_remove(&cg), 0);
	cr_assert(!exists("sys/fs/cgroup/memory/a/b/standin-t/web-1"));
	cgroup_host_free(&h, NULL, 0);
	cr_assert(!exists("sys/fs/cgroup/memory/a/b/standin-t"));
}

Test(cgroup, v1_limits_are_written_and_lifted)
{
	struct cgroup_host h;
	struct cgroup cg;
	unsigned failed;

	host_v1();
	cgroup_host_init(&h, root, "standin-t", NULL, 0);
	cr_assert_eq(cgroup_create(&cg, &h, "web-1"), 0);
	instance_files_v1("web-1");
	cr_assert_eq(cgroup_set(&cg, &(struct app_spec){ 15 << 20, 250, 32 }, &failed), 0);
	cr_assert_str_eq(get("sys/fs/cgroup/memory/a/b/standin-t/web-1/memory.limit_in_bytes"), "15728640");
	cr_assert_str_eq(get("sys/fs/cgroup/memory/a/b/standin-t/web-1/memory.memsw.limit_in_bytes"), "15728640");
	cr_assert_str_eq(get("sys/fs/cgroup/cpu/c/standin-t/web-1/cpu.cfs_quota_us"), "25000");
	cr_assert_str_eq(get("sys/fs/cgroup/pids/standin-t/web-1/pids.max"), "32");
	put("", "sys/fs/cgroup/memory/a/b/standin-t/web-1/memory.limit_in_bytes");
	put("", "sys/fs/cgroup/cpu/c/standin-t/web-1/cpu.cfs_quota_us");
	put("", "sys/fs/cgroup/pids/standin-t/web-1/pids.max");
	cr_assert_eq(cgroup_set(&cg, &(struct app_spec){ 0 }, &failed), 0);
	cr_assert_str_eq(get("sys/fs/cgroup/memory/a/b/standin-t/web-1/memory.limit_in_bytes"), "-1");
	cr_assert_str_eq(get("sys/fs/cgroup/cpu/c/standin-t/web-1/cpu.cfs_quota_us"), "-1");
	cr_assert_str_eq(get("sys/fs/cgroup/pids/standin-t/web-1/pids.max"), "max");
	forget_files();
	cr_assert_eq(cgroup_remove(&cg), 0);
	cgroup_host_free(&h, NULL, 0);
}

Test(cgroup, a_limit_that_cannot_be_set_is_named_and_the_others_hold)
{
	struct cgroup_host h;
	struct cgroup cg;
	unsigned failed;

	host_v1();
	cgroup_host_init(&h, root, "standin-t", NULL, 0);
	cr_assert_eq(cgroup_create(&cg, &h, "web-1"), 0);
	put("", "sys/fs/cgroup/pids/standin-t/web-1/pids.max");
	cr_assert_eq(cgroup_set(&cg, &(struct app_spec){ 15 << 20, 250, 32 }, &failed), -ENOENT);
	cr_assert_eq(failed, CG_BIT(CG_MEMORY) | CG_BIT(CG_CPU));
	cr_assert_eq(cg.limits.pids, 32);
	cr_assert_eq(cg.limits.memory, 0);
	forget_files();
	cr_assert_eq(cgroup_remove(&cg), 0);
	cgroup_host_free(&h, NULL, 0);
}

Test(cgroup, v1_use_tells_cache_from_what_cannot_be_reclaimed)
{
	struct cgroup_host h;
	struct cgroup_usage u;
	struct cgroup cg;

	host_v1();
	cgroup_host_init(&h, root, "standin-t", NULL, 0);
	cr_assert_eq(cgroup_create(&cg, &h, "web-1"), 0);
	put("1000000\n", "sys/fs/cgroup/memory/a/b/standin-t/web-1/memory.usage_in_bytes");
	put("2000000\n", "sys/fs/cgroup/memory/a/b/standin-t/web-1/memory.max_usage_in_bytes");
	put("2\n", "sys/fs/cgroup/memory/a/b/standin-t/web-1/memory.failcnt");
	put("1\n", "sys/fs/cgroup/memory/a/b/standin-t/web-1/memory.memsw.failcnt");
	put("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
	    "sys/fs/cgroup/memory/a/b/standin-t/web-1/memory.oom_control");
	put("cache 5\nrss 6\nmapped_file 7\ntotal_cache 400000\ntotal_rss 500000\ntotal_shmem 100000\n"
	    "total_mapped_file 250000\ntotal_pgmajfault 9\ntotal_workingset_refault_file 4\n",
	    "sys/fs/cgroup/memory/a/b/standin-t/web-1/memory.stat");
	put("123456789\n", "sys/fs/cgroup/cpu/c/standin-t/web-1/cpuacct.usage");
	put("nr_periods 1\nnr_throttled 1\nthrottled_time 5000000\n", "sys/fs/cgroup/cpu/c/standin-t/web-1/cpu.stat");
	put("4\n", "sys/fs/cgroup/pids/standin-t/web-1/pids.current");
	put("max 6\n", "sys/fs/cgroup/pids/standin-t/web-1/pids.events");
	cgroup_usage(&cg, &u);
	cr_expect_eq(u.pids_hits, 6);
	cr_expect_eq(u.memory, 1000000);
	cr_expect_eq(u.cache, 300000);
	cr_expect_eq(u.noncache, 700000);
	cr_expect_eq(u.mapped, 250000);
	cr_expect_eq(u.peak, 2000000);
	cr_expect_eq(u.majfaults, 9);
	cr_expect_eq(u.mem_hits, 7);
	cr_expect_eq(u.oom_kills, 2);
	cr_expect_eq(u.cpu_us, 123456);
	cr_expect_eq(u.throttled_us, 5000);
	cr_expect_eq(u.pids, 4);
	forget_files();
	cr_assert_eq(cgroup_remove(&cg), 0);
	cgroup_host_free(&h, NULL, 0);
}

static void host_v2(const char *own)
{
	put("25 30 0:23 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n", "proc/self/mountinfo");
	put(own, "proc/self/cgroup");
}

Test(cgroup, on_v2_the_root_group_hands_controllers_on_with_processes_in_it)
{
	struct cgroup_host h;

	host_v2("0::/\n");
	put("cpu memory pids\n", "sys/fs/cgroup/cgroup.controllers");
	put("", "sys/fs/cgroup/cgroup.subtree_control");
	put("1\n99\n", "sys/fs/cgroup/cgroup.procs");
	put("", "sys/fs/cgroup/standin-t/cgroup.subtree_control");
	cgroup_host_init(&h, root, "standin-t", NULL, 0);
	cr_assert(cgroup_has(&h, CG_MEMORY));
	cr_assert_str_eq(get("sys/fs/cgroup/cgroup.procs"), "1\n99\n", "nobody was moved");
	cr_assert_null(h.hier[0].leaf);
	forget_files();
	cgroup_host_free(&h, NULL, 0);
}

Test(cgroup, a_v2_host_hands_controllers_on_from_our_own_group)
{
	struct cgroup_host h;
	struct cgroup_usage u;
	struct cgroup cg;
	unsigned failed;
	pid_t pids[] = { 41 };

	host_v2("0::/svc\n");
	put("domain\n", "sys/fs/cgroup/svc/cgroup.type");
	put("41\n", "sys/fs/cgroup/svc/cgroup.procs");
	put("", "sys/fs/cgroup/svc/standin-daemon-t/cgroup.procs");
	put("cpuset cpu io memory pids\n", "sys/fs/cgroup/svc/cgroup.controllers");
	put("", "sys/fs/cgroup/svc/cgroup.subtree_control");
	put("", "sys/fs/cgroup/svc/standin-t/cgroup.subtree_control");
	cgroup_host_init(&h, root, "standin-t", pids, 1);
	cr_assert_str_eq(get("sys/fs/cgroup/svc/standin-daemon-t/cgroup.procs"), "41", "it moved away");
	for (enum cg_ctl c = 0; c < CG_COUNT; c++)
		cr_expect(cgroup_has(&h, c), "%s: %s", cg_ctl_name(c), h.why_not[c]);
	cr_assert_eq(h.nb_hiers, 1);
	cr_assert_eq(cgroup_create(&cg, &h, "web-1"), 0);
	put("", "sys/fs/cgroup/svc/standin-t/web-1/memory.max");
	put("", "sys/fs/cgroup/svc/standin-t/web-1/memory.swap.max");
	put("", "sys/fs/cgroup/svc/standin-t/web-1/cpu.max");
	put("", "sys/fs/cgroup/svc/standin-t/web-1/pids.max");
	cr_assert_eq(cgroup_set(&cg, &(struct app_spec){ 15 << 20, 1500, 32 }, &failed), 0);
	cr_assert_str_eq(get("sys/fs/cgroup/svc/standin-t/web-1/memory.max"), "15728640");
	cr_assert_str_eq(get("sys/fs/cgroup/svc/standin-t/web-1/memory.swap.max"), "0");
	cr_assert_str_eq(get("sys/fs/cgroup/svc/standin-t/web-1/cpu.max"), "150000 100000");
	cr_assert_str_eq(get("sys/fs/cgroup/svc/standin-t/web-1/pids.max"), "32");

	put("1000000\n", "sys/fs/cgroup/svc/standin-t/web-1/memory.current");
	put("anon 5\nfile 400000\nfile_mapped 250000\nshmem 100000\npgmajfault 9\n",
	    "sys/fs/cgroup/svc/standin-t/web-1/memory.stat");
	put("low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\n", "sys/fs/cgroup/svc/standin-t/web-1/memory.events");
	put("usage_usec 777\nthrottled_usec 88\n", "sys/fs/cgroup/svc/standin-t/web-1/cpu.stat");
	cgroup_usage(&cg, &u);
	cr_expect_eq(u.noncache, 700000);
	cr_expect_eq(u.mapped, 250000);
	cr_expect_eq(u.mem_hits, 3);
	cr_expect_eq(u.oom_kills, 1);
	cr_expect_eq(u.cpu_us, 777);
	cr_expect_eq(u.throttled_us, 88);

	cr_assert_eq(cgroup_set(&cg, &(struct app_spec){ 500000, 1500, 32 }, &failed), -EBUSY,
		     "lowering below what is used would kill");
	cr_assert_eq(failed, CG_BIT(CG_MEMORY));
	forget_files();
	cr_assert_eq(cgroup_remove(&cg), 0);
	cgroup_host_free(&h, NULL, 0);
}

Test(cgroup, on_v2_the_daemon_moves_itself_away_if_it_is_alone_in_its_group)
{
	struct cgroup_host h;
	pid_t pids[] = { 41, 42 };

	host_v2("0::/svc\n");
	put("domain\n", "sys/fs/cgroup/svc/cgroup.type");
	put("cpu memory pids\n", "sys/fs/cgroup/svc/cgroup.controllers");
	put("41\n42\n", "sys/fs/cgroup/svc/cgroup.procs");
	/* no subtree_control to write to: handing on fails, so it moves and, when that does not help, moves back */
	put("", "sys/fs/cgroup/svc/standin-daemon-t/cgroup.procs");
	put("memory pids\n", "sys/fs/cgroup/cgroup.subtree_control");
	put("", "sys/fs/cgroup/standin-t/cgroup.subtree_control");
	cgroup_host_init(&h, root, "standin-t", pids, 2);
	cr_assert_str_eq(get("sys/fs/cgroup/svc/standin-daemon-t/cgroup.procs"), "42", "it was moved");
	cr_assert_str_eq(get("sys/fs/cgroup/svc/cgroup.procs"), "42\n42\n", "and back");
	cr_assert(cgroup_has(&h, CG_MEMORY));
	cr_assert(!cgroup_has(&h, CG_CPU));
	cr_assert_str_eq(h.why_not[CG_CPU], "the cgroup2 parent does not hand it on");
	forget_files();
	cgroup_host_free(&h, NULL, 0);
}

Test(cgroup, on_v2_it_stands_beside_a_group_that_others_live_in)
{
	struct cgroup_host h;
	pid_t pids[] = { 41 };

	host_v2("0::/user/session\n");
	put("domain\n", "sys/fs/cgroup/user/session/cgroup.type");
	put("", "sys/fs/cgroup/user/session/cgroup.subtree_control");
	put("cpu memory pids\n", "sys/fs/cgroup/user/session/cgroup.controllers");
	put("41\n99\n", "sys/fs/cgroup/user/session/cgroup.procs");
	put("memory pids\n", "sys/fs/cgroup/user/cgroup.subtree_control");
	put("", "sys/fs/cgroup/user/standin-t/cgroup.subtree_control");
	cgroup_host_init(&h, root, "standin-t", pids, 1);
	cr_assert_str_eq(get("sys/fs/cgroup/user/session/cgroup.procs"), "41\n99\n", "nobody was moved");
	cr_assert_str_eq(get("sys/fs/cgroup/user/session/cgroup.subtree_control"), "", "nothing was handed on");
	cr_assert(cgroup_has(&h, CG_MEMORY) && cgroup_has(&h, CG_PIDS));
	cr_assert(exists("sys/fs/cgroup/user/standin-t"));
	forget_files();
	cgroup_host_free(&h, NULL, 0);
}

Test(cgroup, on_v2_it_goes_up_to_where_all_controllers_are_handed_on)
{
	struct cgroup_host h;
	pid_t pids[] = { 41 };

	host_v2("0::/user/slice/session\n");
	put("domain\n", "sys/fs/cgroup/user/slice/session/cgroup.type");
	put("41\n99\n", "sys/fs/cgroup/user/slice/session/cgroup.procs");
	put("cpu memory pids\n", "sys/fs/cgroup/user/slice/session/cgroup.controllers");
	put("memory\n", "sys/fs/cgroup/user/slice/cgroup.subtree_control");
	put("cpu io memory pids\n", "sys/fs/cgroup/user/cgroup.subtree_control");
	put("cpu io memory pids\n", "sys/fs/cgroup/cgroup.subtree_control");
	put("", "sys/fs/cgroup/user/standin-t/cgroup.subtree_control");
	cgroup_host_init(&h, root, "standin-t", pids, 1);
	cr_assert(cgroup_has(&h, CG_MEMORY) && cgroup_has(&h, CG_CPU) && cgroup_has(&h, CG_PIDS));
	cr_assert(exists("sys/fs/cgroup/user/standin-t"));
	forget_files();
	cgroup_host_free(&h, NULL, 0);
}

Test(cgroup, a_hybrid_host_limits_by_v1_and_kills_by_v2)
{
	struct cgroup_host h;
	struct cgroup cg;

	host_v1();
	put("32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
	    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
	    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
	    "proc/self/mountinfo");
	put("4:memory:/a/b\n1:cpu:/c\n0::/\n", "proc/self/cgroup");
	put("hugetlb\n", "sys/fs/cgroup/unified/cgroup.controllers");
	cgroup_host_init(&h, root, "standin-t", NULL, 0);
	cr_assert(cgroup_has(&h, CG_MEMORY) && cgroup_has(&h, CG_CPU) && !cgroup_has(&h, CG_PIDS));
	cr_assert(h.hier[h.where[CG_FREEZER]].v2 && h.hier[h.where[CG_CPUACCT]].v2);
	cr_assert_eq(cgroup_create(&cg, &h, "web-1"), 0);
	put("", "sys/fs/cgroup/unified/standin-t/web-1/cgroup.kill");
	cgroup_kill(&cg);
	cr_assert_str_eq(get("sys/fs/cgroup/unified/standin-t/web-1/cgroup.kill"), "1");
	forget_files();
	cr_assert_eq(cgroup_remove(&cg), 0);
	cgroup_host_free(&h, NULL, 0);
}

Test(cgroup, a_container_that_sees_a_part_of_the_hierarchy_finds_itself)
{
	struct cgroup_host h;

	put("35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "proc/self/mountinfo");
	put("4:memory:/docker/abc/in\n", "proc/self/cgroup");
	put("", "sys/fs/cgroup/memory/in/tasks");
	cgroup_host_init(&h, root, "standin-t", NULL, 0);
	cr_assert(cgroup_has(&h, CG_MEMORY));
	cr_assert(exists("sys/fs/cgroup/memory/in/standin-t"));
	cgroup_host_free(&h, NULL, 0);
}

Test(cgroup, a_host_without_any_says_so_and_a_group_there_is_nothing)
{
	struct cgroup_host h;
	struct cgroup_usage u;
	struct cgroup cg;
	unsigned failed;

	put("", "proc/self/mountinfo");
	put("", "proc/self/cgroup");
	cgroup_host_init(&h, root, "standin-t", NULL, 0);
	cr_assert(!cgroup_has(&h, CG_MEMORY));
	cr_assert_str_eq(h.why_not[CG_MEMORY], "no such controller on this host");
	cr_assert_eq(cgroup_create(&cg, &h, "web-1"), 0);
	cr_assert_null(cg.procs[0]);
	cr_assert_eq(cgroup_set(&cg, &(struct app_spec){ 1, 1, 1 }, &failed), 0);
	cgroup_usage(&cg, &u);
	cr_assert(cgroup_empty(&cg));
	cr_assert_eq(cgroup_kill(&cg), 0);
	cr_assert_eq(cgroup_remove(&cg), 0);
	cgroup_host_free(&h, NULL, 0);
}

Test(cgroup, a_read_only_hierarchy_is_named_as_the_reason)
{
	struct cgroup_host h;

	put("35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "proc/self/mountinfo");
	put("4:memory:/\n", "proc/self/cgroup");
	put("", "sys/fs/cgroup/memory/tasks");
	put("in the way", "sys/fs/cgroup/memory/standin-t"); /* root may write anywhere: a file stands in the way */
	cgroup_host_init(&h, root, "standin-t/x", NULL, 0);
	cr_assert(!cgroup_has(&h, CG_MEMORY));
	cr_assert_not_null(strstr(h.why_not[CG_MEMORY], "Not a directory"), "%s", h.why_not[CG_MEMORY]);
	cgroup_host_free(&h, NULL, 0);
}
