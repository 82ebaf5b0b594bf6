/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * keeper.h - the small second process that spawns, reaps and holds
 *
 * The keeper is forked before anything else and decides nothing. It
 * clones instances (so they stay its children when the loop dies), reaps them,
 * and holds named descriptors. This header is the loop's side of it; src/keeper/keeper.c
 * tells what the other side does and promises.
 */
#ifndef STANDIN_KEEPER_KEEPER_H
#define STANDIN_KEEPER_KEEPER_H

#include <sys/types.h>

#include "core/compiler.h"

struct worker;
struct keeper;

#define KEEPER_MAX_CGROUPS 8
#define KEEPER_MAX_RLIMITS 16
#define KEEPER_MAX_MSG     131072 /* bytes: arguments and environment of one spawn */
#define KEEPER_NAME_LEN    64     /* of a held descriptor, NUL included */

/* What to run. Everything is copied before keeper_spawn() returns. */
struct keeper_spawn {
	const char *path;                /* program, absolute */
	char *const *argv, *const *envp; /* NULL-terminated */
	const char *dir;                 /* NULL: / */
	uid_t uid;
	gid_t gid; /* supplementary groups are dropped to this one */
	mode_t umask;
	/* cgroup.procs files to join, in order; NULL ends. The keeper also uses them, when the loop has died,
	 * to kill what is left in these cgroups, and removes their directories. */
	const char *cgroup_procs[KEEPER_MAX_CGROUPS];
	/* Becomes stdout and stderr of the child; -1: /dev/null. A duplicate is sent, the caller keeps its own. */
	int out_fd;
	struct {
		int resource;
		uint64_t soft, hard;
	} rlimits[KEEPER_MAX_RLIMITS];
	int nb_rlimits;
	/* how the keeper ends it when the loop is gone */
	int stop_signal;
	unsigned stop_ms;
};

struct keeper_child {
	/* <err> 0: it was exec'd; <pid> and <pidfd> (owned by the callee; -1: we have no descriptor left). Else the errno of what failed,
	 * <what> saying what that was ("exec", "user", ...); no exited() follows. */
	void (*started)(struct worker *w, struct keeper_child *c, int err, const char *what, pid_t pid,
			int pidfd);
	/* It was reaped: <status> as of waitpid(), -1 when the keeper died and nobody knows. */
	void (*exited)(struct worker *w, struct keeper_child *c, int status);
	void *owner;
	uint64_t id; /* keeper's; set by keeper_spawn(), 0 when it knows nothing of it */
	pid_t pid;
	struct keeper_child *next;
};

/* Called by main() before the loop, threads or sockets exist. Forks; the child never returns. *out is the
 * loop's handle, to be put in worker->keeper. 0 or -errno. */
int keeper_start(struct keeper **out);
/* Joins the loop: w->keeper must be set. 0 or -errno. */
int keeper_attach(struct worker *w);
/* Asks the keeper to clone and exec. started() is called later, from the loop, then exited(). 0, or -errno:
 * -EPIPE the keeper is gone, -EAGAIN it is far behind, -E2BIG, -EINVAL. */
int keeper_spawn(struct worker *w, const struct keeper_spawn *sp, struct keeper_child *c);
/* Forget the callbacks (the object goes away); the process is still reaped, and killed if it has yet to start.
 * Harmless when unknown. */
void keeper_forget(struct worker *w, struct keeper_child *c);
/* Named descriptors: the keeper keeps a duplicate until dropped or replaced. 0 or -errno. */
int keeper_hold(struct worker *w, const char *name, int fd);
int keeper_drop(struct worker *w, const char *name);
/* Ends the keeper process (it kills what it still has, which may take its stop_ms) and waits for it. */
void keeper_stop(struct worker *w);
pid_t keeper_pid(const struct keeper *k);

#endif
