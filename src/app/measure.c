/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * measure.c - what a start took, from exec to ready
 *
 * A timer samples the cgroup's counters: every 2 ms while starts are short, then
 * every 10 ms, then every 50 ms, and less often when many start at once: 1 ms for each.
 * A sample is three reads of kernel memory, 20 us, and does not touch the instance. Peaks of memory and tasks
 * are the largest sample; everything that only grows (CPU time, faults, events) is read once at the end, as
 * is the one thing that costs a look at each process, its mapped file pages.
 *
 * A start counts as cold when pages came from the disk and a good part of what
 * is mapped was charged to this cgroup: only then does "mapped" tell what a
 * cold start needs.
 */
#include <stdio.h>

#include "app_priv.h"
#include "core/clock.h"
#include "driver.h"

static void measure_peaks(struct start_rec *r, const struct cgroup_usage *u)
{
	r->noncache = MAX(r->noncache, u->noncache);
	r->mapped = MAX(r->mapped, u->mapped);
	r->cache = MAX(r->cache, u->cache);
	r->procs = MAX(r->procs, u->pids);
}

static double measure_interval(const struct instance *in, uint64_t age_us)
{
	double least = age_us < 200000 ? 0.002 : age_us < 2000000 ? 0.010 : 0.050;

	return MAX(least, in->w->apps->measuring * 0.001);
}

static void measure_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct instance *in = container_of(container_of(t, struct measure, timer), struct instance, measure);

	struct cgroup_usage u;

	in->driver->sample(in, &u);
	measure_peaks(&in->measure.rec, &u);
	t->repeat = measure_interval(in, clock_us() - in->measure.begin_us);
	ev_timer_again(loop, t);
}

void measure_begin(struct instance *in)
{
	struct measure *m = &in->measure;

	m->rec = (struct start_rec){ .at_ms = clock_wall_ms(),
				     .standby = in->role == INST_STANDBY,
				     .spec = in->limits };
	m->begin_us = clock_us();
	m->running = true;
	in->w->apps->measuring++;
	ev_timer_init(&m->timer, measure_timer, 0, measure_interval(in, 0));
	ev_timer_again(in->w->loop, &m->timer);
}

void measure_cancel(struct instance *in)
{
	if (!in->measure.running)
		return;
	ev_timer_stop(in->w->loop, &in->measure.timer);
	in->measure.running = false;
	in->w->apps->measuring--;
}

void measure_record(struct instance *in, const struct start_rec *rec)
{
	struct store_start st = { .rec = *rec };

	history_add(in->w->apps, in->app->name, in->cfg->release, rec);
	snprintf(st.app, sizeof(st.app), "%s", in->app->name);
	snprintf(st.release, sizeof(st.release), "%s", in->cfg->release);
	snprintf(st.instance, sizeof(st.instance), "%s", in->name);
	store_add_start(in->w->apps->store, &st);
}

void measure_end(struct instance *in, enum start_result res)
{
	struct start_rec *r = &in->measure.rec;
	struct cgroup_usage u;

	if (!in->measure.running)
		return;
	measure_cancel(in);
	in->driver->usage(in, &u);
	measure_peaks(r, &u);
	r->peak = u.peak;
	r->cpu_us = u.cpu_us;
	r->throttled_us = u.throttled_us;
	r->majfaults = u.majfaults;
	r->mem_hits = u.mem_hits;
	r->pids_hits = u.pids_hits;
	r->oom_kills = u.oom_kills;
	r->ready_ms = (clock_us() - in->measure.begin_us + 999) / 1000;
	r->file_rss = in->driver->file_rss(in);
	r->cold = r->majfaults > 0 && r->mapped >= r->file_rss / 4;
	r->result = res != START_OK && r->oom_kills ? START_OOM : res;
	measure_record(in, r);
}
