/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * epoch.c - configurations: built, put in force, dropped by their last user
 *
 * Building is pure: files in, an epoch and messages out. Putting in force has
 * two phases. prepare() may fail and must leave everything as it was: the
 * modules that had prepared get abort(), in reverse. Once all have prepared,
 * commit() runs for each and cannot fail: that is the point of no return.
 */
#include "cfg/epoch.h"

#include <stdlib.h>

#include "cfg/cfg_priv.h"
#include "core/bug.h"
#include "core/worker.h"

static struct cfg_module *cfg_modules; /* in rising order */
static int cfg_nb_modules;

void cfg_module_register(struct cfg_module *m)
{
	struct cfg_module **at = &cfg_modules;

	BUG_ON(cfg_nb_modules == EPOCH_MAX_PARTS);
	m->index = cfg_nb_modules++;
	while (*at && (*at)->order <= m->order)
		at = &(*at)->next;
	m->next = *at;
	*at = m;
}

static unsigned epochs_nb; /* atomic; a fact about the process, as they are made before there is a worker */

unsigned epochs_alive(void)
{
	return __atomic_load_n(&epochs_nb, __ATOMIC_RELAXED);
}

/* ---- building ---- */

static void epoch_defaults(struct epoch *ep)
{
	struct cfg_global *g = &ep->global;

	log_set_init(&g->log);
	g->maxflows = 1000000;
	g->mark_mask = 0x0f000000;
	g->route_table = 1000;
	g->state_db = "/var/lib/standin/standin.db";
	g->promotion_reserve = 1;
	g->bufsize = 16384;
	g->hold_max = 256ULL << 20;
	g->hold_flow_max = 16ULL << 20;
	g->inspect_max = 64ULL << 10;
	g->max_hdr = 101;
	g->stats_timeout_ms = 10000;
	g->uid = g->gid = -1;
}

struct epoch *epoch_new(void)
{
	struct epoch *ep = calloc(1, sizeof(*ep));

	if (!ep)
		return NULL;
	ep->refs = 1;
	__atomic_add_fetch(&epochs_nb, 1, __ATOMIC_RELAXED);
	arena_init(&ep->arena);
	ep->arena.owner = ep;
	list_init(&ep->objects);
	epoch_defaults(ep);
	ep->env = cfg_env_new(&ep->arena);
	for (struct cfg_module *m = cfg_modules; m && ep->env; m = m->next)
		if (m->create)
			ep->part[m->index] = m->create(ep);
	if (ep->env)
		return ep;
	epoch_put(ep);
	return NULL;
}

static bool epoch_keep_files(struct epoch *ep, char *const *files, int nb_files)
{
	ep->files = arena_alloc(&ep->arena, (nb_files + 1) * sizeof(*ep->files));
	for (int i = 0; ep->files && i < nb_files; i++) {
		ep->files[i] = arena_strdup(&ep->arena, str_c(files[i]));
		if (!ep->files[i])
			return false;
		ep->nb_files++;
	}
	return ep->files;
}

bool epoch_resolve(struct epoch *ep, struct diag *d, bool whole)
{
	if (whole && d->errors <= CFG_MAX_ERRORS)
		for (struct cfg_module *m = cfg_modules; m; m = m->next)
			if (m->resolve)
				m->resolve(ep, d);
	if (!d->errors && d->warnings && ep->global.zero_warning)
		diag_error(d, NULL, 0, "Some warnings were found and 'zero-warning' is set. Aborting.");
	return !d->errors;
}

struct epoch *epoch_build(char *const *files, int nb_files, struct diag *d)
{
	struct epoch *ep = epoch_new();
	bool whole = true;

	if (!ep || !epoch_keep_files(ep, files, nb_files)) {
		diag_error(d, NULL, 0, "out of memory");
		epoch_put(ep);
		return NULL;
	}
	cfg_read_files(ep, files, nb_files, d, &whole);
	if (epoch_resolve(ep, d, whole))
		return ep;
	epoch_put(ep);
	return NULL;
}

/* ---- applying ---- */

/* Those before <failed>, in falling order: by recursion, since there are few and the list is single. */
static void epoch_abort(struct worker *w, struct epoch *ep, struct cfg_module *m,
			const struct cfg_module *failed)
{
	if (!m || m == failed)
		return;
	epoch_abort(w, ep, m->next, failed);
	if (m->abort)
		m->abort(w, ep);
}

int epoch_apply_modules(struct cfg_module *head, struct worker *w, struct epoch *ep, struct diag *d)
{
	struct epoch *old = w->epoch;
	struct cfg_module *m;
	int rc;

	for (m = head; m; m = m->next) {
		rc = m->prepare ? m->prepare(w, ep, old, d) : 0;
		if (rc < 0) {
			epoch_abort(w, ep, head, m);
			return rc;
		}
	}
	/* point of no return */
	ep->id = old ? old->id + 1 : 1;
	w->epoch = epoch_get(ep);
	logger_set_identity(w, ep->global.log.tag, ep->global.log.hostname);
	for (m = head; m; m = m->next)
		if (m->commit)
			m->commit(w, ep, old);
	epoch_put(old);
	return 0;
}

int epoch_apply(struct worker *w, struct epoch *ep, struct diag *d)
{
	return epoch_apply_modules(cfg_modules, w, ep, d);
}

/* ---- counting ---- */

struct epoch *epoch_get(struct epoch *ep)
{
	__atomic_add_fetch(&ep->refs, 1, __ATOMIC_RELAXED);
	return ep;
}

static void epoch_destroy_parts(struct epoch *ep, struct cfg_module *m)
{
	if (!m)
		return;
	epoch_destroy_parts(ep, m->next);
	if (m->destroy && ep->part[m->index])
		m->destroy(ep->part[m->index]);
}

void epoch_put(struct epoch *ep)
{
	if (!ep)
		return;
	BUG_ON(!ep->refs);
	if (__atomic_sub_fetch(&ep->refs, 1, __ATOMIC_ACQ_REL))
		return;
	epoch_destroy_parts(ep, cfg_modules);
	arena_reset(&ep->arena);
	free(ep);
	__atomic_sub_fetch(&epochs_nb, 1, __ATOMIC_RELAXED);
}

/* ---- objects ---- */

/* FNV-1a: who writes a configuration is trusted. */
static unsigned epoch_bucket(const char *name)
{
	uint32_t h = 2166136261U;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619U;
	return h % EPOCH_BUCKETS;
}

void epoch_add_object(struct epoch *ep, struct cfg_object *o, struct diag *d)
{
	const struct cfg_object *first = epoch_find(ep, o->kind, o->name);
	struct cfg_object **at = &ep->by_name[epoch_bucket(o->name)];

	if (first)
		diag_error(d, o->file, o->line, "%s '%s' has the same name as %s '%s' declared at %s:%d.",
			   o->kind, o->name, first->kind, first->name, first->file, first->line);
	list_add_tail(&ep->objects, &o->node);
	while (*at)
		at = &(*at)->next;
	o->next = NULL;
	*at = o;
}

struct cfg_object *epoch_find(const struct epoch *ep, const char *kind, const char *name)
{
	struct cfg_object *o;

	for (o = ep->by_name[epoch_bucket(name)]; o; o = o->next)
		if (strcmp(o->kind, kind) == 0 && strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

struct epoch_names {
	const struct epoch *ep;
	const char *kind;
	const struct list *at;
};

static const char *epoch_names_next(void *arg)
{
	struct epoch_names *n = arg;

	while ((n->at = n->at->next) != &n->ep->objects) {
		const struct cfg_object *o = list_entry(n->at, struct cfg_object, node);

		if (strcmp(o->kind, n->kind) == 0)
			return o->name;
	}
	return NULL;
}

const char *epoch_nearest(const struct epoch *ep, const char *kind, const char *name)
{
	struct epoch_names n = { .ep = ep, .kind = kind, .at = &ep->objects };

	return diag_nearest(name, epoch_names_next, &n);
}
