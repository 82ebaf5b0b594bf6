/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The keeper with real processes: what its file promises, from the loop's side.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/keeper/keeper_priv.h"
#include "core/worker.h"

static struct worker w;

static struct seen {
	int starts, exits, err, status, pidfd;
	const char *what;
	pid_t pid;
} seen;

static void on_started(struct worker *wk, struct keeper_child *c, int err, const char *what, pid_t pid, int pidfd)
{
	seen.starts++;
	seen.err = err;
	seen.what = what;
	seen.pid = pid;
	seen.pidfd = pidfd;
}

static void on_exited(struct worker *wk, struct keeper_child *c, int status)
{
	seen.exits++;
	seen.status = status;
}

static void on_timeout(struct ev_loop *loop, ev_timer *t, int revents)
{
	ev_break(loop, EVBREAK_ALL);
}

/* Runs the loop until <*flag> reaches <want>, 5 s at most. */
static void run_until(const int *flag, int want)
{
	ev_timer t;

	ev_timer_init(&t, on_timeout, 5, 0);
	ev_timer_start(w.loop, &t);
	while (*flag < want && ev_is_active(&t))
		ev_run(w.loop, EVRUN_ONCE);
	ev_timer_stop(w.loop, &t);
	cr_assert_geq(*flag, want, "nothing came in 5 s");
}

static void setup(void)
{
	memset(&seen, 0, sizeof(seen));
	seen.pidfd = -1;
	cr_assert_eq(keeper_start(&w.keeper), 0);
	w.loop = ev_loop_new(0);
	cr_assert_eq(keeper_attach(&w), 0);
}

static void teardown(void)
{
	keeper_stop(&w);
	ev_loop_destroy(w.loop);
	if (seen.pidfd >= 0)
		close(seen.pidfd);
}

TestSuite(keeper, .init = setup, .fini = teardown, .timeout = 20);

static char *const no_env[] = { "A=b", NULL };
static struct keeper_child child = { .started = on_started, .exited = on_exited };

static struct keeper_spawn sh(const char *script, int out)
{
	static char *argv[4];

	argv[0] = "/bin/sh", argv[1] = "-c", argv[2] = (char *)script, argv[3] = NULL;
	return (struct keeper_spawn){ .path = "/bin/sh", .argv = argv, .envp = no_env, .out_fd = out,
				      .umask = 027, .stop_signal = SIGTERM, .stop_ms = 500 };
}

Test(keeper, reports_start_and_exit_status)
{
	struct keeper_spawn sp = sh("exit 7", -1);

	cr_assert_eq(keeper_spawn(&w, &sp, &child), 0);
	run_until(&seen.exits, 1);
	cr_assert_eq(seen.starts, 1);
	cr_assert_eq(seen.err, 0);
	cr_assert(seen.pid > 0 && seen.pidfd >= 0);
	cr_assert(WIFEXITED(seen.status) && WEXITSTATUS(seen.status) == 7);
}

Test(keeper, says_what_failed_and_why_when_a_program_cannot_be_run)
{
	struct keeper_spawn sp = sh("", -1);

	sp.path = "/nonexistent/program";
	cr_assert_eq(keeper_spawn(&w, &sp, &child), 0);
	run_until(&seen.starts, 1);
	cr_assert_eq(seen.err, ENOENT);
	cr_assert_str_eq(seen.what, "exec");

	sp = sh("exit 0", -1);
	sp.dir = "/nonexistent";
	cr_assert_eq(keeper_spawn(&w, &sp, &child), 0);
	run_until(&seen.starts, 2);
	cr_assert_eq(seen.err, ENOENT);
	cr_assert_str_eq(seen.what, "directory");
	cr_assert_eq(seen.exits, 0);
}

Test(keeper, gives_the_child_its_output_limits_mask_user_and_an_empty_descriptor_table)
{
	struct keeper_spawn sp;
	char got[512] = "";
	int p[2], extra = open("/dev/null", O_RDONLY); /* not close-on-exec */
	ssize_t n, len = 0;

	cr_assert_eq(pipe(p), 0);
	sp = sh("umask; ulimit -n; id -u; id -g; id -G; pwd; echo $A; ls /proc/self/fd | tr '\\n' ' '; "
		"grep NoNewPrivs /proc/self/status",
		p[1]);
	sp.nb_rlimits = 1;
	sp.rlimits[0].resource = RLIMIT_NOFILE;
	sp.rlimits[0].soft = sp.rlimits[0].hard = 123;
	sp.uid = sp.gid = 65534;
	sp.dir = "/tmp";
	cr_assert_eq(keeper_spawn(&w, &sp, &child), 0);
	close(p[1]);
	run_until(&seen.exits, 1);
	while ((n = read(p[0], got + len, sizeof(got) - 1 - len)) > 0)
		len += n;
	cr_assert_str_eq(got, "0027\n123\n65534\n65534\n65534\n/tmp\nb\n0 1 2 3 NoNewPrivs:\t1\n");
	close(extra);
	close(p[0]);
}

Test(keeper, ends_what_it_started_when_the_loop_is_gone)
{
	struct keeper_spawn sp = sh("trap '' TERM; while :; do sleep 1; done", -1);
	char proc[64];

	cr_assert_eq(keeper_spawn(&w, &sp, &child), 0);
	run_until(&seen.starts, 1);
	usleep(50000); /* let the shell set its trap */
	keeper_stop(&w);
	snprintf(proc, sizeof(proc), "/proc/%d", (int)seen.pid);
	cr_assert_neq(access(proc, F_OK), 0, "the child outlived the keeper");
}

Test(keeper, lets_no_orphan_live_when_it_is_killed_itself)
{
	struct keeper_spawn sp = sh("exec sleep 100", -1);
	struct pollfd pfd = { .events = POLLIN };

	cr_assert_eq(keeper_spawn(&w, &sp, &child), 0);
	run_until(&seen.starts, 1);
	kill(keeper_pid(w.keeper), SIGKILL);
	run_until(&seen.exits, 1);
	cr_assert_eq(seen.status, -1);
	pfd.fd = seen.pidfd;
	cr_assert_eq(poll(&pfd, 1, 2000), 1, "the child outlived the keeper");
	cr_assert_eq(keeper_spawn(&w, &sp, &child), -EPIPE);
}

Test(keeper, ignores_signals_that_are_meant_for_the_daemon)
{
	struct keeper_spawn sp = sh("exit 3", -1);
	static const int sigs[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT };

	usleep(20000);
	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++)
		kill(keeper_pid(w.keeper), sigs[i]);
	cr_assert_eq(keeper_spawn(&w, &sp, &child), 0);
	run_until(&seen.exits, 1);
	cr_assert_eq(WEXITSTATUS(seen.status), 3);
}

Test(keeper, forgets_a_child_but_reaps_it)
{
	struct keeper_spawn sp = sh("exit 1", -1);
	struct keeper_child other = child;

	cr_assert_eq(keeper_spawn(&w, &sp, &other), 0);
	keeper_forget(&w, &other);
	sp = sh("sleep 0.1; exit 2", -1);
	cr_assert_eq(keeper_spawn(&w, &sp, &child), 0);
	run_until(&seen.exits, 1);
	cr_assert_eq(WEXITSTATUS(seen.status), 2);
	cr_assert_eq(seen.starts, 1);
}

Test(keeper, holds_a_descriptor_until_it_is_dropped)
{
	int p[2];
	char c;

	cr_assert_eq(pipe2(p, O_NONBLOCK), 0);
	cr_assert_eq(keeper_hold(&w, "a/pipe", p[1]), 0);
	close(p[1]);
	usleep(50000);
	cr_assert(read(p[0], &c, 1) < 0 && errno == EAGAIN, "the keeper does not hold it");
	cr_assert_eq(keeper_drop(&w, "a/pipe"), 0);
	usleep(50000);
	cr_assert_eq(read(p[0], &c, 1), 0, "the keeper still holds it");
	close(p[0]);
}

/* ---- messages, as from a hostile loop ---- */

static size_t valid_msg(char *buf)
{
	struct kmsg_spawn f = { .stop_signal = SIGTERM, .argc = 1, .envc = 1, .nb_cgroups = 1 };
	static const char text[] = "/bin/true\0/\0/x/standin-1/a-1/cgroup.procs\0true\0A=b";

	memset(buf, 0, 4096);
	memcpy(buf + sizeof(struct kmsg), &f, sizeof(f));
	memcpy(buf + sizeof(struct kmsg) + sizeof(f), text, sizeof(text));
	return sizeof(struct kmsg) + sizeof(f) + sizeof(text);
}

Test(keeper_messages, a_spawn_cut_anywhere_is_refused)
{
	char full[4096];
	struct kspawn sp;
	size_t n = valid_msg(full);

	cr_assert_eq(kspawn_parse(&sp, full, n, -1), 0);
	cr_assert_str_eq(sp.argv[0], "true");
	cr_assert_null(sp.argv[1]);
	cr_assert_str_eq(sp.envp[0], "A=b");
	cr_assert_null(sp.envp[1]);
	free(sp.argv);
	for (size_t i = sizeof(struct kmsg); i < n; i++) {
		char *cut = malloc(i); /* exactly as long, for the sanitizer */

		memcpy(cut, full, i);
		cr_expect_eq(kspawn_parse(&sp, cut, i, -1), -EINVAL, "accepted when cut at %zu of %zu", i, n);
		free(cut);
	}
}

Test(keeper_messages, only_cgroups_below_a_tree_of_ours_are_joined)
{
	static const char *const bad[] = {
		"/x/standin-1/a/tasks", "/x/other/a/cgroup.procs", "x/standin-1/a/cgroup.procs", "/etc/passwd",
		"/standin-1/../cgroup.procs", "/x/standin-1/../a/cgroup.procs", "/x/standin-1//cgroup.procs",
		"/cgroup.procs", "/standin-1/cgroup.procs", "",
	};
	char buf[4096];
	struct kspawn sp;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct kmsg_spawn f = { .stop_signal = SIGTERM, .argc = 1, .nb_cgroups = 1 };
		size_t n = sizeof(struct kmsg);

		memcpy(buf + n, &f, sizeof(f));
		n += sizeof(f);
		n += sprintf(buf + n, "/bin/true") + 1;
		n += sprintf(buf + n, "/") + 1;
		n += sprintf(buf + n, "%s", bad[i]) + 1;
		n += sprintf(buf + n, "true") + 1;
		cr_expect_eq(kspawn_parse(&sp, buf, n, -1), -EINVAL, "accepted %s", bad[i]);
	}
}

Test(keeper_messages, lying_lengths_and_too_many_descriptors_are_thrown_away)
{
	struct kmsg m = { .len = 999, .type = KMSG_DROP };
	struct iovec iov = { &m, sizeof(m) };
	char room[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	int sp[2], fd, first_free, two[2] = { 0, 0 };
	char buf[256] __attribute__((aligned(8)));

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sp), 0);
	first_free = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(first_free);
	send(sp[0], &m, sizeof(m), 0);
	cr_assert_eq(kmsg_recv(sp[1], buf, sizeof(buf), &fd), -EBADMSG);
	send(sp[0], &m, 3, 0);
	cr_assert_eq(kmsg_recv(sp[1], buf, sizeof(buf), &fd), -EBADMSG);

	m.len = sizeof(m);
	m.nb_fds = 2;
	mh.msg_control = room;
	mh.msg_controllen = sizeof(room);
	c = CMSG_FIRSTHDR(&mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(two));
	memcpy(CMSG_DATA(c), two, sizeof(two));
	cr_assert(sendmsg(sp[0], &mh, 0) > 0);
	cr_assert_eq(kmsg_recv(sp[1], buf, sizeof(buf), &fd), -EBADMSG);
	cr_assert_eq(fd, -1);
	cr_assert_eq(open("/dev/null", O_RDONLY | O_CLOEXEC), first_free, "a descriptor leaked");
}

Test(keeper_messages, a_message_outlives_the_descriptor_that_there_was_no_room_for)
{
	struct rlimit few, all;
	struct kmsg m = { .type = KMSG_STARTED, .id = 7 };
	struct kmsg_started st = { .pid = 42 };
	char buf[256] __attribute__((aligned(8)));
	int sp[2], fd;
	ssize_t n;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sp), 0);
	cr_assert_eq(kmsg_send(sp[0], &m, &st, sizeof(st), 0), 0);
	getrlimit(RLIMIT_NOFILE, &all);
	few = all;
	few.rlim_cur = 1;
	setrlimit(RLIMIT_NOFILE, &few);
	n = kmsg_recv(sp[1], buf, sizeof(buf), &fd);
	setrlimit(RLIMIT_NOFILE, &all); /* the leak check at the end opens files */
	cr_assert_eq(n, (ssize_t)(sizeof(m) + sizeof(st)));
	cr_assert_eq(fd, -1);
	cr_assert_eq(((struct kmsg *)buf)->id, 7);
}
