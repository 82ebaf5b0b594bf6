/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reload.c - a new configuration beside the running one
 *
 *   1. the helper thread builds an epoch from the same files; the loop goes on
 *   2. back in the loop it is applied, or refused by what it needs (a port, a rule)
 *   3. whoever asked hears; everybody else reads it on stderr and in the log
 *
 * A bad configuration changes nothing. Asking while a reload runs is an error
 * for a command; a signal that comes meanwhile is remembered, because the files
 * may have changed after they were read.
 *
 * The process may be told to end while the helper thread still builds. The job is
 * therefore an object of its own: what it finds when it comes back to a process that
 * stops is thrown away, and when ops has gone already it is only freed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops_priv.h"

struct ops_reload_job {
	struct helper_job job;
	struct ops *ops; /* borrows; NULL: it has gone */
	const struct ops_options *opt; /* the process's, not ops' */
	char **files;                  /* owns, and each */
	int nb_files;
	struct epoch *ep;              /* owns one reference, once built */
	struct diag diag;
};

static void reload_build(struct helper_job *job)
{
	struct ops_reload_job *r = container_of(job, struct ops_reload_job, job);

	r->ep = epoch_build(r->files, r->nb_files, &r->diag);
	if (r->ep && r->opt->maxconn)
		r->ep->global.maxconn = r->opt->maxconn;
}

static void reload_free(struct ops_reload_job *r)
{
	epoch_put(r->ep);
	diag_free(&r->diag);
	while (r->nb_files)
		free(r->files[--r->nb_files]);
	free(r->files);
	free(r);
}

static bool reload_keep_files(struct ops_reload_job *r, char *const *files, int nb)
{
	r->files = calloc((size_t)nb + 1, sizeof(*r->files));
	for (int i = 0; r->files && i < nb; i++) {
		r->files[i] = strdup(files[i]);
		if (!r->files[i])
			return false;
		r->nb_files++;
	}
	return r->files;
}

/* Says on stderr and in the log how it went. */
static void reload_tell(struct ops *ops, const struct diag *d, bool ok)
{
	const struct log_set *ls = ops->w->epoch ? &ops->w->epoch->global.log : NULL;
	struct diag_msg *m;

	diag_print(d);
	list_for_each(m, &d->msgs, node) {
		if (m->level >= MSG_WARNING)
			log_printf(ops->w, ls, m->level == MSG_ALERT ? LOG_ALERT : LOG_WARNING, "%s", m->text);
	}
	if (ok) {
		msg_notice("configuration reloaded (epoch %llu)", (unsigned long long)ops->w->epoch->id);
		log_printf(ops->w, ls, LOG_NOTICE, "configuration reloaded (epoch %llu)",
			   (unsigned long long)ops->w->epoch->id);
	} else {
		msg_alert("the new configuration was refused, the running one stays");
		log_printf(ops->w, ls, LOG_ALERT, "the new configuration was refused, the running one stays");
	}
}

static void reload_answer(struct ops *ops, const struct diag *d, bool ok)
{
	struct ops_reload_waiter *rw, *tmp;

	list_for_each_safe(rw, tmp, &ops->reload_waiters, node) {
		list_del(&rw->node);
		rw->done(rw, ok, d);
	}
}

static bool reload_stops(const struct worker *w)
{
	return w->stopping || w->ended;
}

static void reload_done(struct worker *w, struct helper_job *job)
{
	struct ops_reload_job *r = container_of(job, struct ops_reload_job, job);
	struct ops *ops = r->ops;
	bool ok = false;

	if (!ops) {
		reload_free(r);
		return;
	}
	ops->reload = NULL;
	if (reload_stops(w))
		diag_error(&r->diag, NULL, 0, "the process is stopping");
	else if (r->ep)
		ok = epoch_apply(w, r->ep, &r->diag) == 0;
	ops->reloads += ok;
	ops->reload_failures += !ok;
	reload_tell(ops, &r->diag, ok);
	reload_answer(ops, &r->diag, ok);
	reload_free(r);
	if (ops->reload_again) {
		ops->reload_again = false;
		ops_reload(w, NULL, 0, NULL);
	}
}

int ops_reload(struct worker *w, char *const *files, int nb_files, struct ops_reload_waiter *rw)
{
	struct ops *ops = w->ops;
	struct ops_reload_job *r;

	if (reload_stops(w))
		return -ESHUTDOWN;
	if (ops->reload) {
		if (rw)
			return -EALREADY;
		ops->reload_again = true;
		return 0;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->ops = ops;
	r->opt = ops->opt;
	diag_init(&r->diag);
	if (!nb_files) {
		files = w->epoch->files;
		nb_files = w->epoch->nb_files;
	}
	if (!reload_keep_files(r, files, nb_files)) {
		reload_free(r);
		return -ENOMEM;
	}
	r->job.run = reload_build;
	r->job.done = reload_done;
	list_init(&r->job.node);
	ops->reload = r;
	if (rw)
		list_add_tail(&ops->reload_waiters, &rw->node);
	helper_submit(w, &r->job);
	return 0;
}

void ops_reload_abandon(struct ops *ops)
{
	struct diag none;

	if (!ops->reload)
		return;
	ops->reload->ops = NULL;
	ops->reload = NULL;
	diag_init(&none);
	reload_answer(ops, &none, false);
	diag_free(&none);
}
