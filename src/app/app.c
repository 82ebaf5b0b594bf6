/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * app.c - what should run, and what to do about the difference
 *
 * app_reconcile() compares what there is with what there should be and takes
 * the next steps; it can be called at any time, any number of times, and keeps
 * nothing in mind but what is in struct app. It is called after every change, at
 * the end of the loop cycle; only the death of a primary is answered on the spot.
 *
 *   nobody serves     a READY standby becomes the primary; else a STARTING one; else one
 *                     is started at full size, when the back-off allows. Not while a former
 *                     primary that was told to end still may be at work
 *   an outdated one   serves (its configuration changed, or a restart was asked): one of
 *                     the current configuration is started beside it; when it is READY
 *                     they switch, and the old one may finish. If the new one does not
 *                     become ready the old one goes on serving
 *   standbys          `standby` of them, one starting at a time, inside the least that
 *                     sizing.c finds, once the store has told what it remembers
 *
 * Too many failures of primaries: the application gives up until an operator or a new
 * configuration says otherwise. Of standbys: they wait, and are tried for ever.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app_priv.h"
#include "core/clock.h"

#define APP_RESERVE_RETRY_MS 10000
#define APP_STARTS_PER_MS    2

void app_log(struct app *a, int level, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_printf(a->w, &a->cfg->log, level, "app %s: %s", a->name, text);
}

const char *app_state(const struct app *a)
{
	if (a->want == APP_STOP || a->retired)
		return list_empty(&a->instances) ? "stopped" : "stopping";
	if (!a->primary)
		return a->gave_up ? "gave-up" : "down";
	if (a->primary->st != INST_ST_READY)
		return "starting";
	return a->promotion ? "promoting" : "up";
}

static struct backoff_policy app_backoff_policy(const struct app *a)
{
	return (struct backoff_policy){ .min_ms = a->cfg->backoff_min_ms,
					.max_ms = a->cfg->backoff_max_ms,
					.limit = a->cfg->limit,
					.period_ms = a->cfg->period_ms };
}

void app_sizing(const struct app *a, struct sizing *out)
{
	const struct history *h = history_get(a->w->apps, a->name, a->cfg->release, false);
	struct sizing_params p = { .margin_pct = a->cfg->margin_pct, .start_timeout_ms = a->cfg->start_ms };

	sizing_compute(out, h ? h->rec : NULL, h ? h->nb : 0, &a->cfg->spec, &p);
}

void app_resize(struct app *a)
{
	struct sizing sz;

	app_sizing(a, &sz);
	a->minimum = sz.minimum;
	if (sz.basis != SIZING_DEFAULT)
		store_set_sizing(a->w->apps->store, a->name, a->cfg->release, &sz);
}

bool app_outdated(const struct app *a, const struct instance *in)
{
	return in->outdated || strcmp(in->cfg->identity, a->cfg->identity);
}

/* The first of the wanted kind, current ones before outdated ones; NULL: none. */
static struct instance *app_pick(const struct app *a, enum inst_state st, bool outdated_too)
{
	struct instance *in;

	list_for_each(in, &a->instances, node)
		if (in != a->primary && in->role == INST_STANDBY && in->st == st && !app_outdated(a, in))
			return in;
	if (outdated_too)
		list_for_each(in, &a->instances, node)
			if (in != a->primary && in->role == INST_STANDBY && in->st == st)
				return in;
	return NULL;
}

static void app_wake_in(struct app *a, uint64_t ms)
{
	ev_timer_stop(a->w->loop, &a->wake);
	ev_timer_set(&a->wake, ms / 1000.0, 0.);
	ev_timer_start(a->w->loop, &a->wake);
}

/* Does one of them end? Its port comes back then, and app_instance_freed() calls us again. */
static bool app_one_ends(const struct app *a)
{
	const struct instance *in;

	list_for_each(in, &a->instances, node)
		if (!instance_alive(in))
			return true;
	return false;
}

/* Making cgroups and a process takes some 100 us: when many are to be started, a few in each millisecond. */
static bool app_turn(struct appmgr *m, uint64_t now)
{
	if (m->turn_ms != now) {
		m->turn_ms = now;
		m->turns = 0;
	}
	return m->turns++ < APP_STARTS_PER_MS;
}

/* Starts one if back-off and ports allow; else sees to it that this is tried again. */
static struct instance *app_start(struct app *a, enum inst_role role, const struct app_spec *limits)
{
	struct backoff_policy p = app_backoff_policy(a);
	uint64_t now = clock_ms(a->w);
	bool over;
	uint64_t wait = backoff_wait(&a->backoff[role], &p, now, &over);
	struct instance *in;
	int why;

	if (over && role == INST_PRIMARY) {
		a->gave_up = true;
		app_event(a, NULL, LOG_ALERT, "give-up",
			  "%u failures in %u s: not started again until told to", p.limit,
			  p.period_ms / 1000);
		return NULL;
	}
	if (!wait && !app_turn(a->w->apps, now))
		wait = 1;
	if (wait) {
		app_wake_in(a, wait);
		return NULL;
	}
	in = instance_start(a, role, limits, &why);
	if (in)
		return in;
	if (!app_one_ends(a)) {
		app_event(a, NULL, LOG_ERR, "failed", "%s: no port of %u-%u can be used: %s",
			  inst_role_name(role), a->cfg->listen.port, a->cfg->port_last, strerror(why));
		backoff_fail(&a->backoff[role], &p, now, 0);
		app_reconcile_later(a);
	}
	return NULL;
}

static bool app_depends_met(const struct app *a)
{
	const struct app *d = a->cfg->depends ? app_find(a->w, a->cfg->depends) : NULL;

	return !d || d->endpoint->state == ENDPOINT_UP;
}

/* A former primary that was told to end, and may be at work until it has or is killed: there are never two. */
static bool app_predecessor_works(const struct app *a)
{
	const struct instance *in;

	list_for_each(in, &a->instances, node)
		if (in->role == INST_PRIMARY && in->st == INST_ST_STOPPING && !in->killed)
			return true;
	return false;
}

static void app_find_primary(struct app *a)
{
	struct instance *in;

	if (app_predecessor_works(a))
		return;
	in = app_pick(a, INST_ST_READY, true);
	if (!in)
		in = app_pick(a, INST_ST_STARTING, false);
	if (in) {
		app_promote(a, in);
		return;
	}
	if (a->gave_up || !app_depends_met(a))
		return;
	in = app_start(a, INST_PRIMARY, &a->cfg->spec);
	if (in && instance_alive(in))
		a->primary = in;
}

static struct instance *app_start_standby(struct app *a)
{
	if (!reserve_allows(a)) {
		app_wake_in(a, APP_RESERVE_RETRY_MS);
		return NULL;
	}
	return app_start(a, INST_STANDBY, &a->minimum);
}

/* The primary is READY but outdated. */
static void app_replace(struct app *a)
{
	struct instance *in = app_pick(a, INST_ST_READY, false);

	if (in) {
		app_switch(a, in, "replaced");
		app_reconcile_later(a);
	} else if (a->cfg->port_last == a->cfg->listen.port && a->primary->addr.port == a->cfg->listen.port) {
		instance_cause(a->primary, "replaced; there is one port only");
		instance_event(a->primary, INST_EV_STOP);
	} else if (!app_pick(a, INST_ST_STARTING, false)) {
		app_start_standby(a);
	}
}

static void app_standbys(struct app *a)
{
	struct instance *in, *tmp;
	unsigned have = 0, starting = 0;

	list_for_each_safe(in, tmp, &a->instances, node) {
		if (in->role != INST_STANDBY || !instance_alive(in))
			continue;
		if (app_outdated(a, in) || have >= a->cfg->standby) {
			instance_cause(in, app_outdated(a, in) ? "replaced" : "not needed");
			instance_event(in, INST_EV_STOP);
			continue;
		}
		have++;
		starting += in->st == INST_ST_STARTING;
	}
	if (have < a->cfg->standby && !starting && a->w->apps->loaded)
		app_start_standby(a);
}

static void app_stop_all(struct app *a)
{
	struct instance *in, *tmp;

	app_promotion_cancel(a);
	list_for_each_safe(in, tmp, &a->instances, node)
		if (instance_alive(in) || (in->st == INST_ST_DRAINING && a->w->apps->stopping)) {
			instance_cause(in, a->w->apps->stopping ? "the daemon stops"
					   : a->retired         ? "no longer configured"
								: "stopped");
			instance_event(in, INST_EV_STOP);
		}
	app_publish(a);
}

void app_reconcile(struct app *a)
{
	task_cancel(&a->reconcile);
	ev_timer_stop(a->w->loop, &a->wake);
	if (a->want == APP_STOP || a->retired || a->w->apps->stopping) {
		app_stop_all(a);
		return;
	}
	if (!a->primary)
		app_find_primary(a);
	app_publish(a);
	if (!a->primary || a->primary->st != INST_ST_READY || a->promotion)
		return;
	if (app_outdated(a, a->primary))
		app_replace(a);
	else
		app_standbys(a);
}

void app_reconcile_later(struct app *a)
{
	task_queue(a->w, &a->reconcile);
}

void app_ready(struct app *a, struct instance *in)
{
	struct app *other;

	app_resize(a);
	if (in == a->primary)
		app_serve(a);
	app_reconcile_later(a);
	list_for_each(other, &a->w->apps->apps, node)
		if (other->cfg->depends && !strcmp(other->cfg->depends, a->name))
			app_reconcile_later(other);
}

/* A primary died: answered before anything else happens in this turn of the loop. */
static void app_failover(struct app *a)
{
	app_promotion_cancel(a);
	if (a->want == APP_RUN && !a->retired && !a->w->apps->stopping)
		app_find_primary(a);
	app_publish(a);
}

void app_lost(struct app *a, struct instance *in, bool failed)
{
	struct backoff_policy p = app_backoff_policy(a);
	uint64_t now = clock_ms(a->w);

	if (failed)
		backoff_fail(&a->backoff[in->role], &p, now,
			     in->ready_at_ms ? MAX(now - in->ready_at_ms, 1U) : 0);
	if (failed && !in->ready_at_ms)
		app_resize(a);
	app_reconcile_later(a);
	if (in != a->primary)
		return;
	a->primary = NULL;
	if (failed && in->ready_at_ms) {
		a->lost_us = in->exit_us ? in->exit_us : clock_us();
		snprintf(a->lost, sizeof(a->lost), "%s (%s)", in->name, in->cause);
	}
	if (failed)
		app_failover(a);
	else
		app_publish(a);
}

void app_instance_freed(struct app *a)
{
	if (a->retired && list_empty(&a->instances))
		app_free(a);
	else
		app_reconcile_later(a);
}
