/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * helper.c - one thread for what may block
 *
 * Two lists under one mutex: jobs to run, and jobs that ran. The loop submits to
 * the first and signals the condition; the thread moves a job to the second and
 * rings the loop's ev_async, which takes the whole list at once and calls each
 * done() without the mutex. A job that is on neither list is in run() or
 * done(). The thread takes no signals: they are the loop's.
 */
#include "core/helper.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "core/worker.h"

struct helper {
	struct worker *w; /* borrows */
	pthread_t thread;
	pthread_mutex_t lock; /* guards todo, ran, running, quit */
	pthread_cond_t wake;
	pthread_cond_t rest; /* a job has run */
	struct list todo, ran;
	struct helper_job *running;
	bool quit;
	unsigned pending; /* loop's: submitted, done() not yet called */
	ev_async async;
};

static void *helper_thread(void *arg)
{
	struct helper *h = arg;

	pthread_mutex_lock(&h->lock);
	for (;;) {
		struct helper_job *job = list_first(&h->todo, struct helper_job, node);

		if (!job) {
			if (h->quit)
				break;
			pthread_cond_wait(&h->wake, &h->lock);
			continue;
		}
		list_del(&job->node);
		h->running = job;
		pthread_mutex_unlock(&h->lock);
		job->run(job);
		pthread_mutex_lock(&h->lock);
		h->running = NULL;
		list_add_tail(&h->ran, &job->node);
		pthread_cond_signal(&h->rest);
		ev_async_send(h->w->loop, &h->async);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static void helper_collect(struct helper *h)
{
	struct list ran;

	list_init(&ran);
	pthread_mutex_lock(&h->lock);
	list_splice_tail(&ran, &h->ran);
	pthread_mutex_unlock(&h->lock);
	while (!list_empty(&ran)) {
		struct helper_job *job = list_first(&ran, struct helper_job, node);

		list_del(&job->node);
		h->pending--;
		if (job->done)
			job->done(h->w, job);
	}
}

static void helper_async_cb(struct ev_loop *loop, ev_async *ev, int revents)
{
	helper_collect(container_of(ev, struct helper, async));
}

static int helper_start_thread(struct helper *h)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&h->thread, NULL, helper_thread, h);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

int helper_init(struct worker *w)
{
	struct helper *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return -ENOMEM;
	h->w = w;
	list_init(&h->todo);
	list_init(&h->ran);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->wake, NULL);
	pthread_cond_init(&h->rest, NULL);
	ev_async_init(&h->async, helper_async_cb);
	ev_async_start(w->loop, &h->async);
	rc = helper_start_thread(h);
	if (rc) {
		ev_async_stop(w->loop, &h->async);
		free(h);
		return rc;
	}
	w->helper = h;
	return 0;
}

void helper_submit(struct worker *w, struct helper_job *job)
{
	struct helper *h = w->helper;

	h->pending++;
	pthread_mutex_lock(&h->lock);
	list_add_tail(&h->todo, &job->node);
	pthread_cond_signal(&h->wake);
	pthread_mutex_unlock(&h->lock);
}

unsigned helper_pending(const struct worker *w)
{
	return w->helper ? w->helper->pending : 0;
}

static bool helper_is_todo(const struct helper *h, const struct helper_job *job)
{
	const struct helper_job *j;

	list_for_each(j, &h->todo, node)
		if (j == job)
			return true;
	return h->running == job;
}

void helper_finish(struct worker *w, struct helper_job *job)
{
	struct helper *h = w->helper;

	pthread_mutex_lock(&h->lock);
	while (helper_is_todo(h, job))
		pthread_cond_wait(&h->rest, &h->lock);
	list_del(&job->node);
	pthread_mutex_unlock(&h->lock);
	h->pending--;
	if (job->done)
		job->done(w, job);
}

/* A done() may submit again: rounds of asking the thread to finish, until nothing is left. */
void helper_destroy(struct worker *w)
{
	struct helper *h = w->helper;
	bool again = true;

	if (!h)
		return;
	while (again) {
		pthread_mutex_lock(&h->lock);
		h->quit = true;
		pthread_cond_signal(&h->wake);
		pthread_mutex_unlock(&h->lock);
		pthread_join(h->thread, NULL);
		helper_collect(h);
		again = h->pending > 0;
		if (again) {
			h->quit = false;
			again = helper_start_thread(h) == 0;
		}
	}
	ev_async_stop(w->loop, &h->async);
	pthread_cond_destroy(&h->wake);
	pthread_cond_destroy(&h->rest);
	pthread_mutex_destroy(&h->lock);
	free(h);
	w->helper = NULL;
}
