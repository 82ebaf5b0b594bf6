/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * driver_process.c - `driver process`: an instance is a process of this host
 *
 * Its cgroup is made here, with its limits in it; the keeper clones the process,
 * which joins the cgroup before it execs (src/keeper/spawn.c). Its end is seen
 * twice: the pidfd becomes readable, which is the fastest there is (FACTS §6: 30 us
 * after the kernel's teardown) and makes the EXIT event; how it ended comes with
 * the keeper's message some microseconds later, or before.
 *
 * Signals go through the pidfd, so they can never meet a process that got the
 * same number later. Where the host has no cgroups at all, "everything" is the
 * process group of its session, as long as the main process has not been reaped.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/str.h"
#include "driver.h"

#define PROC_ENV_OWN 9 /* variables that every instance gets */

struct proc {
	struct instance *in;
	struct cgroup cg;
	struct keeper_child child;
	ev_io io;
	int pidfd; /* owns; -1 */
	bool gone; /* its end was told */
};

static int proc_check(const struct app_cfg *cfg, char **err)
{
	struct stat st;
	const char *why = NULL;

	if (cfg->argv[0][0] != '/')
		why = "must be an absolute path";
	else if (stat(cfg->argv[0], &st) < 0)
		why = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		why = "is not a file";
	else if (access(cfg->argv[0], X_OK) < 0)
		why = "is not executable";
	if (!why)
		return 0;
	if (asprintf(err, "command '%s': %s", cfg->argv[0], why) < 0)
		*err = NULL;
	return -EINVAL;
}

/* ---- the keeper's and the kernel's messages ---- */

static void proc_gone(struct proc *p)
{
	if (p->gone)
		return;
	p->gone = true;
	if (p->pidfd >= 0) {
		ev_io_stop(p->in->w->loop, &p->io);
		close(p->pidfd);
	}
	p->pidfd = -1;
	instance_event(p->in, INST_EV_EXIT);
}

static void proc_pidfd(struct ev_loop *loop, ev_io *io, int revents)
{
	proc_gone(container_of(io, struct proc, io));
}

static void proc_started(struct worker *w, struct keeper_child *c, int err, const char *what, pid_t pid,
			 int pidfd)
{
	struct proc *p = container_of(c, struct proc, child);

	if (err) {
		instance_cause(p->in, "%s: %s: %s", p->in->cfg->argv[0], what, strerror(err));
		instance_event(p->in, INST_EV_SPAWN_FAILED);
		return;
	}
	p->in->pid = pid;
	p->pidfd = pidfd;
	if (pidfd < 0) { /* we could not stop it politely nor see it die: its end comes by the keeper's message */
		instance_event(p->in, INST_EV_SPAWNED);
		instance_cause(p->in, "no descriptor is left to watch it");
		if (p->in->st == INST_ST_STARTING)
			instance_event(p->in, INST_EV_LATE);
		return;
	}
	ev_io_init(&p->io, proc_pidfd, pidfd, EV_READ);
	ev_set_priority(&p->io, EV_MAXPRI); /* before the errors of the connections it served */
	ev_io_start(w->loop, &p->io);
	instance_event(p->in, INST_EV_SPAWNED);
}

static void proc_exited(struct worker *w, struct keeper_child *c, int status)
{
	struct proc *p = container_of(c, struct proc, child);

	proc_gone(p);
	instance_status(p->in, status);
}

/* ---- starting ---- */

static char *proc_var(const char *name, const char *value)
{
	char *s;

	return asprintf(&s, "%s=%s", name, value) < 0 ? NULL : s;
}

/* The configured environment, then what every instance has: the first of a name counts. NULL on no memory. */
static char **proc_env(const struct instance *in)
{
	static const char *const own[] = { "PORT", "ADDR", "INSTANCE", "MEMORY_MB", "CPUS" };
	const struct app_cfg *cfg = in->cfg;
	char **env = app_expand_all(in, cfg->env, cfg->nb_env, PROC_ENV_OWN);
	int n = cfg->nb_env;

	if (!env)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		char word[32], *value;

		snprintf(word, sizeof(word), "$%s", own[i]);
		value = app_expand(in, word);
		env[n] = proc_var(own[i], value);
		free(value);
		n += env[n] != NULL;
	}
	env[n] = proc_var("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	n += env[n] != NULL;
	env[n] = proc_var("HOME", cfg->home ? cfg->home : "/");
	n += env[n] != NULL;
	env[n] = proc_var("USER", cfg->user ? cfg->user : "root");
	return env;
}

static int proc_spawn(struct proc *p, char **argv, char **env)
{
	const struct app_cfg *cfg = p->in->cfg;
	struct keeper_spawn sp = { .path = argv[0],
				   .argv = argv,
				   .envp = env,
				   .dir = cfg->dir,
				   .uid = cfg->uid,
				   .gid = cfg->gid,
				   .umask = cfg->umask,
				   .nb_rlimits = cfg->nb_rlimits,
				   .stop_signal = cfg->stop_signal,
				   .stop_ms = cfg->stop_ms };
	int rc;

	for (int i = 0; i < cfg->nb_rlimits; i++) {
		sp.rlimits[i].resource = cfg->rlimit[i].resource;
		sp.rlimits[i].soft = cfg->rlimit[i].soft;
		sp.rlimits[i].hard = cfg->rlimit[i].hard;
	}
	static_assert(CG_MAX_HIERS < KEEPER_MAX_CGROUPS, "all of them and the NULL");
	for (int i = 0; p->cg.procs[i]; i++)
		sp.cgroup_procs[i] = p->cg.procs[i];
	sp.out_fd = output_open(p->in);
	rc = keeper_spawn(p->in->w, &sp, &p->child);
	if (sp.out_fd >= 0)
		close(sp.out_fd);
	if (rc < 0)
		instance_cause(p->in, "keeper: %s", strerror(-rc));
	return rc;
}

static int proc_start(struct instance *in)
{
	struct proc *p = calloc(1, sizeof(*p));
	struct app_spec wanted = in->limits;
	char **argv, **env;
	int rc;

	if (!p) {
		instance_cause(in, "out of memory");
		return -ENOMEM;
	}
	in->drv = p;
	p->in = in;
	p->pidfd = -1;
	p->child.started = proc_started;
	p->child.exited = proc_exited;
	rc = cgroup_create(&p->cg, &in->w->apps->cgroups, in->name);
	if (rc < 0) {
		instance_cause(in, "cgroup: %s", strerror(-rc));
		return rc;
	}
	rc = instance_set_limits(in, &wanted);
	if (rc < 0) { /* what the host cannot limit at all is no error: this one it should have */
		instance_cause(in, "limits: %s", strerror(-rc));
		return rc;
	}
	argv = app_expand_all(in, in->cfg->argv, in->cfg->argc, 0);
	env = proc_env(in);
	rc = argv && env ? proc_spawn(p, argv, env) : -ENOMEM;
	app_free_all(argv);
	app_free_all(env);
	return rc;
}

/* ---- running ---- */

static void proc_signal(struct instance *in, int sig)
{
	struct proc *p = in->drv;

	if (p->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0);
}

static void proc_kill(struct instance *in)
{
	struct proc *p = in->drv;

	if (!p)
		return;
	if (p->cg.procs[0])
		cgroup_kill(&p->cg);
	else if (in->pid && !in->status_known)
		kill(-in->pid, SIGKILL);
	proc_signal(in, SIGKILL);
}

static int proc_limit(struct instance *in, const struct app_spec *spec, struct app_spec *holds,
		      unsigned *failed)
{
	struct proc *p = in->drv;
	int rc = cgroup_set(&p->cg, spec, failed);

	*holds = p->cg.limits;
	return rc;
}

static void proc_usage(struct instance *in, struct cgroup_usage *u)
{
	struct proc *p = in->drv;

	if (p)
		cgroup_usage(&p->cg, u);
	else
		memset(u, 0, sizeof(*u));
}

static void proc_sample(struct instance *in, struct cgroup_usage *u)
{
	struct proc *p = in->drv;

	cgroup_sample(&p->cg, u);
}

static uint64_t proc_file_rss(struct instance *in)
{
	struct proc *p = in->drv;

	return p ? cgroup_file_rss(&p->cg) : 0;
}

static int proc_clean(struct instance *in)
{
	struct proc *p = in->drv;

	if (!p)
		return 0;
	if (p->cg.host && cgroup_remove(&p->cg) < 0)
		return -EBUSY;
	keeper_forget(in->w, &p->child);
	if (p->pidfd >= 0) {
		ev_io_stop(in->w->loop, &p->io);
		close(p->pidfd);
	}
	free(p);
	in->drv = NULL;
	return 0;
}

static struct app_driver driver_process = {
	.name = "process",
	.check = proc_check,
	.start = proc_start,
	.signal = proc_signal,
	.kill = proc_kill,
	.limit = proc_limit,
	.usage = proc_usage,
	.sample = proc_sample,
	.file_rss = proc_file_rss,
	.clean = proc_clean,
};

INITCALL driver_process_register(void)
{
	app_driver_register(&driver_process);
}
