/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * worker.c - one libev loop and the root of what runs in it
 *
 * A cycle: the loop sleeps in epoll; `check` runs first on waking (highest
 * priority) and reads the clock once; then timers and events; `prepare` runs
 * last before sleeping (lowest priority) and runs the deferred tasks. The time
 * from check to prepare is what the last event of the cycle may have waited for
 * the others: that is the loop lag.
 *
 * Tasks asked for while tasks run belong to the next cycle; an idle watcher
 * keeps the loop from sleeping until they had it.
 */
#include "core/worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "core/bug.h"
#include "core/clock.h"
#include "core/endpoint.h"
#include "core/helper.h"
#include "core/log.h"

static void worker_check_cb(struct ev_loop *loop, ev_check *ev, int revents)
{
	struct worker *w = container_of(ev, struct worker, check);

	w->cycle_us = clock_us();
	w->now_ms = w->cycle_us / 1000;
}

static void worker_idle_cb(struct ev_loop *loop, ev_idle *ev, int revents)
{
}

static void worker_run_tasks(struct worker *w)
{
	struct list batch;

	list_init(&batch);
	list_splice_tail(&batch, &w->tasks);
	while (!list_empty(&batch)) {
		struct task *t = list_first(&batch, struct task, node);

		list_del(&t->node); /* may be queued again, or freed, by its function */
		t->fn(w, t);
	}
	if (list_empty(&w->tasks))
		ev_idle_stop(w->loop, &w->idle);
	else
		ev_idle_start(w->loop, &w->idle);
}

static void worker_prepare_cb(struct ev_loop *loop, ev_prepare *ev, int revents)
{
	struct worker *w = container_of(ev, struct worker, prepare);

	worker_run_tasks(w);
	hist_add(&w->loop_lag_us, clock_us() - w->cycle_us);
}

static void worker_watch(struct worker *w)
{
	ev_prepare_init(&w->prepare, worker_prepare_cb);
	ev_set_priority(&w->prepare, EV_MINPRI);
	ev_prepare_start(w->loop, &w->prepare);
	ev_check_init(&w->check, worker_check_cb);
	ev_set_priority(&w->check, EV_MAXPRI);
	ev_check_start(w->loop, &w->check);
	ev_idle_init(&w->idle, worker_idle_cb);
}

int worker_init(struct worker *w)
{
	int rc;

	memset(w, 0, sizeof(*w));
	list_init(&w->tasks);
	pools_init(&w->pools);
	hash_key_random(&w->hash_key);
	w->cycle_us = clock_us();
	w->now_ms = w->start_ms = w->cycle_us / 1000;
	signal(SIGPIPE, SIG_IGN);

	w->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!w->loop)
		w->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (!w->loop)
		return -ENOMEM;
	worker_watch(w);
	rc = logger_init(w);
	if (!rc)
		rc = endpoints_init(w);
	if (!rc)
		rc = helper_init(w);
	if (rc)
		worker_destroy(w);
	return rc;
}

int worker_run(struct worker *w)
{
	while (!w->ended)
		ev_run(w->loop, 0);
	return w->exit_status;
}

void worker_stop(struct worker *w, int exit_status)
{
	w->exit_status = exit_status;
	w->ended = true;
	ev_break(w->loop, EVBREAK_ALL);
}

void worker_destroy(struct worker *w)
{
	if (!w->loop)
		return;
	helper_destroy(w);
	while (!list_empty(&w->tasks))
		worker_run_tasks(w);
	endpoints_destroy(w);
	logger_destroy(w);
	ev_prepare_stop(w->loop, &w->prepare);
	ev_check_stop(w->loop, &w->check);
	ev_idle_stop(w->loop, &w->idle);
	pools_destroy(&w->pools);
	ev_loop_destroy(w->loop);
	w->loop = NULL;
}

void task_init(struct task *t, void (*fn)(struct worker *w, struct task *t))
{
	list_init(&t->node);
	t->fn = fn;
}

void task_queue(struct worker *w, struct task *t)
{
	if (list_empty(&t->node))
		list_add_tail(&w->tasks, &t->node);
}

void task_cancel(struct task *t)
{
	list_del(&t->node);
}
