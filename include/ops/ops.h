/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ops.h - how the process is operated: stats socket, reload, soft stop
 */
#ifndef STANDIN_OPS_OPS_H
#define STANDIN_OPS_OPS_H

#include "core/cli.h"

struct worker;
struct diag;

/* Start options that operating needs to remember. They stay until worker_destroy() is over: a reload that is
 * being built then reads them. */
struct ops_options {
	unsigned maxconn;   /* -n: holds for every configuration; 0: as configured */
	bool foreground;    /* HUP also logs the state of every proxy */
	const char *master_cli; /* -S: one more socket, level admin; or NULL */
};

/* After layers_init(). 0, or -errno and said on stderr (the -S socket cannot be bound). */
int ops_set_options(struct worker *w, const struct ops_options *opt);

/* Builds the configuration anew on the helper thread and applies it: from <files>, and from then on from these; or from
 * those of the one in force (NULL, 0). Messages go to stderr and, as
 * alerts, to the log. <done> may be NULL; <d> is valid during the call only. One reload runs at a time:
 * -EALREADY while one does. */
struct ops_reload_waiter {
	struct list node;
	void (*done)(struct ops_reload_waiter *rw, bool ok, const struct diag *d);
};
int ops_reload(struct worker *w, char *const *files, int nb_files, struct ops_reload_waiter *rw);

/* In a process that is just starting (-sf, -st): asks process <pid> to take these files for its configuration, and
 * waits until it has. 0: it has; -ESRCH: it is not one of ours, or of another network namespace; -ESHUTDOWN: it is about
 * to end; -EINVAL: it refuses, and why was said; else -errno. */
int ops_hand_over(int pid, char *const *files, int nb_files);

/* SIGUSR1: no new connections; the process ends when nobody needs it any more, or after hard-stop-after. */
void ops_soft_stop(struct worker *w);

#endif
