/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * store.c - the loop's side of the store: batches for the helper thread
 *
 * What is to be remembered waits in a list; STORE_DELAY after the first of it
 * came, the whole list goes to the helper thread as one transaction. One batch is
 * under way at a time, what comes meanwhile makes the next one.
 *
 * A file that cannot be opened or written (no permission, a full disk) costs
 * the batch, which is counted, and one message when it begins and one when
 * it ends. Each later batch tries again, not more often than once in
 * STORE_RETRY. The daemon knows all it needs in memory.
 */
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/helper.h"
#include "core/worker.h"
#include "store_priv.h"

#define STORE_DELAY   0.1  /* s */
#define STORE_RETRY   5000 /* ms */
#define STORE_WAITING 4096 /* items, at most */

struct store {
	struct worker *w;
	const struct store_ops *ops;
	void *owner;
	struct store_db db;  /* the helper thread's while busy */
	struct list waiting; /* struct store_item */
	unsigned nb_waiting;
	unsigned busy; /* jobs under way */
	ev_timer timer;
	char err[200]; /* as last told; "" works */
	uint64_t failed_ms, dropped;
	bool closing;
};

struct store_job {
	struct helper_job job;
	struct store *s;
	bool load, close, ok;
	struct list items;          /* to write */
	struct list starts, events; /* loaded */
	char err[200];
};

static void store_free_items(struct list *items)
{
	struct store_item *it, *tmp;

	list_for_each_safe(it, tmp, items, node) {
		list_del(&it->node);
		free(it);
	}
}

static void store_free_loaded(struct store_job *j)
{
	struct store_start *s, *s2;
	struct store_event *e, *e2;

	list_for_each_safe(s, s2, &j->starts, node)
		free(s);
	list_for_each_safe(e, e2, &j->events, node)
		free(e);
}

/* helper thread */
static void store_job_run(struct helper_job *job)
{
	struct store_job *j = container_of(job, struct store_job, job);
	struct store_db *db = &j->s->db;

	j->ok = true;
	if (j->load)
		j->ok = store_db_load(db, &j->starts, &j->events) == 0;
	if (!list_empty(&j->items))
		j->ok = store_db_write(db, &j->items) == 0;
	memcpy(j->err, db->err, sizeof(j->err));
	if (j->close)
		store_db_close(db);
}

static void store_tell(struct store *s, const struct store_job *j)
{
	const char *err = j->ok ? "" : j->err;

	if (!j->ok)
		s->failed_ms = clock_ms(s->w);
	if (!*s->err != !*err)
		s->ops->state(s->w, s->owner, *err ? err : NULL);
	snprintf(s->err, sizeof(s->err), "%s", err);
}

static void store_schedule(struct store *s);

static void store_job_done(struct worker *w, struct helper_job *job)
{
	struct store_job *j = container_of(job, struct store_job, job);
	struct store *s = j->s;
	struct store_item *it;

	s->busy--;
	if (!s->closing) {
		store_tell(s, j);
		if (!j->ok)
			list_for_each(it, &j->items, node)
				s->dropped++;
		if (j->load)
			s->ops->loaded(w, s->owner, &j->starts, &j->events);
	}
	store_free_items(&j->items);
	store_free_loaded(j);
	free(j);
	if (s->closing) {
		if (!s->busy) {
			free(s->db.path);
			free(s);
		}
		return;
	}
	if (s->nb_waiting)
		store_schedule(s);
}

static struct store_job *store_submit(struct store *s, bool load, bool close)
{
	struct store_job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->s = s;
	j->load = load;
	j->close = close;
	j->job.run = store_job_run;
	j->job.done = store_job_done;
	list_init(&j->items);
	list_init(&j->starts);
	list_init(&j->events);
	list_splice_tail(&j->items, &s->waiting);
	s->nb_waiting = 0;
	s->busy++;
	helper_submit(s->w, &j->job);
	return j;
}

static void store_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct store *s = container_of(t, struct store, timer);

	if (!s->busy && s->nb_waiting)
		store_submit(s, false, false);
}

static void store_schedule(struct store *s)
{
	double delay = STORE_DELAY;

	if (s->busy || ev_is_active(&s->timer))
		return;
	if (*s->err && clock_ms(s->w) < s->failed_ms + STORE_RETRY)
		delay += (s->failed_ms + STORE_RETRY - clock_ms(s->w)) / 1000.0;
	ev_timer_set(&s->timer, delay, 0.);
	ev_timer_start(s->w->loop, &s->timer);
}

struct store *store_open(struct worker *w, const char *path, const struct store_ops *ops, void *owner)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->w = w;
	s->ops = ops;
	s->owner = owner;
	list_init(&s->waiting);
	ev_init(&s->timer, store_timer);
	s->db.path = strdup(path);
	if (!s->db.path || !store_submit(s, true, false)) {
		free(s->db.path);
		free(s);
		return NULL;
	}
	return s;
}

static struct store_item *store_item(struct store *s, enum store_item_kind kind)
{
	struct store_item *it = s && s->nb_waiting < STORE_WAITING ? calloc(1, sizeof(*it)) : NULL;

	if (!it) {
		if (s)
			s->dropped++;
		return NULL;
	}
	it->kind = kind;
	list_add_tail(&s->waiting, &it->node);
	s->nb_waiting++;
	store_schedule(s);
	return it;
}

void store_add_start(struct store *s, const struct store_start *st)
{
	struct store_item *it = store_item(s, STORE_START);

	if (it)
		it->start = *st;
}

void store_add_event(struct store *s, const struct store_event *ev)
{
	struct store_item *it = store_item(s, STORE_EVENT);

	if (it)
		it->event = *ev;
}

void store_set_sizing(struct store *s, const char *app, const char *release, const struct sizing *sz)
{
	struct store_item *it = store_item(s, STORE_SIZING);

	if (!it)
		return;
	snprintf(it->sizing.app, sizeof(it->sizing.app), "%s", app);
	snprintf(it->sizing.release, sizeof(it->sizing.release), "%s", release);
	it->sizing.sizing = *sz;
}

void store_forget(struct store *s, const char *app)
{
	struct store_item *it = store_item(s, STORE_FORGET);

	if (it)
		snprintf(it->app, sizeof(it->app), "%s", app);
}

const char *store_path(const struct store *s)
{
	return s->db.path;
}

const char *store_error(const struct store *s)
{
	return *s->err ? s->err : NULL;
}

uint64_t store_dropped(const struct store *s)
{
	return s->dropped;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	ev_timer_stop(s->w->loop, &s->timer);
	s->closing = true;
	if (!store_submit(s, false, true))
		store_free_items(&s->waiting); /* no memory: the file closes with the process */
}
