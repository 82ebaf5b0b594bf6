/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * worker.h - the root of all run-time state
 *
 * Every run-time object hangs off a struct worker: there is one today, with
 * one libev loop, and one per core tomorrow. Nothing below it is global. Each
 * layer owns one pointer here and gives it a type in its own header; core
 * knows only that it exists.
 *
 * Nothing called from the loop may block for more than 1 ms: disk, key
 * operations and configuration builds go to worker->helper, fork and exec to
 * worker->keeper.
 */
#ifndef STANDIN_CORE_WORKER_H
#define STANDIN_CORE_WORKER_H

#include <ev.h>

#include "core/hash.h"
#include "core/hist.h"
#include "core/list.h"
#include "core/pool.h"

struct epoch;
struct helper;
struct logger;
struct keeper;
struct l3;
struct l7;
struct border;
struct appmgr;
struct ops;
struct endpoints;
struct stktables;

struct worker {
	struct ev_loop *loop;      /* owns */
	struct epoch *epoch;       /* counted: the configuration in force */
	struct helper *helper;     /* owns: the helper thread */
	struct logger *logger;     /* owns: sockets of the log targets */
	struct endpoints *endpoints; /* owns: app@NAME addresses */
	struct pools pools;        /* every pool of this worker */
	struct hash_key hash_key;  /* drawn at start */
	struct hist loop_lag_us;   /* what an event may have waited for the others of its cycle: `show info` */
	uint64_t start_ms;         /* clock_ms() at start */
	uint64_t now_ms, cycle_us; /* monotonic, read once a cycle: clock_ms() */
	bool stopping;             /* soft stop asked: no new connections */
	int exit_status;
	ev_prepare prepare;
	ev_check check;
	ev_idle idle;              /* keeps the loop awake for tasks that tasks asked for */
	bool ended;                /* worker_stop() was called */
	struct list tasks;         /* struct task, in the order asked */

	/* one per layer, owned by it, made by its <layer>_worker_init() */
	struct keeper *keeper;
	struct stktables *tables;  /* policy's */
	struct l3 *l3;
	struct l7 *l7;
	struct border *border;
	struct appmgr *apps;
	struct ops *ops;
};

/* Makes loop, pools, logger, endpoints, helper thread; SIGPIPE is ignored from here on. Zeroes *w first: set
 * the layers' pointers after it. 0, or -errno with nothing left behind. */
int worker_init(struct worker *w);
/* Runs until worker_stop(). Returns the exit status. */
int worker_run(struct worker *w);
void worker_stop(struct worker *w, int exit_status);
/* After every layer has freed its own. Runs the helper's queued jobs and the deferred tasks to their end. */
void worker_destroy(struct worker *w);

/* Deferred work: runs once at the end of this loop cycle, in the order asked,
 * before the loop sleeps; asked for by a task, at the end of the next cycle. Objects closed in a cycle are freed here, so no slot
 * is reused within the batch of events that closed it. A struct task lives
 * inside its object; asking twice is harmless; task_cancel() before freeing. */
struct task {
	struct list node;
	void (*fn)(struct worker *w, struct task *t);
};
void task_init(struct task *t, void (*fn)(struct worker *w, struct task *t));
void task_queue(struct worker *w, struct task *t);
void task_cancel(struct task *t);

#endif
