/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * keeper.h - the small second process that spawns, reaps and holds
 *
 * DESIGN §8. The keeper is forked before anything else and decides nothing. It
 * clones instances (so they stay its children when the loop dies), reaps them,
 * and holds named descriptors. This header is the loop's side of it.
 */
#ifndef STANDIN_KEEPER_KEEPER_H
#define STANDIN_KEEPER_KEEPER_H

#include <sys/types.h>

#include "core/compiler.h"

struct worker;
struct keeper;

#define KEEPER_MAX_CGROUPS 8

/* What to run. All strings are copied before keeper_spawn() returns. */
struct keeper_spawn {
	const char *path;            /* program */
	char *const *argv, *const *envp; /* NULL-terminated */
	const char *dir;             /* NULL: / */
	uid_t uid;
	gid_t gid;                   /* supplementary groups are dropped to this one */
	mode_t umask;
	const char *cgroup_procs[KEEPER_MAX_CGROUPS]; /* cgroup.procs / tasks files to join, in order; NULL ends */
	int out_fd;                  /* becomes stdout and stderr of the child, or -1: /dev/null. Sent; the caller still owns its own. */
	struct { int resource; uint64_t soft, hard; } rlimits[8];
	int nb_rlimits;
};

struct keeper_child {
	void (*started)(struct worker *w, struct keeper_child *c, int err, pid_t pid, int pidfd);
	/* err 0: pid and pidfd (owned by the callee). err >0: errno of what failed; no exited() follows. */
	void (*exited)(struct worker *w, struct keeper_child *c, int status /* as waitpid */);
	void *owner;
	uint64_t id; /* keeper's; set by keeper_spawn() */
	pid_t pid;
	struct keeper_child *next;
};

/* Called by main() before the loop, threads or sockets exist. Forks; the child never returns. *out is the
 * loop's handle, to be put in worker->keeper. 0 or -errno. */
int keeper_start(struct keeper **out);
/* Joins the loop. */
int keeper_attach(struct worker *w);
/* Asks the keeper to clone and exec. started() is called later, then exited(). 0 or -errno. */
int keeper_spawn(struct worker *w, const struct keeper_spawn *sp, struct keeper_child *c);
/* Forget the callbacks (the object goes away); the process is still reaped. */
void keeper_forget(struct worker *w, struct keeper_child *c);
/* Named descriptors: the keeper keeps a duplicate until dropped. 0 or -errno. */
int keeper_hold(struct worker *w, const char *name, int fd);
int keeper_drop(struct worker *w, const char *name);
/* Ends the keeper process (it kills what it still has) and waits for it. */
void keeper_stop(struct worker *w);
pid_t keeper_pid(const struct keeper *k);

#endif
