/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * appmgr.c - the layer: all applications of a worker, over reloads and to the end
 *
 * Applying a configuration gives each `app` section its struct app, found by
 * name; what runs is then brought in line by app_reconcile(). Instances whose identity
 * did not change move to the new epoch, so that new timeouts, checks and limits
 * hold for them from now on.
 *
 * The store is opened and the cgroup trees are made with the first configuration
 * that has an app. Primaries do not wait for the store, standbys do: their size
 * is what it remembers.
 *
 * The end: every instance is asked to stop, and the loop goes on until all are
 * gone (each has its own `timeout stop`), then the trees are removed and the
 * store writes what it has. The keeper would end what we could not.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app_priv.h"
#include "core/bug.h"
#include "core/clock.h"
#include "core/layer.h"
#include "driver.h"

#define APPMGR_GRACE_MS 5000 /* beyond the longest `timeout stop` */

static struct app *mgr_find(struct appmgr *m, const char *name)
{
	struct app *a;

	list_for_each(a, &m->apps, node)
		if (!strcmp(a->name, name))
			return a;
	return NULL;
}

struct app *app_find(struct worker *w, const char *name)
{
	struct app *a = mgr_find(w->apps, name);

	return a && !a->retired ? a : NULL;
}

/* ---- the store ---- */

static void mgr_loaded(struct worker *w, void *owner, struct list *starts, struct list *events)
{
	struct appmgr *m = owner;
	struct store_start *s;
	struct app *a;

	list_for_each(s, starts, node)
		history_add(m, s->app, s->release, &s->rec);
	for (struct list *n = events->prev; n != events; n = n->prev)
		event_restore(m, list_entry(n, struct store_event, node));
	m->loaded = true;
	list_for_each(a, &m->apps, node) {
		app_resize(a);
		app_reconcile_later(a);
	}
}

static void mgr_store_state(struct worker *w, void *owner, const char *why)
{
	struct appmgr *m = owner;

	if (why)
		msg_warning("state-db '%s' does not work, starts are remembered in memory only: %s",
			    store_path(m->store), why);
	else
		msg_notice("state-db '%s' works again", store_path(m->store));
	log_printf(w, &w->epoch->global.log, why ? LOG_ERR : LOG_NOTICE, "state-db %s: %s",
		   store_path(m->store), why ? why : "works again");
}

static const struct store_ops mgr_store_ops = { .loaded = mgr_loaded, .state = mgr_store_state };

/* ---- cgroups ---- */

static int mgr_movable(struct worker *w, pid_t pids[2])
{
	pids[0] = getpid();
	pids[1] = w->keeper ? keeper_pid(w->keeper) : 0;
	return w->keeper ? 2 : 1;
}

/* Trees of daemons that were killed together with their keeper: empty, or the kernel refuses. */
static void mgr_sweep(const char *base)
{
	DIR *d = opendir(base);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char tree[4096], path[4096 + 256 + 2];
		struct dirent *in;
		int pid;
		DIR *t;

		if ((sscanf(e->d_name, "standin-%d", &pid) != 1 && sscanf(e->d_name, "standin-daemon-%d", &pid) != 1) ||
		    pid <= 0 || kill(pid, 0) == 0 ||
		    errno != ESRCH)
			continue;
		snprintf(tree, sizeof(tree), "%.3800s/%.255s", base, e->d_name);
		t = opendir(tree);
		while (t && (in = readdir(t))) {
			snprintf(path, sizeof(path), "%s/%s", tree, in->d_name);
			if (in->d_name[0] != '.' && in->d_type == DT_DIR)
				rmdir(path);
		}
		if (t)
			closedir(t);
		rmdir(tree);
	}
	if (d)
		closedir(d);
}

static void mgr_cgroups(struct appmgr *m)
{
	pid_t pids[2];
	char tree[64];

	if (m->cgroups_known)
		return;
	snprintf(tree, sizeof(tree), "standin-%d", (int)getpid());
	cgroup_host_init(&m->cgroups, "", tree, pids, mgr_movable(m->w, pids));
	for (int i = 0; i < m->cgroups.nb_hiers; i++)
		mgr_sweep(m->cgroups.hier[i].base);
	m->cgroups_known = true;
}

/* A limit that cannot be had: the app runs without, and it is said. */
static void mgr_warn_limits(struct appmgr *m, struct app *a)
{
	const struct app_spec *s = &a->cfg->spec;
	const struct {
		enum cg_ctl ctl;
		bool wanted;
	} all[] = { { CG_MEMORY, s->memory }, { CG_CPU, s->cpu_milli }, { CG_PIDS, s->pids } };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].wanted && !cgroup_has(&m->cgroups, all[i].ctl)) {
			const char *why = m->cgroups.why_not[all[i].ctl];

			msg_warning("app '%s' runs without its limit of %s: %s", a->name,
				    cg_ctl_name(all[i].ctl), why);
			app_log(a, LOG_WARNING, "runs without its limit of %s: %s", cg_ctl_name(all[i].ctl),
				why);
		}
}

/* ---- applications come and go ---- */

static void app_task(struct worker *w, struct task *t)
{
	app_reconcile(container_of(t, struct app, reconcile));
}

static void app_wake(struct ev_loop *loop, ev_timer *t, int revents)
{
	app_reconcile(container_of(t, struct app, wake));
}

static struct app *app_new(struct appmgr *m, const char *name)
{
	struct app *a = calloc(1, sizeof(*a));

	if (!a || !(a->name = strdup(name)) || !(a->endpoint = endpoint_get(m->w, name))) {
		free(a ? a->name : NULL);
		free(a);
		return NULL;
	}
	a->id = ++m->last_app_id;
	a->w = m->w;
	a->endpoint->published = true;
	list_init(&a->instances);
	task_init(&a->reconcile, app_task);
	ev_init(&a->wake, app_wake);
	list_add_tail(&m->apps, &a->node);
	return a;
}

void app_free(struct app *a)
{
	BUG_ON(!list_empty(&a->instances));
	app_promotion_cancel(a);
	task_cancel(&a->reconcile);
	ev_timer_stop(a->w->loop, &a->wake);
	if (a->w->apps->stopping)
		a->endpoint->published = false;
	else
		endpoint_retire(a->w, a->endpoint);
	endpoint_put(a->w, a->endpoint);
	epoch_put(a->ep);
	list_del(&a->node);
	free(a->name);
	free(a);
}

/* Instances that the new configuration would have made alike live under it from now on. */
static void app_adopt_instances(struct app *a)
{
	struct instance *in;

	list_for_each(in, &a->instances, node) {
		if (strcmp(in->cfg->identity, a->cfg->identity))
			continue;
		epoch_put(in->ep);
		in->ep = epoch_get(a->ep);
		in->cfg = a->cfg;
		if (in == a->primary && memcmp(&in->limits, &a->cfg->spec, sizeof(in->limits)))
			instance_set_limits(in, &a->cfg->spec);
		health_adopt(in);
	}
}

static void app_configure(struct app *a, struct epoch *ep, const struct app_cfg *cfg)
{
	bool changed = a->cfg && strcmp(a->cfg->identity, cfg->identity);

	epoch_put(a->ep);
	a->ep = epoch_get(ep);
	a->cfg = cfg;
	if (changed) {
		a->gave_up = false;
		backoff_reset(&a->backoff[INST_PRIMARY]);
		backoff_reset(&a->backoff[INST_STANDBY]);
		app_event(a, NULL, LOG_NOTICE, "configured", "release %s: instances are replaced",
			  cfg->release);
	}
	app_resize(a);
	app_adopt_instances(a);
	app_reconcile_later(a);
}

static int mgr_prepare(struct worker *w, struct epoch *ep, struct epoch *old, struct diag *d)
{
	const struct app_part *part = app_part(ep);

	if (list_empty(&part->apps) || w->keeper)
		return 0;
	diag_error(d, NULL, 0, "there is no keeper process: instances cannot be started");
	return -1;
}

static void mgr_commit(struct worker *w, struct epoch *ep, struct epoch *old)
{
	const struct app_part *part = app_part(ep);
	struct appmgr *m = w->apps;
	struct app *a, *tmp;
	struct app_cfg *cfg;

	list_for_each_safe(a, tmp, &m->apps, node)
		if (!epoch_find(ep, "app", a->name) && !a->retired) {
			a->retired = true;
			if (list_empty(&a->instances))
				app_free(a);
			else
				app_reconcile(a);
		}
	if (list_empty(&part->apps))
		return;
	mgr_cgroups(m);
	if (!m->store && !(m->store = store_open(w, ep->global.state_db, &mgr_store_ops, m)))
		m->loaded = true;
	else if (strcmp(store_path(m->store), ep->global.state_db))
		msg_warning("a new 'state-db' takes effect at the next start");
	list_for_each(cfg, &part->apps, node) {
		bool fresh = !(a = mgr_find(m, cfg->obj.name));

		if (fresh && !(a = app_new(m, cfg->obj.name)))
			continue;
		a->retired = false; /* it may still be ending since an earlier configuration */
		app_configure(a, ep, cfg);
		if (fresh)
			mgr_warn_limits(m, a);
	}
}

struct cfg_module app_module = {
	.name = "app",
	.order = 50,
	.create = app_cfg_create,
	.resolve = app_cfg_resolve,
	.prepare = mgr_prepare,
	.commit = mgr_commit,
};

/* ---- the layer ---- */

static int mgr_init(struct worker *w)
{
	struct appmgr *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->w = w;
	m->last_event = 1ULL << 32;
	list_init(&m->apps);
	list_init(&m->histories);
	list_init(&m->events);
	w->apps = m;
	return 0;
}

static unsigned mgr_instances(const struct appmgr *m)
{
	const struct instance *in;
	const struct app *a;
	unsigned n = 0;

	list_for_each(a, &m->apps, node)
		list_for_each(in, &a->instances, node)
			n++;
	return n;
}

static void mgr_wait_over(struct ev_loop *loop, ev_timer *t, int revents)
{
}

/* Runs the loop until every instance is gone, or for as long as they may take. */
static void mgr_stop_all(struct appmgr *m)
{
	uint64_t now = clock_us() / 1000, end = now;
	struct app *a, *tmp;
	ev_timer wake;

	m->stopping = true;
	list_for_each_safe(a, tmp, &m->apps, node) {
		const struct instance *in;

		list_for_each(in, &a->instances, node)
			end = MAX(end, now + in->cfg->stop_ms + APPMGR_GRACE_MS);
		app_reconcile(a);
	}
	ev_timer_init(&wake, mgr_wait_over, 0.1, 0.1);
	ev_timer_start(m->w->loop, &wake);
	while (mgr_instances(m) && clock_us() / 1000 < end)
		ev_run(m->w->loop, EVRUN_ONCE);
	ev_timer_stop(m->w->loop, &wake);
}

/* Those whose processes outlived SIGKILL: let go of them; the keeper tries on. */
static void app_abandon(struct app *a)
{
	struct instance *in, *tmp;

	list_for_each_safe(in, tmp, &a->instances, node)
		instance_abandon(in);
}

static void mgr_destroy(struct worker *w)
{
	struct appmgr *m = w->apps;
	struct app *a, *tmp;
	pid_t pids[2];

	if (!m)
		return;
	mgr_stop_all(m);
	list_for_each_safe(a, tmp, &m->apps, node) {
		a->retired = false; /* or freeing its last instance would free it as well */
		app_abandon(a);
		app_free(a);
	}
	if (m->cgroups_known)
		cgroup_host_free(&m->cgroups, pids, mgr_movable(w, pids));
	store_close(m->store);
	history_free(m);
	free(m);
	w->apps = NULL;
}

static void mgr_log_state(struct worker *w)
{
	struct app *a;

	list_for_each(a, &w->apps->apps, node)
		log_printf(w, &w->epoch->global.log, LOG_NOTICE, "App %s is %s, primary %s, %llu failovers.",
			   a->name, app_state(a), a->primary ? a->primary->name : "none",
			   (unsigned long long)a->failovers);
}

static struct layer app_layer = {
	.name = "app",
	.order = LAYER_APP,
	.init = mgr_init,
	.destroy = mgr_destroy,
	.log_state = mgr_log_state,
};

INITCALL app_layer_register(void)
{
	cfg_module_register(&app_module);
	layer_register(&app_layer);
}
