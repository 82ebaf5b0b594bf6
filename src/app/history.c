/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * history.c - what starts took and what happened, in memory
 *
 * The store's file is read once at the start; from then on this is the truth and
 * the file follows. Both lists are bounded: the newest stay.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app_priv.h"
#include "core/clock.h"

struct history *history_get(struct appmgr *m, const char *app, const char *release, bool make)
{
	struct history *h;

	list_for_each(h, &m->histories, node)
		if (!strcmp(h->app, app) && !strcmp(h->release, release))
			return h;
	h = make ? calloc(1, sizeof(*h)) : NULL;
	if (!h)
		return NULL;
	snprintf(h->app, sizeof(h->app), "%s", app);
	snprintf(h->release, sizeof(h->release), "%s", release);
	list_add_tail(&m->histories, &h->node);
	return h;
}

void history_add(struct appmgr *m, const char *app, const char *release, const struct start_rec *rec)
{
	struct history *h = history_get(m, app, release, true);

	if (!h)
		return;
	if (h->nb == HISTORY_STARTS)
		memmove(h->rec, h->rec + 1, --h->nb * sizeof(h->rec[0]));
	h->rec[h->nb++] = *rec;
}

void history_forget(struct appmgr *m, const char *app)
{
	struct history *h, *tmp;

	list_for_each_safe(h, tmp, &m->histories, node)
		if (!strcmp(h->app, app)) {
			list_del(&h->node);
			free(h);
		}
}

void history_free(struct appmgr *m)
{
	struct history *h, *h2;
	struct app_event *e, *e2;

	list_for_each_safe(h, h2, &m->histories, node)
		free(h);
	list_for_each_safe(e, e2, &m->events, e.node)
		free(e);
	list_init(&m->histories);
	list_init(&m->events);
}

static struct app_event *event_add(struct appmgr *m)
{
	struct app_event *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->seq = ++m->last_event;
	list_add_tail(&m->events, &e->e.node);
	if (++m->nb_events > HISTORY_EVENTS) {
		struct app_event *oldest = list_first(&m->events, struct app_event, e.node);

		list_del(&oldest->e.node);
		free(oldest);
		m->nb_events--;
	}
	return e;
}

void event_restore(struct appmgr *m, const struct store_event *se)
{
	const struct app_event *oldest = list_first(&m->events, struct app_event, e.node);
	struct app_event *e = calloc(1, sizeof(*e));

	if (!e)
		return;
	e->e = *se;
	e->seq = (oldest ? oldest->seq : m->last_event + 1) - 1;
	list_add(&m->events, &e->e.node);
	m->nb_events++;
}

void app_event(struct app *a, const struct instance *in, int level, const char *kind, const char *fmt, ...)
{
	struct appmgr *m = a->w->apps;
	struct app_event *e = event_add(m);
	char text[STORE_TEXT_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_printf(a->w, &a->cfg->log, level, "app %s: %s%s%s: %s", a->name, in ? in->name : "",
		   in ? ": " : "", kind, text);
	if (!e)
		return;
	e->e.at_ms = clock_wall_ms();
	snprintf(e->e.app, sizeof(e->e.app), "%s", a->name);
	snprintf(e->e.instance, sizeof(e->e.instance), "%s", in ? in->name : "");
	snprintf(e->e.kind, sizeof(e->e.kind), "%s", kind);
	memcpy(e->e.text, text, sizeof(text));
	store_add_event(m->store, &e->e);
}
